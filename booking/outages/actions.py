"""Writes of outages, and of all closed time: it claims what bookings leave."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from booking import queries
from booking.external import queries as external
from booking.occupancy import LONGEST_BUFFER
from booking.places import Place, get_place, lock_place
from booking.states import HOLDING
from booking.tables import Booking, Claim, ClaimKind, Outage
from marketplace import audit
from marketplace.ids import new_id
from marketplace.slot import Slot, subtract


@dataclass(frozen=True, slots=True)
class Closed:
    """Time that nobody may book, and which row owns its claims."""

    kind: ClaimKind
    owner_id: str
    slot: Slot


OWNERS = {ClaimKind.OUTAGE: "outage_id", ClaimKind.EXTERNAL: "external_id"}


def affected_by(session: Session, *, resource_id: str, slot: Slot) -> list[Booking]:
    """The bookings that an outage of `slot` would meet, in order: of the resource, and of whatever takes it along."""
    return [b for b in queries.bookings_that_hold(session, resource_id, within=slot) if b.state in HOLDING]


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
    close(session, place, [Closed(ClaimKind.OUTAGE, outage.id, slot)])
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
    """What had kept an outage or busy time off `around` has left: that time is closed too, on every unit.

    The rows of the resource and its parts are locked by whoever frees the time.
    """
    near = around.widen(LONGEST_BUFFER, LONGEST_BUFFER)
    for one in get_place(session, resource_id).claimed:
        for closed in _closed_near(session, one, near):
            close(session, get_place(session, one), closed)


def _closed_near(session: Session, resource_id: str, near: Slot) -> list[list[Closed]]:
    """Each outage by itself, as two may overlap; the busy times of each calendar together, as they never touch."""
    outages = [[Closed(ClaimKind.OUTAGE, row.id, row.slot)] for row in queries.outages_of(session, resource_id, within=near)]
    calendars: dict[str, list[Closed]] = defaultdict(list)
    for busy in external.busy_of(session, resource_id, within=near):
        calendars[busy.calendar_id].append(Closed(ClaimKind.EXTERNAL, busy.id, busy.slot))
    return [*outages, *calendars.values()]


def close(session: Session, place: Place, closed: Sequence[Closed]) -> None:
    """Claim on every unit what nothing else holds of times of which no two touch."""
    ordered = sorted(closed, key=lambda one: one.slot)
    starts, slots = [one.slot.start for one in ordered], [one.slot for one in ordered]
    held = queries.taken(session, [place.resource_id], within=Slot(starts[0], slots[-1].end)).get(place.resource_id, ())
    for unit in range(place.capacity):
        left = subtract(slots, [claim.slot for claim in held if claim.unit == unit])
        rows = [_claim(place, ordered[bisect_right(starts, piece.start) - 1], unit, piece) for piece in reversed(left)]
        if rows:  # the latest first: SQLite's guard looks at every claim that starts before the one it judges
            session.execute(insert(Claim), rows)


def _claim(place: Place, closed: Closed, unit: int, piece: Slot) -> dict[str, Any]:
    return {
        "id": new_id("clm"),
        "institution_id": place.institution_id,
        "resource_id": place.resource_id,
        "unit": unit,
        "lane": 0,
        "starts_at": piece.start,
        "ends_at": piece.end,
        "kind": closed.kind,
        OWNERS[closed.kind]: closed.owner_id,
        "active": True,
    }
