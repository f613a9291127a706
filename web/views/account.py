"""Signing in, joining, and one's own account."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from web.views.frame import EMPTY_FORM, Choice, Form


@dataclass(frozen=True, slots=True)
class SignInView:
    """GET/POST /{lang}/signin."""

    next: str = ""
    """Where to go afterwards: an address of ours, starting with a slash."""
    form: Form = EMPTY_FORM


@dataclass(frozen=True, slots=True)
class RegisterView:
    """GET/POST /{lang}/register."""

    next: str = ""
    form: Form = EMPTY_FORM


@dataclass(frozen=True, slots=True)
class InvitationView:
    """GET/POST /{lang}/invitations/{secret}."""

    secret: str
    house: str
    """The institution or firm one joins; the platform's name for its own roles."""
    role: str
    email: str
    has_account: bool
    """Then the present password is asked for, and no name."""
    form: Form = EMPTY_FORM


@dataclass(frozen=True, slots=True)
class AskResetView:
    """GET/POST /{lang}/reset. `sent` says the same whether the address is known or not."""

    sent: bool = False
    form: Form = EMPTY_FORM


@dataclass(frozen=True, slots=True)
class ResetView:
    """GET/POST /{lang}/reset/{secret}."""

    secret: str
    form: Form = EMPTY_FORM


@dataclass(frozen=True, slots=True)
class QualificationRow:
    """What the person holds, or held until it expired."""

    name: str
    level: str
    house: str
    until: date | None
    """The last day."""
    valid: bool


@dataclass(frozen=True, slots=True)
class TokenRow:
    id: str
    name: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class SignedInRow:
    """A browser where the person is signed in."""

    id: str
    created_at: datetime
    seen_at: datetime | None
    agent: str
    present: bool


@dataclass(frozen=True, slots=True)
class RoleRow:
    role: str
    house: str | None


@dataclass(frozen=True, slots=True)
class AccountView:
    """GET /{lang}/account."""

    name: str
    email: str
    zone: str
    locales: Sequence[Choice]
    first_days: Sequence[Choice]
    """With which day one's weeks begin; an empty value leaves it to the browser's region."""
    roles: Sequence[RoleRow]
    tokens: Sequence[TokenRow]
    signed_in: Sequence[SignedInRow]
    new_token: str | None = None
    """Shown once."""
    members_url: str | None = None
    qualifications: Sequence[QualificationRow] = ()
    form: Form = EMPTY_FORM


@dataclass(frozen=True, slots=True)
class FeedView:
    """GET/POST /{lang}/account/calendar and /{lang}/desk/resources/{id}/calendar."""

    of: str | None
    """The equipment's name; None for one's own bookings."""
    back: str
    action: str
    made_at: datetime | None
    zone: str
    link: str | None = None
    """Shown once."""
