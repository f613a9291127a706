"""Waiting lists over JSON: join, see one's places, answer an offer; and the line as its publisher sees it."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from booking.waiting import actions, queries
from booking.waiting.tables import WaitingEntry
from marketplace.catalogue import queries as catalogue
from marketplace.permissions import Action, require
from marketplace.refusals import Invalid
from web import checkout, waiting
from web.api import bookings, shapes
from web.api.bookings import read_slot
from web.deps import Configured, Db, Now, OneAnswer, ReadDb, SignedIn

router = APIRouter(prefix="/api/v1", tags=["booking"])


def shape(row: WaitingEntry, positions: Mapping[str, int]) -> dict[str, Any]:
    offer = {**shapes.slot(row.offer), "until": shapes.instant(row.offered_until)} if row.offer else None
    return {
        "id": row.id,
        "resource_id": row.resource_id,
        "organisation_id": row.organisation_id,
        "state": row.state.value,
        **shapes.slot(row.window),
        "minutes": row.length_min,
        "quantity": row.quantity,
        "purpose": row.purpose,
        "assisted": row.assisted,
        "position": positions.get(row.id),
        "joined_at": shapes.instant(row.joined_at),
        "offer": offer,
        "ended_at": shapes.instant(row.ended_at),
        "booking_id": row.booking_id,
    }


def told(db: Session, row: WaitingEntry) -> dict[str, Any]:
    return shape(row, queries.positions(db, [row]))


def read_length(body: shapes.WaitIn) -> timedelta | None:
    """Raises: Invalid."""
    if body.hours is None:
        return timedelta(minutes=body.minutes) if body.minutes else None
    minutes = body.hours * 60
    if body.minutes is not None or not minutes.is_integer():
        raise Invalid(field="hours", reason="must be whole minutes, and given without minutes")
    return timedelta(minutes=int(minutes))


@router.post("/resources/{resource_id}/waiting", status_code=201)
def join(resource_id: str, body: shapes.WaitIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    """Wait for a time that is taken: exactly from start to end, or for so long anywhere between."""
    order = checkout.Order(
        resource_id=resource_id,
        slot=read_slot(body.start, body.end),
        organisation_id=body.organisation_id,
        quantity=body.quantity,
        purpose=body.purpose,
        assisted=body.assisted,
    )
    length = read_length(body)
    return once.answer(201, lambda: told(db, waiting.join(db, actor=actor, order=order, length=length, now=now)))


@router.get("/resources/{resource_id}/waiting")
def line(resource_id: str, db: ReadDb, actor: SignedIn) -> dict[str, Any]:
    """Who waits and who is offered something, the first in line first; for the staff of the institution."""
    resource = catalogue.get_visible(db, actor, resource_id)
    require(actor, Action.REVIEW_USE, institution_id=resource.institution_id)
    rows = queries.line_of(db, [resource_id])
    positions = queries.positions(db, rows)
    return {"items": [{**shape(row, positions), "person_id": row.person_id} for row in rows], "next_cursor": None}


@router.get("/waiting")
def mine(db: ReadDb, actor: SignedIn, page: shapes.Page) -> dict[str, Any]:
    """One's own places, the open ones first."""
    rows = queries.entries_for(db, actor, **page.asked)
    positions = queries.positions(db, rows)
    return page.listed(rows, lambda row: shape(row, positions))


@router.get("/waiting/{entry_id}")
def one(entry_id: str, db: ReadDb, actor: SignedIn) -> dict[str, Any]:
    return told(db, queries.get_entry_for(db, actor, entry_id))


@router.post("/waiting/{entry_id}/accept")
def accept(
    entry_id: str,
    once: OneAnswer,
    db: Db,
    actor: SignedIn,
    now: Now,
    settings: Configured,
    body: shapes.AcceptIn | None = None,
) -> Response:
    """Take the offer up: it becomes a booking at the price of now."""
    hold = timedelta(minutes=settings.hold_minutes)

    def make() -> dict[str, Any]:
        method = body.payment_method if body else None
        row, made, quote = waiting.accept(db, actor=actor, entry_id=entry_id, payment_method=method, now=now, hold=hold)
        return {**told(db, row), "booking": bookings.shape(made, shapes.money(quote))}

    return once.answer(200, make)


@router.post("/waiting/{entry_id}/decline")
def decline(entry_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    """Let the offer pass to the next in line."""
    return _answered(entry_id, once, db, actor, lambda: actions.decline(db, entry_id=entry_id, now=now))


@router.post("/waiting/{entry_id}/withdraw")
def withdraw(entry_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    """Leave the list."""
    return _answered(entry_id, once, db, actor, lambda: actions.withdraw(db, entry_id=entry_id, now=now))


def _answered(entry_id: str, once: OneAnswer, db: Db, actor: SignedIn, act: Callable[[], WaitingEntry]) -> Response:
    queries.get_entry_for(db, actor, entry_id)
    return once.answer(200, lambda: told(db, act()))
