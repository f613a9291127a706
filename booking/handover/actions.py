"""Writes of handing over: the booking of one person becomes a colleague's."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from booking import queries
from booking.actions import facts, refresh_locked
from booking.admission import decide
from booking.outages.plans import wish_of
from booking.places import get_place
from booking.states import BookingState
from booking.tables import Booking
from marketplace import audit, outbox
from marketplace.people import queries as people
from marketplace.permissions import Actor
from marketplace.refusals import Invalid, NotFound, Reason, Refusal, Refused, WrongState

ABOUT_THE_SLOT = frozenset(
    {
        "too_short",
        "too_long",
        "off_step",
        "starts_in_past",
        "too_soon",
        "beyond_horizon",
        "outside_hours",
        "buffers_outside_hours",
        "not_bookable",
        "beyond_capacity",
        "slot_taken",
        "no_operator_free",
        "no_assistance_offered",
    }
)
"""Rules that the slot was granted under; whoever takes it over is judged by all others."""


class NotAColleague(Refusal):
    """There is no account of that name in the house the booking is for; nobody is told whether there is one elsewhere."""

    code = "not_a_colleague"


def hand_over(session: Session, *, booking_id: str, to: str | None, actor_id: str, now: datetime) -> Booking:
    """Make it the booking of the person `to`, None: of someone who is not known; the slot and the price stay.

    Raises: NotFound, WrongState (over, or not to be had yet), NotAColleague, Invalid (it is theirs), Refused.
    """
    booking = refresh_locked(session, booking_id)
    if booking.state not in {BookingState.REQUESTED, BookingState.CONFIRMED}:
        raise WrongState(state=booking.state.value, move="hand_over")
    if booking.ends_at <= now:
        raise WrongState(state="over", move="hand_over")
    if booking.assisted and booking.starts_at <= now:  # the run counts as the experience of whoever is there
        raise WrongState(state="begun", move="hand_over")
    if to is None or not _colleague(session, booking, to):
        raise NotAColleague
    if to == booking.person_id:
        raise Invalid(field="email", reason="it is that person's booking already")
    if reasons := _against(session, booking, to, now):
        raise Refused(reasons)
    former, before = booking.person_id, {**facts(booking), "person": booking.person_id}
    booking.person_id = to
    booking.version += 1
    session.flush()
    audit.record(
        session,
        actor_id=actor_id,
        action="hand_over",
        object_kind="booking",
        object_id=booking.id,
        institution_id=booking.institution_id,
        before=before,
        after={**facts(booking), "person": to},
        now=now,
    )
    for person_id, kind in ((former, "booking_handed_over"), (to, "booking_received")):
        data = {"booking_id": booking.id, "resource_id": booking.resource_id, **facts(booking)}
        outbox.queue(session, person_id=person_id, kind=kind, data=data, cause=f"{booking.id}:{kind}:{booking.version}", now=now)
    return booking


def _colleague(session: Session, booking: Booking, person_id: str) -> bool:
    """Whether that person belongs to the organisation, or without one to the institution, and can sign in."""
    try:
        actor: Actor = people.get_actor(session, person_id)
    except NotFound:
        return False
    if booking.organisation_id is not None:
        return booking.organisation_id in actor.organisations
    return booking.institution_id in actor.institutions()


def _against(session: Session, booking: Booking, person_id: str, now: datetime) -> Sequence[Reason]:
    """Why that person may not have it; what the whole organisation may have does not change."""
    place = get_place(session, booking.resource_id)
    wish = replace(wish_of(booking), person_id=person_id)
    claims = queries.taken(session, place.claimed, within=booking.slot, ignoring=[booking.id])
    in_time = min(now, booking.starts_at - timedelta(minutes=place.rules.notice_min))
    found = decide(session, place, wish, claims, now=in_time, ignoring=[booking.id])
    return [one for one in found.reasons if one.code not in ABOUT_THE_SLOT and one.values.get("by") != "organisation"]
