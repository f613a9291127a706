"""What happens at once or late: a hold that ends, a draft that comes between, a cancelled prepayment, a second way to pay."""

import threading
import time
from datetime import date, timedelta

import pytest
from sqlalchemy.orm import Session, sessionmaker

from billing import actions, cancelling, invariants, ledger, outbox, queries
from billing.actions import Receipt
from billing.payments import actions as payments
from billing.payments import due
from billing.tables import PaymentState, StatementState
from booking.states import BookingState
from booking.tables import Booking
from marketplace.money import Money
from marketplace.refusals import Invalid
from tests.billing.conftest import Stripe, work
from tests.billing.test_card_flow import AFTER, B02, BEFORE, START, a_card_booking, a_use, apply_events, held_then_used, journal
from web.timers import JOBS

GUARD = START + timedelta(days=6, hours=20)


def prepaid(sessions: sessionmaker[Session], stripe: Stripe, *, captured: bool) -> str:
    """A confirmed booking whose hold is about to end: captured as prepayment, or only asked to be."""
    with sessions.begin() as session:
        booking_id = a_card_booking(session).id
    work(sessions, stripe, BEFORE)
    with sessions.begin() as session:
        session.get_one(Booking, booking_id).state = BookingState.CONFIRMED
        due.guard_holds(session, now=GUARD)
    if captured:
        work(sessions, stripe, GUARD)
    return booking_id


def balances(session: Session, booking_id: str) -> dict[str, int]:
    return {account.value: v for account, v in ledger.balances(queries.journal_of_booking(session, booking_id)).items()}


def assert_sound(session: Session, stripe: Stripe) -> None:
    assert invariants.violations(session) == []
    assert invariants.provider_violations(session, stripe.provider.balance()) == []


def test_a_statement_accepted_while_its_prepayment_is_under_way_is_taken_once(
    committed_db: sessionmaker[Session], stripe: Stripe
) -> None:
    booking_id = prepaid(committed_db, stripe, captured=False)
    with committed_db.begin() as session:
        a_use(session, session.get_one(Booking, booking_id))
        [statement_id] = actions.draft_statements(session, now=GUARD)
        actions.accept_statement(session, statement_id=statement_id, actor_id="per_1", now=GUARD)
    work(committed_db, stripe, GUARD)
    with committed_db() as session:
        assert [charge["amount_captured"] for charge in stripe.state.shop.all("charge")] == [60000]
        assert [made["amount"] for made in stripe.state.shop.all("refund")] == [7500]
        assert [made["amount"] for made in stripe.state.shop.all("transfer")] == [48300]
        assert balances(session, booking_id) == {"FEE": -4200, "PSP": 60000 - 2240 - 7500 - 48300, "PFE": 2240}
        assert [row.state for row in queries.statements_of_booking(session, booking_id)] == [StatementState.SETTLED]
        assert_sound(session, stripe)


@pytest.mark.parametrize("captured", [True, False])
def test_a_prepayment_of_a_booking_that_is_cancelled_free_of_charge_goes_back(
    committed_db: sessionmaker[Session], stripe: Stripe, captured: bool
) -> None:
    booking_id = prepaid(committed_db, stripe, captured=captured)
    with committed_db.begin() as session:
        booking = session.get_one(Booking, booking_id)
        booking.state = BookingState.CANCELLED
        cancelling.settle_cancellation(session, booking=booking, free=True, now=GUARD)
    work(committed_db, stripe, GUARD)
    with committed_db() as session:
        assert [made["amount"] for made in stripe.state.shop.all("refund")] == [60000]
        assert balances(session, booking_id) == {"PSP": -2240, "PFE": 2240}
        assert_sound(session, stripe)


