"""Reads of rules, claims, free time and bookings. Nothing here decides; occupancy and terms do."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, func, or_, select
from sqlalchemy.orm import Session

from booking import fitting, occupancy, pooling, terms
from booking.availability import open_slots
from booking.occupancy import LONGEST_BUFFER, Taken
from booking.places import Attendant, Place, claimed_by, load_places, places_asked
from booking.states import HOLDING, BookingState
from booking.tables import Booking, BookingSeries, Claim, Outage, RuleVersion
from marketplace.permissions import Actor
from marketplace.prepared import Question, Read, ask_both, spread
from marketplace.refusals import NotFound
from marketplace.roles import Role
from marketplace.slot import Slot, common, subtract, union
from marketplace.tables import ListingState

NEAR = timedelta(hours=6)
"""What most buffers are shorter than: so far around one slot its claims are asked for before its rules are known."""
FAR = timedelta(days=16)
"""So far where a no is likely: ways out are sought for two weeks around, and buffers are never longer than two days."""
Claims = Mapping[str, Sequence[Taken]]
"""Active claims by resource."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of a resource at one moment: its place, and the active claims that touch `reach` on it alone."""

    place: Place
    claims: Claims
    reach: Slot

    def shows(self, within: Slot, buffer: timedelta) -> bool:
        """Whether no other claims matter to a use inside `within` that is kept clear of others by `buffer`."""
        return self.place.stands_alone and self.reach.contains(within.widen(buffer, buffer))


@dataclass(frozen=True, slots=True)
class Busy:
    """A stretch that is taken, and by what: booking, buffer, outage, external, hold, request or offer. Never by whom."""

    slot: Slot
    kind: str


def rules_of(session: Session, resource_id: str) -> RuleVersion:
    """The newest version. Raises: NotFound."""
    found = select(RuleVersion).where(RuleVersion.resource_id == resource_id).order_by(RuleVersion.number.desc()).limit(1)
    if row := session.scalars(found).one_or_none():
        return row
    raise NotFound(kind="resource")


def rule_versions_of(session: Session, resource_id: str) -> Sequence[RuleVersion]:
    """All versions, oldest first."""
    return session.scalars(select(RuleVersion).where(RuleVersion.resource_id == resource_id).order_by(RuleVersion.number)).all()


def taken(session: Session, resource_ids: Collection[str], *, within: Slot, ignoring: Collection[str] = ()) -> Claims:
    """Active claims near `within`, by resource; those of the bookings `ignoring` left out."""
    if not resource_ids:
        return {}
    return _claims(resource_ids, within.widen(LONGEST_BUFFER, LONGEST_BUFFER), ignoring).ask(session)


def surveyed(session: Session, resource_ids: Collection[str], *, within: Slot) -> tuple[dict[str, Place], Claims]:
    """The places of some, and the active claims near `within` on all that a use of them claims: asked together."""
    if not resource_ids:
        return {}, {}
    own = _claims(resource_ids, within.widen(LONGEST_BUFFER, LONGEST_BUFFER), ())
    places, claims = ask_both(session, places_asked(resource_ids), own)
    return places, {**claims, **taken(session, claimed_by(places.values()) - set(resource_ids), within=within)}


def claims_on(resource_id: str, reach: Slot) -> Question[Claims]:
    """The active claims of one resource that touch `reach`."""
    return _claims([resource_id], reach, ())


def _claims(resource_ids: Collection[str], reach: Slot, ignoring: Collection[str]) -> Question[Claims]:
    ids = spread(resource_ids)

    def understand(_session: Session, rows: Sequence[Sequence[Any]]) -> Claims:
        by_resource: dict[str, list[Taken]] = defaultdict(list)
        for resource_id, owner, unit, lane, start, end in rows:
            if owner not in ignoring:
                by_resource[resource_id].append(Taken(owner, unit, lane, Slot(start, end)))
        return by_resource

    return Question(_claims_of(len(ids)), {"start": reach.start, "end": reach.end, **ids}, understand)


@lru_cache(maxsize=64)
def _claims_of(count: int) -> Read:
    """Active claims of `count` resources, `id0` and on, that touch `start` to `end`."""
    named = Claim.resource_id.in_([bindparam(f"id{number}") for number in range(count)])
    owner = func.coalesce(Claim.booking_id, Claim.outage_id, Claim.external_id, Claim.waiting_id)
    facts = (Claim.resource_id, owner, Claim.unit, Claim.lane, Claim.starts_at, Claim.ends_at)
    return Read(select(*facts).where(Claim.active, named, Claim.starts_at < bindparam("end"), Claim.ends_at > bindparam("start")))


