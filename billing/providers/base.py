"""What billing asks of a provider and what it may answer: facts, or one of four troubles."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from billing.tables import Operation, PaymentState


class Trouble(Exception):
    """A call did not end with a fact."""


class NoAnswer(Trouble):
    """Nothing came back: whether the call was carried out is unknown."""


class Broken(Trouble):
    """The provider answered with a fault of its own; it may repeat that answer for the same key for ever."""


PAYER_NEEDED = frozenset({"requires_action", "authentication_required"})
"""Codes of a bank that would say yes to the payer in person."""


class Declined(Trouble):
    """The payer's bank said no, or wants the payer; asking again in the same way is of no use.

    `object_id` is the payment or set-up that stays open at the provider, `page` where the payer can answer the bank now.
    """

    def __init__(self, code: str, object_id: str | None = None, page: str | None = None) -> None:
        super().__init__(code)
        self.code, self.object_id, self.page = code, object_id, page

    @property
    def needs_payer(self) -> bool:
        return self.code in PAYER_NEEDED


class Rejected(Trouble):
    """The provider finds the request wrong; a person must look."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Under what an order is sent: `key` is written on the object; a raised `generation` has the provider do it anew."""

    key: str
    generation: int = 1

    @property
    def idempotency_key(self) -> str:
        """
        >>> Mark("bkg_1:hold:1", 2).idempotency_key
        'bkg_1:hold:1:g2'
        """
        return f"{self.key}:g{self.generation}"


@dataclass(frozen=True, slots=True)
class Call:
    """One intention, taken out of the database so that no transaction is open while the provider is asked."""

    id: str
    key: str
    operation: Operation
    parameters: Mapping[str, Any]
    object_id: str | None
    customer_id: str | None
    method_id: str | None
    attempts: int
    generation: int
    first_called_at: datetime
    called_at: datetime
    page_id: str | None = None
    """Of the payer's page or of the card being kept."""

    @property
    def mark(self) -> Mark:
        return Mark(self.key, self.generation)

    @property
    def idempotency_key(self) -> str:
        return self.mark.idempotency_key


class Way(StrEnum):
    """How a payer may pay on a page."""

    CARD = "card"
    ALIPAY = "alipay"
    WECHAT_PAY = "wechat_pay"


class Purpose(StrEnum):
    """What a page is for."""

    PREPAY = "prepay"
    """Take the amount at once."""

    HOLD = "hold"
    """Hold the amount on a card."""

    KEEP_CARD = "keep_card"
    """Take nothing; keep a card for later."""


@dataclass(frozen=True, slots=True)
class CheckoutOrder:
    """A page to pay on: `subject` is what it is for (a booking), `name` what the payer reads; it ends at `expires_at`.

    30 minutes to 24 hours from now. Holding and keeping take cards only. In `return_url` and `cancel_url` the provider puts its
    own id of the page for {CHECKOUT_SESSION_ID}.
    """

    subject: str
    name: str
    customer_id: str
    purpose: Purpose
    ways: tuple[Way, ...]
    amount_minor: int
    currency: str
    return_url: str
    cancel_url: str
    expires_at: datetime
    language: str


