"""Calendars kept elsewhere: connecting one by address or file, reading it again, disconnecting it."""

from collections.abc import Sequence
from datetime import datetime

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from booking.external import actions, queries
from booking.external.lines import Unreadable
from marketplace.permissions import Action
from marketplace.refusals import Invalid, Refusal
from marketplace.tables import Resource
from web.deps import Configured, Db, Now, ReadDb, SignedIn
from web.i18n import translator
from web.pages.desk import own_resource
from web.pages.drawing import Drawing, Fields, FieldsAndFile, text, typed
from web.present import external
from web.reasons import beside
from web.views.frame import Area, FieldError, Form, Lang

router = APIRouter(prefix="/{lang}/desk/resources/{resource_id}/external")


@router.get("")
def page(pen: Drawing, resource_id: str, db: ReadDb, actor: SignedIn, now: Now, settings: Configured) -> Response:
    place = own_resource(db, actor, resource_id, Action.MANAGE_OUTAGES)
    return _page(pen, db, place, settings.calendar_minutes, now, Form())


def _page(pen: Drawing, db: Session, place: Resource, every_min: int, now: datetime, form: Form) -> Response:
    view = external.external(db, place, lang=pen.lang, every_min=every_min, now=now, form=form)
    return pen.page("external.html", view, status=422 if form.errors else 200, area=Area.DESK, zone=place.timezone)


@router.post("")
def connect(
    pen: Drawing, resource_id: str, sent: FieldsAndFile, db: Db, actor: SignedIn, now: Now, settings: Configured
) -> Response:
    place = own_resource(db, actor, resource_id, Action.MANAGE_OUTAGES)
    source = actions.Source(text(sent.fields, "url") or None, sent.file or None)
    try:
        with db.begin_nested():
            name = text(sent.fields, "name")
            actions.connect(db, resource_id=place.id, name=name, source=source, actor_id=actor.known_id, now=now)
    except (Invalid, Unreadable) as refusal:
        form = Form(typed(sent.fields), wrong(refusal, pen.lang))
        return _page(pen, db, place, settings.calendar_minutes, now, form)
    return pen.go(f"/desk/resources/{place.id}/external", "calendar_connected" if source.url else "calendar_read")


def wrong(refusal: Refusal, lang: Lang) -> Sequence[FieldError]:
    """What is wrong, beside its field."""
    if isinstance(refusal, Unreadable):
        return [FieldError("file", external.error_in_words(str(refusal.values["reason"]), None, lang))]
    return [FieldError(str(refusal.values["field"]), beside(refusal.values, translator(lang)))]


@router.post("/{calendar_id}/file")
def replace(
    pen: Drawing,
    resource_id: str,
    calendar_id: str,
    sent: FieldsAndFile,
    db: Db,
    actor: SignedIn,
    now: Now,
    settings: Configured,
) -> Response:
    place = own_resource(db, actor, resource_id, Action.MANAGE_OUTAGES)
    row = queries.get_calendar_of(db, place.id, calendar_id)
    try:
        with db.begin_nested():
            actions.replace_file(db, calendar_id=row.id, body=sent.file, actor_id=actor.known_id, now=now)
    except (Invalid, Unreadable) as refusal:
        return _page(pen, db, place, settings.calendar_minutes, now, Form({}, wrong(refusal, pen.lang)))
    return pen.go(f"/desk/resources/{place.id}/external", "calendar_read")


@router.post("/{calendar_id}/read")
def read(pen: Drawing, resource_id: str, calendar_id: str, _fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    place = own_resource(db, actor, resource_id, Action.MANAGE_OUTAGES)
    row = queries.get_calendar_of(db, place.id, calendar_id)
    actions.read_soon(db, calendar_id=row.id, now=now)
    return pen.go(f"/desk/resources/{place.id}/external", "calendar_soon")


@router.post("/{calendar_id}/disconnect")
def disconnect(pen: Drawing, resource_id: str, calendar_id: str, _fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    place = own_resource(db, actor, resource_id, Action.MANAGE_OUTAGES)
    row = queries.get_calendar_of(db, place.id, calendar_id)
    actions.disconnect(db, calendar_id=row.id, actor_id=actor.known_id, now=now)
    return pen.go(f"/desk/resources/{place.id}/external", "calendar_gone")