def free_in(place: Place, claims: Claims, within: Slot, quantity: int) -> list[Slot]:
    """Where a use of `quantity` units may lie: opening hours less claims and buffers, its parts free with it."""
    opened, buffers = terms.bookable_hours(place.rules, place.zone, within), place.rules.buffers
    held, capacity = claims.get(place.resource_id, ()), place.capacity
    if place.rules.pooled:
        room = pooling.usable(held, capacity=capacity, buffers=buffers, within=within, quantity=quantity)
        stretches = common(room, opened)
    else:
        stretches = occupancy.free(occupancy.usable(held, capacity=capacity, buffers=buffers, within=opened), quantity)
    for part in place.parts:
        units = occupancy.usable(claims.get(part.resource_id, ()), capacity=part.capacity, buffers=buffers, within=[within])
        stretches = occupancy.together(stretches, occupancy.free(units, part.needed))
    return occupancy.together(stretches, attended(place, claims, within)) if place.attended else stretches


def attended(place: Place, claims: Claims, within: Slot) -> list[Slot]:
    """Where at least one operator of the place's is free throughout."""
    return occupancy.free([free_of(one, claims, within) for one in place.attendants], 1)


def free_of(attendant: Attendant, claims: Claims, within: Slot) -> list[Slot]:
    """Where that operator is free: their hours less what claims them. Their time is the use alone, without buffers."""
    held, opened = claims.get(attendant.resource_id, ()), open_slots(attendant.hours, attendant.zone, within)
    (free,) = occupancy.usable(held, capacity=1, buffers=terms.NO_BUFFERS, within=opened)
    return free


def free_time(session: Session, resource_id: str, *, within: Slot, now: datetime, quantity: int = 1) -> list[Slot]:
    """What a request for `quantity` units would be granted between `within`, from the resource's notice to its horizon."""
    return free_time_of(session, [resource_id], within=within, now=now, quantity=quantity).get(resource_id, [])


def free_time_of(
    session: Session, resource_ids: Collection[str], *, within: Slot, now: datetime, quantity: int = 1
) -> dict[str, list[Slot]]:
    """`free_time` of many resources in one round trip, two if parts go along. Paused and retired ones have none.

    A stretch begins and ends where a use of it may: on the resource's step.
    """
    known, claims = surveyed(session, resource_ids, within=within)
    found: dict[str, list[Slot]] = {}
    for place in known.values():
        window = within.clip(place.rules.window(now)) if place.state is ListingState.PUBLISHED else None
        free = free_in(place, claims, window, quantity) if window else []
        found[place.resource_id] = fitting.trimmed(free, place.rules, place.zone)
    return found


def busy_time(session: Session, resource_id: str, *, within: Slot) -> list[Busy]:
    """All that is taken inside `within`, clipped to it: bookings, buffers, outages, busy elsewhere, holds, requests, offers.

    What is taken of a part stands in the way too.
    """
    places = load_places(session, [resource_id]).values()
    claimed = {resource_id, *(part.resource_id for place in places for part in place.parts if part.needed == part.capacity)}
    rows = session.execute(
        select(Claim.starts_at, Claim.ends_at, Claim.kind, Booking.starts_at, Booking.ends_at)
        .outerjoin(Booking, Booking.id == Claim.booking_id)
        .where(Claim.active, Claim.resource_id.in_(claimed), Claim.starts_at < within.end, Claim.ends_at > within.start)
    ).all()
    by_kind: dict[str, list[Slot]] = defaultdict(list)
    for start, end, kind, core_start, core_end in rows:
        whole = Slot(start, end)
        core = Slot(core_start, core_end) if core_start else whole
        by_kind[kind.value].append(core)
        by_kind["buffer"] += subtract([whole], [core])
    cores = [slot for kind, slots in by_kind.items() if kind != "buffer" for slot in slots]
    by_kind["buffer"] = subtract(by_kind["buffer"], cores)
    pieces = [
        Busy(piece, kind) for kind, slots in by_kind.items() for slot in _distinct(kind, slots) if (piece := slot.clip(within))
    ]
    return sorted(pieces, key=lambda busy: busy.slot)


def _distinct(kind: str, slots: Iterable[Slot]) -> Iterable[Slot]:
    return union(slots) if kind == "buffer" else sorted(set(slots))


def get_booking(session: Session, booking_id: str) -> Booking:
    """For the other floors and timers. Raises: NotFound."""
    if row := session.get(Booking, booking_id):
        return row
    raise NotFound(kind="booking")


