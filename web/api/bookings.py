"""Bookings over JSON: make, read, move, decide, cancel; free time; outages."""

import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError

from billing.settlement import Funding
from booking import actions, queries
from booking.bundles.moves import version_of
from booking.presence import actions as presence
from booking.requests.tables import Grounds
from booking.tables import Booking
from marketplace.catalogue import queries as catalogue
from marketplace.money import Money, by_currency
from marketplace.permissions import Action, require
from marketplace.refusals import Invalid, Stale
from marketplace.slot import EmptySlot, Slot
from web import checkout
from web.api import shapes
from web.deps import (
    AnyActor,
    AtOnce,
    Configured,
    Db,
    Now,
    Once,
    OneAnswer,
    PreconditionRequired,
    ReadDb,
    SignedIn,
    at_once,
    now_of,
)
from web.refusals import malformed, read_json_as

router = APIRouter(prefix="/api/v1", tags=["booking"])
LONGEST_LOOK_DAYS = 62
Cursor = Annotated[str | None, Query(pattern=r"^bk_[0-9a-z]+$", max_length=40)]
"""The last id of the page before."""


def read_slot(start: datetime, end: datetime, field: str = "end") -> Slot:
    """Raises: Invalid."""
    try:
        return Slot(start, end)
    except (EmptySlot, OverflowError) as error:
        raise Invalid(field=field, reason="not after start") from error


def read_wish(values: Mapping[str, Any]) -> shapes.BookingIn:
    """A booking that a form or a file asks for, by the API's own rules. Raises: Malformed, naming each field that is wrong."""
    try:
        return shapes.BookingIn.model_validate(values)
    except ValidationError as error:
        raise malformed(error.errors()) from error


def order_of(resource_id: str, wish: shapes.BookingIn) -> checkout.Order:
    """Raises: Invalid (it ends before it starts)."""
    return checkout.Order(
        resource_id=resource_id,
        slot=read_slot(wish.start, wish.end),
        organisation_id=wish.organisation_id,
        quantity=wish.quantity,
        purpose=wish.purpose,
        payment_method=wish.payment_method,
        funding=Funding(wish.funding) if wish.funding else None,
        override=wish.override.reason if wish.override else None,
        assisted=wish.assisted,
    )


TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
TAGS = re.compile(rf"[\s,]*{TAG}(?:\s*,[\s,]*{TAG})*[\s,]*|\d+", re.ASCII)


def read_version(if_match: str | None, present: int) -> int:
    """The present version, which If-Match names by the strong comparison of RFC 9110, 13.1.1; a bare number counts as its tag.

    Raises: PreconditionRequired, Invalid (no list of tags), Stale.
    """
    if if_match is None:
        raise PreconditionRequired
    text = if_match.strip()
    if text != "*" and not TAGS.fullmatch(text):
        raise Invalid(field="If-Match", reason="not a version in quotes")
    if text not in {"*", str(present)} and f'"{present}"' not in re.findall(TAG, text):
        raise Stale(version=present)
    return present


def shape(booking: Booking, quote: dict[str, Any] | None = None) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": booking.id,
        "resource_id": booking.resource_id,
        "organisation_id": booking.organisation_id,
        "state": booking.state.value,
        **shapes.slot(booking.slot),
        "quantity": booking.quantity,
        "purpose": booking.purpose,
        "assisted": booking.assisted,
        "bundle_id": booking.bundle_id,
        "series_id": booking.series_id,
        "hold_until": shapes.instant(booking.hold_until),
        "checked_in_at": shapes.instant(booking.checked_in_at),
        "finished_at": shapes.instant(booking.finished_at),
        "decide_by": shapes.instant(booking.answer_by if booking.decide_by or booking.state == "requested" else None),
        "version": booking.version,
    }
    return {**body, "quote": quote} if quote else body


@router.get("/resources/{resource_id}/availability")
def availability(
    resource_id: str,
    db: ReadDb,
    actor: AnyActor,
    now: Now,
    from_: Annotated[shapes.Instant, Query(alias="from")],
    to: shapes.Instant,
    quantity: Annotated[int, Query(ge=1, le=1000)] = 1,
) -> dict[str, Any]:
    catalogue.get_visible(db, actor, resource_id)
    within = read_slot(from_, to)
    if within.duration.days > LONGEST_LOOK_DAYS:
        raise Invalid(field="to", reason=f"more than {LONGEST_LOOK_DAYS} days after from")
    busy = queries.busy_time(db, resource_id, within=within)
    free = queries.free_time(db, resource_id, within=within, now=now, quantity=quantity)
    return {
        "free": [shapes.slot(span) for span in free],
        "busy": [{**shapes.slot(span.slot), "kind": span.kind} for span in busy],
    }


async def book(resource_id: str, body: shapes.BookingIn, request: Request, now: Now) -> Response:
    order = order_of(resource_id, body)
    async with at_once(request, resource_id, now) as go:
        return await go.run(partial(_book, order))


