"""Takes a resource out of use, and carries out what was approved for the bookings that it meets."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from sqlalchemy.orm import Session

from billing.quotes import actions as quotes
from billing.quotes.queries import Offer, get_offer, is_as_agreed
from booking import actions
from booking.actions import CancelledBy
from booking.admission import SlotRefused
from booking.outages import actions as outages
from booking.outages import ending, plans
from booking.outages.plans import Proposal, Step, wish_of
from booking.outages.queries import get_outage
from booking.outages.substitutes import at_home, like
from booking.places import get_place, lock_places
from booking.queries import get_series
from booking.series import telling as series
from booking.states import BookingState
from booking.tables import Booking, Outage
from booking.telling import Told
from booking.waiting import offers
from marketplace.catalogue import queries as catalogue
from marketplace.permissions import Action, Actor, may, require
from marketplace.refusals import Invalid, NotFound, Stale
from marketplace.slot import Slot
from web import checkout


@dataclass(frozen=True, slots=True)
class PlannedOutage:
    """When a resource cannot be used, whether that was planned, and why."""

    slot: Slot
    planned: bool
    reason: str


def propose(session: Session, *, actor: Actor, resource_id: str, slot: Slot, now: datetime) -> list[Proposal]:
    """The mildest step for each booking in the way; other institutions' machines included, where the actor decides on bookings.

    Raises: NotFound.
    """
    house = catalogue.get_resource(session, resource_id).institution_id
    decides = may(actor, Action.DECIDE_BOOKINGS, institution_id=house)
    suits = partial(_suits, session, {}) if decides else at_home
    return plans.propose(session, resource_id=resource_id, slot=slot, now=now, suits=suits)


Offers = dict[tuple[str, str], Offer]


def _suits(session: Session, offers: Offers, booking: Booking, resource_id: str) -> bool:
    """Whether it stands, and its organisation pays no more there, on the terms that were agreed, and by statement.

    Nobody is there to give a card.
    """
    if booking.organisation_id is None or booking.state is not BookingState.CONFIRMED:
        return False
    key = resource_id, booking.organisation_id
    offer = offers[key] = offers.get(key) or get_offer(session, *key)
    return offer.buyer is not None and not offer.takes_cards and is_as_agreed(session, booking, offer)


def record_outage(
    session: Session, *, actor: Actor, resource_id: str, outage: PlannedOutage, plan: Sequence[Proposal], now: datetime
) -> Outage:
    """Take a resource out of use and carry out what was approved for the bookings it meets, in one transaction.

    What they leave is offered to who waits once all of them have their place; offers in the outage's time are taken back.
    Raises: NotFound, Invalid (a step that does not go with its booking), Stale, SlotRefused, WrongState.
    """
    lock_planned(session, resource_id, plan)
    offers.recall(session, resource_id=resource_id, slot=outage.slot, now=now)
    made = outages.record_outage(
        session,
        resource_id=resource_id,
        slot=outage.slot,
        planned=outage.planned,
        reason=outage.reason,
        actor_id=actor.known_id,
        now=now,
    )
    carry_out(session, actor=actor, plan=plan, closed=outage.slot, now=now)
    return made


def lock_planned(session: Session, resource_id: str, plan: Sequence[Proposal]) -> None:
    """Lock all that a plan touches, at once. Raises: Stale (a booking has changed since it was read)."""
    met, versions = {one.booking.resource_id for one in plan}, [one.booking.version for one in plan]
    lock_places(session, {resource_id, *met, *(one.resource_id for one in plan if one.resource_id)})
    for one, version in zip(plan, versions, strict=True):
        session.refresh(one.booking)
        if one.booking.version != version:
            raise Stale(version=one.booking.version)


def carry_out(session: Session, *, actor: Actor, plan: Sequence[Proposal], closed: Slot, now: datetime) -> None:
    """Each step of a plan for `closed` time; what was left is offered to who waits once all of them have their place.

    Of a series' bookings that end people hear in one message.
    Raises: NotFound, NotAllowed, Invalid (a step that does not go with its booking), SlotRefused, WrongState.
    """
    left = [(one.booking.resource_id, one.booking.slot) for one in plan if one.step is not Step.KEEP]
    ending = Counter(one.booking.series_id for one in plan if one.step is Step.CANCEL)
    ended = defaultdict[str, list[Booking]](list)
    for number, one in enumerate(plan):
        if one.step is Step.CANCEL:
            series_id = one.booking.series_id if ending[one.booking.series_id] > 1 else None
            told = Told.TOGETHER if series_id else Told.ALONE
            row, _ = checkout.give_up(session, actor, one.booking.id, now, CancelledBy.PROVIDER, told=told)
            if series_id:
                ended[series_id].append(row)
        elif one.step is Step.MOVE and _goes_elsewhere(session, actor, one):
            _substitute(session, actor, one, number, now)
        elif one.step is not Step.KEEP:
            _check_step(one, number, closed)
            booking = actions.move(
                session,
                booking_id=one.booking.id,
                slot=one.slot or one.booking.slot,
                version=one.booking.version,
                resource_id=one.resource_id,
                actor_id=actor.known_id,
                now=now,
            )
            quotes.requote_booking(session, booking=booking, now=now)
    for series_id, rows in ended.items():
        series.cancelled(session, get_series(session, series_id), rows, now)
    for left_place, slot in left:
        offers.offer_freed(session, resource_id=left_place, freed=slot, now=now)


def end_outage(session: Session, *, outage_id: str, end: datetime | None, actor_id: str, now: datetime) -> Outage:
    """Let it end before its time, now where no `end` is given; what that frees is offered to who waits.

    Raises: NotFound, Invalid, WrongState.
    """
    row, freed = ending.end_outage(session, outage_id=outage_id, end=end, actor_id=actor_id, now=now)
    offers.offer_freed(session, resource_id=row.resource_id, freed=freed, now=now)
    return row


def withdraw_outage(session: Session, *, outage_id: str, actor_id: str, now: datetime) -> None:
    """Take back one that has not begun; its time is offered to who waits. Raises: NotFound, WrongState."""
    resource_id, freed = ending.withdraw_outage(session, outage_id=outage_id, actor_id=actor_id, now=now)
    offers.offer_freed(session, resource_id=resource_id, freed=freed, now=now)


def get_own(session: Session, actor: Actor, outage_id: str) -> Outage:
    """Of a machine or operator whose outages the actor may change.

    Raises: NotFound (also for whoever may not know of it, or of the outages of the house), NotAllowed.
    """
    row = get_outage(session, outage_id)
    house = catalogue.get_resource(session, row.resource_id).institution_id
    if house not in actor.institutions() and not actor.is_operator:
        raise NotFound(kind="outage")
    require(actor, Action.MANAGE_OUTAGES, institution_id=house)
    return row


def _goes_elsewhere(session: Session, actor: Actor, one: Proposal) -> bool:
    """Raises: NotFound (also for what the actor may not know of)."""
    house = catalogue.get_visible(session, actor, one.resource_id).institution_id if one.resource_id else None
    return house is not None and house != one.booking.institution_id


def _substitute(session: Session, actor: Actor, one: Proposal, number: int, now: datetime) -> None:
    """End the booking free of charge, and book the same time at another institution in its place, by that one's rules and policy.

    Its person gets one message of both. Why that one does not take it is not told: it is not the actor's house.
    Raises: NotFound, NotAllowed, Invalid, WrongState.
    """
    old, there, offers = one.booking, one.resource_id or "", Offers()
    require(actor, Action.DECIDE_BOOKINGS, institution_id=old.institution_id)
    own = catalogue.get_resource(session, old.resource_id)
    fits = one.slot in (None, old.slot) and like(session, own, elsewhere=True, only=there)
    if not fits or not _suits(session, offers, old, there):
        raise Invalid(field=f"plan.{number}.resource_id", reason="is not alike, costs more, or has other terms than were agreed")
    [offer] = offers.values()
    checkout.give_up(session, actor, old.id, now, CancelledBy.PROVIDER, told=Told.TOGETHER)
    wish = replace(wish_of(old, resource_id=there), category=checkout.category_of(offer, old.purpose))
    place, who = get_place(session, there), actor.known_id
    try:
        made = actions.take(
            session,
            place=place,
            wish=wish,
            hold_until=None,
            bundle_id=old.bundle_id,
            seek=False,
            instead_of=old,
            actor_id=who,
            now=now,
        )
    except SlotRefused as refused:
        raise Invalid(field=f"plan.{number}.resource_id", reason="does not take this booking") from refused
    quotes.quote_booking(session, booking=made, organisation=offer.buyer, payment_method=None, offer=offer, now=now)


def _check_step(one: Proposal, number: int, outage: Slot) -> None:
    """A provider shifts out of the outage and moves within its house, for as long as was booked. Raises: Invalid."""
    slot, length = one.slot or one.booking.slot, one.booking.slot.duration
    if slot.duration != length:
        raise Invalid(field=f"plan.{number}.end", reason="is not as long as the booking")
    if one.resource_id in (None, one.booking.resource_id) and slot.overlaps(outage):
        raise Invalid(field=f"plan.{number}.start", reason="lies in the outage")
