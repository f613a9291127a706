"""What stands in the way of a slot. One function decides both what is shown as free and what is admitted."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from typing import NamedTuple

from marketplace.slot import Slot, union

LONGEST_BUFFER = timedelta(days=2)
"""Claims are looked for this far around a window, so that buffers outside it are seen."""
EARLIEST = datetime.min.replace(tzinfo=UTC)


class Gap(StrEnum):
    """How the buffers of neighbours add up: cleaning then setup, or whichever is longer."""

    SUM = "sum"
    MAX = "max"


@dataclass(frozen=True, slots=True)
class Buffers:
    """Time before a use (setup) and after it (cleaning) in which nobody else may have the resource."""

    setup: timedelta = timedelta()
    cleaning: timedelta = timedelta()
    gap: Gap = Gap.SUM

    def spans(self, slot: Slot) -> list[Slot]:
        """What a use of `slot` claims, one span a lane.

        In `sum` one lane holds both buffers. In `max` each lane holds one of them, so that neighbours keep the larger only.
        """
        if self.gap is Gap.SUM:
            return [slot.widen(self.setup, self.cleaning)]
        return [slot.widen(self.setup, timedelta()), slot.widen(timedelta(), self.cleaning)]


class Taken(NamedTuple):
    """An active claim: `owner` (a booking, outage or waiting entry) has `unit` in `lane` for `slot`, buffers included."""

    owner: str
    unit: int
    lane: int
    slot: Slot


class Ledger:
    """Claims by resource and day, so that those around a slot are found without looking at all."""

    def __init__(self, claims: Mapping[str, Iterable[Taken]]) -> None:
        self._days: dict[tuple[str, int], list[Taken]] = defaultdict(list)
        for resource_id, held in claims.items():
            for claim in held:
                self.add(resource_id, claim)

    def add(self, resource_id: str, claim: Taken) -> None:
        for day in _days(claim.slot):
            self._days[resource_id, day].append(claim)

    def remove(self, resource_id: str, claim: Taken) -> None:
        for day in _days(claim.slot):
            self._days[resource_id, day].remove(claim)

    def around(self, resource_ids: Iterable[str], reach: Slot) -> dict[str, list[Taken]]:
        """By resource, every claim that touches `reach`, and some beside it."""
        days = _days(reach)
        return {
            one: list(dict.fromkeys(claim for day in days for claim in self._days.get((one, day), ()))) for one in resource_ids
        }


def _days(slot: Slot) -> range:
    return range(slot.start.toordinal(), slot.end.toordinal() + 1)


def usable(taken: Sequence[Taken], *, capacity: int, buffers: Buffers, within: Sequence[Slot]) -> list[list[Slot]]:
    """For each unit the stretches of `within` (disjoint, in order) in which a use may lie, its buffers clear of every claim.

    `taken` must hold all claims that touch `within` widened by the buffers.
    """
    setup, cleaning, none = buffers.setup, buffers.cleaning, timedelta()
    if buffers.gap is Gap.SUM:
        return [_clear(within, held, setup, cleaning) for held in _by_unit(taken, capacity)]
    before, after = (_by_unit(claims, capacity) for claims in _lanes(taken))
    return [_clear(_clear(within, held, setup, none), kept, none, cleaning) for held, kept in zip(before, after, strict=True)]


def _by_unit(taken: Iterable[Taken], capacity: int) -> list[list[Slot]]:
    units: list[list[Slot]] = [[] for _ in range(capacity)]
    for _, unit, _, slot in taken:
        if unit < capacity:
            units[unit].append(slot)
    return units


def _lanes(taken: Sequence[Taken]) -> tuple[list[Taken], list[Taken]]:
    """The claims in lane 0 and in lane 1; an owner that holds lane 0 only stands in both."""
    two_lanes = {(claim.owner, claim.unit) for claim in taken if claim.lane == 1}
    second = [claim for claim in taken if claim.lane == 1 or (claim.owner, claim.unit) not in two_lanes]
    return [claim for claim in taken if claim.lane == 0], second


def _clear(within: Iterable[Slot], claims: Iterable[Slot], before: timedelta, after: timedelta) -> list[Slot]:
    """What `claims` leave of `within` to a use that is kept `before` after one of them and `after` before the next."""
    found: list[Slot] = []
    ahead, number, clear_from = sorted(claims, key=_start), 0, EARLIEST
    for span in within:
        clear_from, limit = max(clear_from, span.start), span.end + after
        while number < len(ahead) and (claim := ahead[number]).start < limit:
            number += 1
            if clear_from < (until := claim.start - after):
                found.append(Slot(clear_from, until))
            clear_from = max(clear_from, claim.end + before)
        if clear_from < span.end:
            found.append(Slot(clear_from, span.end))
    return found


_start = attrgetter("start")


def free(units: Sequence[Sequence[Slot]], quantity: int) -> list[Slot]:
    """The longest stretches in which `quantity` units are usable throughout, in order, none inside another.

    Stretches of different units are not joined: what is listed can be booked whole.
    """
    if len(units) == 1 and quantity == 1:
        return list(units[0])
    longest: list[Slot] = []
    places = [0] * len(units)
    for start in sorted({stretch.start for unit in units for stretch in unit}):
        ends = []
        for number, unit in enumerate(units):
            while places[number] < len(unit) and unit[places[number]].end <= start:
                places[number] += 1
            if places[number] < len(unit) and unit[places[number]].start <= start:
                ends.append(unit[places[number]].end)
        if len(ends) >= quantity:
            end = sorted(ends, reverse=True)[quantity - 1]
            if not longest or end > longest[-1].end:
                longest.append(Slot(start, end))
    return longest


def together(one: Sequence[Slot], other: Sequence[Slot]) -> list[Slot]:
    """The longest stretches that lie in a stretch of both, in order, none inside another."""
    pieces = {piece for a in one for b in other if (piece := a.clip(b))}
    longest: list[Slot] = []
    for piece in sorted(pieces, key=lambda slot: (slot.start, -slot.seconds)):
        if not longest or piece.end > longest[-1].end:
            longest.append(piece)
    return longest


def choose(units: Sequence[Sequence[Slot]], slot: Slot, quantity: int) -> list[int]:
    """The lowest `quantity` units on which `slot` is usable whole; fewer where there are not enough."""
    fitting = [unit for unit, stretches in enumerate(units) if any(stretch.contains(slot) for stretch in stretches)]
    return fitting[:quantity]


def conflicts(taken: Sequence[Taken], slot: Slot, buffers: Buffers, *, capacity: int, quantity: int) -> list[Slot]:
    """Where fewer than `quantity` units are left for `slot` or its buffers, clipped to `slot` where they meet it.

    A conflict that lies in the buffers alone is the part of `slot` that a claim's and its own buffers leave no room for.
    """
    spare = capacity - quantity
    return _short(taken, slot, spare) or _short(_kept_clear(taken, buffers), slot, spare) or [slot]


def _kept_clear(taken: Sequence[Taken], buffers: Buffers) -> list[Taken]:
    """The claims with the room that the buffers of a use beside them would need."""
    two_lanes = {(claim.owner, claim.unit) for claim in taken if claim.lane == 1}
    found = []
    for claim in taken:
        shared = buffers.gap is Gap.MAX and (claim.owner, claim.unit) in two_lanes
        before = buffers.cleaning if claim.lane == 1 or not shared else timedelta()
        after = buffers.setup if claim.lane == 0 or not shared else timedelta()
        found.append(claim._replace(slot=claim.slot.widen(before, after)))
    return found


def _short(taken: Sequence[Taken], reach: Slot, spare: int) -> list[Slot]:
    """The parts of `reach` where more than `spare` units are claimed."""
    per_unit: dict[int, list[Slot]] = defaultdict(list)
    for claim in taken:
        if piece := claim.slot.clip(reach):
            per_unit[claim.unit].append(piece)
    edges: list[tuple[object, int]] = []
    for spans in per_unit.values():
        for span in union(spans):
            edges += [(span.start, 1), (span.end, -1)]
    depth, opened, found = 0, None, []
    for at, change in sorted(edges, key=lambda edge: (edge[0], edge[1])):
        depth += change
        if depth > spare and opened is None:
            opened = at
        elif depth <= spare and opened is not None:
            found.append((opened, at))
            opened = None
    return union(Slot(a, b) for a, b in found if a < b)  # type: ignore[arg-type, operator]
