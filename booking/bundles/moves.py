"""Moves of bundles: all that lies ahead goes by one shift of time, or nothing does."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from booking import queries
from booking.actions import facts, lock_operator
from booking.admission import SlotRefused, Units, Wish, admit
from booking.beside import actions as beside
from booking.bundles import shifts, telling
from booking.bundles.actions import BundleRefused, by_whom, ways_out
from booking.outages import actions as outages
from booking.outages.plans import wish_of
from booking.places import Place, lock_places, lock_places_of
from booking.resettling import ask_where_decided, resettle
from booking.states import HOLDING, OUTCOMES
from booking.tables import Booking
from marketplace import audit
from marketplace.refusals import Reason, Stale, WrongState
from marketplace.slot import Slot


@dataclass(frozen=True, slots=True)
class Mover:
    """Who moves, and the institutions that need not be asked, as they decide there themselves."""

    actor_id: str
    decides_in: Collection[str]


@dataclass(frozen=True, slots=True)
class Moved:
    """What was moved, in order, where each was before, and the bundle's version now."""

    bookings: Sequence[Booking]
    left: Sequence[tuple[str, Slot]]
    version: int


def version_of(rows: Sequence[Booking]) -> int:
    """Of a bundle: it grows with every change of any of its bookings."""
    return sum(row.version for row in rows)


def movable(rows: Sequence[Booking], now: datetime) -> list[Booking]:
    """Those that lie ahead; what has begun stays where it is."""
    return [row for row in rows if row.state in HOLDING and row.starts_at > now and not row.is_over(now)]


def move_bundle(session: Session, *, bundle_id: str, by: timedelta, version: int, mover: Mover, now: datetime) -> Moved:
    """Shift all that lies ahead, by every rule of creation; its own claims do not stand in its way.

    Nothing gets before a part that has begun and that it followed. Where a publisher decides, a customer's need a new yes.
    Raises: Stale, WrongState (nothing lies ahead), BundleRefused.
    """
    rows, places = _locked(session, bundle_id)
    if version_of(rows) != version:
        raise Stale(version=version_of(rows))
    ahead = movable(rows, now)
    if not ahead:
        raise WrongState(state="over", move="move")
    staying = [row.slot for row in rows if row.state in {*HOLDING, *OUTCOMES} and row.starts_at <= now]
    before, left = [facts(row) for row in ahead], [(row.resource_id, row.slot) for row in ahead]
    with session.begin_nested():
        _put(session, places, rows, ahead, by, staying, mover, now)
    for resource_id, slot in left:
        outages.close_what_is_left(session, resource_id=resource_id, around=slot)
    for row, was in zip(ahead, before, strict=True):
        audit.record(
            session,
            actor_id=mover.actor_id,
            action="move",
            object_kind="booking",
            object_id=row.id,
            institution_id=row.institution_id,
            before=was,
            after=facts(row),
            now=now,
        )
    telling.moved(session, bundle_id, ahead, [slot for _, slot in left], version_of(rows), now)
    return Moved(ahead, left, version_of(rows))


def _locked(session: Session, bundle_id: str) -> tuple[Sequence[Booking], Mapping[str, Place]]:
    """All of it as it is now, in order, with everything that it takes locked."""
    lock_places_of(session, {row.id for row in queries.bookings_of_bundle(session, bundle_id)})
    rows = queries.bookings_of_bundle(session, bundle_id)
    places = lock_places(session, {row.resource_id for row in rows})
    for row in rows:
        lock_operator(session, row, places[row.resource_id])
    return rows, places


def _put(
    session: Session,
    places: Mapping[str, Place],
    rows: Sequence[Booking],
    ahead: Sequence[Booking],
    by: timedelta,
    staying: Sequence[Slot],
    mover: Mover,
    now: datetime,
) -> None:
    """Each leaves before any is put, so that one may have what another had. Raises: BundleRefused."""
    for row in ahead:
        beside.leave(session, row)
    first = [shifts.soonest(row.slot, staying) for row in ahead]
    wishes = [wish_of(row, slot=row.slot.shift(by)) for row in ahead]
    refusals: dict[int, SlotRefused] = {}
    for number, (row, wish) in enumerate(zip(ahead, wishes, strict=True)):
        place, waiting = places[row.resource_id], [one.id for one in ahead[number:]]
        order = [Reason("out_of_order")] if by < first[number] else []
        try:
            units = _admitted(session, place, wish, order, waiting, now)
        except SlotRefused as refused:
            refusals[rows.index(row)] = by_whom(session, place, refused, [one.id for one in ahead[:number]], now)
            continue
        if row.institution_id not in mover.decides_in:
            ask_where_decided(place, row, now)
        resettle(session, place=place, booking=row, wish=wish, units=units)
        session.flush()
    if refusals:
        found = ways_out(session, places, wishes, [row.id for row in ahead], now)
        start, soonest = min(wish.slot.start for wish in wishes), max(first)
        raise BundleRefused(refusals, [way for way in found if by + (way.start - start) >= soonest])


def _admitted(
    session: Session, place: Place, wish: Wish, more: Sequence[Reason], ignoring: Sequence[str], now: datetime
) -> Units:
    """Raises: SlotRefused, with `more` to the reasons."""
    try:
        units = admit(session, place, wish, now=now, ignoring=ignoring, seek=False)
    except SlotRefused as refused:
        raise SlotRefused(wish, [*refused.reasons, *more], refused.conflicts, []) from refused
    if more:
        raise SlotRefused(wish, more, [], [])
    return units
