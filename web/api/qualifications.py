"""Qualifications over JSON: what an institution trains people for, and who holds it."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import Field

from booking.qualifications import actions, queries
from booking.qualifications.actions import Named
from booking.qualifications.tables import Qualification, QualificationGrant
from marketplace.people import queries as people
from marketplace.permissions import Action, Actor, require
from marketplace.refusals import NotFound
from marketplace.tables import Person
from web.api import shapes
from web.api.shapes import Day, Email, Shape, Text, Whole
from web.deps import Db, Now, OneAnswer, ReadDb, SignedIn

router = APIRouter(prefix="/api/v1", tags=["booking"])


class LevelIn(Shape):
    name: Text
    name_en: Text | None = None


class QualificationIn(LevelIn):
    """A kind with its levels, the lowest first."""

    levels: Annotated[Sequence[LevelIn], Field(min_length=1, max_length=10)]


class GrantIn(Shape):
    """A level for the person with this address, to the end of the day `valid_until`; for ever without one."""

    email: Email
    level: Annotated[Whole, Field(ge=1, le=10)] = 1
    valid_until: Day | None = None


def kind_shape(row: Qualification) -> dict[str, Any]:
    return {
        "id": row.id,
        "institution_id": row.institution_id,
        "name": row.name,
        "name_en": row.name_en,
        "levels": row.levels,
    }


def grant_shape(row: QualificationGrant, person: Person | None = None) -> dict[str, Any]:
    found = {
        "id": row.id,
        "qualification_id": row.qualification_id,
        "level": row.level,
        "granted_at": shapes.instant(row.granted_at),
        "expires_at": shapes.instant(row.expires_at),
        "revoked_at": shapes.instant(row.revoked_at),
    }
    return {**found, "person": {"id": person.id, "name": person.name, "email": person.email}} if person else found


@router.get("/institutions/{institution_id}/qualifications")
def kinds(institution_id: str, db: ReadDb, _actor: SignedIn) -> dict[str, Any]:
    """What its equipment may ask for; everybody who may book may know."""
    people.get_institution(db, institution_id)
    rows = queries.qualifications_of(db, institution_id)
    return {"items": [kind_shape(row) for row in rows], "next_cursor": None}


@router.post("/institutions/{institution_id}/qualifications", status_code=201)
def define(institution_id: str, body: QualificationIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    people.get_institution(db, institution_id)
    require(actor, Action.LIST_RESOURCES, institution_id=institution_id)

    def make() -> dict[str, Any]:
        row = actions.define(
            db,
            institution_id=institution_id,
            kind=Named(body.name, body.name_en),
            levels=[Named(one.name, one.name_en) for one in body.levels],
            actor_id=actor.known_id,
            now=now,
        )
        return kind_shape(row)

    return once.answer(201, make)


@router.get("/qualifications")
def mine(db: ReadDb, actor: SignedIn) -> dict[str, Any]:
    """What the caller holds, expired ones among it."""
    found = queries.grants_to(db, actor.known_id)
    return {"items": [{**grant_shape(grant), "qualification": kind_shape(kind)} for grant, kind in found], "next_cursor": None}


@router.get("/qualifications/{qualification_id}/grants")
def grants(
    qualification_id: str,
    db: ReadDb,
    actor: SignedIn,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    trained_by(db, actor, qualification_id)
    rows = queries.grants_of(db, qualification_id, after=cursor, limit=limit + 1)
    items = [grant_shape(grant, person) for grant, person in rows[:limit]]
    return {"items": items, "next_cursor": rows[limit - 1][0].id if len(rows) > limit else None}


@router.post("/qualifications/{qualification_id}/grants", status_code=201)
def grant(qualification_id: str, body: GrantIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    trained_by(db, actor, qualification_id)
    values = {"qualification_id": qualification_id, **body.model_dump(), "actor_id": actor.known_id, "now": now}
    return once.answer(201, lambda: grant_shape(actions.grant(db, **values)))


@router.post("/qualification-grants/{grant_id}/revoke")
def revoke(grant_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    trained_by(db, actor, queries.get_grant(db, grant_id).qualification_id)
    return once.answer(200, lambda: grant_shape(actions.revoke(db, grant_id=grant_id, actor_id=actor.known_id, now=now)))


def trained_by(db: ReadDb, actor: Actor, qualification_id: str) -> Qualification:
    """For the staff who grant it. Raises: NotFound (also for whoever does not work there), NotAllowed."""
    row = queries.get_qualification(db, qualification_id)
    if row.institution_id not in actor.institutions() and not actor.is_operator:
        raise NotFound(kind="qualification")
    require(actor, Action.TRAIN_PEOPLE, institution_id=row.institution_id)
    return row
