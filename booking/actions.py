"""Writes of bookings: load, decide, write. Every writer of claims locks the rows of the resource and its parts first."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from booking import queries
from booking.admission import SlotRefused, Units, Wish, admit, overridden
from booking.beside import actions as beside
from booking.operators import queries as operators
from booking.outages import actions as outages
from booking.outages.plans import wish_of
from booking.places import Place, get_place, lock_place, lock_places
from booking.queries import Sight
from booking.resettling import resettle, taken_after_all
from booking.states import HOLDING, OUTCOMES, BookingState, Move, after
from booking.tables import Booking, Claim, ClaimKind, RefusedRequest
from booking.telling import Told, tell
from booking.writing import BOOKINGS, new_booking
from marketplace import audit
from marketplace.ids import new_id
from marketplace.prepared import Append
from marketplace.refusals import Reason, Stale, WrongState
from marketplace.slot import Slot

REFUSED = Append(RefusedRequest)


class CancelledBy(StrEnum):
    CUSTOMER = "customer"
    PROVIDER = "provider"


def book(session: Session, *, wish: Wish, hold_until: datetime | None = None, now: datetime) -> Booking:
    """Claim the slot; written with the next flush.

    With `hold_until` the booking is held for payment until then; by the resource's rules it is confirmed at once or becomes
    a request. Raises: NotFound, SlotRefused.
    """
    place = lock_place(session, wish.resource_id)
    return take(session, place=place, wish=wish, hold_until=hold_until, now=now)


def in_turn(session: Session, *, seen: Sight, wish: Wish, seek: bool, now: datetime) -> Place:
    """The place that was seen with its rows locked, once those before us have them no longer.

    Nobody waits to hear a no that holds already: of two hundred who want one slot few stand in line for it.
    Raises: NotFound, SlotRefused.
    """
    admit(session, seen.place, wish, now=now, seen=seen, seek=seek)
    return lock_place(session, wish.resource_id)


def take(
    session: Session,
    *,
    place: Place,
    wish: Wish,
    hold_until: datetime | None,
    bundle_id: str | None = None,
    seen: Sight | None = None,
    seek: bool = True,
    instead_of: Booking | None = None,
    actor_id: str | None = None,
    told: Told = Told.ALONE,
    now: datetime,
) -> Booking:
    """`book` where the rows of the place and its parts are locked already, and it was maybe seen after that.

    Without `seek` a refusal comes before its ways out are sought. `instead_of` is a booking that somebody else, `actor_id`,
    has ended for it. Raises: SlotRefused.
    """
    units = admit(session, place, wish, now=now, seen=seen, seek=seek)
    row = new_booking(place, wish, hold_until, now)
    [booking] = BOOKINGS.add_objects(session, [{**row, "bundle_id": bundle_id}])
    beside.claim(session, place, booking, units, taken=taken_after_all(wish))
    if instead_of is not None:
        _record(session, booking, "substitute", None, now, actor_id, told, instead_of=instead_of.id)
    else:
        _record(session, booking, "book", None, now)
    _record_override(session, booking, place, wish, now, wish.person_id)
    return booking


def move(
    session: Session,
    *,
    booking_id: str,
    slot: Slot,
    version: int,
    actor_id: str,
    now: datetime,
    resource_id: str | None = None,
    override: str | None = None,
    only: frozenset[str] | None = None,
    told: Told = Told.ALONE,
) -> Booking:
    """Put a booking on another slot or resource; every rule of creation holds, its own claims do not stand in its way.

    One that runs may be extended. With `only` these rules alone are set aside by `override`.
    Raises: NotFound, Stale, WrongState (begun, and not just to end later; over), SlotRefused.
    """
    left_place = queries.get_booking(session, booking_id).resource_id
    places = lock_places(session, {left_place, resource_id or left_place})
    booking = _fresh(session, booking_id)
    if booking.version != version or booking.resource_id != left_place:
        raise Stale(version=booking.version)
    if booking.is_over(now):
        after(BookingState.EXPIRED, Move.CANCEL)
    if booking.state not in HOLDING:
        after(booking.state, Move.CANCEL)
    lock_operator(session, booking, places[left_place])
    place = places[resource_id or left_place]
    begun = booking.starts_at <= now
    if begun and not (_only_longer(booking, slot, now) and place.resource_id == left_place):
        raise WrongState(state="begun", move="move")
    wish = replace(wish_of(booking, resource_id=place.resource_id, slot=slot), override=override, only=only)
    units = _admit_anew(session, place, booking, wish, now)
    before, left = facts(booking), booking.slot
    resettle(session, place=place, booking=booking, wish=wish, units=units)
    outages.close_what_is_left(session, resource_id=left_place, around=left)
    _record(session, booking, "move", before, now, actor_id, told)
    _record_override(session, booking, place, wish, now, actor_id)
    return booking


def _only_longer(booking: Booking, slot: Slot, now: datetime) -> bool:
    """Whether a running booking would just end later; an earlier end is booking.presence.actions.finish, and it is the last."""
    runs = booking.state is BookingState.CONFIRMED and now < booking.ends_at and booking.finished_at is None
    return runs and slot.start == booking.starts_at and slot.end > booking.ends_at


def _admit_anew(session: Session, place: Place, booking: Booking, wish: Wish, now: datetime) -> Units:
    """The units for the new slot, the old claims given back. The start of a running booking stands: only its end is judged.

    Raises: SlotRefused, which leaves the old claims as they were.
    """
    in_time = min(now, booking.starts_at - timedelta(minutes=place.rules.notice_min))
    try:
        with session.begin_nested():
            beside.leave(session, booking)
            return admit(session, place, wish, now=in_time if booking.starts_at <= now else now, ignoring=[booking.id])
    except SlotRefused as refused:
        if booking.starts_at > now:
            raise
        raise SlotRefused(wish, refused.reasons, refused.conflicts, []) from refused


def asks_again(session: Session, booking: Booking) -> bool:
    """Whether the publisher decides on a new slot of the booking. Raises: NotFound."""
    return get_place(session, booking.resource_id).rules.asks(booking.organisation_id)


def ask_again(session: Session, *, booking_id: str, now: datetime) -> Booking:
    """Where the publisher decides, the new slot of a moved booking needs a new yes. Raises: NotFound."""
    booking = refresh_locked(session, booking_id)
    if booking.state is not BookingState.CONFIRMED or not asks_again(session, booking):
        return booking
    return _advance(session, booking, Move.ASK, "ask_again", now)


def confirm_hold(session: Session, *, booking_id: str, now: datetime) -> Booking:
    """The payment is secured: the hold becomes a booking, or a request where the publisher decides.

    Raises: NotFound, WrongState (the hold has expired and the payment must be given back).
    """
    booking = refresh_locked(session, booking_id)
    asks = get_place(session, booking.resource_id).rules.asks(booking.organisation_id)
    return _advance(session, booking, Move.ASK if asks else Move.PAY, "confirm_hold", now)


def approve(session: Session, *, booking_id: str, actor_id: str, now: datetime) -> Booking:
    """Raises: NotFound, WrongState (also from its start or its deadline on, whether a timer has seen it or not)."""
    booking = refresh_locked(session, booking_id)
    if booking.is_over(now):
        after(BookingState.EXPIRED, Move.APPROVE)
    return _advance(session, booking, Move.APPROVE, "approve", now, actor_id)


def refuse(session: Session, *, booking_id: str, actor_id: str, now: datetime) -> Booking:
    """Raises: NotFound, WrongState."""
    return _advance(session, refresh_locked(session, booking_id), Move.REFUSE, "refuse", now, actor_id)


def cancel(
    session: Session, *, booking_id: str, by: CancelledBy, actor_id: str, now: datetime, told: Told = Told.ALONE
) -> Booking:
    """End a booking before its start and free its slot at once.

    Raises: NotFound, WrongState (also once it has started: then use and no-show decide).
    """
    booking = refresh_locked(session, booking_id)
    after(booking.state, Move.CANCEL)
    if booking.starts_at <= now and by is CancelledBy.CUSTOMER:
        raise WrongState(state="begun", move="cancel")
    booking.cancelled_at, booking.cancelled_by = now, actor_id
    booking.cancelled_by_provider = by is CancelledBy.PROVIDER
    return _advance(session, booking, Move.CANCEL, "cancel", now, actor_id, told)


def expire(session: Session, *, booking_id: str, now: datetime) -> Booking:
    """A hold's or a request's time is up: free the slot. Raises: NotFound, WrongState."""
    return _advance(session, refresh_locked(session, booking_id), Move.EXPIRE, "expire", now)


def conclude(session: Session, *, booking_id: str, outcome: BookingState, now: datetime) -> Booking:
    """Carry the devices' verdict into the booking. Saying the same again changes nothing.

    Raises: NotFound, WrongState.
    """
    booking = refresh_locked(session, booking_id)
    if booking.state is outcome:
        return booking
    booking.concluded_at = now
    return _advance(session, booking, OUTCOMES[outcome], "conclude", now)


def _advance(
    session: Session,
    booking: Booking,
    step: Move,
    action: str,
    now: datetime,
    actor_id: str | None = None,
    told: Told = Told.ALONE,
) -> Booking:
    before = facts(booking)
    booking.state = after(booking.state, step)
    booking.version += 1
    if booking.state is BookingState.CONFIRMED:
        booking.decided_at = now
        session.execute(update(Claim).where(Claim.booking_id == booking.id, Claim.active).values(kind=ClaimKind.BOOKING))
    elif booking.state is BookingState.REQUESTED:
        booking.hold_until, booking.decide_by = None, get_place(session, booking.resource_id).rules.decide_by(now)
        session.execute(update(Claim).where(Claim.booking_id == booking.id, Claim.active).values(kind=ClaimKind.REQUEST))
    elif booking.state in {BookingState.CANCELLED, BookingState.EXPIRED, BookingState.REFUSED}:
        _give_back(session, booking)
    session.flush()
    _record(session, booking, action, before, now, actor_id, told)
    return booking


def _give_back(session: Session, booking: Booking) -> None:
    """Free the slot; where an outage had spared it, it is closed now."""
    beside.leave(session, booking)
    outages.close_what_is_left(session, resource_id=booking.resource_id, around=booking.slot)


def refresh_locked(session: Session, booking_id: str) -> Booking:
    """The booking as it is now, with its resource's row locked. Raises: NotFound."""
    place = lock_place(session, queries.get_booking(session, booking_id).resource_id)
    booking = _fresh(session, booking_id)
    lock_operator(session, booking, place)
    return booking


