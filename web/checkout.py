"""Joins booking and billing for one order: claim the slot, freeze its price, secure the money."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from billing import cancelling
from billing import queries as bills
from billing.payments.pages import HELD_FOR, WALLET_CURRENCY
from billing.quotes import actions as quotes
from billing.quotes.queries import Offer, offer_for
from billing.settlement import Funding
from booking import actions, queries
from booking.actions import CancelledBy
from booking.admission import SlotRefused, Wish, admit
from booking.bundles import actions as bundles
from booking.places import get_place, try_lock
from booking.presence import actions as presence
from booking.queries import NEAR, Sight
from booking.requests import actions as requests
from booking.requests.tables import Grounds
from booking.series import actions as series
from booking.series.actions import Outcome
from booking.tables import Booking, Category, OnConflict
from booking.telling import Told
from booking.waiting import offers
from marketplace.catalogue import queries as catalogue
from marketplace.ids import is_operator
from marketplace.money import Money
from marketplace.permissions import Action, Actor, may, require
from marketplace.prepared import Question, ask_together
from marketplace.refusals import Invalid, NotAllowed, NotFound, Refusal, WrongState
from marketplace.slot import Slot

TEACHING = "teaching"
"""The purpose that makes a use of one's own house teaching."""


@dataclass(frozen=True, slots=True)
class Order:
    """What someone wants to book, before anybody said yes."""

    resource_id: str
    slot: Slot
    organisation_id: str | None = None
    quantity: int = 1
    purpose: str | None = None
    payment_method: str | None = None
    """A card's payment method at the provider, where the institution takes cards through the platform; without one the card is
    entered on a page of the provider's."""
    funding: Funding | None = None
    """By wallet, where the platform collects for the institution; anything else is as the institution is paid."""
    override: str | None = None
    """Why the publisher's own rules do not count this time."""
    assisted: bool = False
    """Somebody of the house is to stand by."""


def book(
    session: Session,
    *,
    actor: Actor,
    order: Order,
    now: datetime,
    hold: timedelta,
    seek: bool = True,
    around: timedelta = NEAR,
) -> tuple[Booking, Money]:
    """Claim, quote and (for cards and wallets) ask for what secures it, in one transaction; returns the booking and its quote.

    Claims are read as far `around` the slot. Without `seek` a refusal comes before its ways out are sought.
    Raises: NotFound, NotAllowed, Invalid, SlotRefused.
    """
    at, reach = order.resource_id, order.slot.widen(around, around)
    offer, place, claims = ask_together(session, _offer_to(actor, order), try_lock(at), queries.claims_on(at, reach))
    wish, funding = _wish_for(offer, actor, order)
    now_seen = Sight(place, claims, reach) if place and place.stands_alone else None
    if place is None or now_seen is None:
        seen = Sight(place or get_place(session, at), claims, reach)
        place = actions.in_turn(session, seen=seen, wish=wish, seek=seek, now=now)
    until = _held_until(order, funding, hold, now)
    booking = actions.take(session, place=place, wish=wish, hold_until=until, seen=now_seen, seek=seek, now=now)
    return booking, _quote(session, booking, offer, order, funding, now)


def check(session: Session, *, actor: Actor, order: Order, seen: Sight, now: datetime) -> None:
    """Whether the order may still be granted, by what was seen of its resource since it came.

    Raises: NotFound, NotAllowed, Invalid, SlotRefused.
    """
    admit(session, seen.place, _wish(session, actor, order)[0], now=now, seen=seen)


def foresee(session: Session, *, actor: Actor, order: Order, now: datetime) -> Refusal | None:
    """What `book` would refuse the order for at this moment; None where it would be booked. Raises: NotFound."""
    try:
        wish, _, _ = _wish(session, actor, order)
        admit(session, get_place(session, wish.resource_id), wish, now=now)
    except (SlotRefused, NotAllowed, Invalid) as refusal:
        return refusal
    return None


