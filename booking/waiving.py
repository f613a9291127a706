"""Back-to-back runs of one customer: between them nobody cleans down or sets up, so neither buffer is claimed there.

A claim never shrinks below the use itself: cores cannot overlap, and towards everybody else the buffers stay.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from booking import occupancy
from booking.occupancy import Buffers, Taken
from marketplace.slot import Slot


@dataclass(frozen=True, slots=True)
class Beside:
    """The customer's own bookings that end as a use begins (`before`) or begin as it ends (`after`)."""

    before: Collection[str] = ()
    after: Collection[str] = ()


NOBODY = Beside()


def usable(taken: Sequence[Taken], *, capacity: int, buffers: Buffers, slot: Slot, beside: Beside) -> list[list[Slot]]:
    """For each unit what occupancy.usable says within `slot`, no buffers being kept towards `beside` on that unit."""
    found = occupancy.usable(taken, capacity=capacity, buffers=buffers, within=[slot])
    own = {*beside.before, *beside.after}
    for unit in {claim.unit for claim in taken if claim.owner in own and claim.unit < capacity}:
        here = [claim for claim in taken if claim.unit == unit]
        kept = _kept(buffers, {claim.owner for claim in here}, beside)
        trimmed = [trim(claim, slot, beside)._replace(unit=0) for claim in here]
        (found[unit],) = occupancy.usable(trimmed, capacity=1, buffers=kept, within=[slot])
    return found


def _kept(buffers: Buffers, owners: Collection[str], beside: Beside) -> Buffers:
    return replace(
        buffers,
        setup=buffers.setup if set(beside.before).isdisjoint(owners) else timedelta(),
        cleaning=buffers.cleaning if set(beside.after).isdisjoint(owners) else timedelta(),
    )


def trim(claim: Taken, slot: Slot, beside: Beside) -> Taken:
    """`claim` without the buffer towards a use of `slot`, where it is of `beside`."""
    start = max(claim.slot.start, slot.end) if claim.owner in beside.after else claim.slot.start
    end = min(claim.slot.end, slot.start) if claim.owner in beside.before else claim.slot.end
    return claim._replace(slot=Slot(start, end))


def regrown(claim: Taken, wanted: Slot, unit: Sequence[Taken]) -> Slot:
    """The span of `claim` with its buffers back, up to `wanted` and as far as the other claims of its unit leave room."""
    two_lanes = {other.owner for other in unit if other.lane == 1}
    near = [
        other.slot
        for other in unit
        if other.owner != claim.owner and (other.lane == claim.lane or not {other.owner, claim.owner} <= two_lanes)
    ]
    start = max([wanted.start, *(span.end for span in near if span.end <= claim.slot.start)])
    end = min([wanted.end, *(span.start for span in near if span.start >= claim.slot.end)])
    return Slot(min(claim.slot.start, start), max(claim.slot.end, end))
