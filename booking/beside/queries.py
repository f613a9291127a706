"""Reads of claims with the bookings that hold them, for all of a stretch of time at once."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from booking import queries
from booking.beside.board import Board, Holder
from booking.occupancy import LONGEST_BUFFER
from booking.tables import Booking, Claim
from marketplace.ids import is_operator
from marketplace.slot import Slot


def board(session: Session, resource_ids: Collection[str], *, reach: Slot, ignoring: Collection[str] = ()) -> Board:
    """What holds time of the resources near `reach`, the bookings `ignoring` left out. The resources' rows are locked."""
    claims = queries.taken(session, resource_ids, within=reach, ignoring=ignoring)
    return Board(claims, holders(session, resource_ids, reach=reach, ignoring=ignoring))


def holders(session: Session, resource_ids: Collection[str], *, reach: Slot, ignoring: Collection[str] = ()) -> dict[str, Holder]:
    """The bookings that hold time of the machines among them near `reach`, by id."""
    machines = [one for one in resource_ids if not is_operator(one)]
    near = reach.widen(LONGEST_BUFFER, LONGEST_BUFFER)
    held = select(Claim.booking_id).where(Claim.active, Claim.resource_id.in_(machines))
    held = held.where(Claim.starts_at < near.end, Claim.ends_at > near.start)
    columns = (Booking.id, Booking.starts_at, Booking.ends_at, Booking.organisation_id, Booking.rules_id)
    rows = session.execute(select(*columns).where(Booking.id.in_(held)))
    return {key: Holder(Slot(start, end), firm, rules_id) for key, start, end, firm, rules_id in rows if key not in ignoring}
