"""The payment of a booking and its state, for the firm and the house."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from marketplace.money import Money
from marketplace.slot import Slot


@dataclass(frozen=True, slots=True)
class Move:
    """One step of the money; `code` is a word of web.billing_words MOVE."""

    code: str
    amount: Money
    at: datetime | None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class OpenPage:
    """A page of the provider's where the payer can do something now."""

    url: str
    what: str
    """prepay, hold, keep_card, or bank where a bank has asked."""
    amount: Money
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class PaymentView:
    """GET /{lang}/bookings/{id}/payment."""

    booking_id: str
    resource: str
    slot: Slot
    zone: str
    state: str
    funding: str
    quote: Money
    hold_until: datetime | None
    moves: Sequence[Move]
    owed: Money
    """By the firm, of what was accepted."""
    back: Money
    """On its way back to the firm."""
    stuck: Money
    """Came back from there; it is sent again."""
    page: OpenPage | None
    need: str | None
    """rest or hold: what can be asked a page for; None where nothing can."""
    need_amount: Money | None
    too_little: bool
    """What is owed is less than can be paid online."""
    charging: bool
    """The card is being asked, or a page is being opened or looked at."""
    can_pay: bool
    statement_url: str | None
    polls: bool = False
    looks: int = 0
    refusal: str | None = None
