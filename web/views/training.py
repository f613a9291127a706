"""Qualifications of an institution, and its operators."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from marketplace.slot import Slot
from web.views.desk import DayHours
from web.views.frame import EMPTY_FORM, Choice, Form
from web.views.outages import OutageRow


@dataclass(frozen=True, slots=True)
class GrantRow:
    """Someone's level; `state` is valid, expired or revoked."""

    id: str
    person: str
    email: str
    level: str
    until: date | None
    """The last day."""
    state: str


@dataclass(frozen=True, slots=True)
class KindCard:
    """One kind of qualification with its levels, the lowest first, and who holds it."""

    id: str
    name: str
    levels: Sequence[Choice]
    grants: Sequence[GrantRow]
    form: Form = EMPTY_FORM


@dataclass(frozen=True, slots=True)
class TrainingView:
    """GET/POST /{lang}/desk/training."""

    institution: str
    institution_id: str
    zone: str
    kinds: Sequence[KindCard]
    can_define: bool
    menu: Sequence[str] = ()
    form: Form = EMPTY_FORM


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """One of the staff who stand by: hours as a few words, what is next claimed of their time."""

    id: str
    name: str
    hours: Sequence[tuple[int, str]]
    """(weekday, times); empty is day and night."""
    ahead: int
    away: Sequence[Slot]


@dataclass(frozen=True, slots=True)
class OperatorsView:
    """GET/POST /{lang}/desk/operators."""

    institution: str
    institution_id: str
    zone: str
    rows: Sequence[OperatorRow]
    staff: Sequence[Choice]
    """Managers and technicians who are not operators yet."""
    presets: Sequence[Choice]
    can_edit: bool
    menu: Sequence[str] = ()
    form: Form = EMPTY_FORM


@dataclass(frozen=True, slots=True)
class UncoveredRow:
    """A booking for which nobody else is free while its operator is away."""

    id: str
    resource: str
    slot: Slot


@dataclass(frozen=True, slots=True)
class OperatorView:
    """GET/POST /{lang}/desk/operators/{id}: hours, absences, leaving. Field names and values are in `form`."""

    id: str
    name: str
    institution_id: str
    zone: str
    hours: Sequence[Choice]
    week: Sequence[DayHours]
    away: Sequence[OutageRow]
    ahead: int
    can_edit: bool
    can_note: bool
    uncovered: Sequence[UncoveredRow] = ()
    form: Form = EMPTY_FORM
