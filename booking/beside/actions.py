"""Keeps the ledger true where one customer's bookings touch: their buffers go when they meet and come back when one leaves."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from booking import queries
from booking.admission import Units
from booking.occupancy import Taken
from booking.places import Place, as_rules
from booking.pools import actions as pools
from booking.rules import queries as rules
from booking.tables import Booking, Claim, RuleVersion
from booking.waiving import regrown, trim
from booking.writing import CLAIMS, claim_rows
from marketplace.ids import is_operator
from marketplace.slot import Slot


def claim(session: Session, place: Place, booking: Booking, units: Units, *, taken: Exception) -> None:
    """Write the claims of a new slot, with the buffers that the rules ask for. The resources' rows are locked.

    Of a pooled resource others may change units for it.

    Raises: `taken`, at the flush, if the ledger holds that time against what was read.
    """
    if place.rules.pooled:
        units = {**units, place.resource_id: pools.make_room(session, place, booking.slot, booking.quantity, taken=taken)}
    rows = claim_rows(booking, units, place.rules.buffers)
    if place.rules.waive_own_buffers:
        rows = make_room(session, booking, rows)
    CLAIMS.add(session, rows, refused={"claims_no_overlap": taken})


def make_room(session: Session, booking: Booking, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a new booking's claims less the buffers towards the customer's own bookings on the same units.

    The buffers of those towards it are given up. The resources' rows are locked.
    """
    resource_ids = {row["resource_id"] for row in rows if not is_operator(row["resource_id"])}
    beside = rules.beside(session, resource_ids, booking.slot, booking.organisation_id, ignoring=[booking.id])
    met: set[tuple[str, int, str]] = set()
    units = {(row["resource_id"], row["unit"]) for row in rows}
    for resource_id, claims in queries.taken(session, resource_ids, within=booking.slot).items():
        for claim in claims:
            if (resource_id, claim.unit) in units and claim.owner in {*beside.before, *beside.after}:
                met.add((resource_id, claim.unit, "before" if claim.owner in beside.before else "after"))
                _resize(session, resource_id, claim, trim(claim, booking.slot, beside).slot)
    return [_less(row, booking.slot, met) for row in rows]


def leave(session: Session, booking: Booking) -> None:
    """Release all claims of the booking as `leave_resource` does."""
    held = select(Claim.resource_id).where(Claim.booking_id == booking.id, Claim.active).distinct()
    for resource_id in session.scalars(held).all():
        leave_resource(session, booking, resource_id)


def leave_resource(session: Session, booking: Booking, resource_id: str) -> None:
    """Release the booking's claims of that resource; what the same customer's claims gave up towards them comes back.

    As far as there is room: between two of one customer that are then close to each other the whole gap is claimed. The
    resource's row is locked.
    """
    mine = (Claim.booking_id == booking.id, Claim.resource_id == resource_id, Claim.active)
    claims = queries.taken(session, [resource_id], within=booking.slot).get(resource_id, ())
    session.execute(update(Claim).where(*mine).values(active=False))
    if is_operator(resource_id):
        return
    left = [claim for claim in claims if claim.owner == booking.id]
    present = [claim for claim in claims if claim.owner != booking.id]
    own = rules.of_organisation(session, _met(left, present), booking.organisation_id)
    for number, claim in enumerate(present):
        if claim.owner in own:
            unit = [other for other in present if other.unit == claim.unit]
            present[number] = claim._replace(slot=regrown(claim, _wanted(session, claim), unit))
            _resize(session, resource_id, claim, present[number].slot)


def _met(left: Sequence[Taken], others: Sequence[Taken]) -> set[str]:
    """The owners of claims that end where one of `left` begins on their unit, or begin where it ends."""
    starts = {(claim.unit, claim.slot.start) for claim in left}
    ends = {(claim.unit, claim.slot.end) for claim in left}
    return {claim.owner for claim in others if (claim.unit, claim.slot.end) in starts or (claim.unit, claim.slot.start) in ends}


def _wanted(session: Session, claim: Taken) -> Slot:
    """What it would claim by the rules of its acceptance."""
    booking = queries.get_booking(session, claim.owner)
    spans = as_rules(session.get_one(RuleVersion, booking.rules_id)).buffers.spans(booking.slot)
    return spans[claim.lane] if claim.lane < len(spans) else claim.slot


def _resize(session: Session, resource_id: str, claim: Taken, span: Slot) -> None:
    row = (Claim.booking_id == claim.owner, Claim.resource_id == resource_id, Claim.unit == claim.unit, Claim.lane == claim.lane)
    session.execute(update(Claim).where(*row, Claim.active).values(starts_at=span.start, ends_at=span.end))


def _less(row: dict[str, Any], slot: Slot, met: Collection[tuple[str, int, str]]) -> dict[str, Any]:
    unit = (row["resource_id"], row["unit"])
    start = max(row["starts_at"], slot.start) if (*unit, "before") in met else row["starts_at"]
    end = min(row["ends_at"], slot.end) if (*unit, "after") in met else row["ends_at"]
    return {**row, "starts_at": start, "ends_at": end}
