"""Joins booking and billing where someone waits: a place in a line for an order, and an offer that becomes a booking."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from booking.tables import Booking
from booking.waiting import actions, queries
from booking.waiting.tables import WaitingEntry
from marketplace.money import Money
from marketplace.permissions import Actor
from marketplace.refusals import NotAllowed
from web import checkout
from web.checkout import Order


def join(session: Session, *, actor: Actor, order: Order, length: timedelta | None, now: datetime) -> WaitingEntry:
    """Wait for the order's slot, or for `length` anywhere inside it.

    Raises: NotFound, NotAllowed, Invalid, FreeNow, InVain, AlreadyWaiting, LineFull.
    """
    return actions.join(session, wish=checkout.wish_for(session, actor, order), length=length, now=now)


def accept(
    session: Session, *, actor: Actor, entry_id: str, payment_method: str | None, now: datetime, hold: timedelta
) -> tuple[WaitingEntry, Booking, Money]:
    """Turn an offer into a booking by the way of every other one, in one transaction; where that is refused the offer stands.

    Raises: NotFound, WrongState, OfferOver, NotAllowed (no longer of that organisation), Invalid, SlotRefused.
    """
    queries.get_entry_for(session, actor, entry_id)
    entry, wish = actions.take_up(session, entry_id=entry_id, now=now)
    order = Order(
        resource_id=wish.resource_id,
        slot=wish.slot,
        organisation_id=wish.organisation_id,
        quantity=wish.quantity,
        purpose=wish.purpose,
        payment_method=payment_method,
        assisted=wish.assisted,
    )
    booking, quote = checkout.book(session, actor=actor, order=order, now=now, hold=hold)
    if booking.organisation_id != entry.organisation_id:
        raise NotAllowed(action="book_for_organisation")
    actions.settle(session, entry=entry, booking=booking, now=now)
    return entry, booking, quote
