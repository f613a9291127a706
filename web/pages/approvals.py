"""Answers to requests: one or several at once, each with a verdict of its own."""

from datetime import datetime

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from booking import actions, queries
from booking.places import lock_places
from booking.tables import Booking
from marketplace.permissions import Action, Actor, require
from marketplace.refusals import Invalid, NotFound, Stale, WrongState
from marketplace.tables import Institution
from web import checkout
from web.deps import Db, Now, ReadDb, SignedIn
from web.i18n import translator
from web.pages.desk import house_of
from web.pages.drawing import Drawing, Fields, text
from web.present import approvals
from web.views.approvals import Answered
from web.views.frame import Area, Lang

router = APIRouter(prefix="/{lang}/desk/requests")
ANSWERS = ("approve", "refuse")


@router.get("")
def page(pen: Drawing, db: ReadDb, actor: SignedIn, now: Now, institution: str = "") -> Response:
    house = house_of(db, actor, institution)
    require(actor, Action.DECIDE_BOOKINGS, institution_id=house.id)
    view = approvals.view(db, house, actor, lang=pen.lang, now=now)
    return pen.page("approvals.html", view, area=Area.DESK, zone=house.timezone)


@router.post("")
def answer(pen: Drawing, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """What can be answered is; who came too late, or looked at what has changed since, is told of each."""
    house = house_of(db, actor, text(fields, "institution"))
    require(actor, Action.DECIDE_BOOKINGS, institution_id=house.id)
    kind, chosen = read_answer(fields)
    asked = [(own_request(db, actor, house, booking_id), version) for booking_id, version in chosen]
    lock_places(db, {row.resource_id for row, _ in asked})
    said = {row.id: text(fields, f"reason-{row.id}") or text(fields, "reason") for row, _ in asked}
    told = [decide(db, actor, row, version, kind, said[row.id], lang=pen.lang, now=now) for row, version in asked]
    view = approvals.view(db, house, actor, lang=pen.lang, now=now, answered=told)
    status = 200 if any(one.done for one in told) else 409 if told else 422
    return pen.page("approvals.html", view, status=status, area=Area.DESK, zone=house.timezone)


def read_answer(fields: Fields) -> tuple[str, list[tuple[str, int]]]:
    """Which answer to which requests, as `id:version`: a row's own button, or the one for all that are ticked.

    Raises: Invalid.
    """
    kind = next((one for one in ANSWERS if one in fields), text(fields, "answer"))
    if kind not in ANSWERS:
        raise Invalid(field="answer", reason="choose one of the list")
    given = [text(fields, kind)] if kind in fields else [one for one in fields.getlist("booking") if isinstance(one, str)]
    return kind, [read_mark(one) for one in dict.fromkeys(given[: approvals.MOST])]


def read_mark(mark: str) -> tuple[str, int]:
    """Raises: Invalid."""
    booking_id, _, version = mark.partition(":")
    if not version.isascii() or not version.isdigit() or len(version) > 12:
        raise Invalid(field="version", reason="a whole number is needed")
    return booking_id, int(version)


def own_request(db: Session, actor: Actor, house: Institution, booking_id: str) -> Booking:
    """Raises: NotFound."""
    row = queries.get_booking_for(db, actor, booking_id)
    if row.institution_id != house.id:
        raise NotFound(kind="booking")
    return row


def decide(
    db: Session, actor: Actor, row: Booking, version: int, kind: str, reason: str, *, lang: Lang, now: datetime
) -> Answered:
    """One answer; who declines says why."""
    _ = translator(lang)
    done = _("Approved; the customer is told.") if kind == "approve" else _("Declined; the customer is told.")
    try:
        with db.begin_nested():
            db.refresh(row)
            if row.version != version:
                raise Stale(version=row.version)
            if kind == "approve":
                actions.approve(db, booking_id=row.id, actor_id=actor.known_id, now=now)
            else:
                checkout.refuse(db, actor=actor, booking_id=row.id, reason=_told(reason), now=now)
    except (WrongState, Stale, Invalid) as refusal:
        return approvals.answer_of(db, row, refusal, done, lang)
    return approvals.answer_of(db, row, None, done, lang)


def _told(reason: str) -> str:
    """Raises: Invalid."""
    if not reason:
        raise Invalid(field="reason", reason="say why, the customer reads it")
    return reason
