"""Open questions about what meters said: what was seen, and why each was closed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from marketplace.slot import Slot
from web.views.frame import EMPTY_FORM, Choice, Form, Paging


@dataclass(frozen=True, slots=True)
class Seen:
    """One figure that a question rests on: a number with its unit, a text, or a time."""

    code: str
    number: float | None = None
    unit: str = ""
    text: str = ""
    at: datetime | None = None

    @property
    def places(self) -> int:
        return 0 if self.number is None or self.number == int(self.number) else 1


@dataclass(frozen=True, slots=True)
class FlagRow:
    """`kind` names its words; `span` is when it was seen."""

    id: str
    kind: str
    span: Slot
    zone: str
    device_id: str
    device: str
    resource_id: str
    resource: str
    institution_id: str
    institution: str
    seen: Sequence[Seen]
    raised_at: datetime
    can_close: bool
    """Such a reader keeps the meters too, and is led to them."""
    closed_at: datetime | None
    closed_by: str | None
    comment: str | None


@dataclass(frozen=True, slots=True)
class FlagsView:
    """GET/POST /{lang}/desk/flags?institution= and GET /{lang}/evaluation/flags?institution=."""

    everywhere: bool
    """Those of all institutions may be read, not those of one's own alone."""
    institution: str
    """Empty for all of them."""
    institution_id: str
    institutions: Sequence[Choice]
    open: Sequence[FlagRow]
    more: int
    """Open ones beyond those shown."""
    closed: Sequence[FlagRow]
    paging: Paging
    menu: Sequence[str] = ()
    form: Form = EMPTY_FORM
    """`comment-{id}` of each."""
