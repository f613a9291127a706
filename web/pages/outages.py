"""Outages of a piece of equipment: what is entered, and entering one after seeing which bookings it meets."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from booking.actions import CancelledBy
from booking.outages import actions
from booking.tables import Booking
from marketplace.people.text import clean
from marketplace.permissions import Action, Actor
from marketplace.refusals import Invalid
from marketplace.slot import Slot
from marketplace.tables import Resource
from web import checkout
from web.deps import Db, Now, ReadDb, SignedIn
from web.i18n import translator
from web.pages.desk import own_resource
from web.pages.drawing import Drawing, Fields, text, typed
from web.present import outages
from web.views.frame import Area, FieldError, Form, Lang

router = APIRouter(prefix="/{lang}/desk/resources/{resource_id}/outages")
FARTHEST = timedelta(days=730)
LONGEST_REASON = 1000
PLANS = ("keep", "cancel")


@dataclass(frozen=True, slots=True)
class Wish:
    """An outage as it was asked for."""

    slot: Slot
    planned: bool
    reason: str


@router.get("")
def page(pen: Drawing, resource_id: str, db: ReadDb, actor: SignedIn, now: Now) -> Response:
    place = own_resource(db, actor, resource_id, Action.REVIEW_USE)
    view = outages.outages(db, place, actor, lang=pen.lang, now=now)
    return pen.page("outages.html", view, area=Area.DESK, zone=place.timezone)


@router.post("")
def enter(pen: Drawing, resource_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    place = own_resource(db, actor, resource_id, Action.MANAGE_OUTAGES)
    wish = read_wish(fields, place, pen.lang, now)
    if not isinstance(wish, Wish):
        view = outages.outages(db, place, actor, lang=pen.lang, now=now, form=Form(typed(fields), wish))
        return pen.page("outages.html", view, status=422, area=Area.DESK, zone=place.timezone)
    met = actions.affected_by(db, resource_id=place.id, slot=wish.slot)
    if met and not decided(fields, met):
        view = outages.outages(db, place, actor, lang=pen.lang, now=now, met=met, form=Form(typed(fields)))
        return pen.page("outages.html", view, status=409, area=Area.DESK, zone=place.timezone)
    record(db, place, wish, met if text(fields, "plan") == "cancel" else [], actor, now)
    return pen.go(f"/desk/resources/{place.id}/outages", "outage")


def decided(fields: Fields, met: Sequence[Booking]) -> bool:
    """Whether the person chose what becomes of exactly these bookings."""
    return text(fields, "plan") in PLANS and set(text(fields, "seen").split()) == {row.id for row in met}


def record(db: Session, place: Resource, wish: Wish, cancelled: Sequence[Booking], actor: Actor, now: datetime) -> None:
    """The outage; of the bookings named, those that have not begun are cancelled at the institution's cost."""
    for row in cancelled:
        if row.starts_at > now:
            checkout.cancel(db, actor=actor, booking_id=row.id, now=now, by=CancelledBy.PROVIDER)
    actions.record_outage(
        db,
        resource_id=place.id,
        slot=wish.slot,
        planned=wish.planned,
        reason=wish.reason,
        actor_id=actor.known_id,
        now=now,
    )


def read_wish(fields: Fields, place: Resource, lang: Lang, now: datetime) -> Wish | list[FieldError]:
    """What was asked for, or what is wrong with each field."""
    _ = translator(lang)
    start, end = (wall_clock(text(fields, name), ZoneInfo(place.timezone)) for name in ("start", "end"))
    errors = []
    for name, at in (("start", start), ("end", end)):
        if at is None:
            errors.append(FieldError(name, _("This is no date and time of this place. Choose both the day and the hour.")))
        elif abs(at - now) > FARTHEST:
            errors.append(FieldError(name, _("This is more than two years away. Choose a nearer day.")))
    if start and end and end <= start:
        errors.append(FieldError("end", _("It ends before it begins. Choose a later end.")))
    reason = ""
    try:
        reason = clean(" ".join(text(fields, "reason").split()), field="reason", longest=LONGEST_REASON)
    except Invalid:
        errors.append(FieldError("reason", _("Say in 1 to 1,000 characters why it cannot be used.")))
    if errors or start is None or end is None:
        return errors
    return Wish(Slot(start, end), text(fields, "kind") != "breakdown", reason)


def wall_clock(typed_text: str, zone: ZoneInfo) -> datetime | None:
    """The instant of a local date and time; None for what is none, or falls into a skipped hour.

    >>> wall_clock("2026-11-25T15:30", ZoneInfo("Asia/Shanghai"))
    datetime.datetime(2026, 11, 25, 7, 30, tzinfo=datetime.timezone.utc)
    >>> wall_clock("2026-03-29T02:30", ZoneInfo("Europe/Berlin")), wall_clock("tomorrow", ZoneInfo("UTC"))
    (None, None)
    """
    try:
        local = datetime.fromisoformat(typed_text)
        at = local.replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return at if local.tzinfo is None and at.astimezone(zone).replace(tzinfo=None) == local else None
