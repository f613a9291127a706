"""Joins the catalogue, free time and prices for who looks for time: what matches, is free, and is within budget."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from billing import pricing
from billing.quotes import actions as quotes
from billing.quotes import queries as offers
from billing.quotes.queries import PLAIN, Buyer, Terms, Use
from billing.tariffs.choosing import PriceList
from booking.finding import queries as finding
from booking.finding.askers import STRANGER, Asker
from booking.finding.queries import Room, Wanted
from booking.places import Place
from marketplace.catalogue.search import ANYTHING, Chosen, Matches, Prices, matching
from marketplace.money import Money
from marketplace.people import queries as people
from marketplace.permissions import Actor
from marketplace.refusals import NotAllowed
from marketplace.slot import Slot
from marketplace.tables import CustomerClass, ListingState, Organisation, Resource

AHEAD = timedelta(days=31)
"""How far ahead a first free time is looked for where no window is asked for."""
NEARBY = timedelta(days=62)
"""How far beyond a window without free time the nearest is looked for."""


@dataclass(frozen=True, slots=True)
class Search:
    """What may match: words, a price per hour or what the whole use may cost, and when, how long and how many units."""

    text: str = ""
    prices: Prices | None = None
    chosen: Chosen = ANYTHING
    """Narrows the page and its nearest, not what the page's facets count."""
    wanted: Wanted | None = None
    budget: Money | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What matches; by resource where it can be had first, where a time was asked for."""

    matches: Matches
    rooms: Mapping[str, Room] | None = None
    assisted: bool = False

    @property
    def firsts(self) -> dict[str, Slot]:
        """The first slot of each, where a time was asked for."""
        return _firsts(self.rooms or {})


def askers_of(session: Session, actor: Actor, organisation_id: str | None = None) -> list[Asker]:
    """For whom the actor would book, as web.checkout has it: the organisation named, else each of theirs, else their houses.

    Who may book for nobody sees what a new firm would. Raises: NotAllowed, NotFound.
    """
    if organisation_id is not None:
        if organisation_id not in actor.organisations and not actor.is_operator:
            raise NotAllowed(action="book_for_organisation")
        return [finding.asker_of(actor.known_id, people.get_organisation(session, organisation_id), frozenset())]
    if actor.person_id is None:
        return [STRANGER]
    firms: Sequence[Organisation | None] = people.organisations(session, actor.organisations)
    houses = actor.institutions() if len(firms) != 1 else frozenset[str]()
    return [finding.asker_of(actor.person_id, firm, houses) for firm in firms or (None,)]


def find(session: Session, search: Search, *, askers: list[Asker], now: datetime) -> Found:
    """Those that match, and where a time is asked for can be booked then, at once and by one of the askers."""
    matches = matching(session, text=search.text, prices=_prices(search))
    if search.wanted is None:
        return Found(matches)
    bookable = [row.id for row in matches.rows if row.state is ListingState.PUBLISHED]
    rooms = finding.rooms(session, bookable, wanted=search.wanted, askers=askers, now=now)
    if search.budget and search.wanted.length:
        rooms = _within_budget(session, matches, rooms, search.budget, search.wanted)
    return Found(matches.narrowed(rooms), rooms, search.wanted.assisted)


def _prices(search: Search) -> Prices | None:
    """With a budget only listings in its currency have a price that fits."""
    if search.budget is None or search.wanted is None or search.wanted.length is None:
        return search.prices
    return replace(search.prices or Prices(), currency=search.budget.currency)


def _within_budget(
    session: Session, matches: Matches, rooms: Mapping[str, Room], budget: Money, wanted: Wanted
) -> dict[str, Room]:
    """Those whose whole use costs the asker no more."""
    terms, costs = offers.terms_of(session, rooms), {}
    rows = {row.id: row for row in matches.rows if row.id in rooms}
    for key, slot in _firsts(rooms).items():
        listed = Money(rows[key].price_minor, rows[key].currency)
        prices = prices_in(listed, rooms[key], terms, assisted=wanted.assisted)
        costs[key] = pricing.quote(prices, slot, wanted.quantity)
    return {key: rooms[key] for key, price in costs.items() if price.minor <= budget.minor}


def nearest(session: Session, search: Search, *, askers: list[Asker], now: datetime) -> tuple[str, Slot] | None:
    """Where nothing is free in the window: what matches and is free soonest after it began, with its first slot."""
    if search.wanted is None:
        return None
    since = search.wanted.within.start
    later = replace(search, wanted=replace(search.wanted, within=Slot(since, since + NEARBY)))
    found = find(session, later, askers=askers, now=now)
    firsts = {key: slot for key, slot in found.firsts.items() if key in found.matches.of(search.chosen).ids}
    return min(firsts.items(), key=lambda one: (one[1], one[0]), default=None)


def firsts_of(
    session: Session, found: Found, resource_ids: Collection[str], *, askers: list[Asker], now: datetime
) -> dict[str, Slot]:
    """The first slot of each: as was asked for, else of the shortest length that it takes, within a month from now."""
    if found.rooms is not None:
        return _firsts({key: found.rooms[key] for key in resource_ids})
    wanted = Wanted(Slot(now, now + AHEAD))
    return _firsts(finding.rooms(session, resource_ids, wanted=wanted, askers=askers, now=now))


def costs_of(
    session: Session, found: Found, rows: Sequence[Resource], firsts: Mapping[str, Slot], *, quantity: int = 1
) -> dict[str, Money]:
    """By resource, what the asker would be promised for its first slot, where a time was asked for."""
    rooms = found.rooms or {}
    terms = offers.terms_of(session, [row.id for row in rows]) if rooms else {}
    found_prices = (
        (row.id, prices_in(row.price, rooms[row.id], terms, assisted=found.assisted))
        for row in rows
        if row.id in rooms and row.id in firsts
    )
    return {key: quotes.quote_slot(prices=prices, slot=firsts[key], quantity=quantity) for key, prices in found_prices}


def prices_in(listed: Money, room: Room, terms: Mapping[str, Terms], *, assisted: bool) -> PriceList:
    """What time on the resource would cost the asker; `terms` are those of all that are looked at."""
    return prices_at(listed, room.place, room.asker, terms, assisted=assisted)


def prices_at(listed: Money, place: Place, asker: Asker, terms: Mapping[str, Terms], *, assisted: bool) -> PriceList:
    """The same of a resource whose free time is not known."""
    house, use = place.institution_id, use_at(place, assisted=assisted)
    found = terms.get(place.resource_id, PLAIN)
    return offers.price_list(listed, house, found, _buyer(asker), use, own_house=house in asker.houses)[0]


def use_at(place: Place, *, assisted: bool) -> Use:
    """What a use there would claim, if one asked for an operator or did not."""
    return Use(place.rules.assistance.attends(wanted=assisted), place.rules.buffers)


def _buyer(asker: Asker) -> Buyer | None:
    """Who is not known pays what the list says."""
    if asker.organisation_id is None:
        return None
    kind = CustomerClass(asker.group.value) if asker.group else CustomerClass.INTERNAL
    return Buyer(asker.organisation_id, asker.department_of, kind)


def _firsts(rooms: Mapping[str, Room]) -> dict[str, Slot]:
    return {key: slot for key, room in rooms.items() if (slot := room.first())}
