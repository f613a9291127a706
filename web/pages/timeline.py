"""The publisher's timeline over all lines: looking, trying a move, making it, taking it back."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Response
from sqlalchemy.orm import Session

from booking import queries
from booking.tables import Booking
from marketplace.catalogue import queries as catalogue
from marketplace.permissions import Action, require
from marketplace.refusals import Invalid, NotFound, Refusal
from marketplace.slot import Slot
from marketplace.tables import Institution, ListingState, Resource
from web.deps import Db, Now, ReadDb, SignedIn, read_date
from web.i18n import translator
from web.pages.desk import house_of
from web.pages.drawing import Drawing, Fields, Pen, number, text
from web.present import moving, timeline
from web.present.timeline import Asked
from web.present.turns import asking, errors_of, of_instants
from web.reasons import beside
from web.refusals import status_of
from web.timeline import Scale
from web.views.frame import Area, FieldError, Form
from web.views.timeline import MoveCard, Undo
from web.wall import find_moment, is_near

router = APIRouter(prefix="/{lang}/desk/timeline")
MOST_PAGES = 1000
EDGES = ("start", "end", "start_turn", "end_turn")


@dataclass(frozen=True, slots=True)
class Address:
    """What may stand behind the question mark; all as typed."""

    institution: str = ""
    scale: str = ""
    day: str = ""
    page: str = ""
    booking: str = ""
    resource: str = ""
    start: str = ""
    end: str = ""
    start_turn: str = ""
    end_turn: str = ""
    """Of a time of the wall clock that comes twice, the instant that is meant."""
    version: str = ""
    moved: str = ""
    """The booking just moved, with where it was, as `resource`, `start` and `end`."""


Wanted = Annotated[Address, Depends(Address)]


@router.get("")
def page(pen: Drawing, wanted: Wanted, db: ReadDb, actor: SignedIn, now: Now) -> Response:
    house = house_of(db, actor, wanted.institution)
    asked = read_asked(pen, db, house, wanted, now)
    return drawn(pen, db, house, asked, now, undo=read_undo(pen, db, house, wanted, asked))


@router.get("/move")
def try_move(pen: Drawing, wanted: Wanted, db: Db, actor: SignedIn, now: Now) -> Response:
    """Moving a booking: the form, and what a move would come to; nothing is moved."""
    house = house_of(db, actor, wanted.institution)
    asked = read_asked(pen, db, house, wanted, now)
    card = read_card(pen, db, house, wanted, asked, now)
    if pen.partial:
        return pen.page("_move.html", card, zone=card.zone)
    return drawn(pen, db, house, asked, now, card=card)


def drawn(
    pen: Pen,
    db: Session,
    house: Institution,
    asked: Asked,
    now: datetime,
    *,
    card: MoveCard | None = None,
    undo: Undo | None = None,
    status: int = 200,
) -> Response:
    view = timeline.view(db, house, pen.actor, asked, lang=pen.lang, now=now, card=card, undo=undo)
    return pen.page(
        "_timeline.html" if pen.partial else "timeline.html", view, status=status, area=Area.DESK, zone=house.timezone
    )


def read_asked(pen: Pen, db: Session, house: Institution, wanted: Address, now: datetime) -> Asked:
    """What of the address is none counts as not given."""
    try:
        day = read_date("day", wanted.day)
    except Invalid:
        day = None
    scale = Scale(wanted.scale) if wanted.scale in set(Scale) else Scale.WEEK
    whole = wanted.page if wanted.page.isascii() and wanted.page.isdigit() and len(wanted.page) < 5 else "0"
    today = now.astimezone(ZoneInfo(house.timezone)).date()
    near = day if day and abs((day - today).days) < 366 * 20 else today
    return Asked(scale, near, pen.first_weekday(db), min(int(whole), MOST_PAGES))


def read_card(pen: Pen, db: Session, house: Institution, wanted: Address, asked: Asked, now: datetime) -> MoveCard:
    """Raises: NotFound, NotAllowed."""
    row = own_booking(pen, db, house, wanted.booking)
    place = own_place(db, house, wanted.resource, row)
    version = int(wanted.version) if wanted.version.isascii() and wanted.version.isdigit() else row.version
    slot, form = read_move(pen, wanted, row, place)
    card = moving.card(db, row, asked, place.id, form, version=version, lang=pen.lang)
    return moving.judged(db, card, slot, actor=pen.actor, lang=pen.lang, now=now) if slot else card


def own_booking(pen: Pen, db: Session, house: Institution, booking_id: str) -> Booking:
    """Raises: NotFound, NotAllowed."""
    row = queries.get_booking_for(db, pen.actor, booking_id)
    if row.institution_id != house.id:
        raise NotFound(kind="booking")
    require(pen.actor, Action.DECIDE_BOOKINGS, institution_id=house.id)
    return row


def own_place(db: Session, house: Institution, resource_id: str, row: Booking) -> Resource:
    """The one asked for, else where the booking is, also where that takes no others any more. Raises: NotFound."""
    place = catalogue.get_resource(db, resource_id or row.resource_id)
    retired = place.state is ListingState.RETIRED and place.id != row.resource_id
    if place.institution_id != house.id or retired:
        raise NotFound(kind="resource")
    return place


def read_move(pen: Pen, wanted: Address, row: Booking, place: Resource) -> tuple[Slot | None, Form]:
    """Where the booking is to lie, and the form that says so; as typed where something is wrong with it."""
    slot, errors = read_slot(pen, wanted, place)
    given = [(name, getattr(wanted, name)) for name in EDGES if errors]
    form = replace(moving.typed_values(given, row, place, slot), errors=tuple(errors))
    return slot, asking(form, place.timezone, pen.lang)


def read_slot(pen: Pen, wanted: Address, place: Resource) -> tuple[Slot | None, list[FieldError]]:
    """Where the booking is to lie, from instants or from the wall clock of `place`; nothing where nothing was typed."""
    if not wanted.start and not wanted.end:
        return None, []
    values = {name: getattr(wanted, name) for name in EDGES}
    for name in ("start", "end"):
        if at := instant_of(values[name]):
            values |= of_instants([(name, at)], place.timezone)
    errors = errors_of(Form(values), place.timezone, pen.lang)
    if errors:
        return None, errors
    zone = ZoneInfo(place.timezone)
    start, end = (instant_of(getattr(wanted, name)) or find_moment(values, name, zone) for name in ("start", "end"))
    return (Slot(start, end), []) if start and end else (None, [])


def instant_of(typed: str) -> datetime | None:
    """An instant with its offset; None for what is none, as a time of the wall clock."""
    try:
        at = datetime.fromisoformat(typed)
        return at.astimezone(UTC) if at.tzinfo and is_near(at) else None
    except (ValueError, OverflowError):
        return None


@router.post("/move")
def move(pen: Drawing, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """Make the move that was looked at, or say on the page why not."""
    wanted = Address(**{name: text(fields, name) for name in Address.__dataclass_fields__})
    house = house_of(db, actor, wanted.institution)
    asked = read_asked(pen, db, house, wanted, now)
    row = own_booking(pen, db, house, wanted.booking)
    place = own_place(db, house, wanted.resource, row)
    slot, form = read_move(pen, wanted, row, place)
    card = moving.card(db, row, asked, place.id, form, version=number(fields, "version"), lang=pen.lang)
    if slot is None:
        return drawn(pen, db, house, asked, now, card=card, status=422)
    back = {"moved": row.id, "resource": row.resource_id, "start": row.starts_at.isoformat(), "end": row.ends_at.isoformat()}
    try:
        with db.begin_nested():
            moved, _ = moving.make(db, card, slot, actor=actor, override=read_override(fields), now=now)
    except Invalid as refusal:
        told = replace(card, asked=slot, may_override=True, form=_beside(pen, form, refusal))
        return drawn(pen, db, house, asked, now, card=told, status=422)
    except Refusal as refusal:
        told = moving.refused(db, card, slot, refusal, actor=actor, lang=pen.lang)
        return drawn(pen, db, house, asked, now, card=told, status=status_of(refusal))
    there = [*timeline.hidden(house.id, asked), *back.items(), ("version", str(moved.version))]
    return pen.go(f"/desk/timeline?{urlencode(there)}", "moved")


def _beside(pen: Pen, form: Form, refusal: Invalid) -> Form:
    said = beside(refusal.values, translator(pen.lang))
    return replace(form, errors=(FieldError(str(refusal.values.get("field", "")), said),))


def read_override(fields: Fields) -> str | None:
    """Why the publisher's own rules do not count this time; None where they do. Raises: Invalid."""
    if "override" not in fields:
        return None
    reason = " ".join(text(fields, "override").split())
    if not 1 <= len(reason) <= 1000:
        raise Invalid(field="override", reason="say in 1 to 1,000 characters why")
    return reason


def read_undo(pen: Pen, db: Session, house: Institution, wanted: Address, asked: Asked) -> Undo | None:
    """What the page offers right after a move, to whom may move it."""
    if not wanted.moved:
        return None
    try:
        row = own_booking(pen, db, house, wanted.moved)
        place = own_place(db, house, wanted.resource, row)
    except Refusal:
        return None
    was, _ = read_slot(pen, wanted, place)
    version = int(wanted.version) if wanted.version.isascii() and wanted.version.isdigit() else 0
    return moving.undo(db, row, asked, was, place.id, version, pen.lang) if was else None
