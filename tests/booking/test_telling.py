"""Who is told: the booker of every change, the managers of what they must decide and of customers who leave late."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from booking import actions
from booking.actions import CancelledBy
from booking.admission import Wish
from booking.tables import Approval, Booking, Category
from marketplace.people import queries as people
from marketplace.roles import Role
from marketplace.slot import Slot
from marketplace.tables import Message, Resource
from tests.builders import a_member, a_person, a_resource, an_institution, an_organisation

NOW = datetime(2026, 3, 2, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def a_slot(ahead: timedelta) -> Slot:
    return Slot(NOW + ahead, NOW + ahead + 2 * HOUR)


def booked(db: Session, resource: Resource, ahead: timedelta, *, person: str | None = None) -> Booking:
    booker = person or a_person(db).id
    wish = Wish(resource.id, a_slot(ahead), booker, an_organisation(db).id, Category.EXT)
    return actions.book(db, wish=wish, now=NOW)


def told(db: Session, kind: str) -> list[str]:
    """Who got a message of `kind`, in order of ids, as often as they did."""
    db.flush()
    return sorted(db.scalars(select(Message.person_id).where(Message.kind == kind)))


def by_request(db: Session) -> tuple[Resource, list[str]]:
    house = an_institution(db)
    managers = [a_member(db, Role.MANAGER, institution=house).id for _ in range(2)]
    for role in (Role.TECHNICIAN, Role.FINANCE):
        a_member(db, role, institution=house)
    a_member(db, Role.MANAGER, institution=an_institution(db))
    return a_resource(db, institution=house, rules={"approval": Approval.REQUEST}), sorted(managers)


def test_a_request_goes_to_every_manager_of_the_institution_and_to_nobody_else(db: Session) -> None:
    resource, managers = by_request(db)
    booking = booked(db, resource, 72 * HOUR)
    assert told(db, "request_to_decide") == managers
    assert told(db, "booking_requested") == [booking.person_id]
    row = db.scalars(select(Message).where(Message.kind == "request_to_decide")).first()
    assert row is not None
    assert row.data["booking_id"] == booking.id
    assert row.data["start"] == booking.starts_at.isoformat()


def test_a_disabled_manager_and_the_booker_are_left_out(db: Session) -> None:
    resource, managers = by_request(db)
    gone = a_member(db, Role.MANAGER, institution=people.get_institution(db, resource.institution_id))
    gone.disabled_at = NOW
    booked(db, resource, 72 * HOUR, person=managers[0])
    assert told(db, "request_to_decide") == managers[1:]


def test_a_moved_request_is_told_again_and_a_moved_booking_that_needs_a_new_yes_too(db: Session) -> None:
    resource, managers = by_request(db)
    booking = booked(db, resource, 72 * HOUR)
    actions.move(db, booking_id=booking.id, slot=a_slot(96 * HOUR), version=1, actor_id=booking.person_id, now=NOW)
    assert told(db, "request_to_decide") == sorted(managers * 2)
    actions.approve(db, booking_id=booking.id, actor_id=managers[0], now=NOW)
    actions.move(db, booking_id=booking.id, slot=a_slot(120 * HOUR), version=3, actor_id=booking.person_id, now=NOW)
    assert told(db, "request_to_decide") == sorted(managers * 2)
    actions.ask_again(db, booking_id=booking.id, now=NOW)
    assert told(db, "request_to_decide") == sorted(managers * 3)


@pytest.mark.parametrize(("ahead", "late"), [(timedelta(hours=48), True), (timedelta(hours=48, minutes=1), False)])
def test_managers_hear_of_a_customer_who_cancels_within_two_days_of_the_start(db: Session, ahead: timedelta, late: bool) -> None:
    house = an_institution(db)
    manager = a_member(db, Role.MANAGER, institution=house).id
    booking = booked(db, a_resource(db, institution=house), ahead)
    actions.cancel(db, booking_id=booking.id, by=CancelledBy.CUSTOMER, actor_id=booking.person_id, now=NOW)
    assert told(db, "customer_cancelled") == ([manager] if late else [])
    assert told(db, "booking_cancelled") == [booking.person_id]


def test_managers_need_not_be_told_of_their_own_cancellation_or_of_a_hold(db: Session) -> None:
    house = an_institution(db)
    manager = a_member(db, Role.MANAGER, institution=house).id
    resource = a_resource(db, institution=house)
    own = booked(db, resource, 5 * HOUR)
    actions.cancel(db, booking_id=own.id, by=CancelledBy.PROVIDER, actor_id=manager, now=NOW)
    wish = Wish(resource.id, a_slot(9 * HOUR), a_person(db).id, an_organisation(db).id, Category.EXT)
    hold = actions.book(db, wish=wish, hold_until=NOW + HOUR, now=NOW)
    actions.cancel(db, booking_id=hold.id, by=CancelledBy.CUSTOMER, actor_id=hold.person_id, now=NOW)
    assert told(db, "customer_cancelled") == []
