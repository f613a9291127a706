"""What leaves the account: refunds, which may be pending and may fail later, and transfers to institutions."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from billing.providers.stand_in import methods
from billing.providers.stand_in.methods import Refunding
from billing.providers.stand_in.shop import Refused, Shop, Thing

REFUND_TAKES = timedelta(hours=1)
"""After so long a pending refund has ended, and one that succeeded at first has failed."""


def refund(shop: Shop, values: Mapping[str, Any]) -> Thing:
    """Raises: Refused."""
    intent = shop.get("payment_intent", values.get("payment_intent", ""))
    charge = shop.get("charge", intent["latest_charge"] or "")
    left = charge["amount_captured"] - charge["amount_refunded"]
    amount = values.get("amount", left)
    if not 0 < amount <= left:
        raise Refused(400, "charge_already_refunded", "Refund amount is greater than the unrefunded amount")
    course = methods.of(shop.get("payment_method", charge["payment_method"])).refunding
    pending = course in {Refunding.PENDING, Refunding.PENDING_FAILS}
    made = shop.new(
        "refund",
        "re",
        amount=amount,
        charge=charge["id"],
        currency=charge["currency"],
        payment_intent=intent["id"],
        metadata=dict(values.get("metadata") or {}),
        balance_transaction=None,
        status="pending" if pending else "succeeded",
    )
    charge["stand_in"]["refunds"].append(made["id"])
    _count_refunded(charge, amount)
    if not pending:
        _book(shop, made)
    if course is not Refunding.AT_ONCE:
        name = "refund_succeeds" if course is Refunding.PENDING else "refund_fails"
        shop.later(shop.now + REFUND_TAKES, name, made)
    shop.tell("refund.created", made)
    shop.tell("charge.refunded", charge)
    return made


def _count_refunded(charge: Thing, amount: int) -> None:
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]


def _book(shop: Shop, made: Thing) -> None:
    made["balance_transaction"] = shop.book("refund", made, -made["amount"], 0)["id"]


def refund_succeeds(shop: Shop, made: Thing) -> None:
    """A pending refund reached the payer."""
    _book(shop, made)
    made.update(status="succeeded")
    for kind in ("refund.updated", "charge.refund.updated"):
        shop.tell(kind, made)


def refund_fails(shop: Shop, made: Thing) -> None:
    """The payer's bank sent it back: the money is on the account again, and the charge has it again."""
    if made["balance_transaction"]:
        made["failure_balance_transaction"] = shop.book("refund_failure", made, made["amount"], 0)["id"]
    made.update(status="failed", failure_reason="expired_or_canceled_card")
    _count_refunded(shop.get("charge", made["charge"]), -made["amount"])
    for kind in ("refund.updated", "charge.refund.updated", "refund.failed"):
        shop.tell(kind, made)


def transfer(shop: Shop, values: Mapping[str, Any]) -> Thing:
    """Raises: Refused."""
    charge = shop.get("charge", values.get("source_transaction", ""))
    if not values["destination"].startswith("acct_"):
        raise Refused(400, "resource_missing", f"No such destination: '{values['destination']}'")
    if values["amount"] > charge["amount_captured"] - charge["amount_refunded"] - charge["stand_in"]["transferred"]:
        raise Refused(400, "balance_insufficient", "The transfer is larger than what is left of its charge")
    charge["stand_in"]["transferred"] += values["amount"]
    made = shop.new(
        "transfer",
        "tr",
        amount=values["amount"],
        currency=values["currency"],
        destination=values["destination"],
        source_transaction=charge["id"],
        transfer_group=values.get("transfer_group"),
        metadata=dict(values.get("metadata") or {}),
    )
    shop.book("transfer", made, -values["amount"], 0)
    shop.tell("transfer.created", made)
    return made


def balance(shop: Shop) -> Thing:
    """What can be paid out, by currency; nothing is pending here."""
    sums: dict[str, int] = {}
    for booked in shop.all("balance_transaction"):
        sums[booked["currency"]] = sums.get(booked["currency"], 0) + booked["net"]
    available = [{"amount": amount, "currency": currency} for currency, amount in sums.items()]
    return {"object": "balance", "livemode": False, "available": available, "pending": []}


def know_again(shop: Shop) -> None:
    """Complete the charges in a file of an earlier version, which told neither card nor what has left them."""
    for charge in shop.all("charge"):
        if "stand_in" not in charge:
            out = [made["amount"] for made in shop.all("transfer") if made["source_transaction"] == charge["id"]]
            back = [made["id"] for made in shop.all("refund") if made["charge"] == charge["id"]]
            charge["payment_method"] = methods.take(shop, "pm_card_visa")["id"]
            charge["stand_in"] = {"transferred": sum(out), "refunds": back}
