"""What was booked together, moved by the page of one of its bookings: looked at first, then made."""

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from booking import queries
from booking.bundles import moves
from booking.bundles.actions import BundleRefused
from booking.states import BookingState
from booking.tables import Booking
from marketplace.catalogue import queries as catalogue
from marketplace.permissions import Actor
from marketplace.refusals import NotFound, Refusal, Stale, WrongState
from web import bundling
from web.deps import Db, Now, SignedIn, note
from web.pages.drawing import Drawing, Fields, Pen, number, typed
from web.present import bookings, bundles
from web.present.bundles import START
from web.present.turns import errors_of
from web.refusals import status_of
from web.views.bookings import BookingView
from web.views.frame import Area, Form
from web.wall import find_moment

router = APIRouter(prefix="/{lang}/bookings/{booking_id}/move-together")


@router.get("")
def look(
    pen: Drawing, booking_id: str, db: Db, actor: SignedIn, now: Now, all_start: str = "", all_start_turn: str = ""
) -> Response:
    """What it would come to; nothing is moved."""
    row, form = _part(db, actor, booking_id), Form({START: all_start, f"{START}_turn": all_start_turn})
    by = _shift(pen, db, row, form)
    if isinstance(by, Form):
        return _shown(pen, bookings.one(db, row, actor=actor, lang=pen.lang, now=now, form=by), 422)
    version = moves.version_of(queries.bookings_of_bundle(db, row.bundle_id or ""))
    zone = catalogue.get_resource(db, row.resource_id).timezone
    try:
        found = bundles.foreseen(db, row, by, actor=actor, version=version, zone=zone, lang=pen.lang, now=now)
    except (BundleRefused, WrongState) as refusal:
        return _refused(pen, db, row, form, refusal, now)
    view = bookings.one(db, row, actor=actor, lang=pen.lang, now=now, form=form)
    return _shown(pen, bundles.looked_at(view, found), 200)


@router.post("")
def move(pen: Drawing, booking_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """Make the move that was looked at, or say on the page why not."""
    row, form = _part(db, actor, booking_id), Form(typed(fields))
    by, version, bundle_id = _shift(pen, db, row, form), number(fields, "version"), row.bundle_id or ""
    if isinstance(by, Form):
        return _shown(pen, bookings.one(db, row, actor=actor, lang=pen.lang, now=now, form=by), 422)
    try:
        with db.begin_nested():
            made, _ = bundling.move_bundle(db, actor=actor, bundle_id=bundle_id, by=by, version=version, now=now)
    except (BundleRefused, Stale, WrongState) as refusal:
        if isinstance(refusal, BundleRefused):
            note(db, refusal, now)
        return _refused(pen, db, row, form, refusal, now)
    asks = any(one.state is BookingState.REQUESTED for one in made.bookings)
    return pen.go(f"/bookings/{row.id}", "moved_together_asks" if asks else "moved_together")


def _part(db: Session, actor: Actor, booking_id: str) -> Booking:
    """Raises: NotFound (also of a booking that was made alone)."""
    row = queries.get_booking_for(db, actor, booking_id)
    if row.bundle_id is None:
        raise NotFound(kind="bundle")
    return row


def _shift(pen: Pen, db: Session, row: Booking, form: Form) -> timedelta | Form:
    """From where this one begins to where it shall, or the form with what is wrong."""
    zone = catalogue.get_resource(db, row.resource_id).timezone
    errors, start = errors_of(form, zone, pen.lang, (START,)), find_moment(form.values, START, ZoneInfo(zone))
    return replace(form, errors=errors) if errors or start is None else start - row.starts_at


def _refused(pen: Pen, db: Session, row: Booking, form: Form, refusal: Refusal, now: datetime) -> Response:
    view = bookings.one(db, row, actor=pen.actor, lang=pen.lang, now=now, form=form, refusal=refusal)
    if isinstance(refusal, BundleRefused):
        view = bundles.refused(db, view, refusal, pen.lang, now)
    return _shown(pen, view, status_of(refusal))


def _shown(pen: Pen, view: BookingView, status: int) -> Response:
    return pen.page("booking.html", view, status=status, area=Area.BOOKINGS, zone=view.zone)
