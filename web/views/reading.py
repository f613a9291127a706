"""One meter's last messages: how each is read, and how it would be by a profile that is being written."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from web.views.frame import EMPTY_FORM, Form

FEWEST_LINES, MOST_LINES = 10, 24


@dataclass(frozen=True, slots=True)
class ValueRow:
    """W, Wh; `clock` where the time is another than that of receipt."""

    power_w: float | None
    energy_wh: float | None
    state: str | None
    online: bool | None
    metric: str
    clock: str
    note: str | None
    beats: bool
    """A sign of life and nothing else."""


@dataclass(frozen=True, slots=True)
class SaidRow:
    """What a message says, or why it is turned away; nothing of either where it measures nothing."""

    values: Sequence[ValueRow] = ()
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class MessageRow:
    received_at: datetime
    clock: str
    """To the second."""
    topic: str
    payload: str
    is_cut: bool
    """Not the whole payload is shown."""
    retain: bool
    turned_away: bool
    now: SaidRow | None
    """None where only its begin was kept, so that it cannot be read again."""
    then: SaidRow | None
    differs: bool


@dataclass(frozen=True, slots=True)
class ReadingView:
    """GET/POST /{lang}/desk/devices/{id}/reading."""

    id: str
    name: str
    family: str
    resource_id: str
    resource: str
    zone: str
    rows: Sequence[MessageRow]
    """Newest first."""
    tried: bool
    """Whether rows say too what would be."""
    changed: int
    """Rows of which something else would be read."""
    template: str
    """The family's own description as text, to begin from; empty where none describes it."""
    form: Form = EMPTY_FORM
    """profile: the text of a profile file."""

    @property
    def lines(self) -> int:
        """Of the field that the text is written in."""
        return min(max(self.form.values.get("profile", "").count("\n") + 3, FEWEST_LINES), MOST_LINES)