def bookings_of_ids(session: Session, booking_ids: Collection[str]) -> Sequence[Booking]:
    return session.scalars(select(Booking).where(Booking.id.in_(booking_ids))).all()


def get_booking_for(session: Session, actor: Actor, booking_id: str) -> Booking:
    """The booking, if the actor booked it, belongs to its organisation, works for its institution or runs the platform.

    Raises: NotFound (also for what the actor may not know of).
    """
    if row := session.scalars(_visible_to(actor).where(Booking.id == booking_id)).one_or_none():
        return row
    raise NotFound(kind="booking")


def sees_booking(session: Session, actor: Actor, booking_id: str) -> bool:
    """Whether the actor may know of it."""
    return session.scalars(_visible_to(actor).where(Booking.id == booking_id)).one_or_none() is not None


def get_series(session: Session, series_id: str) -> BookingSeries:
    """Raises: NotFound."""
    if row := session.get(BookingSeries, series_id):
        return row
    raise NotFound(kind="series")


def bookings_of_series_for(session: Session, actor: Actor, series_id: str) -> Sequence[Booking]:
    """In order, those the actor may know of. Raises: NotFound (none)."""
    rows = session.scalars(_visible_to(actor).where(Booking.series_id == series_id).order_by(Booking.starts_at)).all()
    if not rows:
        raise NotFound(kind="series")
    return rows


def bookings_of_bundle_for(session: Session, actor: Actor, bundle_id: str) -> Sequence[Booking]:
    """In order, those the actor may know of. Raises: NotFound (none)."""
    rows = session.scalars(_visible_to(actor).where(Booking.bundle_id == bundle_id).order_by(Booking.starts_at, Booking.id)).all()
    if not rows:
        raise NotFound(kind="bundle")
    return rows


def bookings_of_bundle(session: Session, bundle_id: str) -> Sequence[Booking]:
    """All of it, in order."""
    found = select(Booking).where(Booking.bundle_id == bundle_id).order_by(Booking.starts_at, Booking.id)
    return session.scalars(found.execution_options(populate_existing=True)).all()


def sees_series(session: Session, actor: Actor, series_id: str) -> bool:
    """Whether the actor may know of any of its bookings."""
    return session.scalars(_visible_to(actor).where(Booking.series_id == series_id).limit(1)).first() is not None


def bookings_for(session: Session, actor: Actor, *, after: str | None = None, limit: int = 50) -> Sequence[Booking]:
    """The actor's own and their organisations' bookings, newest first; `after` is the last id of the page before."""
    mine = select(Booking).where(_own(actor))
    if after:
        mine = mine.where(Booking.id < after)
    return session.scalars(mine.order_by(Booking.id.desc()).limit(limit)).all()


def _own(actor: Actor) -> ColumnElement[bool]:
    return or_(Booking.person_id == actor.person_id, Booking.organisation_id.in_(actor.organisations))


def _visible_to(actor: Actor) -> Select[Booking]:
    if actor.is_operator:
        return select(Booking)
    staff = actor.institutions(Role.MANAGER, Role.TECHNICIAN, Role.FINANCE)
    return select(Booking).where(or_(_own(actor), Booking.institution_id.in_(staff)))


def bookings_of_resource(session: Session, resource_id: str, *, within: Slot) -> Sequence[Booking]:
    """All bookings that touch `within`, in order, whatever their state."""
    return bookings_of_any(session, [resource_id], within=within)


def bookings_of_any(session: Session, resource_ids: Collection[str], *, within: Slot) -> Sequence[Booking]:
    """In order, those of all of them, whatever their state."""
    return session.scalars(
        select(Booking)
        .where(Booking.resource_id.in_(resource_ids), Booking.starts_at < within.end, Booking.ends_at > within.start)
        .order_by(Booking.starts_at)
    ).all()


def bookings_that_hold(session: Session, resource_id: str, *, within: Slot) -> Sequence[Booking]:
    """Bookings whose use touches `within` and that claim the resource: its own, its line's, and those that take it along."""
    claimed = select(Claim.booking_id).where(Claim.active, Claim.resource_id == resource_id)
    claimed = claimed.where(Claim.starts_at < within.end, Claim.ends_at > within.start)
    met = select(Booking).where(Booking.id.in_(claimed), Booking.starts_at < within.end, Booking.ends_at > within.start)
    return session.scalars(met.order_by(Booking.starts_at, Booking.id)).all()


