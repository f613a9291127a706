"""Reads of what can be had: of many resources the starts at which admission would say yes, in a fixed number of queries."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from booking import audience, competence, fitting, occupancy, queries, quotas, terms, waiving
from booking.audience import Group
from booking.availability import MINUTE, local_midnight, next_on_grid
from booking.competence import Record
from booking.finding.askers import Asker
from booking.fitting import Range, Starts
from booking.places import Place
from booking.qualifications import queries as qualifications
from booking.queries import Claims
from booking.quotas import Use
from booking.rules.queries import CLASSES, COUNTED
from booking.tables import Booking
from booking.waiving import Beside
from marketplace.slot import Slot
from marketplace.tables import ListingState, Organisation

LEAST = timedelta(microseconds=1)
LONGEST_LOOK = timedelta(days=62)
"""The widest window that may be asked for."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A use of `length` and `quantity` units somewhere inside `within`; no length means the shortest that each resource takes."""

    within: Slot
    length: timedelta | None = None
    quantity: int = 1
    assisted: bool = False
    """Somebody of the house is to stand by."""


@dataclass(frozen=True, slots=True)
class Room:
    """A resource, and where a use as wanted may begin on it for the asker."""

    place: Place
    asker: Asker
    starts: Starts

    @property
    def own_house(self) -> bool:
        """Whether the asker books for the house that offers the resource."""
        return self.place.institution_id in self.asker.houses

    def first(self) -> Slot | None:
        return self.starts.first()


@dataclass(frozen=True, slots=True)
class Known:
    """What was read once for all the resources that are looked at."""

    places: Mapping[str, Place]
    claims: Claims
    uses: Mapping[str, Sequence[Use]]
    """The askers' bookings by resource, where quotas count them; everybody's where a quota is a group's."""
    own: Mapping[str, tuple[str | None, Slot]]
    """The askers' bookings by id, for whom and when, where a resource waives the buffers beside them."""
    records: Mapping[tuple[str, str], Record]
    """By person and resource, where qualifications or supervised runs count."""


def asker_of(person_id: str, organisation: Organisation | None, houses: frozenset[str]) -> Asker:
    """Who books for `organisation`, or for their `houses` where those offer the resource."""
    if organisation is None:
        return Asker(person_id, houses=houses)
    group = CLASSES.get(organisation.customer_class)
    return Asker(person_id, organisation.id, group, organisation.institution_id, houses)


def rooms(
    session: Session, resource_ids: Collection[str], *, wanted: Wanted, askers: Sequence[Asker], now: datetime
) -> dict[str, Room]:
    """By resource, for the asker who can begin first; those that can begin nowhere are left out.

    A fixed number of queries, however many resources: places, claims, and what the askers have and may do already.
    """
    known = read(session, resource_ids, wanted=wanted, askers=askers)
    found: dict[str, tuple[datetime, Room]] = {}
    for place in known.places.values():
        for asker in askers:
            room = room_of(known, place, asker, wanted, now)
            first = room.first() if room else None
            if room and first and (place.resource_id not in found or first.start < found[place.resource_id][0]):
                found[place.resource_id] = (first.start, room)
    return {resource_id: room for resource_id, (_, room) in found.items()}


def read(session: Session, resource_ids: Collection[str], *, wanted: Wanted, askers: Sequence[Asker]) -> Known:
    places, claims = queries.surveyed(session, resource_ids, within=wanted.within)
    known = [asker for asker in askers if asker.person_id]
    uses = _uses(session, [place for place in places.values() if place.rules.quotas], wanted.within, known)
    waives = known and any(place.rules.waive_own_buffers for place in places.values())
    own = _own(session, wanted.within, known) if waives else {}
    return Known(places, claims, uses, own, _records(session, places.values(), {asker.person_id or "" for asker in known}))


def _records(session: Session, places: Collection[Place], person_ids: set[str]) -> dict[tuple[str, str], Record]:
    """Without the qualifications' names."""
    tested = [place for place in places if place.rules.tests_bookers]
    if not tested or not person_ids:
        return {}
    kinds = {need.qualification_id for place in tested for need in place.rules.qualifications}
    held = qualifications.records_of(session, person_ids, kinds) if kinds else {}
    counted = [place.resource_id for place in tested if place.rules.assistance.supervised_runs]
    runs = qualifications.runs_of(session, person_ids, counted) if counted else {}
    keys = [(person, place.resource_id) for place in tested for person in person_ids]
    return {key: Record(held.get(key[0], ()), runs.get(key, 0)) for key in keys}


def room_of(known: Known, place: Place, asker: Asker, wanted: Wanted, now: datetime) -> Room | None:
    """Every start on the place that admission would grant the asker; None where it is not open to them at all."""
    place = place.attended_for(wanted=wanted.assisted)
    length = wanted.length or fitting.whole_steps(place.rules.min_min * MINUTE, place.rules)
    window = _open_to(place, asker, wanted.within.clip(place.rules.window(now)))
    if window is None or place.state is not ListingState.PUBLISHED or wanted.quantity > place.capacity:
        return None
    if not terms.may_last(Slot(window.start, window.start + length), place.rules):
        return None
    fit = _fit_in(known, place, asker, window, assisted=wanted.assisted)
    if fit is None:
        return None
    customer = asker.at(place.institution_id)
    use = Use(
        Slot(window.start, window.start + length),
        asker.person_id or "",
        customer.organisation_id,
        wanted.quantity,
        customer.group,
    )
    barred = quotas.barred(place.rules.quotas, use, known.uses.get(place.resource_id, ()), window, place.zone)
    barred.append((fit.end - LEAST, window.end))
    free = queries.free_in(place, known.claims, window, wanted.quantity)
    ranges = fitting.without(fitting.starts(free, length, window), barred)
    singles: list[datetime] = []
    if place.rules.waive_own_buffers and known.own:
        opened = fitting.starts(terms.bookable_hours(place.rules, place.zone, window), length, window)
        singles = list(_beside_own(known, place, use, fitting.without(opened, barred)))
    return Room(place, asker, Starts(length, ranges, place.rules.step_min, place.zone, singles))


