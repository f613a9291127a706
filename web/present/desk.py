"""The publisher's desk: what runs, what comes, what waits for a person, what was used and earned."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing import queries as bills
from billing.quotes.queries import class_prices_of
from billing.tables import Statement, StatementState
from booking import queries as booking
from booking.availability import local_day
from booking.lines.queries import kin_of
from booking.occupancy import Gap
from booking.states import BookingState
from booking.tables import Booking
from devices import queries as devices
from devices.discrepancies.queries import known_runs, known_sessions
from devices.flags import queries as flags
from devices.live import queries as sensing
from devices.tables import ConfirmedUse
from marketplace.catalogue import queries as catalogue
from marketplace.money import Money
from marketplace.people import queries as people
from marketplace.permissions import Action, Actor, may
from marketplace.slot import Slot, total
from marketplace.tables import Institution, ListingState, Resource, ResourceKind
from web.i18n import translations, translator
from web.labels import word
from web.present import names, week
from web.present.bookings import run_row
from web.present.opening import as_fields
from web.present.search import ICONS
from web.views.desk import (
    DeskView,
    LineRow,
    MachineView,
    NewMachineView,
    NowRow,
    ToDo,
    UnbookedRow,
    UseReviewView,
    UseRow,
)
from web.views.frame import EMPTY_FORM, Choice, Form, Lang, Live

WEEK = timedelta(days=7)
REVIEWED = timedelta(days=30)
AHEAD = timedelta(days=60)
MOST_ROWS = 200


def desk(session: Session, house: Institution, actor: Actor, *, lang: Lang, now: datetime) -> DeskView:
    rows = standing(session, house.id, now)
    live = names.live_of(session, [row.id for row in rows], now=now)
    zone = ZoneInfo(house.timezone)
    today = local_day(now.astimezone(zone).date(), zone)
    ahead = booking.bookings_of_institutions(session, [house.id], within=Slot(now, now + AHEAD))
    who = customers(session, ahead)
    places = {row.id: row for row in rows}
    shown = [_now_row(row, places, who, live, lang) for row in ahead if row.resource_id in places]
    below = sensing.meters_below(session, [row.id for row in rows])
    lines = [_line(session, row, live[row.id], sum(below[row.id].values()), now, lang) for row in rows]
    base = f"/{lang.value}/desk"
    return DeskView(
        institution=names.name_of(house, lang),
        institution_id=house.id,
        institutions=own_institutions(session, actor, house.id, lang),
        now=now,
        zone=house.timezone,
        running=[row for row in shown if row.state == "confirmed" and row.slot.start <= now],
        arriving=[row for row in shown if row.state == "confirmed" and now < row.slot.start < today.end],
        requests=[row for row in shown if row.state == "requested"],
        todo=[
            one
            for one in _todo(session, house, rows, lines, shown, now, base)
            if one.count and may(actor, ANSWERED_BY[one.code], institution_id=house.id)
        ],
        lines=lines,
        can_list=may(actor, Action.LIST_RESOURCES, institution_id=house.id),
        can_open=may(actor, Action.REVIEW_USE, institution_id=house.id),
        can_decide=may(actor, Action.DECIDE_BOOKINGS, institution_id=house.id),
        menu=menu(actor, house.id),
        live_url=f"/{lang.value}/live?ids={','.join(row.id for row in rows[:60])}" if rows else None,
    )


def standing(session: Session, institution_id: str, now: datetime) -> list[Resource]:
    """All but what is retired and has nothing left to come."""
    rows = catalogue.resources_of(session, [institution_id])
    retired = {row.id for row in rows if row.state is ListingState.RETIRED}
    gone = retired - booking.with_something_ahead(session, retired, now=now)
    return [row for row in rows if row.id not in gone]


PAGES = {
    "requests": Action.DECIDE_BOOKINGS,
    "use": Action.REVIEW_USE,
    "fleet": Action.MANAGE_DEVICES,
    "flags": Action.MANAGE_DEVICES,
    "discrepancies": Action.REVIEW_USE,
    "problems": Action.REVIEW_USE,
    "demand": Action.REVIEW_USE,
    "income": Action.HANDLE_MONEY,
    "training": Action.TRAIN_PEOPLE,
    "operators": Action.REVIEW_USE,
}
ANSWERED_BY = {
    "requests": Action.DECIDE_BOOKINGS,
    "disputes": Action.HANDLE_MONEY,
    "unpaid": Action.HANDLE_MONEY,
    "unverifiable": Action.REVIEW_USE,
    "silent": Action.MANAGE_DEVICES,
    "no_device": Action.MANAGE_DEVICES,
    "flags": Action.MANAGE_DEVICES,
}
"""Who can do something about what waits; to others it would be a dead link."""


def menu(actor: Actor, institution_id: str) -> list[str]:
    """The desk's pages that the actor may open."""
    shown = [code for code, action in PAGES.items() if may(actor, action, institution_id=institution_id)]
    return ["desk", "timeline", *shown, "members"]


