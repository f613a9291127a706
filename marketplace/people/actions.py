"""Writes of people: registration, invitation, reset, sessions, tokens, institutions and organisations."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from marketplace import audit
from marketplace.db import refused_by
from marketplace.ids import new_id
from marketplace.people import limits, queries, secrets
from marketplace.people.text import clean, clean_credit_code, clean_email
from marketplace.permissions import Grant
from marketplace.refusals import Invalid, Refusal
from marketplace.roles import INSTITUTION_ROLES, ORGANISATION_ROLES, PLATFORM_ROLES, Role
from marketplace.tables import (
    ApiToken,
    CustomerClass,
    Institution,
    InstitutionKind,
    Membership,
    Organisation,
    Person,
    RelatedParty,
    Settlement,
    SignIn,
    Ticket,
)
from marketplace.zones import zone_names

INVITATION, RESET = "invitation", "reset"
INVITATION_VALID = timedelta(days=14)
RESET_VALID = timedelta(hours=2)


class EmailTaken(Refusal):
    """An account with this address exists."""

    code = "email_taken"


class CreditCodeTaken(Refusal):
    """A legal entity with this credit code is registered."""

    code = "credit_code_taken"


class WrongPassword(Refusal):
    """Address and password do not fit together; which of the two is not said."""

    code = "wrong_password"


@dataclass(frozen=True, slots=True)
class Firm:
    """What a firm says of itself."""

    name: str
    credit_code: str | None
    is_sme: bool
    customer_class: CustomerClass = CustomerClass.INDUSTRY
    institution_id: str | None = None


@dataclass(frozen=True, slots=True)
class House:
    """What an institution says of itself."""

    name: str
    kind: InstitutionKind
    timezone: str
    name_en: str | None = None
    district: str | None = None
    credit_code: str | None = None
    settlement: Settlement = Settlement.DIRECT
    bank_account: str | None = None


def create_institution(session: Session, *, house: House, actor_id: str | None, now: datetime) -> Institution:
    """Raises: Invalid, CreditCodeTaken."""
    check_zone(house.timezone)
    row = Institution(
        id=new_id("ins"),
        name=clean(house.name, field="name"),
        name_en=clean(house.name_en, field="name_en") if house.name_en else None,
        kind=house.kind,
        credit_code=clean_credit_code(house.credit_code),
        district=clean(house.district, field="district") if house.district else None,
        timezone=house.timezone,
        settlement=house.settlement,
        bank_account=house.bank_account,
        version=1,
        created_at=now,
    )
    with refused_by("credit_code", CreditCodeTaken()), session.begin_nested():
        session.add(row)
    _audit(session, "create", "institution", row.id, row.id, actor_id, {"name": row.name, "kind": row.kind.value}, now)
    return row


def check_zone(name: str) -> ZoneInfo:
    """Raises: Invalid."""
    if name not in zone_names():
        raise Invalid(field="timezone", reason="not an IANA time zone such as Asia/Shanghai")
    return ZoneInfo(name)


def create_organisation(session: Session, *, firm: Firm, actor_id: str | None, now: datetime) -> Organisation:
    """Raises: Invalid, CreditCodeTaken, NotFound."""
    if firm.institution_id:
        queries.get_institution(session, firm.institution_id)
    row = Organisation(
        id=new_id("org"),
        name=clean(firm.name, field="name"),
        credit_code=clean_credit_code(firm.credit_code),
        is_sme=firm.is_sme,
        customer_class=firm.customer_class,
        institution_id=firm.institution_id,
        version=1,
        created_at=now,
    )
    with refused_by("credit_code", CreditCodeTaken()), session.begin_nested():
        session.add(row)
    _audit(session, "create", "organisation", row.id, firm.institution_id, actor_id, {"name": row.name}, now)
    return row


def declare_related(
    session: Session, *, organisation_id: str, institution_id: str, reason: str, actor_id: str, now: datetime
) -> None:
    """From now on the organisation's use there is never external. Saying it again changes nothing."""
    queries.get_organisation(session, organisation_id)
    queries.get_institution(session, institution_id)
    if queries.is_related(session, organisation_id=organisation_id, institution_id=institution_id):
        return
    row = RelatedParty(organisation_id=organisation_id, institution_id=institution_id, reason=reason, created_at=now)
    session.add(row)
    after = {"organisation_id": organisation_id, "reason": reason}
    _audit(session, "declare_related", "institution", institution_id, institution_id, actor_id, after, now)


