"""Keeps what booking.places promises true when a line changes: its bookings hold every unit of every station."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from booking.beside import actions as beside
from booking.lines import queries
from booking.outages import actions as outages
from booking.places import as_rules, get_place, lock_place
from booking.tables import Booking, Claim, RuleVersion
from booking.writing import claim_rows
from marketplace.db import refused_by
from marketplace.refusals import Invalid
from marketplace.slot import Slot

FURTHEST = timedelta(days=1100)
"""Further than an outage may lie."""


def fit(session: Session, *, resource_id: str, now: datetime) -> None:
    """A listing has got units, a line above it or another one: bookings of the lines above it, and of no other, claim it.

    So do they with everything below it; outages and busy time kept elsewhere close what is free of it then.
    Raises: NotFound, Invalid (it is booked itself while its line is).
    """
    lines = queries.lines_above(session, resource_id)
    top = lock_place(session, lines[-1] if lines else resource_id)
    for part_id in (resource_id, *(part.resource_id for part in get_place(session, resource_id).parts)):
        above = queries.lines_above(session, part_id)
        _leave(session, part_id, above)
        capacity = next((part.capacity for part in top.parts if part.resource_id == part_id), 0)
        for booking in queries.bookings_of_lines(session, above, after=now):
            _join(session, part_id, capacity, booking)
    outages.close_what_is_left(session, resource_id=resource_id, around=Slot(now, now + FURTHEST))


def _leave(session: Session, part_id: str, lines: Sequence[str]) -> None:
    """Claims of lines that it is no longer a part of."""
    held = select(Claim.booking_id).where(Claim.resource_id == part_id, Claim.active)
    others = select(Booking).where(Booking.resource_id.not_in([part_id, *lines]), Booking.id.in_(held))
    for booking in session.scalars(others).all():
        beside.leave_resource(session, booking, part_id)


def _join(session: Session, part_id: str, capacity: int, booking: Booking) -> None:
    held = select(Claim.unit).where(Claim.resource_id == part_id, Claim.booking_id == booking.id, Claim.active)
    missing = sorted(set(range(capacity)) - set(session.scalars(held)))
    if not missing:
        return
    rules = as_rules(session.get_one(RuleVersion, booking.rules_id))
    rows = claim_rows(booking, {part_id: missing}, rules.buffers)
    booked_itself = Invalid(field="parent_id", reason="it is booked itself at a time at which the line is booked")
    with refused_by("claims_no_overlap", booked_itself):
        session.execute(insert(Claim), beside.make_room(session, booking, rows) if rules.waive_own_buffers else rows)
