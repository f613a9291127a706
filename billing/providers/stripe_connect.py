"""Stripe Connect, separate charges and transfers; the only place that speaks to stripe-python."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import stripe

from billing.providers.base import Broken, Call, Declined, Fact, NoAnswer, Notice, PaymentFact, Rejected, TransferFact
from billing.tables import Operation, PaymentState

API_VERSION = "2026-10-28.endive"
TIMEOUT_S = 30
PAGE = 100
MOST_EVENTS = 5000
"""So many a sweep reads back: without any webhook a busy day must not fall out of it."""

EXPAND = ["latest_charge.balance_transaction"]
LOOK_BACK = timedelta(hours=1)
"""Objects are looked for from so long before the first call on, for clocks that differ."""

STATES = {"requires_capture": PaymentState.AUTHORISED, "succeeded": PaymentState.CAPTURED, "canceled": PaymentState.RELEASED}


class StripeConnect:
    """One provider: `key` is a secret key, `api_base` another address of the API (the stand-in's), or empty for Stripe."""

    def __init__(self, key: str, api_base: str = "") -> None:
        addresses: dict[str, str] = {"api": api_base.rstrip("/")} if api_base else {}
        self._client = stripe.StripeClient(
            key,
            stripe_version=API_VERSION,
            base_addresses=addresses,  # type: ignore[arg-type]  # a TypedDict of optional addresses
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=TIMEOUT_S),
        )

    def perform(self, call: Call) -> Fact:
        """Raises: NoAnswer, Broken, Declined, Rejected."""
        with _troubles():
            match call.operation:
                case Operation.HOLD:
                    return self._hold(call)
                case Operation.CAPTURE:
                    return self._capture(call)
                case Operation.RELEASE:
                    return self._release(call)
                case Operation.CHARGE:
                    return self._charge(call)
                case Operation.REFUND:
                    return self._refund(call)
                case Operation.TRANSFER:
                    return self._transfer(call)

    def look(self, call: Call) -> Fact | None:
        """Raises: NoAnswer, Broken, Rejected."""
        with _troubles():
            if call.operation in {Operation.HOLD, Operation.CHARGE}:
                return self._find_payment(call)
            if call.operation is Operation.TRANSFER:
                return self._find_transfer(call)
            fact = self._read(call.object_id or "")
            wanted = {
                Operation.CAPTURE: fact.state is PaymentState.CAPTURED,
                Operation.RELEASE: fact.state is PaymentState.RELEASED,
                Operation.REFUND: fact.refunded_minor >= call.parameters.get("total", call.parameters.get("amount", 0)),
            }
            return fact if wanted[call.operation] else None

    def read_payment(self, object_id: str) -> PaymentFact:
        """Raises: NoAnswer, Broken, Rejected."""
        with _troubles():
            return self._read(object_id)

    def events_since(self, moment: datetime) -> list[Notice]:
        """The newest `MOST_EVENTS`, oldest first. Raises: NoAnswer, Broken, Rejected."""
        with _troubles():
            page = self._client.v1.events.list({"created": {"gte": int(moment.timestamp())}, "limit": PAGE})
            newest = list(islice(page.auto_paging_iter(), MOST_EVENTS))
            return [notice_of(event.to_dict(), str(event).encode()) for event in reversed(newest)]

    def balance(self) -> dict[str, int]:
        """Net of every movement of the account, by upper-case currency: what the ledger's PSP must equal."""
        with _troubles():
            sums: dict[str, int] = defaultdict(int)
            for booked in self._client.v1.balance_transactions.list({"limit": PAGE}).auto_paging_iter():
                sums[booked.currency.upper()] += booked.net
            return dict(sums)

    def _read(self, object_id: str) -> PaymentFact:
        return _fact(self._client.v1.payment_intents.retrieve(object_id, {"expand": EXPAND}))

    def _hold(self, call: Call) -> PaymentFact:
        customer = self._client.v1.customers.create(
            {"metadata": {"booking": call.parameters["booking"]}},
            {"idempotency_key": f"{call.idempotency_key}:customer"},
        )
        intent = self._client.v1.payment_intents.create(
            {
                "amount": call.parameters["amount"],
                "currency": call.parameters["currency"].lower(),
                "capture_method": "manual",
                "allowed_payment_method_types": ["card"],
                "customer": customer.id,
                "payment_method": call.method_id or "",
                "setup_future_usage": "off_session",
                "confirm": True,
                "metadata": _metadata(call),
                "transfer_group": call.parameters["booking"],
                "expand": EXPAND,
            },
            {"idempotency_key": call.idempotency_key},
        )
        return _fact(intent)

    def _capture(self, call: Call) -> PaymentFact:
        intent = self._client.v1.payment_intents.capture(
            call.object_id or "",
            {"amount_to_capture": call.parameters["amount"], "expand": EXPAND},
            {"idempotency_key": call.idempotency_key},
        )
        return _fact(intent)

    def _release(self, call: Call) -> PaymentFact:
        intent = self._client.v1.payment_intents.cancel(
            call.object_id or "", {"expand": EXPAND}, {"idempotency_key": call.idempotency_key}
        )
        return _fact(intent)

    def _charge(self, call: Call) -> PaymentFact:
        intent = self._client.v1.payment_intents.create(
            {
                "amount": call.parameters["amount"],
                "currency": call.parameters["currency"].lower(),
                "allowed_payment_method_types": ["card"],
                "customer": call.customer_id or "",
                "payment_method": call.method_id or "",
                "off_session": True,
                "confirm": True,
                "metadata": _metadata(call),
                "transfer_group": call.parameters["booking"],
                "expand": EXPAND,
            },
            {"idempotency_key": call.idempotency_key},
        )
        return _fact(intent)

    def _refund(self, call: Call) -> PaymentFact:
        self._client.v1.refunds.create(
            {"payment_intent": call.object_id or "", "amount": call.parameters["amount"], "metadata": _metadata(call)},
            {"idempotency_key": call.idempotency_key},
        )
        return self._read(call.object_id or "")

    def _transfer(self, call: Call) -> TransferFact:
        transfer = self._client.v1.transfers.create(
            {
                "amount": call.parameters["amount"],
                "currency": call.parameters["currency"].lower(),
                "destination": call.parameters["destination"],
                "source_transaction": call.parameters["charge"],
                "transfer_group": call.parameters["booking"],
                "metadata": _metadata(call),
            },
            {"idempotency_key": call.idempotency_key},
        )
        return TransferFact(transfer.id, transfer.amount)

    def _find_payment(self, call: Call) -> PaymentFact | None:
        if call.customer_id:  # whatever the clocks say
            found = self._client.v1.payment_intents.list({"customer": call.customer_id, "limit": PAGE})
        else:
            since = int((call.first_called_at - LOOK_BACK).timestamp())
            found = self._client.v1.payment_intents.list({"created": {"gte": since}, "limit": PAGE})
        for intent in found.auto_paging_iter():
            if _made_by(intent.metadata, call):
                return self._read(intent.id)
        return None

    def _find_transfer(self, call: Call) -> TransferFact | None:
        found = self._client.v1.transfers.list({"transfer_group": call.parameters["booking"], "limit": PAGE})
        for transfer in found.auto_paging_iter():
            if _made_by(transfer.metadata, call):
                return TransferFact(transfer.id, transfer.amount)
        return None


