"""Units that are alike: a use fits where enough are left at every instant, whichever they are; claims change units to make room.

Claims of one lane are intervals, so as many units suffice as claims overlap at once: given out in the order of their starts,
none is ever missing.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from booking.occupancy import Buffers, Taken
from marketplace.slot import Slot, subtract, union


@dataclass(frozen=True, slots=True)
class Held:
    """A claim by its id, with the unit that it holds now; a wish holds none yet."""

    id: str
    unit: int | None
    slot: Slot


def usable(taken: Sequence[Taken], *, capacity: int, buffers: Buffers, within: Slot, quantity: int) -> list[Slot]:
    """The stretches in which a use of `quantity` units may lie, buffers clear, disjoint and in order.

    `taken` must hold all claims that touch `within` widened by the buffers.
    """
    if quantity > capacity:
        return []
    horizon = within.widen(buffers.setup, buffers.cleaning)
    gaps = subtract([horizon], crowded(taken, horizon, capacity - quantity))
    room = [gap for gap in gaps if gap.start + buffers.setup < gap.end - buffers.cleaning]
    stretches = (Slot(gap.start + buffers.setup, gap.end - buffers.cleaning) for gap in room)
    return [piece for stretch in stretches if (piece := stretch.clip(within))]


def crowded(taken: Iterable[Taken], reach: Slot, spare: int) -> list[Slot]:
    """The parts of `reach` in which more than `spare` units are claimed; what one holder has of one unit counts once."""
    held: dict[tuple[str, int], list[Slot]] = defaultdict(list)
    for claim in taken:
        if piece := claim.slot.clip(reach):
            held[claim.owner, claim.unit].append(piece)
    edges = sorted(edge for spans in held.values() for span in union(spans) for edge in ((span.start, 1), (span.end, -1)))
    depth, found = 0, []
    for (at, change), (following, _) in pairwise(edges):
        depth += change
        if depth > spare and at < following:
            found.append(Slot(at, following))
    return union(found)


def arranged(claims: Iterable[Held], capacity: int) -> dict[str, int] | None:
    """A unit for each, none twice at once; each keeps its own where it can. None where more overlap than there are units."""
    given: dict[str, int] = {}
    running: list[tuple[Slot, int]] = []
    for claim in sorted(claims, key=lambda one: (one.slot, one.id)):
        running = [(span, unit) for span, unit in running if span.end > claim.slot.start]
        free = sorted(set(range(capacity)) - {unit for _, unit in running})
        if not free:
            return None
        given[claim.id] = claim.unit if claim.unit in free else free[0]
        running.append((claim.slot, given[claim.id]))
    return given
