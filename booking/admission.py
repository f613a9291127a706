"""Whether a wish is granted, with every reason why not and three ways out. The resource and its parts are locked by then."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy.orm import Session

from booking import audience, occupancy, queries, quotas, terms, waiving
from booking.audience import Customer
from booking.availability import judged, local_midnight, open_slots
from booking.places import Place
from booking.queries import Claims
from booking.quotas import Use
from booking.rules import queries as rules
from booking.tables import Category
from booking.waiving import Beside
from marketplace.refusals import Reason, Refused
from marketplace.slot import Slot, subtract, union
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
    override: str | None = None
    """Why the publisher's own rules do not count this time; only who may set them aside gives one."""


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


def decide(
    session: Session,
    place: Place,
    wish: Wish,
    claims: Claims,
    *,
    now: datetime,
    ignoring: Collection[str] = (),
    beside: Sequence[Use] = (),
) -> Decision:
    """The verdict on `wish`, given the active claims around it; `beside` is what the customer is granted with it.

    A wish with `override` is held to what nobody may override only: taken time, the past, the capacity.
    """
    reasons = _against_rules(session, place, wish, now, ignoring, beside)
    if wish.override is not None:
        reasons = [reason for reason in reasons if not reason.override_by]
    units, clashes = _units(place, wish, claims, _beside(session, place, wish, ignoring))
    if clashes:
        reasons.append(Reason("slot_taken"))
    return Decision(units, reasons, clashes)


def admit(session: Session, place: Place, wish: Wish, *, now: datetime, ignoring: Collection[str] = ()) -> Units:
    """The units to take; the claims of the bookings `ignoring` do not stand in the way. Raises: SlotRefused."""
    claims = queries.taken(session, place.claimed, within=wish.slot, ignoring=ignoring)
    found = decide(session, place, wish, claims, now=now, ignoring=ignoring)
    if found.reasons:
        ways_out = find_ways_out(session, place, wish, now=now, ignoring=ignoring)
        raise SlotRefused(wish, found.reasons, found.clashes, ways_out)
    return found.units


def grants(session: Session, place: Place, wish: Wish, *, now: datetime, ignoring: Collection[str] = ()) -> bool:
    """Whether `admit` would."""
    claims = queries.taken(session, place.claimed, within=wish.slot, ignoring=ignoring)
    return not decide(session, place, wish, claims, now=now, ignoring=ignoring).reasons


def overridden(session: Session, place: Place, wish: Wish, *, now: datetime, ignoring: Collection[str] = ()) -> list[str]:
    """The codes of the rules that a wish with `override` breaks; none without one."""
    if wish.override is None:
        return []
    return [reason.code for reason in _against_rules(session, place, wish, now, ignoring) if reason.override_by]


def _against_rules(
    session: Session, place: Place, wish: Wish, now: datetime, ignoring: Collection[str], beside: Sequence[Use] = ()
) -> list[Reason]:
    buffers = place.rules.buffers
    opened = open_slots(place.rules.hours, place.zone, judged(wish.slot).widen(buffers.setup, buffers.cleaning))
    reasons = terms.reasons(wish.slot, rules=place.rules, zone=place.zone, opened=opened, now=now)
    if place.state is not ListingState.PUBLISHED:
        reasons.append(Reason("not_bookable", {"state": place.state.value}))
    if not 1 <= wish.quantity <= place.capacity:
        reasons.append(Reason("beyond_capacity", {"capacity": place.capacity}))
    return [*reasons, *_against_audience(session, place, wish), *_against_quotas(session, place, wish, ignoring, beside)]


def _against_audience(session: Session, place: Place, wish: Wish) -> list[Reason]:
    if not place.rules.audience:
        return []
    return audience.reasons(place.rules.audience, _customer(session, place, wish), wish.slot, place.zone)


def _customer(session: Session, place: Place, wish: Wish) -> Customer:
    return rules.customer_of(session, wish.organisation_id, institution_id=place.institution_id)


def _against_quotas(session: Session, place: Place, wish: Wish, ignoring: Collection[str], beside: Sequence[Use]) -> list[Reason]:
    if not place.rules.quotas:
        return []
    within = quotas.reach(place.rules.quotas, wish.slot, place.zone)
    others = [*_uses(session, place, wish, within, ignoring), *beside]
    return quotas.reasons(place.rules.quotas, use_of(wish), others, place.zone)


