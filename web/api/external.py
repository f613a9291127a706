"""Calendars kept elsewhere over JSON: connect, look at, read again, disconnect."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from booking.external import actions as external
from booking.external import queries
from booking.external.tables import ExternalCalendar
from marketplace.catalogue import queries as catalogue
from marketplace.permissions import Action, Actor, require
from marketplace.tables import Resource
from web.api import shapes
from web.deps import Db, Now, OneAnswer, ReadDb, SignedIn
from web.labels import ELSEWHERE
from web.present.external import masked

router = APIRouter(prefix="/api/v1/resources/{resource_id}/external-calendars", tags=["booking"])


def _minded(session: Session, actor: Actor, resource_id: str) -> Resource:
    """Raises: NotFound, NotAllowed."""
    row = catalogue.get_visible(session, actor, resource_id)
    require(actor, Action.MANAGE_OUTAGES, institution_id=row.institution_id)
    return row


@router.post("", status_code=201)
def connect(resource_id: str, body: shapes.CalendarIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    """By an address, which the worker reads within seconds and then again and again; or by the text of a file, read at once."""
    _minded(db, actor, resource_id)
    source = external.Source(body.url, body.ics.encode() if body.ics is not None else None)

    def make() -> dict[str, Any]:
        row = external.connect(db, resource_id=resource_id, name=body.name, source=source, actor_id=actor.known_id, now=now)
        return _shapes(db, resource_id, [row], now)[0]

    return once.answer(201, make)


@router.get("")
def calendars(resource_id: str, db: ReadDb, actor: SignedIn, now: Now) -> dict[str, Any]:
    """Each with what was read of it, what went wrong, and the bookings that stand in its busy time."""
    _minded(db, actor, resource_id)
    return {"items": _shapes(db, resource_id, queries.calendars_of(db, resource_id), now), "next_cursor": None}


@router.post("/{calendar_id}/refresh")
def refresh(
    resource_id: str,
    calendar_id: str,
    once: OneAnswer,
    db: Db,
    actor: SignedIn,
    now: Now,
    body: shapes.CalendarFileIn | None = None,
) -> Response:
    """An address is read next by the worker; a newer file takes the place of the one before."""
    _minded(db, actor, resource_id)
    row = queries.get_calendar_of(db, resource_id, calendar_id)

    def make() -> dict[str, Any]:
        if body:
            external.replace_file(db, calendar_id=row.id, body=body.ics.encode(), actor_id=actor.known_id, now=now)
        else:
            external.read_soon(db, calendar_id=row.id, now=now)
        return _shapes(db, resource_id, [row], now)[0]

    return once.answer(200, make)


@router.delete("/{calendar_id}", status_code=204)
def disconnect(resource_id: str, calendar_id: str, db: Db, actor: SignedIn, now: Now) -> Response:
    """Its busy time is free again."""
    _minded(db, actor, resource_id)
    row = queries.get_calendar_of(db, resource_id, calendar_id)
    external.disconnect(db, calendar_id=row.id, actor_id=actor.known_id, now=now)
    return Response(status_code=204)


def _shapes(session: Session, resource_id: str, rows: Sequence[ExternalCalendar], now: datetime) -> list[dict[str, Any]]:
    counts = queries.count_busy(session, [row.id for row in rows], after=now)
    met = queries.conflicts_of(session, resource_id, after=now)
    return [
        {
            "id": row.id,
            "name": row.name,
            "url": masked(row.url) if row.url else None,
            "state": "error" if row.error else "read" if row.read_at else "waiting",
            "error": {"code": row.error, "detail": ELSEWHERE[row.error], "status": row.error_status} if row.error else None,
            "tried_at": shapes.instant(row.tried_at),
            "read_at": shapes.instant(row.read_at),
            "next_at": shapes.instant(row.run_at),
            "entries": row.entries,
            "busy": counts.get(row.id, 0),
            "notes": [{**note, "detail": ELSEWHERE[note["code"]]} for note in row.notes],
            "conflicts": [{"booking_id": one.booking.id, **shapes.slot(one.slot)} for one in met if one.calendar_id == row.id],
        }
        for row in rows
    ]