def book_bundle(
    session: Session, *, actor: Actor, orders: Sequence[Order], now: datetime, hold: timedelta
) -> list[tuple[Booking, Money]]:
    """The same for several orders, all or none. Raises: NotFound, NotAllowed, Invalid, BundleRefused."""
    asked = [_part(session, actor, number, order) for number, order in enumerate(orders)]
    until = [_held_until(order, funding, hold, now) for order, (_, _, funding) in zip(orders, asked, strict=True)]
    made = bundles.book_bundle(session, wishes=[wish for wish, _, _ in asked], hold_until=until, now=now)
    found = []
    for booking, order, (_, offer, funding) in zip(made, orders, asked, strict=True):
        found.append((booking, _quote(session, booking, offer, order, funding, now)))
    return found


def book_series(
    session: Session, *, actor: Actor, order: Order, rrule: str, on_conflict: OnConflict, now: datetime
) -> tuple[Outcome, list[Money]]:
    """The order and its repetitions. No card is held for months ahead: each use comes on its statement.

    Raises: NotFound, NotAllowed, Invalid, SeriesRefused.
    """
    wish, offer, _ = _wish(session, actor, order)
    made = series.book_series(session, wish=wish, rrule=rrule, on_conflict=on_conflict, now=now)
    prices = quotes.quote_bookings(
        session, bookings=made.bookings, organisation=offer.buyer, funding=Funding.BANK, offer=offer, now=now
    )
    return made, prices


def wish_for(session: Session, actor: Actor, order: Order) -> Wish:
    """What the order asks of the ledger. Raises: NotFound, NotAllowed, Invalid."""
    return _wish(session, actor, order)[0]


def _wish(session: Session, actor: Actor, order: Order) -> tuple[Wish, Offer, Funding]:
    """What the order asks of the ledger, what it would cost and for whom, and what pays for it.

    Raises: NotFound, NotAllowed, Invalid.
    """
    offer = _offer_to(actor, order).ask(session)
    wish, funding = _wish_for(offer, actor, order)
    return wish, offer, funding


def _part(session: Session, actor: Actor, number: int, order: Order) -> tuple[Wish, Offer, Funding]:
    """The same of one of several; what is not there is told with the part that names it."""
    try:
        return _wish(session, actor, order)
    except NotFound as refusal:
        kind = refusal.values["kind"]
        field = f"parts.{number}.resource_id" if kind == "resource" else "organisation_id"
        raise NotFound(kind=kind, part=number, field=field) from refusal


def _offer_to(actor: Actor, order: Order) -> Question[Offer]:
    only = next(iter(actor.organisations)) if len(actor.organisations) == 1 else None
    return offer_for(order.resource_id, order.organisation_id or only)


def _wish_for(offer: Offer, actor: Actor, order: Order) -> tuple[Wish, Funding]:
    """Raises: NotFound, NotAllowed, Invalid."""
    if is_operator(order.resource_id) or not catalogue.may_see(actor, state=offer.state, institution_id=offer.institution_id):
        raise NotFound(kind="resource")
    if order.override is not None:
        require(actor, Action.OVERRIDE_RULES, institution_id=offer.institution_id)
    _check_buyer(actor, order.organisation_id, offer)
    wish = Wish(
        resource_id=offer.resource_id,
        slot=order.slot,
        person_id=actor.known_id,
        organisation_id=offer.buyer.id if offer.buyer else None,
        category=category_of(offer, order.purpose),
        quantity=order.quantity,
        purpose=order.purpose,
        override=order.override,
        assisted=order.assisted,
    )
    return wish, _funding_of(offer, wish, order)


def _funding_of(offer: Offer, wish: Wish, order: Order) -> Funding:
    """Raises: Invalid."""
    online = offer.takes_cards and wish.category is Category.EXT
    if order.funding is not Funding.WALLET:
        return Funding.CARD if online else Funding.BANK
    if not online:
        raise Invalid(field="funding", reason="this booking is not paid through the platform")
    if offer.price.currency != WALLET_CURRENCY:
        raise Invalid(field="funding", reason="wallets pay in yuan only")
    return Funding.WALLET


def _held_until(order: Order, funding: Funding, hold: timedelta, now: datetime) -> datetime | None:
    """What is paid or entered on a page of the provider's is given the time that such a page lives for."""
    if funding is Funding.BANK:
        return None
    by_call = funding is Funding.CARD and order.payment_method is not None
    return now + (hold if by_call else max(hold, HELD_FOR))