def use_of(wish: Wish) -> Use:
    """As quotas see it."""
    return Use(wish.slot, wish.person_id, wish.organisation_id, wish.quantity)


def _uses(session: Session, place: Place, wish: Wish, within: Slot, ignoring: Collection[str]) -> list[Use]:
    return rules.uses_of(session, place.resource_id, use_of(wish), within=within, ignoring=ignoring)


def _beside(session: Session, place: Place, wish: Wish, ignoring: Collection[str]) -> Beside:
    if not place.rules.waive_own_buffers:
        return waiving.NOBODY
    return rules.beside(session, place.claimed, wish.slot, wish.organisation_id, ignoring=ignoring)


def _units(place: Place, wish: Wish, claims: Claims, beside: Beside) -> tuple[Units, list[Slot]]:
    """The lowest units that are free, of the parts all; and where they are not."""
    needs = [(place.resource_id, place.capacity, min(wish.quantity, place.capacity))]
    needs += [(part.resource_id, part.capacity, part.capacity) for part in place.parts]
    units: dict[str, list[int]] = {}
    clashes: set[Slot] = set()
    for resource_id, capacity, needed in needs:
        held, buffers = claims.get(resource_id, ()), place.rules.buffers
        usable = waiving.usable(held, capacity=capacity, buffers=buffers, slot=wish.slot, beside=beside)
        units[resource_id] = occupancy.choose(usable, wish.slot, needed)
        if len(units[resource_id]) < needed:
            clashes.update(occupancy.conflicts(held, wish.slot, buffers, capacity=capacity, quantity=needed))
    return units, union(clashes)


def find_ways_out(session: Session, place: Place, wish: Wish, *, now: datetime, ignoring: Collection[str] = ()) -> list[Slot]:
    """The nearest slots that would be granted: sought around the wish, and to the horizon where too few are near."""
    bookable = place.state is ListingState.PUBLISHED and wish.quantity <= place.capacity
    if not bookable or not terms.may_last(wish.slot, place.rules):
        return []
    window = _open_to(session, place, wish, place.rules.window(now))
    if window is None:
        return []
    near = wish.slot.widen(LOOK_AROUND, LOOK_AROUND).clip(window)
    found = _alternatives(session, place, wish, near, now, ignoring) if near else []
    return found if len(found) == terms.ALTERNATIVES else _alternatives(session, place, wish, window, now, ignoring)


def ways_within(session: Session, place: Place, wish: Wish, window: Slot, *, now: datetime) -> list[Slot]:
    """The slots inside `window` nearest to the wish that would be granted, buffers kept towards everybody."""
    bookable = window.clip(place.rules.window(now)) if place.state is ListingState.PUBLISHED else None
    opened = _open_to(session, place, wish, bookable) if bookable and wish.quantity <= place.capacity else None
    return _alternatives(session, place, wish, opened, now, ()) if opened else []


def _open_to(session: Session, place: Place, wish: Wish, window: Slot) -> Slot | None:
    """The part of `window` in which the customer may book at all; None where there is none."""
    if not place.rules.audience:
        return window
    since = audience.welcome_from(place.rules.audience, _customer(session, place, wish))
    if since is None:
        return None
    earliest = window.start if since == date.min else max(local_midnight(since, place.zone), window.start)
    return Slot(earliest, window.end) if earliest < window.end else None


def _alternatives(
    session: Session, place: Place, wish: Wish, window: Slot, now: datetime, ignoring: Collection[str]
) -> list[Slot]:
    claims = queries.taken(session, place.claimed, within=window, ignoring=ignoring)
    free = _within_quotas(session, place, wish, window, ignoring, queries.free_in(place, claims, window, wish.quantity))
    return terms.alternatives(free, wish.slot, rules=place.rules, zone=place.zone, now=now)


def _within_quotas(
    session: Session, place: Place, wish: Wish, window: Slot, ignoring: Collection[str], free: Sequence[Slot]
) -> list[Slot]:
    """What of `free` lies in days, weeks and months in which the customer's quotas have room for the wish."""
    if not place.rules.quotas:
        return list(free)
    within = quotas.reach(place.rules.quotas, window, place.zone)
    others = _uses(session, place, wish, within, ignoring)
    full = quotas.full(place.rules.quotas, use_of(wish), others, window, place.zone)
    return [piece for stretch in free for piece in subtract([stretch], full)]
