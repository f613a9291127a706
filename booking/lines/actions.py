"""Keeps what booking.places promises true when a line or what resources share changes.

Bookings of a line hold every unit of every station, those of a resource one unit of each part that it shares.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from booking import occupancy
from booking import queries as booking_queries
from booking.beside import actions as beside
from booking.lines import queries
from booking.outages import actions as outages
from booking.places import as_rules, claimed_by, get_place, lock_place, lock_places, note_change
from booking.tables import Booking, Claim, RuleVersion, SharedPart
from booking.writing import claim_rows
from marketplace import audit
from marketplace.catalogue.queries import get_resource
from marketplace.db import refused_by
from marketplace.ids import is_operator
from marketplace.refusals import Invalid, NotFound
from marketplace.slot import Slot
from marketplace.tables import Resource

MOST_SHARED = 20
FURTHEST = timedelta(days=1850)
"""Further than anything can be booked, and than outages and busy time that matter."""


def fit(session: Session, *, resource_id: str, now: datetime) -> None:
    """A listing has got units, a line above it or another one: bookings of the lines above it, and of no other, claim it.

    So do they with everything below it; outages and busy time kept elsewhere close what is free of it then.
    Raises: NotFound, Invalid (it is booked itself while its line is).
    """
    lines = queries.lines_above(session, resource_id)
    top = lock_place(session, lines[-1] if lines else resource_id)
    note_change(session, {resource_id, *top.claimed})
    capacities = {part.resource_id: part.capacity for part in top.parts}
    for part_id in (resource_id, *(part.resource_id for part in get_place(session, resource_id).parts)):
        _fit_part(session, part_id, capacities.get(part_id, 0), now)
    outages.close_what_is_left(session, resource_id=resource_id, around=Slot(now, now + FURTHEST))


def share(session: Session, *, resource_id: str, part_ids: Collection[str], actor_id: str, now: datetime) -> None:
    """A use of the resource takes one unit of each of these along, and of no other; so do its bookings ahead.

    Raises: NotFound, Invalid (another house's, a part of it already, with parts of its own, or taken at a booked time).
    """
    present = set(queries.shared_by(session, resource_id))
    if present == set(part_ids):
        return
    if len(part_ids) > MOST_SHARED:
        raise Invalid(field="shares", reason="more than {most} entries", most=MOST_SHARED)
    lines = queries.lines_above(session, resource_id)
    locked = lock_places(session, {lines[-1] if lines else resource_id, *part_ids, *present})
    note_change(session, claimed_by(locked.values()))
    for part_id in part_ids:
        _check_shared(session, get_resource(session, resource_id), part_id, lines)
    gone, new = present - set(part_ids), sorted(set(part_ids) - present)
    session.execute(delete(SharedPart).where(SharedPart.resource_id == resource_id, SharedPart.part_id.in_(gone)))
    session.add_all([SharedPart(resource_id=resource_id, part_id=one) for one in new])
    session.flush()
    for part_id in sorted({*gone, *new}):
        _fit_part(session, part_id, locked[part_id].capacity, now)
    audit.record(
        session,
        actor_id=actor_id,
        action="share_parts",
        object_kind="resource",
        object_id=resource_id,
        institution_id=get_resource(session, resource_id).institution_id,
        before={"parts": sorted(present)},
        after={"parts": sorted(part_ids)},
        now=now,
    )


def _check_shared(session: Session, row: Resource, part_id: str, lines: Sequence[str]) -> None:
    part = get_resource(session, part_id)
    if part.institution_id != row.institution_id or is_operator(part_id):
        raise NotFound(kind="resource")
    if part_id == row.id or part_id in lines:
        raise Invalid(field="shares", reason="is the resource itself or a line that it is a part of")
    if get_place(session, part_id).parts:
        raise Invalid(field="shares", reason="has parts of its own, so it cannot be shared")


def _fit_part(session: Session, part_id: str, capacity: int, now: datetime) -> None:
    """Who is to hold it: bookings of the lines above it whole, those of its sharers one unit; `capacity` 0: there is no line."""
    above, sharers = queries.lines_above(session, part_id), queries.sharers_of(session, part_id)
    _leave(session, part_id, [*above, *sharers])
    for booking in queries.bookings_of_lines(session, above, after=now):
        _join(session, part_id, capacity, booking)
    for booking in queries.bookings_of_lines(session, set(sharers) - set(above), after=now):
        _join_one(session, part_id, booking)


def _leave(session: Session, part_id: str, users: Sequence[str]) -> None:
    """Claims of those that it is no longer a part of."""
    held = select(Claim.booking_id).where(Claim.resource_id == part_id, Claim.active)
    others = select(Booking).where(Booking.resource_id.not_in([part_id, *users]), Booking.id.in_(held))
    for booking in session.scalars(others).all():
        beside.leave_resource(session, booking, part_id)


def _join(session: Session, part_id: str, capacity: int, booking: Booking) -> None:
    held = select(Claim.unit).where(Claim.resource_id == part_id, Claim.booking_id == booking.id, Claim.active)
    missing = sorted(set(range(capacity)) - set(session.scalars(held)))
    if missing:
        booked_itself = Invalid(field="parent_id", reason="it is booked itself at a time at which the line is booked")
        _claim(session, part_id, missing, booking, booked_itself)


def _join_one(session: Session, part_id: str, booking: Booking) -> None:
    """The lowest unit that is free for all of the booking and its buffers, unless it holds one."""
    held = select(Claim.id).where(Claim.resource_id == part_id, Claim.booking_id == booking.id, Claim.active)
    if session.scalars(held.limit(1)).one_or_none():
        return
    part = get_resource(session, part_id)
    claims = booking_queries.taken(session, [part_id], within=booking.slot).get(part_id, ())
    buffers = as_rules(session.get_one(RuleVersion, booking.rules_id)).buffers
    free = occupancy.usable(claims, capacity=part.capacity, buffers=buffers, within=[booking.slot])
    taken = Invalid(field="shares", reason="it is taken at a time at which this is booked")
    unit = occupancy.choose(free, booking.slot, 1)
    if not unit:
        raise taken
    _claim(session, part_id, unit, booking, taken)


def _claim(session: Session, part_id: str, units: Sequence[int], booking: Booking, taken: Invalid) -> None:
    rules = as_rules(session.get_one(RuleVersion, booking.rules_id))
    rows = claim_rows(booking, {part_id: units}, rules.buffers)
    with refused_by("claims_no_overlap", taken):
        session.execute(insert(Claim), beside.make_room(session, [booking], [rows])[0] if rules.waive_own_buffers else rows)
