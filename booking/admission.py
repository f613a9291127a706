"""Whether a wish is granted, with every reason why not and three ways out. The resource and its parts are locked by then."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from sqlalchemy.orm import Session

from booking import audience, competence, occupancy, pooling, queries, quotas, terms, waiving
from booking.audience import Customer
from booking.availability import judged, local_midnight, open_slots
from booking.competence import Record
from booking.occupancy import Taken
from booking.places import Place
from booking.qualifications import queries as qualifications
from booking.queries import Claims, Sight
from booking.quotas import Use
from booking.rules import queries as rules
from booking.standing import Standing
from booking.tables import Category
from booking.waiving import Beside
from marketplace.ids import is_operator
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
    only: frozenset[str] | None = None
    """Codes of the rules that `override` sets aside; None: all that a publisher may."""
    assisted: bool = False
    """Somebody of the house is to stand by."""

    def sets_aside(self, reason: Reason) -> bool:
        """Whether that reason does not count, as its publisher has said why."""
        return self.override is not None and bool(reason.override_by) and (self.only is None or reason.code in self.only)


class SlotRefused(Refused):
    """A request turned away: all reasons, the busy intervals and three ways out, with what was asked for."""

    def __init__(self, wish: Wish, reasons: Sequence[Reason], conflicts: Sequence[Slot], alternatives: Sequence[Slot]) -> None:
        super().__init__(reasons, conflicts, alternatives)
        self.wish = wish
        self.seen: Sight | None = None
        """What the verdict was found on."""
        self.sought_at: Place | None = None
        """Where the ways out are still to be sought."""
        if conflicts:
            self.code = "slot_taken"


@dataclass(frozen=True, slots=True)
class Decision:
    """The units to take, or every reason why not with the busy intervals."""

    units: Units
    reasons: Sequence[Reason]
    clashes: Sequence[Slot]
    aside: Sequence[str] = ()
    """Codes of the rules that the wish breaks and its `override` sets aside."""


def decide(
    session: Session,
    place: Place,
    wish: Wish,
    claims: Claims,
    *,
    now: datetime,
    ignoring: Collection[str] = (),
    beside: Sequence[Use] = (),
    standing: Standing | None = None,
) -> Decision:
    """The verdict on `wish`, given the active claims around it; `beside` is what is granted with it.

    Where many are judged, `standing` knows what the customer has and was granted, so that it is not read for each.
    A wish with `override` is held to what nobody may override only: taken time, the past, the capacity, far years.
    """
    place = place.attended_for(wanted=wish.assisted)
    reasons = _against_rules(session, place, wish, now, ignoring, beside, standing)
    aside: list[str] = []
    if wish.override is not None:
        aside = [reason.code for reason in reasons if wish.sets_aside(reason)]
        in_spite = terms.reasons_in_spite(wish.slot, zone=place.zone, now=now)
        told = {reason.code for reason in in_spite}
        reasons = [*in_spite, *(one for one in reasons if one.code not in told and not wish.sets_aside(one))]
    own = standing.beside(wish.slot, wish.organisation_id) if standing else _beside(session, place, wish, ignoring)
    units, clashes = _units(place, wish, claims, own)
    if clashes:
        reasons.append(Reason("slot_taken"))
    if place.attended:
        standing_by = _standing_by(place, claims, wish.slot)
        if standing_by is None:
            reasons.append(Reason("no_operator_free"))
        units = {**units, **({standing_by: [0]} if standing_by else {})}
    return Decision(units, reasons, clashes, aside)


def admit(
    session: Session,
    place: Place,
    wish: Wish,
    *,
    now: datetime,
    ignoring: Collection[str] = (),
    seen: Sight | None = None,
    seek: bool = True,
) -> Units:
    """The units to take; the claims of the bookings `ignoring` do not stand in the way.

    `seen` where the place was looked at already. Without `seek` a refusal comes before its ways out are sought.
    Raises: SlotRefused.
    """
    claims = _claims(session, place, wish.slot, _longest_buffer(place), ignoring, seen)
    found = decide(session, place, wish, claims, now=now, ignoring=ignoring)
    if found.reasons:
        refusal = SlotRefused(wish, found.reasons, found.clashes, [])
        refusal.sought_at, refusal.seen = place, seen
        if seek:
            seek_ways_out(session, refusal, now=now, ignoring=ignoring)
        raise refusal
    return found.units


def seek_ways_out(session: Session, refusal: SlotRefused, *, now: datetime, ignoring: Collection[str] = ()) -> None:
    """Add them where they are still to be sought: who holds a row gives it back first, others wait for it."""
    if refusal.sought_at is not None:
        found = find_ways_out(session, refusal.sought_at, refusal.wish, now=now, ignoring=ignoring, seen=refusal.seen)
        refusal.alternatives, refusal.sought_at = tuple(found), None


def _claims(
    session: Session, place: Place, within: Slot, buffer: timedelta, ignoring: Collection[str], seen: Sight | None
) -> Claims:
    """The active claims that matter to a use inside `within`: as they were seen, where that is enough, else read."""
    if seen is not None and not ignoring and seen.shows(within, buffer):
        return seen.claims
    return queries.taken(session, place.claimed, within=within, ignoring=ignoring)


def _longest_buffer(place: Place) -> timedelta:
    return max(place.rules.buffers.setup, place.rules.buffers.cleaning)


def of_its_own(reasons: Sequence[Reason]) -> list[Reason]:
    """The same where a request has taken the time itself, with another of its parts or occurrences."""
    return [Reason("meets_itself") if reason.code == "slot_taken" else reason for reason in reasons]


def overridden(session: Session, place: Place, wish: Wish, *, now: datetime, ignoring: Collection[str] = ()) -> list[str]:
    """The codes of the rules that a wish with `override` breaks; none without one."""
    if wish.override is None:
        return []
    return [reason.code for reason in _against_rules(session, place, wish, now, ignoring) if wish.sets_aside(reason)]


def _against_rules(
    session: Session,
    place: Place,
    wish: Wish,
    now: datetime,
    ignoring: Collection[str],
    beside: Sequence[Use] = (),
    standing: Standing | None = None,
) -> list[Reason]:
    buffers = place.rules.buffers
    opened = open_slots(place.rules.hours, place.zone, judged(wish.slot).widen(buffers.setup, buffers.cleaning))
    reasons = terms.reasons(wish.slot, rules=place.rules, zone=place.zone, opened=opened, now=now)
    if place.state is not ListingState.PUBLISHED:
        reasons.append(Reason("not_bookable", {"state": place.state.value}))
    if not 1 <= wish.quantity <= place.capacity:
        reasons.append(Reason("beyond_capacity", {"capacity": place.capacity}))
    reasons += [*_against_audience(session, place, wish), *_against_record(session, place, wish)]
    if standing and place.rules.quotas:
        return [*reasons, *standing.over_quota(_use(session, place, wish))]
    return [*reasons, *_against_quotas(session, place, wish, ignoring, beside)]


def _against_record(session: Session, place: Place, wish: Wish) -> list[Reason]:
    return lacking(session, place, wish.person_id, wish.slot.start, assisted=wish.assisted)


def lacking(session: Session, place: Place, person_id: str, start: datetime, *, assisted: bool) -> list[Reason]:
    """What the booker lacks for a use that begins at `start`, with an operator beside or without."""
    if not (place.rules.tests_bookers or assisted):
        return []
    record, asks = _record(session, place, person_id), place.rules.assistance
    return competence.reasons(place.rules.qualifications, asks, record, start, wanted=assisted)


def _record(session: Session, place: Place, person_id: str) -> Record:
    return qualifications.record_of(
        session,
        person_id,
        place.resource_id,
        qualification_ids={need.qualification_id for need in place.rules.qualifications},
        runs=place.rules.assistance.supervised_runs > 0,
    )


def _against_audience(session: Session, place: Place, wish: Wish) -> list[Reason]:
    if not place.rules.audience:
        return []
    return audience.reasons(place.rules.audience, _customer(session, place, wish), wish.slot, place.zone)


def _customer(session: Session, place: Place, wish: Wish) -> Customer:
    return rules.customer_of(session, wish.organisation_id, institution_id=place.institution_id)


def _against_quotas(session: Session, place: Place, wish: Wish, ignoring: Collection[str], beside: Sequence[Use]) -> list[Reason]:
    if not place.rules.quotas:
        return []
    asked = _use(session, place, wish)
    within = quotas.reach(place.rules.quotas, wish.slot, place.zone)
    near = [_grouped(session, place, use, asked) for use in beside if use.slot.overlaps(within)]
    return quotas.reasons(place.rules.quotas, asked, [*_uses(session, place, asked, within, ignoring), *near], place.zone)


def _grouped(session: Session, place: Place, use: Use, asked: Use) -> Use:
    """With its group where that of `asked` is known too."""
    if asked.group is None or use.organisation_id == asked.organisation_id:
        return replace(use, group=asked.group)
    house = rules.customer_of(session, use.organisation_id, institution_id=place.institution_id)
    return replace(use, group=house.group)


def _use(session: Session, place: Place, wish: Wish) -> Use:
    """As its quotas see it: with the booker's group only where one asks for it."""
    grouped = any(quota.members is not None and quota.members.group is not None for quota in place.rules.quotas)
    return replace(use_of(wish), group=_customer(session, place, wish).group) if grouped else use_of(wish)


