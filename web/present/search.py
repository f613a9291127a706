"""The search page from listings, free time and live state; a fixed number of queries however many cards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from booking import queries as booking
from booking.availability import local_day, open_slots
from booking.places import Place, load_places
from devices.queries import Live as State
from devices.queries import live_states
from marketplace.catalogue.queries import count_published
from marketplace.catalogue.search import Hit, Sort, published_ids, search
from marketplace.slot import Slot, intersect, total
from marketplace.tables import Resource, ResourceKind
from web.present import names
from web.views.frame import Choice, Lang, Paging
from web.views.search import Card, DayOpen, Facet, SearchView
from web.weekgrid import drawn_step, starts

PAGE = 20
DAYS = 7
LENGTHS = (1, 2, 4, 8)
HOUR = timedelta(hours=1)
ICONS = {
    ResourceKind.PILOT_LINE: "flask-conical",
    ResourceKind.SMALL_LINE: "beaker",
    ResourceKind.CONCEPT_CENTRE: "lightbulb",
    ResourceKind.INSTRUMENT: "microscope",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the address asks for, as typed where it did not parse."""

    q: str = ""
    day: date | None = None
    hours: float | None = None
    kind: str | None = None
    chain: str | None = None
    district: str | None = None
    free: bool = False
    min_price: str = ""
    max_price: str = ""
    sort: Sort = "match"
    cursor: str | None = None

    @property
    def as_query(self) -> dict[str, str]:
        given = {
            "q": self.q,
            "day": self.day.isoformat() if self.day else "",
            "hours": f"{self.hours:g}" if self.hours else "",
            "kind": self.kind or "",
            "chain": self.chain or "",
            "district": self.district or "",
            "free": "1" if self.free else "",
            "min_price": self.min_price,
            "max_price": self.max_price,
            "sort": self.sort if self.sort != "match" else "",
        }
        return {name: value for name, value in given.items() if value}


def view(session: Session, wanted: Wanted, *, lang: Lang, now: datetime, words: Mapping[str, str]) -> SearchView:
    """The page as asked for. `words` gives the labels of lengths and sorts."""
    only = _narrowed(session, wanted, now)
    page = search(
        session,
        text=wanted.q,
        kind=ResourceKind(wanted.kind) if wanted.kind in set(ResourceKind) else None,
        chain=wanted.chain,
        district=wanted.district,
        min_price_minor=minor_of(wanted.min_price),
        max_price_minor=minor_of(wanted.max_price),
        sort=wanted.sort,
        limit=PAGE,
        cursor=wanted.cursor,
        only=only,
    )
    published = published_ids(session)
    free_now = sum(state.state is State.FREE for state in live_states(session, published, now=now).values())
    following = f"/{lang.value}/search?{urlencode({**wanted.as_query, 'cursor': page.next_cursor})}" if page.next_cursor else None
    ids = [hit.resource.id for hit in page.hits]
    return SearchView(
        text=wanted.q,
        day=wanted.day,
        lengths=[Choice(f"{h}", words[f"{h}h"], wanted.hours == h) for h in LENGTHS],
        only_free=wanted.free,
        min_price=wanted.min_price,
        max_price=wanted.max_price,
        sorts=[Choice(name, words[name], wanted.sort == name) for name in ("match", "price", "name")],
        facets=[_facet(name, page.facets, wanted) for name in ("kind", "chain", "district")],
        listed=count_published(session),
        free_now=free_now,
        total=page.total,
        cards=cards(session, page.hits, lang=lang, now=now),
        paging=Paging(len(page.hits), page.total, None, following),
        live_url=f"/{lang.value}/live?ids={','.join(ids)}" if ids else None,
    )


def _facet(name: str, facets: Mapping[str, list[dict[str, Any]]], wanted: Wanted) -> Facet:
    options = [
        Choice(str(found["value"]), str(found["value"]), str(found["value"]) == getattr(wanted, name), found["count"])
        for found in facets[name]
    ]
    return Facet(name, options)


def minor_of(text: str) -> int | None:
    """A price in major units as minor ones; None where it is not a number."""
    try:
        return int(Decimal(text) * 100) if text else None
    except (InvalidOperation, ValueError, OverflowError):
        return None


def _narrowed(session: Session, wanted: Wanted, now: datetime) -> set[str] | None:
    """Ids with the free time asked for, and free right now where that is asked; None where neither is."""
    if not wanted.free and wanted.day is None and wanted.hours is None:
        return None
    found = published_ids(session)
    if wanted.day or wanted.hours:
        first = wanted.day or now.astimezone(ZoneInfo("Asia/Shanghai")).date()
        start = datetime.combine(first, time(), ZoneInfo("Asia/Shanghai"))
        within = Slot(start, start + timedelta(days=1 if wanted.day else DAYS))
        length = timedelta(hours=wanted.hours or 1)
        found &= booking.resources_free_for(session, found, within=within, length=length, now=now)
    if wanted.free:
        found = {key for key, state in live_states(session, found, now=now).items() if state.state is State.FREE}
    return found


def cards(session: Session, hits: Sequence[Hit], *, lang: Lang, now: datetime) -> list[Card]:
    rows = [hit.resource for hit in hits]
    ids = [row.id for row in rows]
    houses = names.institution_names(session, {row.institution_id for row in rows}, lang)
    live = names.live_of(session, ids, now=now)
    horizon = Slot(now, now + timedelta(days=DAYS + 1))
    free = booking.free_time_of(session, ids, within=horizon, now=now)
    places = load_places(session, ids)
    return [
        Card(
            id=row.id,
            name=names.name_of(row, lang),
            kind=row.kind.value,
            icon=row.icon or ICONS[row.kind],
            institution=houses.get(row.institution_id, ""),
            district=row.district,
            tags=names.tags_of(row, lang)[:3],
            live=live[row.id],
            week=strip(row, free.get(row.id, []), places[row.id], now) if row.id in places else [],
            price=row.price,
            zone=row.timezone,
            first_free=first_start(free.get(row.id, []), places.get(row.id)),
            why=hit.why,
            foreign=names.foreign_of(row, lang),
        )
        for hit, row in zip(hits, rows, strict=True)
    ]


def first_start(free: Sequence[Slot], place: Place | None) -> datetime | None:
    """The first instant of the grid at which the shortest booking fits."""
    if place is None:
        return None
    step, shortest = timedelta(minutes=drawn_step(place.rules.step_min)), timedelta(minutes=place.rules.min_min)
    return next((start for slot in free for start in starts(slot, place.zone, step, shortest)), None)


def strip(row: Resource, free: Sequence[Slot], place: Place, now: datetime) -> list[DayOpen]:
    """Free hours of the next seven local days over the hours that are open."""
    zone = ZoneInfo(row.timezone)
    today = now.astimezone(zone).date()
    found = []
    for number in range(DAYS):
        day = today + timedelta(days=number)
        whole = local_day(day, zone)
        opened = total(open_slots(place.rules.hours, zone, whole))
        spare = total(intersect(free, [whole]))
        share = spare / opened if opened else 0.0
        found.append(DayOpen(day, round(spare / HOUR, 1), min(1.0, share), number == 0))
    return found
