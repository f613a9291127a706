"""The desk's pages of qualifications and operators."""

from zoneinfo import ZoneInfo

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from booking import queries as booking
from booking.operators import actions as staff
from booking.operators import queries as operators
from booking.operators.tables import Operator
from booking.qualifications import actions, queries
from booking.qualifications.actions import Named
from booking.qualifications.tables import Qualification
from marketplace.people import queries as people
from marketplace.people.text import clean
from marketplace.permissions import Action, Actor, require
from marketplace.refusals import Invalid, NotFound, WrongState
from marketplace.tables import Institution
from web.deps import Db, Now, ReadDb, SignedIn, read_date
from web.pages import outage_changes
from web.pages.account import again
from web.pages.desk import house_of, preset
from web.pages.drawing import Drawing, Fields, number, text, typed
from web.pages.outage_changes import Change, Said
from web.present import opening, training, week
from web.views.frame import Area, Form
from web.wall import read_slot

router = APIRouter(prefix="/{lang}/desk")


@router.get("/training")
def page(pen: Drawing, db: ReadDb, actor: SignedIn, now: Now, institution: str = "") -> Response:
    house = house_of(db, actor, institution)
    require(actor, Action.TRAIN_PEOPLE, institution_id=house.id)
    view = training.training(db, house, actor, lang=pen.lang, now=now)
    return pen.page("training.html", view, area=Area.DESK, zone=house.timezone)


