"""Whether a wish is granted, with every reason why not and three ways out. The resource and its parts are locked by then."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from booking import occupancy, queries, terms
from booking.availability import open_slots
from booking.places import Place
from booking.queries import Claims
from booking.tables import Category
from marketplace.refusals import Reason, Refused
from marketplace.slot import Slot, union
from marketplace.tables import ListingState

LOOK_AROUND = timedelta(days=14)
"""How far from the wish alternatives are sought first."""

Units = Mapping[str, Sequence[int]]
"""The units to take, by resource: the wished one and its parts."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What someone asks for: a slot on a resource, for whom and what."""

    resource_id: str
    slot: Slot
    person_id: str
    organisation_id: str | None
    category: Category
    quantity: int = 1
    purpose: str | None = None


class SlotRefused(Refused):
    """A request turned away: all reasons, the busy intervals and three ways out, with what was asked for."""

    def __init__(self, wish: Wish, reasons: Sequence[Reason], conflicts: Sequence[Slot], alternatives: Sequence[Slot]) -> None:
        super().__init__(reasons, conflicts, alternatives)
        self.wish = wish
        if conflicts:
            self.code = "slot_taken"


@dataclass(frozen=True, slots=True)
class Decision:
    """The units to take, or every reason why not with the busy intervals."""

    units: Units
    reasons: Sequence[Reason]
    clashes: Sequence[Slot]


def decide(place: Place, wish: Wish, claims: Claims, now: datetime) -> Decision:
    """The verdict on `wish`, given the active claims around it."""
    reasons = _against_rules(place, wish, now)
    units, clashes = _units(place, wish, claims)
    if clashes:
        reasons.append(Reason("slot_taken"))
    return Decision(units, reasons, clashes)


def admit(session: Session, place: Place, wish: Wish, *, now: datetime, ignoring: Collection[str] = ()) -> Units:
    """The units to take; the claims of the bookings `ignoring` do not stand in the way. Raises: SlotRefused."""
    claims = queries.taken(session, place.claimed, within=wish.slot, ignoring=ignoring)
    found = decide(place, wish, claims, now)
    if found.reasons:
        ways_out = find_ways_out(session, place, wish, now=now, ignoring=ignoring)
        raise SlotRefused(wish, found.reasons, found.clashes, ways_out)
    return found.units


def grants(session: Session, place: Place, wish: Wish, *, now: datetime, ignoring: Collection[str] = ()) -> bool:
    """Whether `admit` would."""
    claims = queries.taken(session, place.claimed, within=wish.slot, ignoring=ignoring)
    return not decide(place, wish, claims, now).reasons


def _against_rules(place: Place, wish: Wish, now: datetime) -> list[Reason]:
    opened = open_slots(place.rules.hours, place.zone, wish.slot)
    reasons = terms.reasons(wish.slot, rules=place.rules, zone=place.zone, opened=opened, now=now)
    if place.state is not ListingState.PUBLISHED:
        reasons.append(Reason("not_bookable", {"state": place.state.value}))
    if not 1 <= wish.quantity <= place.capacity:
        reasons.append(Reason("beyond_capacity", {"capacity": place.capacity}))
    return reasons


def _units(place: Place, wish: Wish, claims: Claims) -> tuple[Units, list[Slot]]:
    """The lowest units that are free, of the parts all; and where they are not."""
    needs = [(place.resource_id, place.capacity, min(wish.quantity, place.capacity))]
    needs += [(part.resource_id, part.capacity, part.capacity) for part in place.parts]
    units: dict[str, list[int]] = {}
    clashes: set[Slot] = set()
    for resource_id, capacity, needed in needs:
        held, buffers = claims.get(resource_id, ()), place.rules.buffers
        usable = occupancy.usable(held, capacity=capacity, buffers=buffers, within=wish.slot)
        units[resource_id] = occupancy.choose(usable, wish.slot, needed)
        if len(units[resource_id]) < needed:
            clashes.update(occupancy.conflicts(held, wish.slot, buffers, capacity=capacity, quantity=needed))
    return units, union(clashes)


def find_ways_out(session: Session, place: Place, wish: Wish, *, now: datetime, ignoring: Collection[str] = ()) -> list[Slot]:
    """The nearest slots that would be granted: sought around the wish, and to the horizon where too few are near."""
    bookable = place.state is ListingState.PUBLISHED and wish.quantity <= place.capacity
    if not bookable or not terms.may_last(wish.slot, place.rules):
        return []
    window = place.rules.window(now)
    near = wish.slot.widen(LOOK_AROUND, LOOK_AROUND).clip(window)
    found = _alternatives(session, place, wish, near, now, ignoring) if near else []
    return found if len(found) == terms.ALTERNATIVES else _alternatives(session, place, wish, window, now, ignoring)


def _alternatives(
    session: Session, place: Place, wish: Wish, window: Slot, now: datetime, ignoring: Collection[str]
) -> list[Slot]:
    claims = queries.taken(session, place.claimed, within=window, ignoring=ignoring)
    free = queries.free_in(place, claims, window, wish.quantity)
    return terms.alternatives(free, wish.slot, rules=place.rules, zone=place.zone, now=now)
