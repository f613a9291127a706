"""Takes a resource out of use, and carries out what was approved for the bookings that it meets."""

from collections import Counter
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
from booking.outages import ending, plans, telling
from booking.outages.plans import Proposal, Step, wish_of
from booking.outages.queries import get_outage
from booking.outages.substitutes import at_home, like
from booking.outages.telling import Replanned
from booking.places import get_place, load_places, lock_places
from booking.states import BookingState
from booking.tables import Booking, Outage
from booking.telling import Told
from booking.waiting import offers
from marketplace.catalogue import queries as catalogue
from marketplace.permissions import Action, Actor, may, require
from marketplace.refusals import Invalid, NotFound, Reason, Refused, Stale
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
    Raises: NotFound, Invalid (a step that does not go with its booking), Stale, PlanRefused, WrongState.
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
    carry_out(session, actor=actor, plan=plan, closing=Closing(outage.slot, outage.reason, outage.slot), now=now)
    return made


def lock_planned(session: Session, resource_id: str, plan: Sequence[Proposal]) -> None:
    """Lock all that a plan touches, at once. Raises: Stale (a booking has changed since it was read)."""
    met, versions = {one.booking.resource_id for one in plan}, [one.booking.version for one in plan]
    lock_places(session, {resource_id, *met, *(one.resource_id for one in plan if one.resource_id)})
    for one, version in zip(plan, versions, strict=True):
        session.refresh(one.booking)
        if one.booking.version != version:
            raise Stale(version=one.booking.version)


@dataclass(frozen=True, slots=True)
class Closing:
    """Time that is closed, why, and when customers are told that it is: None for good."""

    slot: Slot
    reason: str
    told: Slot | None


class PlanRefused(Refused):
    """A step that the rules or others' time do not let a booking take, each reason naming it as `plan.{n}`."""

    code = "plan_refused"

    def __init__(self, number: int, booking: Booking, refused: SlotRefused) -> None:
        field = f"plan.{number}"
        named = {"field": field, "booking_id": booking.id}
        reasons = [Reason(one.code, {**one.values, **named}, one.override_by) for one in refused.reasons]
        super().__init__(reasons, refused.conflicts, refused.alternatives)
        self.values, self.booking = {**self.values, **named}, booking


def carry_out(session: Session, *, actor: Actor, plan: Sequence[Proposal], closing: Closing, now: datetime) -> None:
    """Each step of a plan for closed time; what was left is offered to who waits once all of them have their place.

    A person of whose bookings several are met hears of all of them in one message. Of the rules that a booking breaks where it
    stands none forbids a step within the house (booking.outages.plans.broken): they are set aside on record.
    Raises: NotFound, NotAllowed, Invalid (a step that does not go with its booking), PlanRefused, WrongState.
    """
    steps = [(number, one) for number, one in enumerate(plan) if one.step is not Step.KEEP]
    left = [(one.booking.resource_id, one.booking.slot) for _, one in steps]
    met = Counter(one.booking.person_id for _, one in steps)
    several = {person_id for person_id, count in met.items() if count > 1}
    places = load_places(session, {one.booking.resource_id for _, one in steps})
    broken = [plans.broken(session, places[one.booking.resource_id], one.booking, now=now) for _, one in steps]
    together = list[Replanned]()
    for (number, one), codes in zip(steps, broken, strict=True):
        told = Told.MANAGERS if one.booking.person_id in several else Told.ALONE
        found = _carry_out(session, actor, one, number, closing, codes, told, now)
        together += [found] if told is Told.MANAGERS else []
    telling.replanned(session, together, closed=closing.told, now=now)
    for left_place, slot in left:
        offers.offer_freed(session, resource_id=left_place, freed=slot, now=now)


def _carry_out(
    session: Session,
    actor: Actor,
    one: Proposal,
    number: int,
    closing: Closing,
    codes: frozenset[str],
    told: Told,
    now: datetime,
) -> Replanned:
    """One step; `codes` are the rules that do not count for it."""
    was, left = one.booking.slot, one.booking.resource_id
    if one.step is Step.CANCEL:
        row, _ = checkout.give_up(session, actor, one.booking.id, now, CancelledBy.PROVIDER, told=told)
        return Replanned(row, was, left)
    if one.step is Step.MOVE and _goes_elsewhere(session, actor, one):
        return Replanned(_substitute(session, actor, one, number, told, now), was, left, instead_of=one.booking)
    _check_step(one, number, closing.slot)
    try:
        booking = actions.move(
            session,
            booking_id=one.booking.id,
            slot=one.slot or was,
            version=one.booking.version,
            resource_id=one.resource_id,
            actor_id=actor.known_id,
            override=closing.reason if codes else None,
            only=codes,
            told=told,
            now=now,
        )
    except SlotRefused as refused:
        raise PlanRefused(number, one.booking, refused) from refused
    quotes.requote_booking(session, booking=booking, now=now)
    return Replanned(booking, was, left)


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


def _substitute(session: Session, actor: Actor, one: Proposal, number: int, told: Told, now: datetime) -> Booking:
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
            told=told,
            now=now,
        )
    except SlotRefused as refused:
        raise Invalid(field=f"plan.{number}.resource_id", reason="does not take this booking") from refused
    quotes.quote_booking(session, booking=made, organisation=offer.buyer, payment_method=None, offer=offer, now=now)
    return made


def _check_step(one: Proposal, number: int, outage: Slot) -> None:
    """A provider shifts out of the outage and moves within its house, for as long as was booked. Raises: Invalid."""
    slot, length = one.slot or one.booking.slot, one.booking.slot.duration
    if slot.duration != length:
        raise Invalid(field=f"plan.{number}.end", reason="is not as long as the booking")
    if one.resource_id in (None, one.booking.resource_id) and slot.overlaps(outage):
        raise Invalid(field=f"plan.{number}.start", reason="lies in the outage")
