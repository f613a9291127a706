"""The search page from listings, free time and live state; a fixed number of queries however many cards."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from booking import queries as booking
from booking.availability import local_day, local_midnight, open_slots
from booking.finding.askers import Asker
from booking.finding.queries import Wanted as Use
from booking.places import Place, load_places
from devices.live.queries import Live as State
from devices.live.queries import live_states
from marketplace.catalogue.queries import count_published, get_resource
from marketplace.catalogue.search import HIGHEST, Chosen, Hit, Prices, Sort, page_of, published_ids
from marketplace.money import Money
from marketplace.permissions import Actor
from marketplace.slot import Slot, intersect, total
from marketplace.tables import Resource, ResourceKind
from web import finding
from web.finding import Found, Search
from web.present import names
from web.views.frame import Choice, Lang, Paging
from web.views.search import Card, DayOpen, Facet, Nearest, Offer, SearchView

PAGE = 20
DAYS = 7
MOST_DAYS = 31
LENGTHS = (1, 2, 4, 8)
HOUR = timedelta(hours=1)
ZONE = ZoneInfo("Asia/Shanghai")
"""Whose days the date fields mean."""
YUAN = "CNY"
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
    until: date | None = None
    """The last day of the window; without one the window is `day` alone."""
    hours: float | None = None
    kind: str | None = None
    chain: str | None = None
    district: str | None = None
    free: bool = False
    assisted: bool = False
    min_price: str = ""
    max_price: str = ""
    budget: str = ""
    sort: Sort = "match"
    cursor: str | None = None

    @property
    def asks_for_time(self) -> bool:
        return bool(self.day or self.until or self.hours or minor_of(self.budget) or self.assisted)

    @property
    def as_query(self) -> dict[str, str]:
        given = {
            "q": self.q,
            "day": self.day.isoformat() if self.day else "",
            "until": self.until.isoformat() if self.until else "",
            "hours": f"{self.hours:g}" if self.hours else "",
            "kind": self.kind or "",
            "chain": self.chain or "",
            "district": self.district or "",
            "free": "1" if self.free else "",
            "assisted": "1" if self.assisted else "",
            "min_price": self.min_price,
            "max_price": self.max_price,
            "budget": self.budget,
            "sort": self.sort if self.sort != "match" else "",
        }
        return {name: value for name, value in given.items() if value}


def view(session: Session, wanted: Wanted, *, actor: Actor, lang: Lang, now: datetime, words: Mapping[str, str]) -> SearchView:
    """The page as asked for. `words` gives the labels of lengths and sorts."""
    asked, askers = as_search(wanted, now), finding.askers_of(session, actor)
    found = finding.find(session, asked, askers=askers, now=now)
    matches = found.matches.narrowed(_free_now(session, found.matches.ids, now)) if wanted.free else found.matches
    page = page_of(
        session,
        matches,
        chosen=asked.chosen,
        sort=wanted.sort,
        first_free=found.firsts,
        limit=PAGE,
        cursor=wanted.cursor,
    )
    published = published_ids(session)
    following = f"/{lang.value}/search?{urlencode({**wanted.as_query, 'cursor': page.next_cursor})}" if page.next_cursor else None
    ids = [hit.resource.id for hit in page.hits]
    nearest = None if ids or wanted.free else finding.nearest(session, asked, askers=askers, now=now)
    return SearchView(
        text=wanted.q,
        day=wanted.day,
        until=wanted.until,
        lengths=[Choice(f"{h}", words[f"{h}h"], wanted.hours == h) for h in LENGTHS],
        only_free=wanted.free,
        assisted=wanted.assisted,
        min_price=wanted.min_price,
        max_price=wanted.max_price,
        budget=wanted.budget,
        sorts=[Choice(name, words[name], wanted.sort == name) for name in ("match", "earliest", "price", "name")],
        facets=[_facet(name, page.facets, wanted) for name in ("kind", "chain", "district")],
        listed=count_published(session),
        free_now=len(_free_now(session, published, now)),
        total=page.total,
        cards=cards(session, page.hits, found, askers=askers, lang=lang, now=now),
        paging=Paging(len(page.hits), page.total, None, following),
        live_url=f"/{lang.value}/live?ids={','.join(ids)}" if ids else None,
        nearest=_nearest(session, *nearest, lang) if nearest else None,
        later_url=_later(wanted, nearest[1], lang) if nearest else None,
    )


def window_of(day: date | None, until: date | None, now: datetime) -> Slot:
    """From the first to the last day, at most a month; the day alone, or a week from today where none is named."""
    first = day or now.astimezone(ZONE).date()
    last = max(first, until or (first if day else first + timedelta(days=DAYS - 1)))
    last = min(last, first + timedelta(days=MOST_DAYS - 1))
    return Slot(local_midnight(first, ZONE), local_midnight(last + timedelta(days=1), ZONE))


def as_search(wanted: Wanted, now: datetime) -> Search:
    least, most, budget = (minor_of(text) for text in (wanted.min_price, wanted.max_price, wanted.budget))
    prices = None
    if least is not None or most is not None:
        prices = Prices(least or 0, HIGHEST if most is None else most, YUAN)
    kind = ResourceKind(wanted.kind) if wanted.kind in set(ResourceKind) else None
    chosen = Chosen(kind, wanted.chain, wanted.district)
    if not wanted.asks_for_time:
        return Search(wanted.q, prices, chosen)
    use = Use(window_of(wanted.day, wanted.until, now), timedelta(hours=wanted.hours or 1), assisted=wanted.assisted)
    return Search(wanted.q, prices, chosen, use, None if budget is None else Money(budget, YUAN))


def _nearest(session: Session, resource_id: str, slot: Slot, lang: Lang) -> Nearest:
    row = get_resource(session, resource_id)
    return Nearest(row.id, names.name_of(row, lang), slot, row.timezone)


def _later(wanted: Wanted, slot: Slot, lang: Lang) -> str:
    """The same search from the day of `slot` on."""
    later = {**wanted.as_query, "day": slot.start.astimezone(ZONE).date().isoformat()}
    return f"/{lang.value}/search?{urlencode({name: value for name, value in later.items() if name != 'until'})}"


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


def _free_now(session: Session, resource_ids: Collection[str], now: datetime) -> set[str]:
    return {key for key, state in live_states(session, resource_ids, now=now).items() if state.state is State.FREE}


def cards(session: Session, hits: Sequence[Hit], found: Found, *, askers: list[Asker], lang: Lang, now: datetime) -> list[Card]:
    rows = [hit.resource for hit in hits]
    ids = [row.id for row in rows]
    houses = names.institution_names(session, {row.institution_id for row in rows}, lang)
    live = names.live_of(session, ids, now=now)
    free = booking.free_time_of(session, ids, within=Slot(now, now + timedelta(days=DAYS + 1)), now=now)
    places = load_places(session, ids)
    firsts = finding.firsts_of(session, found, ids, askers=askers, now=now)
    costs = finding.costs_of(session, found, rows, firsts)
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
            first_free=firsts[row.id].start if row.id in firsts else None,
            is_soon=row.id in firsts and firsts[row.id].start < now + timedelta(days=DAYS - 1),
            offer=Offer(firsts[row.id], costs[row.id]) if row.id in costs else None,
            why=hit.why,
            foreign=names.foreign_of(row, lang),
        )
        for hit, row in zip(hits, rows, strict=True)
    ]


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