def bookings_of_institutions(session: Session, institution_ids: Collection[str], *, within: Slot) -> Sequence[Booking]:
    """A publisher's desk: bookings of all its resources that touch `within`, in order."""
    return session.scalars(
        select(Booking)
        .where(Booking.institution_id.in_(institution_ids), Booking.starts_at < within.end, Booking.ends_at > within.start)
        .order_by(Booking.starts_at)
    ).all()


def with_something_ahead(session: Session, resource_ids: Collection[str], *, now: datetime) -> set[str]:
    """Those of the resources whose bookings or requests are not all over."""
    held = select(Booking.resource_id).where(Booking.resource_id.in_(resource_ids), Booking.state.in_(HOLDING))
    return set(session.scalars(held.where(Booking.ends_at > now).distinct()))


def current_bookings(session: Session, resource_ids: Collection[str], *, now: datetime) -> dict[str, Booking]:
    """The confirmed booking that runs at `now`, by resource."""
    rows = session.scalars(
        select(Booking).where(
            Booking.resource_id.in_(resource_ids),
            Booking.state == BookingState.CONFIRMED,
            Booking.starts_at <= now,
            Booking.ends_at > now,
        )
    )
    return {row.resource_id: row for row in rows}


def next_claims(session: Session, resource_ids: Collection[str], *, within: Slot) -> dict[str, datetime]:
    """When each resource is next taken inside `within`; those that are not, are left out."""
    rows = session.execute(
        select(Claim.resource_id, func.min(Claim.starts_at))
        .where(Claim.active, Claim.resource_id.in_(resource_ids))
        .where(Claim.starts_at >= within.start, Claim.starts_at < within.end)
        .group_by(Claim.resource_id)
    )
    return {resource_id: start for resource_id, start in rows}  # noqa: C416


def outages_of(session: Session, resource_id: str, *, within: Slot) -> Sequence[Outage]:
    return outages_of_any(session, [resource_id], within=within)


def outages_of_any(session: Session, resource_ids: Collection[str], *, within: Slot) -> Sequence[Outage]:
    """In order, those of all of them."""
    return session.scalars(
        select(Outage)
        .where(Outage.resource_id.in_(resource_ids), Outage.starts_at < within.end, Outage.ends_at > within.start)
        .order_by(Outage.starts_at)
    ).all()


def outages_at(session: Session, resource_ids: Collection[str], *, now: datetime) -> dict[str, Outage]:
    """The outage that is on at `now`, by resource."""
    rows = session.scalars(
        select(Outage).where(Outage.resource_id.in_(resource_ids), Outage.starts_at <= now, Outage.ends_at > now)
    )
    return {row.resource_id: row for row in rows}


def taken_instead(session: Session, booking: Booking, left: Slot) -> list[tuple[int, Booking]]:
    """(unit, booking) for each booking of another customer that holds time which this one has left, on the units it had then."""
    mine = select(Claim.unit).where(
        Claim.booking_id == booking.id,
        Claim.resource_id == booking.resource_id,
        Claim.lane == 0,
        Claim.starts_at <= left.start,
        Claim.ends_at >= left.end,
    )
    units = session.scalars(mine.order_by(Claim.id.desc()).limit(booking.quantity)).all()
    others = (
        select(Claim.unit, Booking)
        .join(Booking, Booking.id == Claim.booking_id)
        .where(Claim.active, Claim.resource_id == booking.resource_id, Claim.lane == 0, Claim.unit.in_(units))
        .where(Booking.id != booking.id, Booking.organisation_id.is_distinct_from(booking.organisation_id))
        .where(Booking.starts_at < left.end, Booking.ends_at > left.start)
        .order_by(Booking.starts_at, Claim.unit)
    )
    return [(unit, other) for unit, other in session.execute(others)]


def expired_holds(session: Session, *, now: datetime, limit: int = 200) -> Sequence[str]:
    """Ids of held bookings whose time is up, oldest first."""
    return session.scalars(
        select(Booking.id)
        .where(Booking.state == BookingState.HELD, Booking.hold_until <= now)
        .order_by(Booking.hold_until)
        .limit(limit)
    ).all()


def undecided_requests(session: Session, *, now: datetime, limit: int = 200) -> Sequence[str]:
    """Ids of requests that nobody has answered by their start or the publisher's deadline, oldest first."""
    return session.scalars(
        select(Booking.id)
        .where(Booking.state == BookingState.REQUESTED, or_(Booking.starts_at <= now, Booking.decide_by <= now))
        .order_by(Booking.starts_at)
        .limit(limit)
    ).all()
