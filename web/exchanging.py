"""Joins booking, billing and people for what parties agree on: swaps, and handing a booking over."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from billing.quotes import actions as quotes
from booking import queries
from booking.handover import actions as handover
from booking.swaps import actions as swaps
from booking.swaps import queries as proposals
from booking.swaps.actions import Deciding
from booking.swaps.tables import Swap, SwapState
from booking.tables import Booking
from booking.waiting import offers
from marketplace.people import queries as people
from marketplace.permissions import Action, Actor, may
from marketplace.refusals import NotAllowed
from marketplace.slot import Slot
from web.checkout import is_own


def may_hand_over(actor: Actor, booking: Booking) -> bool:
    """The person whose booking it is, and the publisher."""
    decides = may(actor, Action.DECIDE_BOOKINGS, institution_id=booking.institution_id)
    return decides or booking.person_id == actor.person_id


def hand_over(
    session: Session, *, actor: Actor, booking_id: str, person_id: str | None, email: str | None, now: datetime
) -> Booking:
    """To the colleague of that id or address. Raises: NotFound, NotAllowed, WrongState, NotAColleague, Invalid, Refused."""
    found = queries.get_booking_for(session, actor, booking_id)
    if not may_hand_over(actor, found):
        raise NotAllowed(action="hand_over")
    if person_id is None and email is not None:
        known = people.find_person_by_email(session, email.strip().lower())
        person_id = known.id if known else None
    return handover.hand_over(session, booking_id=booking_id, to=person_id, actor_id=actor.known_id, now=now)


def swap(session: Session, *, actor: Actor, booking_id: str, with_id: str, now: datetime) -> Swap | tuple[Booking, Booking]:
    """Propose to exchange two bookings; at once where both are the actor's, their organisation's, or theirs to decide on.

    The other booking's id is all that its holder need give; what is behind it is told to nobody before they agree.
    Raises: NotFound, NotAllowed, Invalid, WrongState, SwapRefused.
    """
    found, other = queries.get_booking_for(session, actor, booking_id), queries.get_booking(session, with_id)
    decides = all(may(actor, Action.DECIDE_BOOKINGS, institution_id=row.institution_id) for row in (found, other))
    if not decides and not is_own(actor, found):
        raise NotAllowed(action=Action.DECIDE_BOOKINGS.value)
    if decides or is_own(actor, other):
        elsewhere = found.resource_id != other.resource_id
        deciding = Deciding(actor.known_id, found.id, decides=decides)
        left = [(row.resource_id, row.slot) for row in (found, other)]
        one, two = swaps.exchange(session, booking_id=found.id, with_id=other.id, deciding=deciding, now=now)
        quotes.requote_swapped(session, one=one, other=two, elsewhere=elsewhere, now=now)
        _offer(session, left, now)
        return one, two
    return swaps.propose(session, booking_id=found.id, with_id=other.id, actor_id=actor.known_id, now=now)


def accept(session: Session, *, actor: Actor, swap_id: str, now: datetime) -> Swap:
    """Raises: NotFound, NotAllowed (who proposed it waits for the other), WrongState, SwapRefused."""
    found, one, other = _sides(session, actor, swap_id)
    if not is_own(actor, other):
        raise NotAllowed(action="accept")
    elsewhere, left = one.resource_id != other.resource_id, [(row.resource_id, row.slot) for row in (one, other)]
    made = swaps.accept(session, swap_id=found.id, actor_id=actor.known_id, now=now)
    quotes.requote_swapped(session, one=one, other=other, elsewhere=elsewhere, now=now)
    _offer(session, left, now)
    return made


def _offer(session: Session, left: Sequence[tuple[str, Slot]], now: datetime) -> None:
    """What units and buffers an exchange sets free goes to who waits for it."""
    for resource_id, slot in left:
        offers.offer_freed(session, resource_id=resource_id, freed=slot, now=now)


def decline(session: Session, *, actor: Actor, swap_id: str, now: datetime) -> Swap:
    """Raises: NotFound, NotAllowed, WrongState."""
    found, _, other = _sides(session, actor, swap_id)
    if not is_own(actor, other):
        raise NotAllowed(action="decline")
    return swaps.close(session, swap_id=found.id, state=SwapState.DECLINED, actor_id=actor.known_id, now=now)


def withdraw(session: Session, *, actor: Actor, swap_id: str, now: datetime) -> Swap:
    """Raises: NotFound, NotAllowed, WrongState."""
    found, one, _ = _sides(session, actor, swap_id)
    if not is_own(actor, one):
        raise NotAllowed(action="withdraw")
    return swaps.close(session, swap_id=found.id, state=SwapState.WITHDRAWN, actor_id=actor.known_id, now=now)


def _sides(session: Session, actor: Actor, swap_id: str) -> tuple[Swap, Booking, Booking]:
    """Raises: NotFound."""
    found = proposals.get_swap_for(session, actor, swap_id)
    return found, queries.get_booking(session, found.booking_id), queries.get_booking(session, found.with_booking_id)
