"""The publisher's desk: today, a machine with five fields, its meters, review of use, income, members."""

from dataclasses import replace

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from billing import policy as policies
from billing import queries as bills
from booking import queries as booking
from booking.occupancy import Gap
from booking.rules.actions import RuleSet
from booking.tables import Approval
from evaluation.exports.cells import safe
from marketplace.catalogue import actions as listings
from marketplace.catalogue import queries as catalogue
from marketplace.catalogue.actions import Listing
from marketplace.ids import is_operator
from marketplace.money import Money
from marketplace.people import queries as people
from marketplace.permissions import Action, Actor, require
from marketplace.refusals import Invalid, NotFound, Stale, WrongState
from marketplace.tables import CustomerClass, Institution, Resource, ResourceKind
from web import listing
from web.deps import Db, Now, ReadDb, SignedIn, read_date
from web.pages.account import again
from web.pages.bookings import read_money
from web.pages.drawing import Drawing, Fields, number, text, typed
from web.pages.sheets import csv_file
from web.present import desk, opening, week
from web.present.income import IN_FILE, income
from web.refusals import status_of
from web.views.frame import Area, Form

router = APIRouter(prefix="/{lang}")
USUAL = RuleSet(step_min=30, min_min=60, max_min=24 * 60, horizon_days=90)


def house_of(db: Session, actor: Actor, asked: str) -> Institution:
    """The institution asked for, or the first the actor works for. Raises: NotFound."""
    own = actor.institutions()
    key = asked or min(own, default="")
    if not key and actor.is_operator:
        key = next((row.id for row in people.institutions(db)), "")
    if key not in own and not actor.is_operator:
        raise NotFound(kind="institution")
    return people.get_institution(db, key)


def own_resource(db: Session, actor: Actor, resource_id: str, action: Action) -> Resource:
    """Raises: NotFound for whoever does not work there, NotAllowed for staff without the role."""
    row = catalogue.get_resource(db, resource_id)
    if is_operator(row.id) or (row.institution_id not in actor.institutions() and not actor.is_operator):
        raise NotFound(kind="resource")
    require(actor, action, institution_id=row.institution_id)
    return row


@router.get("/desk")
def desk_page(pen: Drawing, db: ReadDb, actor: SignedIn, now: Now, institution: str = "") -> Response:
    house = house_of(db, actor, institution)
    view = desk.desk(db, house, actor, lang=pen.lang, now=now)
    return pen.page("desk.html", view, area=Area.DESK, zone=house.timezone)


@router.get("/desk/new")
def new_page(pen: Drawing, db: ReadDb, actor: SignedIn, institution: str = "") -> Response:
    house = house_of(db, actor, institution)
    require(actor, Action.LIST_RESOURCES, institution_id=house.id)
    return pen.page("machine_new.html", desk.new_machine(db, house, actor, pen.lang), area=Area.DESK)


