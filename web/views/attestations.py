"""What the pages of statements of use show."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from marketplace.slot import Slot
from web.views.bookings import Piece
from web.views.frame import EMPTY_FORM, Choice, Form, Paging


@dataclass(frozen=True, slots=True)
class Silence:
    """What the meter knew around a booking, and what is stated of it."""

    slot: Slot
    zone: str
    pieces: Sequence[Piece]
    stated: Sequence[Slot] = ()


@dataclass(frozen=True, slots=True)
class StatementRow:
    id: str
    side: str
    state: str
    stated_by: str
    stated_at: datetime
    answered_by: str | None
    answered_at: datetime | None
    stretches: Sequence[Slot]
    """None where it was not used at all."""
    note: str | None
    reason: str | None
    document: str
    """Of which kind."""
    counts: bool
    """Signed, and not replaced by a later one."""
    can_answer: bool
    can_withdraw: bool


@dataclass(frozen=True, slots=True)
class AttestationsView:
    booking_id: str
    resource: str
    customer: str
    slot: Slot
    zone: str
    state: str
    verdict: str | None
    silence: Silence
    silent: Sequence[Slot]
    rows: Sequence[StatementRow]
    sides: Sequence[Choice]
    can_state: bool
    stretches: Sequence[tuple[str, str]]
    """Names of the fields of each start and end."""
    of_house: bool
    """Opened by the institution's people: the way back is the desk."""
    form: Form = EMPTY_FORM


@dataclass(frozen=True, slots=True)
class ProblemRow:
    booking_id: str
    resource: str
    customer: str
    slot: Slot
    zone: str
    kind: str
    silence: Silence
    statement: StatementRow | None


@dataclass(frozen=True, slots=True)
class ProblemsView:
    institution: str
    institution_id: str
    institutions: Sequence[Choice]
    rows: Sequence[ProblemRow]
    menu: Sequence[str]
    paging: Paging
