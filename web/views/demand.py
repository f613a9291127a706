"""Requests that came to nothing, for the publisher."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from marketplace.slot import Slot
from web.views.frame import Choice, Paging


@dataclass(frozen=True, slots=True)
class LostRow:
    """`link` is the booking's page, where the request was stored as one."""

    resource: str
    slot: Slot
    zone: str
    customer: str
    outcome: str
    why: Sequence[str]
    reason: str | None
    asked_at: datetime
    link: str | None


@dataclass(frozen=True, slots=True)
class DemandView:
    """GET /{lang}/desk/demand?institution=."""

    institution: str
    institution_id: str
    institutions: Sequence[Choice]
    menu: Sequence[str]
    rows: Sequence[LostRow]
    paging: Paging
