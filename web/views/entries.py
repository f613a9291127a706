"""What only a person can tell of an evaluation: values entered by hand, with note and evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from web.views.frame import EMPTY_FORM, Choice, Form


@dataclass(frozen=True, slots=True)
class Entered:
    """One entry; it is never changed, a newer one counts in its place."""

    value: str
    note: str
    evidence: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class EntryRow:
    """What may be entered, with what was."""

    code: str
    name: str
    range: str
    """What a value may be, in words."""
    wanted: Sequence[str]
    """The evidence that the scheme asks for, in words."""
    present: Entered | None
    earlier: Sequence[Entered]
    """Newest first."""


@dataclass(frozen=True, slots=True)
class EntriesView:
    """GET/POST /{lang}/evaluation/institutions/{id}/entries."""

    institution_id: str
    institution: str
    scheme_title: str
    period: str
    periods: Sequence[Choice]
    zone: str
    rows: Sequence[EntryRow]
    choices: Sequence[Choice]
    published: int | None
    """The number of the newest frozen revision."""
    newer: bool
    """Whether something was entered after it was frozen."""
    can_enter: bool
    can_freeze: bool
    form: Form = EMPTY_FORM
    """indicator, value, evidence, note."""
