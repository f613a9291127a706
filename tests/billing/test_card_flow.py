"""Hold, capture of exactly the confirmed amount, release and transfer, over real HTTP, with every fault on the way."""

import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from billing import actions, cancelling, invariants, ledger, outbox, queries, webhooks
from billing.payments import actions as payments
from billing.payments import due, payouts
from billing.payments.queries import calls_in_trouble
from billing.providers.base import NoAnswer, PaymentFact
from billing.providers.fake import sign
from billing.providers.stand_in import paying
from billing.quotes import actions as quoting
from billing.resale import actions as resale
from billing.tables import CallState, PaymentState, ProviderEvent, StatementState
from booking.states import BookingState
from booking.tables import Booking
from devices.matching import Verdict
from devices.tables import ConfirmedUse
from marketplace.ids import new_id
from marketplace.tables import Organisation, Resource, Settlement
from tests.billing.conftest import Stripe, work
from tests.builders import a_booking, a_resource, an_institution, an_organisation

START = datetime(2026, 3, 10, 1, tzinfo=UTC)
BEFORE = START - timedelta(days=2)
AFTER = START + timedelta(hours=3)
SECRET = "whsec_stand_in"

B02 = {
    "usage_charge": {"AR": 52500, "IP": -48300, "FEE": -4200},
    "payment_captured": {"PSP": 52500, "AR": -52500},
    "psp_fee": {"PFE": 1985, "PSP": -1985},
    "transfer_out": {"IP": 48300, "PSP": -48300},
}


def a_card_booking(session: Session, *, method: str = "pm_card_visa", policy: Mapping[str, Any] | None = None) -> Booking:
    """A held booking of two hours at 300.00 with an institution that is paid through the platform."""
    house = an_institution(session, settlement=Settlement.PLATFORM_COLLECTS)
    firm = an_organisation(session)
    resource = a_resource(session, institution=house)
    if policy:
        actions.set_policy(session, resource_id=resource.id, policy=policy, actor_id="per_1", now=BEFORE)
    booking = a_booking(session, resource=resource, organisation=firm, start=START, state=BookingState.HELD)
    payouts.set_payout_account(session, institution_id=house.id, account_id="acct_test", actor_id=None, now=BEFORE)
    quoting.quote_booking(session, booking=booking, organisation=firm, payment_method=method, now=BEFORE)
    return booking


def a_use(session: Session, booking: Booking, *, minutes: int = 97, number: int = 1, **values: Any) -> ConfirmedUse:
    """What the equipment confirmed: an unbroken run from the start on."""
    end = START + timedelta(minutes=minutes)
    inside = min(minutes, 120) * 60
    row = ConfirmedUse(
        **{
            "id": new_id("use"),
            "booking_id": booking.id,
            "number": number,
            "verdict": Verdict.FULFILLED if minutes else Verdict.NO_SHOW,
            "booked_s": 7200,
            "confirmed_s": inside,
            "early_s": 0,
            "overrun_s": minutes * 60 - inside,
            "unverified_s": 0,
            "fault_s": 0,
            "energy_wh": 0,
            "pieces": [{"start": START.isoformat(), "end": end.isoformat(), "state": "RUN"}] if minutes else [],
            "created_at": AFTER,
            **values,
        }
    )
    session.add(row)
    session.flush()
    return row


def journal(session: Session, booking_id: str) -> dict[str, dict[str, int]]:
    return {e.kind.value: {a.value: v for a, v in e.legs} for e in queries.journal_of_booking(session, booking_id)}


def held_then_used(sessions: sessionmaker[Session], stripe: Stripe, *, minutes: int = 97) -> str:
    """Up to the accepted statement: the capture is in the outbox."""
    with sessions.begin() as session:
        booking_id = a_card_booking(session).id
    work(sessions, stripe, BEFORE)
    with sessions.begin() as session:
        booking = session.get_one(Booking, booking_id)
        booking.state = BookingState.CONFIRMED
        a_use(session, booking, minutes=minutes)
        [statement_id] = actions.draft_statements(session, now=AFTER)
        actions.accept_statement(session, statement_id=statement_id, actor_id="per_1", now=AFTER)
    return booking_id


