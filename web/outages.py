"""Takes a resource out of use, and carries out what was approved for the bookings that it meets."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from billing.quotes import actions as quotes
from booking import actions
from booking.actions import CancelledBy
from booking.outages import actions as outages
from booking.outages.plans import Proposal, Step
from booking.places import lock_places
from booking.tables import Outage
from booking.waiting import offers
from marketplace.catalogue import queries as catalogue
from marketplace.permissions import Actor
from marketplace.refusals import Invalid
from marketplace.slot import Slot
from web import checkout


@dataclass(frozen=True, slots=True)
class PlannedOutage:
    """When a resource cannot be used, whether that was planned, and why."""

    slot: Slot
    planned: bool
    reason: str


def record_outage(
    session: Session, *, actor: Actor, resource_id: str, outage: PlannedOutage, plan: Sequence[Proposal], now: datetime
) -> Outage:
    """Take a resource out of use and carry out what was approved for the bookings it meets, in one transaction.

    What they leave is offered to who waits once all of them have their place; offers in the outage's time are taken back.
    Raises: NotFound, Invalid (a step that does not go with its booking), Stale, SlotRefused, WrongState.
    """
    met = {one.booking.resource_id for one in plan}
    lock_places(session, {resource_id, *met, *(one.resource_id for one in plan if one.resource_id)})
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
    left = [(one.booking.resource_id, one.booking.slot) for one in plan if one.step is not Step.KEEP]
    for number, one in enumerate(plan):
        if one.step is Step.CANCEL:
            checkout.give_up(session, actor, one.booking.id, now, CancelledBy.PROVIDER)
        elif one.step is not Step.KEEP:
            _check_step(session, one, number, outage.slot)
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
    for left_place, slot in left:
        offers.offer_freed(session, resource_id=left_place, freed=slot, now=now)
    return made


def _check_step(session: Session, one: Proposal, number: int, outage: Slot) -> None:
    """A provider shifts out of the outage and moves within its house, for as long as was booked. Raises: Invalid."""
    slot, length = one.slot or one.booking.slot, one.booking.slot.duration
    if slot.duration != length:
        raise Invalid(field=f"plan.{number}.end", reason="is not as long as the booking")
    if one.step is Step.SHIFT and slot.overlaps(outage):
        raise Invalid(field=f"plan.{number}.start", reason="lies in the outage")
    if one.resource_id:
        house = catalogue.get_resource(session, one.resource_id).institution_id
        if house != one.booking.institution_id:
            raise Invalid(field=f"plan.{number}.resource_id", reason="belongs to another institution")
