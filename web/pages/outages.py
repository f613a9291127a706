"""Outages of a piece of equipment: what is entered, and entering one after seeing which bookings it meets."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Response

from booking.outages.plans import Proposal, Step
from marketplace.people.text import clean
from marketplace.permissions import Action
from marketplace.refusals import Invalid, Stale, WrongState
from marketplace.slot import Slot
from marketplace.tables import Resource
from web.deps import Db, Now, ReadDb, SignedIn
from web.i18n import translator
from web.outages import PlannedOutage, PlanRefused, propose, record_outage
from web.pages import outage_changes
from web.pages.desk import own_resource
from web.pages.drawing import Drawing, Fields, text, typed
from web.pages.outage_changes import Change, Said
from web.present import outages
from web.present.turns import errors_of
from web.refusals import status_of
from web.views.frame import Area, FieldError, Form, Lang
from web.wall import find_moment

router = APIRouter(prefix="/{lang}/desk/resources/{resource_id}/outages")
FARTHEST = timedelta(days=730)
LONGEST_REASON = 1000
PLANS = ("proposed", "keep", "cancel")


@router.get("")
def page(pen: Drawing, resource_id: str, db: ReadDb, actor: SignedIn, now: Now) -> Response:
    place = own_resource(db, actor, resource_id, Action.REVIEW_USE)
    view = outages.outages(db, place, actor, lang=pen.lang, now=now)
    return pen.page("outages.html", view, area=Area.DESK, zone=place.timezone)


@router.post("")
def enter(pen: Drawing, resource_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    place = own_resource(db, actor, resource_id, Action.MANAGE_OUTAGES)
    wish = read_wish(fields, place, pen.lang, now)
    if not isinstance(wish, PlannedOutage):
        view = outages.outages(db, place, actor, lang=pen.lang, now=now, form=Form(typed(fields), wish))
        return pen.page("outages.html", view, status=422, area=Area.DESK, zone=place.timezone)
    met = propose(db, actor=actor, resource_id=place.id, slot=wish.slot, now=now)
    if met and not decided(fields, met):
        view = outages.outages(db, place, actor, lang=pen.lang, now=now, met=met, form=Form(typed(fields)))
        return pen.page("outages.html", view, status=409, area=Area.DESK, zone=place.timezone)
    plan = chosen(text(fields, "plan"), met)
    try:
        with db.begin_nested():
            record_outage(db, actor=actor, resource_id=place.id, outage=wish, plan=plan, now=now)
    except (Invalid, PlanRefused, Stale, WrongState) as refusal:
        form = Form(typed(fields), outages.refused(db, refusal, zone=place.timezone, lang=pen.lang))
        view = outages.outages(db, place, actor, lang=pen.lang, now=now, met=met, form=form)
        return pen.page("outages.html", view, status=status_of(refusal), area=Area.DESK, zone=place.timezone)
    return pen.go(f"/desk/resources/{place.id}/outages", "outage")


@router.post("/{outage_id}/{step}")
def change(
    pen: Drawing, resource_id: str, outage_id: str, step: Change, fields: Fields, db: Db, actor: SignedIn, now: Now
) -> Response:
    """It is over, ends earlier, or is withdrawn."""
    place = own_resource(db, actor, resource_id, Action.MANAGE_OUTAGES)
    said = Said(place.id, outage_id, step, place.timezone)
    done = outage_changes.change(pen, fields, db, actor, said, now)
    if isinstance(done, Response):
        return done
    view = outages.outages(db, place, actor, lang=pen.lang, now=now, form=done.form)
    return pen.page("outages.html", view, status=done.status, area=Area.DESK, zone=place.timezone)


def decided(fields: Fields, met: Sequence[Proposal]) -> bool:
    """Whether the person chose what becomes of exactly these bookings, by exactly these steps."""
    seen = set(text(fields, "seen").split()) == {one.booking.id for one in met}
    same = text(fields, "plan") != "proposed" or text(fields, "proposed") == outages.tokens(met)
    return text(fields, "plan") in PLANS and seen and same


def chosen(plan: str, met: Sequence[Proposal]) -> list[Proposal]:
    """What has begun stays; the others are kept, cancelled free of charge, or what was proposed happens."""
    if plan == "proposed":
        return list(met)
    return [Proposal(one.booking, Step.KEEP if one.step is Step.KEEP else Step(plan)) for one in met]


def read_wish(fields: Fields, place: Resource, lang: Lang, now: datetime) -> PlannedOutage | list[FieldError]:
    """What was asked for, or what is wrong with each field."""
    _ = translator(lang)
    form = Form(typed(fields))
    errors, zone = errors_of(form, place.timezone, lang), ZoneInfo(place.timezone)
    start, end = (find_moment(form.values, name, zone) for name in ("start", "end"))
    for name, at in (("start", start), ("end", end)):
        if at and abs(at - now) > FARTHEST:
            errors.append(FieldError(name, _("This is more than two years away. Choose a nearer day.")))
    reason = ""
    try:
        reason = clean(" ".join(text(fields, "reason").split()), field="reason", longest=LONGEST_REASON)
    except Invalid:
        errors.append(FieldError("reason", _("Say in 1 to 1,000 characters why it cannot be used.")))
    if errors or start is None or end is None:
        return errors
    return PlannedOutage(Slot(start, end), text(fields, "kind") != "breakdown", reason)
