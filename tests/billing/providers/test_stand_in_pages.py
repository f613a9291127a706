"""Pages to pay on: a payer pays, leaves, is declined, proves that it is them, comes too late; in Chinese and in English."""

from datetime import timedelta

import httpx2
import pytest

from billing.providers.base import CheckoutFact, CheckoutState, PaymentFact, Purpose, RefundState, SetupState, Way
from billing.providers.stand_in.pages import OFFERED, WORDS
from billing.tables import Operation, PaymentState
from marketplace.ids import new_id
from tests.billing.conftest import Stripe
from tests.billing.providers.conftest import BACK, a_call, a_checkout, a_mark, perform, press


def opened(stripe: Stripe, **values: object) -> CheckoutFact:
    customer = stripe.provider.customer_for(new_id("org")).object_id
    return stripe.provider.open_checkout(a_checkout(customer, stripe.state.shop.now, **values), a_mark())


def payment_behind(stripe: Stripe, page: CheckoutFact) -> PaymentFact:
    read = stripe.provider.read_checkout(page.object_id)
    return stripe.provider.read_payment(read.payment_id or "")


def kinds(stripe: Stripe) -> list[str]:
    return [event["type"] for event in stripe.state.shop.events]


def test_every_word_is_there_in_both_languages() -> None:
    assert WORDS["en"].keys() == WORDS["zh"].keys()
    assert {name for names in OFFERED.values() for name in names} <= WORDS["zh"].keys()


@pytest.mark.parametrize(
    ("language", "said"),
    [("zh", ["支付宝", "微信支付", "不会发生任何资金往来"]), ("en", ["Alipay", "WeChat Pay", "no money moves"])],
)
def test_a_page_says_what_is_paid_how_and_that_no_money_moves(stripe: Stripe, language: str, said: list[str]) -> None:
    shown = httpx2.get(str(opened(stripe, language=language, name="<b>ICP</b>").page))
    assert (shown.status_code, shown.headers["pilotbench-stand-in"]) == (200, "not-stripe")
    assert all(word in shown.text for word in [*said, "600.00 CNY", "&lt;b&gt;ICP&lt;/b&gt;"])


@pytest.mark.parametrize("wallet", ["alipay", "wechat_pay"])
def test_a_wallet_pays_at_once_and_is_refunded_later(stripe: Stripe, wallet: str) -> None:
    page = opened(stripe)
    assert press(str(page.page), wallet).headers["location"] == f"{BACK}?page={page.object_id}"
    read = stripe.provider.read_checkout(page.object_id)
    assert (read.state, read.paid, read.page) == (CheckoutState.COMPLETE, True, None)
    paid = payment_behind(stripe, page)
    assert (paid.state, paid.captured_minor, paid.fee_minor) == (PaymentState.CAPTURED, 60000, 1520)
    assert kinds(stripe) == ["charge.succeeded", "payment_intent.succeeded", "checkout.session.completed"]
    call = a_call(Operation.REFUND, now=stripe.state.shop.now, payment=paid, amount=7500)
    assert [one.state for one in perform(stripe.provider, call).refunds] == [RefundState.PENDING]
    stripe.order(advance_s=3600)
    assert stripe.provider.read_payment(paid.object_id).refunded_minor == 7500
    assert stripe.provider.balance() == {"CNY": 60000 - 1520 - 7500}


def test_a_wallet_whose_refunds_fail_has_never_moved_the_account(stripe: Stripe) -> None:
    page = opened(stripe)
    press(str(page.page), "alipay_refundFail")
    paid = payment_behind(stripe, page)
    perform(stripe.provider, a_call(Operation.REFUND, now=stripe.state.shop.now, payment=paid, amount=7500))
    stripe.order(advance_s=3600)
    [refund] = stripe.provider.read_payment(paid.object_id).refunds
    assert (refund.state, refund.booked_minor) == (RefundState.FAILED, 0)
    assert stripe.provider.balance() == {"CNY": 60000 - 1520}
    assert kinds(stripe)[-1] == "refund.failed"


def test_the_payment_of_a_page_carries_the_mark_of_its_order(stripe: Stripe) -> None:
    customer = stripe.provider.customer_for(new_id("org")).object_id
    order, mark = a_checkout(customer, stripe.state.shop.now), a_mark()
    press(str(stripe.provider.open_checkout(order, mark).page), "alipay")
    [intent] = stripe.state.shop.all("payment_intent")
    assert intent["metadata"] == {"key": mark.key, "booking": order.subject}
    assert (intent["transfer_group"], intent["customer"]) == (order.subject, customer)
    told = {event.kind: event.object_id for event in stripe.provider.events_since(stripe.state.shop.now - timedelta(hours=1))}
    assert told["checkout.session.completed"] == intent["id"]


