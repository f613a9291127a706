"""Writes of outages."""

from datetime import datetime

from sqlalchemy import insert
from sqlalchemy.orm import Session

from booking import queries
from booking.places import Place, get_place, lock_place
from booking.states import HOLDING
from booking.tables import Booking, Claim, ClaimKind, Outage
from marketplace import audit
from marketplace.ids import new_id
from marketplace.slot import Slot, subtract


def affected_by(session: Session, *, resource_id: str, slot: Slot) -> list[Booking]:
    """The bookings that an outage of `slot` would meet, in order."""
    return [b for b in queries.bookings_of_resource(session, resource_id, within=slot) if b.state in HOLDING]


def record_outage(
    session: Session, *, resource_id: str, slot: Slot, planned: bool, reason: str, actor_id: str, now: datetime
) -> Outage:
    """Take the resource out of use. Bookings inside keep their claims; everything else of `slot` is closed on every unit.

    An outage that is recorded after it began is unplanned, whatever was said.
    """
    place = lock_place(session, resource_id)
    outage = Outage(
        id=new_id("out"),
        resource_id=resource_id,
        starts_at=slot.start,
        ends_at=slot.end,
        planned=planned and now < slot.start,
        reason=reason,
        recorded_at=now,
        recorded_by=actor_id,
    )
    session.add(outage)
    session.flush()
    _close(session, place, outage)
    audit.record(
        session,
        actor_id=actor_id,
        action="record_outage",
        object_kind="resource",
        object_id=resource_id,
        institution_id=place.institution_id,
        before=None,
        after={"start": slot.start.isoformat(), "end": slot.end.isoformat(), "planned": outage.planned, "reason": reason},
        now=now,
    )
    return outage


def close_what_is_left(session: Session, *, resource_id: str, around: Slot) -> None:
    """A booking that an outage had spared has left `around`: that time is closed too, on every unit.

    The resource's row is locked by whoever frees the time.
    """
    place = get_place(session, resource_id)
    near = around.widen(queries.LONGEST_BUFFER, queries.LONGEST_BUFFER)
    for outage in queries.outages_of(session, resource_id, within=near):
        _close(session, place, outage)


def _close(session: Session, place: Place, outage: Outage) -> None:
    """Claim what nothing else holds of the outage's slot."""
    claims = queries.taken(session, [place.resource_id], within=outage.slot).get(place.resource_id, ())
    rows = [
        {
            "id": new_id("clm"),
            "institution_id": place.institution_id,
            "resource_id": place.resource_id,
            "unit": unit,
            "lane": 0,
            "starts_at": piece.start,
            "ends_at": piece.end,
            "kind": ClaimKind.OUTAGE,
            "outage_id": outage.id,
            "active": True,
        }
        for unit in range(place.capacity)
        for piece in subtract([outage.slot], [claim.slot for claim in claims if claim.unit == unit])
    ]
    if rows:
        session.execute(insert(Claim), rows)
