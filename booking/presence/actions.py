"""Writes of check-in and early finish."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from booking.actions import refresh_locked
from booking.outages import actions as outages
from booking.places import as_rules
from booking.presence.queries import check_in_by
from booking.states import BookingState
from booking.tables import Booking, Claim, RuleVersion
from marketplace import audit, outbox
from marketplace.ids import is_operator
from marketplace.refusals import WrongState
from marketplace.slot import Slot

CHECK_IN_FROM = timedelta(minutes=30)
"""Before the start; earlier nobody can say they are there for this booking."""
MINUTE = timedelta(minutes=1)
ENDED_BY_OTHERS = "booking_ended"
"""The message to who booked."""


def check_in(session: Session, *, booking_id: str, actor_id: str, now: datetime) -> Booking:
    """Say that the customer is there. Saying it again changes nothing.

    Raises: NotFound, WrongState (not confirmed, more than 30 minutes before its start, later than its rules allow, or over).
    """
    booking = refresh_locked(session, booking_id)
    _must_run(booking, booking.slot.widen(CHECK_IN_FROM, timedelta()), "check_in", now)
    if booking.checked_in_at is not None:
        return booking
    by = check_in_by(session, booking)
    if by is not None and now >= by:
        raise WrongState(state="late", move="check_in")
    booking.checked_in_at = now
    _record(session, booking, "check_in", {}, actor_id, now)
    return booking


def finish(session: Session, *, booking_id: str, actor_id: str, now: datetime) -> Booking:
    """End a running booking at the next full minute; the rest of its time is free again, after the cleaning.

    What it costs is still counted over the time that was booked; what others book of the rest is credited. Doing it again
    changes nothing. Who booked is told if somebody else did it. Raises: NotFound, WrongState (not confirmed, not begun, or over).
    """
    booking = refresh_locked(session, booking_id)
    _must_run(booking, booking.slot, "finish", now)
    if booking.finished_at is not None:
        return booking
    whole, left = now.replace(second=0, microsecond=0), booking.slot
    end = min(whole if whole == now and whole > booking.starts_at else whole + MINUTE, booking.ends_at)
    before = {"end": booking.ends_at.isoformat()}
    booking.slot, booking.finished_at = Slot(booking.starts_at, end), now
    booking.version += 1
    session.flush()
    _shorten_claims(session, booking)
    outages.close_what_is_left(session, resource_id=booking.resource_id, around=left)
    _record(session, booking, "finish", before, actor_id, now)
    if actor_id != booking.person_id:
        _tell(session, booking, left, now)
    return booking


def _must_run(booking: Booking, window: Slot, move: str, now: datetime) -> None:
    if booking.state is not BookingState.CONFIRMED:
        raise WrongState(state=booking.state.value, move=move)
    if now < window.start:
        raise WrongState(state="not_begun", move=move)
    if now >= window.end:
        raise WrongState(state="over", move=move)


def _shorten_claims(session: Session, booking: Booking) -> None:
    """To the shorter slot and its buffers; none grows, as a buffer may have been waived towards the next use."""
    spans = as_rules(session.get_one(RuleVersion, booking.rules_id)).buffers.spans(booking.slot)
    for claim in session.scalars(select(Claim).where(Claim.booking_id == booking.id, Claim.active)):
        end = booking.ends_at if is_operator(claim.resource_id) else spans[claim.lane].end
        claim.ends_at = min(claim.ends_at, end)
    session.flush()


def _tell(session: Session, booking: Booking, was: Slot, now: datetime) -> None:
    times = [{"start": slot.start.isoformat(), "end": slot.end.isoformat()} for slot in (booking.slot, was)]
    about = {"booking_id": booking.id, "resource_id": booking.resource_id, "version": booking.version}
    data, cause = {**about, **times[0], "was": times[1]}, f"{booking.id}:{ENDED_BY_OTHERS}"
    outbox.queue(session, person_id=booking.person_id, kind=ENDED_BY_OTHERS, data=data, cause=cause, now=now)


def _record(session: Session, booking: Booking, action: str, before: dict[str, str], actor_id: str, now: datetime) -> None:
    session.flush()
    audit.record(
        session,
        actor_id=actor_id,
        action=action,
        object_kind="booking",
        object_id=booking.id,
        institution_id=booking.institution_id,
        before=before or None,
        after={"end": booking.ends_at.isoformat(), "version": booking.version},
        now=now,
    )