def create_person(
    session: Session,
    *,
    email: str,
    name: str,
    locale: str = "zh",
    password: str | None = None,
    grants: Sequence[Grant] = (),
    actor_id: str | None,
    now: datetime,
) -> Person:
    """Raises: Invalid, EmailTaken, NotFound (an institution or organisation of `grants`)."""
    row = Person(
        id=new_id("per"),
        email=clean_email(email),
        name=clean(name, field="name"),
        locale="en" if locale == "en" else "zh",
        password_hash=_hashed(password) if password is not None else None,
        created_at=now,
    )
    with refused_by("email", EmailTaken()), session.begin_nested():
        session.add(row)
    for grant in grants:
        add_membership(session, person_id=row.id, grant=grant, actor_id=actor_id, now=now)
    _audit(session, "create", "person", row.id, None, actor_id, {"email": row.email}, now)
    return row


def _hashed(password: str) -> str:
    if not secrets.SHORTEST_PASSWORD <= len(password) <= secrets.LONGEST_PASSWORD:
        raise Invalid(field="password", reason="must have at least {shortest} characters", shortest=secrets.SHORTEST_PASSWORD)
    return secrets.hash_password(password)


def add_membership(session: Session, *, person_id: str, grant: Grant, actor_id: str | None, now: datetime) -> Membership:
    """Raises: Invalid (the role does not go with that scope), NotFound."""
    scopes = {grant.institution_id: INSTITUTION_ROLES, grant.organisation_id: ORGANISATION_ROLES}
    scopes.pop(None, None)
    fitting = next(iter(scopes.values())) if len(scopes) == 1 else PLATFORM_ROLES
    if len(scopes) > 1 or grant.role not in fitting:
        raise Invalid(field="role", reason="the role does not go with that scope")
    if grant.institution_id:
        queries.get_institution(session, grant.institution_id)
    if grant.organisation_id:
        queries.get_organisation(session, grant.organisation_id)
    row = Membership(
        id=new_id("mem"),
        person_id=person_id,
        role=grant.role,
        institution_id=grant.institution_id,
        organisation_id=grant.organisation_id,
        created_at=now,
    )
    session.add(row)
    session.flush()
    after = {"person_id": person_id, "role": grant.role.value}
    _audit(session, "grant", "membership", row.id, grant.institution_id, actor_id, after, now)
    return row


def register_firm(
    session: Session, *, firm: Firm, email: str, name: str, password: str, locale: str, now: datetime
) -> tuple[Organisation, Person]:
    """A firm and its first member, at once. Raises: Invalid, EmailTaken, CreditCodeTaken."""
    organisation = create_organisation(session, firm=firm, actor_id=None, now=now)
    grants = [Grant(Role.MEMBER, organisation_id=organisation.id)]
    person = create_person(
        session, email=email, name=name, locale=locale, password=password, grants=grants, actor_id=None, now=now
    )
    return organisation, person


def invite(session: Session, *, email: str, grant: Grant, actor_id: str, now: datetime) -> str:
    """The secret of a link with which someone joins an institution or organisation within 14 days. Raises: Invalid."""
    secret = secrets.new_secret()
    session.add(
        Ticket(
            secret_hash=secrets.digest(secret),
            purpose=INVITATION,
            email=clean_email(email),
            role=grant.role,
            institution_id=grant.institution_id,
            organisation_id=grant.organisation_id,
            invited_by=actor_id,
            created_at=now,
            expires_at=now + INVITATION_VALID,
        )
    )
    after = {"email": email, "role": grant.role.value}
    subject = grant.institution_id or grant.organisation_id or actor_id
    _audit(session, "invite", "ticket", subject, grant.institution_id, actor_id, after, now)
    session.flush()
    return secret


def accept_invitation(session: Session, *, secret: str, name: str, password: str, locale: str, now: datetime) -> Person:
    """The invited account with its role; an existing account (with its own password) gains it.

    Raises: NotFound (used, expired or unknown link), Invalid, WrongPassword.
    """
    ticket = queries.get_ticket(session, secret, purpose=INVITATION, now=now)
    _use(session, ticket, now)
    grant = Grant(ticket.role or Role.MEMBER, ticket.institution_id, ticket.organisation_id)
    known = queries.find_person_by_email(session, ticket.email)
    if known is None:
        return create_person(
            session, email=ticket.email, name=name, locale=locale, password=password, grants=[grant], actor_id=None, now=now
        )
    if not secrets.check_password(password, known.password_hash):
        raise WrongPassword
    add_membership(session, person_id=known.id, grant=grant, actor_id=known.id, now=now)
    return known


def _use(session: Session, ticket: Ticket, now: datetime) -> None:
    ticket.used_at = now
    session.flush()


def ask_reset(session: Session, *, email: str, now: datetime) -> tuple[Person, str] | None:
    """A reset link's secret for the owner of `email`; None where there is none, which the asker is never told."""
    person = queries.find_person_by_email(session, email.strip().lower())
    if person is None or person.disabled_at is not None:
        return None
    secret = secrets.new_secret()
    session.add(
        Ticket(
            secret_hash=secrets.digest(secret), purpose=RESET, email=person.email, created_at=now, expires_at=now + RESET_VALID
        )
    )
    session.flush()
    return person, secret


