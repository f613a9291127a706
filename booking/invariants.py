"""What must always hold of bookings and the ledger, worked out again from what is stored. Used by `pilotbench audit`."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, aliased

from booking.places import Place, load_places
from booking.ratings.tables import Rating
from booking.states import HOLDING, BookingState
from booking.tables import Booking, Claim, MovedOccurrence

MOST = 100
"""Sentences about one invariant."""
GIVEN_BACK = (BookingState.CANCELLED, BookingState.EXPIRED, BookingState.REFUSED)
AT_ONCE = 500
"""Resources whose rules and parts are read together."""


def violations(session: Session, *, since: datetime | None = None) -> list[str]:
    """Each broken invariant and what breaks it.

    Stations are asked for of uses that end after `since` only: one that has joined its line later has no part in what was before.
    """
    return [*_overlaps(session), *_still_held(session), *_uncovered(session), *_missing(session, since), *_strays(session)]


def _overlaps(session: Session) -> Sequence[str]:
    """Active claims that share a unit, a lane and an instant."""
    other = aliased(Claim)
    pairs = select(Claim.id, other.id).join(
        other,
        (Claim.resource_id == other.resource_id)
        & (Claim.unit == other.unit)
        & (Claim.lane == other.lane)
        & (Claim.id < other.id)
        & (Claim.starts_at < other.ends_at)
        & (other.starts_at < Claim.ends_at),
    )
    rows = session.execute(pairs.where(Claim.active, other.active).limit(MOST))
    return [f"claims {one} and {two} overlap" for one, two in rows]


def _still_held(session: Session) -> Sequence[str]:
    rows = session.execute(
        select(Booking.id, Booking.state).where(
            Booking.state.in_(GIVEN_BACK), Booking.id.in_(select(Claim.booking_id).where(Claim.active))
        )
    )
    return [f"booking {key} is {state.value} and still holds units" for key, state in rows.fetchmany(MOST)]


def _uncovered(session: Session) -> Sequence[str]:
    short = or_(Claim.starts_at > Booking.starts_at, Claim.ends_at < Booking.ends_at)
    rows = session.execute(
        select(Booking.id, Claim.id)
        .join(Claim, Claim.booking_id == Booking.id)
        .where(Claim.active, Booking.state.in_(HOLDING), short)
        .limit(MOST)
    )
    return [f"claim {claim} does not cover the use of booking {key}" for key, claim in rows]


def _missing(session: Session, since: datetime | None) -> list[str]:
    """Bookings that hold another number of units than they say, or not what they take along of stations and shared parts."""
    booked = session.scalars(select(Booking.resource_id).where(Booking.state.in_(HOLDING)).distinct()).all()
    found: list[str] = []
    for first in range(0, len(booked), AT_ONCE):
        for place in load_places(session, booked[first : first + AT_ONCE]).values():
            found += _missing_of(session, place, since)
    return found[:MOST]


def _missing_of(session: Session, place: Place, since: datetime | None) -> Iterator[str]:
    held: dict[str, dict[str, int]] = defaultdict(dict)
    units = func.count(func.distinct(Claim.unit))
    rows = session.execute(
        select(Booking.id, Claim.resource_id, units)
        .join(Claim, Claim.booking_id == Booking.id)
        .where(Booking.resource_id == place.resource_id, Booking.state.in_(HOLDING), Claim.active)
        .group_by(Booking.id, Claim.resource_id)
    )
    for key, resource_id, count in rows:
        held[key][resource_id] = count
    parts = {part.resource_id: part.needed for part in place.parts}
    standing = select(Booking.id, Booking.quantity, Booking.ends_at)
    mine = standing.where(Booking.resource_id == place.resource_id, Booking.state.in_(HOLDING))
    for key, quantity, end in session.execute(mine):
        taken_along = parts if since is None or end > since else {}
        for resource_id, wanted in {place.resource_id: quantity, **taken_along}.items():
            if (count := held[key].get(resource_id, 0)) != wanted:
                yield f"booking {key} holds {count} of {wanted} units of {resource_id}"


def _strays(session: Session) -> Sequence[str]:
    """Occurrences that were moved out of another series than theirs, and ratings of what was not fulfilled."""
    elsewhere = select(MovedOccurrence.booking_id).join(Booking, Booking.id == MovedOccurrence.booking_id)
    moved = session.scalars(elsewhere.where(MovedOccurrence.series_id.is_distinct_from(Booking.series_id)).limit(MOST))
    unfulfilled = select(Rating.booking_id).join(Booking, Booking.id == Rating.booking_id)
    rated = session.scalars(unfulfilled.where(Booking.state != BookingState.COMPLETED).limit(MOST))
    return [
        *(f"booking {key} is moved out of a series that is not its own" for key in moved),
        *(f"booking {key} is rated and was not fulfilled" for key in rated),
    ]