def lock_operator(session: Session, booking: Booking, place: Place) -> None:
    """Of a booking whose resource's rules ask for nobody to stand by any more."""
    if booking.assisted and not place.attendants:
        operators.lock_operator_of(session, booking.id)


def _fresh(session: Session, booking_id: str) -> Booking:
    booking = queries.get_booking(session, booking_id)
    session.refresh(booking)
    return booking


def facts(booking: Booking) -> dict[str, Any]:
    """What the record of a change tells of the booking before and after."""
    return {
        "resource": booking.resource_id,
        "state": booking.state.value,
        "start": booking.starts_at.isoformat(),
        "end": booking.ends_at.isoformat(),
        "version": booking.version,
    }


def _record(
    session: Session,
    booking: Booking,
    action: str,
    before: dict[str, Any] | None,
    now: datetime,
    actor_id: str | None = None,
    told: Told = Told.ALONE,
    **more: str,
) -> None:
    after = {**facts(booking), **more}
    audit.record(
        session,
        actor_id=actor_id or (booking.person_id if action == "book" else None),
        action=action,
        object_kind="booking",
        object_id=booking.id,
        institution_id=booking.institution_id,
        before=before,
        after=after,
        now=now,
    )
    tell(session, booking, action=action, before=before, facts=after, now=now, told=told)


