"""The editor of all rules of a resource, with what a change would have done."""

from collections.abc import Sequence
from dataclasses import dataclass

from marketplace.slot import Slot
from web.views.desk import DayHours
from web.views.frame import Badge, Choice, Form


@dataclass(frozen=True, slots=True)
class TurnedRow:
    """A booking of the last quarter that would have been refused."""

    id: str
    customer: str
    slot: Slot
    reasons: Sequence[str]


@dataclass(frozen=True, slots=True)
class EffectView:
    """What the rules as typed would have done; `more` bookings beside those listed."""

    span: Slot
    bookings: int
    refused: int
    already: int
    all_seen: bool
    reasons: Sequence[tuple[str, int]]
    """How many bookings each reason would have turned away, in words."""
    rows: Sequence[TurnedRow]
    more: int


@dataclass(frozen=True, slots=True)
class QuotaRow:
    """The choices of one line; its fields end in `_{number}`."""

    number: int
    units: Sequence[Choice]
    pers: Sequence[Choice]
    bys: Sequence[Choice]
    named: bool
    """It has members of its own, or room to name some."""


@dataclass(frozen=True, slots=True)
class NeedRow:
    number: int
    kinds: Sequence[Choice]


@dataclass(frozen=True, slots=True)
class RulesView:
    """GET/POST /{lang}/desk/resources/{id}/rules. Field names and values are in `form`."""

    id: str
    name: str
    institution_id: str
    zone: str
    number: int
    """Of the version that is edited."""
    buffer_modes: Sequence[Choice]
    capacity_modes: Sequence[Choice]
    approvals: Sequence[Choice]
    holidays: Sequence[Choice]
    hours: Sequence[Choice]
    week: Sequence[DayHours]
    groups: Sequence[Choice]
    firms: Sequence[Choice]
    """Customers of the house, those that the rules name first."""
    quotas: Sequence[QuotaRow]
    needs: Sequence[NeedRow]
    modes: Sequence[Choice]
    operators: Sequence[Choice]
    parts: Sequence[Choice]
    can_edit: bool
    live: Badge
    form: Form
    effect: EffectView | None = None
    seen: str = ""
    """Sent back with what was shown: only that is saved."""
