"""Reminders of bookings: a day ahead, once a start, not for those who have just booked."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from booking import actions
from booking.actions import CancelledBy
from booking.admission import Wish
from booking.reminders import queries
from booking.reminders.actions import remind
from booking.states import BookingState
from booking.tables import Booking, Category
from marketplace.slot import Slot
from marketplace.tables import Message
from tests.builders import a_booking, a_person, a_resource, an_organisation
from tests.marketplace.rivals import race

NOW = datetime(2026, 3, 2, 1, tzinfo=UTC)
HOUR, MINUTE, DAY = timedelta(hours=1), timedelta(minutes=1), timedelta(hours=24)


def a_slot(ahead: timedelta) -> Slot:
    return Slot(NOW + ahead, NOW + ahead + 2 * HOUR)


def booked(db: Session, ahead: timedelta, *, hold: bool = False) -> Booking:
    wish = Wish(a_resource(db).id, a_slot(ahead), a_person(db).id, an_organisation(db).id, Category.EXT)
    return actions.book(db, wish=wish, hold_until=NOW + HOUR if hold else None, now=NOW)


def reminded(db: Session, now: datetime) -> list[str]:
    """The starts of which a run at `now` reminds."""
    known = set(db.scalars(select(Message.id)))
    remind(db, now=now)
    fresh = db.scalars(select(Message).where(Message.kind == "booking_reminder").order_by(Message.cause))
    return [row.data["start"] for row in fresh if row.id not in known]


def test_who_booked_is_reminded_a_day_ahead_and_once(db: Session) -> None:
    booking = booked(db, 3 * DAY)
    start = booking.starts_at.isoformat()
    assert reminded(db, booking.starts_at - DAY - MINUTE) == []
    assert reminded(db, booking.starts_at - DAY) == [start]
    assert reminded(db, booking.starts_at - DAY + MINUTE) == []
    row = db.scalars(select(Message).where(Message.kind == "booking_reminder")).one()
    assert (row.person_id, row.data["booking_id"]) == (booking.person_id, booking.id)


def test_a_worker_that_slept_reminds_late_but_never_after_the_start(db: Session) -> None:
    late, over = booked(db, 3 * DAY), booked(db, 2 * DAY)
    assert reminded(db, late.starts_at - MINUTE) == [late.starts_at.isoformat()]
    assert over.starts_at < late.starts_at - MINUTE


@pytest.mark.parametrize(("ahead", "told"), [(DAY, True), (DAY - MINUTE, False)])
def test_who_booked_less_than_a_day_ahead_is_not_reminded(db: Session, ahead: timedelta, told: bool) -> None:
    booking = booked(db, ahead)
    assert reminded(db, NOW + MINUTE) == ([booking.starts_at.isoformat()] if told else [])
    assert reminded(db, NOW + 2 * MINUTE) == []


def test_a_moved_booking_is_reminded_anew_of_its_new_start(db: Session) -> None:
    booking = booked(db, 3 * DAY)
    first = booking.starts_at
    assert len(reminded(db, first - DAY)) == 1
    later = a_slot(6 * DAY)
    actions.move(db, booking_id=booking.id, slot=later, version=1, actor_id=booking.person_id, now=first - 20 * HOUR)
    assert reminded(db, first - 19 * HOUR) == []
    assert reminded(db, later.start - DAY) == [later.start.isoformat()]


def test_who_moved_a_booking_to_tomorrow_has_just_been_told_of_it(db: Session) -> None:
    booking = booked(db, 5 * DAY)
    actions.move(db, booking_id=booking.id, slot=a_slot(20 * HOUR), version=1, actor_id=booking.person_id, now=NOW)
    assert reminded(db, NOW + MINUTE) == []


def test_only_confirmed_bookings_are_reminded_of(db: Session) -> None:
    gone = booked(db, 2 * DAY)
    actions.cancel(db, booking_id=gone.id, by=CancelledBy.CUSTOMER, actor_id=gone.person_id, now=NOW)
    booked(db, 2 * DAY, hold=True)
    assert reminded(db, NOW + DAY + HOUR) == []


def test_more_than_a_batch_is_gone_through_run_by_run(db: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "AT_ONCE", 2)
    resource = a_resource(db)
    for number in range(5):
        start = NOW + DAY - number * HOUR
        a_booking(db, resource=resource, start=start, hours=1, state=BookingState.CONFIRMED, submitted_at=NOW - 9 * DAY)
    assert [len(reminded(db, NOW + n * MINUTE)) for n in range(4)] == [2, 2, 1, 0]


def test_two_workers_at_once_remind_once(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as session:
        booked(session, 3 * DAY)
    race(committed_db, lambda session: remind(session, now=NOW + 2 * DAY))
    with committed_db() as session:
        assert len(session.scalars(select(Message).where(Message.kind == "booking_reminder")).all()) == 1
