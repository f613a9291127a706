"""Two or more who cannot both have their way ask at the same instant, over HTTP; several server processes on PostgreSQL.

Whoever comes first, every answer is one that a person can read, nothing is half done, and no lock is ever lost in a circle.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import sessionmaker

from booking import actions
from booking.admission import Wish
from booking.tables import Category
from marketplace import clock
from marketplace.db import open_engine, open_sessions
from marketplace.slot import Slot
from tests.builders import a_person
from tests.conftest import new_database
from tests.flows import oracle
from tests.product import product as a_product
from tests.web.api.world import API, World, a_world, span, tomorrow
from web.running import audit

pytestmark = pytest.mark.servers
PATIENCE_S = 60
ROUNDS = 4
REQUESTS_RULES = {"approval": "request"}


@dataclass
class Arena:
    """A product with several server processes, and the database below it."""

    world: World
    engine: Engine
    base_url: str
    days: int = 2

    def a_day(self) -> int:
        """A day of its own for each duel."""
        self.days += 1
        return self.days

    def at_once(self, asks: Sequence[Callable[[httpx2.Client], httpx2.Response]]) -> list[httpx2.Response]:
        """All of them at the same instant, each over a connection of its own."""
        start = threading.Barrier(len(asks))

        def send(ask: Callable[[httpx2.Client], httpx2.Response]) -> httpx2.Response:
            with httpx2.Client(base_url=self.base_url, timeout=PATIENCE_S) as client:
                client.get("/healthz")  # connected before the start
                start.wait(PATIENCE_S)
                return ask(client)

        with ThreadPoolExecutor(len(asks)) as pool:
            replies = list(pool.map(send, asks))
        assert [reply.text for reply in replies if reply.status_code >= 500] == []
        return replies

    def faults(self) -> list[str]:
        with sessionmaker(self.engine)() as session:
            laws = oracle.broken(oracle.read(session))
            return [*oracle.deadlocks(session), *laws, *audit(session), *oracle.unrecorded(session)]


@pytest.fixture(scope="module")
def served(database: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    url = new_database(database, request, tmp_path_factory.mktemp("database"))
    with a_product(tmp_path_factory.mktemp("duels"), url) as product:
        operator = product.operator_token()
        product.start(servers=3 if database == "postgresql" else 1, workers=0)
        engine = open_engine(url)
        with httpx2.Client(base_url=product.base_url, timeout=PATIENCE_S) as client:
            yield Arena(a_world(client, operator), engine, product.base_url)
        engine.dispose()


@pytest.fixture
def arena(served: Arena) -> Iterator[Arena]:
    """Whatever happens in it, at the end the laws hold."""
    yield served
    assert served.faults() == []


Ask = Callable[[httpx2.Client], httpx2.Response]


def post(path: str, token: str, body: Any = None) -> Ask:
    return lambda client: client.post(f"{API}{path}", json=body, headers={"authorization": f"Bearer {token}"})


def patch(booking: dict[str, Any], token: str, body: Any) -> Ask:
    headers = {"authorization": f"Bearer {token}", "if-match": f'"{booking["version"]}"'}
    return lambda client: client.patch(f"{API}/bookings/{booking['id']}", json=body, headers=headers)


def book(arena: Arena, resource: str, start: datetime, hours: float = 2) -> Ask:
    return post(f"/resources/{resource}/bookings", arena.world.member, span(start, hours))


def booked(arena: Arena, resource: str, start: datetime, hours: float = 2) -> dict[str, Any]:
    return arena.world.made(f"/resources/{resource}/bookings", arena.world.member, span(start, hours))


def codes(replies: Sequence[httpx2.Response]) -> list[int]:
    return [reply.status_code for reply in replies]


def state(arena: Arena, booking: dict[str, Any]) -> str:
    return str(arena.world.get(f"/bookings/{booking['id']}", arena.world.member).json()["state"])


def test_the_last_places_go_to_as_many_as_there_are(arena: Arena) -> None:
    oven = arena.world.a_resource(capacity=3)
    replies = arena.at_once([book(arena, oven, tomorrow(days=arena.a_day()))] * 12)
    assert Counter(codes(replies)) == {201: 3, 409: 9}


def test_a_quota_lets_as_many_pass_as_it_says(arena: Arena) -> None:
    quota = {"limit": 2, "unit": "count", "per": "day", "by": "organisation"}
    place, day = arena.world.a_resource(rules={"quotas": [quota]}), arena.a_day()
    replies = arena.at_once([book(arena, place, tomorrow(hour, days=day), 1) for hour in range(1, 9)])
    assert Counter(codes(replies)) == {201: 2, 409: 6}


def test_of_those_who_decide_a_request_one_does(arena: Arena) -> None:
    place = arena.world.a_resource(rules=REQUESTS_RULES)
    for _ in range(ROUNDS):
        asked = booked(arena, place, tomorrow(days=arena.a_day()))
        steps = ("approve", "refuse", "approve", "refuse")
        replies = arena.at_once([post(f"/bookings/{asked['id']}/{step}", arena.world.manager) for step in steps])
        assert Counter(codes(replies)) == {200: 1, 409: 3}
        assert state(arena, asked) == next(reply.json()["state"] for reply in replies if reply.status_code == 200)


def test_an_extension_and_a_booking_of_the_same_hours(arena: Arena) -> None:
    place = arena.world.a_resource()
    for _ in range(ROUNDS):
        start = tomorrow(days=arena.a_day())
        row = booked(arena, place, start)
        longer = patch(row, arena.world.member, span(start, 4))
        extended, other = codes(arena.at_once([longer, book(arena, place, start + timedelta(hours=2))]))
        assert (extended, other) in {(200, 409), (409, 201)}


def test_two_moves_to_one_slot_and_one_booking_moved_twice(arena: Arena) -> None:
    place = arena.world.a_resource()
    for _ in range(ROUNDS):
        day = arena.a_day()
        one, other = (booked(arena, place, tomorrow(hour, days=day)) for hour in (1, 4))
        there = span(tomorrow(8, days=day))
        replies = arena.at_once([patch(row, arena.world.member, there) for row in (one, other)])
        assert sorted(codes(replies)) == [200, 409]
        left = other if replies[0].status_code == 200 else one
        elsewhere = [patch(left, arena.world.member, span(tomorrow(hour, days=day))) for hour in (12, 15)]
        assert sorted(codes(arena.at_once(elsewhere))) == [200, 412]


def test_who_leaves_and_who_stays_longer(arena: Arena) -> None:
    """A booking that runs is finished and extended at once: the one that comes first stands, no claim outlives it."""
    with open_sessions(arena.engine).begin() as session:
        persons = [a_person(session).id for _ in range(ROUNDS)]
    begun = clock.now().replace(second=0, microsecond=0) - timedelta(hours=1)
    for person in persons:
        place = arena.world.a_resource()
        wish = Wish(place, Slot(begun, begun + timedelta(hours=3)), person, arena.world.organisation, Category.EXT)
        with open_sessions(arena.engine).begin() as session:
            row = actions.book(session, wish=wish, now=begun - timedelta(days=1))
            session.flush()
        running = {"id": row.id, "version": row.version}
        finish = post(f"/bookings/{row.id}/finish", arena.world.member)
        done, longer = codes(arena.at_once([finish, patch(running, arena.world.member, span(begun, 5))]))
        assert (done, longer) in {(200, 200), (200, 412), (200, 404), (200, 409)}


def test_a_cancellation_and_an_approval(arena: Arena) -> None:
    place = arena.world.a_resource(rules=REQUESTS_RULES)
    for _ in range(ROUNDS):
        asked = booked(arena, place, tomorrow(days=arena.a_day()))
        steps = [("cancel", arena.world.member), ("approve", arena.world.manager)]
        cancelled, approved = codes(arena.at_once([post(f"/bookings/{asked['id']}/{step}", who) for step, who in steps]))
        assert cancelled == 200
        assert approved in {200, 409}
        assert state(arena, asked) == "cancelled"


def test_an_outage_and_a_booking(arena: Arena) -> None:
    place = arena.world.a_resource()
    for _ in range(ROUNDS):
        start = tomorrow(days=arena.a_day())
        outage = {**span(start, 6), "planned": True, "reason": "保养"}
        asks = [post(f"/resources/{place}/outages", arena.world.manager, outage), book(arena, place, start)]
        closed, taken = codes(arena.at_once(asks))
        assert closed == 201
        assert taken in {201, 409}


def test_bundles_the_other_way_round_are_whole_or_not_at_all(arena: Arena) -> None:
    pair = [arena.world.a_resource(), arena.world.a_resource()]
    for _ in range(ROUNDS):
        when = span(tomorrow(days=arena.a_day()))
        forth = [{"resource_id": one, **when} for one in pair]
        asks = [post("/bookings", arena.world.member, {"parts": parts}) for parts in (forth, forth[::-1]) * 3]
        replies = arena.at_once(asks)
        assert Counter(codes(replies)) == {201: 1, 409: 5}
        assert next(len(reply.json()["bookings"]) for reply in replies if reply.status_code == 201) == 2


def test_bundles_that_move_into_each_others_time_stay_whole(arena: Arena) -> None:
    """Their parts lie the other way round, so each must wait for what the other holds."""
    pair = [arena.world.a_resource(), arena.world.a_resource()]
    for _ in range(ROUNDS):
        day, asks = arena.a_day(), []
        for order, hour in ((pair, 1), (pair[::-1], 9)):
            parts = [{"resource_id": one, **span(tomorrow(hour + n, days=day), 1)} for n, one in enumerate(order)]
            made = arena.world.made("/bookings", arena.world.member, {"parts": parts})
            for start in (5, 9 if hour == 1 else 1):
                asks.append(move_together(made, arena.world.member, tomorrow(start, days=day)))
        replies = arena.at_once(asks)
        assert set(codes(replies)) <= {200, 409, 412}
        assert 200 in codes(replies)


def move_together(bundle: dict[str, Any], token: str, start: datetime) -> Ask:
    headers = {"authorization": f"Bearer {token}", "if-match": f'"{bundle["version"]}"'}
    return lambda client: client.post(f"{API}/bundles/{bundle['id']}/move", json={"start": start.isoformat()}, headers=headers)


def test_of_series_on_the_same_times_one_is_whole(arena: Arena) -> None:
    place = arena.world.a_resource()
    for _ in range(ROUNDS):
        day = arena.a_day()
        arena.days += 4
        body = {**span(tomorrow(days=day)), "rrule": "FREQ=DAILY;COUNT=5"}
        replies = arena.at_once([post(f"/resources/{place}/booking-series", arena.world.member, body)] * 4)
        assert Counter(codes(replies)) == {201: 1, 409: 3}


def test_a_line_and_its_stations(arena: Arena) -> None:
    line = arena.world.a_resource()
    stations = [arena.world.a_resource(parent_id=line) for _ in range(2)]
    for _ in range(ROUNDS):
        start = tomorrow(days=arena.a_day())
        replies = arena.at_once([book(arena, one, start) for one in (line, *stations)])
        assert codes(replies) in ([201, 409, 409], [409, 201, 201])


def test_outages_that_move_bookings_across_never_wait_in_a_circle(arena: Arena) -> None:
    """Each takes one machine out of use and its booking to the other, while bundles of both are asked for."""
    pair = [arena.world.a_resource(), arena.world.a_resource()]
    for _ in range(ROUNDS * 2):
        day = arena.a_day()
        rows = [booked(arena, one, tomorrow(hour, days=day)) for one, hour in zip(pair, (1, 8), strict=True)]
        asks = []
        for row, one, other in zip(rows, pair, pair[::-1], strict=True):
            plan = [{"booking_id": row["id"], "action": "move", "resource_id": other}]
            body = {"start": row["start"], "end": row["end"], "planned": True, "reason": "保养", "plan": plan}
            asks.append(post(f"/resources/{one}/outages", arena.world.manager, body))
        when = span(tomorrow(4, days=day))
        for parts in (pair, pair[::-1]):
            body = {"parts": [{"resource_id": one, **when} for one in parts]}
            asks.append(post("/bookings", arena.world.member, body))
        replies = codes(arena.at_once(asks))
        assert replies[:2] == [201, 201]
        assert sorted(replies[2:]) == [201, 409]
