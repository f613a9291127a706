"""Writes of bundles: every part is granted, or nothing is stored."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import combinations, islice
from math import lcm

from sqlalchemy.orm import Session

from booking import actions, queries, terms
from booking.admission import LOOK_AROUND, SlotRefused, Wish, decide, of_its_own, use_of
from booking.bundles import shifts
from booking.occupancy import Taken
from booking.places import Place, lock_places
from booking.quotas import Use
from booking.tables import Booking
from booking.writing import spans_of
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
            refusals[part] = by_whom(session, place, refused, [one.id for one in made], now)
    if refusals:
        raise BundleRefused(refusals, ways_out(session, places, wishes, [one.id for one in made], now))
    return made


def by_whom(session: Session, place: Place, refused: SlotRefused, made: Sequence[str], now: datetime) -> SlotRefused:
    """The same, told apart where only parts of the bundle itself stand in the way."""
    claims = queries.taken(session, place.claimed, within=refused.wish.slot)
    own, others = (
        {one: [claim for claim in held if (claim.owner in made) is mine] for one, held in claims.items()}
        for mine in (True, False)
    )
    by_own, by_others = (decide(session, place, refused.wish, held, now=now, ignoring=made).clashes for held in (own, others))
    if not refused.conflicts or by_others or not by_own:
        return refused
    return SlotRefused(refused.wish, of_its_own(refused.reasons), [], refused.alternatives)


def ways_out(
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
            if _fit_together(session, places, there, made, now):
                found.append(moved)
    return found


def _fit_together(
    session: Session, places: Mapping[str, Place], wishes: Sequence[Wish], made: Sequence[str], now: datetime
) -> bool:
    """Whether all would be granted one after the other, each with what those before it claim and use up."""
    own: dict[str, list[Taken]] = defaultdict(list)
    uses: dict[str, list[Use]] = defaultdict(list)
    for part, wish in enumerate(wishes):
        place = places[wish.resource_id]
        others = queries.taken(session, place.claimed, within=wish.slot, ignoring=made)
        claims = {one: [*others.get(one, ()), *own[one]] for one in place.claimed}
        verdict = decide(session, place, wish, claims, now=now, ignoring=made, beside=uses[wish.resource_id])
        if verdict.reasons:
            return False
        uses[wish.resource_id].append(use_of(wish))
        for resource_id, units in verdict.units.items():
            spans = list(enumerate(spans_of(resource_id, wish.slot, place.rules.buffers)))
            own[resource_id] += [Taken(f"part {part}", unit, lane, span) for unit in units for lane, span in spans]
    return True


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
        needs = {place.resource_id: (wish.quantity, place.capacity)}
        needs |= {part.resource_id: (part.needed, part.capacity) for part in place.parts}
        reach.append((needs, wish.slot.widen(place.rules.buffers.setup, place.rules.buffers.cleaning)))
    return any(one.overlaps(other) and _exceed(a, b) for (a, one), (b, other) in combinations(reach, 2))


def _exceed(needs: Mapping[str, tuple[int, int]], others: Mapping[str, tuple[int, int]]) -> bool:
    """Whether both together need more units of a resource than it has."""
    return any(needs[one][0] + others[one][0] > needs[one][1] for one in needs.keys() & others.keys())
