"""Reads of people, their roles, sessions and tokens, institutions and organisations."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, or_, select
from sqlalchemy.orm import Session

from marketplace.people.secrets import TOKEN_PREFIX, digest
from marketplace.permissions import Actor, Grant
from marketplace.prepared import Question, Read
from marketplace.refusals import NotFound
from marketplace.tables import (
    ApiToken,
    Institution,
    Membership,
    Organisation,
    Person,
    RelatedParty,
    SignIn,
    Ticket,
)

IDLE = timedelta(hours=8)
LONGEST_SESSION = timedelta(days=7)
SEEN_EVERY = timedelta(minutes=5)
"""A session's last use is written at most this often."""
BY_TOKEN = Read(
    select(ApiToken.revoked_at, ApiToken.expires_at, Person.disabled_at)
    .add_columns(Person.id, Person.name, Person.email, Person.locale)
    .add_columns(Membership.role, Membership.institution_id, Membership.organisation_id)
    .join(Person, Person.id == ApiToken.person_id)
    .outerjoin(Membership, Membership.person_id == Person.id)
    .where(ApiToken.secret_hash == bindparam("digest"))
)
"""A row for each role; one without a role where there is none."""


def get_actor(session: Session, person_id: str) -> Actor:
    """Raises: NotFound (also for a disabled account)."""
    person = session.get(Person, person_id)
    if person is None or person.disabled_at is not None:
        raise NotFound(kind="person")
    grants = frozenset(Grant(m.role, m.institution_id, m.organisation_id) for m in memberships_of(session, person_id))
    return Actor(person.id, person.name, person.email, person.locale, grants)


def memberships_of(session: Session, person_id: str) -> Sequence[Membership]:
    return session.scalars(select(Membership).where(Membership.person_id == person_id)).all()


def find_actor_by_session(session: Session, secret: str, *, now: datetime) -> Actor | None:
    """The signed-in browser's actor; None once it was idle for 8 hours or is 7 days old."""
    row = session.get(SignIn, digest(secret))
    if row is None or now - row.seen_at > IDLE or now - row.created_at > LONGEST_SESSION:
        return None
    return _find_actor(session, row.person_id)


def session_needs_touch(session: Session, secret: str, *, now: datetime) -> bool:
    row = session.get(SignIn, digest(secret))
    return row is not None and now - row.seen_at > SEEN_EVERY


def find_actor_by_token(session: Session, token: str, *, now: datetime) -> Actor | None:
    """The actor of an API token that is neither revoked nor expired."""
    return by_token(token, now=now).ask(session) if token.startswith(TOKEN_PREFIX) else None


def by_token(token: str, *, now: datetime) -> Question[Actor | None]:
    """Whose token it is; None where it is unknown, revoked or expired."""
    return Question(BY_TOKEN, {"digest": digest(token)}, lambda _session, rows: _actor_of(rows, now))


def _actor_of(rows: Sequence[Sequence[Any]], now: datetime) -> Actor | None:
    if not rows:
        return None
    revoked_at, expires_at, disabled_at, person_id, name, email, locale, *_ = rows[0]
    if revoked_at is not None or disabled_at is not None or (expires_at is not None and expires_at <= now):
        return None
    grants = frozenset(Grant(*row[-3:]) for row in rows if row[-3])
    return Actor(person_id, name, email, locale, grants)


def _find_actor(session: Session, person_id: str) -> Actor | None:
    try:
        return get_actor(session, person_id)
    except NotFound:
        return None


def find_person_by_email(session: Session, email: str) -> Person | None:
    return session.scalars(select(Person).where(Person.email == email)).one_or_none()


def get_person(session: Session, person_id: str) -> Person:
    if row := session.get(Person, person_id):
        return row
    raise NotFound(kind="person")


def names_of(session: Session, person_ids: Collection[str]) -> dict[str, str]:
    return {key: name for key, name in session.execute(select(Person.id, Person.name).where(Person.id.in_(person_ids)))}  # noqa: C416


def get_institution(session: Session, institution_id: str) -> Institution:
    """Raises: NotFound."""
    if row := session.get(Institution, institution_id):
        return row
    raise NotFound(kind="institution")