def use_of(wish: Wish) -> Use:
    """As quotas of a person or an organisation see it."""
    return Use(wish.slot, wish.person_id, wish.organisation_id, wish.quantity)


def _uses(session: Session, place: Place, asked: Use, within: Slot, ignoring: Collection[str]) -> list[Use]:
    groups = quotas.groups_of(place.rules.quotas, asked)
    return rules.uses_of(session, place.resource_id, asked, within=within, ignoring=ignoring, groups=groups)


def _beside(session: Session, place: Place, wish: Wish, ignoring: Collection[str]) -> Beside:
    if not place.rules.waive_own_buffers:
        return waiving.NOBODY
    machines = [one for one in place.claimed if not is_operator(one)]
    return rules.beside(session, machines, wish.slot, wish.organisation_id, ignoring=ignoring)


def _units(place: Place, wish: Wish, claims: Claims, beside: Beside) -> tuple[Units, list[Slot]]:
    """The lowest units that are free, of stations all; and where they are not."""
    needs = [(place.resource_id, place.capacity, min(wish.quantity, place.capacity))]
    needs += [(part.resource_id, part.capacity, part.needed) for part in place.parts]
    units: dict[str, list[int]] = {}
    clashes: set[Slot] = set()
    for resource_id, capacity, needed in needs:
        held, buffers = claims.get(resource_id, ()), place.rules.buffers
        if place.rules.pooled and resource_id == place.resource_id:
            units[resource_id] = list(range(needed))
            clashes.update(_pool_clashes(place, wish.slot, held, needed))
            continue
        usable = waiving.usable(held, capacity=capacity, buffers=buffers, slot=wish.slot, beside=beside)
        units[resource_id] = occupancy.choose(usable, wish.slot, needed)
        if len(units[resource_id]) < needed:
            clashes.update(occupancy.conflicts(held, wish.slot, buffers, capacity=capacity, quantity=needed))
    return units, union(clashes)


