"""Joins booking and billing for what becomes of a series: edits, gaps that are booked later, cancelling the rest."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from billing import cancelling
from billing.quotes import actions as quotes
from billing.quotes.queries import get_offer
from billing.settlement import Funding
from booking import queries
from booking.actions import CancelledBy
from booking.places import lock_places_of
from booking.series import edits, ending, gaps, telling
from booking.series.actions import Gap, Outcome, SeriesRefused, foresee_series
from booking.series.edits import Change, Edited, Editor
from booking.series.queries import bookings_of
from booking.states import HOLDING
from booking.tables import Booking, BookingSeries, OnConflict
from booking.telling import Told
from booking.waiting import offers
from marketplace.money import Money
from marketplace.permissions import Action, Actor, may, require
from marketplace.refusals import Invalid, NotAllowed, Refusal, WrongState
from marketplace.slot import Slot
from web.checkout import Order, cancel, is_own, settle, wish_for


@dataclass(frozen=True, slots=True)
class Repriced:
    """An edit with the price of each booking that moved or was added, and the fee of each that ended."""

    edited: Edited
    moved: list[Money]
    added: list[Money]
    fees: list[Money]


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What `checkout.book_series` would make of an order at this moment."""

    made: Sequence[Slot]
    gaps: Sequence[Gap]
    refusal: Refusal | None = None


def foresee(session: Session, *, actor: Actor, order: Order, rrule: str, on_conflict: OnConflict, now: datetime) -> Foreseen:
    """Nothing is locked or stored. Raises: NotFound."""
    try:
        wish = wish_for(session, actor, order)
        return Foreseen(*foresee_series(session, wish=wish, rrule=rrule, on_conflict=on_conflict, now=now))
    except SeriesRefused as refusal:
        return Foreseen([], [Gap(one.wish.slot, one.reasons, one.conflicts) for one in refusal.refusals], refusal)
    except (NotAllowed, Invalid) as refusal:
        return Foreseen([], [], refusal)


def edit_series(session: Session, *, actor: Actor, series_id: str, version: int, change: Change, now: datetime) -> Repriced:
    """Edit a series; what moved keeps the price and the policy of its acceptance, what was added has today's.

    What becomes free is offered to who waits for it.

    Raises: NotFound, NotAllowed, Stale, WrongState, Invalid, SeriesRefused.
    """
    editor = _editor(session, actor, series_id)
    if change.override is not None:
        require(actor, Action.OVERRIDE_RULES, institution_id=queries.get_series(session, series_id).institution_id)
    edited = edits.edit_series(session, series_id=series_id, version=version, change=change, editor=editor, now=now)
    found = Repriced(
        edited,
        moved=quotes.requote_bookings(session, bookings=edited.moved, given_up=editor.by is CancelledBy.CUSTOMER, now=now),
        added=_quoted(session, edited.series, edited.added, now),
        fees=[settle(session, booking, now=now) for booking in edited.ended],
    )
    offers.offer_freed(session, resource_id=edited.series.resource_id, freed=edited.left, now=now)
    return found


def _editor(session: Session, actor: Actor, series_id: str) -> Editor:
    """Raises: NotFound, NotAllowed."""
    rows = queries.bookings_of_series_for(session, actor, series_id)
    decides = may(actor, Action.DECIDE_BOOKINGS, institution_id=rows[0].institution_id)
    own = {row.id for row in rows if is_own(actor, row)}
    if not decides and not own:
        raise NotAllowed(action=Action.DECIDE_BOOKINGS.value)
    theirs = {row.id for row in rows} if decides else own
    return Editor(actor.known_id, theirs, CancelledBy.CUSTOMER if own else CancelledBy.PROVIDER)


def _quoted(session: Session, row: BookingSeries, bookings: Collection[Booking], now: datetime) -> list[Money]:
    """No card is held for months ahead: each use comes on its statement."""
    if not bookings:
        return []
    offer = get_offer(session, row.resource_id, row.organisation_id)
    made, buyer = list(bookings), offer.buyer
    return quotes.quote_bookings(session, bookings=made, organisation=buyer, funding=Funding.BANK, offer=offer, now=now)


def fill_gaps(
    session: Session, *, actor: Actor, series_id: str, starts: Collection[datetime] | None, now: datetime
) -> tuple[Outcome, list[Money]]:
    """Book what can be had of the gaps, at today's price.

    Raises: NotFound, NotAllowed, WrongState, Invalid, SeriesRefused.
    """
    editor = _editor(session, actor, series_id)
    made = gaps.fill_gaps(session, series_id=series_id, starts=starts, actor_id=editor.actor_id, now=now)
    return made, _quoted(session, made.series, made.bookings, now)


def cancel_series(
    session: Session, *, actor: Actor, series_id: str, since: datetime | None, now: datetime
) -> list[tuple[Booking, Money]]:
    """Cancel what has not begun of a series, from `since` on; past occurrences stay as they are. Told once.

    Raises: NotFound, NotAllowed, WrongState (there is nothing left to cancel).
    """
    found = queries.bookings_of_series_for(session, actor, series_id)
    ahead = {row.id for row in found if row.state in HOLDING and row.starts_at >= max(since or now, now)}
    if not ahead:
        raise WrongState(state="over", move="cancel")
    lock_places_of(session, ahead)
    rows = [row for row in bookings_of(session, series_id) if row.id in ahead]
    own = {row.id for row in rows if is_own(actor, row)}
    if own < ahead:
        require(actor, Action.DECIDE_BOOKINGS, institution_id=rows[0].institution_id)
    fees = _end(session, actor, rows, own, now)
    telling.cancelled(session, queries.get_series(session, series_id), rows, now)
    return [(row, fees[row.id]) for row in rows]


def _end(session: Session, actor: Actor, rows: Sequence[Booking], own: Collection[str], now: datetime) -> dict[str, Money]:
    """Cancel all of them and offer what became free; the fees by booking."""
    together, alone = ending.splits(rows)
    fees = {one.id: cancel(session, actor=actor, booking_id=one.id, now=now, told=Told.TOGETHER)[1] for one in alone}
    if not together:
        return fees
    ending.cancel_together(session, bookings=together, by_customer=own, actor_id=actor.known_id, now=now)
    free = {row.id for row in together if row.decided_at is None or row.cancelled_by_provider}
    settled = cancelling.settle_cancellations(session, bookings=together, free=free, now=now)
    for resource_id in sorted({row.resource_id for row in together}):
        left = [row.slot for row in together if row.resource_id == resource_id]
        freed = Slot(min(slot.start for slot in left), max(slot.end for slot in left))
        offers.offer_freed(session, resource_id=resource_id, freed=freed, now=now)
    return fees | {row.id: fee for row, fee in zip(together, settled, strict=True)}