def _quote(session: Session, booking: Booking, offer: Offer, order: Order, funding: Funding, now: datetime) -> Money:
    method = order.payment_method if funding is Funding.CARD else None
    return quotes.quote_booking(
        session, booking=booking, organisation=offer.buyer, payment_method=method, offer=offer, funding=funding, now=now
    )


def _check_buyer(actor: Actor, asked: str | None, offer: Offer) -> None:
    """One books for the organisation named, else for one's only one; staff without one for their own house.

    Raises: NotAllowed, Invalid, NotFound (only its operator could name an organisation that is not there).
    """
    if asked is not None:
        if asked not in actor.organisations and not actor.is_operator:
            raise NotAllowed(action="book_for_organisation")
        if offer.buyer is None:
            raise NotFound(kind="organisation")
    elif offer.buyer is None and offer.institution_id not in actor.institutions():
        if actor.organisations:
            raise Invalid(field="organisation_id", reason="you belong to several organisations, say for which one")
        raise NotAllowed(action="book_without_organisation")


def category_of(offer: Offer, purpose: str | None) -> Category:
    """Whose use it is. Related parties book as outsiders; the evaluation decides that they do not count."""
    if offer.buyer is None:
        return Category.TEACH if purpose == TEACHING else Category.SELF
    if offer.buyer.institution_id == offer.institution_id:
        return Category.TEACH if purpose == TEACHING else Category.INT
    return Category.EXT


def is_own(actor: Actor, booking: Booking) -> bool:
    """Whether the actor booked it, or belongs to the organisation it was booked for."""
    return booking.person_id == actor.person_id or booking.organisation_id in actor.organisations


def move(
    session: Session,
    *,
    actor: Actor,
    booking_id: str,
    slot: Slot,
    version: int,
    resource_id: str | None = None,
    override: str | None = None,
    now: datetime,
) -> tuple[Booking, Money]:
    """Move a booking and price it again under the policy of its acceptance; a customer's may need a new yes.

    Where it would, a customer cannot extend what runs: there is no time to ask. To another resource of the house its own
    staff moves it, at the price of its acceptance.

    Raises: NotFound, NotAllowed, Invalid (a resource of another institution), Stale, WrongState, SlotRefused.
    """
    found = queries.get_booking_for(session, actor, booking_id)
    decides = may(actor, Action.DECIDE_BOOKINGS, institution_id=found.institution_id)
    if not decides and not is_own(actor, found):
        raise NotAllowed(action=Action.DECIDE_BOOKINGS.value)
    if override is not None:
        require(actor, Action.OVERRIDE_RULES, institution_id=found.institution_id)
    if resource_id is not None and resource_id != found.resource_id:
        require(actor, Action.DECIDE_BOOKINGS, institution_id=found.institution_id)
        if catalogue.get_resource(session, resource_id).institution_id != found.institution_id:
            raise Invalid(field="resource_id", reason="belongs to another institution")
    runs = found.starts_at <= now
    if runs and not decides and actions.asks_again(session, found):
        raise WrongState(state="begun", move="move")
    left, left_place = found.slot, found.resource_id
    booking = actions.move(
        session,
        booking_id=booking_id,
        slot=slot,
        version=version,
        resource_id=resource_id,
        actor_id=actor.known_id,
        override=override,
        now=now,
    )
    if not decides and not runs:
        booking = actions.ask_again(session, booking_id=booking_id, now=now)
    offers.offer_freed(session, resource_id=left_place, freed=left, now=now)
    return booking, quotes.requote_booking(session, booking=booking, given_up=not decides, now=now)


def cancel(
    session: Session,
    *,
    actor: Actor,
    booking_id: str,
    now: datetime,
    by: CancelledBy = CancelledBy.CUSTOMER,
    reason: str | None = None,
    told: Told = Told.ALONE,
) -> tuple[Booking, Money]:
    """End a booking before its start; returns it with the fee, which is nothing when the provider cancels.

    Its time is offered to who waits for it. Of a request that its customer takes back `reason` is kept.

    Raises: NotFound, NotAllowed, WrongState, Invalid.
    """
    booking, fee = give_up(session, actor, booking_id, now, by, reason, told)
    offers.offer_freed(session, resource_id=booking.resource_id, freed=booking.slot, now=now)
    return booking, fee


