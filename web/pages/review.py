"""The page before a booking: everything about it, how often it repeats, and the one button that makes it."""

from datetime import datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Response
from sqlalchemy.orm import Session

from billing.payments.pages import HELD_FOR
from booking.series.actions import SeriesRefused
from booking.series.queries import bookings_of
from booking.tables import BookingSeries
from marketplace.catalogue import queries as catalogue
from marketplace.refusals import Invalid, Refusal
from marketplace.settings import Settings
from marketplace.slot import Slot
from web import checkout
from web.checkout import Order
from web.deps import Configured, Db, Now, ReadDb, note
from web.pages.drawing import Drawing, Fields, Pen, text
from web.pages.once import once
from web.pages.public import Typed
from web.present import review
from web.present.resource import Asked
from web.refusals import status_of
from web.repeats import ONCE, Repeat, rule_of
from web.views.frame import Area

router = APIRouter(prefix="/{lang}")


@router.get("/r/{resource_id}/review")
def page(
    pen: Drawing,
    resource_id: str,
    db: ReadDb,
    now: Now,
    settings: Configured,
    typed: Annotated[Typed, Depends()],
    repeat: Annotated[Repeat, Depends()],
) -> Response:
    asked = typed.asked
    if asked.slot is None:
        raise Invalid(field="end", reason="not after start")
    order = order_as_typed(pen, resource_id, asked, asked.slot)
    return draw(pen, db, order, hold_of(settings), now, repeat=repeat)


def hold_of(settings: Settings) -> timedelta:
    """For how long the time is held while a card is checked; one that is entered on a page needs as long as a page lives."""
    hold = timedelta(minutes=settings.hold_minutes)
    return hold if settings.test_payment_method else max(hold, HELD_FOR)


def order_as_typed(pen: Pen, resource_id: str, asked: Asked, slot: Slot) -> Order:
    firm = asked.organisation if asked.organisation in pen.actor.organisations else None
    why = asked.override or None
    return Order(resource_id, slot, firm, asked.quantity, purpose=asked.purpose or None, assisted=asked.assisted, override=why)


def draw(
    pen: Pen,
    db: Session,
    order: Order,
    hold: timedelta,
    now: datetime,
    *,
    repeat: Repeat = ONCE,
    key: str = "",
    refusal: Refusal | None = None,
) -> Response:
    row = catalogue.get_visible(db, pen.actor, order.resource_id)
    view = review.view(
        db, row, order, actor=pen.actor, lang=pen.lang, now=now, hold=hold, repeat=repeat, key=key, refusal=refusal
    )
    status = status_of(refusal) if refusal else 422 if view.repeating.form.errors else 200
    return pen.page("review.html", view, status=status, area=Area.SEARCH, zone=row.timezone)


def repeat_of(fields: Fields) -> Repeat:
    return Repeat(*(text(fields, name)[:100] for name in ("repeats", "times", "until", "on_conflict")))


def to_be_seen_first(order: Order, repeat: Repeat, fields: Fields) -> bool:
    """Whether the form asks for something else than the page told the price and the times of; a series is always told."""
    if "reviewed" not in fields:
        return False
    return text(fields, "shown") != review.shown_of(order, repeat) if repeat.asked or "shown" in fields else False


def book_repeated(pen: Pen, db: Db, order: Order, repeat: Repeat, hold: timedelta, key: str, now: Now) -> Response:
    """A series and on to its page, or the review again with what stood in the way."""
    zone = catalogue.get_visible(db, pen.actor, order.resource_id).timezone
    try:
        rule = rule_of(repeat, order.slot, ZoneInfo(zone))
    except Invalid:
        return draw(pen, db, order, hold, now, repeat=repeat, key=key)

    def make() -> str:
        made, _ = checkout.book_series(db, actor=pen.actor, order=order, rrule=rule, on_conflict=repeat.conflict, now=now)
        return made.series.id

    try:
        with db.begin_nested():
            content = f"{order.slot}{review.shown_of(order, repeat)}{order.assisted}{order.purpose}"
            found = once(pen, db, f"/r/{order.resource_id}/bookings", key, content, make, now)
    except (SeriesRefused, Invalid) as refusal:
        if isinstance(refusal, SeriesRefused):
            note(db, refusal, now)
        return draw(pen, db, order, hold, now, repeat=repeat, key=key, refusal=refusal)
    return pen.go(f"/series/{found}", _done(db, found))


def _done(db: Session, series_id: str) -> str:
    if db.get_one(BookingSeries, series_id).gaps:
        return "series_some"
    return "series_requested" if any(row.decided_at is None for row in bookings_of(db, series_id)) else "series_booked"
