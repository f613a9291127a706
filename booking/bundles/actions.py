"""Writes of bundles: every part is granted, or nothing is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import combinations, islice
from math import lcm

from sqlalchemy.orm import Session

from booking import actions, queries, terms
from booking.admission import LOOK_AROUND, SlotRefused, Wish, decide, grants, of_its_own
from booking.bundles import shifts
from booking.places import Place, lock_places
from booking.tables import Booking
from marketplace.ids import new_id
from marketplace.refusals import NotFound, Reason, Refused
from marketplace.slot import Slot, union

MOST_PARTS = 20
MOST_TRIES = 30
FURTHEST_STEP = timedelta(days=1)


class BundleRefused(Refused):
    """Parts that were turned away, each reason naming its `part` (from 0) and `resource_id`.

    Alternatives are the stretch from the first start to the last end, shifted: all parts fit when they are shifted with it.
    """

    code = "bundle_refused"

    def __init__(self, refusals: Mapping[int, SlotRefused], alternatives: Sequence[Slot]) -> None:
        reasons = [
            Reason(reason.code, {**reason.values, "part": part, "resource_id": refused.wish.resource_id}, reason.override_by)
            for part, refused in refusals.items()
            for reason in refused.reasons
        ]
        super().__init__(reasons, union(slot for one in refusals.values() for slot in one.conflicts), alternatives)
        self.refusals = list(refusals.values())
        if self.conflicts:
            self.code = "slot_taken"


def book_bundle(
    session: Session, *, wishes: Sequence[Wish], hold_until: Sequence[datetime | None], now: datetime
) -> list[Booking]:
    """Claim every slot, or none: the caller rolls back what was flushed when this raises.

    All rows are locked at once in the order of their ids, so two bundles of the same resources never wait for each other in
    a circle. Raises: NotFound, BundleRefused.
    """
    places = lock_places(session, {wish.resource_id for wish in wishes})
    bundle_id, made = new_id("bun"), list[Booking]()
    refusals: dict[int, SlotRefused] = {}
    for part, (wish, until) in enumerate(zip(wishes, hold_until, strict=True)):
        if wish.resource_id not in places:
            raise NotFound(kind="resource")
        place = places[wish.resource_id]
        try:
            made.append(actions.take(session, place=place, wish=wish, hold_until=until, bundle_id=bundle_id, now=now))
        except SlotRefused as refused:
            refusals[part] = _by_whom(session, place, refused, [one.id for one in made], now)
    if refusals:
        raise BundleRefused(refusals, _ways_out(session, places, wishes, [one.id for one in made], now))
    return made


def _by_whom(session: Session, place: Place, refused: SlotRefused, made: Sequence[str], now: datetime) -> SlotRefused:
    """The same, told apart where only parts of the bundle itself stand in the way."""
    claims = queries.taken(session, place.claimed, within=refused.wish.slot, ignoring=made)
    if not refused.conflicts or decide(session, place, refused.wish, claims, now=now, ignoring=made).clashes:
        return refused
    return SlotRefused(refused.wish, of_its_own(refused.reasons), [], refused.alternatives)


def _ways_out(
    session: Session, places: Mapping[str, Place], wishes: Sequence[Wish], made: Sequence[str], now: datetime
) -> list[Slot]:
    """The nearest shifts of the whole bundle that would be granted, as its stretch."""
    whole = Slot(min(wish.slot.start for wish in wishes), max(wish.slot.end for wish in wishes))
    if _meet(places, wishes) or not all(terms.may_last(wish.slot, places[wish.resource_id].rules) for wish in wishes):
        return []
    rooms = [_room(session, places[wish.resource_id], wish, made, now) for wish in wishes]
    step = timedelta(minutes=lcm(*(places[wish.resource_id].rules.step_min for wish in wishes)))
    found: list[Slot] = []
    for shift in islice(shifts.candidates(shifts.common(rooms), min(step, FURTHEST_STEP), whole.duration), MOST_TRIES):
        moved = whole.shift(shift)
        if len(found) < terms.ALTERNATIVES and not any(moved.overlaps(other) for other in found):
            there = [replace(wish, slot=wish.slot.shift(shift)) for wish in wishes]
            if all(grants(session, places[wish.resource_id], wish, now=now, ignoring=made) for wish in there):
                found.append(moved)
    return found


def _room(session: Session, place: Place, wish: Wish, made: Sequence[str], now: datetime) -> list[shifts.Range]:
    window = wish.slot.widen(LOOK_AROUND, LOOK_AROUND).clip(place.rules.window(now))
    if window is None:
        return []
    claims = queries.taken(session, place.claimed, within=window, ignoring=made)
    return shifts.room(wish.slot, queries.free_in(place, claims, window, wish.quantity))


def _meet(places: Mapping[str, Place], wishes: Sequence[Wish]) -> bool:
    """Whether two parts are in each other's way, buffers included, wherever they are shifted to."""
    reach = []
    for wish in wishes:
        place = places[wish.resource_id]
        buffers = place.rules.buffers
        reach.append((set(place.claimed), wish.slot.widen(buffers.setup, buffers.cleaning)))
    return any(a & b and one.overlaps(other) for (a, one), (b, other) in combinations(reach, 2))
