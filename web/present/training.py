"""Qualifications of an institution with who holds them; its operators with their hours and absences."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from booking import queries as booking
from booking.operators import queries as operators
from booking.operators.actions import STAFF
from booking.operators.tables import Operator
from booking.qualifications import queries
from booking.qualifications.tables import Qualification, QualificationGrant
from booking.tables import Booking, Outage
from marketplace.catalogue import queries as catalogue
from marketplace.people import queries as people
from marketplace.permissions import Action, Actor, may
from marketplace.slot import Slot
from marketplace.tables import Institution, Person
from web.i18n import translator
from web.labels import word
from web.present import names, opening, outages, week
from web.present.desk import menu
from web.present.turns import asking
from web.views.account import QualificationRow
from web.views.frame import EMPTY_FORM, Choice, Form, Lang
from web.views.training import (
    GrantRow,
    KindCard,
    OperatorRow,
    OperatorsView,
    OperatorView,
    TrainingView,
    UncoveredRow,
)

AHEAD = timedelta(days=365)
INSTANT = timedelta(microseconds=1)
MOST_SHOWN = 100
"""Grants of one kind; the API has them all."""


def titled(row: Qualification | dict[str, Any], lang: Lang) -> str:
    """A kind's or a level's name in the reader's language, where it has one there."""
    name, name_en = (row["name"], row["name_en"]) if isinstance(row, dict) else (row.name, row.name_en)
    return str(name_en if lang is Lang.EN and name_en else name)


def levels(row: Qualification, lang: Lang, chosen: int = 0) -> list[Choice]:
    """The lowest first, numbered from 1."""
    return [Choice(str(n), f"{n} · {titled(one, lang)}", n == chosen) for n, one in enumerate(row.levels, 1)]


def training(
    session: Session, house: Institution, actor: Actor, *, lang: Lang, now: datetime, at: str = "", form: Form = EMPTY_FORM
) -> TrainingView:
    """`form` belongs to the kind `at`, or to the definition of a new one."""
    rows = queries.qualifications_of(session, house.id)
    return TrainingView(
        institution=names.name_of(house, lang),
        institution_id=house.id,
        zone=house.timezone,
        kinds=[_card(session, row, lang, now, form if row.id == at else EMPTY_FORM, house.timezone) for row in rows],
        can_define=may(actor, Action.LIST_RESOURCES, institution_id=house.id),
        menu=menu(actor, house.id),
        form=EMPTY_FORM if at else form,
    )


def _card(session: Session, row: Qualification, lang: Lang, now: datetime, form: Form, zone: str) -> KindCard:
    found = queries.grants_of(session, row.id, limit=MOST_SHOWN)
    return KindCard(
        row.id, titled(row, lang), levels(row, lang), [_grant(grant, who, row, lang, now, zone) for grant, who in found], form
    )


def _grant(grant: QualificationGrant, who: Person, kind: Qualification, lang: Lang, now: datetime, zone: str) -> GrantRow:
    state = "revoked" if grant.revoked_at else "valid" if not grant.expires_at or grant.expires_at > now else "expired"
    level = titled(kind.levels[grant.level - 1], lang)
    return GrantRow(grant.id, who.name, who.email, level, last_day(grant, zone), state)


def last_day(grant: QualificationGrant, zone: str) -> date | None:
    """The last one on which it is valid, on the institution's clock."""
    return (grant.expires_at - INSTANT).astimezone(ZoneInfo(zone)).date() if grant.expires_at else None


def own(session: Session, actor: Actor, *, lang: Lang, now: datetime) -> list[QualificationRow]:
    """What the person holds themselves, expired ones among it."""
    found = queries.grants_to(session, actor.known_id)
    rows = people.institutions(session, {kind.institution_id for _, kind in found})
    houses, zones = {row.id: names.name_of(row, lang) for row in rows}, {row.id: row.timezone for row in rows}
    return [
        QualificationRow(
            name=titled(kind, lang),
            level=titled(kind.levels[grant.level - 1], lang),
            house=houses.get(kind.institution_id, ""),
            until=last_day(grant, zones[kind.institution_id]),
            valid=grant.expires_at is None or grant.expires_at > now,
        )
        for grant, kind in found
    ]


def desk_of_operators(
    session: Session, house: Institution, actor: Actor, *, lang: Lang, now: datetime, form: Form = EMPTY_FORM
) -> OperatorsView:
    _ = translator(lang)
    rows = operators.operators_of(session, house.id)
    known = {row.person_id for row, _person in rows}
    others = [one for one in people.staff_of(session, house.id, STAFF) if one not in known]
    called = people.names_of(session, others)
    return OperatorsView(
        institution=names.name_of(house, lang),
        institution_id=house.id,
        zone=house.timezone,
        rows=[_row(session, row, person, now) for row, person in rows],
        staff=[Choice(one, called[one]) for one in others],
        presets=[Choice(code, word(_, "hours", code), code == "workdays") for code in week.PRESETS],
        can_edit=may(actor, Action.LIST_RESOURCES, institution_id=house.id),
        menu=menu(actor, house.id),
        form=form,
    )


def _row(session: Session, row: Operator, person: Person, now: datetime) -> OperatorRow:
    spans = opening.merged(booking.rules_of(session, row.id).hours)
    days = groupby(spans, key=lambda span: span["weekday"])
    told = [(day, ", ".join(_clocks(span) for span in each)) for day, each in days]
    away = [one.slot for one in _away(session, row, now)]
    return OperatorRow(row.id, person.name, told, len(operators.bookings_held(session, row.id, after=now)), away)


def _clocks(span: opening.Span) -> str:
    return f"{opening.as_clock(span['open_min'])}–{opening.as_clock(span['close_min'])}"


def _away(session: Session, row: Operator, now: datetime) -> Sequence[Outage]:
    return booking.outages_of(session, row.id, within=Slot(now, now + AHEAD))


def one_operator(
    session: Session,
    row: Operator,
    house: Institution,
    actor: Actor,
    *,
    lang: Lang,
    now: datetime,
    uncovered: Sequence[Booking] = (),
    form: Form | None = None,
) -> OperatorView:
    hours = booking.rules_of(session, row.id).hours
    stored = opening.as_fields(hours)
    shown = Form({**stored, **form.values}, form.errors) if form else Form(stored)
    places = {place.id: names.name_of(place, lang) for place in catalogue.resources(session, {b.resource_id for b in uncovered})}
    return OperatorView(
        id=row.id,
        name=people.get_person(session, row.person_id).name,
        institution_id=house.id,
        zone=house.timezone,
        hours=week.choices(hours, lang),
        week=week.days(shown.values),
        away=outages.rows(session, _away(session, row, now), zone=house.timezone, now=now),
        ahead=len(operators.bookings_held(session, row.id, after=now)),
        can_edit=may(actor, Action.LIST_RESOURCES, institution_id=house.id),
        can_note=may(actor, Action.MANAGE_OUTAGES, institution_id=house.id),
        uncovered=[UncoveredRow(one.id, places.get(one.resource_id, ""), one.slot) for one in uncovered],
        form=asking(shown, house.timezone, lang, outages.asked(shown)),
    )
