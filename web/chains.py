"""Process chains across houses: steps in an order, answered with whole chains that can be booked as one bundle."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from billing.quotes import actions as quotes
from billing.quotes.queries import Terms, terms_of
from booking import terms
from booking.admission import Wish, decide
from booking.finding import chains
from booking.finding import queries as finding
from booking.finding.askers import Asker
from booking.finding.chains import Chain, Option
from booking.finding.queries import Known, Wanted
from booking.occupancy import Taken
from booking.quotas import Use
from booking.tables import Category
from booking.writing import spans_of
from marketplace.catalogue import queries as catalogue
from marketplace.catalogue.search import Chosen, Row, matching
from marketplace.ids import is_operator
from marketplace.money import Money
from marketplace.permissions import Actor
from marketplace.refusals import Invalid, NotAllowed
from marketplace.slot import Slot
from marketplace.tables import ListingState, Resource, ResourceKind
from web.finding import askers_of, prices_in

MOST_STEPS = 8
MOST_DAYS = 31
MOST_OPTIONS = 24
"""Resources that are looked at for one step: the best matches, and the cheapest of two that match alike."""
MOST_PROPOSALS = 10


@dataclass(frozen=True, slots=True)
class AskedStep:
    """What must be done, by words, kind or a resource of one's choice; for how long, and how soon after the step before."""

    text: str = ""
    kind: ResourceKind | None = None
    resource_id: str | None = None
    length: timedelta = timedelta(hours=1)
    quantity: int = 1
    gap_min: timedelta = timedelta()
    gap_max: timedelta | None = None
    assisted: bool = False
    """With an operator of the institution."""


