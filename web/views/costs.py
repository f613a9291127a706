"""What a time would cost, by what comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from marketplace.money import Money
from marketplace.slot import Slot
from web.views.frame import EMPTY_FORM, Choice, Form
from web.views.resource import QuoteLine


@dataclass(frozen=True, slots=True)
class CostRow:
    """One way it may go: used whole, used in part, overrun, missed, cancelled at an instant."""

    code: str
    """whole, three_quarters, half, as_typed, over, missed, cancelled."""
    minutes: int
    """Of run; nothing where it is missed or cancelled."""
    charge: Money
    lines: Sequence[QuoteLine] = ()
    at: datetime | None = None
    """When it is cancelled."""
    back: Money | None = None
    """Of what is secured on a card, what is released."""


@dataclass(frozen=True, slots=True)
class CostView:
    """GET /{lang}/r/{id}/cost."""

    resource_id: str
    resource: str
    zone: str
    capacity: int
    organisations: Sequence[Choice]
    assistance: str
    """none, optional or required."""
    form: Form = EMPTY_FORM
    slot: Slot | None = None
    quote: Money | None = None
    """At most, for the time booked."""
    hold: Money | None = None
    """Secured on a card; None where the firm pays by bank."""
    price_class: str | None = None
    rows: Sequence[CostRow] = ()