@router.post("/desk/new")
def create(pen: Drawing, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    house = house_of(db, actor, text(fields, "institution_id"))
    require(actor, Action.LIST_RESOURCES, institution_id=house.id)
    try:
        with db.begin_nested():
            said = Listing(
                kind=kind_of(text(fields, "kind")),
                name=text(fields, "name"),
                timezone=house.timezone,
                price=price_of(fields),
                district=text(fields, "district") or house.district,
            )
            rules = replace(USUAL, hours=preset(text(fields, "hours")))
            row = listing.open_resource(
                db, institution_id=house.id, listing=said, rules_set=rules, policy=None, actor_id=actor.known_id, now=now
            )
    except Invalid as refusal:
        view = desk.new_machine(db, house, actor, pen.lang, again(pen, fields, refusal))
        return pen.page("machine_new.html", view, status=422, area=Area.DESK)
    return pen.go(f"/desk/resources/{row.id}/devices", "listed")


def preset(code: str) -> list[dict[str, int]]:
    """Hours of the five-field form."""
    return [dict(span) for span in opening.PRESETS.get(code, opening.PRESETS["workdays"])]


def kind_of(code: str) -> ResourceKind:
    """Raises: Invalid."""
    if code not in set(ResourceKind):
        raise Invalid(field="kind", reason="choose one of the list")
    return ResourceKind(code)


def price_of(fields: Fields, field: str = "price") -> Money:
    """Raises: Invalid."""
    try:
        price = read_money(text(fields, field), "CNY")
    except Invalid as refusal:
        raise Invalid(field=field, reason=str(refusal.values["reason"])) from refusal
    if price.minor < 0:
        raise Invalid(field=field, reason="is negative")
    return price


@router.get("/desk/resources/{resource_id}")
def machine_page(pen: Drawing, resource_id: str, db: ReadDb, actor: SignedIn, now: Now) -> Response:
    row = own_resource(db, actor, resource_id, Action.REVIEW_USE)
    return pen.page("machine.html", desk.machine(db, row, actor, lang=pen.lang, now=now), area=Area.DESK)


@router.post("/desk/resources/{resource_id}")
def edit(pen: Drawing, resource_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    row = own_resource(db, actor, resource_id, Action.LIST_RESOURCES)
    try:
        with db.begin_nested():
            listing.edit_resource(
                db,
                resource_id=row.id,
                listing=edited(row, fields),
                rules_set=edited_rules(db, row, fields),
                policy=edited_policy(db, row, fields),
                version=number(fields, "version"),
                actor_id=actor.known_id,
                now=now,
            )
    except opening.WrongHours as refusal:
        form = Form(typed(fields), week.errors(refusal, pen.lang))
        view = desk.machine(db, catalogue.get_resource(db, resource_id), actor, lang=pen.lang, now=now, form=form)
        return pen.page("machine.html", view, status=422, area=Area.DESK)
    except (Invalid, Stale) as refusal:
        form = again(pen, fields, refusal)
        view = desk.machine(db, catalogue.get_resource(db, resource_id), actor, lang=pen.lang, now=now, form=form)
        return pen.page("machine.html", view, status=status_of(refusal), area=Area.DESK)
    return pen.go(f"/desk/resources/{resource_id}", "saved")


def edited(row: Resource, fields: Fields) -> Listing:
    """The listing as typed; what the page does not show stays. Raises: Invalid."""
    value = text(fields, "value")
    return Listing(
        kind=kind_of(text(fields, "kind")),
        name=text(fields, "name"),
        timezone=row.timezone,
        price=price_of(fields),
        name_en=text(fields, "name_en") or None,
        summary=text(fields, "summary") or None,
        summary_en=text(fields, "summary_en") or None,
        tags=row.tags,
        icon=row.icon,
        chain=text(fields, "chain") or None,
        district=text(fields, "district") or None,
        address=text(fields, "address") or None,
        capacity=number(fields, "capacity", 1),
        parent_id=text(fields, "parent_id") or None if "parent_id" in fields else row.parent_id,
        quota_hours=number(fields, "quota_hours", 0) or None,
        value_minor=number(fields, "value") * 100 if value else None,
        commissioned_on=read_date("commissioned_on", text(fields, "commissioned_on"))
        if "commissioned_on" in fields
        else row.commissioned_on,
    )


def edited_rules(db: Session, row: Resource, fields: Fields) -> RuleSet:
    """The rules as typed; opening hours that were not sent stay. Raises: Invalid, WrongHours."""
    present = booking.rules_of(db, row.id)
    counts = {name: number(fields, name, getattr(present, name)) for name in desk.NUMBERS}
    approval = text(fields, "approval") or present.approval.value
    gap = text(fields, "buffer_mode") or present.buffer_mode.value
    return RuleSet(
        hours=[dict(span) for span in opening.chosen_hours(present.hours, typed(fields))],
        buffer_mode=Gap(gap) if gap in set(Gap) else present.buffer_mode,
        approval=Approval(approval) if approval in set(Approval) else present.approval,
        **counts,
    )


def edited_policy(db: Session, row: Resource, fields: Fields) -> dict[str, object] | None:
    """The policy with prices by customer class as typed; None where nothing of it changes. Raises: Invalid."""
    present = policies.as_json(bills.policy_of(db, row.id))
    named = [kind for kind in CustomerClass if f"price_{kind.value}" in fields]
    if not named:
        return None
    prices = {k.value: price_of(fields, f"price_{k.value}").minor for k in named if text(fields, f"price_{k.value}")}
    return {**present, "class_prices": prices} if prices != present.get("class_prices", {}) else None


STEPS = {
    "publish": (listings.publish, "published"),
    "pause": (listings.pause, "paused"),
}


@router.post("/desk/resources/{resource_id}/{step}")
def change_state(pen: Drawing, resource_id: str, step: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    if step not in STEPS:
        raise NotFound(kind="page")
    row = own_resource(db, actor, resource_id, Action.LIST_RESOURCES)
    act, done = STEPS[step]
    try:
        act(db, resource_id=row.id, actor_id=actor.known_id, now=now)
    except WrongState as refusal:
        view = desk.machine(db, row, actor, lang=pen.lang, now=now, form=again(pen, fields, refusal))
        return pen.page("machine.html", view, status=409, area=Area.DESK)
    return pen.go(f"/desk/resources/{resource_id}", done)


@router.get("/desk/use")
def use_page(pen: Drawing, db: ReadDb, actor: SignedIn, now: Now, institution: str = "") -> Response:
    house = house_of(db, actor, institution)
    require(actor, Action.REVIEW_USE, institution_id=house.id)
    return pen.page("use_review.html", desk.use_review(db, house, actor, lang=pen.lang, now=now), area=Area.DESK)


@router.get("/desk/income")
def income_page(pen: Drawing, db: ReadDb, actor: SignedIn, now: Now, institution: str = "") -> Response:
    house = house_of(db, actor, institution)
    require(actor, Action.HANDLE_MONEY, institution_id=house.id)
    return pen.page("income.html", income(db, house, actor, lang=pen.lang, now=now), area=Area.DESK)


@router.get("/desk/income.csv")
def income_csv(pen: Drawing, db: ReadDb, actor: SignedIn, now: Now, institution: str = "") -> Response:
    house = house_of(db, actor, institution)
    require(actor, Action.HANDLE_MONEY, institution_id=house.id)
    found = income(db, house, actor, lang=pen.lang, now=now, most=IN_FILE)
    head = ("number", "issued", "customer", "equipment", "charge", "open", "currency", "state")
    rows = ((row.number, row.issued_on, safe(row.customer), safe(row.resource), *row.amounts, row.state) for row in found.rows)
    return csv_file(f"income-{house.id}.csv", head, rows)
