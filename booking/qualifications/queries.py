"""Reads of qualifications and of who holds them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from booking.competence import Held, Record
from booking.qualifications.tables import Qualification, QualificationGrant
from booking.states import BookingState
from booking.tables import Booking, RefusedRequest
from marketplace.refusals import NotFound
from marketplace.tables import Institution, Membership, Person, Resource

MOMENT = timedelta(microseconds=1)


def get_qualification(session: Session, qualification_id: str) -> Qualification:
    """Raises: NotFound."""
    if row := session.get(Qualification, qualification_id):
        return row
    raise NotFound(kind="qualification")


def get_grant(session: Session, grant_id: str) -> QualificationGrant:
    """Raises: NotFound."""
    if row := session.get(QualificationGrant, grant_id):
        return row
    raise NotFound(kind="qualification")


def qualifications_of(session: Session, institution_id: str) -> Sequence[Qualification]:
    """By name."""
    return session.scalars(
        select(Qualification).where(Qualification.institution_id == institution_id).order_by(Qualification.name)
    ).all()


def qualifications(session: Session, ids: Collection[str]) -> dict[str, Qualification]:
    """By id."""
    return {row.id: row for row in session.scalars(select(Qualification).where(Qualification.id.in_(ids)))} if ids else {}


def grants_of(
    session: Session, qualification_id: str, *, after: str | None = None, limit: int = 200
) -> Sequence[tuple[QualificationGrant, Person]]:
    """Newest first, those that were revoked or have expired among them; `after` is the last id of the page before."""
    asked = select(QualificationGrant, Person).join(Person, Person.id == QualificationGrant.person_id)
    asked = asked.where(QualificationGrant.qualification_id == qualification_id).order_by(QualificationGrant.id.desc())
    if after:
        asked = asked.where(QualificationGrant.id < after)
    return [(grant, person) for grant, person in session.execute(asked.limit(limit))]


def grants_to(session: Session, person_id: str) -> Sequence[tuple[QualificationGrant, Qualification]]:
    """What somebody was granted and nobody has revoked, newest first."""
    asked = select(QualificationGrant, Qualification).join(Qualification, Qualification.id == QualificationGrant.qualification_id)
    asked = asked.where(QualificationGrant.person_id == person_id, QualificationGrant.revoked_at.is_(None))
    return [(grant, kind) for grant, kind in session.execute(asked.order_by(QualificationGrant.id.desc()).limit(200))]


def last_days(session: Session, grants: Collection[QualificationGrant]) -> dict[str, str | None]:
    """By grant, the last day on its institution's clock; None for ever."""
    kinds = qualifications(session, {one.qualification_id for one in grants})
    asked = select(Institution.id, Institution.timezone).where(
        Institution.id.in_({kind.institution_id for kind in kinds.values()})
    )
    zones = {house: ZoneInfo(zone) for house, zone in session.execute(asked)}
    return {
        one.id: f"{(one.expires_at - MOMENT).astimezone(zones[kinds[one.qualification_id].institution_id]).date()}"
        if one.expires_at
        else None
        for one in grants
    }


def find_known_person(session: Session, institution_id: str, email: str) -> Person | None:
    """Whoever has this address, if they work for the house, or have booked or asked for time there; nobody else is told of."""
    booked = select(Booking.id).where(Booking.person_id == Person.id, Booking.institution_id == institution_id)
    asked = (
        select(RefusedRequest.id)
        .join(Resource, Resource.id == RefusedRequest.resource_id)
        .where(RefusedRequest.person_id == Person.id, Resource.institution_id == institution_id)
    )
    staff = select(Membership.id).where(Membership.person_id == Person.id, Membership.institution_id == institution_id)
    known = or_(staff.exists(), booked.exists(), asked.exists())
    return session.scalars(select(Person).where(Person.email == email, Person.disabled_at.is_(None), known)).one_or_none()


def records_of(session: Session, person_ids: Collection[str], qualification_ids: Collection[str]) -> dict[str, list[Held]]:
    """By person, what they hold of these qualifications; those who hold none are left out."""
    rows = session.scalars(
        select(QualificationGrant).where(
            QualificationGrant.person_id.in_(person_ids),
            QualificationGrant.qualification_id.in_(qualification_ids),
            QualificationGrant.revoked_at.is_(None),
        )
    )
    found: dict[str, list[Held]] = {}
    for row in rows:
        found.setdefault(row.person_id, []).append(Held(row.qualification_id, row.level, row.expires_at))
    return found


def names_of(session: Session, qualification_ids: Collection[str]) -> Mapping[str, str]:
    """In both languages where it has both."""
    rows = qualifications(session, qualification_ids).values()
    return {row.id: f"{row.name} · {row.name_en}" if row.name_en else row.name for row in rows}


def record_of(session: Session, person_id: str, resource_id: str, *, qualification_ids: Collection[str], runs: bool) -> Record:
    """What is known of a booker for the rules of one resource; `runs` says whether supervised ones count there."""
    held: Sequence[Held] = ()
    names: Mapping[str, str] = {}
    if qualification_ids:
        held = records_of(session, [person_id], qualification_ids).get(person_id, ())
        names = names_of(session, qualification_ids)
    return Record(held, len(supervised_runs(session, person_id, resource_id)) if runs else 0, names)


def supervised_runs(session: Session, person_id: str, resource_id: str, *, limit: int = 100) -> Sequence[str]:
    """Ids of assisted bookings of the resource that the person has completed."""
    return session.scalars(
        select(Booking.id)
        .where(Booking.person_id == person_id, Booking.resource_id == resource_id)
        .where(Booking.assisted, Booking.state == BookingState.COMPLETED)
        .limit(limit)
    ).all()


def runs_of(session: Session, person_ids: Collection[str], resource_ids: Collection[str]) -> dict[tuple[str, str], int]:
    """By person and resource, how many assisted bookings they have completed."""
    rows = session.execute(
        select(Booking.person_id, Booking.resource_id, func.count())
        .where(Booking.person_id.in_(person_ids), Booking.resource_id.in_(resource_ids))
        .where(Booking.assisted, Booking.state == BookingState.COMPLETED)
        .group_by(Booking.person_id, Booking.resource_id)
    )
    return {(person, resource): count for person, resource, count in rows}
