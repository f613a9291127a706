"""What can be done with a booking: move it, hand it over, exchange it, rate it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from marketplace.slot import Slot
from web.views.frame import EMPTY_FORM, Choice, Form


@dataclass(frozen=True, slots=True)
class Instead:
    """What a booking would have instead."""

    slot: Slot
    resource_id: str
    resource: str
    zone: str


@dataclass(frozen=True, slots=True)
class SwapRow:
    """A proposal to exchange this booking with another one, known by its number."""

    id: str
    with_id: str
    answer_by: datetime
    offer: Instead | None
    """Of one that waits for the reader's side; None of what the reader proposed: until they agree it is the other's to tell."""


@dataclass(frozen=True, slots=True)
class RatingView:
    stars: int
    comment: str | None
    """None where the reader may not know it."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The offers of a booking's page; each is empty where it is not for the reader or not possible any more."""

    can_move: bool
    start: str
    end: str
    """As fields of date and time carry them."""
    keeps_fee: bool
    """What cancelling costs now it costs after a move too."""
    asks_again: bool
    """The institution must agree to another time; if it does not, that is owed all the same."""
    can_hand_over: bool
    colleagues: Sequence[Choice]
    """Empty where the colleague is named by an address."""
    can_swap: bool
    own: Sequence[Choice]
    """The reader's other bookings in the house, by number."""
    swaps: Sequence[SwapRow]
    can_rate: bool
    stars: Sequence[Choice]
    rating: RatingView | None
    grounds: Sequence[Choice]
    """Why a request may be declined."""
    asks_why: bool
    """Whether cancelling takes a request back, for which a reason is kept."""
    form: Form = EMPTY_FORM
    refused: Sequence[str] = ()
    """Every reason why the last step was refused, but for what is taken."""
    taken: Sequence[Slot] = ()
    """The parts of what was asked that are taken, never by whom."""
    ways: Sequence[Slot] = ()
    """The nearest times of the same length that are free."""