def _open_to(place: Place, asker: Asker, window: Slot | None) -> Slot | None:
    """The part of `window` in which the asker may begin a use; None where there is none."""
    since = audience.welcome_from(place.rules.audience, asker.at(place.institution_id))
    if since is None or window is None:
        return None
    earliest = window.start if since == date.min else max(local_midnight(since, place.zone), window.start)
    return Slot(earliest, window.end) if earliest < window.end else None


def _fit_in(known: Known, place: Place, asker: Asker, window: Slot, *, assisted: bool) -> Slot | None:
    """The part of `window` in which the asker is qualified to begin; whoever is not known has been granted nothing."""
    record = known.records.get((asker.person_id or "", place.resource_id), Record())
    return competence.fit_in(place.rules.qualifications, place.rules.assistance, record, window, wanted=assisted)


def _beside_own(known: Known, place: Place, use: Use, allowed: Sequence[Range]) -> Iterator[datetime]:
    """Starts right after or right before own bookings, where the buffers between them are waived."""
    near = {claim.owner for one in place.claimed for claim in known.claims.get(one, ())}
    own = {key: slot for key, (firm, slot) in known.own.items() if key in near and firm == use.organisation_id}
    length = use.slot.duration
    for at in {edge for slot in own.values() for edge in (slot.end, slot.start - length)}:
        slot = Slot(at, at + length)
        beside = Beside(
            before={key for key, one in own.items() if one.end == slot.start},
            after={key for key, one in own.items() if one.start == slot.end},
        )
        on_grid = next_on_grid(at, place.rules.step_min, place.zone) == at
        if on_grid and any(first <= at <= last for first, last in allowed) and _fits(known, place, slot, use.quantity, beside):
            yield at


def _fits(known: Known, place: Place, slot: Slot, quantity: int, beside: Beside) -> bool:
    """Whether enough units of the place and all of its parts are free, as admission counts them."""
    needs = [
        (place.resource_id, place.capacity, quantity),
        *((one.resource_id, one.capacity, one.needed) for one in place.parts),
    ]
    for resource_id, capacity, needed in needs:
        held, buffers = known.claims.get(resource_id, ()), place.rules.buffers
        units = waiving.usable(held, capacity=capacity, buffers=buffers, slot=slot, beside=beside)
        if len(occupancy.choose(units, slot, needed)) < needed:
            return False
    return not place.attended or any(span.contains(slot) for span in queries.attended(place, known.claims, slot))


def _uses(session: Session, places: Sequence[Place], within: Slot, askers: Sequence[Asker]) -> dict[str, list[Use]]:
    """What the askers, or groups with a quota, have of the places, in the days, weeks and months that `within` touches."""
    grouped = [place.resource_id for place in places if any(quota.members for quota in place.rules.quotas)]
    if not places or not (askers or grouped):
        return {}
    reaches = [quotas.reach(place.rules.quotas, within, place.zone) for place in places]
    columns = (Booking.starts_at, Booking.ends_at, Booking.person_id, Booking.organisation_id, Booking.quantity)
    own = Organisation.institution_id == Booking.institution_id
    found = select(Booking.resource_id, *columns, Organisation.customer_class, own)
    found = found.outerjoin(Organisation, Organisation.id == Booking.organisation_id).where(
        Booking.resource_id.in_([place.resource_id for place in places]),
        Booking.state.in_(COUNTED),
        Booking.starts_at < max(reach.end for reach in reaches),
        Booking.ends_at > min(reach.start for reach in reaches),
        or_(Booking.person_id.in_([asker.person_id for asker in askers]), Booking.resource_id.in_(grouped), *_for(askers)),
    )
    by_resource: dict[str, list[Use]] = defaultdict(list)
    for resource_id, start, end, person, firm, quantity, kind, department in session.execute(found):
        group = Group.OWN if firm is None or department else CLASSES.get(kind)
        by_resource[resource_id].append(Use(Slot(start, end), person, firm, quantity, group))
    return by_resource


def _own(session: Session, within: Slot, askers: Sequence[Asker]) -> dict[str, tuple[str | None, Slot]]:
    found = select(Booking.id, Booking.organisation_id, Booking.starts_at, Booking.ends_at).where(
        or_(*_for(askers)), Booking.starts_at <= within.end, Booking.ends_at >= within.start
    )
    return {key: (firm, Slot(start, end)) for key, firm, start, end in session.execute(found)}


def _for(askers: Sequence[Asker]) -> list[ColumnElement[bool]]:
    """What books for one of the askers' organisations, or for one of their houses."""
    firms = [asker.organisation_id for asker in askers if asker.organisation_id]
    houses = {house for asker in askers for house in asker.houses}
    own = and_(Booking.organisation_id.is_(None), Booking.institution_id.in_(houses))
    return [Booking.organisation_id.in_(firms), own]