def get_organisation(session: Session, organisation_id: str) -> Organisation:
    """Raises: NotFound."""
    if row := session.get(Organisation, organisation_id):
        return row
    raise NotFound(kind="organisation")


def institutions(
    session: Session, ids: Collection[str] | None = None, *, limit: int | None = None, offset: int = 0
) -> Sequence[Institution]:
    """All of them, or those named, by name."""
    found = select(Institution).order_by(Institution.name, Institution.id).limit(limit).offset(offset)
    return session.scalars(found if ids is None else found.where(Institution.id.in_(ids))).all()


def organisations(session: Session, ids: Collection[str]) -> Sequence[Organisation]:
    return session.scalars(select(Organisation).where(Organisation.id.in_(ids)).order_by(Organisation.name)).all()


def named_organisations(session: Session, text: str, *, limit: int = 2) -> Sequence[Organisation]:
    """Those whose name, credit code or id is exactly that."""
    said = or_(Organisation.id == text, Organisation.name == text, Organisation.credit_code == text.upper())
    return session.scalars(select(Organisation).where(said).order_by(Organisation.id).limit(limit)).all()


def is_related(session: Session, *, organisation_id: str, institution_id: str) -> bool:
    """Whether the organisation's use of the institution's resources can never count as external."""
    return session.get(RelatedParty, (organisation_id, institution_id)) is not None


def related_pairs(session: Session, institution_ids: Collection[str]) -> set[tuple[str, str]]:
    """(organisation, institution) of every related party of those institutions."""
    rows = session.execute(
        select(RelatedParty.organisation_id, RelatedParty.institution_id).where(RelatedParty.institution_id.in_(institution_ids))
    )
    return {(organisation, institution) for organisation, institution in rows}


def members_of_institution(session: Session, institution_id: str) -> Sequence[tuple[Person, Membership]]:
    rows = session.execute(
        select(Person, Membership)
        .join(Membership, Membership.person_id == Person.id)
        .where(Membership.institution_id == institution_id)
        .order_by(Person.name)
    )
    return [(person, membership) for person, membership in rows]


def members_of_organisation(session: Session, organisation_id: str) -> Sequence[tuple[Person, Membership]]:
    rows = session.execute(
        select(Person, Membership)
        .join(Membership, Membership.person_id == Person.id)
        .where(Membership.organisation_id == organisation_id)
        .order_by(Person.name)
    )
    return [(person, membership) for person, membership in rows]


def staff_of(session: Session, institution_id: str, roles: Collection[str]) -> Sequence[str]:
    """Ids of those who hold one of `roles` there, each once; disabled accounts are left out."""
    return session.scalars(
        select(Membership.person_id)
        .join(Person, Person.id == Membership.person_id)
        .where(Membership.institution_id == institution_id, Membership.role.in_(roles), Person.disabled_at.is_(None))
        .distinct()
        .order_by(Membership.person_id)
    ).all()


def tokens_of(session: Session, person_id: str) -> Sequence[ApiToken]:
    """Not revoked, newest first."""
    mine = select(ApiToken).where(ApiToken.person_id == person_id, ApiToken.revoked_at.is_(None))
    return session.scalars(mine.order_by(ApiToken.created_at.desc())).all()


def sign_ins_of(session: Session, person_id: str) -> Sequence[SignIn]:
    """Newest first."""
    return session.scalars(select(SignIn).where(SignIn.person_id == person_id).order_by(SignIn.seen_at.desc())).all()


def get_ticket(session: Session, secret: str, *, purpose: str, now: datetime) -> Ticket:
    """An invitation or reset that is unused and in time. Raises: NotFound."""
    row = session.get(Ticket, digest(secret))
    if row is None or row.purpose != purpose or row.used_at is not None or row.expires_at <= now:
        raise NotFound(kind="ticket")
    return row


def open_invitations(
    session: Session, *, institution_id: str | None = None, organisation_id: str | None = None
) -> Sequence[Ticket]:
    """Invitations to one house that nobody has used yet, newest first."""
    house = Ticket.institution_id == institution_id if institution_id else Ticket.organisation_id == organisation_id
    waiting = select(Ticket).where(Ticket.purpose == "invitation", Ticket.used_at.is_(None), house)
    return session.scalars(waiting.order_by(Ticket.created_at.desc()).limit(100)).all()
