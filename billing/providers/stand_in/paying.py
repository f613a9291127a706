"""Payments: made, confirmed, held, taken, let go, declined. A hold ends by the clock, and a fee may become known later."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from billing.providers.stand_in import methods
from billing.providers.stand_in.methods import Challenge
from billing.providers.stand_in.shop import Refused, Shop, Thing
from billing.settlement import ONLINE_MINIMUM, Funding, processing_fee
from marketplace.money import STEPS, Money

HOLD_LIFE = timedelta(days=7)
VISA_MERCHANT_LIFE = timedelta(days=4, hours=18)
"""So long a hold on a Visa card lives that was made while the payer was away."""

CONFIRMABLE = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})
OPEN = CONFIRMABLE | {"requires_capture"}


def create(shop: Shop, values: Mapping[str, Any]) -> Thing:
    """Raises: Refused, also where the bank declines; the intent is there then, as at Stripe."""
    amount = values["amount"]
    check_amount(amount, values["currency"])
    customer = values.get("customer")
    if customer:
        shop.get("customer", customer)
    method = methods.take(shop, values["payment_method"]) if values.get("payment_method") else None
    intent = shop.new(
        "payment_intent",
        "pi",
        amount=amount,
        amount_capturable=0,
        amount_received=0,
        currency=values["currency"],
        capture_method=values.get("capture_method", "automatic_async"),
        customer=customer or None,
        payment_method=method["id"] if method else None,
        setup_future_usage=values.get("setup_future_usage"),
        metadata=dict(values.get("metadata") or {}),
        transfer_group=values.get("transfer_group"),
        latest_charge=None,
        last_payment_error=None,
        next_action=None,
        status="requires_confirmation" if method else "requires_payment_method",
    )
    return confirm(shop, intent, {**values, "payment_method": None}) if values.get("confirm") else intent


def check_amount(amount: int, currency: str) -> None:
    """Raises: Refused, for less than is taken online and for what is no multiple of the currency's step."""
    if amount < max(1, ONLINE_MINIMUM.get(currency.upper(), 1)):
        raise Refused(400, "amount_too_small", "Amount must be at least the minimum charge amount")
    _check_step(amount, currency.upper())


def _check_step(amount: int, currency: str) -> None:
    if amount % STEPS.get(currency, 1):
        raise Refused(400, "parameter_invalid_integer", f"{currency} amounts must be a multiple of {STEPS[currency]}")


def confirm(shop: Shop, intent: Thing, values: Mapping[str, Any]) -> Thing:
    """Ask the bank. Raises: Refused."""
    if intent["status"] not in CONFIRMABLE:
        raise Refused(400, "payment_intent_unexpected_state", f"This PaymentIntent is {intent['status']}")
    if values.get("payment_method"):
        intent["payment_method"] = methods.take(shop, values["payment_method"])["id"]
    if not intent["payment_method"]:
        raise Refused(400, "parameter_missing", "A payment method is needed to confirm")
    method = shop.get("payment_method", intent["payment_method"])
    methods.refuse_strangers(method, intent["customer"])
    behaviour, away = methods.of(method), bool(values.get("off_session"))
    if behaviour.kind != "card" and intent["capture_method"] == "manual":
        raise Refused(400, None, f"{behaviour.kind} does not support manual capture")
    if behaviour.declined:
        raise decline(shop, intent, "card_declined", decline_code=behaviour.declined)
    if behaviour.challenge is Challenge.ALWAYS or (behaviour.challenge is Challenge.UNLESS_SET_UP and not _is_set_up(method)):
        if away:
            raise decline(shop, intent, "authentication_required", decline_code="authentication_required")
        return challenge(shop, intent, values.get("return_url"))
    return authorise(shop, intent, visa_life=VISA_MERCHANT_LIFE if away else HOLD_LIFE)


def _is_set_up(method: Thing) -> bool:
    return bool(method["stand_in"]["set_up"])


def decline(shop: Shop, intent: Thing, code: str, decline_code: str | None = None) -> Refused:
    """The bank says no: the intent waits for another method."""
    error = {"type": "card_error", "code": code, "decline_code": decline_code, "payment_method": {"id": intent["payment_method"]}}
    intent.update(status="requires_payment_method", payment_method=None, next_action=None, last_payment_error=error)
    shop.tell("payment_intent.payment_failed", intent)
    about = {"decline_code": decline_code, "payment_intent": dict(intent)}
    return Refused(402, code, "Your card was declined.", "card_error", about)