def test_a_later_draft_does_not_change_what_an_accepted_one_pays_out(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    booking_id = held_then_used(committed_db, stripe)
    with committed_db.begin() as session:
        a_use(session, session.get_one(Booking, booking_id), number=2, minutes=97 + 15)
        actions.draft_statements(session, now=AFTER)
    work(committed_db, stripe, AFTER)
    with committed_db() as session:
        assert journal(session, booking_id) == B02
        assert [made["amount"] for made in stripe.state.shop.all("transfer")] == [48300]


def test_a_correction_is_charged_and_paid_out_to_the_last_fen(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    booking_id = held_then_used(committed_db, stripe)
    work(committed_db, stripe, AFTER)
    with committed_db.begin() as session:
        a_use(session, session.get_one(Booking, booking_id), number=2, minutes=112)
        [statement_id] = actions.draft_statements(session, now=AFTER)
        actions.accept_statement(session, statement_id=statement_id, actor_id="per_1", now=AFTER)
    work(committed_db, stripe, AFTER)
    with committed_db() as session:
        assert sorted(charge["amount_captured"] for charge in stripe.state.shop.all("charge")) == [7500, 52500]
        assert sorted(made["amount"] for made in stripe.state.shop.all("transfer")) == [6900, 48300]
        assert set(balances(session, booking_id)) == {"FEE", "PSP", "PFE"}
        assert_sound(session, stripe)


def test_a_bank_receipt_cannot_pay_what_a_capture_is_taking(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    booking_id = held_then_used(committed_db, stripe)
    with committed_db() as session:
        statement = queries.statement_of_booking(session, booking_id)
        assert statement is not None
        receipt = Receipt("CMB-1", Money(52500, "CNY"), date(2026, 3, 14))
        with pytest.raises(Invalid):
            actions.mark_received(session, statement_id=statement.id, receipt=receipt, actor_id="per_2", now=AFTER)


def test_a_hold_that_ended_before_its_capture_is_made_good_by_a_charge(
    committed_db: sessionmaker[Session], stripe: Stripe
) -> None:
    booking_id = held_then_used(committed_db, stripe)
    stripe.order(advance_s=timedelta(days=8).total_seconds())
    late = AFTER + timedelta(days=8)
    work(committed_db, stripe, late)
    with committed_db.begin() as session:
        [payment] = queries.payments_of(session, booking_id)
        assert payment.object_id is not None
        payments.apply_payment(session, payment=payment, fact=stripe.provider.read_payment(payment.object_id), now=late)
    work(committed_db, stripe, late)
    apply_events(committed_db, stripe, late)
    with committed_db() as session:
        states = [payment.state for payment in queries.payments_of(session, booking_id)]
        assert states == [PaymentState.RELEASED, PaymentState.CAPTURED]
        assert balances(session, booking_id) == {"FEE": -4200, "PSP": 2215, "PFE": 1985}
        assert_sound(session, stripe)


def test_the_worker_guards_holds() -> None:
    assert "guard_holds" in {job.name for job in JOBS}
    assert next(job.every for job in JOBS if job.name == "guard_holds") < due.HOLD_GUARD


def test_a_capture_and_an_acceptance_at_the_same_moment_miss_nothing(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    booking_id = prepaid(committed_db, stripe, captured=False)
    with committed_db.begin() as session:
        a_use(session, session.get_one(Booking, booking_id))
        [statement_id] = actions.draft_statements(session, now=GUARD)
    both = threading.Barrier(2)

    def capture() -> None:
        with committed_db.begin() as session:
            call = outbox.claim(session, now=GUARD)
        assert call is not None
        outcome = outbox.call(call, stripe.provider)
        both.wait()
        with committed_db.begin() as session:
            outbox.record(session, outcome, now=GUARD)
            time.sleep(0.3)

    def accept() -> None:
        both.wait()
        with committed_db.begin() as session:
            actions.accept_statement(session, statement_id=statement_id, actor_id="per_1", now=GUARD)
            time.sleep(0.3)

    threads = [threading.Thread(target=act) for act in (capture, accept)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    work(committed_db, stripe, GUARD)
    with committed_db() as session:
        assert balances(session, booking_id) == {"FEE": -4200, "PSP": 60000 - 2240 - 7500 - 48300, "PFE": 2240}
        assert_sound(session, stripe)


def test_a_second_charge_whose_answer_was_lost_is_found_whatever_the_clocks_say(
    committed_db: sessionmaker[Session], stripe: Stripe
) -> None:
    booking_id = held_then_used(committed_db, stripe, minutes=165)
    now = AFTER
    while True:
        with committed_db.begin() as session:
            call = outbox.claim(session, now=now)
        if call is None:
            break
        outbox.call(call, stripe.provider)  # carried out; the process dies, and our clock alone goes on
        stripe.state.answers.clear()
        now += timedelta(hours=30)
        assert work(committed_db, stripe, now, most=1) == 1
    assert stripe.count("payment_intent") == 2
    with committed_db() as session:
        assert balances(session, booking_id) == {"FEE": -7500, "PSP": 3912, "PFE": 3588}
        assert_sound(session, stripe)