def _pool_clashes(place: Place, slot: Slot, held: Sequence[Taken], needed: int) -> list[Slot]:
    """Where fewer than `needed` units are left for `slot` or its buffers; which they are is found when they are claimed."""
    buffers, capacity = place.rules.buffers, place.capacity
    room = pooling.usable(held, capacity=capacity, buffers=buffers, within=slot, quantity=needed)
    if any(span.contains(slot) for span in room):
        return []
    return occupancy.conflicts(held, slot, buffers, capacity=capacity, quantity=needed)


def _standing_by(place: Place, claims: Claims, slot: Slot) -> str | None:
    """The first operator, in the order of their ids, who is free for all of `slot`; None where nobody is."""
    free = (one for one in place.attendants if any(span.contains(slot) for span in queries.free_of(one, claims, slot)))
    return next((one.resource_id for one in free), None)


def find_ways_out(
    session: Session, place: Place, wish: Wish, *, now: datetime, ignoring: Collection[str] = (), seen: Sight | None = None
) -> list[Slot]:
    """The nearest slots that would be granted: sought around the wish, and to the horizon where too few are near."""
    place = place.attended_for(wanted=wish.assisted)
    bookable = place.state is ListingState.PUBLISHED and wish.quantity <= place.capacity
    if not bookable or not terms.may_last(wish.slot, place.rules):
        return []
    window = _open_to(session, place, wish, place.rules.window(now))
    if window is None:
        return []
    near = wish.slot.widen(LOOK_AROUND, LOOK_AROUND).clip(window)
    found = _alternatives(session, place, wish, near, now, ignoring, seen) if near else []
    return found if len(found) == terms.ALTERNATIVES else _alternatives(session, place, wish, window, now, ignoring)


