"""One meter: whether it speaks, when its machine counts as running, what was turned away, its secret."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from marketplace.slot import Slot
from web.views.bookings import SessionRow
from web.views.desk import Rejected
from web.views.flags import FlagRow
from web.views.frame import EMPTY_FORM, Choice, Form, Live
from web.views.setup import Setup


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How many of the recent messages were turned away for one reason, in words."""

    reason: str
    count: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Sealed:
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Renewal:
    """How a new secret may follow the present one."""

    beside: str
    """How both count for a while: same_name, other_name."""
    old_until: datetime | None
    """Until when the one before still counts."""
    old_login: str
    """By which user name; empty where none does."""


@dataclass(frozen=True, slots=True)
class CertificateRow:
    serial: str
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    expired: bool

    @property
    def counts(self) -> bool:
        return self.revoked_at is None and not self.expired


@dataclass(frozen=True, slots=True)
class NewCertificate:
    """Shown once, right after it was issued."""

    files: Mapping[str, str]
    """The address of each by its name: PEM, in the page itself."""
    host: str
    port: int
    command: str
    """A first message from a shell that has the files."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where the broker takes them."""

    rows: Sequence[CertificateRow]
    """Newest first."""
    new: NewCertificate | None
    full: bool
    """As many count as may."""


@dataclass(frozen=True, slots=True)
class ForeseenRun:
    """A stretch that other thresholds would read in another way; seconds and runs in it, as they are and as they would be."""

    slot: Slot
    now_s: int
    now_runs: int
    then_s: int
    then_runs: int


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What other thresholds would have made of the last days."""

    since: datetime
    now_s: int
    now_runs: int
    then_s: int
    then_runs: int
    changes: Sequence[ForeseenRun]
    """Newest first, the first of them."""
    more: int
    """Changes that are not shown."""
    sealed_s: int
    """Of this time bills or published figures rest on so much."""


@dataclass(frozen=True, slots=True)
class ClockView:
    """`behind_s` less than 0 is ahead; `zone_s` where a wrong time zone explains it."""

    agrees: bool
    behind_s: float
    zone_s: int | None


@dataclass(frozen=True, slots=True)
class Health:
    """How the meter itself does."""

    interval_s: float | None
    """Between its last messages."""
    stale_after_s: float
    least_stale_s: float | None
    """What that should be at least by the interval; None where it is, or nothing is known."""
    clock: ClockView | None
    day: float | None
    """The share of the last 24 hours in which its state was known; None of one that was just registered."""
    week: float | None
    rejected_today: int


@dataclass(frozen=True, slots=True)
class MainMeter:
    """Which meter includes what this one measures."""

    choices: Sequence[Choice]
    """What it may be, the present one chosen."""
    behind: Sequence[tuple[str, str]]
    """(id, name) of those that this one includes."""

    @property
    def name(self) -> str | None:
        """Of the present one."""
        return next((one.label for one in self.choices if one.chosen), None)


@dataclass(frozen=True, slots=True)
class DeviceView:
    """GET/POST /{lang}/desk/devices/{id}."""

    id: str
    name: str
    key: str
    topic: str
    family: str
    active: bool
    revoked_at: datetime | None
    last_message_at: datetime | None
    resource_id: str
    resource: str
    institution_id: str
    zone: str
    questions: Sequence[FlagRow]
    """Open ones about what it said, the newest first."""
    live: Live
    live_id: str
    """What the live stream calls it: the equipment where it is its only meter, else the meter itself."""
    health: Health
    main: MainMeter
    power: Sequence[float]
    """The last hour's watts, oldest first, so that the thresholds can be judged; empty where another meter may be meant."""
    runs: Sequence[SessionRow]
    rejected: int
    """Ever."""
    reasons: Sequence[ReasonCount]
    messages: Sequence[Rejected]
    """The latest that were turned away, newest first."""
    secret: Setup | None
    renewal: Renewal
    certificates: Certificates | None
    live_url: str
    sealed: Sealed | None
    """Days of which evidence can be had, the last week of them."""
    foreseen: WhatIf | None = None
    form: Form = EMPTY_FORM
    """p_on, p_off, p_idle, rated_w (W), min_on, min_off, stale_after, max_gap (s); measured_by."""
