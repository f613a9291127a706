"""The publisher's desk: today, listings, a machine's editor, its devices, review of use, income."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from billing.billed.queries import Sums
from marketplace.money import Money
from marketplace.slot import Slot
from web.views.bills import IssuedRow
from web.views.discovery import NO_DISCOVERY, DiscoveryView
from web.views.frame import EMPTY_FORM, ONE_PAGE, Badge, Choice, Form, Live, Paging


@dataclass(frozen=True, slots=True)
class NowRow:
    """A booking that runs, comes next or waits for an answer."""

    booking_id: str
    resource_id: str
    resource: str
    customer: str
    slot: Slot
    zone: str
    state: str
    live: Live
    version: int


@dataclass(frozen=True, slots=True)
class LineRow:
    """One listing of the institution."""

    id: str
    name: str
    kind: str
    icon: str
    state: str
    live: Live
    price: Money
    devices: int
    devices_below: int
    """On its stations, which tell of it too."""
    silent_devices: int
    booked_h: float
    used_h: float
    """Hours of the last seven days."""
    version: int


@dataclass(frozen=True, slots=True)
class ToDo:
    """Something that waits: requests, disputes, no_device, silent, unverifiable, unpaid; how many, and where."""

    code: str
    count: int
    url: str


@dataclass(frozen=True, slots=True)
class DeskView:
    """GET /{lang}/desk."""

    institution: str
    institution_id: str
    institutions: Sequence[Choice]
    """Values are ids; more than one where a person manages several."""
    now: datetime
    zone: str
    running: Sequence[NowRow]
    arriving: Sequence[NowRow]
    requests: Sequence[NowRow]
    todo: Sequence[ToDo]
    lines: Sequence[LineRow]
    can_list: bool
    can_open: bool
    """Whether the machines' own pages are this person's to see."""
    can_decide: bool
    """Whether requests are this person's to answer."""
    menu: Sequence[str] = ()
    """What of the desk this person may open: desk, use, income, members."""
    live_url: str | None = None


@dataclass(frozen=True, slots=True)
class NewMachineView:
    """GET/POST /{lang}/desk/new: five fields."""

    institution_id: str
    institutions: Sequence[Choice]
    kinds: Sequence[Choice]
    hours: Sequence[Choice]
    """Presets: workdays, daily, always."""
    form: Form = EMPTY_FORM


@dataclass(frozen=True, slots=True)
class DayHours:
    """A weekday (0 = Monday) of the week's fields: `open_{weekday}_{n}` and `close_{weekday}_{n}`, empty where closed."""

    weekday: int
    numbers: Sequence[int]


@dataclass(frozen=True, slots=True)
class MachineView:
    """GET/POST /{lang}/desk/resources/{id}: the listing's editor. Field names and values are in `form`."""

    id: str
    name: str
    state: str
    version: int
    institution: str
    kinds: Sequence[Choice]
    parents: Sequence[Choice]
    approvals: Sequence[Choice]
    buffer_modes: Sequence[Choice]
    hours: Sequence[Choice]
    """The week below, or a preset in its place."""
    week: Sequence[DayHours]
    missing: Sequence[str]
    """Codes of web.labels MISSING: what publishing still lacks."""
    can_edit: bool
    live: Badge
    form: Form = EMPTY_FORM


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that was turned away."""

    at: datetime
    topic: str
    reason: str
    """In words."""
    detail: str


@dataclass(frozen=True, slots=True)
class DeviceRow:
    id: str
    name: str
    key: str
    family: str
    state: str
    """active or revoked."""
    online: bool | None
    last_message_at: datetime | None
    power_w: int | None
    live: Live
    rejected: int
    questions: int
    """Open ones about what it said."""
    live_id: str
    """What the live stream calls it: the equipment where it is its only meter, else the meter itself."""
    main: str | None
    """The meter that includes what it measures, by name."""


@dataclass(frozen=True, slots=True)
class DevicesView:
    """GET/POST /{lang}/desk/resources/{id}/devices."""

    resource_id: str
    resource: str
    institution_id: str
    zone: str
    devices: Sequence[DeviceRow]
    families: Sequence[Choice]
    mains: Sequence[Choice]
    """What a new one may stand behind."""
    stations: Sequence[Choice]
    """What is below it and has meters, each with how many."""
    rejected: Sequence[Rejected]
    can_edit: bool
    live_url: str | None = None
    form: Form = EMPTY_FORM
    discovery: DiscoveryView = NO_DISCOVERY


@dataclass(frozen=True, slots=True)
class UseRow:
    """A booking's measured use beside what was booked and billed."""

    booking_id: str
    resource: str
    customer: str
    slot: Slot
    zone: str
    booked_min: int
    confirmed_min: int
    overrun_min: int
    unverified_min: int
    billed: Money | None
    verdict: str
    grade: str
    statement_state: str | None
    differs: bool


@dataclass(frozen=True, slots=True)
class UnbookedRow:
    """A run of the equipment that no booking explains."""

    resource: str
    slot: Slot
    zone: str
    confirmed_s: int


@dataclass(frozen=True, slots=True)
class UseReviewView:
    """GET /{lang}/desk/use."""

    institution: str
    institution_id: str
    rows: Sequence[UseRow]
    unbooked: Sequence[UnbookedRow]
    menu: Sequence[str] = ()
    paging: Paging = ONE_PAGE


@dataclass(frozen=True, slots=True)
class IncomeRow(IssuedRow):
    customer: str
    funding: str
    programmes: Money
    """Paid by programmes beside what the customer is charged."""


@dataclass(frozen=True, slots=True)
class IncomeView:
    """GET /{lang}/desk/income."""

    institution: str
    institution_id: str
    rows: Sequence[IncomeRow]
    sums: Sequence[Sums]
    """By currency."""
    csv_url: str
    menu: Sequence[str] = ()
    paging: Paging = ONE_PAGE


@dataclass(frozen=True, slots=True)
class MemberRow:
    name: str
    email: str
    roles: Sequence[str]
    myself: bool = False


@dataclass(frozen=True, slots=True)
class InvitationRow:
    email: str
    role: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class MembersView:
    """GET/POST /{lang}/desk/members (an institution) and /{lang}/account/members (a firm)."""

    scope: str
    """institution or organisation."""
    name: str
    owner_id: str
    members: Sequence[MemberRow]
    invitations: Sequence[InvitationRow]
    roles: Sequence[Choice]
    action: str
    """Where the invitation form posts to."""
    can_invite: bool
    zone: str = "Asia/Shanghai"
    link: str | None = None
    """The invitation's link, shown once."""
    mailed: bool = False
    """Whether the link also went to the address, should it have an account."""
    menu: Sequence[str] = ()
    """What of the desk this person may open."""
    form: Form = EMPTY_FORM