def own_institutions(session: Session, actor: Actor, chosen: str, lang: Lang) -> list[Choice]:
    """Those the actor works for; every one for the operator."""
    rows = people.institutions(session, None if actor.is_operator else actor.institutions())
    return [Choice(row.id, names.name_of(row, lang), row.id == chosen) for row in rows]


def customers(session: Session, rows: Sequence[Booking]) -> dict[str, str]:
    """Whose a booking is, by its id: the firm, else the person."""
    firms = {one.id: one.name for one in people.organisations(session, {r.organisation_id for r in rows if r.organisation_id})}
    persons = people.names_of(session, {row.person_id for row in rows})
    return {row.id: firms.get(row.organisation_id or "", "") or persons.get(row.person_id, "") for row in rows}


def _now_row(row: Booking, places: dict[str, Resource], who: dict[str, str], live: dict[str, Live], lang: Lang) -> NowRow:
    place = places[row.resource_id]
    return NowRow(
        row.id, place.id, names.name_of(place, lang), who[row.id], row.slot, place.timezone, row.state.value, live[place.id],
        row.version,
    )  # fmt: skip


def _line(session: Session, row: Resource, live: Live, below: int, now: datetime, lang: Lang) -> LineRow:
    past = Slot(now - WEEK, now)
    booked = [b for b in booking.bookings_of_resource(session, row.id, within=past) if b.state in COUNTED]
    runs = known_runs(session, row.id, past)
    meters = sensing.meters_now(session, devices.devices_of(session, row.id), now=now)
    return LineRow(
        id=row.id,
        name=names.name_of(row, lang),
        kind=row.kind.value,
        icon=row.icon or ICONS[row.kind],
        state=row.state.value,
        live=live,
        price=row.price,
        devices=len(meters),
        devices_below=below,
        silent_devices=sum(one.state is sensing.Live.UNKNOWN for one in meters.values()),
        booked_h=sum((piece.seconds for b in booked if (piece := b.slot.clip(past))), 0) / 3600,
        used_h=total(piece for run in runs if (piece := run_row(run).slot.clip(past))) / timedelta(hours=1),
        version=row.version,
    )


COUNTED = frozenset({BookingState.CONFIRMED, BookingState.COMPLETED, BookingState.NO_SHOW, BookingState.UNVERIFIABLE})


def _todo(
    session: Session, house: Institution, rows: Sequence[Resource], lines: Sequence[LineRow], shown: Sequence[NowRow],
    now: datetime, base: str,
) -> list[ToDo]:  # fmt: skip
    past = booking.bookings_of_institutions(session, [house.id], within=Slot(now - REVIEWED, now))
    states = [one.state for one in bills.statements_of_bookings(session, [row.id for row in past]).values()]
    mark = f"?institution={house.id}"
    bare = sum(line.live.state == "no_sensor" and line.state == "published" for line in lines)
    return [
        ToDo("requests", sum(row.state == "requested" for row in shown), f"{base}/requests{mark}"),
        ToDo("disputes", states.count(StatementState.DISPUTED), f"{base}/income{mark}"),
        ToDo("unpaid", states.count(StatementState.ACCEPTED), f"{base}/income{mark}"),
        ToDo("unverifiable", sum(row.state is BookingState.UNVERIFIABLE for row in past), f"{base}/problems{mark}"),
        ToDo("silent", sum(line.silent_devices for line in lines), f"{base}{mark}#lines"),
        ToDo("no_device", bare, f"{base}{mark}#lines"),
        ToDo("flags", flags.count_open(session, house.id), f"{base}/flags{mark}"),
    ]


def new_machine(session: Session, house: Institution, actor: Actor, lang: Lang, form: Form = EMPTY_FORM) -> NewMachineView:
    translate = translations(lang).gettext
    return NewMachineView(
        institution_id=house.id,
        institutions=own_institutions(session, actor, house.id, lang),
        kinds=[Choice(kind.value, word(translate, "kind", kind.value)) for kind in ResourceKind],
        hours=[Choice(name, word(translate, "hours", name), name == "workdays") for name in ("workdays", "daily", "always")],
        form=form,
    )


