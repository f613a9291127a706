"""The platform's own pages: ingest health, institutions, people, audit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from marketplace.money import Money
from web.views.frame import EMPTY_FORM, ONE_PAGE, Choice, Form, Paging


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must hold: database, broker, worker, ingest, mail, stripe; ok, warn or fail."""

    code: str
    state: str
    detail: str


@dataclass(frozen=True, slots=True)
class RejectedCount:
    reason: str
    count: int
    last_at: datetime
    device: str


@dataclass(frozen=True, slots=True)
class SilentDevice:
    resource: str
    device: str
    device_id: str
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class HealthView:
    """GET /{lang}/operator."""

    checks: Sequence[Check]
    messages_hour: int
    lag_s: float | None
    devices: int
    online: int
    rejected: Sequence[RejectedCount]
    silent: Sequence[SilentDevice]
    first_steps: Sequence[tuple[str, bool]]
    """(code of web.labels FIRST_STEP, done)."""
    zone: str = "Asia/Shanghai"


@dataclass(frozen=True, slots=True)
class InstitutionRow:
    id: str
    name: str
    kind: str
    district: str | None
    credit_code: str | None
    settlement: str
    resources: int
    members: int


@dataclass(frozen=True, slots=True)
class InstitutionsView:
    """GET/POST /{lang}/operator/institutions."""

    rows: Sequence[InstitutionRow]
    kinds: Sequence[Choice]
    link: str | None = None
    """The first manager's invitation link, shown once."""
    paging: Paging = ONE_PAGE
    form: Form = EMPTY_FORM


@dataclass(frozen=True, slots=True)
class CallRow:
    """A call to the provider that was refused or contradicted."""

    booking_id: str
    operation: str
    state: str
    error: str
    at: datetime


@dataclass(frozen=True, slots=True)
class EventRow:
    id: str
    kind: str
    object_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class StuckRow:
    """A refund that did not arrive and is not under way."""

    payment_id: str
    booking_id: str
    amount: Money
    failure: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ShareRow:
    institution_id: str
    name: str
    account_id: str | None
    owed: Sequence[Money]


@dataclass(frozen=True, slots=True)
class PaymentsView:
    """GET/POST /{lang}/operator/payments."""

    waiting: int
    oldest: datetime | None
    calls: Sequence[CallRow]
    events: Sequence[EventRow]
    shares: Sequence[ShareRow]
    choices: Sequence[Choice]
    """Of these institutions."""
    stuck: Sequence[StuckRow] = ()
    form: Form = EMPTY_FORM
    zone: str = "Asia/Shanghai"


@dataclass(frozen=True, slots=True)
class PersonRow:
    id: str
    name: str
    email: str
    roles: Sequence[str]
    created_at: datetime
    disabled: bool


@dataclass(frozen=True, slots=True)
class PeopleView:
    """GET /{lang}/operator/people."""

    text: str
    rows: Sequence[PersonRow]
    paging: Paging = ONE_PAGE
    zone: str = "Asia/Shanghai"


@dataclass(frozen=True, slots=True)
class AuditRow:
    at: datetime
    actor: str
    title: str
    """What was done, in words."""
    object_id: str
    changes: Sequence[str]
    """Values before and after, a line each."""


@dataclass(frozen=True, slots=True)
class AuditView:
    """GET /{lang}/operator/audit and /{lang}/desk/audit."""

    rows: Sequence[AuditRow]
    scope: str
    """platform, or the institution's name."""
    paging: Paging = ONE_PAGE
    zone: str = "Asia/Shanghai"
