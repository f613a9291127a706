"""A listing as the JSON API takes it."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from web.api.rules import RulesIn
from web.api.shapes import HoursIn, MoneyIn, Prose, Shape, Text, Whole


class ResourceIn(Shape):
    institution_id: Text
    kind: Literal["pilot_line", "small_line", "concept_centre", "instrument"]
    name: Text
    name_en: Text | None = None
    summary: Prose | None = None
    summary_en: Prose | None = None
    timezone: Text
    district: Text | None = None
    chain: Text | None = None
    capacity: Annotated[Whole, Field(ge=1, le=1000)] = 1
    parent_id: Text | None = None
    shares: Annotated[Sequence[Text], Field(max_length=20)] = ()
    """Parts of which each use takes one unit along, such as a pump that two lines share."""
    step_min: Annotated[Whole, Field(ge=1, le=1440)] = 1
    hours: Annotated[Sequence[HoursIn], Field(max_length=70)] = ()
    price_per_hour: MoneyIn
    quota_hours: Annotated[Whole, Field(ge=1, le=8784)] | None = None
    value: MoneyIn | None = None
    commissioned_on: str | None = None
    rules: RulesIn = RulesIn()
    policy: dict[str, Any] | None = None