class _BookRoute(APIRoute):
    """Declared like any other, read by hand: to work out what the route asks for takes the framework longer than to read it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        async def handle(request: Request) -> Response:
            body = read_json_as(shapes.BookingIn, await request.body(), request.headers.get("content-type", ""))
            return await book(request.path_params["resource_id"], body, request, await now_of(request))

        return handle


router.add_api_route(
    "/resources/{resource_id}/bookings", book, methods=["POST"], status_code=201, route_class_override=_BookRoute
)


def _book(order: checkout.Order, go: AtOnce) -> Response:
    hold = timedelta(minutes=go.settings.hold_minutes)
    around = queries.FAR if go.place.is_crowded else queries.NEAR

    def make(once: Once) -> dict[str, Any]:
        booking, quote = checkout.book(
            once.session, actor=once.actor, order=order, now=once.now, hold=hold, seek=False, around=around
        )
        return shape(booking, shapes.money(quote))

    go.check(partial(checkout.check, order=order, now=go.now))
    return go.answer(201, make)


@router.post("/bookings", status_code=201)
def book_bundle(body: shapes.BundleIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now, settings: Configured) -> Response:
    """Several resources at once: every part is granted, or none."""
    orders = [
        checkout.Order(
            resource_id=part.resource_id,
            slot=read_slot(part.start, part.end, f"parts.{number}.end"),
            organisation_id=body.organisation_id,
            quantity=part.quantity,
            purpose=body.purpose,
            payment_method=body.payment_method,
            assisted=part.assisted,
        )
        for number, part in enumerate(body.parts)
    ]

    def make() -> dict[str, Any]:
        made = checkout.book_bundle(db, actor=actor, orders=orders, now=now, hold=timedelta(minutes=settings.hold_minutes))
        rows = [shape(booking, shapes.money(quote)) for booking, quote in made]
        version = version_of([booking for booking, _ in made])
        totals = sums([quote for _, quote in made])
        return {"id": made[0][0].bundle_id, "version": version, "bookings": rows, "quotes": totals}

    return once.answer(201, make)


def sums(quotes: Sequence[Money]) -> list[dict[str, Any]]:
    """One sum a currency."""
    return [shapes.money(total) for total in by_currency(quotes)]


@router.get("/bookings")
def bookings(
    db: ReadDb, actor: SignedIn, limit: Annotated[int, Query(ge=1, le=200)] = 50, cursor: Cursor = None
) -> dict[str, Any]:
    rows = queries.bookings_for(db, actor, after=cursor, limit=limit + 1)
    items = [shape(row) for row in rows[:limit]]
    return {"items": items, "next_cursor": rows[limit - 1].id if len(rows) > limit else None}


@router.get("/bookings/{booking_id}")
def booking(booking_id: str, db: ReadDb, actor: SignedIn, response: Response) -> dict[str, Any]:
    row = queries.get_booking_for(db, actor, booking_id)
    response.headers["etag"] = f'"{row.version}"'
    return shape(row, checkout.quote_of(db, row))


@router.get("/bookings/{booking_id}/quote")
def quote(booking_id: str, db: ReadDb, actor: SignedIn) -> dict[str, Any]:
    """What it costs at most, and by which price: the list's, or that of the customer's class."""
    row = queries.get_booking_for(db, actor, booking_id)
    return {"booking_id": row.id, "quote": checkout.quote_of(db, row), "price": checkout.price_of(db, row)}


@router.patch("/bookings/{booking_id}", response_model=None)
def move(
    booking_id: str,
    body: shapes.MoveIn,
    db: Db,
    actor: SignedIn,
    now: Now,
    response: Response,
    if_match: Annotated[str | None, Header()] = None,
) -> dict[str, Any]:
    found = queries.get_booking_for(db, actor, booking_id)  # what one may not know of is 404 before it is 428
    version = read_version(if_match, found.version)
    row, quote = checkout.move(
        db,
        actor=actor,
        booking_id=booking_id,
        slot=read_slot(body.start, body.end),
        version=version,
        resource_id=body.resource_id,
        override=body.override.reason if body.override else None,
        now=now,
    )
    response.headers["etag"] = f'"{row.version}"'
    return shape(row, shapes.money(quote))


@router.post("/bookings/{booking_id}/approve")
def approve(booking_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    row = queries.get_booking_for(db, actor, booking_id)
    require(actor, Action.DECIDE_BOOKINGS, institution_id=row.institution_id)
    who = actor.known_id
    return once.answer(200, lambda: shape(actions.approve(db, booking_id=booking_id, actor_id=who, now=now)))


@router.post("/bookings/{booking_id}/refuse")
def refuse(booking_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now, body: shapes.RefusalIn | None = None) -> Response:
    row = queries.get_booking_for(db, actor, booking_id)
    require(actor, Action.DECIDE_BOOKINGS, institution_id=row.institution_id)
    said = body or shapes.RefusalIn()
    grounds = Grounds(said.grounds)

    def make() -> dict[str, Any]:
        made, fee = checkout.refuse(db, actor=actor, booking_id=booking_id, grounds=grounds, reason=said.reason, now=now)
        return {**shape(made), "fee": shapes.money(fee)}

    return once.answer(200, make)


@router.post("/bookings/{booking_id}/cancel")
def cancel(booking_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now, body: shapes.CancelIn | None = None) -> Response:
    queries.get_booking_for(db, actor, booking_id)

    def make() -> dict[str, Any]:
        row, fee = checkout.cancel(db, actor=actor, booking_id=booking_id, reason=body.reason if body else None, now=now)
        return {**shape(row), "fee": shapes.money(fee)}

    return once.answer(200, make)


@router.post("/bookings/{booking_id}/check-in")
def check_in(booking_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    """The customer is there: from 30 minutes before the start to the end, or as long after the start as the rules say."""
    checkout.require_present(actor, queries.get_booking_for(db, actor, booking_id))
    who = actor.known_id
    return once.answer(200, lambda: shape(presence.check_in(db, booking_id=booking_id, actor_id=who, now=now)))


@router.post("/bookings/{booking_id}/finish")
def finish(booking_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    """The customer has left: the rest of the time is free again."""
    checkout.require_present(actor, queries.get_booking_for(db, actor, booking_id))
    return once.answer(200, lambda: shape(checkout.finish(db, actor=actor, booking_id=booking_id, now=now)))
