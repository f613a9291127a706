"""Reads for pages that draw many bookings at once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, case, func, or_, select
from sqlalchemy.orm import Session

from booking.states import BookingState
from booking.tables import Booking, Claim, ClaimKind, Outage
from marketplace.permissions import Actor
from marketplace.slot import Slot

MOST_DRAWN = 2000
"""Bookings, claims or outages that one page draws."""


@dataclass(frozen=True, slots=True)
class Held:
    """A stretch of one resource that an active claim takes, whichever unit and lane: with whose and what for."""

    resource_id: str
    booking_id: str | None
    slot: Slot
    kind: str


def bookings_on(
    session: Session, resource_ids: Collection[str], *, within: Slot, states: Collection[BookingState]
) -> Sequence[Booking]:
    """Bookings of these resources in one of `states` that touch `within`, in order."""
    return session.scalars(
        select(Booking)
        .where(Booking.resource_id.in_(resource_ids), Booking.state.in_(states))
        .where(Booking.starts_at < within.end, Booking.ends_at > within.start)
        .order_by(Booking.starts_at, Booking.id)
        .limit(MOST_DRAWN)
    ).all()


def held_on(session: Session, resource_ids: Collection[str], *, within: Slot) -> list[Held]:
    """What active claims take of these resources inside `within`, each stretch once."""
    rows = session.execute(
        select(Claim.resource_id, Claim.booking_id, Claim.starts_at, Claim.ends_at, Claim.kind)
        .where(Claim.active, Claim.resource_id.in_(resource_ids))
        .where(Claim.starts_at < within.end, Claim.ends_at > within.start)
        .distinct()
        .order_by(Claim.starts_at)
        .limit(MOST_DRAWN)
    )
    return [Held(place, owner, Slot(start, end), kind.value) for place, owner, start, end, kind in rows]


def outages_on(session: Session, resource_ids: Collection[str], *, within: Slot) -> Sequence[Outage]:
    return session.scalars(
        select(Outage)
        .where(Outage.resource_id.in_(resource_ids), Outage.starts_at < within.end, Outage.ends_at > within.start)
        .order_by(Outage.starts_at)
        .limit(MOST_DRAWN)
    ).all()


def marks_of(session: Session, resource_ids: Collection[str]) -> dict[str, tuple[int, int, str]]:
    """Of each resource something that changes with every booking, cancellation, move and answer: how many active claims, how
    many of them of requests, and the newest one's id."""
    asks = func.sum(case((Claim.kind == ClaimKind.REQUEST, 1), else_=0))
    rows = session.execute(
        select(Claim.resource_id, func.count(), asks, func.max(Claim.id))
        .where(Claim.active, Claim.resource_id.in_(resource_ids))
        .group_by(Claim.resource_id)
    )
    return {place: (count, int(asking), newest) for place, count, asking, newest in rows}


def waiting_requests(session: Session, institution_ids: Collection[str], *, limit: int) -> Sequence[Booking]:
    """Requests that nobody has answered, the soonest deadline first: the publisher's own, else the start."""
    return session.scalars(
        select(Booking)
        .where(Booking.institution_id.in_(institution_ids), Booking.state == BookingState.REQUESTED)
        .order_by(deadline(), Booking.id)
        .limit(limit)
    ).all()


def deadline() -> ColumnElement[datetime]:
    """When a request is over that nobody answers."""
    return func.coalesce(Booking.decide_by, Booking.starts_at)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of one's bookings: in any of `states` (all where none is named), of one organisation, in a stretch of time, over."""

    states: frozenset[BookingState] = frozenset()
    organisation_id: str | None = None
    within: Slot | None = None
    over_by: datetime | None = None


def own_bookings(
    session: Session, actor: Actor, wanted: Wanted, *, after: str | None = None, limit: int = MOST_DRAWN
) -> Sequence[Booking]:
    """The actor's own and their organisations'; newest first, `after` being the last id of the page before.

    Those inside a stretch of time come in its order.
    """
    mine = select(Booking).where(
        or_(Booking.person_id == actor.person_id, Booking.organisation_id.in_(actor.organisations)), *_conditions(wanted)
    )
    if after:
        mine = mine.where(Booking.id < after)
    order = (Booking.starts_at, Booking.id) if wanted.within else (Booking.id.desc(),)
    return session.scalars(mine.order_by(*order).limit(limit)).all()


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.states:
        found.append(Booking.state.in_(wanted.states))
    if wanted.organisation_id is not None:
        found.append(Booking.organisation_id == wanted.organisation_id)
    if wanted.within:
        found += [Booking.starts_at < wanted.within.end, Booking.ends_at > wanted.within.start]
    if wanted.over_by:
        found.append(Booking.ends_at <= wanted.over_by)
    return found
