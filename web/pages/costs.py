"""What a time would cost, and what a use has come to while it goes on."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response
from starlette.datastructures import QueryParams

from billing.running import read_meter
from booking import queries
from booking.places import get_place
from marketplace.catalogue import queries as catalogue
from marketplace.refusals import Invalid, NotFound
from web.deps import AnyActor, Now, ReadDb, SignedIn
from web.i18n import translator
from web.pages.drawing import Drawing
from web.pages.public import units_of
from web.present import costs as present
from web.present.costs import Asked
from web.present.resource import read_instant
from web.present.waiting import prefilled
from web.reasons import beside
from web.views.bookings import MeterView
from web.views.frame import Area, FieldError, Form
from web.wall import read_slot

router = APIRouter(prefix="/{lang}")
MOST_MINUTES = 366 * 24 * 60


@router.get("/r/{resource_id}/cost")
def cost(pen: Drawing, resource_id: str, request: Request, db: ReadDb, actor: AnyActor, now: Now) -> Response:
    """A form, and below it the bill of each way that a time may go: everything is in the address, so that it can be sent on."""
    row = catalogue.get_visible(db, actor, resource_id)
    typed, asked = request.query_params, None
    form = Form(dict(typed))
    try:
        if start := read_instant(typed.get("start", "")):
            form = prefilled(row.timezone, start, read_instant(typed.get("end", "")), units_of(typed.get("quantity", "")))
        if form.values.get("start") or form.values.get("end"):
            asked = _asked(typed, form, ZoneInfo(row.timezone))
            longest = get_place(db, row.id).rules.max_min
            if asked.slot.duration > timedelta(minutes=longest):
                raise Invalid(field="end", reason="is longer than a booking may be here")
    except Invalid as refusal:
        field = str(refusal.values["field"])
        form = Form(form.values, (FieldError(field, beside(refusal.values, translator(pen.lang))),))
    view = present.costs(db, row, actor, asked, lang=pen.lang, now=now, form=form)
    return pen.page("cost.html", view, status=422 if form.errors else 200, area=Area.SEARCH, zone=row.timezone)


def _asked(typed: QueryParams, form: Form, zone: ZoneInfo) -> Asked:
    """Raises: Invalid."""
    slot, minutes = read_slot(form.values, zone), typed.get("minutes", "").strip()
    if minutes and not (minutes.isascii() and minutes.isdecimal() and len(minutes) < 7 and int(minutes) <= MOST_MINUTES):
        raise Invalid(field="minutes", reason="a whole number is needed")
    return Asked(
        slot=slot,
        quantity=units_of(typed.get("quantity", "")),
        organisation=typed.get("organisation_id", ""),
        assisted=bool(typed.get("assisted")),
        minutes=int(minutes) if minutes else None,
    )


@router.get("/bookings/{booking_id}/meter")
def meter(pen: Drawing, booking_id: str, db: ReadDb, actor: SignedIn, now: Now) -> Response:
    """The part of a booking's page that goes on while it is used. Raises: NotFound (it does not, or not any more)."""
    row = queries.get_booking_for(db, actor, booking_id)
    found = read_meter(db, row, now=now)
    if found is None:
        raise NotFound(kind="meter")
    place = catalogue.get_resource(db, row.resource_id)
    return pen.page("_meter.html", MeterView(row.id, place.timezone, found), zone=place.timezone)
