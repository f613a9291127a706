"""Offers time that became free to the first in line whose wish would be granted now. The rows of the places are locked."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from booking import queries
from booking.admission import Units, Wish, decide, ways_within
from booking.outages import actions as outages
from booking.places import Place, load_places, lock_place
from booking.tables import Claim, ClaimKind
from booking.waiting import queries as lines
from booking.waiting.line import Turn, WaitingState, after, last_call, offer_until
from booking.waiting.tables import WaitingEntry
from marketplace import audit, outbox
from marketplace.ids import new_id
from marketplace.people import queries as people
from marketplace.refusals import NotFound
from marketplace.slot import Slot
from marketplace.tables import Resource


def offer_freed(session: Session, *, resource_id: str, freed: Slot, now: datetime) -> None:
    """Offer what became free around `freed`, in the transaction that freed it and so before anybody else can have it.

    Whoever waits for a resource of which this is a part is looked at by the worker next: its other parts are not locked.
    """
    place = lock_place(session, resource_id)
    near = freed.widen(place.rules.buffers.setup, place.rules.buffers.cleaning)
    offer_within(session, resource_ids=place.claimed, within=near, now=now)
    above = _above(session, resource_id)
    if above:
        waits = (WaitingEntry.resource_id.in_(above), WaitingEntry.state == WaitingState.WAITING)
        session.execute(update(WaitingEntry).where(*waits).values(looked_at=WaitingEntry.joined_at))


def _above(session: Session, resource_id: str) -> Sequence[str]:
    """The resources that this one is a part of."""
    tree = select(Resource.parent_id.label("id")).where(Resource.id == resource_id).cte("above", recursive=True)
    tree = tree.union(select(Resource.parent_id).join(tree, Resource.id == tree.c.id))
    return session.scalars(select(tree.c.id).where(tree.c.id.is_not(None))).all()


def offer_within(session: Session, *, resource_ids: Sequence[str], within: Slot | None, now: datetime) -> None:
    """Go down the lines in order of joining and make every offer that can be made; who is not granted stays where they are."""
    waiting = lines.waiting_for(session, resource_ids, within=within)
    places = load_places(session, {entry.resource_id for entry in waiting})
    for entry in waiting:
        place = places[entry.resource_id]
        entry.looked_at = now
        if last_call(entry.window, entry.length, place.rules) <= now:
            turn(session, entry, Turn.END, now)
            entry.ended_at = now
        elif found := _grant(session, place, entry, now):
            _offer(session, place, entry, *found, now)
    session.flush()


def wish_of(entry: WaitingEntry, slot: Slot) -> Wish:
    return Wish(entry.resource_id, slot, entry.person_id, entry.organisation_id, entry.category, entry.quantity, entry.purpose)


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
        for lane, span in enumerate(place.rules.buffers.spans(slot))
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
        release(session, entry)
        entry.offer_starts_at = entry.offer_ends_at = entry.offered_at = entry.offered_until = None
    session.flush()


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
