"""A publisher's timeline: its lines with their stations below them, and what lies on each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from booking import terms
from booking.places import Place, load_places
from booking.states import HOLDING, BookingState
from booking.tables import Booking, Outage
from booking.timeline import queries as lying
from booking.timeline.queries import Held
from marketplace.permissions import Action, Actor, may
from marketplace.slot import Slot, subtract
from marketplace.tables import Institution, Resource
from web import timeline
from web.i18n import translator
from web.labels import word
from web.present import desk, names
from web.timeline import Scale
from web.views.frame import Choice, Lang, Live, Paging
from web.views.timeline import Bar, Listed, MoveCard, Row, Strip, TimelineView, Undo

DRAWN = HOLDING | {BookingState.COMPLETED, BookingState.NO_SHOW, BookingState.PROVIDER_FAILED, BookingState.UNVERIFIABLE}
LINES = 50
"""Rows of a page; the live stream watches sixty."""
BAR, GAP = 28, 4
"""Pixels: the height of a bar, and between two."""
OWN_KINDS = {"booking", "hold", "request", "outage"}
"""Claims that are drawn from their bookings and outages; others are time taken elsewhere."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the page's address asks for."""

    scale: Scale
    day: date
    first_weekday: int
    page: int = 0

    @property
    def first(self) -> date:
        return timeline.first_day(self.day, self.scale, self.first_weekday)


class Lying(NamedTuple):
    """What lies on the rows of a page."""

    bookings: Sequence[Booking]
    held: Sequence[Held]
    outages: Sequence[Outage]
    who: Mapping[str, str]


def address(lang: Lang, house_id: str, asked: Asked) -> str:
    return f"/{lang.value}/desk/timeline?{urlencode(hidden(house_id, asked))}"


def move_address(lang: Lang, house_id: str, asked: Asked, booking_id: str) -> str:
    """Of the form that moves a booking."""
    return f"/{lang.value}/desk/timeline/move?{urlencode([*hidden(house_id, asked), ('booking', booking_id)])}"


def hidden(house_id: str, asked: Asked) -> list[tuple[str, str]]:
    """The page's own address as fields of a form."""
    found = [("institution", house_id), ("scale", asked.scale.value), ("day", asked.day.isoformat())]
    return [*found, ("page", str(asked.page))] if asked.page else found


def view(
    session: Session,
    house: Institution,
    actor: Actor,
    asked: Asked,
    *,
    lang: Lang,
    now: datetime,
    card: MoveCard | None = None,
    undo: Undo | None = None,
) -> TimelineView:
    zone, first = ZoneInfo(house.timezone), asked.first
    tree = nested(desk.standing(session, house.id, now))
    shown = tree[asked.page * LINES : (asked.page + 1) * LINES]
    ids = [row.id for row, _ in shown]
    whole = timeline.whole_days(first, asked.scale.days, zone)
    found, places = lie(session, ids, whole), load_places(session, ids)
    opened = [span for one in places.values() for span in terms.bookable_hours(one.rules, one.zone, whole)]
    drawn = timeline.window(first, asked.scale, zone, [*(row.slot for row in found.bookings), *opened])
    can_move = may(actor, Action.DECIDE_BOOKINGS, institution_id=house.id)
    live = names.live_of(session, ids, now=now)
    draw = Drawer(lang, zone, drawn, asked, house.id, found, places, can_move=can_move, now=now)
    return TimelineView(
        institution=names.name_of(house, lang),
        institution_id=house.id,
        institutions=desk.own_institutions(session, actor, house.id, lang),
        zone=house.timezone,
        scale=asked.scale.value,
        first=first,
        last=first + timedelta(days=asked.scale.days - 1),
        drawn=drawn,
        ticks=timeline.ticks(drawn, asked.scale, zone),
        now_x=timeline.place(now, drawn) if drawn.start <= now < drawn.end else None,
        rows=[draw.row(row, depth, live[row.id]) for row, depth in shown],
        listed=draw.listed({row.id: row for row, _ in shown}),
        scales=[_scale(one, asked, lang, house.id) for one in Scale],
        self_url=address(lang, house.id, asked),
        previous=_at(asked, first - timedelta(days=asked.scale.days), lang, house.id),
        this=_at(asked, now.astimezone(zone).date(), lang, house.id),
        following=_at(asked, first + timedelta(days=asked.scale.days), lang, house.id),
        hidden=hidden(house.id, asked),
        can_move=can_move,
        card=card,
        undo=undo,
        menu=desk.menu(actor, house.id),
        live_url=f"/{lang.value}/live?ids={','.join(ids)}" if ids else None,
        paging=_paging(len(tree), asked, lang, house.id),
    )


def nested(rows: Sequence[Resource]) -> list[tuple[Resource, int]]:
    """Each line with its depth, its stations following it; whose line is not among them counts as a line."""
    known = {row.id for row in rows}
    below: dict[str | None, list[Resource]] = {}
    for row in rows:
        below.setdefault(row.parent_id if row.parent_id in known else None, []).append(row)

    def under(parent: str | None, depth: int) -> list[tuple[Resource, int]]:
        return [pair for row in below.get(parent, ()) for pair in ((row, depth), *under(row.id, depth + 1))]

    return under(None, 0)


def lie(session: Session, ids: Sequence[str], within: Slot) -> Lying:
    bookings = lying.bookings_on(session, ids, within=within, states=DRAWN)
    held = lying.held_on(session, ids, within=within)
    return Lying(bookings, held, lying.outages_on(session, ids, within=within), desk.customers(session, bookings))