def _record_override(session: Session, booking: Booking, place: Place, wish: Wish, now: datetime, actor_id: str) -> None:
    codes = overridden(session, place, wish, now=now, ignoring=[booking.id])
    record_override(session, booking, codes, wish.override, now, actor_id)


def record_override(
    session: Session, booking: Booking, codes: Sequence[str], reason: str | None, now: datetime, actor_id: str
) -> None:
    """Which rules were set aside for it, by whom and why; nothing where none was broken."""
    if codes:
        audit.record(
            session,
            actor_id=actor_id,
            action="override_rules",
            object_kind="booking",
            object_id=booking.id,
            institution_id=booking.institution_id,
            before=None,
            after={"reason": reason, "codes": list(codes)},
            now=now,
        )


def note_refusal(session: Session, *, wish: Wish, reasons: Sequence[Reason], now: datetime) -> None:
    """Keep a request that was turned away: the figures must know the demand."""
    codes = [reason.code for reason in reasons]
    outcome = "declined_capacity" if codes == ["slot_taken"] else "out_of_scope"
    row = {
        "id": new_id("ref"),
        "resource_id": wish.resource_id,
        "organisation_id": wish.organisation_id,
        "person_id": wish.person_id,
        "starts_at": wish.slot.start,
        "ends_at": wish.slot.end,
        "outcome": outcome,
        "reasons": {"codes": codes},
        "submitted_at": now,
    }
    REFUSED.add(session, [row])
