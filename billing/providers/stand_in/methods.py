"""Stripe's test cards by Stripe's names, wallets, and how each behaves."""

from dataclasses import dataclass
from enum import StrEnum

from billing.providers.stand_in.shop import Refused, Shop, Thing


class Challenge(StrEnum):
    """When the payer has to prove that it is them (3-D Secure)."""

    NEVER = "never"
    UNLESS_SET_UP = "unless_set_up"
    ALWAYS = "always"


class Refunding(StrEnum):
    """What becomes of a refund."""

    AT_ONCE = "at_once"
    PENDING = "pending"
    FAILS = "fails"
    """It succeeds, and fails later."""

    PENDING_FAILS = "pending_fails"


@dataclass(frozen=True, slots=True)
class Method:
    """How a way to pay behaves. `declined` is the bank's answer to a charge, `set_up_declined` to keeping the card."""

    kind: str = "card"
    brand: str = "visa"
    last4: str = "4242"
    declined: str | None = None
    set_up_declined: str | None = None
    challenge: Challenge = Challenge.NEVER
    refunding: Refunding = Refunding.AT_ONCE


_GENERIC = Method(last4="0002", declined="generic_decline", set_up_declined="generic_decline")

METHODS = {
    "pm_card_visa": Method(),
    "pm_card_mastercard": Method(brand="mastercard", last4="4444"),
    "pm_card_unionpay": Method(brand="unionpay", last4="0005"),
    "pm_card_chargeDeclined": _GENERIC,
    "pm_card_visa_chargeDeclined": _GENERIC,
    "pm_card_chargeDeclinedInsufficientFunds": Method(
        last4="9995", declined="insufficient_funds", set_up_declined="insufficient_funds"
    ),
    "pm_card_chargeCustomerFail": Method(last4="0341", declined="generic_decline"),
    "pm_card_authenticationRequired": Method(last4="3184", challenge=Challenge.ALWAYS),
    "pm_card_authenticationRequiredOnSetup": Method(last4="3155", challenge=Challenge.UNLESS_SET_UP),
    "pm_card_pendingRefund": Method(last4="7726", refunding=Refunding.PENDING),
    "pm_card_refundFail": Method(last4="5126", refunding=Refunding.FAILS),
    "alipay": Method("alipay", "", "", refunding=Refunding.PENDING),
    "wechat_pay": Method("wechat_pay", "", "", refunding=Refunding.PENDING),
    "alipay_refundFail": Method("alipay", "", "", refunding=Refunding.PENDING_FAILS),
}


def take(shop: Shop, name: str) -> Thing:
    """The payment method of that id; a test card's name makes a fresh one, as at Stripe."""
    behaviour = METHODS.get(name)
    if behaviour is None:
        return shop.get("payment_method", name)
    details = {"brand": behaviour.brand, "last4": behaviour.last4} if behaviour.kind == "card" else {}
    known = {"name": name, "set_up": False}
    return shop.new("payment_method", "pm", type=behaviour.kind, customer=None, stand_in=known, **{behaviour.kind: details})


def of(method: Thing) -> Method:
    return METHODS[method["stand_in"]["name"]]


def attach(method: Thing, customer: str | None) -> None:
    """Keep it for a customer; from then on nobody else can pay with it."""
    if customer:
        method["customer"] = customer


def refuse_strangers(method: Thing, customer: str | None) -> None:
    """Raises: Refused, for a method that belongs to another customer."""
    if method["customer"] not in {None, customer}:
        raise Refused(400, "payment_method_unexpected_state", "The payment method belongs to another customer")
