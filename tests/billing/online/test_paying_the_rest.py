"""What a card was refused for is paid on a page: once, whatever crashes, and what is paid twice goes back."""

from datetime import timedelta

import pytest

from billing import actions, ledger, outbox, queries
from billing.journal.actions import post
from billing.payments.actions import settle_if_paid
from billing.payments.owing import Need, pay_open, what_is_open
from billing.settlement import Funding
from billing.tables import CallState, Operation, PaymentState
from booking.states import BookingState
from booking.tables import Booking
from marketplace.money import Money
from marketplace.refusals import WrongState
from tests.billing.conftest import work
from tests.billing.online.town import Town
from tests.billing.test_card_flow import a_use

DAY = timedelta(days=1)
IN_TIME = timedelta(days=2, hours=3)
REST = 21750


@pytest.fixture
def refused(town: Town) -> str:
    """A booking whose use cost more than was held, and whose bank wants the payer for the rest."""
    booking_id = town.book(funding=Funding.CARD, method="pm_card_visa")
    town.wait()
    town.watch.now += IN_TIME
    refuse(town, "pm_card_authenticationRequired")
    town.use(booking_id, minutes=165)
    town.wait()
    return booking_id


def refuse(town: Town, name: str) -> None:
    for method in town.stripe.state.shop.all("payment_method"):
        method["stand_in"]["name"] = name


def pay(town: Town, booking_id: str) -> str:
    with town.sessions.begin() as session:
        pay_open(session, booking=session.get_one(Booking, booking_id), now=town.now)
    town.wait()
    return town.page(booking_id)


def test_a_rest_whose_bank_wants_the_payer_is_paid_on_a_page(town: Town, refused: str) -> None:
    assert (town.balances(refused)["AR"], town.settled(refused)) == (REST, "accepted")
    asked = town.press(pay(town, refused), "pm_card_authenticationRequired").headers["location"]
    town.press(asked, "yes")
    town.hear()
    assert town.settled(refused) == "settled"
    assert set(town.balances(refused)) == {"PSP", "PFE", "FEE"}
    assert sorted(made["amount"] for made in town.stripe.state.shop.all("transfer")) == [20010, 66240]
    town.assert_sound()


def test_after_the_last_refusal_the_rest_can_still_be_paid(town: Town, refused: str) -> None:
    for _ in range(5):
        town.wait(DAY)
    with town.sessions() as session:
        asked = [call for call in queries.calls_of(session, refused) if call.operation is Operation.CHARGE]
        assert [call.state for call in asked] == [CallState.FAILED] * 3
    town.press(pay(town, refused), "alipay")
    town.hear()
    assert town.settled(refused) == "settled"
    town.assert_sound()


def test_while_a_page_is_open_no_card_is_charged_and_no_second_page_opened(town: Town, refused: str) -> None:
    town.wait(DAY - timedelta(minutes=30))
    pay(town, refused)
    with town.sessions.begin() as session:
        booking = session.get_one(Booking, refused)
        assert what_is_open(session, booking=booking, now=town.now) is None
        with pytest.raises(WrongState):
            pay_open(session, booking=booking, now=town.now)
    town.wait(timedelta(minutes=31))  # a day after the refusal the card would be asked again
    assert states(town, refused, Operation.CHARGE) == [CallState.FAILED]
    town.wait(timedelta(minutes=40))  # the page has ended unpaid
    town.hear()
    assert states(town, refused, Operation.CHARGE) == [CallState.FAILED, CallState.FAILED]
    with town.sessions() as session:
        found = what_is_open(session, booking=session.get_one(Booking, refused), now=town.now)
        assert found is not None
        assert (found.need, found.amount.minor) == (Need.REST, REST)
    town.assert_sound()


def states(town: Town, booking_id: str, operation: Operation) -> list[CallState]:
    with town.sessions() as session:
        return [call.state for call in queries.calls_of(session, booking_id) if call.operation is operation]


def test_what_a_correction_made_too_much_on_an_open_page_goes_back(town: Town, refused: str) -> None:
    address = pay(town, refused)
    with town.sessions.begin() as session:
        a_use(session, session.get_one(Booking, refused), minutes=145, number=2)
        actions.draft_statements(session, now=town.now)
    owed = town.balances(refused)["AR"]
    assert 0 < owed < REST
    town.press(address, "pm_card_visa")
    town.hear()
    assert [made["amount"] for made in town.stripe.state.shop.all("refund")] == [REST - owed]
    assert set(town.balances(refused)) == {"PSP", "PFE", "FEE"}
    assert town.settled(refused) == "settled"
    town.assert_sound()


