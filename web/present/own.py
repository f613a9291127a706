"""One's own bookings: as a list, as a month, as a week by the hour; all of them or those of one state or firm."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from booking.availability import local_midnight
from booking.queries import get_booking
from booking.states import BookingState
from booking.timeline.queries import Wanted, own_bookings
from devices.attestations import queries as attestations
from marketplace.inbox import queries as inbox
from marketplace.people import queries as people
from marketplace.permissions import Actor
from marketplace.slot import Slot
from web import monthgrid
from web.i18n import translator
from web.labels import word
from web.present import names
from web.present.bookings import booking_rows
from web.views.bookings import BookingRow, BookingsView
from web.views.calendar import CalendarView, Entry
from web.views.frame import Choice, Lang, Paging
from web.weekgrid import week_of

PAGE = 50
MOST_COMING = 200
FARTHEST = timedelta(days=1100)
"""Further ahead than anything can be booked."""

S = BookingState
GROUPS = {
    "waiting": frozenset({S.HELD, S.REQUESTED}),
    "confirmed": frozenset({S.CONFIRMED}),
    "completed": frozenset({S.COMPLETED}),
    "unused": frozenset({S.NO_SHOW, S.PROVIDER_FAILED, S.UNVERIFIABLE}),
    "ended": frozenset({S.CANCELLED, S.REFUSED, S.EXPIRED}),
}
DRAWN = frozenset(BookingState) - GROUPS["ended"]
"""What a calendar shows unless what ended is asked for."""


class Mode(StrEnum):
    LIST = "list"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the page's address asks for."""

    mode: Mode
    day: date
    first_weekday: int
    group: str = ""
    organisation: str = ""
    cursor: str | None = None

    def address(self, lang: Lang) -> str:
        """This page again; a day of a list is of no use."""
        named = {"view": self.mode.value, "state": self.group, "organisation": self.organisation}
        if self.mode is not Mode.LIST:
            named["day"] = self.day.isoformat()
        return f"/{lang.value}/bookings?{urlencode({name: value for name, value in named.items() if value})}"

    @property
    def wanted(self) -> Wanted:
        return Wanted(states=GROUPS.get(self.group, frozenset()), organisation_id=self.organisation or None)


def view(session: Session, actor: Actor, asked: Asked, *, lang: Lang, now: datetime) -> BookingsView:
    _ = translator(lang)
    firms = people.organisations(session, actor.organisations)
    groups = [Choice("", _("All"), not asked.group), *(Choice(one, word(_, "group", one), one == asked.group) for one in GROUPS)]
    zone = inbox.zone_of(session, actor.known_id)
    found = BookingsView(
        upcoming=(),
        past=(),
        organisation=firms[0].name if len(firms) == 1 else None,
        mode=asked.mode.value,
        modes=[_mode(one, asked, lang) for one in Mode],
        groups=groups,
        organisations=[
            Choice("", _("All"), not asked.organisation),
            *(Choice(row.id, row.name, row.id == asked.organisation) for row in firms),
        ]
        if len(firms) > 1
        else [],
        filtered=bool(asked.group or asked.organisation),
        day=asked.day,
        zone=zone.key,
        to_sign=_to_sign(session, actor, lang),
    )
    if asked.mode is Mode.LIST:
        return _listed(session, actor, asked, found, lang=lang, now=now)
    return replace(found, calendar=calendar(session, actor, asked, zone, lang=lang, now=now))


def _to_sign(session: Session, actor: Actor, lang: Lang) -> list[BookingRow]:
    waiting = {one.booking_id: None for one in attestations.waiting_for_customer(session, actor)}
    return booking_rows(session, [get_booking(session, booking_id) for booking_id in waiting], lang)


def _mode(one: Mode, asked: Asked, lang: Lang) -> tuple[Choice, str]:
    named = word(translator(lang), "scale", one.value)
    return Choice(one.value, named, one is asked.mode), replace(asked, mode=one, cursor=None).address(lang)


def _listed(session: Session, actor: Actor, asked: Asked, found: BookingsView, *, lang: Lang, now: datetime) -> BookingsView:
    """What is to come on the first page, and what is over, the last booked first."""
    coming: Sequence[BookingRow] = ()
    if asked.cursor is None:
        ahead = replace(asked.wanted, within=Slot(now, now + FARTHEST))
        coming = booking_rows(session, own_bookings(session, actor, ahead, limit=MOST_COMING), lang)
        live = names.live_of(session, {row.resource_id for row in coming}, now=now)
        coming = [replace(row, live=live[row.resource_id]) for row in coming]
    over = own_bookings(session, actor, replace(asked.wanted, over_by=now), after=asked.cursor, limit=PAGE + 1)
    shown = over[:PAGE]
    following = f"{asked.address(lang)}&{urlencode({'cursor': shown[-1].id})}" if len(over) > PAGE else None
    return replace(
        found,
        upcoming=coming,
        live_url=names.live_url([row.resource_id for row in coming], lang),
        past=sorted(booking_rows(session, shown, lang), key=lambda one: one.slot, reverse=True),
        paging=Paging(len(shown), None, asked.address(lang) if asked.cursor else None, following),
    )


def calendar(session: Session, actor: Actor, asked: Asked, zone: ZoneInfo, *, lang: Lang, now: datetime) -> CalendarView:
    if asked.mode is Mode.MONTH:
        first, last = monthgrid.month_of(asked.day)
        days = [day for week in monthgrid.weeks_of(asked.day, asked.first_weekday) for day in week]
    else:
        first = week_of(asked.day, asked.first_weekday)
        days = [first + timedelta(days=n) for n in range(7)]
        last = days[-1]
    entries = _entries(session, actor, asked, days, lang)
    this = now.astimezone(zone).date()

    def there(day: date) -> str:
        return replace(asked, day=day).address(lang)

    made = CalendarView(
        title=first,
        last=last,
        previous=there(first - timedelta(days=1)),
        this=there(this),
        following=there(last + timedelta(days=1)),
        weekdays=[(asked.first_weekday + n) % 7 for n in range(7)],
    )
    if asked.mode is Mode.MONTH:
        by_week = replace(asked, mode=Mode.WEEK).address(lang).rpartition("day=")[0] + "day="
        return replace(made, weeks=monthgrid.month(asked.day, asked.first_weekday, entries, this, by_week))
    bounds = monthgrid.hours(days, entries)
    return replace(
        made,
        hours=monthgrid.by_hour(days, entries, bounds, now, zone),
        marks=[(minute, monthgrid.down(minute, bounds)) for minute in range(bounds[0], bounds[1], 60)],
        height=monthgrid.down(bounds[1], bounds),
    )


def _entries(session: Session, actor: Actor, asked: Asked, days: Sequence[date], lang: Lang) -> list[Entry]:
    """Of every zone that is on one of the days somewhere."""
    utc = ZoneInfo("UTC")
    reach = Slot(local_midnight(days[0], utc), local_midnight(days[-1], utc)).widen(timedelta(days=1), timedelta(days=2))
    wanted = replace(asked.wanted, within=reach, states=asked.wanted.states or DRAWN)
    rows = booking_rows(session, own_bookings(session, actor, wanted), lang)
    return [Entry(row.id, row.resource, row.slot, row.zone, row.state) for row in rows]
