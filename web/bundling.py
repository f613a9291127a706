"""Bookings that were made together, moved or cancelled together."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from billing.quotes import actions as quotes
from booking import queries
from booking.bundles import moves
from booking.bundles.moves import Moved, Mover
from booking.places import lock_places_of
from booking.states import HOLDING
from booking.tables import Booking
from booking.waiting import offers
from marketplace.money import Money
from marketplace.permissions import Action, Actor, may
from marketplace.refusals import NotAllowed, WrongState
from web import checkout


def ahead_of(rows: Sequence[Booking], now: datetime) -> list[Booking]:
    """Those that can still be cancelled."""
    return [row for row in rows if row.state in HOLDING and row.starts_at > now]


def cancel_bundle(session: Session, *, actor: Actor, bundle_id: str, now: datetime) -> list[tuple[Booking, Money]]:
    """Cancel every part that has not begun, all or none; each with its fee.

    Raises: NotFound, NotAllowed, WrongState (there is nothing left to cancel).
    """
    found = queries.bookings_of_bundle_for(session, actor, bundle_id)
    lock_places_of(session, {row.id for row in found})
    ahead = ahead_of(found, now)
    if not ahead:
        raise WrongState(state="over", move="cancel")
    return [checkout.cancel(session, actor=actor, booking_id=row.id, now=now) for row in ahead]


def move_bundle(
    session: Session, *, actor: Actor, bundle_id: str, by: timedelta, version: int, now: datetime
) -> tuple[Moved, list[Money]]:
    """Shift all that has not begun, with the price of each, under the policy of its acceptance; what becomes free is offered.

    Raises: NotFound, NotAllowed (some of it is not the actor's to move), Stale, WrongState, BundleRefused.
    """
    queries.bookings_of_bundle_for(session, actor, bundle_id)
    rows = moves.movable(queries.bookings_of_bundle(session, bundle_id), now)
    if not may_move(actor, rows):
        raise NotAllowed(action="move_together")
    mover = Mover(actor.known_id, _decided_by(actor, rows))
    made = moves.move_bundle(session, bundle_id=bundle_id, by=by, version=version, mover=mover, now=now)
    prices = [
        quotes.requote_booking(session, booking=row, given_up=row.institution_id not in mover.decides_in, now=now)
        for row in made.bookings
    ]
    for resource_id, slot in made.left:
        offers.offer_freed(session, resource_id=resource_id, freed=slot, now=now)
    return made, prices


def may_move(actor: Actor, rows: Sequence[Booking]) -> bool:
    """Whether every one of them is the actor's, or lies where they decide."""
    decided = _decided_by(actor, rows)
    return all(checkout.is_own(actor, row) or row.institution_id in decided for row in rows)


def _decided_by(actor: Actor, rows: Sequence[Booking]) -> set[str]:
    return {row.institution_id for row in rows if may(actor, Action.DECIDE_BOOKINGS, institution_id=row.institution_id)}