def ways_within(session: Session, place: Place, wish: Wish, window: Slot, *, now: datetime) -> list[Slot]:
    """The slots inside `window` nearest to the wish that would be granted, buffers kept towards everybody."""
    bookable = window.clip(place.rules.window(now)) if place.state is ListingState.PUBLISHED else None
    opened = _open_to(session, place, wish, bookable) if bookable and wish.quantity <= place.capacity else None
    return _alternatives(session, place, wish, opened, now, ()) if opened else []


def _open_to(session: Session, place: Place, wish: Wish, window: Slot) -> Slot | None:
    """The part of `window` in which the customer may book at all; None where there is none."""
    window_or_none = _fit_in(session, place, wish, window)
    if window_or_none is None or not place.rules.audience:
        return window_or_none
    window = window_or_none
    since = audience.welcome_from(place.rules.audience, _customer(session, place, wish))
    if since is None:
        return None
    earliest = window.start if since == date.min else max(local_midnight(since, place.zone), window.start)
    return Slot(earliest, window.end) if earliest < window.end else None


def _fit_in(session: Session, place: Place, wish: Wish, window: Slot) -> Slot | None:
    """The part of `window` for which the booker is qualified."""
    if not (place.rules.tests_bookers or wish.assisted):
        return window
    record, asks = _record(session, place, wish.person_id), place.rules.assistance
    return competence.fit_in(place.rules.qualifications, asks, record, window, wanted=wish.assisted)


def _alternatives(
    session: Session, place: Place, wish: Wish, window: Slot, now: datetime, ignoring: Collection[str], seen: Sight | None = None
) -> list[Slot]:
    claims = _claims(session, place, window, _longest_buffer(place), ignoring, seen)
    free = _within_quotas(session, place, wish, window, ignoring, queries.free_in(place, claims, window, wish.quantity))
    return terms.alternatives(free, wish.slot, rules=place.rules, zone=place.zone, now=now)


def _within_quotas(
    session: Session, place: Place, wish: Wish, window: Slot, ignoring: Collection[str], free: Sequence[Slot]
) -> list[Slot]:
    """What of `free` lies in days, weeks and months in which the customer's quotas have room for the wish."""
    if not place.rules.quotas:
        return list(free)
    asked = _use(session, place, wish)
    within = quotas.reach(place.rules.quotas, window, place.zone)
    others = _uses(session, place, asked, within, ignoring)
    full = quotas.full(place.rules.quotas, asked, others, window, place.zone)
    return [piece for stretch in free for piece in subtract([stretch], full)]
