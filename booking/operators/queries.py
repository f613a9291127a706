"""Reads of operators and of whose time a booking holds."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from booking.operators.tables import Operator
from booking.states import HOLDING
from booking.tables import Booking, Claim
from marketplace.refusals import NotFound
from marketplace.slot import Slot
from marketplace.tables import Person, Resource


def get_operator(session: Session, operator_id: str) -> Operator:
    """One who has not left. Raises: NotFound."""
    row = session.get(Operator, operator_id)
    if row is None or row.left_at is not None:
        raise NotFound(kind="operator")
    return row


def find_operator(session: Session, institution_id: str, person_id: str) -> Operator | None:
    """Also one who has left."""
    mine = (Operator.institution_id == institution_id, Operator.person_id == person_id)
    return session.scalars(select(Operator).where(*mine)).one_or_none()


def operators_of(session: Session, institution_id: str) -> Sequence[tuple[Operator, Person]]:
    """Those who have not left, in the order in which they are asked."""
    asked = select(Operator, Person).join(Person, Person.id == Operator.person_id)
    asked = asked.where(Operator.institution_id == institution_id, Operator.left_at.is_(None)).order_by(Operator.id)
    return [(operator, person) for operator, person in session.execute(asked)]


def known_operators(session: Session, institution_id: str, ids: Collection[str]) -> set[str]:
    """Which of them are operators of that house."""
    own = select(Operator.id).where(Operator.institution_id == institution_id, Operator.id.in_(ids), Operator.left_at.is_(None))
    return set(session.scalars(own))


def lock_operators(session: Session, institution_id: str) -> None:
    """Lock the rows of a house's operators in the order of their ids: bookings wait until the transaction ends."""
    own = select(Operator.id).where(Operator.institution_id == institution_id)
    session.execute(select(Resource.id).where(Resource.id.in_(own)).order_by(Resource.id).with_for_update(key_share=True)).all()


def lock_operator_of(session: Session, booking_id: str) -> None:
    """Lock the rows of the operators whose time the booking holds."""
    held = select(Claim.resource_id).where(Claim.booking_id == booking_id, Claim.active)
    theirs = select(Resource.id).where(Resource.id.in_(held), Resource.id.in_(select(Operator.id)))
    session.execute(theirs.order_by(Resource.id).with_for_update(key_share=True)).all()


def standing_by(session: Session, booking_ids: Collection[str]) -> dict[str, tuple[str, str]]:
    """By booking: id and name of the operator whose time it holds, or held."""
    rows = session.execute(
        select(Claim.booking_id, Operator.id, Person.name)
        .join(Operator, Operator.id == Claim.resource_id)
        .join(Person, Person.id == Operator.person_id)
        .where(Claim.booking_id.in_(booking_ids))
        .order_by(Claim.active, Claim.id)
    )
    return {str(booking): (operator, name) for booking, operator, name in rows}


def bookings_held(session: Session, operator_id: str, *, within: Slot | None = None, after: datetime) -> Sequence[Booking]:
    """The bookings that hold the operator's time and begin after `after`, in order."""
    held = select(Claim.booking_id).where(Claim.resource_id == operator_id, Claim.active)
    if within:
        held = held.where(Claim.starts_at < within.end, Claim.ends_at > within.start)
    asked = select(Booking).where(Booking.id.in_(held), Booking.starts_at > after).order_by(Booking.starts_at, Booking.id)
    return session.scalars(asked).all()


def unattended(session: Session) -> Sequence[str]:
    """Broken: assisted bookings that hold no operator's time, or more than one's; others that hold some."""
    held = func.count(func.distinct(Claim.resource_id))
    mine = (Claim.booking_id == Booking.id) & Claim.active & Claim.resource_id.in_(select(Operator.id))
    rows = session.execute(
        select(Booking.id, Booking.assisted, held)
        .outerjoin(Claim, mine)
        .where(Booking.state.in_(HOLDING))
        .group_by(Booking.id)
        .having(((held != 1) & Booking.assisted) | ((held != 0) & Booking.assisted.is_(False)))
        .limit(100)
    )
    return [f"booking {key} is {'' if assisted else 'not '}assisted and holds {count} operators" for key, assisted, count in rows]