@dataclass(frozen=True, slots=True)
class AskedChain:
    """Steps in their order, all of them inside `within`."""

    steps: Sequence[AskedStep]
    within: Slot
    budget: Money | None = None
    district: str | None = None
    """Where one would rather have it."""
    organisation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A step of a proposal as it can be booked, with what its quote will be."""

    resource: Resource
    slot: Slot
    quantity: int
    price: Money
    assisted: bool


@dataclass(frozen=True, slots=True)
class Proposal:
    """A whole chain; `best` says what it is first in: earliest, cheapest, fewest."""

    parts: Sequence[Part]
    totals: Sequence[Money]
    houses: int
    best: Sequence[str] = ()

    @property
    def slot(self) -> Slot:
        return Slot(self.parts[0].slot.start, self.parts[-1].slot.end)


@dataclass(frozen=True, slots=True)
class Answer:
    """Proposals, best first; without one, why: by number of the step (from 0), or for the chain as a whole."""

    proposals: Sequence[Proposal]
    unserved: Mapping[int, str] = field(default_factory=dict)
    """no_match: nothing can do the step; no_length: what can is not booked for so long; no_time: it is not free in the window."""
    why: str | None = None
    """no_order: each step is possible, but not one after the other; over_budget: only dearer ones."""


SORTS: Mapping[str, Callable[[Chain], tuple[Any, ...]]] = {
    "earliest": lambda chain: (chain.end, chain.strange, chain.cost),
    "cheapest": lambda chain: (chain.cost, chain.strange, chain.end),
    "fewest": lambda chain: (len(chain.houses), chain.strange, chain.end, chain.cost),
}


def propose(session: Session, *, actor: Actor, asked: AskedChain, sort: str, limit: int, now: datetime) -> Answer:
    """Up to `limit` chains. Each would be granted as a whole and at its prices if it were booked at once; nothing is stored.

    Raises: NotFound, NotAllowed, Invalid (one must say for which organisation).
    """
    asker = asker_for(session, actor, asked.organisation_id)
    rows = [_matching(session, step, asked) for step in asked.steps]
    every = {row.id for found in rows for row in found}
    world = _World(
        asked,
        asker,
        finding.read(session, every, wanted=Wanted(asked.within), askers=[asker]),
        {row.id: row for row in catalogue.resources(session, every)},
        terms_of(session, every),
        now,
    )
    steps = [_step(world, step, found) for step, found in zip(asked.steps, rows, strict=True)]
    unserved = {n: _why_not(world, asked.steps[n], found) for n, found in enumerate(rows) if not steps[n].options}
    if unserved:
        return Answer([], unserved)
    found_chains = chains.chains(steps, asked.within.start, asked.budget)
    granted = [one for one in found_chains if _granted(session, world, one)]
    if not granted:
        possible = asked.budget and chains.earliest(steps, asked.within.start)
        return Answer([], why="over_budget" if possible else "no_order")
    return Answer(_ranked(world, granted, sort)[:limit])


@dataclass(frozen=True, slots=True)
class _World:
    """What is asked, by whom, and everything that was read for it."""

    asked: AskedChain
    asker: Asker
    known: Known
    resources: Mapping[str, Resource]
    terms: Mapping[str, Terms]
    """By resource, of those that have a policy of their own."""
    now: datetime


def asker_for(session: Session, actor: Actor, organisation_id: str | None) -> Asker:
    """For whom the actor books all steps. Raises: NotFound, NotAllowed, Invalid (one must say for whom)."""
    askers = askers_of(session, actor, organisation_id)
    if len(askers) > 1:
        raise Invalid(field="organisation_id", reason="you belong to several organisations, say for which one")
    if askers[0].organisation_id is None and not askers[0].houses:
        raise NotAllowed(action="book_without_organisation")
    return askers[0]


def _matching(session: Session, step: AskedStep, asked: AskedChain) -> list[Row]:
    """What can do the step, best first."""
    matches = matching(session, text=step.text).of(Chosen(kind=step.kind))
    rows = [row for row in matches.rows if row.state is ListingState.PUBLISHED and step.resource_id in {None, row.id}]
    if asked.budget:
        rows = [row for row in rows if row.currency == asked.budget.currency]
    rows.sort(key=lambda row: (asked.district not in {None, row.district}, -matches.score(row.id), row.price_minor, row.id))
    return rows[:MOST_OPTIONS]


def _step(world: _World, step: AskedStep, rows: Sequence[Row]) -> chains.Step:
    options = [_option(world, row, step) for row in rows]
    return chains.Step([one for one in options if one], step.gap_min, step.gap_max)


def _why_not(world: _World, step: AskedStep, rows: Sequence[Row]) -> str:
    if not rows:
        return "no_match"
    slot = Slot(world.now, world.now + step.length)
    return "no_time" if any(terms.may_last(slot, world.known.places[row.id].rules) for row in rows) else "no_length"


def _option(world: _World, row: Row, step: AskedStep) -> Option | None:
    """None where it cannot be booked, or not for that long in the window."""
    place, asker, asked = world.known.places.get(row.id), world.asker, world.asked
    if place is None or (asker.organisation_id is None and row.institution_id not in asker.houses):
        return None
    wanted = Wanted(asked.within, step.length, step.quantity, step.assisted)
    room = finding.room_of(world.known, place, asker, wanted, world.now)
    first = room.first() if room else None
    if room is None or first is None:
        return None
    resource = world.resources[row.id]
    prices = prices_in(resource.price, room, world.terms, assisted=step.assisted)
    price = quotes.quote_slot(prices=prices, slot=first, quantity=step.quantity)
    machines = frozenset(one for one in place.claimed if not is_operator(one))
    favoured = asked.district in {None, row.district}
    return Option(row.id, row.institution_id, price, room.starts, machines, place.rules.buffers, favoured)


def _granted(session: Session, world: _World, chain: Chain) -> bool:
    """Whether admission says yes to each leg beside those before it."""
    known, asker = world.known, world.asker
    claims = {key: list(held) for key, held in known.claims.items()}
    uses: dict[str, list[Use]] = {}
    for number, (leg, step) in enumerate(zip(chain.legs, world.asked.steps, strict=True)):
        place, quantity = known.places[leg.option.resource_id], step.quantity
        firm = asker.at(place.institution_id).organisation_id
        wish = Wish(place.resource_id, leg.slot, asker.person_id or "", firm, Category.EXT, quantity, assisted=step.assisted)
        beside = uses.setdefault(place.resource_id, [])
        decision = decide(session, place, wish, claims, now=world.now, beside=beside)
        if decision.reasons:
            return False
        beside.append(Use(leg.slot, wish.person_id, firm, quantity))
        for resource_id, units in decision.units.items():
            spans = spans_of(resource_id, leg.slot, place.rules.buffers)
            held = [Taken(f"leg{number}", unit, lane, span) for unit in units for lane, span in enumerate(spans)]
            claims.setdefault(resource_id, []).extend(held)
    return True


def _ranked(world: _World, found: Sequence[Chain], sort: str) -> list[Proposal]:
    """In the order of `sort`, and what is first in another right after the first."""
    best = {name: min(found, key=key) for name, key in SORTS.items()}
    others = [id(one) for one in best.values()]
    ordered = sorted(found, key=lambda chain: (chain is not best[sort], id(chain) not in others, SORTS[sort](chain)))
    return [_proposal(world, chain, [name for name, one in best.items() if one is chain]) for chain in ordered]


def _proposal(world: _World, chain: Chain, best: Sequence[str]) -> Proposal:
    parts = [
        Part(world.resources[leg.option.resource_id], leg.slot, step.quantity, leg.option.price, step.assisted)
        for leg, step in zip(chain.legs, world.asked.steps, strict=True)
    ]
    return Proposal(parts, chain.totals, len(chain.houses), best)