def notice_of(event: dict[str, Any], body: bytes) -> Notice:
    """What an event is about: its payment where it has one, else its object. A thin event names it, and a balance has no id.

    Raises: KeyError, TypeError, AttributeError (it is no event).
    """
    about = (event.get("data") or {}).get("object") or event.get("related_object") or {}
    payment = about.get("id") if about.get("object") == "payment_intent" else about.get("payment_intent")
    notice = Notice(event["id"], event["type"], payment or about.get("id") or "", event.get("account"), body)
    if not notice.id or not all(isinstance(name, str) for name in (notice.id, notice.kind, notice.object_id)):
        raise TypeError("not an event of the provider")
    return notice


def _metadata(call: Call) -> dict[str, str]:
    return {"key": call.key, "booking": call.parameters["booking"]}


def _made_by(metadata: Any, call: Call) -> bool:
    return metadata is not None and "key" in metadata and metadata["key"] == call.key


def _fact(intent: stripe.PaymentIntent) -> PaymentFact:
    state = STATES.get(intent.status)
    if state is None:
        raise Declined(f"the payment needs the payer: {intent.status}")
    charge = intent.latest_charge if isinstance(intent.latest_charge, stripe.Charge) else None
    booked = charge.balance_transaction if charge else None
    card = charge.payment_method_details.card if charge and charge.payment_method_details else None
    ends = getattr(card, "capture_before", None)
    method = intent.payment_method if isinstance(intent.payment_method, str) else None
    return PaymentFact(
        object_id=intent.id,
        state=state,
        authorised_minor=intent.amount,
        captured_minor=intent.amount_received,
        refunded_minor=charge.amount_refunded if charge else 0,
        fee_minor=booked.fee if isinstance(booked, stripe.BalanceTransaction) else 0,
        charge_id=charge.id if charge else None,
        customer_id=intent.customer if isinstance(intent.customer, str) else None,
        method_id=method,
        capture_before=datetime.fromtimestamp(ends, UTC) if ends else None,
    )


@contextmanager
def _troubles() -> Iterator[None]:
    """Stripe's errors as the four troubles."""
    try:
        yield
    except stripe.CardError as error:
        raise Declined(error.code or "card_declined") from error
    except stripe.APIConnectionError as error:
        raise NoAnswer(str(error)) from error
    except (stripe.InvalidRequestError, stripe.AuthenticationError, stripe.PermissionError, stripe.IdempotencyError) as error:
        raise Rejected(str(error)) from error
    except stripe.StripeError as error:
        raise Broken(str(error)) from error