def assert_paid(sessions: sessionmaker[Session], stripe: Stripe, booking_id: str) -> None:
    with sessions() as session:
        assert journal(session, booking_id) == B02
        statement = queries.statement_of_booking(session, booking_id)
        assert statement is not None
        assert statement.state is StatementState.SETTLED
        assert {call.state for call in queries.calls_of(session, booking_id)} == {CallState.DONE}
        assert invariants.violations(session) == []
        assert invariants.provider_violations(session, stripe.provider.balance()) == []
    [charge] = stripe.state.shop.all("charge")
    assert charge["amount_captured"] == 52500
    assert (stripe.count("transfer"), stripe.count("refund"), stripe.count("payment_intent")) == (1, 0, 1)


def test_exactly_the_confirmed_amount_is_captured(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    booking_id = held_then_used(committed_db, stripe)
    with committed_db() as session:
        [payment] = queries.payments_of(session, booking_id)
        assert (payment.state, payment.authorised_minor) == (PaymentState.AUTHORISED, 72000)
        assert payment.capture_before is not None
    work(committed_db, stripe, AFTER)
    assert_paid(committed_db, stripe, booking_id)


def test_a_secured_hold_is_named_for_confirmation(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    with committed_db.begin() as session:
        booking_id = a_card_booking(session).id
        assert queries.holds_secured(session) == []
    work(committed_db, stripe, BEFORE)
    with committed_db() as session:
        assert queries.holds_secured(session) == [booking_id]


def test_one_firm_is_one_customer_however_often_it_books(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    with committed_db.begin() as session:
        first = a_card_booking(session)
        firm = session.get_one(Organisation, first.organisation_id)
        for hours in (3, 6):
            resource = session.get_one(Resource, first.resource_id)
            start = START + timedelta(hours=hours)
            booking = a_booking(session, resource=resource, organisation=firm, start=start, state=BookingState.HELD)
            quoting.quote_booking(session, booking=booking, organisation=firm, payment_method="pm_card_visa", now=BEFORE)
        a_card_booking(session)
    assert work(committed_db, stripe, BEFORE) == 4
    assert stripe.count("payment_intent") == 4
    assert stripe.count("customer") == 2


def test_a_declined_card_secures_nothing(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    with committed_db.begin() as session:
        booking = a_card_booking(session, method="pm_card_visa_chargeDeclined")
    work(committed_db, stripe, BEFORE)
    with committed_db.begin() as session:
        [payment] = queries.payments_of(session, booking.id)
        assert payment.state is PaymentState.FAILED
        assert [call.last_error for call in queries.calls_of(session, booking.id)] == ["card_declined"]
        assert calls_in_trouble(session) == []
        cancelling.settle_cancellation(session, booking=session.get_one(Booking, booking.id), free=True, now=BEFORE)
    assert work(committed_db, stripe, BEFORE) == 0


@pytest.mark.parametrize("later", [timedelta(minutes=6), timedelta(hours=30)])
def test_a_crash_between_capture_and_commit_captures_once(
    committed_db: sessionmaker[Session], stripe: Stripe, later: timedelta
) -> None:
    booking_id = held_then_used(committed_db, stripe)
    with committed_db.begin() as session:
        call = outbox.claim(session, now=AFTER)
    assert call is not None
    outbox.call(call, stripe.provider)  # carried out; the process dies before it is recorded
    stripe.order(advance_s=later.total_seconds())
    work(committed_db, stripe, AFTER + later)
    assert_paid(committed_db, stripe, booking_id)


def test_a_captured_amount_that_was_not_asked_for_is_not_posted(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    booking_id = held_then_used(committed_db, stripe)
    [intent] = stripe.state.shop.all("payment_intent")
    paying.capture(stripe.state.shop, intent, {"amount_to_capture": 60000})
    with committed_db.begin() as session:
        outbox.claim(session, now=AFTER)
    work(committed_db, stripe, AFTER + timedelta(hours=30))
    with committed_db() as session:
        assert list(journal(session, booking_id)) == ["usage_charge"]
        assert [call.last_error for call in calls_in_trouble(session)] == ["amount_mismatch"]


def test_a_lost_answer_changes_nothing(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    booking_id = held_then_used(committed_db, stripe)
    for minute in range(0, 20, 4):
        stripe.order(fault="answer_lost")
        work(committed_db, stripe, AFTER + timedelta(minutes=minute))
    stripe.state.faults.clear()
    work(committed_db, stripe, AFTER + timedelta(hours=2))
    assert_paid(committed_db, stripe, booking_id)


def test_a_saved_fault_is_not_replayed_for_ever(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    booking_id = held_then_used(committed_db, stripe)
    stripe.order(fault="saved_500")
    for hour in range(8):
        work(committed_db, stripe, AFTER + timedelta(hours=hour))
    assert_paid(committed_db, stripe, booking_id)
    with committed_db() as session:
        assert max(call.generation for call in queries.calls_of(session, booking_id)) == 2


def test_overtime_beyond_the_hold_is_a_second_charge(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    booking_id = held_then_used(committed_db, stripe, minutes=165)
    work(committed_db, stripe, AFTER)
    with committed_db() as session:
        found = {account.value: v for account, v in ledger.balances(queries.journal_of_booking(session, booking_id)).items()}
        assert found == {"FEE": -7500, "PSP": 3912, "PFE": 3588}
        assert invariants.violations(session) == []
    assert sorted(made["amount"] for made in stripe.state.shop.all("transfer")) == [20010, 66240]


def test_cancelling_in_time_lets_the_hold_go(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    with committed_db.begin() as session:
        booking = a_card_booking(session)
    work(committed_db, stripe, BEFORE)
    with committed_db.begin() as session:
        row = session.get_one(Booking, booking.id)
        row.state = BookingState.CONFIRMED
        assert cancelling.fee_if_cancelled(session, booking=row, now=BEFORE).minor == 0
        assert cancelling.settle_cancellation(session, booking=row, free=False, now=BEFORE).minor == 0
    work(committed_db, stripe, BEFORE)
    with committed_db() as session:
        assert [payment.state for payment in queries.payments_of(session, booking.id)] == [PaymentState.RELEASED]
        assert queries.journal_of_booking(session, booking.id) == []
    assert [intent["status"] for intent in stripe.state.shop.all("payment_intent")] == ["canceled"]


def test_cancelling_late_captures_the_fee_and_pays_it_out_when_the_time_is_over(
    committed_db: sessionmaker[Session], stripe: Stripe
) -> None:
    with committed_db.begin() as session:
        booking = a_card_booking(session)
    work(committed_db, stripe, BEFORE)
    late = START - timedelta(hours=30)
    with committed_db.begin() as session:
        row = session.get_one(Booking, booking.id)
        row.state = BookingState.CANCELLED
        assert cancelling.settle_cancellation(session, booking=row, free=False, now=late).minor == 15000
    work(committed_db, stripe, late)
    with committed_db() as session:
        found = {account.value: v for account, v in ledger.balances(queries.journal_of_booking(session, booking.id)).items()}
        assert found == {"FEE": -1200, "IP": -13800, "PSP": 14290, "PFE": 710}
    with committed_db.begin() as session:
        assert resale.decide_due(session, now=START + timedelta(hours=1)) == []
        assert resale.decide_due(session, now=AFTER) == [booking.id]
    work(committed_db, stripe, AFTER)
    with committed_db() as session:
        found = {account.value: v for account, v in ledger.balances(queries.journal_of_booking(session, booking.id)).items()}
        assert found == {"FEE": -1200, "PSP": 490, "PFE": 710}
        assert invariants.violations(session) == []


def test_a_hold_about_to_end_is_captured_as_prepayment_and_the_rest_given_back(
    committed_db: sessionmaker[Session], stripe: Stripe
) -> None:
    with committed_db.begin() as session:
        booking_id = a_card_booking(session).id
    work(committed_db, stripe, BEFORE)
    guard = START + timedelta(days=6, hours=20)
    with committed_db.begin() as session:
        session.get_one(Booking, booking_id).state = BookingState.CONFIRMED
        assert due.guard_holds(session, now=guard) == 1
        assert due.guard_holds(session, now=guard) == 0
    work(committed_db, stripe, guard)
    with committed_db.begin() as session:
        assert set(journal(session, booking_id)) == {"prepay_captured", "psp_fee"}
        a_use(session, session.get_one(Booking, booking_id))
        [statement_id] = actions.draft_statements(session, now=guard)
        actions.accept_statement(session, statement_id=statement_id, actor_id="per_1", now=guard)
    work(committed_db, stripe, guard)
    with committed_db() as session:
        posted = journal(session, booking_id)
        assert posted["prepay_applied"] == {"PREP": 52500, "AR": -52500}
        assert posted["refund_settled"] == {"RIT": 7500, "PSP": -7500}
        assert posted["transfer_out"] == B02["transfer_out"]
        assert invariants.violations(session) == []
        assert invariants.provider_violations(session, stripe.provider.balance()) == []


def deliver(sessions: sessionmaker[Session], event: dict[str, Any], body: str, now: datetime) -> None:
    notice = webhooks.verify(body.encode(), sign(body, SECRET, now), (SECRET,), now=now)
    assert notice.id == event["id"]
    with sessions.begin() as session:
        webhooks.accept(session, notice, now=now)


def apply_events(sessions: sessionmaker[Session], stripe: Stripe, now: datetime) -> None:
    while True:
        with sessions.begin() as session:
            claimed = webhooks.claim(session, now=now)
        if claimed is None:
            return
        seen = webhooks.read(claimed, stripe.provider)
        with sessions.begin() as session:
            webhooks.record(session, seen, now=now)


def test_webhooks_may_come_twice_in_parallel_late_and_in_any_order(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    booking_id = held_then_used(committed_db, stripe)
    with committed_db.begin() as session:
        call = outbox.claim(session, now=AFTER)
    assert call is not None
    outbox.call(call, stripe.provider)  # the events are quicker than our own record
    events = [e for e in stripe.state.shop.events if e["type"] in {"payment_intent.succeeded", "charge.captured"}]
    for event in reversed(events):
        body = json.dumps(event)
        twice = [threading.Thread(target=deliver, args=(committed_db, event, body, AFTER)) for _ in range(2)]
        for thread in twice:
            thread.start()
        for thread in twice:
            thread.join()
    apply_events(committed_db, stripe, AFTER)
    deliver(committed_db, events[0], json.dumps(events[0]), AFTER + timedelta(hours=1))
    apply_events(committed_db, stripe, AFTER + timedelta(hours=1))
    work(committed_db, stripe, AFTER + timedelta(hours=1))
    with committed_db() as session:
        assert len(session.scalars(select(ProviderEvent)).all()) == 2
    assert_paid(committed_db, stripe, booking_id)


def test_without_any_webhook_the_sweep_finds_the_events(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    held_then_used(committed_db, stripe)
    found = stripe.provider.events_since(START)
    assert [notice.kind for notice in found] == ["payment_intent.amount_capturable_updated"]
    with committed_db.begin() as session:
        assert [webhooks.accept(session, notice, now=AFTER) for notice in [*found, *found]] == [True, False]
    apply_events(committed_db, stripe, AFTER)
    with committed_db() as session:
        assert [event.done_at for event in session.scalars(select(ProviderEvent))] == [AFTER]


def test_a_sweep_reads_more_than_one_page(stripe: Stripe) -> None:
    for number in range(230):
        stripe.state.shop.tell("payment_intent.created", {"id": f"pi_{number}", "object": "payment_intent"})
    assert [notice.object_id for notice in stripe.provider.events_since(START)] == [f"pi_{number}" for number in range(230)]


def test_the_provider_that_is_away_is_asked_again(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    booking_id = held_then_used(committed_db, stripe)

    class Away:
        def __getattr__(self, name: str) -> Any:
            raise NoAnswer("down")

    with committed_db.begin() as session:
        call = outbox.claim(session, now=AFTER)
        assert call is not None
        outbox.record(session, outbox.call(call, Away()), now=AFTER)  # type: ignore[arg-type]
        assert outbox.claim(session, now=AFTER) is None
    work(committed_db, stripe, AFTER + timedelta(minutes=5))
    assert_paid(committed_db, stripe, booking_id)


def test_a_payment_never_moves_back(db: Session) -> None:
    booking = a_card_booking(db)
    [payment] = queries.payments_of(db, booking.id)
    payment.state, payment.authorised_minor, payment.captured_minor = PaymentState.CAPTURED, 72000, 52500
    stale = PaymentFact("pi_1", PaymentState.AUTHORISED, 72000, 0, 0, 0, None, None, None, None)
    payments.apply_payment(db, payment=payment, fact=stale, now=AFTER)
    assert (payment.state, payment.captured_minor) == (PaymentState.CAPTURED, 52500)
