"""Waiting lists as pages show them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from billing.quotes import actions as quotes
from billing.quotes.queries import prices_for
from booking.availability import MINUTE
from booking.places import Place, get_place, load_places
from booking.waiting import queries
from booking.waiting.line import OPEN, WaitingState
from booking.waiting.tables import WaitingEntry
from marketplace.catalogue import queries as catalogue
from marketplace.money import Money
from marketplace.people import queries as people
from marketplace.permissions import Actor
from marketplace.refusals import Refusal
from marketplace.tables import Resource
from web.finding import use_at
from web.i18n import Formats, translator
from web.present import names
from web.present.resource import organisation_choices, refusal_panel
from web.present.turns import asking, of_instants
from web.views.frame import EMPTY_FORM, Choice, Form, Lang, Paging
from web.views.waiting import JoinView, LineView, WaitingRow, WaitingView

PAGE = 50
LENGTHS_MIN = (30, 60, 90, 120, 180, 240, 360, 480, 720, 1440, 2880)


def mine(
    session: Session, actor: Actor, *, lang: Lang, now: datetime, cursor: int = 0, refusal: Refusal | None = None
) -> WaitingView:
    found = queries.entries_for(session, actor, limit=PAGE + 1, offset=cursor)
    shown = rows(session, found[:PAGE], lang)
    ahead = [one for one in shown if one.state in OPEN]
    seen = [row.id for row in catalogue.visible(session, actor, {one.resource_id for one in ahead})]
    live = names.live_of(session, seen, now=now)
    ahead = [replace(one, live=live.get(one.resource_id)) for one in ahead]
    following = f"/{lang.value}/waiting?cursor={cursor + PAGE}" if len(found) > PAGE else None
    previous = f"/{lang.value}/waiting" if cursor else None
    return WaitingView(
        open=sorted(ahead, key=lambda one: (one.state != WaitingState.OFFERED, one.window)),
        past=[one for one in shown if one.state not in OPEN],
        paging=Paging(len(shown), None, previous, following),
        live_url=names.live_url(seen, lang),
        refusal=refusal_panel(refusal, lang) if refusal else None,
    )


def rows(session: Session, found: Sequence[WaitingEntry], lang: Lang) -> list[WaitingRow]:
    """In the order given, in a fixed number of queries."""
    places = {row.id: row for row in catalogue.resources(session, {row.resource_id for row in found})}
    houses = names.institution_names(session, {row.institution_id for row in found}, lang)
    known, positions = load_places(session, set(places)), queries.positions(session, found)
    firms = {one.id: one.name for one in people.organisations(session, {r.organisation_id for r in found if r.organisation_id})}
    persons = people.names_of(session, {row.person_id for row in found})
    return [
        WaitingRow(
            id=row.id,
            resource_id=row.resource_id,
            resource=names.name_of(places[row.resource_id], lang),
            institution=houses.get(row.institution_id, ""),
            zone=places[row.resource_id].timezone,
            window=row.window,
            length_min=row.length_min if row.length < row.window.duration else None,
            state=row.state.value,
            joined_at=row.joined_at,
            position=positions.get(row.id),
            offer=row.offer,
            offered_until=row.offered_until,
            quantity=row.quantity,
            by_request=known[row.resource_id].rules.asks(row.organisation_id),
            price=_price(session, row, places[row.resource_id], known[row.resource_id]),
            booking_id=row.booking_id,
            customer=firms.get(row.organisation_id or "", "") or persons.get(row.person_id, ""),
        )
        for row in found
    ]


def _price(session: Session, row: WaitingEntry, resource: Resource, place: Place) -> Money | None:
    """At most, as the booking will freeze it; one's own house pays nothing."""
    if row.offer is None:
        return None
    buyer = people.get_organisation(session, row.organisation_id) if row.organisation_id else None
    prices, _ = prices_for(session, resource, buyer, use_at(place, assisted=row.assisted), own_house=buyer is None)
    return quotes.quote_slot(prices=prices, slot=row.offer, quantity=row.quantity)


def join(
    session: Session,
    row: Resource,
    actor: Actor,
    *,
    lang: Lang,
    now: datetime,
    form: Form = EMPTY_FORM,
    refusal: Refusal | None = None,
) -> JoinView:
    place = get_place(session, row.id)
    return JoinView(
        resource_id=row.id,
        resource=names.name_of(row, lang),
        zone=row.timezone,
        lengths=_lengths(place, lang),
        organisations=organisation_choices(session, actor),
        offer_min=place.rules.offer_for // MINUTE,
        live=names.badge(session, row, lang, now=now),
        assistance=place.rules.assistance.mode.value,
        capacity=row.capacity,
        form=asking(form, row.timezone, lang),
        refusal=refusal_panel(refusal, lang) if refusal else None,
    )


def _lengths(place: Place, lang: Lang) -> list[Choice]:
    rules, formats = place.rules, Formats(lang)
    fitting = [one for one in LENGTHS_MIN if rules.min_min <= one <= rules.max_min and one % rules.step_min == 0]
    return [
        Choice("", translator(lang)("Exactly this time"), True),
        *(Choice(str(one), formats.length(one)) for one in fitting),
    ]


def prefilled(zone: str, start: datetime | None, end: datetime | None, quantity: int) -> Form:
    """The form with the instants of an address as the equipment's wall clock has them."""
    times = of_instants([(name, at) for name, at in (("start", start), ("end", end)) if at], zone)
    return Form({**times, "quantity": str(quantity)})


def line(session: Session, row: Resource, *, lang: Lang, now: datetime) -> LineView:
    return LineView(
        resource_id=row.id,
        resource=names.name_of(row, lang),
        zone=row.timezone,
        rows=rows(session, queries.line_of(session, [row.id]), lang),
        offer_min=get_place(session, row.id).rules.offer_for // MINUTE,
        live=names.badge(session, row, lang, now=now),
    )
