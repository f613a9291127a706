"""Operators over JSON: whose time assisted bookings claim, when they may stand by, and when they are away."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import Field

from booking import queries as booking
from booking.operators import actions, queries
from booking.operators.tables import Operator
from booking.outages.queries import outages_to_come
from booking.tables import Booking
from marketplace.people import queries as people
from marketplace.permissions import Action, Actor, require
from marketplace.refusals import NotFound
from web.api import outages, shapes
from web.api.bookings import read_slot
from web.api.shapes import HoursIn, Instant, Shape, Text
from web.deps import Db, Now, OneAnswer, ReadDb, SignedIn

router = APIRouter(prefix="/api/v1", tags=["booking"])
Week = Annotated[Sequence[HoursIn], Field(max_length=70)]


class OperatorIn(Shape):
    """A manager or technician of the institution, with opening hours of their own; always there without any."""

    person_id: Text
    hours: Week = ()


class OperatorHoursIn(Shape):
    hours: Week


class AbsenceIn(Shape):
    start: Instant
    end: Instant
    reason: Text


def shape(db: ReadDb, row: Operator, name: str) -> dict[str, Any]:
    hours = booking.rules_of(db, row.id).hours
    return {"id": row.id, "person_id": row.person_id, "name": name, "hours": shapes.hours(hours)}


@router.get("/institutions/{institution_id}/operators")
def operators(institution_id: str, db: ReadDb, actor: SignedIn) -> dict[str, Any]:
    """In the order in which they are asked."""
    _works_at(db, actor, institution_id, Action.REVIEW_USE)
    rows = queries.operators_of(db, institution_id)
    return {"items": [shape(db, row, person.name) for row, person in rows], "next_cursor": None}


@router.post("/institutions/{institution_id}/operators", status_code=201)
def add(institution_id: str, body: OperatorIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    _works_at(db, actor, institution_id, Action.LIST_RESOURCES)

    def make() -> dict[str, Any]:
        row = actions.add_operator(
            db,
            institution_id=institution_id,
            person_id=body.person_id,
            hours=[span.minutes() for span in body.hours],
            actor_id=actor.known_id,
            now=now,
        )
        return shape(db, row, people.get_person(db, row.person_id).name)

    return once.answer(201, make)


@router.put("/operators/{operator_id}/hours", response_model=None)
def change_hours(operator_id: str, body: OperatorHoursIn, db: Db, actor: SignedIn, now: Now) -> dict[str, Any]:
    _own(db, actor, operator_id, Action.LIST_RESOURCES)
    hours = [span.minutes() for span in body.hours]
    row = actions.change_hours(db, operator_id=operator_id, hours=hours, actor_id=actor.known_id, now=now)
    return shape(db, row, people.get_person(db, row.person_id).name)


@router.get("/operators/{operator_id}/absences")
def absences(operator_id: str, db: ReadDb, actor: SignedIn, now: Now, page: shapes.Page) -> dict[str, Any]:
    """Those that are on and to come; each ends or is withdrawn as an outage, by its id."""
    row = _own(db, actor, operator_id, Action.REVIEW_USE)
    return page.listed(outages_to_come(db, row.id, now=now, **page.asked), outages.shape)


@router.post("/operators/{operator_id}/absences", status_code=201)
def absence(operator_id: str, body: AbsenceIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    """Away: others take over where they are free; `uncovered` are the bookings for which nobody is."""
    _own(db, actor, operator_id, Action.MANAGE_OUTAGES)
    slot = read_slot(body.start, body.end)

    def make() -> dict[str, Any]:
        found = actions.record_absence(
            db, operator_id=operator_id, slot=slot, reason=body.reason, actor_id=actor.known_id, now=now
        )
        told = {"taken_over": [_told(row) for row in found.taken_over], "uncovered": [_told(row) for row in found.uncovered]}
        return {"id": found.outage.id, **shapes.slot(slot), "reason": found.outage.reason, **told}

    return once.answer(201, make)


@router.post("/operators/{operator_id}/leave")
def leave(operator_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    """No longer an operator; refused while a booking has nobody else."""
    _own(db, actor, operator_id, Action.LIST_RESOURCES)

    def make() -> dict[str, Any]:
        row = actions.remove_operator(db, operator_id=operator_id, actor_id=actor.known_id, now=now)
        return {"id": row.id, "person_id": row.person_id, "left_at": shapes.instant(row.left_at)}

    return once.answer(200, make)


def _told(row: Booking) -> dict[str, Any]:
    return {"booking_id": row.id, "resource_id": row.resource_id, **shapes.slot(row.slot)}


def _works_at(db: ReadDb, actor: Actor, institution_id: str, action: Action) -> None:
    """Raises: NotFound (also for whoever does not work there), NotAllowed."""
    people.get_institution(db, institution_id)
    if institution_id not in actor.institutions() and not actor.is_operator:
        raise NotFound(kind="institution")
    require(actor, action, institution_id=institution_id)


def _own(db: ReadDb, actor: Actor, operator_id: str, action: Action) -> Operator:
    """Raises: NotFound (also for whoever does not work there), NotAllowed."""
    row = queries.get_operator(db, operator_id)
    if row.institution_id not in actor.institutions() and not actor.is_operator:
        raise NotFound(kind="operator")
    require(actor, action, institution_id=row.institution_id)
    return row