def reset_password(session: Session, *, secret: str, password: str, now: datetime) -> Person:
    """Set a new password, end every session. Raises: NotFound, Invalid."""
    ticket = queries.get_ticket(session, secret, purpose=RESET, now=now)
    hashed = _hashed(password)
    _use(session, ticket, now)
    person = queries.find_person_by_email(session, ticket.email)
    if person is None:
        raise Invalid(field="email", reason="the account is gone")
    person.password_hash = hashed
    session.execute(delete(SignIn).where(SignIn.person_id == person.id))
    _audit(session, "reset_password", "person", person.id, None, person.id, None, now)
    session.flush()
    return person


def change_password(session: Session, *, person_id: str, present: str, password: str, now: datetime) -> None:
    """Raises: NotFound, WrongPassword, Invalid."""
    person = queries.get_person(session, person_id)
    if not secrets.check_password(present[: secrets.LONGEST_PASSWORD], person.password_hash):
        raise WrongPassword
    person.password_hash = _hashed(password)
    session.flush()
    _audit(session, "change_password", "person", person_id, None, person_id, None, now)


def sign_in(session: Session, *, person: Person, user_agent: str, now: datetime) -> str:
    """A new session for `person`; returns the secret for the cookie."""
    secret = secrets.new_secret()
    session.add(
        SignIn(secret_hash=secrets.digest(secret), person_id=person.id, created_at=now, seen_at=now, user_agent=user_agent[:200])
    )
    session.flush()
    return secret


def check_sign_in(session: Session, *, email: str, password: str, address: str, now: datetime) -> Person:
    """The person whose password this is. Raises: WrongPassword, TooMany (10 in 5 minutes per address and account)."""
    email = email.strip().lower()[:200]
    limits.count(session, f"sign_in:{address}:{email}", limit=10, window=timedelta(minutes=5), now=now)
    person = queries.find_person_by_email(session, email)
    stored = person.password_hash if person and person.disabled_at is None else None
    if not secrets.check_password(password[: secrets.LONGEST_PASSWORD], stored) or person is None:
        raise WrongPassword
    return person


def touch_session(session: Session, *, secret: str, now: datetime) -> None:
    session.execute(update(SignIn).where(SignIn.secret_hash == secrets.digest(secret)).values(seen_at=now))


def sign_out(session: Session, *, secret: str) -> None:
    session.execute(delete(SignIn).where(SignIn.secret_hash == secrets.digest(secret)))


def end_session(session: Session, *, person_id: str, secret_hash: str) -> None:
    """Revoke one of the person's own sessions; another's is left alone."""
    session.execute(delete(SignIn).where(SignIn.secret_hash == secret_hash, SignIn.person_id == person_id))


def create_token(session: Session, *, person_id: str, label: str, now: datetime, expires_at: datetime | None = None) -> str:
    """A new API token; only its hash is kept. Raises: Invalid."""
    token = secrets.TOKEN_PREFIX + secrets.new_secret()
    row = ApiToken(
        id=new_id("tok"),
        person_id=person_id,
        label=clean(label, field="label"),
        secret_hash=secrets.digest(token),
        created_at=now,
        expires_at=expires_at,
    )
    session.add(row)
    _audit(session, "create_token", "person", person_id, None, person_id, {"token_id": row.id, "label": row.label}, now)
    session.flush()
    return token


def revoke_token(session: Session, *, person_id: str, token_id: str, now: datetime) -> None:
    """Revoke one of the person's own tokens; another's is left alone."""
    mine = update(ApiToken).where(ApiToken.id == token_id, ApiToken.person_id == person_id, ApiToken.revoked_at.is_(None))
    session.execute(mine.values(revoked_at=now))
    _audit(session, "revoke_token", "person", person_id, None, person_id, {"token_id": token_id}, now)


def edit_profile(session: Session, *, person_id: str, name: str, locale: str, now: datetime) -> Person:
    """Raises: Invalid, NotFound."""
    person = queries.get_person(session, person_id)
    person.name, person.locale = clean(name, field="name"), "en" if locale == "en" else "zh"
    _audit(session, "edit", "person", person_id, None, person_id, {"name": person.name, "locale": person.locale}, now)
    session.flush()
    return person


def _audit(
    session: Session,
    action: str,
    kind: str,
    object_id: str,
    institution_id: str | None,
    actor_id: str | None,
    after: dict[str, Any] | None,
    now: datetime,
) -> None:
    audit.record(
        session,
        actor_id=actor_id,
        action=action,
        object_kind=kind,
        object_id=object_id,
        institution_id=institution_id,
        before=None,
        after=after,
        now=now,
    )
