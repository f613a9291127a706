"""Makes room among the units of a pooled resource: claims that are in the way change units under the resource's lock."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from booking.places import Place
from booking.pooling import Held, arranged
from booking.tables import Claim
from marketplace.slot import Slot


def make_room(session: Session, place: Place, slot: Slot, quantity: int, *, taken: Exception) -> list[int]:
    """The units that a use of `slot` shall claim, free by now. The resource's row is locked. Raises: `taken`."""
    (span,) = place.rules.buffers.spans(slot)
    near = _overlapping(session, place.resource_id, span)
    free = sorted(set(range(place.capacity)) - {claim.unit for claim in near})
    if len(free) >= quantity:
        return free[:quantity]
    linked = _linked(session, place.resource_id, span)
    wishes = [Held(f"wish {number}", None, span) for number in range(quantity)]
    units = arranged([*linked, *wishes], place.capacity)
    if units is None:
        raise taken
    _change(session, {one.id: units[one.id] for one in linked if units[one.id] != one.unit})
    return sorted(units[wish.id] for wish in wishes)


def _overlapping(session: Session, resource_id: str, span: Slot) -> list[Held]:
    asked = select(Claim.id, Claim.unit, Claim.starts_at, Claim.ends_at).where(Claim.active, Claim.resource_id == resource_id)
    rows = session.execute(asked.where(Claim.starts_at < span.end, Claim.ends_at > span.start))
    return [Held(key, unit, Slot(start, end)) for key, unit, start, end in rows]


def _linked(session: Session, resource_id: str, span: Slot) -> Sequence[Held]:
    """All claims that overlap `span`, or one of those that do, and so on."""
    found = _overlapping(session, resource_id, span)
    while (reach := _reach(span, found)) != span:
        span = reach
        found = _overlapping(session, resource_id, span)
    return found


def _reach(span: Slot, claims: Sequence[Held]) -> Slot:
    return Slot(min([span.start, *(one.slot.start for one in claims)]), max([span.end, *(one.slot.end for one in claims)]))


def _change(session: Session, units: dict[str, int]) -> None:
    """First all let go, then each takes its new unit: the guard of the database is never in the way."""
    session.execute(update(Claim).where(Claim.id.in_(units)).values(active=False))
    by_unit: dict[int, list[str]] = defaultdict(list)
    for key, unit in units.items():
        by_unit[unit].append(key)
    for unit, keys in by_unit.items():
        session.execute(update(Claim).where(Claim.id.in_(keys)).values(unit=unit, active=True))
