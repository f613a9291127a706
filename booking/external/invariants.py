"""What must always be true of busy time kept elsewhere."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from booking import queries
from booking.external.tables import ExternalBusy
from booking.places import load_places
from marketplace.slot import Slot, subtract

MOST = 100


def violations(session: Session) -> list[str]:
    """Units that are free at a time at which a calendar calls their resource busy, a sentence each."""
    found: list[str] = []
    resource_ids = session.scalars(select(ExternalBusy.resource_id).distinct().order_by(ExternalBusy.resource_id)).all()
    for place in load_places(session, resource_ids).values():
        busy = session.scalars(select(ExternalBusy).where(ExternalBusy.resource_id == place.resource_id)).all()
        slots = [row.slot for row in busy]
        whole = Slot(min(slot.start for slot in slots), max(slot.end for slot in slots))
        held = queries.taken(session, [place.resource_id], within=whole).get(place.resource_id, ())
        for unit in range(place.capacity):
            left = subtract(slots, [claim.slot for claim in held if claim.unit == unit])
            found += [f"unit {unit} of {place.resource_id} is free at {one.start} and busy elsewhere" for one in left]
    return found[:MOST]
