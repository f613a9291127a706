"""Statements of use: reading, making and answering them, and the house's queue of uses that need a person."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session
from starlette.datastructures import FormData

from booking.tables import Booking
from devices import confirming
from devices.attestations import queries
from devices.attestations.actions import Wish
from devices.attestations.statements import Side
from marketplace.catalogue import queries as catalogue
from marketplace.permissions import Action, Actor, require
from marketplace.refusals import Invalid, Refusal, WrongState
from marketplace.slot import Slot
from web import attesting
from web.api.attestations import download
from web.deps import Db, Now, ReadDb, SignedIn
from web.i18n import Formats, translator
from web.pages.desk import house_of
from web.pages.drawing import Drawing, Fields, FieldsAndFile, text, typed
from web.present import attestations
from web.reasons import beside, sentence
from web.refusals import status_of
from web.views.frame import Area, FieldError, Form, Lang
from web.wall import moments

router = APIRouter(prefix="/{lang}")


@router.get("/desk/problems")
def problems(
    pen: Drawing, db: ReadDb, actor: SignedIn, institution: str = "", cursor: Annotated[int, Query(ge=0, le=10**6)] = 0
) -> Response:
    house = house_of(db, actor, institution)
    require(actor, Action.REVIEW_USE, institution_id=house.id)
    view = attestations.problems(db, house, actor, lang=pen.lang, before=cursor)
    return pen.page("problems.html", view, area=Area.DESK, zone=house.timezone)


@router.get("/bookings/{booking_id}/attestations")
def page(pen: Drawing, booking_id: str, db: ReadDb, actor: SignedIn) -> Response:
    return drawn(pen, db, actor, queries.get_booking_for(db, actor, booking_id))


def drawn(pen: Drawing, db: Session, actor: Actor, row: Booking, form: Form | None = None, status: int = 200) -> Response:
    view = attestations.view(db, row, actor=actor, lang=pen.lang, form=form)
    return pen.page("attestations.html", view, status=status, area=Area.BOOKINGS, zone=view.zone)


@router.post("/bookings/{booking_id}/attestations")
def state(pen: Drawing, booking_id: str, sent: FieldsAndFile, db: Db, actor: SignedIn, now: Now) -> Response:
    row = queries.get_booking_for(db, actor, booking_id)
    zone = catalogue.get_resource(db, row.resource_id).timezone
    try:
        with db.begin_nested():
            wish = read_wish(db, actor, row, sent.fields, sent.file, zone)
            attesting.state(db, actor=actor, booking=row, wish=wish, now=now)
    except (Invalid, WrongState) as refusal:
        form = Form(typed(sent.fields), (wrong(refusal, zone, pen.lang),))
        return drawn(pen, db, actor, row, form, status_of(refusal))
    return pen.go(f"/bookings/{row.id}/attestations", "use_stated")


def read_wish(db: Session, actor: Actor, row: Booking, fields: FormData, file: bytes, zone: str) -> Wish:
    """Raises: Invalid, NotAllowed."""
    asked = text(fields, "side")
    side = attesting.side_for(actor, row, Side(asked) if asked in set(Side) else None)
    unused = text(fields, "used") == "0"
    stretches = [] if unused else read_stretches(fields, confirming.reach(row), ZoneInfo(zone))
    return Wish(side, stretches, unused, file, text(fields, "note") or None)


def read_stretches(fields: FormData, reach: Slot, zone: ZoneInfo) -> list[Slot]:
    """The rows that were filled in, each with both ends; of a time that comes twice the one near the booking. Raises: Invalid."""
    found = []
    for names in attestations.STRETCHES:
        given = [text(fields, name) for name in names]
        if not any(given):
            continue
        start, end = (_nearest(moments(one, zone), reach) for one in given)
        if start is None or end is None:
            raise Invalid(field="stretches", reason="not a time")
        if end <= start:
            raise Invalid(field="stretches", reason="not after start")
        found.append(Slot(start, end))
    return found


def _nearest(found: Sequence[datetime], reach: Slot) -> datetime | None:
    return next((at for at in found if reach.start <= at <= reach.end), found[0] if found else None)


def wrong(refusal: Refusal, zone: str, lang: Lang) -> FieldError:
    """In words, with the times of the equipment's own clock."""
    if not isinstance(refusal, Invalid):
        return FieldError("", sentence(refusal.code, refusal.values, translator(lang)))
    formats, values = Formats(lang), dict(refusal.values)
    for name in ("since", "until"):
        if name in values:
            values[name] = formats.moment(datetime.fromisoformat(str(values[name])), zone)
    return FieldError(str(values["field"]), beside(values, translator(lang)))


@router.post("/attestations/{attestation_id}/{answer}")
def answer(pen: Drawing, attestation_id: str, answer: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """Sign, decline or withdraw; what is not open any more, or lacks a reason, is told on the page."""
    asked, row = queries.get_attestation_for(db, actor, attestation_id)
    try:
        with db.begin_nested():
            _answer(db, actor, asked.id, answer, text(fields, "reason"), now)
    except (Invalid, WrongState) as refusal:
        zone = catalogue.get_resource(db, row.resource_id).timezone
        return drawn(pen, db, actor, row, Form(typed(fields), (wrong(refusal, zone, pen.lang),)), status_of(refusal))
    return pen.go(f"/bookings/{row.id}/attestations", f"use_{answer}")


def _answer(db: Session, actor: Actor, attestation_id: str, answer: str, reason: str, now: datetime) -> None:
    """Raises: Invalid (none of the three), NotFound, NotAllowed, WrongState."""
    if answer == "sign":
        attesting.sign(db, actor=actor, attestation_id=attestation_id, now=now)
    elif answer == "decline":
        attesting.decline(db, actor=actor, attestation_id=attestation_id, reason=reason, now=now)
    elif answer == "withdraw":
        attesting.withdraw(db, actor=actor, attestation_id=attestation_id, now=now)
    else:
        raise Invalid(field="answer", reason="choose one of the list")


@router.get("/attestations/{attestation_id}/document")
def document(attestation_id: str, db: ReadDb, actor: SignedIn) -> Response:
    return download(db, actor, attestation_id)
