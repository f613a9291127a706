"""Keeping a card without taking money: set-up intents, and the payer's answer to a challenge of either kind of intent."""

from collections.abc import Mapping
from typing import Any

from billing.providers.stand_in import methods, paying
from billing.providers.stand_in.methods import Challenge
from billing.providers.stand_in.shop import Refused, Shop, Thing

OPEN = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})


def create(shop: Shop, values: Mapping[str, Any]) -> Thing:
    """Raises: Refused, also where the bank declines."""
    customer = values.get("customer")
    if customer:
        shop.get("customer", customer)
    method = methods.take(shop, values["payment_method"]) if values.get("payment_method") else None
    intent = shop.new(
        "setup_intent",
        "seti",
        customer=customer or None,
        payment_method=method["id"] if method else None,
        usage=values.get("usage", "off_session"),
        metadata=dict(values.get("metadata") or {}),
        last_setup_error=None,
        next_action=None,
        status="requires_confirmation" if method else "requires_payment_method",
    )
    return confirm(shop, intent, values.get("return_url")) if values.get("confirm") else intent


def confirm(shop: Shop, intent: Thing, return_url: str | None) -> Thing:
    """Ask the bank whether the card may be kept. Raises: Refused."""
    if not intent["payment_method"]:
        raise Refused(400, "parameter_missing", "A payment method is needed to confirm")
    method = shop.get("payment_method", intent["payment_method"])
    methods.refuse_strangers(method, intent["customer"])
    behaviour = methods.of(method)
    if behaviour.set_up_declined:
        raise _decline(shop, intent, "card_declined", behaviour.set_up_declined)
    if behaviour.challenge is not Challenge.NEVER:
        return paying.challenge(shop, intent, return_url)
    return _succeed(shop, intent)


def _succeed(shop: Shop, intent: Thing) -> Thing:
    method = shop.get("payment_method", intent["payment_method"])
    method["stand_in"]["set_up"] = True
    methods.attach(method, intent["customer"])
    intent.update(status="succeeded", next_action=None, last_setup_error=None)
    shop.tell("setup_intent.succeeded", intent)
    return intent


def _decline(shop: Shop, intent: Thing, code: str, decline_code: str | None = None) -> Refused:
    error = {"type": "card_error", "code": code, "decline_code": decline_code}
    intent.update(status="requires_payment_method", payment_method=None, next_action=None, last_setup_error=error)
    shop.tell("setup_intent.setup_failed", intent)
    about = {"decline_code": decline_code, "setup_intent": dict(intent)}
    return Refused(402, code, "Your card was declined.", "card_error", about)


def challenged(shop: Shop, identity: str) -> Thing:
    """The intent of either kind that waits for its payer. Raises: Refused."""
    intent = shop.get("setup_intent" if identity.startswith("seti_") else "payment_intent", identity)
    if intent["status"] != "requires_action":
        raise Refused(400, f"{intent['object']}_unexpected_state", f"This intent is {intent['status']}")
    return intent


def proved(shop: Shop, identity: str) -> None:
    """The payer has proved that it is them. Raises: Refused."""
    intent = challenged(shop, identity)
    if intent["object"] == "setup_intent":
        _succeed(shop, intent)
    else:
        paying.authorise(shop, intent)


def not_proved(shop: Shop, identity: str) -> None:
    """The payer could not prove it. Raises: Refused."""
    intent = challenged(shop, identity)
    if intent["object"] == "setup_intent":
        _decline(shop, intent, "setup_intent_authentication_failure")
    else:
        paying.decline(shop, intent, "payment_intent_authentication_failure")
