"""The chain finder: steps in a row, and the proposals that answer them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from marketplace.money import Money
from marketplace.slot import Slot
from web.views.frame import EMPTY_FORM, Choice, Form, Live


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step as it was typed; lengths and gaps in hours."""

    number: int
    """From 1."""
    text: str = ""
    hours: str = ""
    gap_min: str = ""
    gap_max: str = ""
    kinds: Sequence[Choice] = ()
    assisted: bool = False


@dataclass(frozen=True, slots=True)
class PartRow:
    """One step of a proposal; `x` and `width` place it in the proposal's time, 0 to 100."""

    number: int
    resource_id: str
    name: str
    foreign: str | None
    institution: str
    slot: Slot
    zone: str
    price: Money
    x: float = 0.0
    width: float = 100.0
    by_request: bool = False
    assisted: bool = False
    live: Live | None = None
    """What the equipment does now."""


@dataclass(frozen=True, slots=True)
class ProposalCard:
    """A chain that can be booked whole; `best` names what it is first in."""

    parts: Sequence[PartRow]
    slot: Slot
    zone: str
    totals: Sequence[Money]
    houses: int
    best: Sequence[str]
    review_url: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why there is no proposal: no_match, no_length or no_time of a step, no_order or over_budget of the whole."""

    code: str
    step: StepRow | None = None


@dataclass(frozen=True, slots=True)
class ChainsView:
    """GET /{lang}/chains."""

    steps: Sequence[StepRow]
    day: date | None
    until: date | None
    budget: str
    district: str
    sorts: Sequence[Choice]
    organisations: Sequence[Choice]
    proposals: Sequence[ProposalCard] = ()
    problems: Sequence[Problem] = ()
    form: Form = EMPTY_FORM
    may_add: bool = True
    live_url: str = ""


@dataclass(frozen=True, slots=True)
class ReviewView:
    """GET /{lang}/chains/review: what is booked together, before it is."""

    parts: Sequence[PartRow]
    tokens: Sequence[str]
    """The parts as the form sends them back."""
    totals: Sequence[Money]
    organisation_id: str
    organisation: str | None
    key: str
    purpose: str = ""
    refusal: str | None = None
    reasons: Sequence[str] = field(default_factory=tuple)
    alternatives: Sequence[str] = ()
    """Addresses of this page with all parts moved together, for each nearest way out."""
    alternative_slots: Sequence[Slot] = ()
    back_url: str = ""
    live_url: str = ""
