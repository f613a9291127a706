"""Writes of swaps: a proposal and its answer, and the exchange itself, whole or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from booking import queries
from booking.actions import facts, lock_operator
from booking.admission import SlotRefused, Units, Wish, admit
from booking.beside import actions as beside
from booking.outages import actions as outages
from booking.outages.plans import wish_of
from booking.places import Place, lock_places
from booking.resettling import ask_where_decided, resettle
from booking.states import BookingState
from booking.swaps import queries as swaps
from booking.swaps.tables import Swap, SwapState
from booking.tables import Booking
from booking.telling import tell
from marketplace import audit, outbox
from marketplace.ids import new_id
from marketplace.refusals import Invalid, Reason, Refused, WrongState
from marketplace.slot import Slot

ANSWER_WITHIN = timedelta(hours=48)
OTHER_SIDE = "other_side_refused"


class SwapRefused(Refused):
    """An exchange that the rules forbid: reasons of the deciding side in full, of the other that there are some.

    Of a proposal only on which side there are: in full they would tell whoever proposes where and when the other lies.
    """

    code = "swap_refused"

    def __init__(self, reasons: Sequence[Reason]) -> None:
        super().__init__(reasons)


@dataclass(frozen=True, slots=True)
class Deciding:
    """Who makes the exchange happen, for which of the two, and whether a new yes of the publisher is left out."""

    actor_id: str
    side: str
    decides: bool = False


def propose(session: Session, *, booking_id: str, with_id: str, actor_id: str, now: datetime) -> Swap:
    """Ask the holder of another booking of the house to exchange places, until the deadline or the start of one's own.

    Until they agree nothing of theirs shows, in whatever is answered: not where or when it lies, nor whether it stands.
    Raises: NotFound, Invalid, WrongState (one has begun or ended, or has an open proposal), SwapRefused.
    """
    one, other, _ = _locked(session, booking_id, with_id, now)
    if swaps.open_swaps(session, [one.id, other.id]):
        raise WrongState(state="proposed", move="swap")
    _try(session, one, other, actor_id, now)
    swap = Swap(
        id=new_id("swp"),
        booking_id=one.id,
        with_booking_id=other.id,
        version=one.version,
        with_version=other.version,
        state=SwapState.PROPOSED,
        proposed_by=actor_id,
        proposed_at=now,
        answer_by=min(now + ANSWER_WITHIN, one.starts_at),
    )
    session.add(swap)
    session.flush()
    _record(session, swap, "propose_swap", actor_id, now)
    _tell(session, "swap_proposed", swap, other, {**_times(one.slot), "was": _times(other.slot)}, now)
    return swap


def _try(session: Session, one: Booking, other: Booking, actor_id: str, now: datetime) -> None:
    """Raises: SwapRefused."""
    try:
        with session.begin_nested() as undone:
            _give_places(session, one, other, Deciding(actor_id, one.id), now)
            undone.rollback()
    except SwapRefused as refused:
        theirs = any(reason.code == OTHER_SIDE for reason in refused.reasons)
        raise SwapRefused([Reason(OTHER_SIDE if theirs else "own_side_refused")]) from refused


def close(session: Session, *, swap_id: str, state: SwapState, actor_id: str | None, now: datetime) -> Swap:
    """End an open proposal: declined, withdrawn, or expired where nobody does. Raises: NotFound, WrongState."""
    swap = _open(session, swap_id)
    _answer(session, swap, state, actor_id, now)
    one, other = (queries.get_booking(session, key) for key in (swap.booking_id, swap.with_booking_id))
    told = other if state is SwapState.WITHDRAWN else one
    _tell(session, f"swap_{state.value}", swap, told, _times(told.slot), now)
    return swap


def accept(session: Session, *, swap_id: str, actor_id: str, now: datetime) -> Swap:
    """The other side agrees: the two exchange places at once.

    Raises: NotFound, WrongState (answered, over, or one of them has changed since), SwapRefused.
    """
    swap = swaps.get_swap(session, swap_id)
    one, other, _ = _locked(session, swap.booking_id, swap.with_booking_id, now)
    swap = _open(session, swap_id)
    if swap.answer_by <= now:
        raise WrongState(state=SwapState.EXPIRED.value, move="accept")
    if (one.version, other.version) != (swap.version, swap.with_version):
        raise WrongState(state="changed", move="accept")
    exchange(session, booking_id=one.id, with_id=other.id, deciding=Deciding(actor_id, other.id), now=now)
    _answer(session, swap, SwapState.ACCEPTED, actor_id, now)
    return swap


def exchange(session: Session, *, booking_id: str, with_id: str, deciding: Deciding, now: datetime) -> tuple[Booking, Booking]:
    """Put each in the place of the other, by every rule of creation; their own claims do not stand in the way.

    Raises: NotFound, Invalid, WrongState, SwapRefused.
    """
    one, other, _ = _locked(session, booking_id, with_id, now)
    with session.begin_nested():
        _give_places(session, one, other, deciding, now)
    return one, other


def expire_overdue(session: Session, *, now: datetime) -> None:
    """End the proposals that nobody answered in time, and those whose bookings have changed."""
    for swap in swaps.overdue(session, now=now):
        close(session, swap_id=swap.id, state=SwapState.EXPIRED, actor_id=None, now=now)


def _locked(session: Session, booking_id: str, with_id: str, now: datetime) -> tuple[Booking, Booking, Mapping[str, Place]]:
    """Both as they are now, ready to exchange, with their resources locked. Raises: NotFound, Invalid, WrongState."""
    one, other = queries.get_booking(session, booking_id), queries.get_booking(session, with_id)
    places = lock_places(session, {one.resource_id, other.resource_id})
    for row in (one, other):
        session.refresh(row)
        if row.state not in {BookingState.REQUESTED, BookingState.CONFIRMED} or row.starts_at <= now:
            raise WrongState(state="not_ahead", move="swap")
        if row.resource_id in places:
            lock_operator(session, row, places[row.resource_id])
    if one.id == other.id:
        raise Invalid(field="with_booking_id", reason="is the same booking")
    if one.institution_id != other.institution_id:
        raise Invalid(field="with_booking_id", reason="belongs to another institution")
    if one.resource_id != other.resource_id and (one.organisation_id is None) != (other.organisation_id is None):
        raise Invalid(field="with_booking_id", reason="cannot be exchanged with this one")
    if not {one.resource_id, other.resource_id} <= places.keys():
        raise WrongState(state="changed", move="swap")
    return one, other, places


def _give_places(session: Session, one: Booking, other: Booking, deciding: Deciding, now: datetime) -> None:
    """Raises: SwapRefused, leaving what was flushed to the caller's savepoint."""
    places = lock_places(session, {one.resource_id, other.resource_id})
    before = {row.id: facts(row) for row in (one, other)}
    left = [(one.resource_id, one.slot), (other.resource_id, other.slot)]
    for row in (one, other):
        beside.leave(session, row)
    _take(session, places[left[1][0]], one, left[1][1], deciding, now, ignoring=[one.id, other.id])
    _take(session, places[left[0][0]], other, left[0][1], deciding, now, ignoring=[other.id])
    for resource_id, slot in left:
        outages.close_what_is_left(session, resource_id=resource_id, around=slot)
    for row in (one, other):
        audit.record(
            session,
            actor_id=deciding.actor_id,
            action="swap",
            object_kind="booking",
            object_id=row.id,
            institution_id=row.institution_id,
            before=before[row.id],
            after=facts(row),
            now=now,
        )
        tell(session, row, action="swap", before=before[row.id], facts=facts(row), now=now)


