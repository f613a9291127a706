"""`pilotbench audit` sees each way in which the ledger may be wrong."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from booking import actions
from booking.admission import Wish
from booking.invariants import violations
from booking.states import BookingState
from booking.tables import Booking, Category, Claim
from marketplace.slot import Slot
from tests.builders import a_person, a_resource, an_organisation

NOW = datetime(2026, 3, 9, tzinfo=UTC)
SLOT = Slot(NOW + timedelta(days=1), NOW + timedelta(days=1, hours=2))


@pytest.fixture
def booking(db: Session) -> Booking:
    """Of a line with a station of two places."""
    line = a_resource(db)
    a_resource(db, parent_id=line.id, capacity=2)
    wish = Wish(line.id, SLOT, a_person(db).id, an_organisation(db).id, Category.EXT)
    made = actions.book(db, wish=wish, now=NOW)
    db.flush()
    assert violations(db) == []
    return made


def cancelled(db: Session, booking: Booking) -> None:
    booking.state = BookingState.CANCELLED


def shortened(db: Session, booking: Booking) -> None:
    mine = (Claim.booking_id == booking.id, Claim.resource_id == booking.resource_id)
    db.execute(update(Claim).where(*mine).values(ends_at=SLOT.end - timedelta(minutes=1)))


def without_its_own(db: Session, booking: Booking) -> None:
    db.execute(delete(Claim).where(Claim.resource_id == booking.resource_id))


def with_half_a_station(db: Session, booking: Booking) -> None:
    db.execute(update(Claim).where(Claim.resource_id != booking.resource_id, Claim.unit == 1).values(active=False))


def of_two(db: Session, booking: Booking) -> None:
    booking.quantity = 2


@pytest.mark.parametrize(
    ("falsify", "said"),
    [
        (cancelled, "is cancelled and still holds units"),
        (shortened, "does not cover the use of booking"),
        (without_its_own, "holds 0 of 1 units of"),
        (with_half_a_station, "holds 1 of 2 units of"),
        (of_two, "holds 1 of 2 units of"),
    ],
)
def test_what_is_false_is_told(db: Session, booking: Booking, falsify: Callable[[Session, Booking], None], said: str) -> None:
    falsify(db, booking)
    db.flush()
    [sentence] = violations(db)
    assert said in sentence
    assert booking.id in sentence