@dataclass(frozen=True, slots=True)
class SetUpOrder:
    """Keep a card for later charges without its payer; `return_url` is where they come back to from their bank."""

    subject: str
    customer_id: str
    method_id: str
    return_url: str


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Ask the bank again for a payment that was declined or left, with its payer there."""

    payment_id: str
    method_id: str
    return_url: str


class RefundState(StrEnum):
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class SetupState(StrEnum):
    SUCCEEDED = "succeeded"
    NEEDS_PAYER = "needs_payer"
    NEEDS_METHOD = "needs_method"
    PROCESSING = "processing"
    CANCELLED = "cancelled"


class CheckoutState(StrEnum):
    OPEN = "open"
    COMPLETE = "complete"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class CustomerFact:
    """A payer as the provider has it; `payer` is our id of them."""

    object_id: str
    payer: str


@dataclass(frozen=True, slots=True)
class MethodFact:
    """A way to pay that is kept; brand and last four digits where it is a card."""

    object_id: str
    kind: str
    brand: str
    last4: str


@dataclass(frozen=True, slots=True)
class SetupFact:
    """A card being kept. `page` is where its payer can answer the bank; `declined` the code of the last refusal."""

    object_id: str
    state: SetupState
    customer_id: str | None
    method: MethodFact | None
    page: str | None
    declined: str | None
    made_by: str | None = None
    """The key of the call that asked for it or for its page."""


@dataclass(frozen=True, slots=True)
class CheckoutFact:
    """A page to pay on, as the provider has it; `page` is its address while it is open.

    A payment may be there before it is paid: `paid` says so, and the payment itself is the truth of what was taken or held.
    """

    object_id: str
    state: CheckoutState
    paid: bool
    payment_id: str | None
    setup_id: str | None
    customer_id: str | None
    page: str | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class RefundFact:
    """A refund as the provider has it; amounts in minor units.

    `made_by` is the key of the call that asked for it. `booked_minor` is what it has taken off the account by now: 0 while it
    is pending or after it came back.
    """

    object_id: str
    payment_id: str | None
    state: RefundState
    amount_minor: int
    booked_minor: int
    made_by: str | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class PaymentFact:
    """A payment as the provider has it; amounts in minor units.

    Refunded is what has arrived at the payer: a pending refund does not count yet, and one that came back no longer does.
    A fee of 0 may not be known yet.
    """

    object_id: str
    state: PaymentState
    authorised_minor: int
    captured_minor: int
    refunded_minor: int
    fee_minor: int
    charge_id: str | None
    customer_id: str | None
    method_id: str | None
    capture_before: datetime | None
    refunds: tuple[RefundFact, ...] = ()
    made_by: str | None = None
    """The key of the call that asked for it or for its page."""


@dataclass(frozen=True, slots=True)
class TransferFact:
    """A transfer to an institution as the provider has it."""

    object_id: str
    amount_minor: int


Fact = PaymentFact | TransferFact | SetupFact | CheckoutFact


@dataclass(frozen=True, slots=True)
class MovementFact:
    """A movement of the account at the provider, of which it keeps the fee; amounts in minor units.

    `about` is the payment that it belongs to, or the charge that a transfer came from.
    """

    object_id: str
    kind: str
    source_id: str | None
    about: str | None
    amount_minor: int
    fee_minor: int
    currency: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class MadeFact:
    """A payment or transfer that was made under one of our keys; `holds_money` while it holds or after it has moved some."""

    object_id: str
    key: str
    amount_minor: int
    currency: str
    holds_money: bool


@dataclass(frozen=True, slots=True)
class Notice:
    """An event of the provider: which object it is about."""

    id: str
    kind: str
    object_id: str
    account: str | None
    body: bytes


class Provider(Protocol):
    """All answer with facts or raise a Trouble; what changes something does it once for its key."""

    def perform(self, call: Call) -> Fact:
        """Carry the call out under its key."""

    def look(self, call: Call) -> Fact | None:
        """What the provider has of the call's effect; None where it is proved that there is none."""

    def confirm(self, order: Confirmation, mark: Mark) -> PaymentFact:
        """Ask the bank again, with the payer there."""

    def read_payment(self, object_id: str) -> PaymentFact:
        """A payment as it is now."""

    def read_page(self, object_id: str) -> PaymentFact | SetupFact | CheckoutFact:
        """What came of a page: its payment or its card once there is one, else the page as it is now."""

    def read_refund(self, object_id: str) -> RefundFact:
        """A refund as it is now."""

    def find_customer(self, payer: str) -> CustomerFact | None:
        """The customer of one of our payers."""

    def customer_for(self, payer: str, generation: int = 1) -> CustomerFact:
        """The customer of one of our payers, made where there is none."""

    def set_up(self, order: SetUpOrder, mark: Mark) -> SetupFact:
        """Keep a card."""

    def read_setup(self, object_id: str) -> SetupFact:
        """A card being kept, as it is now."""

    def find_setup(self, customer_id: str, mark: Mark) -> SetupFact | None:
        """What a set-up that was sent under the mark has come to."""

    def open_checkout(self, order: CheckoutOrder, mark: Mark) -> CheckoutFact:
        """Open a page to pay on."""

    def read_checkout(self, object_id: str) -> CheckoutFact:
        """A page to pay on, as it is now."""

    def find_checkout(self, customer_id: str, mark: Mark) -> CheckoutFact | None:
        """The page that was opened under the mark."""

    def expire_checkout(self, object_id: str, mark: Mark) -> CheckoutFact:
        """Close a page that was not paid; one that is closed or paid already stays as it is."""

    def movements_since(self, moment: datetime) -> list[MovementFact]:
        """Every movement of the account after `moment`, newest first."""

    def made_since(self, moment: datetime) -> list[MadeFact]:
        """Payments and transfers that were made after `moment` under our keys."""

    def available(self) -> Mapping[str, int]:
        """What can be paid out now, in minor units by upper-case currency."""

    def events_since(self, moment: datetime) -> list[Notice]:
        """Events after `moment`, oldest first."""