@router.post("/training")
def define(pen: Drawing, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    house = house_of(db, actor, text(fields, "institution_id"))
    require(actor, Action.LIST_RESOURCES, institution_id=house.id)
    levels = [_named(line) for line in text(fields, "levels").splitlines() if line.strip()]
    kind = Named(text(fields, "name"), text(fields, "name_en") or None)
    try:
        with db.begin_nested():
            actions.define(db, institution_id=house.id, kind=kind, levels=levels, actor_id=actor.known_id, now=now)
    except Invalid as refusal:
        view = training.training(db, house, actor, lang=pen.lang, now=now, form=again(pen, fields, refusal))
        return pen.page("training.html", view, status=422, area=Area.DESK, zone=house.timezone)
    return pen.go(f"/desk/training?institution={house.id}", "kind_defined")


def _named(line: str) -> Named:
    """A level as typed: the name, and the English one behind a slash."""
    name, _, name_en = line.replace("／", "/").partition("/")
    return Named(name.strip(), name_en.strip() or None)


@router.post("/training/{qualification_id}/grants")
def grant(pen: Drawing, qualification_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    row, house = _trained(db, actor, qualification_id)
    try:
        with db.begin_nested():
            actions.grant(
                db,
                qualification_id=row.id,
                email=text(fields, "email"),
                level=number(fields, "level"),
                valid_until=read_date("valid_until", text(fields, "valid_until")),
                actor_id=actor.known_id,
                now=now,
            )
    except Invalid as refusal:
        view = training.training(db, house, actor, lang=pen.lang, now=now, at=row.id, form=again(pen, fields, refusal))
        return pen.page("training.html", view, status=422, area=Area.DESK, zone=house.timezone)
    return pen.go(f"/desk/training?institution={house.id}", "granted")


@router.post("/training/grants/{grant_id}/revoke")
def revoke(pen: Drawing, grant_id: str, _fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    _row, house = _trained(db, actor, queries.get_grant(db, grant_id).qualification_id)
    actions.revoke(db, grant_id=grant_id, actor_id=actor.known_id, now=now)
    return pen.go(f"/desk/training?institution={house.id}", "taken_back")


def _trained(db: Session, actor: Actor, qualification_id: str) -> tuple[Qualification, Institution]:
    """Raises: NotFound for whoever does not work there, NotAllowed."""
    row = queries.get_qualification(db, qualification_id)
    if row.institution_id not in actor.institutions() and not actor.is_operator:
        raise NotFound(kind="qualification")
    require(actor, Action.TRAIN_PEOPLE, institution_id=row.institution_id)
    return row, people.get_institution(db, row.institution_id)


@router.get("/operators")
def operators_page(pen: Drawing, db: ReadDb, actor: SignedIn, now: Now, institution: str = "") -> Response:
    house = house_of(db, actor, institution)
    require(actor, Action.REVIEW_USE, institution_id=house.id)
    view = training.desk_of_operators(db, house, actor, lang=pen.lang, now=now)
    return pen.page("operators.html", view, area=Area.DESK, zone=house.timezone)


@router.post("/operators")
def add(pen: Drawing, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    house = house_of(db, actor, text(fields, "institution_id"))
    require(actor, Action.LIST_RESOURCES, institution_id=house.id)
    try:
        with db.begin_nested():
            hours = preset(text(fields, "hours"))
            staff.add_operator(
                db, institution_id=house.id, person_id=text(fields, "person_id"), hours=hours, actor_id=actor.known_id, now=now
            )
    except Invalid as refusal:
        view = training.desk_of_operators(db, house, actor, lang=pen.lang, now=now, form=again(pen, fields, refusal))
        return pen.page("operators.html", view, status=422, area=Area.DESK, zone=house.timezone)
    return pen.go(f"/desk/operators?institution={house.id}", "operator_added")


@router.get("/operators/{operator_id}")
def operator_page(pen: Drawing, operator_id: str, db: ReadDb, actor: SignedIn, now: Now) -> Response:
    row, house = _own(db, actor, operator_id, Action.REVIEW_USE)
    view = training.one_operator(db, row, house, actor, lang=pen.lang, now=now)
    return pen.page("operator_hours.html", view, area=Area.DESK, zone=house.timezone)


@router.post("/operators/{operator_id}")
def change_hours(pen: Drawing, operator_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    row, house = _own(db, actor, operator_id, Action.LIST_RESOURCES)
    try:
        hours = opening.chosen_hours(booking.rules_of(db, row.id).hours, typed(fields))
        staff.change_hours(db, operator_id=row.id, hours=[dict(span) for span in hours], actor_id=actor.known_id, now=now)
    except opening.WrongHours as refusal:
        form = Form(typed(fields), week.errors(refusal, pen.lang))
        view = training.one_operator(db, row, house, actor, lang=pen.lang, now=now, form=form)
        return pen.page("operator_hours.html", view, status=422, area=Area.DESK, zone=house.timezone)
    return pen.go(f"/desk/operators/{row.id}", "saved")


@router.post("/operators/{operator_id}/absences")
def absence(pen: Drawing, operator_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """Entered at once; bookings for which nobody else is free are named, and keep this operator."""
    row, house = _own(db, actor, operator_id, Action.MANAGE_OUTAGES)
    try:
        slot = read_slot(typed(fields), ZoneInfo(house.timezone))
        reason = clean(text(fields, "reason"), field="reason", longest=1000)
        found = staff.record_absence(db, operator_id=row.id, slot=slot, reason=reason, actor_id=actor.known_id, now=now)
    except Invalid as refusal:
        view = training.one_operator(db, row, house, actor, lang=pen.lang, now=now, form=again(pen, fields, refusal))
        return pen.page("operator_hours.html", view, status=422, area=Area.DESK, zone=house.timezone)
    if not found.uncovered:
        return pen.go(f"/desk/operators/{row.id}", "absence")
    view = training.one_operator(db, row, house, actor, lang=pen.lang, now=now, uncovered=found.uncovered)
    return pen.page("operator_hours.html", view, area=Area.DESK, zone=house.timezone)


@router.post("/operators/{operator_id}/absences/{outage_id}/{step}")
def change_absence(
    pen: Drawing, operator_id: str, outage_id: str, step: Change, fields: Fields, db: Db, actor: SignedIn, now: Now
) -> Response:
    """Back now or earlier than was thought, or not away at all."""
    row, house = _own(db, actor, operator_id, Action.MANAGE_OUTAGES)
    done = outage_changes.change(pen, fields, db, actor, Said(row.id, outage_id, step, house.timezone), now)
    if isinstance(done, Response):
        return done
    view = training.one_operator(db, row, house, actor, lang=pen.lang, now=now, form=done.form)
    return pen.page("operator_hours.html", view, status=done.status, area=Area.DESK, zone=house.timezone)


@router.post("/operators/{operator_id}/leave")
def leave(pen: Drawing, operator_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    row, house = _own(db, actor, operator_id, Action.LIST_RESOURCES)
    try:
        with db.begin_nested():
            staff.remove_operator(db, operator_id=row.id, actor_id=actor.known_id, now=now)
    except WrongState as refusal:
        view = training.one_operator(db, row, house, actor, lang=pen.lang, now=now, form=again(pen, fields, refusal))
        return pen.page("operator_hours.html", view, status=409, area=Area.DESK, zone=house.timezone)
    return pen.go(f"/desk/operators?institution={house.id}", "operator_left")


def _own(db: Session, actor: Actor, operator_id: str, action: Action) -> tuple[Operator, Institution]:
    """Raises: NotFound for whoever does not work there, NotAllowed."""
    row = operators.get_operator(db, operator_id)
    if row.institution_id not in actor.institutions() and not actor.is_operator:
        raise NotFound(kind="operator")
    require(actor, action, institution_id=row.institution_id)
    return row, people.get_institution(db, row.institution_id)
