"""Offers time that became free to the first in line whose wish would be granted now. The rows of the places are locked."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, insert, or_, select, update
from sqlalchemy.orm import Session

from booking import queries
from booking.admission import SlotRefused, Units, Wish, decide, ways_within
from booking.outages import actions as outages
from booking.places import Place, load_places, lock_place
from booking.pools import actions as pools
from booking.tables import Claim, ClaimKind, SharedPart
from booking.waiting import queries as lines
from booking.waiting.line import Turn, WaitingState, after, last_call, offer_until
from booking.waiting.tables import WaitingEntry
from booking.writing import spans_of
from marketplace import audit, outbox
from marketplace.ids import is_operator, new_id
from marketplace.people import queries as people
from marketplace.refusals import NotFound, Reason
from marketplace.slot import Slot
from marketplace.tables import Resource


def offer_freed(session: Session, *, resource_id: str, freed: Slot, now: datetime) -> None:
    """Offer what became free around `freed`, in the transaction that freed it and so before anybody else can have it.

    Whoever waits for a resource that takes along more than is locked here, a line above this station for one, or time of
    the same operators, is looked at by the worker next.
    """
    place = lock_place(session, resource_id)
    near = freed.widen(place.rules.buffers.setup, place.rules.buffers.cleaning)
    offer_within(session, resource_ids=place.claimed, locked=place.claimed, within=near, now=now)
    if above := _above(session, place):
        _look_next(session, WaitingEntry.resource_id.in_(above))
    if place.attendants or is_operator(resource_id):
        _look_next(session, WaitingEntry.institution_id == place.institution_id)


def _look_next(session: Session, waits: ColumnElement[bool]) -> None:
    open_ones = update(WaitingEntry).where(waits, WaitingEntry.state == WaitingState.WAITING)
    session.execute(open_ones.values(looked_at=WaitingEntry.joined_at))


def _above(session: Session, place: Place) -> Sequence[str]:
    """The resources that this one is a part of, and those that share a part with it."""
    sharers = select(SharedPart.resource_id).where(SharedPart.part_id.in_(place.claimed))
    tree = select(Resource.id).where(or_(Resource.id.in_(place.claimed), Resource.id.in_(sharers))).cte("above", recursive=True)
    tree = tree.union(select(Resource.parent_id).join(tree, Resource.id == tree.c.id))
    return session.scalars(select(tree.c.id).where(tree.c.id.is_not(None), tree.c.id.not_in(place.claimed))).all()


def offer_within(
    session: Session, *, resource_ids: Sequence[str], locked: Collection[str], within: Slot | None, now: datetime
) -> None:
    """Go down the lines in order of joining and make every offer that can be made; who is not granted stays where they are.

    So does who waits for something that takes along what is not `locked`.
    """
    waiting = lines.waiting_for(session, resource_ids, within=within)
    places = load_places(session, {entry.resource_id for entry in waiting})
    for entry in waiting:
        place = places[entry.resource_id]
        if not set(place.claimed) <= set(locked):
            entry.looked_at = entry.joined_at
            continue
        entry.looked_at = now
        if last_call(entry.window, entry.length, place.rules) <= now:
            turn(session, entry, Turn.END, now)
            entry.ended_at = now
        elif found := _grant(session, place, entry, now):
            _offer(session, place, entry, *found, now)
    session.flush()


def wish_of(entry: WaitingEntry, slot: Slot) -> Wish:
    return Wish(
        entry.resource_id,
        slot,
        entry.person_id,
        entry.organisation_id,
        entry.category,
        entry.quantity,
        entry.purpose,
        assisted=entry.assisted,
    )


def _grant(session: Session, place: Place, entry: WaitingEntry, now: datetime) -> tuple[Slot, Units, datetime] | None:
    """The slot, its units and the end of the offer, where the wish would be granted with its buffers towards everybody."""
    strict = replace(place, rules=replace(place.rules, waive_own_buffers=False))
    for slot in candidates(session, place, entry, now):
        until = offer_until(slot, place.rules, now)
        claims = queries.taken(session, place.claimed, within=slot)
        found = decide(session, strict, wish_of(entry, slot), claims, now=now)
        if until and not found.reasons and _may_book(session, entry):
            return slot, found.units, until
    return None


def _may_book(session: Session, entry: WaitingEntry) -> bool:
    """Whether the person still has an account, and books for the organisation or the house for which they wait."""
    try:
        actor = people.get_actor(session, entry.person_id)
    except NotFound:
        return False
    if entry.organisation_id is None:
        return entry.institution_id in actor.institutions()
    return actor.is_operator or entry.organisation_id in actor.organisations


def candidates(session: Session, place: Place, entry: WaitingEntry, now: datetime) -> Sequence[Slot]:
    """The wanted time itself, or the first slots of the wanted length that are free in the window."""
    if entry.length == entry.window.duration:
        return [entry.window]
    first = Slot(entry.starts_at, entry.starts_at + entry.length)
    return sorted(ways_within(session, place, wish_of(entry, first), entry.window, now=now))


def _offer(session: Session, place: Place, entry: WaitingEntry, slot: Slot, units: Units, until: datetime, now: datetime) -> None:
    if place.rules.pooled:
        taken = SlotRefused(wish_of(entry, slot), [Reason("slot_taken")], [slot], [])
        units = {**units, place.resource_id: pools.make_room(session, place, slot, entry.quantity, taken=taken)}
    session.execute(insert(Claim), _claim_rows(place, entry, slot, units))
    entry.offer_starts_at, entry.offer_ends_at = slot.start, slot.end
    entry.offered_at, entry.offered_until = now, until
    turn(session, entry, Turn.OFFER, now)
    tell(session, entry, "waiting_offered", now)


def _claim_rows(place: Place, entry: WaitingEntry, slot: Slot, units: Units) -> list[dict[str, Any]]:
    return [
        {
            "id": new_id("clm"),
            "institution_id": place.institution_id,
            "resource_id": resource_id,
            "unit": unit,
            "lane": lane,
            "starts_at": span.start,
            "ends_at": span.end,
            "kind": ClaimKind.OFFER,
            "waiting_id": entry.id,
            "active": True,
        }
        for resource_id, chosen in units.items()
        for unit in chosen
        for lane, span in enumerate(spans_of(resource_id, slot, place.rules.buffers))
    ]


def release(session: Session, entry: WaitingEntry) -> None:
    """Give the offered time back to the ledger; what an outage has spared of it is closed."""
    session.execute(update(Claim).where(Claim.waiting_id == entry.id, Claim.active).values(active=False))
    if entry.offer:
        outages.close_what_is_left(session, resource_id=entry.resource_id, around=entry.offer)


def recall(session: Session, *, resource_id: str, slot: Slot, now: datetime) -> None:
    """Take back the offers that an outage of `slot` would meet; those people keep their places in the line."""
    lock_place(session, resource_id)
    for entry in lines.offers_on(session, resource_id, within=slot):
        turn(session, entry, Turn.RECALL, now)
        tell(session, entry, "waiting_recalled", now)
        forget(session, entry)
    session.flush()


def forget(session: Session, entry: WaitingEntry) -> None:
    """Give the time back as if it had never been offered."""
    release(session, entry)
    entry.offer_starts_at = entry.offer_ends_at = entry.offered_at = entry.offered_until = None


def turn(session: Session, entry: WaitingEntry, step: Turn, now: datetime, actor_id: str | None = None) -> None:
    """Put the entry into its next state and record it. Raises: WrongState."""
    before = entry.state
    entry.state = after(before, step)
    session.flush()
    offered = {"start": entry.offer.start.isoformat(), "end": entry.offer.end.isoformat()} if entry.offer else {}
    audit.record(
        session,
        actor_id=actor_id,
        action=f"waiting_{step.value}",
        object_kind="waiting",
        object_id=entry.id,
        institution_id=entry.institution_id,
        before={"state": before.value},
        after={"state": entry.state.value, "resource": entry.resource_id, **offered},
        now=now,
    )


def tell(session: Session, entry: WaitingEntry, kind: str, now: datetime) -> None:
    """One message a person for each offer that is made, has lapsed or is taken back."""
    offer, until = entry.offer, entry.offered_until
    if offer is None or until is None or entry.offered_at is None:
        return
    data = {
        "waiting_id": entry.id,
        "resource_id": entry.resource_id,
        "start": offer.start.isoformat(),
        "end": offer.end.isoformat(),
        "until": until.isoformat(),
    }
    cause = f"{entry.id}:{kind}:{entry.offered_at.isoformat()}"
    outbox.queue(session, person_id=entry.person_id, kind=kind, data=data, cause=cause, now=now)


def tell_end(session: Session, entry: WaitingEntry, now: datetime) -> None:
    """What they wait for is not offered any more."""
    window = {"start": entry.starts_at.isoformat(), "end": entry.ends_at.isoformat()}
    data = {"waiting_id": entry.id, "resource_id": entry.resource_id, **window}
    outbox.queue(session, person_id=entry.person_id, kind="waiting_closed", data=data, cause=f"{entry.id}:closed", now=now)
