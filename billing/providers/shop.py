"""What the stand-in for Stripe remembers and does: payments, transfers, refunds, balance, events. No HTTP here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson

from billing.settlement import ONLINE_MINIMUM, Funding, processing_fee
from marketplace.money import STEPS, Money

HOLD_LIFE = timedelta(days=7)
KEPT_EVENTS = 500
DECLINING = "chargeDeclined"
"""Test cards with this in their name are declined, as at Stripe."""

Thing = dict[str, Any]


class Refused(Exception):
    """An error answer: status, and the body's `error`."""

    def __init__(self, status: int, code: str, message: str, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status, self.body = status, {"error": {"type": kind, "code": code, "message": message}}


@dataclass
class Shop:
    """One account at the provider. `read_clock` is the real time; `ahead` moves the shop's own."""

    read_clock: Callable[[], datetime]
    ahead: timedelta = timedelta()
    things: dict[str, Thing] = field(default_factory=dict)
    events: list[Thing] = field(default_factory=list)
    fresh: list[Thing] = field(default_factory=list)
    """Events that were not yet sent to the webhook's address."""
    counter: int = 0

    @property
    def now(self) -> datetime:
        return self.read_clock() + self.ahead

    def advance(self, span: timedelta) -> None:
        """Let time pass; holds that are too old end."""
        self.ahead += span
        for intent in self.all("payment_intent"):
            if intent["status"] == "requires_capture" and intent["created"] + HOLD_LIFE.total_seconds() <= self.now.timestamp():
                self._cancel(intent, "automatic")

    def dump(self) -> bytes:
        """All of it as JSON, the newest events only."""
        counted = {"ahead_s": self.ahead.total_seconds(), "counter": self.counter}
        return orjson.dumps({**counted, "things": self.things, "events": self.events[-KEPT_EVENTS:]})

    def load(self, dumped: bytes) -> None:
        """Back to what `dump` wrote."""
        body = orjson.loads(dumped)
        self.ahead, self.counter = timedelta(seconds=body["ahead_s"]), body["counter"]
        self.things, self.events = body["things"], body["events"]

    def all(self, kind: str) -> list[Thing]:
        return [thing for thing in self.things.values() if thing["object"] == kind]

    def get(self, kind: str, identity: str) -> Thing:
        thing = self.things.get(identity)
        if thing is None or thing["object"] != kind:
            raise Refused(404, "resource_missing", f"No such {kind}: '{identity}'")
        return thing

    def new(self, kind: str, prefix: str, **values: Any) -> Thing:
        self.counter += 1
        identity = f"{prefix}_test{self.counter:014d}"
        thing = {"id": identity, "object": kind, "created": int(self.now.timestamp()), "livemode": False, **values}
        self.things[identity] = thing
        return thing

    def tell(self, kind: str, thing: Thing) -> None:
        self.counter += 1
        body = {
            "id": f"evt_test{self.counter:014d}",
            "object": "event",
            "api_version": "2026-10-28.endive",
            "created": int(self.now.timestamp()),
            "data": {"object": dict(thing)},
            "livemode": False,
            "type": kind,
        }
        self.events.append(body)
        self.fresh.append(body)

    def create_customer(self, values: Mapping[str, Any]) -> Thing:
        return self.new("customer", "cus", metadata=dict(values.get("metadata") or {}), email=values.get("email"))

    def create_intent(self, values: Mapping[str, Any]) -> Thing:
        amount, currency = values["amount"], values["currency"].upper()
        if amount < max(1, ONLINE_MINIMUM.get(currency, 1)):
            raise Refused(400, "amount_too_small", "Amount must be at least the minimum charge amount")
        self._check_step(amount, currency)
        if DECLINING in values.get("payment_method", ""):
            raise Refused(402, "card_declined", "Your card was declined.", "card_error")
        manual = values.get("capture_method") == "manual"
        intent = self.new(
            "payment_intent",
            "pi",
            amount=amount,
            amount_capturable=0,
            amount_received=0,
            currency=values["currency"],
            capture_method="manual" if manual else "automatic_async",
            customer=values.get("customer"),
            payment_method=values.get("payment_method"),
            metadata=dict(values.get("metadata") or {}),
            transfer_group=values.get("transfer_group"),
            latest_charge=None,
            status="requires_payment_method",
        )
        if values.get("confirm") and values.get("payment_method"):
            self._confirm(intent)
        return intent

    def _check_step(self, amount: int, currency: str) -> None:
        if amount % STEPS.get(currency, 1):
            raise Refused(400, "parameter_invalid_integer", f"{currency} amounts must be a multiple of {STEPS[currency]}")

    def _confirm(self, intent: Thing) -> None:
        manual = intent["capture_method"] == "manual"
        ends = int((self.now + HOLD_LIFE).timestamp())
        charge = self.new(
            "charge",
            "ch",
            amount=intent["amount"],
            amount_captured=0,
            amount_refunded=0,
            captured=False,
            currency=intent["currency"],
            payment_intent=intent["id"],
            balance_transaction=None,
            refunded=False,
            status="succeeded",
            payment_method_details={"type": "card", "card": {"brand": "visa", "last4": "4242", "capture_before": ends}},
        )
        intent["latest_charge"] = charge["id"]
        if manual:
            intent["status"], intent["amount_capturable"] = "requires_capture", intent["amount"]
            self.tell("payment_intent.amount_capturable_updated", intent)
        else:
            self._take(intent, charge, intent["amount"])

    def capture(self, intent: Thing, values: Mapping[str, Any]) -> Thing:
        if intent["status"] != "requires_capture":
            raise Refused(400, "payment_intent_unexpected_state", f"This PaymentIntent is {intent['status']}")
        amount = values.get("amount_to_capture", intent["amount_capturable"])
        self._check_step(amount, intent["currency"].upper())
        if not 0 < amount <= intent["amount_capturable"]:
            raise Refused(400, "amount_too_large", "amount_to_capture is more than is capturable")
        self._take(intent, self.get("charge", intent["latest_charge"]), amount)
        return intent

    def _take(self, intent: Thing, charge: Thing, amount: int) -> None:
        fee = processing_fee(Money(amount, intent["currency"].upper()), Funding.CARD).minor
        booked = self._book("charge", charge["id"], amount, fee, intent["currency"])
        charge.update(captured=True, amount_captured=amount, balance_transaction=booked["id"])
        intent.update(status="succeeded", amount_received=amount, amount_capturable=0)
        self.tell("charge.captured" if intent["capture_method"] == "manual" else "charge.succeeded", charge)
        self.tell("payment_intent.succeeded", intent)

    def _book(self, kind: str, source: str, amount: int, fee: int, currency: str) -> Thing:
        return self.new(
            "balance_transaction", "txn", type=kind, source=source, amount=amount, fee=fee, net=amount - fee, currency=currency
        )

    def cancel(self, intent: Thing, values: Mapping[str, Any]) -> Thing:
        if intent["status"] not in {"requires_capture", "requires_payment_method"}:
            raise Refused(400, "payment_intent_unexpected_state", f"This PaymentIntent is {intent['status']}")
        self._cancel(intent, values.get("cancellation_reason"))
        return intent

    def _cancel(self, intent: Thing, reason: str | None) -> None:
        intent.update(status="canceled", amount_capturable=0, cancellation_reason=reason)
        self.tell("payment_intent.canceled", intent)

    def refund(self, values: Mapping[str, Any]) -> Thing:
        intent = self.get("payment_intent", values.get("payment_intent", ""))
        charge = self.get("charge", intent["latest_charge"] or "")
        amount = values.get("amount", charge["amount_captured"] - charge["amount_refunded"])
        if not 0 < amount <= charge["amount_captured"] - charge["amount_refunded"]:
            raise Refused(400, "charge_already_refunded", "Refund amount is greater than the unrefunded amount")
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
        made = self.new(
            "refund",
            "re",
            amount=amount,
            charge=charge["id"],
            currency=charge["currency"],
            payment_intent=intent["id"],
            metadata=dict(values.get("metadata") or {}),
            status="succeeded",
        )
        self._book("refund", made["id"], -amount, 0, charge["currency"])
        self.tell("charge.refunded", charge)
        self.tell("refund.updated", made)
        return made

    def transfer(self, values: Mapping[str, Any]) -> Thing:
        charge = self.get("charge", values.get("source_transaction", ""))
        gone = sum(made["amount"] for made in self.all("transfer") if made["source_transaction"] == charge["id"])
        if not values["destination"].startswith("acct_"):
            raise Refused(400, "resource_missing", f"No such destination: '{values['destination']}'")
        if values["amount"] > charge["amount_captured"] - charge["amount_refunded"] - gone:
            raise Refused(400, "balance_insufficient", "The transfer is larger than what is left of its charge")
        made = self.new(
            "transfer",
            "tr",
            amount=values["amount"],
            currency=values["currency"],
            destination=values["destination"],
            source_transaction=charge["id"],
            transfer_group=values.get("transfer_group"),
            metadata=dict(values.get("metadata") or {}),
        )
        self._book("transfer", made["id"], -values["amount"], 0, values["currency"])
        self.tell("transfer.created", made)
        return made