def _scale(one: Scale, asked: Asked, lang: Lang, house_id: str) -> tuple[Choice, str]:
    other = Asked(one, asked.day, asked.first_weekday, asked.page)
    named = word(translator(lang), "scale", one.value)
    return Choice(one.value, named, one is asked.scale), address(lang, house_id, other)


def _at(asked: Asked, day: date, lang: Lang, house_id: str) -> str:
    return address(lang, house_id, Asked(asked.scale, day, asked.first_weekday, asked.page))


def _paging(total: int, asked: Asked, lang: Lang, house_id: str) -> Paging:
    def page(number: int) -> str:
        return address(lang, house_id, Asked(asked.scale, asked.day, asked.first_weekday, number))

    more = (asked.page + 1) * LINES < total
    return Paging(min(total, LINES), total, page(asked.page - 1) if asked.page else None, page(asked.page + 1) if more else None)


class Drawer:
    """Puts what lies on the rows into their places."""

    def __init__(
        self,
        lang: Lang,
        zone: ZoneInfo,
        drawn: Slot,
        asked: Asked,
        house_id: str,
        found: Lying,
        places: Mapping[str, Place],
        *,
        can_move: bool,
        now: datetime,
    ) -> None:
        self.lang, self.zone, self.drawn, self.asked, self.house_id = lang, zone, drawn, asked, house_id
        self.found, self.places, self.can_move, self.now = found, places, can_move, now
        self.slots = {row.id: row.slot for row in found.bookings}

    def row(self, place: Resource, depth: int, live: Live) -> Row:
        bars = [bar for bar in self._bars(place.id) if bar[0].overlaps(self.drawn)]
        lane = timeline.lanes([slot for slot, _ in bars])
        placed = [self._placed(bar, GAP + number * (BAR + GAP)) for (_, bar), number in zip(bars, lane, strict=True)]
        of_booking = {bar.id: bar.strip for bar in placed if bar.id}
        height = GAP + (max(lane, default=0) + 1) * (BAR + GAP)
        step = self.places[place.id].rules.step_min if place.id in self.places else 60
        return Row(
            resource_id=place.id,
            name=names.name_of(place, self.lang),
            live=live,
            depth=depth,
            zone=place.timezone,
            step_min=timeline.snap(step, self.asked.scale),
            height=height,
            bars=placed,
            buffers=list(self._buffers(place.id, of_booking)),
            closed=[self._strip(span, 0, height) for span in self._closed(place.id)],
        )

    def _bars(self, place_id: str) -> list[tuple[Slot, Bar]]:
        nowhere = Strip("0", "0", 0, BAR)
        found = [
            (row.slot, Bar("booking", nowhere, row.slot, self.found.who[row.id], row.state.value, row.id, row.version,
                           self.moves(row), move_address(self.lang, self.house_id, self.asked, row.id)))
            for row in self.found.bookings
            if row.resource_id == place_id
        ]  # fmt: skip
        found += [
            (one.slot, Bar("outage", nowhere, one.slot, one.reason)) for one in self.found.outages if one.resource_id == place_id
        ]
        return found + [(slot, Bar(kind, nowhere, slot, "")) for kind, slot in sorted(self._elsewhere(place_id))]

    def _elsewhere(self, place_id: str) -> set[tuple[str, Slot]]:
        """Taken by a use of the whole line, or by what another calendar says."""
        here = {row.id for row in self.found.bookings if row.resource_id == place_id}
        held = [one for one in self.found.held if one.resource_id == place_id and one.booking_id not in here]
        with_line = {("line", one.slot) for one in held if one.booking_id and one.kind in OWN_KINDS}
        return with_line | {("external", one.slot) for one in held if one.kind not in OWN_KINDS}

    def moves(self, row: Booking) -> str:
        if not self.can_move or row.state not in HOLDING or row.ends_at <= self.now:
            return ""
        if row.starts_at > self.now:
            return "all"
        return "end" if row.state is BookingState.CONFIRMED else ""

    def _placed(self, bar: Bar, y: int) -> Bar:
        return Bar(
            bar.kind, self._strip(bar.slot, y, BAR), bar.slot, bar.label, bar.state, bar.id, bar.version, bar.moves, bar.url
        )

    def _strip(self, slot: Slot, y: int, height: int) -> Strip:
        """As far as it is drawn."""
        seen = slot.clip(self.drawn) or self.drawn
        return Strip(timeline.place(seen.start, self.drawn), timeline.width(seen, self.drawn), y, height)

    def _buffers(self, place_id: str, of_booking: Mapping[str, Strip]) -> list[Strip]:
        """Set-up before and clean-down after, beside the bar they belong to."""
        seen = {
            (piece, of_booking[one.booking_id].y)
            for one in self.found.held
            if one.resource_id == place_id and one.booking_id and one.booking_id in of_booking
            for piece in subtract([one.slot], [self.slots[one.booking_id]])
            if piece.overlaps(self.drawn)
        }
        return [self._strip(piece, y, BAR) for piece, y in sorted(seen)]

    def _closed(self, place_id: str) -> list[Slot]:
        place = self.places.get(place_id)
        return subtract([self.drawn], terms.bookable_hours(place.rules, place.zone, self.drawn)) if place else []

    def listed(self, places: Mapping[str, Resource]) -> list[Listed]:
        """The bookings of the rows once more, in order of time."""
        return [
            Listed(
                row.id,
                names.name_of(places[row.resource_id], self.lang),
                self.found.who[row.id],
                row.slot,
                places[row.resource_id].timezone,
                row.state.value,
                move_address(self.lang, self.house_id, self.asked, row.id) if self.moves(row) else "",
            )
            for row in self.found.bookings
            if row.slot.overlaps(self.drawn)
        ]
