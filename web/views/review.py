"""Everything about a booking before it is made."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from marketplace.money import Money
from marketplace.slot import Slot
from web.views.frame import Badge, Choice, Form
from web.views.programmes import Parts
from web.views.resource import Fact, Quote, RefusalPanel
from web.views.series import GapRow


@dataclass(frozen=True, slots=True)
class CancelStep:
    """Cancelling until then costs so much; `until` is None for whatever is later, not coming included."""

    until: datetime | None
    percent: str
    fee: Money


@dataclass(frozen=True, slots=True)
class Repeating:
    """The booking repeated: what is offered, and what would be made of what was chosen."""

    repeats: Sequence[Choice]
    conflicts: Sequence[Choice]
    most: int
    form: Form
    """As typed."""
    asked: bool = False
    rule: str | None = None
    """In words; None where it is not to repeat, or cannot be so."""
    made: Sequence[Slot] = ()
    gaps: Sequence[GapRow] = ()
    total: Money | None = None
    """At most, for all that would be made; None where none would be."""


@dataclass(frozen=True, slots=True)
class ReviewView:
    """GET /{lang}/r/{id}/review."""

    resource_id: str
    resource: str
    institution: str
    address: str | None
    zone: str
    slot: Slot
    quote: Quote
    programmes: Parts | None
    """What of the price the firm's programmes would pay."""
    assistance: str
    """Whether an operator stands by: none, optional, required."""
    assisted: bool
    cancelling: Sequence[CancelStep]
    facts: Sequence[Fact]
    terms: Sequence[Fact]
    """What is billed."""
    setup: Slot | None
    """Claimed before it, at no charge."""
    cleaning: Slot | None
    by_request: bool
    answer_by: datetime | None
    """When the institution will have answered; None: by the start."""
    hold_min: int | None
    """For how long the time is held while a card is checked, where one pays by card."""
    organisations: Sequence[Choice]
    organisation: str | None
    """For whom, where there is no choice."""
    purpose: str
    key: str
    signed_in: bool
    back_url: str
    live: Badge
    quantity: int
    capacity: int
    repeating: Repeating
    shown: str
    """What the price and the times on this page are for; a form that says something else is shown again first."""
    kept: str
    """What was typed but the time, for addresses of other times."""
    override: str | None = None
    """Why the publisher's own rules do not count this time, as typed; None where that is not the reader's to say, or no help."""
    refusal: RefusalPanel | None = None
    funding: str | None = None
    """card or wallet, as chosen; None where there is no choice."""
    closed: str | None = None
