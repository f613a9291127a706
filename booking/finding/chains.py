"""Steps that follow each other on several resources: which resource and when for each, so that all of them fit.

The earliest chain is exact: a step begins at the first start that its options have after the one before, and where the longest
gap is broken the step before begins later. What is cheapest, or in the fewest houses, is sought within bounded tries.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import combinations

from booking.fitting import Starts
from booking.occupancy import Buffers, Gap
from marketplace.money import Money, by_currency
from marketplace.slot import Slot

MOST_MOVES = 400
"""Times that a step is placed while one chain is sought."""
MOST_TRIES = 60
"""Choices of resources that are tried, cheapest first, and pairs of houses."""


@dataclass(frozen=True, slots=True)
class Option:
    """A resource that can do a step: where it may begin, what it costs and whose it is."""

    resource_id: str
    house: str
    price: Money
    starts: Starts
    claimed: frozenset[str]
    """The resources that its use takes."""
    buffers: Buffers
    favoured: bool = True
    """Whether it is where the customer would rather have it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what could do it, and how long after the one before it begins, at least and at most."""

    options: Sequence[Option]
    gap_min: timedelta = timedelta()
    gap_max: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Leg:
    """A step on a resource at a time."""

    option: Option
    slot: Slot


@dataclass(frozen=True, slots=True)
class Chain:
    """All steps in their order."""

    legs: Sequence[Leg]

    @property
    def end(self) -> datetime:
        return self.legs[-1].slot.end

    @property
    def houses(self) -> frozenset[str]:
        return frozenset(leg.option.house for leg in self.legs)

    @property
    def strange(self) -> int:
        """Steps that are not where they are favoured."""
        return sum(not leg.option.favoured for leg in self.legs)

    @property
    def totals(self) -> list[Money]:
        """One sum a currency."""
        return by_currency([leg.option.price for leg in self.legs])

    @property
    def cost(self) -> tuple[int, int]:
        """Comparable in one currency; several come last."""
        return len(self.totals), sum(total.minor for total in self.totals)

    def within(self, budget: Money | None) -> bool:
        return budget is None or all(total.currency == budget.currency and total.minor <= budget.minor for total in self.totals)


def chains(steps: Sequence[Step], since: datetime, budget: Money | None = None) -> list[Chain]:
    """Chains that begin at `since` or later and cost no more than `budget`, each another choice of resources and times."""
    found = [one for one in _candidates(steps, since, budget) if one and one.within(budget)]
    return list({tuple((leg.option.resource_id, leg.slot) for leg in one.legs): one for one in found}.values())


def _candidates(steps: Sequence[Step], since: datetime, budget: Money | None) -> Iterator[Chain | None]:
    first = earliest(steps, since)
    yield first
    if first is None:
        return
    yield earliest([replace(step, options=[option for option in step.options if option.favoured]) for step in steps], since)
    yield cheapest(steps, since)
    yield from _in_few_houses(steps, since)
    for days in (1, 2):
        yield earliest(steps, first.legs[0].slot.start + timedelta(days=days))
    for number, leg in enumerate(first.legs):
        yield earliest(_without(steps, number, leg.option), since)
    yield from _ever_cheaper(steps, since, budget)


def earliest(steps: Sequence[Step], since: datetime) -> Chain | None:
    """The chain that ends first; None where there is none, or none was found in MOST_MOVES."""
    bounds, legs = [since] * len(steps), list[Leg]()
    for _ in range(MOST_MOVES):
        number = len(legs)
        if number == len(steps):
            return Chain(legs)
        step, before = steps[number], legs[-1] if legs else None
        soonest = max(bounds[number], before.slot.end + step.gap_min) if before else bounds[number]
        leg = _soonest(step.options, soonest, legs)
        if leg is None:
            return None
        if before and step.gap_max is not None and leg.slot.start > before.slot.end + step.gap_max:
            legs.pop()
            bounds[number - 1] = leg.slot.start - step.gap_max - before.slot.duration
        else:
            legs.append(leg)
    return None


def _soonest(options: Sequence[Option], since: datetime, legs: Sequence[Leg]) -> Leg | None:
    """The option that can begin first, the favoured and the cheaper of two; clear of the legs that take the same resources."""
    found = []
    for option in options:
        clear = [leg.slot.end + _apart(leg.option, option) for leg in legs if leg.option.claimed & option.claimed]
        if slot := option.starts.first(max([since, *clear])):
            found.append(Leg(option, slot))
    order = min(
        ((leg.slot.start, not leg.option.favoured, leg.option.price.minor, n) for n, leg in enumerate(found)), default=None
    )
    return found[order[-1]] if order else None


def _apart(before: Option, after: Option) -> timedelta:
    """What the buffers keep between two uses."""
    one, other = before.buffers.cleaning, after.buffers.setup
    same = before.buffers == after.buffers and before.buffers.gap is Gap.MAX
    return max(one, other) if same else one + other


def cheapest(steps: Sequence[Step], since: datetime) -> Chain | None:
    """The first that fits of the choices of resources, in the order of their price."""
    ranked = [sorted(step.options, key=lambda option: (option.price.minor, option.resource_id)) for step in steps]
    heap = [(sum(options[0].price.minor for options in ranked), (0,) * len(steps))]
    seen = {heap[0][1]}
    for _ in range(MOST_TRIES):
        if not heap:
            return None
        cost, chosen = heappop(heap)
        one = [replace(step, options=[ranked[n][chosen[n]]]) for n, step in enumerate(steps)]
        if chain := earliest(one, since):
            return chain
        for n, place in enumerate(chosen):
            following = (*chosen[:n], place + 1, *chosen[n + 1 :])
            if place + 1 < len(ranked[n]) and following not in seen:
                seen.add(following)
                heappush(heap, (cost - ranked[n][place].price.minor + ranked[n][place + 1].price.minor, following))
    return None


def _in_few_houses(steps: Sequence[Step], since: datetime) -> Iterator[Chain | None]:
    """The earliest of each house that can do all, else of each pair that can."""
    offered = [{option.house for option in step.options} for step in steps]
    alone = sorted(set.intersection(*offered))
    pairs = [pair for pair in combinations(sorted(set.union(*offered)), 2) if all(set(pair) & houses for houses in offered)]
    for houses in [(one,) for one in alone] or pairs[:MOST_TRIES]:
        yield earliest([_of_houses(step, houses) for step in steps], since)


def _of_houses(step: Step, houses: Collection[str]) -> Step:
    return replace(step, options=[option for option in step.options if option.house in houses])


def _without(steps: Sequence[Step], number: int, left: Option) -> list[Step]:
    rest = [option for option in steps[number].options if option is not left]
    return [*steps[:number], replace(steps[number], options=rest), *steps[number + 1 :]]


def _ever_cheaper(steps: Sequence[Step], since: datetime, budget: Money | None) -> Iterator[Chain | None]:
    """The earliest without the dearest resource, without the next, and so on until one is within the budget."""
    left = list(steps)
    for _ in range(MOST_TRIES if budget else 0):
        chain = earliest(left, since)
        if chain is None or chain.within(budget):
            yield chain
            return
        spare = [(option.price.minor - _least(step), n) for n, step in enumerate(left) for option in step.options]
        saved, number = max(spare)
        if not saved:
            return
        left = _without(left, number, max(left[number].options, key=lambda option: option.price.minor))


def _least(step: Step) -> int:
    return min(option.price.minor for option in step.options)
