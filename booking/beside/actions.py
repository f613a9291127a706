"""Keeps the ledger true where one customer's bookings touch: their buffers go when they meet and come back when one leaves."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from booking.admission import Units
from booking.beside import queries
from booking.beside.board import Holder, Key
from booking.places import Place, rules_of_versions
from booking.pools import actions as pools
from booking.tables import Booking, Claim
from booking.writing import CLAIMS, claim_rows
from marketplace.ids import is_operator
from marketplace.slot import Slot

AT_ONCE = 500
UNSEEN = {"synchronize_session": False}
"""Nobody looks at the claims again."""
Rows = list[dict[str, Any]]


def claim(session: Session, place: Place, booking: Booking, units: Units, *, taken: Exception) -> None:
    """Write the claims of a new slot, with the buffers that the rules ask for. The resources' rows are locked.

    Of a pooled resource others may change units for it.

    Raises: `taken`, at the flush, if the ledger holds that time against what was read.
    """
    if place.rules.pooled:
        units = {**units, place.resource_id: pools.make_room(session, place, booking.slot, booking.quantity, taken=taken)}
    _claim(session, place, [booking], [units], taken)


def claim_all(session: Session, place: Place, bookings: Sequence[Booking], units: Sequence[Units], *, taken: Exception) -> None:
    """`claim` of one after the other, what is near them all being read once."""
    if not place.rules.pooled:
        _claim(session, place, bookings, units, taken)
        return
    for booking, chosen in zip(bookings, units, strict=True):
        claim(session, place, booking, chosen, taken=taken)


def _claim(session: Session, place: Place, bookings: Sequence[Booking], units: Sequence[Units], taken: Exception) -> None:
    rows = [claim_rows(booking, chosen, place.rules.buffers) for booking, chosen in zip(bookings, units, strict=True)]
    if place.rules.waive_own_buffers:
        rows = make_room(session, bookings, rows)
    CLAIMS.add(session, [row for some in rows for row in some], refused={"claims_no_overlap": taken})


def make_room(session: Session, bookings: Sequence[Booking], rows: Sequence[Rows]) -> list[Rows]:
    """The rows of new bookings' claims less the buffers towards the customer's own bookings on the same units.

    The buffers of those towards them are given up. The resources' rows are locked.
    """
    resource_ids = {row["resource_id"] for some in rows for row in some}
    board = queries.board(session, resource_ids, reach=_reach(bookings))
    spans: dict[Key, Slot] = {}
    for booking, some in zip(bookings, rows, strict=True):
        asked = {_key(row): Slot(row["starts_at"], row["ends_at"]) for row in some}
        spans |= board.put(booking.id, booking.slot, booking.organisation_id, asked)
        board.hold(booking.id, Holder(booking.slot, booking.organisation_id, booking.rules_id))
    spans |= {key: span for key, span in board.changed.items() if key in spans}
    _resize(session, {key: span for key, span in board.changed.items() if key not in spans})
    return [[{**row, "starts_at": spans[_key(row)].start, "ends_at": spans[_key(row)].end} for row in some] for some in rows]


def leave(session: Session, booking: Booking) -> None:
    """Release all claims of the booking as `leave_resource` does."""
    leave_all(session, [booking])


def leave_all(session: Session, bookings: Sequence[Booking]) -> None:
    """`leave` of one after the other, what is near them all being read once."""
    ids = [one.id for one in bookings]
    held: dict[str, list[str]] = defaultdict(list)
    for some in (ids[at : at + AT_ONCE] for at in range(0, len(ids), AT_ONCE)):
        found = select(Claim.booking_id, Claim.resource_id).where(Claim.booking_id.in_(some), Claim.active).distinct()
        for booking_id, resource_id in session.execute(found):
            held[str(booking_id)].append(resource_id)
    _leave(session, [one for one in bookings if one.id in held], held)


def leave_resource(session: Session, booking: Booking, resource_id: str) -> None:
    """Release the booking's claims of that resource; what the same customer's claims gave up towards them comes back.

    As far as there is room: between two of one customer that are then close to each other the whole gap is claimed. The
    resource's row is locked.
    """
    _leave(session, [booking], {booking.id: [resource_id]})


def _leave(session: Session, bookings: Sequence[Booking], held: Mapping[str, Collection[str]]) -> None:
    resource_ids = {one for booking in bookings for one in held[booking.id]}
    if not resource_ids:
        return
    board = queries.board(session, resource_ids, reach=_reach(bookings))
    _release(session, held)
    rules = rules_of_versions(session, {holder.rules_id for holder in board.holders.values()})
    wanted = {owner: rules[holder.rules_id].buffers.spans(holder.slot) for owner, holder in board.holders.items()}
    for booking in bookings:
        for resource_id in held[booking.id]:
            if not is_operator(resource_id):
                board.leave(booking.id, resource_id, wanted)
    _resize(session, {key: span for key, span in board.changed.items() if key.resource_id not in held.get(key.owner, ())})


def _release(session: Session, held: Mapping[str, Collection[str]]) -> None:
    of_resource: dict[str, list[str]] = defaultdict(list)
    for booking_id, resource_ids in held.items():
        for resource_id in resource_ids:
            of_resource[resource_id].append(booking_id)
    for resource_id, ids in of_resource.items():
        release(session, ids, Claim.resource_id == resource_id)


def release(session: Session, booking_ids: Sequence[str], *which: ColumnElement[bool]) -> None:
    """Release their claims and nothing else: for bookings beside which no buffers were given up."""
    for some in (booking_ids[at : at + AT_ONCE] for at in range(0, len(booking_ids), AT_ONCE)):
        mine = update(Claim).where(Claim.booking_id.in_(some), Claim.active, *which)
        session.execute(mine.values(active=False), execution_options=UNSEEN)


def _resize(session: Session, spans: Mapping[Key, Slot]) -> None:
    for key, span in spans.items():
        row = (Claim.resource_id == key.resource_id, Claim.booking_id == key.owner, Claim.unit == key.unit)
        mine = update(Claim).where(*row, Claim.lane == key.lane, Claim.active)
        session.execute(mine.values(starts_at=span.start, ends_at=span.end), execution_options=UNSEEN)


def _key(row: Mapping[str, Any]) -> Key:
    return Key(row["resource_id"], row["booking_id"], row["unit"], row["lane"])


def _reach(bookings: Sequence[Booking]) -> Slot:
    return Slot(min(one.starts_at for one in bookings), max(one.ends_at for one in bookings))
