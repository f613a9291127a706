"""A series of bookings: its occurrences, its gaps, and what can be done with it."""

from collections.abc import Sequence
from dataclasses import dataclass

from marketplace.slot import Slot
from web.views.frame import EMPTY_FORM, Badge, Choice, Form


@dataclass(frozen=True, slots=True)
class OccurrenceRow:
    id: str
    slot: Slot
    state: str
    moved_from: Slot | None
    """Where the rule has it, if it was moved alone."""
    ahead: bool


@dataclass(frozen=True, slots=True)
class GapRow:
    """An occurrence that could not be had; `key` is its start as fields carry it."""

    slot: Slot
    key: str
    reasons: Sequence[str]
    ahead: bool


@dataclass(frozen=True, slots=True)
class SeriesView:
    """GET /{lang}/series/{id}."""

    id: str
    resource_id: str
    resource: str
    institution: str
    zone: str
    slot: Slot
    rule: str
    """In words."""
    version: int
    split_from: str | None
    rows: Sequence[OccurrenceRow]
    gaps: Sequence[GapRow]
    can_edit: bool
    since: Sequence[Choice]
    """From which occurrence on something changes; the first stands for all that are ahead."""
    start: str
    end: str
    """Of the first that is ahead, as fields of date and time carry it."""
    repeats: Sequence[Choice]
    conflicts: Sequence[Choice]
    asks: bool = False
    """Whether the institution must agree to another time."""
    live: Badge | None = None
    """While something of it is not over."""
    form: Form = EMPTY_FORM
    refusal: str | None = None
    reasons: Sequence[str] = ()
    """Why the last step was refused, in words."""
    may_override: bool = False
    """The reader may set aside what stands in the way of the last edit."""