def challenge(shop: Shop, intent: Thing, return_url: str | None) -> Thing:
    """Ask the payer to prove that it is them, on a page of the shop's own where they can come back from it."""
    page = {"url": f"{shop.address}/authenticate/{intent['id']}", "return_url": return_url}
    by_page = {"type": "redirect_to_url", "redirect_to_url": page}
    by_script = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
    intent.update(status="requires_action", next_action=by_page if return_url else by_script)
    shop.tell(f"{intent['object']}.requires_action", intent)
    return intent


def authorise(shop: Shop, intent: Thing, *, visa_life: timedelta = HOLD_LIFE) -> Thing:
    """The bank says yes; so long a hold on a Visa card lives."""
    method = shop.get("payment_method", intent["payment_method"])
    if intent["setup_future_usage"]:
        method["stand_in"]["set_up"] = True
        methods.attach(method, intent["customer"])
    kind, held = method["type"], intent["capture_method"] == "manual"
    details = dict(method[kind])
    if held:
        life = visa_life if details["brand"] == "visa" else HOLD_LIFE
        details["capture_before"] = int((shop.now + life).timestamp())
    charge = shop.new(
        "charge",
        "ch" if kind == "card" else "py",
        amount=intent["amount"],
        amount_captured=0,
        amount_refunded=0,
        captured=False,
        currency=intent["currency"],
        customer=intent["customer"],
        payment_intent=intent["id"],
        payment_method=method["id"],
        balance_transaction=None,
        refunded=False,
        status="succeeded",
        payment_method_details={"type": kind, kind: details},
        stand_in={"transferred": 0, "refunds": []},
    )
    intent.update(latest_charge=charge["id"], next_action=None, last_payment_error=None)
    if held:
        intent.update(status="requires_capture", amount_capturable=intent["amount"])
        shop.later(datetime.fromtimestamp(details["capture_before"], shop.now.tzinfo), "hold_ends", intent)
        shop.tell("payment_intent.amount_capturable_updated", intent)
    else:
        _take(shop, intent, charge, intent["amount"])
    return intent


def capture(shop: Shop, intent: Thing, values: Mapping[str, Any]) -> Thing:
    """Take all or a part of what is held; the rest is let go. Raises: Refused."""
    if intent["status"] != "requires_capture":
        raise Refused(400, "payment_intent_unexpected_state", f"This PaymentIntent is {intent['status']}")
    amount = values.get("amount_to_capture", intent["amount_capturable"])
    _check_step(amount, intent["currency"].upper())
    if not 0 < amount <= intent["amount_capturable"]:
        raise Refused(400, "amount_too_large", "amount_to_capture is more than is capturable")
    _take(shop, intent, shop.get("charge", intent["latest_charge"]), amount)
    return intent


def _take(shop: Shop, intent: Thing, charge: Thing, amount: int) -> None:
    charge.update(captured=True, amount_captured=amount)
    intent.update(status="succeeded", amount_received=amount, amount_capturable=0)
    if intent["capture_method"] == "automatic_async" and shop.fee_delay:
        shop.later(shop.now + shop.fee_delay, "fee_known", charge)
    else:
        book_charge(shop, charge)
    shop.tell("charge.captured" if intent["capture_method"] == "manual" else "charge.succeeded", charge)
    shop.tell("payment_intent.succeeded", intent)


def book_charge(shop: Shop, charge: Thing) -> None:
    """Put what was taken on the account, less the fee."""
    card = charge["payment_method_details"]["type"] == "card"
    taken = Money(charge["amount_captured"], charge["currency"].upper())
    fee = processing_fee(taken, Funding.CARD if card else Funding.WALLET).minor
    charge["balance_transaction"] = shop.book("charge" if card else "payment", charge, taken.minor, fee)["id"]


def cancel(shop: Shop, intent: Thing, values: Mapping[str, Any]) -> Thing:
    """Raises: Refused."""
    if intent["status"] not in OPEN:
        raise Refused(400, "payment_intent_unexpected_state", f"This PaymentIntent is {intent['status']}")
    let_go(shop, intent, values.get("cancellation_reason"))
    return intent


def let_go(shop: Shop, intent: Thing, reason: str | None) -> None:
    """End an intent; what it held is free."""
    intent.update(status="canceled", amount_capturable=0, next_action=None, cancellation_reason=reason)
    shop.tell("payment_intent.canceled", intent)
