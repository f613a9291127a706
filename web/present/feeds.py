"""Calendars to subscribe to: a person's own bookings, and when a resource is taken, never by whom."""

from datetime import datetime

from sqlalchemy.orm import Session

from booking.feeds import queries as feeds
from booking.states import BookingState
from booking.tables import Booking, Outage
from marketplace.catalogue import queries as catalogue
from marketplace.feeds.tables import CalendarFeed
from marketplace.people import queries as people
from marketplace.tables import Institution, Resource
from web import calendar
from web.calendar import Event, Status
from web.i18n import translator
from web.present import calendars, names
from web.present.letters import language_of
from web.views.account import FeedView
from web.views.frame import Lang


def written(session: Session, feed: CalendarFeed, *, lang: Lang, base_url: str, now: datetime) -> bytes:
    """The calendar behind a secret; a person's in their own language, a resource's in `lang`."""
    if feed.person_id:
        return _of_person(session, feed.person_id, base_url, now)
    return of_resource(session, catalogue.get_resource(session, feed.resource_id or ""), lang, base_url, now)


def _of_person(session: Session, person_id: str, base_url: str, now: datetime) -> bytes:
    reader = people.get_person(session, person_id)
    lang = language_of(reader)
    found = feeds.bookings_of_person(session, person_id, now=now)
    places = {row.id: row for row in catalogue.resources(session, {row.resource_id for row in found})}
    houses = {row.id: row for row in people.institutions(session, {row.institution_id for row in found})}
    events = [
        calendars.entry(row, places[row.resource_id], houses[row.institution_id], lang=lang, base_url=base_url) for row in found
    ]
    return calendar.feed(events, name=f"{translator(lang)('Pilotbench')}: {reader.name}")


def of_resource(session: Session, place: Resource, lang: Lang, base_url: str, now: datetime) -> bytes:
    """With what stands in its way: its line's and its stations' bookings and outages."""
    house = people.get_institution(session, place.institution_id)
    around = {row.id: row for row in [place, *catalogue.children_of(session, place.id)]}
    if place.parent_id:
        around[place.parent_id] = catalogue.get_resource(session, place.parent_id)
    booked = feeds.bookings_of_resources(session, around, now=now)
    closed = feeds.outages_of_resources(session, around, now=now)
    events = [
        *(_taken(row, around[row.resource_id], place, house, lang, base_url) for row in booked),
        *(_closed(row, around[row.resource_id], place, house, lang, base_url) for row in closed),
    ]
    return calendar.feed(events, name=names.name_of(place, lang))


def _taken(row: Booking, booked: Resource, place: Resource, house: Institution, lang: Lang, base_url: str) -> Event:
    """A booking without its firm, its person, its purpose and its page."""
    _ = translator(lang)
    said = _("Waiting for approval") if row.state is BookingState.REQUESTED else _("Booked")
    return Event(
        uid=calendars.uid_of(row),
        sequence=row.version,
        stamp=calendars.changed_at(row),
        slot=row.slot,
        summary=_named(said, booked, place, lang),
        location=calendars.place_of(place, house, lang),
        status=calendars.STATES.get(row.state, Status.CONFIRMED),
        url=_page(place, lang, base_url),
    )


def _closed(row: Outage, shut: Resource, place: Resource, house: Institution, lang: Lang, base_url: str) -> Event:
    return Event(
        uid=f"{row.id}@pilotbench",
        sequence=1 if row.ended_at else 0,
        stamp=row.ended_at or row.recorded_at,
        slot=row.slot,
        summary=_named(translator(lang)("Maintenance"), shut, place, lang),
        location=calendars.place_of(place, house, lang),
        status=Status.CONFIRMED,
        url=_page(place, lang, base_url),
    )


def _named(said: str, row: Resource, place: Resource, lang: Lang) -> str:
    return said if row.id == place.id else f"{said} · {names.name_of(row, lang)}"


def _page(place: Resource, lang: Lang, base_url: str) -> str:
    return f"{base_url.rstrip('/')}/{lang.value}/r/{place.id}"


def view(feed: CalendarFeed | None, *, place: Resource | None, lang: Lang, link: str | None = None) -> FeedView:
    """The page on which an address is made or renewed."""
    path = f"/{lang.value}/desk/resources/{place.id}" if place else f"/{lang.value}/account"
    return FeedView(
        of=names.name_of(place, lang) if place else None,
        back=path,
        action=f"{path}/calendar",
        made_at=feed.created_at if feed else None,
        zone=place.timezone if place else "Asia/Shanghai",
        link=link,
    )
