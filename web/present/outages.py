"""Outages of a piece of equipment, and the bookings that a new one would meet."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from booking import queries as booking
from booking.outages.plans import Proposal
from booking.tables import Outage
from marketplace.catalogue import queries as catalogue
from marketplace.people import queries as people
from marketplace.permissions import Action, Actor, may
from marketplace.refusals import Invalid, Refusal
from marketplace.slot import Slot
from marketplace.tables import Resource
from web.i18n import Formats, instant, translator
from web.outages import PlanRefused
from web.present import names
from web.present.desk import customers
from web.present.series import reasons_of
from web.present.turns import ENDS, asking, of_instants
from web.reasons import beside, sentence
from web.retiring import Ahead
from web.views.frame import EMPTY_FORM, Choice, FieldError, Form, Lang
from web.views.outages import MetBooking, OutageRow, OutagesView, RetireView
from web.wall import turn_of

UNTIL = "until_"
BACK = timedelta(days=183)
AHEAD = timedelta(days=1100)
"""Further than an outage may lie."""


def outages(
    session: Session,
    place: Resource,
    actor: Actor,
    *,
    lang: Lang,
    now: datetime,
    met: Sequence[Proposal] = (),
    form: Form = EMPTY_FORM,
) -> OutagesView:
    _ = translator(lang)
    found = booking.outages_of(session, place.id, within=Slot(now - BACK, now + AHEAD))
    shown = rows(session, found, zone=place.timezone, now=now)
    return OutagesView(
        resource_id=place.id,
        resource=names.name_of(place, lang),
        zone=place.timezone,
        live=names.badge(session, place, lang, now=now),
        coming=[row for row in shown if row.slot.end > now],
        past=[row for row in reversed(shown) if row.slot.end <= now],
        kinds=[Choice("planned", _("Planned maintenance"), True), Choice("breakdown", _("Breakdown"))],
        can_edit=may(actor, Action.MANAGE_OUTAGES, institution_id=place.institution_id),
        met=met_rows(session, place, met, lang=lang, now=now),
        proposed=tokens(met),
        plans=[
            Choice("proposed", _("Do what is proposed for each")),
            Choice("keep", _("Keep them; I talk to the customers")),
            Choice("cancel", _("Cancel those that have not begun, free of charge")),
        ],
        form=asking(form, place.timezone, lang, asked(form)),
    )


def retirement(
    session: Session, place: Resource, met: Sequence[Proposal], ahead: Ahead, *, lang: Lang, now: datetime
) -> RetireView:
    """What lies ahead of a resource that is to be retired, with what may become of it."""
    _ = translator(lang)
    return RetireView(
        resource_id=place.id,
        resource=names.name_of(place, lang),
        zone=place.timezone,
        met=met_rows(session, place, met, lang=lang, now=now),
        proposed=tokens(met),
        plans=[
            Choice("keep", _("Keep them until they are over")),
            Choice("proposed", _("Do what is proposed for each")),
            Choice("cancel", _("Cancel those that have not begun, free of charge")),
        ],
        series=ahead.counts["series"],
        offers=ahead.offers,
        waiting=ahead.waiting,
    )


def met_rows(session: Session, place: Resource, met: Sequence[Proposal], *, lang: Lang, now: datetime) -> list[MetBooking]:
    """The bookings in the way with what is proposed for each."""
    firms = customers(session, [one.booking for one in met])
    named = {one.resource_id for one in met if one.resource_id} | {one.booking.resource_id for one in met}
    rows_of = catalogue.resources(session, named - {place.id})
    places = {row.id: names.name_of(row, lang) for row in rows_of}
    elsewhere = {row.id: row.institution_id for row in rows_of if row.institution_id != place.institution_id}
    houses = {key: names.name_of(people.get_institution(session, house), lang) for key, house in elsewhere.items()}
    return [_met(one, firms[one.booking.id], places, houses, now) for one in met]


def _met(one: Proposal, customer: str, places: Mapping[str, str], houses: Mapping[str, str], now: datetime) -> MetBooking:
    row = one.booking
    return MetBooking(
        row.id,
        customer,
        row.slot,
        row.state.value,
        row.starts_at <= now,
        step=one.step.value,
        to=one.slot,
        place=places.get(one.resource_id or ""),
        house=houses.get(one.resource_id or ""),
        of=places.get(row.resource_id),
    )


def refused(session: Session, refusal: Refusal, *, zone: str, lang: Lang) -> list[FieldError]:
    """Why a plan was not carried out, with whose booking it is about where one is, beside the choice of a plan."""
    _ = translator(lang)
    if not isinstance(refusal, PlanRefused):
        said = beside(refusal.values, _) if isinstance(refusal, Invalid) else sentence(refusal.code, refusal.values, _)
        return [FieldError("plan", said)]
    row = refusal.booking
    whose = f"{customers(session, [row])[row.id]} · {Formats(lang).span(row.slot, zone)}"
    return [FieldError("plan", _("{label}: {value}").format(label=whose, value=why)) for why in reasons_of(refusal, zone, lang)]


def tokens(plan: Sequence[Proposal]) -> str:
    """The steps as one text that changes with any of them."""
    return " ".join(
        f"{one.booking.id}:{one.step.value}:{instant(one.slot.start) if one.slot else ''}:{one.resource_id or ''}" for one in plan
    )


def rows(session: Session, found: Sequence[Outage], *, zone: str, now: datetime) -> list[OutageRow]:
    """With the names of those who entered them."""
    who = people.names_of(session, {row.recorded_by for row in found if row.recorded_by})
    return [_row(row, who.get(row.recorded_by or ""), zone, now) for row in found]


def until_of(row: Outage) -> str:
    """The field that asks for its earlier end; each row of a page has one of its own."""
    return f"{UNTIL}{row.id}"


def asked(form: Form) -> list[str]:
    """The fields of a form that hold a date and an hour."""
    return [*ENDS, *(name for name in form.values if name.startswith(UNTIL) and not name.endswith(turn_of("")))]


def _row(row: Outage, recorder: str | None, zone: str, now: datetime) -> OutageRow:
    name = until_of(row)
    return OutageRow(
        row.id,
        row.slot,
        row.planned,
        row.reason,
        row.starts_at <= now < row.ends_at,
        row.recorded_at,
        recorder,
        row.ended_at,
        name,
        of_instants([(name, row.ends_at)], zone)[name],
    )