def give_up(
    session: Session,
    actor: Actor,
    booking_id: str,
    now: datetime,
    by: CancelledBy,
    reason: str | None = None,
    told: Told = Told.ALONE,
) -> tuple[Booking, Money]:
    """`cancel` whose time is not offered to anybody yet. Raises: NotFound, NotAllowed, WrongState, Invalid."""
    found = queries.get_booking_for(session, actor, booking_id)
    if by is CancelledBy.CUSTOMER and not is_own(actor, found):
        require(actor, Action.DECIDE_BOOKINGS, institution_id=found.institution_id)
        by = CancelledBy.PROVIDER
    who = actor.known_id
    booking = requests.cancel(session, booking_id=booking_id, by=by, reason=reason, actor_id=who, now=now, told=told)
    return booking, settle(session, booking, now=now)


def settle(session: Session, booking: Booking, *, now: datetime) -> Money:
    """Charge the fee of a booking that has just been cancelled; nothing where it never stood or the provider cancelled."""
    free = booking.decided_at is None or booking.cancelled_by_provider
    return cancelling.settle_cancellation(session, booking=booking, free=free, now=now)


def may_attend(actor: Actor, booking: Booking) -> bool:
    """Whether the actor may say that the customer is there or has left: the customer itself, and the staff at the machine."""
    return is_own(actor, booking) or may(actor, Action.REVIEW_USE, institution_id=booking.institution_id)


def require_present(actor: Actor, booking: Booking) -> None:
    """Raises: NotAllowed."""
    if not may_attend(actor, booking):
        require(actor, Action.REVIEW_USE, institution_id=booking.institution_id)


def refuse(
    session: Session,
    *,
    actor: Actor,
    booking_id: str,
    grounds: Grounds = Grounds.DECLINED_CAPACITY,
    reason: str | None = None,
    now: datetime,
) -> tuple[Booking, Money]:
    """Turn a request down and keep why; with what its customer owes for a time given up late for it.

    Raises: NotFound, WrongState, Invalid.
    """
    who = actor.known_id
    booking = requests.refuse(session, booking_id=booking_id, grounds=grounds, reason=reason, actor_id=who, now=now)
    fee = cancelling.settle_refusal(session, booking=booking, now=now)
    offers.offer_freed(session, resource_id=booking.resource_id, freed=booking.slot, now=now)
    return booking, fee


def finish(session: Session, *, actor: Actor, booking_id: str, now: datetime) -> Booking:
    """End a running booking; the rest of its time is offered to who waits for it. Raises: NotFound, WrongState."""
    left = queries.get_booking(session, booking_id).slot
    booking = presence.finish(session, booking_id=booking_id, actor_id=actor.known_id, now=now)
    offers.offer_freed(session, resource_id=booking.resource_id, freed=left, now=now)
    return booking


def expire(session: Session, *, booking_id: str, now: datetime) -> None:
    """End a hold that was not paid or a request that was not answered in time; a time given up late for it is owed.

    Raises: NotFound, WrongState.
    """
    booking = actions.expire(session, booking_id=booking_id, now=now)
    cancelling.settle_refusal(session, booking=booking, now=now)
    offers.offer_freed(session, resource_id=booking.resource_id, freed=booking.slot, now=now)


def quote_of(session: Session, booking: Booking) -> dict[str, Any] | None:
    quote = bills.find_quote(session, booking.id)
    return {"minor": quote.quote_minor, "currency": quote.currency} if quote else None


def price_of(session: Session, booking: Booking) -> dict[str, Any] | None:
    """An hour's price that the booking was accepted at, and whose it is: a customer class's or the list's."""
    quote = bills.find_quote(session, booking.id)
    if quote is None:
        return None
    return {"per_hour": {"minor": quote.price_minor, "currency": quote.currency}, "class": quote.price_class or "list"}
