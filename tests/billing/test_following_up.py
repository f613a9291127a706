"""What was refused, came late or could not be read is followed up by the clock, until it is done or a person is told."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from billing import actions, invariants, ledger, outbox, queries, webhooks
from billing.payments import actions as payments
from billing.payments import due, payouts
from billing.providers.base import Broken, Declined, Notice, PaymentFact, Rejected, Trouble
from billing.tables import CallState, Operation, PaymentState, PayoutAccount, ProviderEvent, StatementState
from booking.states import BookingState
from booking.tables import Booking
from marketplace.roles import Role
from marketplace.tables import Institution, Message
from tests.billing.conftest import Stripe, work
from tests.billing.test_card_flow import AFTER, BEFORE, a_card_booking, a_use
from tests.builders import a_member

DAY = timedelta(days=1)


@pytest.fixture
def booking_id(committed_db: sessionmaker[Session], stripe: Stripe) -> str:
    """Held on a card."""
    with committed_db.begin() as session:
        booking_id = a_card_booking(session).id
    work(committed_db, stripe, BEFORE)
    return booking_id


def used(sessions: sessionmaker[Session], booking_id: str, *, minutes: int = 97, method: str | None = None) -> str:
    """Confirmed, billed and accepted; the id of the statement. `method` is the card that a rest is asked of."""
    with sessions.begin() as session:
        booking = session.get_one(Booking, booking_id)
        booking.state = BookingState.CONFIRMED
        a_use(session, booking, minutes=minutes)
        [statement_id] = actions.draft_statements(session, now=AFTER)
        if method:
            queries.payments_of(session, booking_id)[0].method_id = method  # the capture will tell which card it was
        actions.accept_statement(session, statement_id=statement_id, actor_id="per_1", now=AFTER)
    return statement_id


def balances(session: Session, booking_id: str) -> dict[str, int]:
    found = ledger.balances(queries.journal_of_booking(session, booking_id))
    return {account.value: amount for account, amount in found.items() if amount}


def states(session: Session, booking_id: str, operation: Operation) -> list[CallState]:
    return [call.state for call in queries.calls_of(session, booking_id) if call.operation is operation]


def test_a_hold_that_comes_after_its_statement_was_accepted_is_captured(
    committed_db: sessionmaker[Session], stripe: Stripe
) -> None:
    with committed_db.begin() as session:
        booking_id = a_card_booking(session).id
    used(committed_db, booking_id)
    work(committed_db, stripe, AFTER)
    with committed_db() as session:
        [payment] = queries.payments_of(session, booking_id)
        assert (payment.captured_minor, payment.transferred_minor) == (52500, 48300)
        assert invariants.violations(session) == []


def test_an_institution_that_names_its_account_late_gets_its_share(
    committed_db: sessionmaker[Session], stripe: Stripe, booking_id: str
) -> None:
    with committed_db.begin() as session:
        house = session.get_one(Booking, booking_id).institution_id
        session.delete(session.get_one(PayoutAccount, house))
    used(committed_db, booking_id)
    work(committed_db, stripe, AFTER)
    with committed_db.begin() as session:
        assert balances(session, booking_id)["IP"] == -48300
        assert due.pay_out_due(session, now=AFTER + DAY) == []
        payouts.set_payout_account(session, institution_id=house, account_id="acct_late", actor_id=None, now=AFTER + DAY)
        assert due.pay_out_due(session, now=AFTER + DAY) == [booking_id]
        assert due.pay_out_due(session, now=AFTER + DAY) == []
    work(committed_db, stripe, AFTER + DAY)
    with committed_db.begin() as session:
        assert "IP" not in balances(session, booking_id)
        assert due.pay_out_due(session, now=AFTER + 2 * DAY) == []
        assert invariants.violations(session) == []
    assert [one["destination"] for one in stripe.state.shop.all("transfer")] == ["acct_late"]


def test_a_refused_transfer_is_asked_again_a_day_later_and_at_once_to_another_account(
    committed_db: sessionmaker[Session], stripe: Stripe, booking_id: str
) -> None:
    used(committed_db, booking_id)
    work_until_transfer(committed_db, stripe)
    with committed_db.begin() as session:
        house = session.get_one(Booking, booking_id).institution_id
        assert states(session, booking_id, Operation.TRANSFER) == [CallState.FAILED]
        assert due.pay_out_due(session, now=AFTER + DAY / 2) == []
        assert due.pay_out_due(session, now=AFTER + DAY) == [booking_id]
    work_until_transfer(committed_db, stripe, at=AFTER + DAY)
    with committed_db.begin() as session:
        later = AFTER + DAY + DAY / 24
        payouts.set_payout_account(session, institution_id=house, account_id="acct_other", actor_id=None, now=later)
        assert due.pay_out_due(session, now=later) == [booking_id]
    work(committed_db, stripe, later)
    with committed_db() as session:
        assert states(session, booking_id, Operation.TRANSFER) == [CallState.FAILED, CallState.FAILED, CallState.DONE]
        assert invariants.violations(session) == []
    assert stripe.count("transfer") == 1


def work_until_transfer(sessions: sessionmaker[Session], stripe: Stripe, at: object = AFTER) -> None:
    """As `work`, but the provider finds each transfer wrong."""
    while True:
        with sessions.begin() as session:
            call = outbox.claim(session, now=at)  # type: ignore[arg-type]
        if call is None:
            return
        refused = call.operation is Operation.TRANSFER
        outcome = outbox.Given(call.id, "No such destination", declined=False) if refused else outbox.call(call, stripe.provider)
        with sessions.begin() as session:
            outbox.record(session, outcome, now=at)  # type: ignore[arg-type]


def test_a_refused_rest_is_asked_three_times_and_then_the_house_is_told(
    committed_db: sessionmaker[Session], stripe: Stripe, booking_id: str
) -> None:
    with committed_db.begin() as session:
        booking = session.get_one(Booking, booking_id)
        finance = a_member(session, Role.FINANCE, institution=session.get_one(Institution, booking.institution_id)).id
        firm = booking.person_id
    used(committed_db, booking_id, minutes=165, method="pm_card_visa_chargeDeclined")
    asked = []
    for day in range(6):
        with committed_db.begin() as session:
            queries.payments_of(session, booking_id)[0].method_id = "pm_card_visa_chargeDeclined"
            asked.append(len(due.charge_again(session, now=AFTER + day * DAY)))
        work(committed_db, stripe, AFTER + day * DAY)
    assert asked == [0, 1, 1, 0, 0, 0]
    with committed_db() as session:
        assert states(session, booking_id, Operation.CHARGE) == [CallState.FAILED] * 3
        told = session.execute(select(Message.person_id, Message.kind, Message.data["again"].as_string())).all()
        again = [(AFTER + day * DAY).isoformat() for day in (1, 2)]
        assert {tuple(row) for row in told if row.kind in {"statement_refused", "statement_unpaid"}} == {
            (firm, "statement_refused", again[0]),
            (firm, "statement_refused", again[1]),
            (firm, "statement_refused", None),
            (finance, "statement_unpaid", None),
        }


def test_a_rest_that_is_paid_on_the_second_try_settles_the_statement(
    committed_db: sessionmaker[Session], stripe: Stripe, booking_id: str
) -> None:
    statement_id = used(committed_db, booking_id, minutes=165, method="pm_card_visa_chargeDeclined")
    work(committed_db, stripe, AFTER)
    with committed_db.begin() as session:
        queries.payments_of(session, booking_id)[0].method_id = "pm_card_visa"
        assert due.charge_again(session, now=AFTER + DAY) == [statement_id]
    work(committed_db, stripe, AFTER + DAY)
    with committed_db() as session:
        assert queries.get_statement(session, statement_id).state is StatementState.SETTLED
        assert set(balances(session, booking_id)) == {"PSP", "FEE", "PFE"}
        assert invariants.violations(session) == []


def test_a_fee_that_is_known_later_is_posted_once(committed_db: sessionmaker[Session], stripe: Stripe, booking_id: str) -> None:
    used(committed_db, booking_id)
    with committed_db.begin() as session:
        [payment] = queries.payments_of(session, booking_id)
        fact = captured(stripe, payment.object_id or "", fee=0)
        assert payments.apply_payment(session, payment=payment, fact=fact, now=AFTER)
        assert "PFE" not in balances(session, booking_id)
    for _ in range(2):
        with committed_db.begin() as session:
            [payment] = queries.payments_of(session, booking_id)
            late = replace(fact, fee_minor=1985)
            assert payments.apply_payment(session, payment=payment, fact=late, now=AFTER + DAY)
            assert balances(session, booking_id)["PFE"] == 1985


def captured(stripe: Stripe, object_id: str, *, fee: int) -> PaymentFact:
    """Of the hold, what a capture of 525.00 makes of it."""
    held = stripe.provider.read_payment(object_id)
    return replace(held, state=PaymentState.CAPTURED, captured_minor=52500, fee_minor=fee)


class Away:
    """A provider that answers every question with a trouble."""

    def __init__(self, trouble: Trouble) -> None:
        self._trouble = trouble

    def read_payment(self, object_id: str) -> PaymentFact:
        raise self._trouble


@pytest.mark.parametrize(
    ("object_id", "trouble", "aside"),
    [
        ("ours", Broken("away"), False),
        ("ours", Rejected("key"), False),
        ("pi_1", Broken("away"), False),
        ("pi_1", Rejected("none"), True),
        ("pi_1", Declined("card_declined"), False),
        ("ours", Declined("card_declined"), False),
    ],
)
def test_only_what_the_provider_does_not_know_either_is_put_aside(
    committed_db: sessionmaker[Session], stripe: Stripe, booking_id: str, object_id: str, trouble: Trouble, aside: bool
) -> None:
    with committed_db.begin() as session:
        [payment] = queries.payments_of(session, booking_id)
        about = (payment.object_id or "") if object_id == "ours" else object_id
        webhooks.accept(session, Notice("evt_1", "charge.updated", about, None, b"{}"), now=BEFORE)
    late = BEFORE + 2 * DAY
    with committed_db.begin() as session:
        claimed = webhooks.claim(session, now=late)
        assert claimed is not None
        webhooks.record(session, webhooks.read(claimed, Away(trouble)), now=late)  # type: ignore[arg-type]
        event = session.get_one(ProviderEvent, "evt_1")
        done = isinstance(trouble, Declined)
        assert (event.quarantined_at is not None, event.done_at) == (aside, late if done else None)
