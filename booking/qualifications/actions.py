"""Writes of qualifications: define a kind, grant it to a person, revoke it. Bookings that stand are left alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from booking.availability import local_day
from booking.qualifications import queries
from booking.qualifications.tables import Qualification, QualificationGrant
from marketplace import audit, outbox
from marketplace.db import refused_by
from marketplace.ids import new_id
from marketplace.people import queries as people
from marketplace.people.text import clean
from marketplace.refusals import Invalid, WrongState

MOST_LEVELS = 10
MOST_KINDS = 200


@dataclass(frozen=True, slots=True)
class Named:
    """A name, and the English one where there is one."""

    name: str
    name_en: str | None = None


def define(
    session: Session, *, institution_id: str, kind: Named, levels: Sequence[Named], actor_id: str, now: datetime
) -> Qualification:
    """A new kind of qualification with its levels, the lowest first. Raises: NotFound, Invalid."""
    people.get_institution(session, institution_id)
    if not 1 <= len(levels) <= MOST_LEVELS:
        raise Invalid(field="levels", reason="give {low} to {high} levels", low=1, high=MOST_LEVELS)
    if len(queries.qualifications_of(session, institution_id)) >= MOST_KINDS:
        raise Invalid(field="name", reason="more than {most} entries", most=MOST_KINDS)
    row = Qualification(
        id=new_id("qlf"),
        institution_id=institution_id,
        name=clean(kind.name, field="name"),
        name_en=clean(kind.name_en, field="name_en") if kind.name_en else None,
        levels=[_level(one) for one in levels],
        created_at=now,
    )
    with refused_by("qualifications", Invalid(field="name", reason="there is one of this name already")):
        session.add(row)
        session.flush()
    after = {"name": row.name, "name_en": row.name_en, "levels": row.levels}
    _record(session, row, "define_qualification", after, actor_id, now)
    return row


def _level(one: Named) -> dict[str, Any]:
    return {
        "name": clean(one.name, field="levels"),
        "name_en": clean(one.name_en, field="levels") if one.name_en else None,
    }


def grant(
    session: Session,
    *,
    qualification_id: str,
    email: str,
    level: int,
    valid_until: date | None,
    anyone: bool = False,
    actor_id: str,
    now: datetime,
) -> QualificationGrant:
    """Give a person known to the house a level, to the end of `valid_until` on the institution's clock, and tell them.

    With `anyone` the house need not know them: on the operator's word. Raises: NotFound, Invalid.
    """
    kind = queries.get_qualification(session, qualification_id)
    if not 1 <= level <= len(kind.levels):
        raise Invalid(field="level", reason="must be {low} to {high}", low=1, high=len(kind.levels))
    expires_at = _end_of(session, kind, valid_until) if valid_until else None
    if expires_at and expires_at <= now:
        raise Invalid(field="valid_until", reason="is over already")
    address = email.strip().lower()
    if anyone:
        person = people.find_person_by_email(session, address)
    else:
        person = queries.find_known_person(session, kind.institution_id, address)
    if person is None:
        raise Invalid(field="email", reason="nobody who works here, has booked here or has asked for time has this address")
    row = QualificationGrant(
        id=new_id("qgr"),
        qualification_id=kind.id,
        person_id=person.id,
        level=level,
        expires_at=expires_at,
        granted_at=now,
        granted_by=actor_id,
    )
    session.add(row)
    session.flush()
    _record(session, kind, "grant_qualification", _facts(row), actor_id, now)
    _tell(session, kind, row, "qualification_granted", now)
    return row


def is_over(session: Session, qualification_id: str, valid_until: date, now: datetime) -> bool:
    """Whether that last day has ended on the institution's clock. Raises: NotFound."""
    return _end_of(session, queries.get_qualification(session, qualification_id), valid_until) <= now


def _end_of(session: Session, kind: Qualification, day: date) -> datetime:
    return local_day(day, ZoneInfo(people.get_institution(session, kind.institution_id).timezone)).end


def revoke(session: Session, *, grant_id: str, actor_id: str, now: datetime) -> QualificationGrant:
    """Take a qualification back and tell its holder. Raises: NotFound, WrongState (it is revoked)."""
    row = queries.get_grant(session, grant_id)
    session.refresh(row, with_for_update=True)
    if row.revoked_at is not None:
        raise WrongState(state="revoked", move="revoke")
    row.revoked_at = now
    session.flush()
    kind = queries.get_qualification(session, row.qualification_id)
    _record(session, kind, "revoke_qualification", _facts(row), actor_id, now)
    _tell(session, kind, row, "qualification_revoked", now)
    return row


def _facts(row: QualificationGrant) -> dict[str, Any]:
    return {
        "grant": row.id,
        "person": row.person_id,
        "level": row.level,
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
    }


def _tell(session: Session, kind: Qualification, row: QualificationGrant, told: str, now: datetime) -> None:
    data = {
        "qualification_id": kind.id,
        "name": kind.name,
        "name_en": kind.name_en,
        "level": kind.levels[row.level - 1],
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
    }
    outbox.queue(session, person_id=row.person_id, kind=told, data=data, cause=f"{row.id}:{told}", now=now)


def _record(session: Session, row: Qualification, action: str, after: dict[str, Any], actor_id: str, now: datetime) -> None:
    audit.record(
        session,
        actor_id=actor_id,
        action=action,
        object_kind="qualification",
        object_id=row.id,
        institution_id=row.institution_id,
        before=None,
        after=after,
        now=now,
    )