def _take(
    session: Session, place: Place, row: Booking, slot: Slot, deciding: Deciding, now: datetime, *, ignoring: Sequence[str]
) -> None:
    """Give the booking that place, as `booking.actions.move` does."""
    wish = wish_of(row, resource_id=place.resource_id, slot=slot)
    units = _admitted(session, place, wish, row, deciding, now, ignoring)
    if not deciding.decides:
        ask_where_decided(place, row, now)
    resettle(session, place=place, booking=row, wish=wish, units=units)
    session.flush()


def _admitted(
    session: Session, place: Place, wish: Wish, row: Booking, deciding: Deciding, now: datetime, ignoring: Sequence[str]
) -> Units:
    try:
        return admit(session, place, wish, now=now, ignoring=ignoring)
    except SlotRefused as refused:
        own = row.id == deciding.side or deciding.decides
        raise SwapRefused(refused.reasons if own else [Reason(OTHER_SIDE)]) from refused


def _open(session: Session, swap_id: str) -> Swap:
    swap = swaps.get_swap(session, swap_id)
    if swap.state is not SwapState.PROPOSED:
        raise WrongState(state=swap.state.value, move="answer")
    return swap


def _answer(session: Session, swap: Swap, state: SwapState, actor_id: str | None, now: datetime) -> None:
    swap.state, swap.answered_by, swap.answered_at = state, actor_id, now
    session.flush()
    _record(session, swap, f"{state.value}_swap", actor_id, now)


def _record(session: Session, swap: Swap, action: str, actor_id: str | None, now: datetime) -> None:
    audit.record(
        session,
        actor_id=actor_id,
        action=action,
        object_kind="swap",
        object_id=swap.id,
        institution_id=queries.get_booking(session, swap.booking_id).institution_id,
        before=None,
        after={"booking": swap.booking_id, "with": swap.with_booking_id},
        now=now,
    )


def _times(slot: Slot) -> dict[str, Any]:
    return {"start": slot.start.isoformat(), "end": slot.end.isoformat()}


def _tell(session: Session, kind: str, swap: Swap, own: Booking, times: Mapping[str, Any], now: datetime) -> None:
    """Whoever holds `own`: of that, and of what is offered for it where something is."""
    data = {"booking_id": own.id, "resource_id": own.resource_id, "swap_id": swap.id, **times}
    outbox.queue(session, person_id=own.person_id, kind=kind, data=data, cause=f"{swap.id}:{kind}", now=now)
