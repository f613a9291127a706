"""What another policy would have made of the last quarter's bills, worked out by the function that bills."""

from datetime import timedelta
from fractions import Fraction

import pytest
from sqlalchemy.orm import Session

from billing import actions, queries
from billing.lookback import Effect, effect
from billing.policy import DEFAULT, Basis, Policy
from booking.states import BookingState
from booking.tables import Booking
from tests.billing.test_card_flow import a_use
from tests.billing.test_direct_flow import AFTER, START, a_quoted_booking, yuan

NOW = AFTER + timedelta(days=1)


def found(db: Session, booking: Booking, policy: Policy) -> Effect:
    db.flush()
    return effect(db, resource_id=booking.resource_id, policy=policy, now=NOW)


def bills(told: Effect) -> list[tuple[int, int]]:
    return [(one.before.minor, one.after.minor) for one in told.bills]


def used(db: Session, minutes: int = 97) -> Booking:
    booking = a_quoted_booking(db)
    booking.state = BookingState.COMPLETED if minutes else BookingState.NO_SHOW
    a_use(db, booking, minutes=minutes)
    return booking


def cancelled(db: Session, hours: int) -> Booking:
    booking = a_quoted_booking(db)
    booking.state, booking.decided_at = BookingState.CANCELLED, START - timedelta(days=3)
    booking.cancelled_at = START - timedelta(hours=hours)
    return booking


def test_a_use_is_billed_again_as_its_statement_was(db: Session) -> None:
    booking = used(db)
    [statement] = actions.draft_statements(db, now=AFTER)
    told = found(db, booking, Policy(basis=Basis.BOOKED))
    assert bills(told) == [(52500, 60000)]
    assert told.bills[0].before == yuan(queries.get_statement(db, statement).charge_minor)
    assert bills(found(db, booking, DEFAULT)) == [(52500, 52500)]
    assert queries.find_policy_version(db, booking.resource_id) is None


@pytest.mark.parametrize(
    ("policy", "minor"),
    [
        (Policy(no_show_rate=Fraction(1)), 60000),
        (Policy(no_show_rate=Fraction(0)), 0),
        (Policy(overtime_mult=Fraction(9)), 30000),
    ],
)
def test_who_did_not_come_pays_by_the_other_policy(db: Session, policy: Policy, minor: int) -> None:
    assert bills(found(db, used(db, 0), policy)) == [(30000, minor)]


def test_overtime_is_priced_by_the_other_policy(db: Session) -> None:
    assert bills(found(db, used(db, 140), Policy(overtime_mult=Fraction(1)))) == [(82500, 75000)]


def test_a_cancellation_costs_by_the_other_tiers_and_nothing_where_it_never_stood(db: Session) -> None:
    booking = cancelled(db, hours=30)
    assert bills(found(db, booking, Policy(cancel_tiers=()))) == [(15000, 0)]
    booking.cancelled_by_provider = True
    assert bills(found(db, booking, Policy(cancel_tiers=()))) == []
    booking.cancelled_by_provider, booking.decided_at = False, None
    assert bills(found(db, booking, Policy(cancel_tiers=()))) == []


def test_what_began_before_the_quarter_is_left_out(db: Session) -> None:
    booking = used(db)
    told = effect(db, resource_id=booking.resource_id, policy=DEFAULT, now=START + timedelta(days=93))
    assert (told.bills, told.all_seen) == ([], True)
