"""Reads of requests that came to nothing: turned away by the rules, declined, withdrawn, unanswered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ColumnElement, and_, case, cast, literal, null, or_, select, union_all
from sqlalchemy.orm import Session

from booking.requests.tables import RequestEnd
from booking.states import BookingState
from booking.tables import Booking, RefusedRequest
from marketplace.slot import Slot
from marketplace.tables import Resource


@dataclass(frozen=True, slots=True)
class LostRequest:
    """A request that came to nothing.

    `outcome`: turned_away (by the rules, at once), declined (by the publisher), withdrawn, unanswered. `codes` are the rules
    that turned it away, or the publisher's grounds; `reason` is what a person said. Times are UTC.
    """

    id: str
    resource_id: str
    slot: Slot
    organisation_id: str | None
    person_id: str | None
    outcome: str
    codes: Sequence[str]
    reason: str | None
    submitted_at: datetime
    ended_at: datetime | None


def lost_requests_of(session: Session, resource_id: str, *, limit: int, offset: int = 0) -> list[LostRequest]:
    """Of one resource, newest first."""
    return _lost_requests(session, resource_id, None, limit, offset)


def lost_requests_in(session: Session, institution_id: str, *, limit: int, offset: int = 0) -> list[LostRequest]:
    """Of all resources of an institution, newest first."""
    return _lost_requests(session, None, institution_id, limit, offset)


def _lost_requests(
    session: Session, resource_id: str | None, institution_id: str | None, limit: int, offset: int
) -> list[LostRequest]:
    asked = union_all(_from_bookings(resource_id, institution_id), _from_refusals(resource_id, institution_id)).subquery()
    newest = select(asked).order_by(asked.c.submitted_at.desc(), asked.c.id.desc()).limit(limit).offset(offset)
    return [_lost(row) for row in session.execute(newest).mappings()]


def end_of(session: Session, booking_id: str) -> RequestEnd | None:
    """Why the request came to nothing, if someone ended it."""
    return session.get(RequestEnd, booking_id)


def _from_bookings(resource_id: str | None, institution_id: str | None) -> Any:
    never_stood = and_(Booking.decided_at.is_(None), Booking.hold_until.is_(None))
    outcome = case(
        (Booking.state == BookingState.REFUSED, "declined"),
        (Booking.state == BookingState.CANCELLED, "withdrawn"),
        else_="unanswered",
    )
    lost = or_(
        Booking.state == BookingState.REFUSED,
        and_(Booking.state.in_([BookingState.CANCELLED, BookingState.EXPIRED]), never_stood),
    )
    found = (
        select(
            Booking.id.label("id"),
            Booking.resource_id.label("resource_id"),
            Booking.starts_at.label("starts_at"),
            Booking.ends_at.label("ends_at"),
            Booking.organisation_id.label("organisation_id"),
            Booking.person_id.label("person_id"),
            outcome.label("outcome"),
            cast(RequestEnd.grounds, RefusedRequest.outcome.type).label("grounds"),
            cast(null(), JSON).label("reasons"),
            RequestEnd.reason.label("reason"),
            Booking.submitted_at.label("submitted_at"),
            RequestEnd.ended_at.label("ended_at"),
        )
        .outerjoin(RequestEnd, RequestEnd.booking_id == Booking.id)
        .where(lost)
    )
    return found.where(_of(Booking.resource_id, resource_id, institution_id))


def _from_refusals(resource_id: str | None, institution_id: str | None) -> Any:
    found = select(
        RefusedRequest.id,
        RefusedRequest.resource_id,
        RefusedRequest.starts_at,
        RefusedRequest.ends_at,
        RefusedRequest.organisation_id,
        RefusedRequest.person_id,
        literal("turned_away"),
        cast(null(), RefusedRequest.outcome.type),
        RefusedRequest.reasons,
        cast(null(), RequestEnd.reason.type),
        RefusedRequest.submitted_at,
        RefusedRequest.submitted_at,
    )
    return found.where(_of(RefusedRequest.resource_id, resource_id, institution_id))


def _of(column: Any, resource_id: str | None, institution_id: str | None) -> ColumnElement[bool]:
    if resource_id is not None:
        return column == resource_id  # type: ignore[no-any-return]
    return column.in_(select(Resource.id).where(Resource.institution_id == institution_id))  # type: ignore[no-any-return]


def _lost(row: Any) -> LostRequest:
    codes = row["reasons"]["codes"] if row["reasons"] else [row["grounds"]] if row["grounds"] else []
    return LostRequest(
        id=row["id"],
        resource_id=row["resource_id"],
        slot=Slot(row["starts_at"], row["ends_at"]),
        organisation_id=row["organisation_id"],
        person_id=row["person_id"],
        outcome=row["outcome"],
        codes=codes,
        reason=row["reason"],
        submitted_at=row["submitted_at"],
        ended_at=row["ended_at"],
    )