def test_a_payer_who_leaves_has_paid_nothing_and_may_come_back(stripe: Stripe) -> None:
    page = opened(stripe)
    assert press(str(page.page), "cancel").headers["location"] == f"{BACK}?left"
    assert stripe.provider.read_checkout(page.object_id) == page
    press(str(page.page), "pm_card_visa")
    assert stripe.provider.read_checkout(page.object_id).paid


def test_a_declined_card_leaves_the_page_open_for_another(stripe: Stripe) -> None:
    page = opened(stripe)
    answer = press(str(page.page), "pm_card_chargeDeclined")
    assert (answer.status_code, WORDS["zh"]["declined"] in answer.text) == (402, True)
    read = stripe.provider.read_checkout(page.object_id)
    assert (read.state, read.paid, read.payment_id is not None) == (CheckoutState.OPEN, False, True)
    press(str(page.page), "pm_card_visa")
    assert payment_behind(stripe, page).captured_minor == 60000
    assert stripe.count("payment_intent") == 1


def test_a_bank_that_asks_leads_back_to_the_shop(stripe: Stripe) -> None:
    page = opened(stripe)
    asked = press(str(page.page), "pm_card_authenticationRequired").headers["location"]
    assert httpx2.get(asked).status_code == 200
    back = press(asked, "yes").headers["location"]
    assert back == page.page
    home = httpx2.get(back, follow_redirects=False)
    assert (home.status_code, home.headers["location"]) == (303, f"{BACK}?page={page.object_id}")
    assert stripe.provider.read_checkout(page.object_id).paid


def test_a_page_can_hold_on_a_card_and_keep_it(stripe: Stripe) -> None:
    page = opened(stripe, purpose=Purpose.HOLD, ways=(Way.CARD,))
    press(str(page.page), "pm_card_visa")
    hold = payment_behind(stripe, page)
    read = stripe.provider.read_checkout(page.object_id)
    assert (read.state, read.paid, hold.state) == (CheckoutState.COMPLETE, False, PaymentState.AUTHORISED)
    rest = a_call(Operation.CHARGE, now=stripe.state.shop.now, payment=hold, amount=21750)
    assert perform(stripe.provider, rest).captured_minor == 21750


def test_a_page_can_keep_a_card_and_take_nothing(stripe: Stripe) -> None:
    page = opened(stripe, purpose=Purpose.KEEP_CARD, ways=(Way.CARD,))
    assert "600.00" not in httpx2.get(str(page.page)).text
    asked = press(str(page.page), "pm_card_authenticationRequired").headers["location"]
    press(asked, "yes")
    httpx2.get(str(page.page), follow_redirects=False)
    read = stripe.provider.read_checkout(page.object_id)
    assert (read.state, read.payment_id) == (CheckoutState.COMPLETE, None)
    setup = stripe.provider.read_setup(read.setup_id or "")
    assert (setup.state, setup.customer_id, setup.method is not None) == (SetupState.SUCCEEDED, page.customer_id, True)


def test_a_page_closes_at_its_hour(stripe: Stripe) -> None:
    page = opened(stripe)
    press(str(page.page), "pm_card_chargeDeclined")
    stripe.order(advance_s=3599)
    assert stripe.provider.read_checkout(page.object_id).state is CheckoutState.OPEN
    stripe.order(advance_s=1)
    assert stripe.provider.read_checkout(page.object_id).state is CheckoutState.EXPIRED
    assert kinds(stripe)[-2:] == ["payment_intent.canceled", "checkout.session.expired"]
    late = press(str(page.page), "alipay")
    assert (late.status_code, WORDS["zh"]["expired"] in late.text) == (200, True)
    assert payment_behind(stripe, page).state is PaymentState.RELEASED


def test_a_page_that_was_paid_stays_so(stripe: Stripe) -> None:
    page = opened(stripe)
    press(str(page.page), "alipay")
    assert stripe.provider.expire_checkout(page.object_id, a_mark()).paid
    press(str(page.page), "wechat_pay")
    stripe.order(advance_s=7200)
    assert (stripe.count("charge"), stripe.provider.read_checkout(page.object_id).state) == (1, CheckoutState.COMPLETE)


def test_what_a_page_does_not_offer_is_refused(stripe: Stripe) -> None:
    page = opened(stripe, ways=(Way.CARD,))
    assert press(str(page.page), "alipay").status_code == 402
    assert stripe.count("payment_intent") == 0
    assert httpx2.get(f"{stripe.url}/pay/cs_nobody").status_code == 404
