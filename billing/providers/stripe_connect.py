"""Stripe Connect, separate charges and transfers; the only place that speaks to stripe-python."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any

import stripe
from stripe.params import PaymentIntentCreateParams

from billing.providers import stripe_orders as orders
from billing.providers.base import (
    Call,
    CheckoutFact,
    CheckoutOrder,
    CheckoutState,
    Confirmation,
    CustomerFact,
    Fact,
    MadeFact,
    Mark,
    MovementFact,
    Notice,
    PaymentFact,
    RefundFact,
    SetupFact,
    SetUpOrder,
    TransferFact,
)
from billing.providers.stripe_facts import checkout_of, made_of, movement_of, payment_of, refund_of, setup_of, troubles
from billing.tables import Operation, PaymentState

API_VERSION = "2026-10-28.endive"
TIMEOUT_S = 30
PAGE = 100
MOST_EVENTS = 5000
"""So many a sweep reads back: without any webhook a busy day must not fall out of it."""

LOOK_BACK = timedelta(hours=1)
"""Objects are looked for from so long before the first call on, for clocks that differ."""


BACK = "http://127.0.0.1:8000/{language}/bookings/{booking}/payment/back"
"""Where a payer comes back to, where nothing else is said."""


class StripeConnect:
    """One provider: `key` is a secret key, `api_base` another address of the API (the stand-in's), or empty for Stripe.

    `http` carries the requests; without one they go over the network. `back` is where a payer comes back to from a page of the
    provider's or their bank's.
    """

    def __init__(
        self,
        key: str,
        api_base: str = "",
        timeout_s: float = TIMEOUT_S,
        http: stripe.HTTPClient | None = None,
        back: str = BACK,
    ) -> None:
        self._back = back
        addresses: dict[str, str] = {"api": api_base.rstrip("/")} if api_base else {}
        self._stripe = stripe.StripeClient(
            key,
            stripe_version=API_VERSION,
            base_addresses=addresses,  # type: ignore[arg-type]  # a TypedDict of optional addresses
            max_network_retries=0,
            http_client=http or stripe.RequestsClient(timeout=timeout_s),
        ).v1

    def perform(self, call: Call) -> Fact:
        """Raises: NoAnswer, Broken, Declined, Rejected."""
        with troubles():
            match call.operation:
                case Operation.HOLD | Operation.CHARGE:
                    return self._pay(self._order_of(call), call.mark)
                case Operation.CAPTURE:
                    return self._capture(call)
                case Operation.RELEASE:
                    return self._release(call)
                case Operation.REFUND:
                    return self._refund(call)
                case Operation.TRANSFER:
                    return self._transfer(call)
                case _:
                    return self._with_payer(call)

    def look(self, call: Call) -> Fact | None:
        """Raises: NoAnswer, Broken, Declined, Rejected."""
        with troubles():
            if call.operation in {Operation.HOLD, Operation.CHARGE}:
                return self._find_payment(call)
            if call.operation is Operation.TRANSFER:
                return self._find_transfer(call)
            if call.operation in {Operation.KEEP, Operation.PAGE}:
                return self._find_page(call)
            if call.operation in {Operation.READ, Operation.CLOSE}:
                found = self.read_page(call.page_id or "")
                still_open = isinstance(found, CheckoutFact) and found.state is CheckoutState.OPEN
                return None if still_open and call.operation is Operation.CLOSE else found
            fact = self._read(call.object_id or "")
            wanted = {
                Operation.CAPTURE: fact.state is PaymentState.CAPTURED,
                Operation.RELEASE: fact.state is PaymentState.RELEASED,
                Operation.REFUND: any(refund.made_by == call.key for refund in fact.refunds),
            }
            return fact if wanted[call.operation] else None

    def confirm(self, order: Confirmation, mark: Mark) -> PaymentFact:
        """Raises: NoAnswer, Broken, Rejected, Declined (with the page where the payer answers the bank)."""
        with troubles():
            asked = orders.confirm(order)
            return self._whole(self._stripe.payment_intents.confirm(order.payment_id, asked, _under(mark)))

    def read_payment(self, object_id: str) -> PaymentFact:
        """Raises: NoAnswer, Broken, Rejected, Declined."""
        with troubles():
            return self._read(object_id)

    def read_page(self, object_id: str) -> PaymentFact | SetupFact | CheckoutFact:
        """Raises: NoAnswer, Broken, Rejected, Declined."""
        return self._follow(self.read_checkout(object_id))

    def read_refund(self, object_id: str) -> RefundFact:
        """Raises: NoAnswer, Broken, Rejected."""
        with troubles():
            return refund_of(self._stripe.refunds.retrieve(object_id))

    def find_customer(self, payer: str) -> CustomerFact | None:
        """The oldest where there are several. A new one is found after a minute at most. Raises: NoAnswer, Broken, Rejected."""
        with troubles():
            found = self._stripe.customers.search({"query": f"metadata['payer']:'{payer}'", "limit": PAGE})
            oldest = min(found.data, key=lambda one: (one.created, one.id), default=None)
            return CustomerFact(oldest.id, payer) if oldest else None

    def customer_for(self, payer: str, generation: int = 1) -> CustomerFact:
        """One for each payer: the key is the payer's own, so two calls at once make one. Raises: NoAnswer, Broken, Rejected."""
        if known := self.find_customer(payer):
            return known
        with troubles():
            mark = Mark(f"{payer}:customer", generation)
            made = self._stripe.customers.create({"metadata": {"payer": payer}}, _under(mark))
            return CustomerFact(made.id, payer)

    def set_up(self, order: SetUpOrder, mark: Mark) -> SetupFact:
        """Raises: NoAnswer, Broken, Rejected, Declined. A bank that wants the payer is no trouble but a state."""
        with troubles():
            return setup_of(self._stripe.setup_intents.create(orders.set_up(order, mark), _under(mark)))

    def read_setup(self, object_id: str) -> SetupFact:
        """Raises: NoAnswer, Broken, Rejected."""
        with troubles():
            return setup_of(self._stripe.setup_intents.retrieve(object_id, {"expand": orders.EXPAND_SETUP}))

    def find_setup(self, customer_id: str, mark: Mark) -> SetupFact | None:
        """Raises: NoAnswer, Broken, Rejected."""
        with troubles():
            made = self._stripe.setup_intents.list({"customer": customer_id, "limit": PAGE}).auto_paging_iter()
            found = next((intent.id for intent in made if _made_by(intent.metadata, mark.key)), None)
        return self.read_setup(found) if found else None

    def open_checkout(self, order: CheckoutOrder, mark: Mark) -> CheckoutFact:
        """Raises: NoAnswer, Broken, Rejected."""
        with troubles():
            return checkout_of(self._stripe.checkout.sessions.create(orders.checkout(order, mark), _under(mark)))

    def read_checkout(self, object_id: str) -> CheckoutFact:
        """Raises: NoAnswer, Broken, Rejected."""
        with troubles():
            return checkout_of(self._stripe.checkout.sessions.retrieve(object_id))

    def find_checkout(self, customer_id: str, mark: Mark) -> CheckoutFact | None:
        """Raises: NoAnswer, Broken, Rejected."""
        with troubles():
            made = self._stripe.checkout.sessions.list({"customer": customer_id, "limit": PAGE}).auto_paging_iter()
            return next((checkout_of(session) for session in made if _made_by(session.metadata, mark.key)), None)

    def expire_checkout(self, object_id: str, mark: Mark) -> CheckoutFact:
        """One that is closed or paid already stays as it is. Raises: NoAnswer, Broken, Rejected."""
        with troubles():
            try:
                return checkout_of(self._stripe.checkout.sessions.expire(object_id, {}, _under(mark)))
            except stripe.InvalidRequestError:
                known = self._stripe.checkout.sessions.retrieve(object_id)
                if known.status == "open":
                    raise
                return checkout_of(known)

    def events_since(self, moment: datetime) -> list[Notice]:
        """The newest `MOST_EVENTS`, oldest first. Raises: NoAnswer, Broken, Rejected."""
        with troubles():
            page = self._stripe.events.list({"created": {"gte": int(moment.timestamp())}, "limit": PAGE})
            newest = list(islice(page.auto_paging_iter(), MOST_EVENTS))
            return [notice_of(event.to_dict(), str(event).encode()) for event in reversed(newest)]

    def balance(self) -> dict[str, int]:
        """Net of every movement of the account, by upper-case currency: what the ledger's PSP must equal."""
        with troubles():
            sums: dict[str, int] = defaultdict(int)
            for booked in self._stripe.balance_transactions.list({"limit": PAGE}).auto_paging_iter():
                sums[booked.currency.upper()] += booked.net
            return dict(sums)

    def movements_since(self, moment: datetime) -> list[MovementFact]:
        """Raises: NoAnswer, Broken, Rejected."""
        with troubles():
            asked = {"created": {"gte": int(moment.timestamp())}, "limit": PAGE, "expand": ["data.source"]}
            found = self._stripe.balance_transactions.list(asked)  # type: ignore[arg-type]
            return [movement_of(booked) for booked in found.auto_paging_iter()]

    def made_since(self, moment: datetime) -> list[MadeFact]:
        """Raises: NoAnswer, Broken, Rejected."""
        with troubles():
            since = int(moment.timestamp())
            intents = self._stripe.payment_intents.list({"created": {"gte": since}, "limit": PAGE}).auto_paging_iter()
            transfers = self._stripe.transfers.list({"created": {"gte": since}, "limit": PAGE}).auto_paging_iter()
            return [made for thing in chain[Any](intents, transfers) if (made := made_of(thing)) is not None]

    def available(self) -> dict[str, int]:
        """What can be paid out now, by upper-case currency. Raises: NoAnswer, Broken, Rejected."""
        with troubles():
            return {part.currency.upper(): part.amount for part in self._stripe.balance.retrieve().available}

    def _read(self, object_id: str) -> PaymentFact:
        return self._whole(self._stripe.payment_intents.retrieve(object_id, {"expand": orders.EXPAND}))

    def _whole(self, intent: stripe.PaymentIntent) -> PaymentFact:
        """With every refund: the charge brings the newest along, further ones are asked for."""
        brought = intent.latest_charge.refunds if isinstance(intent.latest_charge, stripe.Charge) else None
        refunds: Iterable[stripe.Refund] = brought.data if brought else ()
        if brought and brought.has_more:
            refunds = self._stripe.refunds.list({"payment_intent": intent.id, "limit": PAGE}).auto_paging_iter()
        return payment_of(intent, refunds)

    def _customer_of(self, call: Call) -> str:
        """The call's customer; of the payer it names; else one of its own."""
        if call.customer_id:
            return call.customer_id
        if payer := call.parameters.get("payer"):
            return self.customer_for(payer, call.generation).object_id
        asked = {"booking": call.parameters["booking"]}
        mark = Mark(f"{call.idempotency_key}:customer")
        return self._stripe.customers.create({"metadata": asked}, _under(mark)).id

    def _with_payer(self, call: Call) -> Fact:
        """What is about a page or a card of the payer's."""
        if call.operation is Operation.KEEP:
            return self.set_up(self._card_order(call), call.mark)
        if call.operation is Operation.PAGE:
            return self.open_checkout(orders.page(call, self._customer_of(call), self._back_of(call)), call.mark)
        if call.operation is Operation.CLOSE:
            return self._follow(self.expire_checkout(call.page_id or "", call.mark))
        return self.read_page(call.page_id or "")

    def _back_of(self, call: Call) -> str:
        return self._back.format(language=call.parameters.get("language", "zh"), booking=call.parameters["booking"])

    def _card_order(self, call: Call) -> SetUpOrder:
        return SetUpOrder(call.parameters["booking"], self._customer_of(call), call.method_id or "", self._back_of(call))

    def _follow(self, page: CheckoutFact) -> PaymentFact | SetupFact | CheckoutFact:
        """A page that is done to what it was for. While it is open its payment may be one that was declined."""
        if page.state is CheckoutState.COMPLETE and page.payment_id:
            return self.read_payment(page.payment_id)
        if page.state is CheckoutState.COMPLETE and page.setup_id:
            return self.read_setup(page.setup_id)
        return page

    def _find_page(self, call: Call) -> Fact | None:
        """The page or the kept card that a call whose answer was lost has made."""
        customer = self.find_customer(call.parameters["payer"])
        if customer is None:
            return None
        if call.operation is Operation.KEEP:
            return self.find_setup(customer.object_id, call.mark)
        page = self.find_checkout(customer.object_id, call.mark)
        return self._follow(page) if page else None

    def _order_of(self, call: Call) -> PaymentIntentCreateParams:
        if call.operation is Operation.CHARGE:
            return orders.charge(call)
        return orders.hold(call, self._customer_of(call), self._back_of(call))

    def _pay(self, order: PaymentIntentCreateParams, mark: Mark) -> PaymentFact:
        return self._whole(self._stripe.payment_intents.create(order, _under(mark)))

    def _capture(self, call: Call) -> PaymentFact:
        captured = self._stripe.payment_intents.capture(
            call.object_id or "",
            {"amount_to_capture": call.parameters["amount"], "expand": orders.EXPAND},
            _under(call.mark),
        )
        return self._whole(captured)

    def _release(self, call: Call) -> PaymentFact:
        released = self._stripe.payment_intents.cancel(call.object_id or "", {"expand": orders.EXPAND}, _under(call.mark))
        return self._whole(released)

    def _refund(self, call: Call) -> PaymentFact:
        self._stripe.refunds.create(
            {
                "payment_intent": call.object_id or "",
                "amount": call.parameters["amount"],
                "metadata": orders.metadata_of(call),
            },
            _under(call.mark),
        )
        return self._read(call.object_id or "")

    def _transfer(self, call: Call) -> TransferFact:
        transfer = self._stripe.transfers.create(
            {
                "amount": call.parameters["amount"],
                "currency": call.parameters["currency"].lower(),
                "destination": call.parameters["destination"],
                "source_transaction": call.parameters["charge"],
                "transfer_group": call.parameters["booking"],
                "metadata": orders.metadata_of(call),
            },
            _under(call.mark),
        )
        return TransferFact(transfer.id, transfer.amount)

    def _find_payment(self, call: Call) -> PaymentFact | None:
        if call.customer_id:  # whatever the clocks say
            found = self._stripe.payment_intents.list({"customer": call.customer_id, "limit": PAGE})
        else:
            since = int((call.first_called_at - LOOK_BACK).timestamp())
            found = self._stripe.payment_intents.list({"created": {"gte": since}, "limit": PAGE})
        made = (intent.id for intent in found.auto_paging_iter() if _made_by(intent.metadata, call.key))
        known = next(made, None)
        return self._read(known) if known else None

    def _find_transfer(self, call: Call) -> TransferFact | None:
        found = self._stripe.transfers.list({"transfer_group": call.parameters["booking"], "limit": PAGE})
        for transfer in found.auto_paging_iter():
            if _made_by(transfer.metadata, call.key):
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


def _under(mark: Mark) -> stripe.RequestOptions:
    return {"idempotency_key": mark.idempotency_key}


def _made_by(metadata: Any, key: str) -> bool:
    return metadata is not None and "key" in metadata and metadata["key"] == key
