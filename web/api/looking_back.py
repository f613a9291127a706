"""What is said afterwards, over JSON: ratings of uses, and the requests that came to nothing."""

from typing import Any

from fastapi import APIRouter
from sqlalchemy.orm import Session

from booking import queries
from booking.ratings import queries as ratings
from booking.ratings.tables import Rating
from booking.requests import queries as requests
from booking.requests.queries import LostRequest
from marketplace.catalogue import queries as catalogue
from marketplace.permissions import Action, Actor, require
from marketplace.refusals import NotFound
from web import afterwards
from web.api import shapes
from web.deps import AnyActor, Db, Now, ReadDb, SignedIn

router = APIRouter(prefix="/api/v1", tags=["booking"])


def rating_shape(row: Rating) -> dict[str, Any]:
    return {
        "booking_id": row.booking_id,
        "stars": row.stars,
        "comment": row.comment,
        "rated_at": shapes.instant(row.rated_at),
        "edited_at": shapes.instant(row.edited_at),
    }


@router.put("/bookings/{booking_id}/rating", response_model=None)
def rate(booking_id: str, body: shapes.RatingIn, db: Db, actor: SignedIn, now: Now) -> dict[str, Any]:
    """Once for each fulfilled use; said again within 14 days it replaces the first word."""
    made = afterwards.rate(db, actor=actor, booking_id=booking_id, stars=body.stars, comment=body.comment, now=now)
    return rating_shape(made)


@router.get("/bookings/{booking_id}/rating")
def rating(booking_id: str, db: ReadDb, actor: SignedIn) -> dict[str, Any]:
    queries.get_booking_for(db, actor, booking_id)
    if found := ratings.find_rating(db, booking_id):
        return rating_shape(found)
    raise NotFound(kind="rating")


@router.get("/resources/{resource_id}/rating")
def standing(resource_id: str, db: ReadDb, actor: AnyActor) -> dict[str, Any]:
    """The average to one place and how many there are."""
    catalogue.get_visible(db, actor, resource_id)
    found = ratings.standings(db, [resource_id]).get(resource_id)
    return {"average": str(found.average) if found else None, "count": found.count if found else 0}


@router.get("/resources/{resource_id}/ratings")
def ratings_of(resource_id: str, db: ReadDb, actor: SignedIn, page: shapes.Page) -> dict[str, Any]:
    """With their texts, for the publisher."""
    _staff_of(db, actor, resource_id)
    return page.listed(ratings.ratings_of(db, resource_id, **page.asked), rating_shape)


@router.get("/resources/{resource_id}/requests")
def requests_of(resource_id: str, db: ReadDb, actor: SignedIn, page: shapes.Page) -> dict[str, Any]:
    """That came to nothing: turned away by the rules, declined, withdrawn, unanswered; newest first."""
    _staff_of(db, actor, resource_id)
    return page.listed(requests.lost_requests_of(db, resource_id, **page.asked), lost_shape)


@router.get("/institutions/{institution_id}/requests")
def requests_of_institution(institution_id: str, db: ReadDb, actor: SignedIn, page: shapes.Page) -> dict[str, Any]:
    """The same of all its resources."""
    if institution_id not in actor.institutions() and not actor.is_operator:
        raise NotFound(kind="institution")
    require(actor, Action.REVIEW_USE, institution_id=institution_id)
    return page.listed(requests.lost_requests_in(db, institution_id, **page.asked), lost_shape)


def _staff_of(db: Session, actor: Actor, resource_id: str) -> None:
    """Raises: NotFound, NotAllowed."""
    row = catalogue.get_visible(db, actor, resource_id)
    require(actor, Action.REVIEW_USE, institution_id=row.institution_id)


def lost_shape(row: LostRequest) -> dict[str, Any]:
    return {
        "id": row.id,
        "resource_id": row.resource_id,
        **shapes.slot(row.slot),
        "organisation_id": row.organisation_id,
        "outcome": row.outcome,
        "codes": list(row.codes),
        "reason": row.reason,
        "submitted_at": shapes.instant(row.submitted_at),
        "ended_at": shapes.instant(row.ended_at),
    }
