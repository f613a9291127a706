"""Waiting for a time that is taken: joining a line, one's own places, and the line as its institution sees it."""

from collections.abc import Callable
from datetime import timedelta
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Response

from booking.admission import SlotRefused
from booking.waiting import actions, queries
from booking.waiting.actions import AlreadyWaiting, LineFull
from marketplace.catalogue import queries as catalogue
from marketplace.permissions import Action
from marketplace.refusals import Invalid, Refusal, Refused, WrongState
from web import checkout, waiting
from web.deps import Configured, Db, Now, ReadDb, SignedIn, note
from web.done import of_bookings
from web.pages.desk import own_resource
from web.pages.drawing import Drawing, Fields, number, text, typed
from web.pages.public import MOST_UNITS, units_of
from web.present import waiting as present
from web.present.resource import read_instant
from web.refusals import status_of
from web.views.frame import Area, Form
from web.wall import read_slot

router = APIRouter(prefix="/{lang}")


@router.get("/r/{resource_id}/waiting")
def join_page(
    pen: Drawing, resource_id: str, db: ReadDb, actor: SignedIn, now: Now, start: str = "", end: str = "", quantity: str = ""
) -> Response:
    row = catalogue.get_visible(db, actor, resource_id)
    form = present.prefilled(row.timezone, read_instant(start), read_instant(end), units_of(quantity))
    view = present.join(db, row, actor, lang=pen.lang, now=now, form=form)
    return pen.page("waiting_join.html", view, area=Area.SEARCH, zone=row.timezone)


@router.post("/r/{resource_id}/waiting")
def join(pen: Drawing, resource_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    row = catalogue.get_visible(db, actor, resource_id)
    try:
        with db.begin_nested():
            order = checkout.Order(
                resource_id=row.id,
                slot=read_slot(typed(fields), ZoneInfo(row.timezone)),
                organisation_id=text(fields, "organisation_id") or None,
                quantity=read_units(fields),
                assisted=bool(text(fields, "assisted")),
            )
            minutes = number(fields, "minutes", 0)
            length = timedelta(minutes=minutes) if minutes else None
            waiting.join(db, actor=actor, order=order, length=length, now=now)
    except (Invalid, Refused, AlreadyWaiting, LineFull) as refusal:
        view = present.join(db, row, actor, lang=pen.lang, now=now, form=Form(typed(fields)), refusal=refusal)
        return pen.page("waiting_join.html", view, status=status_of(refusal), area=Area.SEARCH, zone=row.timezone)
    return pen.go("/waiting", "waiting")


def read_units(fields: Fields) -> int:
    """How many are wanted; nobody is asked where there is one. Raises: Invalid."""
    found = number(fields, "quantity", 1)
    if not 1 <= found <= MOST_UNITS:
        raise Invalid(field="quantity", reason="must be 1 to 1000")
    return found


@router.get("/waiting")
def page(pen: Drawing, db: ReadDb, actor: SignedIn, now: Now, cursor: str = "") -> Response:
    start = int(cursor) if cursor.isascii() and cursor.isdigit() and len(cursor) < 7 else 0
    return pen.page("waiting.html", present.mine(db, actor, lang=pen.lang, now=now, cursor=start), area=Area.BOOKINGS)


def _answered(pen: Drawing, db: Db, actor: SignedIn, now: Now, act: Callable[[], tuple[str, str]]) -> Response:
    """Do what a button asks for and go where it leads; what is refused is told above the list."""
    try:
        with db.begin_nested():
            path, done = act()
    except (WrongState, SlotRefused, Invalid) as refusal:
        return _refused(pen, db, actor, refusal, now)
    return pen.go(path, done)


def _refused(pen: Drawing, db: Db, actor: SignedIn, refusal: Refusal, now: Now) -> Response:
    if isinstance(refusal, SlotRefused):
        note(db, refusal, now)
    db.expire_all()
    view = present.mine(db, actor, lang=pen.lang, now=now, refusal=refusal)
    return pen.page("waiting.html", view, status=status_of(refusal), area=Area.BOOKINGS)


@router.post("/waiting/{entry_id}/accept")
def accept(pen: Drawing, entry_id: str, _fields: Fields, db: Db, actor: SignedIn, now: Now, settings: Configured) -> Response:
    hold, method = timedelta(minutes=settings.hold_minutes), settings.test_payment_method or None

    def act() -> tuple[str, str]:
        made = waiting.accept(db, actor=actor, entry_id=entry_id, payment_method=method, now=now, hold=hold)[1]
        return f"/bookings/{made.id}", of_bookings([made.state])

    return _answered(pen, db, actor, now, act)


@router.post("/waiting/{entry_id}/decline")
def decline(pen: Drawing, entry_id: str, _fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    queries.get_entry_for(db, actor, entry_id)

    def act() -> tuple[str, str]:
        actions.decline(db, entry_id=entry_id, now=now)
        return "/waiting", "offer_declined"

    return _answered(pen, db, actor, now, act)


@router.post("/waiting/{entry_id}/withdraw")
def withdraw(pen: Drawing, entry_id: str, _fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    queries.get_entry_for(db, actor, entry_id)

    def act() -> tuple[str, str]:
        actions.withdraw(db, entry_id=entry_id, now=now)
        return "/waiting", "left_line"

    return _answered(pen, db, actor, now, act)


@router.get("/desk/resources/{resource_id}/waiting")
def line_page(pen: Drawing, resource_id: str, db: ReadDb, actor: SignedIn, now: Now) -> Response:
    row = own_resource(db, actor, resource_id, Action.REVIEW_USE)
    view = present.line(db, row, lang=pen.lang, now=now)
    return pen.page("waiting_line.html", view, area=Area.DESK, zone=row.timezone)
