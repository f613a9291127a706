"""What parties agree on over JSON: handing a booking over, and exchanging two."""

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from booking import queries
from booking.swaps import queries as swaps
from booking.swaps.tables import Swap
from marketplace.permissions import Actor
from web import exchanging
from web.api import shapes
from web.api.bookings import shape
from web.deps import Db, Now, OneAnswer, ReadDb, SignedIn

router = APIRouter(prefix="/api/v1", tags=["booking"])


def swap_shape(db: Session, actor: Actor, row: Swap) -> dict[str, Any]:
    """Of an open one also which time on which resource is given for which, as the side that proposed it sees it.

    What it gets is told once the other has agreed, as that one's booking is nobody else's business before; to them at once.
    """
    body = {
        "id": row.id,
        "state": row.state.value,
        "booking_id": row.booking_id,
        "with_booking_id": row.with_booking_id,
        "proposed_at": shapes.instant(row.proposed_at),
        "answer_by": shapes.instant(row.answer_by),
        "answered_at": shapes.instant(row.answered_at),
    }
    if row.answered_at is not None:
        return body
    sides = {"gives": row.booking_id}
    if queries.sees_booking(db, actor, row.with_booking_id):
        sides["gets"] = row.with_booking_id
    rows = {name: queries.get_booking(db, key) for name, key in sides.items()}
    return body | {name: {"resource_id": one.resource_id, **shapes.slot(one.slot)} for name, one in rows.items()}


@router.post("/bookings/{booking_id}/hand-over")
def hand_over(booking_id: str, body: shapes.HandOverIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    """To a colleague; the slot and the price stay."""
    queries.get_booking_for(db, actor, booking_id)
    to = {"person_id": body.person_id, "email": body.email}
    return once.answer(200, lambda: shape(exchanging.hand_over(db, actor=actor, booking_id=booking_id, **to, now=now)))


@router.post("/bookings/{booking_id}/swap", status_code=201)
def swap(booking_id: str, body: shapes.SwapIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    """Proposed to the other's holder; at once where both are one's own."""
    queries.get_booking_for(db, actor, booking_id)

    def make() -> dict[str, Any]:
        made = exchanging.swap(db, actor=actor, booking_id=booking_id, with_id=body.with_booking_id, now=now)
        if isinstance(made, Swap):
            return swap_shape(db, actor, made)
        ids = {"id": None, "state": "accepted", "booking_id": booking_id, "with_booking_id": body.with_booking_id}
        return {**ids, "bookings": [shape(row) for row in made]}

    return once.answer(201, make)


@router.get("/bookings/{booking_id}/swaps")
def swaps_of(booking_id: str, db: ReadDb, actor: SignedIn) -> dict[str, Any]:
    """Proposals by its holder and to them, newest first."""
    queries.get_booking_for(db, actor, booking_id)
    return {"items": [swap_shape(db, actor, row) for row in swaps.swaps_of(db, booking_id)], "next_cursor": None}


@router.post("/swaps/{swap_id}/accept")
def accept(swap_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    def make() -> dict[str, Any]:
        made = exchanging.accept(db, actor=actor, swap_id=swap_id, now=now)
        return {**swap_shape(db, actor, made), "booking": shape(queries.get_booking_for(db, actor, made.with_booking_id))}

    return once.answer(200, make)


@router.post("/swaps/{swap_id}/decline")
def decline(swap_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    return once.answer(200, lambda: swap_shape(db, actor, exchanging.decline(db, actor=actor, swap_id=swap_id, now=now)))


@router.post("/swaps/{swap_id}/withdraw")
def withdraw(swap_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    return once.answer(200, lambda: swap_shape(db, actor, exchanging.withdraw(db, actor=actor, swap_id=swap_id, now=now)))