def machine(session: Session, row: Resource, actor: Actor, *, lang: Lang, now: datetime, form: Form | None = None) -> MachineView:
    """The listing's editor, with what is stored or, after a refusal, what was typed."""
    _ = translator(lang)
    rules = booking.rules_of(session, row.id)
    stored = {
        "name": row.name, "name_en": row.name_en or "", "kind": row.kind.value, "summary": row.summary or "",
        "summary_en": row.summary_en or "", "chain": row.chain or "", "district": row.district or "",
        "address": row.address or "", "capacity": str(row.capacity), "price": str(row.price.decimal),
        "quota_hours": str(row.quota_hours or ""), "value": str(row.value_minor // 100) if row.value_minor else "",
        "commissioned_on": row.commissioned_on.isoformat() if row.commissioned_on else "",
        **{name: str(getattr(rules, name)) for name in NUMBERS}, "approval": rules.approval.value,
        **{f"price_{kind}": str(price.decimal) for kind, price in class_prices_of(session, row.id).items()},
        "buffer_mode": rules.buffer_mode.value, "parent_id": row.parent_id or "", **as_fields(rules.hours),
    }  # fmt: skip
    shown = form or Form(stored)
    return MachineView(
        id=row.id,
        name=names.name_of(row, lang),
        state=row.state.value,
        version=row.version,
        institution=names.name_of(people.get_institution(session, row.institution_id), lang),
        kinds=[Choice(kind.value, word(_, "kind", kind.value), kind is row.kind) for kind in ResourceKind],
        parents=[Choice(one.id, names.name_of(one, lang), one.id == row.parent_id) for one in _lines_above(session, row)],
        approvals=[Choice("instant", _("At once"), True), Choice("request", _("After our answer"))],
        buffer_modes=[
            Choice("sum", _("Clean down, then set up"), rules.buffer_mode is Gap.SUM),
            Choice("max", _("Both at once: the longer counts"), rules.buffer_mode is Gap.MAX),
        ],
        hours=week.choices(rules.hours, lang),
        week=week.days(shown.values),
        missing=[] if devices.is_measured(session, row.id) else ["device"],
        can_edit=may(actor, Action.LIST_RESOURCES, institution_id=row.institution_id),
        live=names.badge(session, row, lang, now=now),
        form=shown,
    )


def _lines_above(session: Session, row: Resource) -> list[Resource]:
    """What `row` may be a part of: its institution's other machines that are not parts of anything below it."""
    others = [one for one in catalogue.resources_of(session, [row.institution_id]) if one.state is not ListingState.RETIRED]
    below = kin_of(session, row.id).parts
    return [one for one in others if one.id not in below]


NUMBERS = ("step_min", "min_min", "max_min", "notice_min", "horizon_days", "setup_min", "cleaning_min")


def use_review(session: Session, house: Institution, actor: Actor, *, lang: Lang, now: datetime) -> UseReviewView:
    """The last thirty days, newest first: booked beside confirmed beside billed, and runs that no booking explains."""
    within = Slot(now - REVIEWED, now)
    rows = [row for row in booking.bookings_of_institutions(session, [house.id], within=within) if row.ends_at <= now]
    ids = [row.id for row in rows]
    uses, statements = devices.uses_of_bookings(session, ids), bills.statements_of_bookings(session, ids)
    places = {row.id: row for row in catalogue.resources(session, {row.resource_id for row in rows})}
    who = customers(session, rows)
    found = [
        _use_row(row, places[row.resource_id], who[row.id], uses[row.id], statements.get(row.id), lang)
        for row in rows
        if row.id in uses
    ]
    return UseReviewView(
        institution=names.name_of(house, lang),
        institution_id=house.id,
        rows=found[::-1][:MOST_ROWS],
        unbooked=_unbooked(session, house, rows, now, lang),
        menu=menu(actor, house.id),
    )


def _use_row(row: Booking, place: Resource, customer: str, use: ConfirmedUse, bill: Statement | None, lang: Lang) -> UseRow:
    return UseRow(
        booking_id=row.id,
        resource=names.name_of(place, lang),
        customer=customer,
        slot=row.slot,
        zone=place.timezone,
        booked_min=use.booked_s // 60,
        confirmed_min=use.confirmed_s // 60,
        overrun_min=use.overrun_s // 60,
        unverified_min=use.unverified_s // 60,
        billed=Money(bill.charge_minor, bill.currency) if bill else None,
        verdict=use.verdict.value,
        grade=use.grade.value if use.grade else "",
        statement_state=bill.state.value if bill else None,
        differs=use.overrun_s > 600 or use.unverified_s > 600 or use.confirmed_s < use.booked_s // 2,
    )


def _unbooked(session: Session, house: Institution, rows: Sequence[Booking], now: datetime, lang: Lang) -> list[UnbookedRow]:
    found = []
    for place in catalogue.resources_of(session, [house.id]):
        users = kin_of(session, place.id).every
        taken = [row.slot.widen(timedelta(minutes=30), timedelta(hours=1)) for row in rows if row.resource_id in users]
        for _, run in known_sessions(session, [place.id], Slot(now - REVIEWED, now)):
            if run.ends_at and run.confirmed_s and not any(slot.overlaps(Slot(run.starts_at, run.ends_at)) for slot in taken):
                slot = Slot(run.starts_at, run.ends_at)
                found.append(UnbookedRow(names.name_of(place, lang), slot, place.timezone, run.confirmed_s))
    return found[:MOST_ROWS]