def test_a_card_that_is_declined_on_the_page_leaves_it_open_and_its_end_charges_nobody(town: Town, refused: str) -> None:
    address = pay(town, refused)
    assert town.press(address, "pm_card_chargeDeclined").status_code == 402
    town.hear()
    assert town.page(refused) == address
    town.wait(timedelta(hours=2))
    town.hear()
    assert states(town, refused, Operation.CHARGE) == [CallState.FAILED]
    with town.sessions() as session:
        last = queries.payments_of(session, refused)[-1]
        assert last.state in {PaymentState.FAILED, PaymentState.RELEASED}
    town.assert_sound()


@pytest.mark.parametrize("later", [timedelta(minutes=6), timedelta(hours=30)])
def test_a_page_for_a_rest_is_one_whatever_crashes(town: Town, refused: str, later: timedelta) -> None:
    with town.sessions.begin() as session:
        pay_open(session, booking=session.get_one(Booking, refused), now=town.now)
    with town.sessions.begin() as session:
        call = outbox.claim(session, now=town.now)
    assert call is not None
    outbox.call(call, town.stripe.provider)
    town.wait(later)
    assert town.stripe.count("checkout.session") == 1
    town.assert_sound()


def test_a_bank_that_asks_at_booking_is_answered_and_the_booking_stands(town: Town) -> None:
    booking_id = town.book(funding=Funding.CARD, method="pm_card_authenticationRequired")
    town.wait()
    assert town.state(booking_id) is BookingState.HELD
    town.press(town.page(booking_id), "yes")
    town.hear()
    assert town.state(booking_id) is BookingState.CONFIRMED
    with town.sessions() as session:
        [payment] = queries.payments_of(session, booking_id)
        assert (payment.state, payment.authorised_minor) == (PaymentState.AUTHORISED, 72000)
    town.assert_sound()


def test_a_bank_that_is_not_answered_in_time_leaves_nothing_behind(town: Town) -> None:
    booking_id = town.book(funding=Funding.CARD, method="pm_card_authenticationRequired", held=timedelta(minutes=10))
    town.wait()
    town.wait(timedelta(minutes=11))
    assert town.state(booking_id) is BookingState.EXPIRED
    assert [intent["status"] for intent in town.stripe.state.shop.all("payment_intent")] == ["canceled"]
    town.assert_sound()


def test_a_card_is_entered_on_a_page_where_none_was_given(town: Town) -> None:
    booking_id = town.book(funding=Funding.CARD)
    town.wait()
    town.press(town.page(booking_id), "pm_card_visa")
    town.hear()
    assert town.state(booking_id) is BookingState.CONFIRMED
    town.watch.now += IN_TIME
    town.use(booking_id, minutes=165)
    town.wait()
    assert town.settled(booking_id) == "settled"
    assert sorted(made["amount_captured"] for made in town.stripe.state.shop.all("charge")) == [REST, 72000]
    town.assert_sound()


def test_what_is_held_on_a_page_while_its_booking_ends_is_let_go(town: Town) -> None:
    booking_id = town.book(funding=Funding.CARD)
    town.wait()
    address = town.page(booking_id)
    with town.sessions.begin() as session:
        session.get_one(Booking, booking_id).state = BookingState.CANCELLED
    town.press(address, "pm_card_visa")
    town.hear()
    assert [intent["status"] for intent in town.stripe.state.shop.all("payment_intent")] == ["canceled"]
    town.assert_sound()


def test_a_correction_closes_a_page_that_asks_too_much(town: Town, refused: str) -> None:
    pay(town, refused)
    with town.sessions.begin() as session:
        a_use(session, session.get_one(Booking, refused), minutes=145, number=2)
        actions.draft_statements(session, now=town.now)
    work(town.sessions, town.stripe, town.now)
    assert [page["status"] for page in town.stripe.state.shop.all("checkout.session")] == ["expired"]
    with town.sessions() as session:
        found = what_is_open(session, booking=session.get_one(Booking, refused), now=town.now)
        assert found is not None
        assert found.amount.minor == 10500
    town.press(pay(town, refused), "pm_card_visa")
    town.hear()
    assert town.settled(refused) == "settled"
    town.assert_sound()


def test_nothing_is_settled_while_a_page_is_open(town: Town, refused: str) -> None:
    pay(town, refused)
    with town.sessions.begin() as session:
        booking = session.get_one(Booking, refused)
        rest = Money(REST, "CNY")
        post(session, ledger.bank_received(rest), source_type="bank_receipt", source_id="r1", booking=booking, now=town.now)
        settle_if_paid(session, booking=booking, now=town.now)
    assert (town.balances(refused).get("AR", 0), town.settled(refused)) == (0, "accepted")
    town.wait(timedelta(hours=2))
    assert town.settled(refused) == "settled"
