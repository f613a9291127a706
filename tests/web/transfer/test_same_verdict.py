"""The same wish through a page, through the API and from a file gets the same verdict for the same reasons.

Three equal databases, one a door; every wish is asked at all three at the same moment, and what was not refused is stored alike.
"""

import html
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from booking import actions as booking
from booking.admission import Wish
from booking.external import actions as external
from booking.outages import actions as outages
from booking.tables import Approval, Booking, Category, RefusedRequest
from marketplace import clock
from marketplace.db import open_engine, open_sessions
from marketplace.people.actions import create_person, create_token
from marketplace.people.queries import find_person_by_email, get_actor
from marketplace.permissions import Grant
from marketplace.roles import Role
from marketplace.settings import Settings
from marketplace.slot import Slot
from marketplace.tables import CustomerClass, ListingState, Resource, Settlement
from tests.builders import a_resource, an_institution, an_organisation
from tests.conftest import new_database
from tests.web.api.world import API
from tests.web.desks import PASSWORD, Reader
from web.app import create_app
from web.deps import read_clock
from web.i18n import translator
from web.reasons import sentence
from web.refusals import title
from web.running import audit
from web.security import CSRF_COOKIE
from web.transfer.files import Format, rows
from web.transfer.kinds import TURNS, Kind
from web.transfer.running import Task, Work, tasks
from web.transfer.taking import Outcome, key_of, take
from web.views.frame import Lang

NOW = clock.now().replace(minute=0, second=0, microsecond=0)
SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
DAY = (NOW.astimezone(SHANGHAI) + timedelta(days=14 - NOW.astimezone(SHANGHAI).weekday() + 2)).replace(hour=0)
"""A Wednesday to come, as the machines' clock has it."""
SOON = ((NOW + timedelta(hours=14)).astimezone(SHANGHAI).date() - DAY.date()).days
"""From that Wednesday to the day whose next ten o'clock is at most a day away."""
EN = translator(Lang.EN)


def at(hour: float, days: int = 0) -> str:
    return (DAY + timedelta(days=days, hours=hour)).isoformat()


def slot(first: float, last: float, days: int = 0) -> Slot:
    return Slot(datetime.fromisoformat(at(first, days)), datetime.fromisoformat(at(last, days)))


def spring(clock: str) -> str:
    """That time on the next last Sunday of March, when Berlin's clocks go forward."""
    last = datetime(NOW.year + (NOW.month >= 3), 3, 31, tzinfo=UTC)
    return f"{last - timedelta(days=(last.weekday() + 1) % 7):%Y-%m-%d}{clock}"


@dataclass(frozen=True)
class Asked:
    """One wish; what is None is not sent."""

    what: str
    resource: str
    start: str
    end: str
    who: str = "member"
    more: Mapping[str, Any] = field(default_factory=dict)


def wish(what: str, resource: str, first: float, last: float, who: str = "member", days: int = 0, **more: Any) -> Asked:
    return Asked(what, resource, at(first, days), at(last, days), who, more)


def written(what: str, start: str, end: str) -> Asked:
    return Asked(what, "plain", start, end)


WISHES = [
    wish("good", "plain", 1, 2),
    wish("good by request", "asked", 1, 2),
    wish("good for two of three", "pool", 1, 2, quantity=2),
    wish("good on a station", "free station", 1, 2),
    wish("good on a line", "free line", 4, 6, purpose="Charge 7"),
    wish("good for the own house", "plain", 3, 4, "manager"),
    wish("good for teaching", "plain", 5, 6, "manager", purpose="teaching"),
    wish("good for one of two firms", "plain", 7, 8, "double", organisation_id="firm"),
    wish("good with a card", "carded", 1, 2),
    wish("good within the rules", "ruled", 9.5, 11, days=1),
    wish("good right after another", "plain", 12, 13),
    wish("good right before another", "plain", 9, 10),
    Asked("good across the change of clocks", "berlin", spring("T00:30:00Z"), spring("T02:30:00Z")),
    Asked("good in hours that their offsets name", "berlin", spring("T06:30:00+01:00"), spring("T08:30:00+02:00")),
    wish("taken whole", "plain", 10, 12),
    wish("taken at its start", "plain", 11.5, 13.5),
    wish("taken at its end", "plain", 9.5, 10.5),
    wish("taken in its middle", "plain", 9, 14),
    wish("taken by minutes", "plain", 11.99, 14),
    wish("taken by buffers alone", "ruled", 12.5, 13.5),
    wish("taken by a request", "asked", 10, 12),
    wish("taken by an outage", "broken", 10, 12),
    wish("taken by a calendar elsewhere", "elsewhere", 10, 12),
    wish("taken by its line", "taken station", 10, 12),
    wish("taken by its station", "taken line", 20, 22),
    wish("too few are left", "pool", 10, 12, quantity=2),
    wish("beyond the capacity", "pool", 14, 15, quantity=4),
    wish("far beyond the capacity", "plain", 14, 15, quantity=1000),
    wish("too short", "ruled", 10, 10.5, days=7),
    wish("too long", "ruled", 9, 14, days=7),
    wish("off the grid", "ruled", 14.25, 15.75, days=1),
    wish("in the past", "plain", 10, 12, days=-30),
    wish("too soon", "ruled", 10, 11, days=SOON),
    wish("beyond the horizon", "ruled", 10, 11, days=70),
    wish("before it opens", "ruled", 7, 9, days=7),
    wish("on a Sunday", "ruled", 10, 12, days=4),
    wish("on a day with hours of its own", "ruled", 10, 12, days=2),
    wish("on a public holiday too far ahead", "ruled", 10, 12, days=(datetime(NOW.year + 1, 10, 1, tzinfo=UTC) - DAY).days + 1),
    wish("with buffers outside the hours", "tight", 9, 10),
    wish("against several rules", "ruled", 6.1, 6.4, days=4),
    wish("against rules and taken", "ruled", 11.1, 11.3),
    wish("against every rule at once", "ruled", 3, 12.2, days=-60, quantity=9),
    wish("outside the audience", "members", 10, 12),
    wish("outside the audience and taken", "members", 14, 16),
    wish("before the audience is let in", "later", 10, 12),
    wish("over a quota of bookings", "counted", 14, 15),
    wish("over a quota of hours", "hours", 14, 18),
    wish("over quotas and taken", "counted", 10, 11),
    wish("on a paused machine", "paused", 10, 12),
    wish("on a paused machine, beyond its capacity", "paused", 10, 12, days=1, quantity=2),
    wish("on a draft", "draft", 10, 12),
    wish("on a retired machine", "retired", 10, 12),
    wish("on a machine that is not there", "nowhere", 10, 12),
    wish("for a firm of others", "plain", 16, 17, organisation_id="other"),
    wish("for a firm that is not there", "plain", 16, 17, organisation_id="none"),
    wish("of somebody without a firm", "plain", 16, 17, "lone"),
    wish("of somebody with two firms, none named", "plain", 16, 17, "double"),
    wish("ending before it starts", "plain", 17, 16),
    wish("ending when it starts", "plain", 17, 17),
    written("not a time", "morgen", at(17)),
    written("no time at all", "", ""),
    written("without an offset", at(16)[:19], at(17)[:19]),
    written("in a skipped hour of the wall clock", spring("T02:30:00"), spring("T03:30:00")),
    written("as a number of seconds", "1790000000", "1790003600"),
    written("in another century", "1999-12-31T10:00:00Z", "2200-01-01T10:00:00Z"),
    written("at no such time", "2027-02-30T10:00:00Z", "2027-02-28T25:00:00Z"),
    wish("for none", "plain", 16, 17, quantity=0),
    wish("for too many to count", "plain", 16, 17, quantity=1001),
    wish("for a word", "plain", 16, 17, quantity="zwei"),
    wish("with too long a purpose", "plain", 16, 17, purpose="x" * 1001),
    wish("with control characters", "plain", 16, 17, purpose="a\x07b"),
    wish("with everything wrong at once", "plain", 16, 17, purpose="x" * 1001, quantity=-5, organisation_id="y" * 300),
    wish("set aside by who may not", "ruled", 6, 8, days=8, override={"reason": "x"}),
    wish("good against the hours, set aside by who may", "ruled", 6, 8, "manager", days=8, override={"reason": "x"}),
    wish("set aside, but taken", "plain", 10, 12, "manager", override={"reason": "x"}),
]  # fmt: skip


@dataclass
class Door:
    """One database and one way in."""

    sessions: sessionmaker[Session]
    clients: dict[str, TestClient]
    tokens: Mapping[str, str]


def seed(db: Session) -> dict[str, str]:
    """A small market; the ids of its things by the names that wishes use, the tokens of its people by `token:name`."""
    house = an_institution(db, timezone="Asia/Shanghai")
    collects = an_institution(db, settlement=Settlement.PLATFORM_COLLECTS)
    ids = {name: an_organisation(db, name=name).id for name in ("firm", "other")}
    grants = {
        "member": [Grant(Role.MEMBER, organisation_id=ids["firm"])],
        "rival": [Grant(Role.MEMBER, organisation_id=ids["other"])],
        "double": [Grant(Role.MEMBER, organisation_id=ids[one]) for one in ("firm", "other")],
        "manager": [Grant(Role.MANAGER, institution_id=house.id)],
        "lone": [],
        "operator": [Grant(Role.OPERATOR)],
    }
    for name, held in grants.items():
        who = create_person(db, email=f"{name}@x.org", name=name, password=PASSWORD, grants=held, actor_id=None, now=NOW)
        ids[f"person:{name}"], ids[f"token:{name}"] = who.id, create_token(db, person_id=who.id, label="x", now=NOW)
    weekdays = [{"weekday": day, "open_min": 540, "close_min": 1020} for day in range(5)]
    friday = {"date": f"{DAY + timedelta(days=2):%Y-%m-%d}", "hours": [{"open_min": 780, "close_min": 900}]}
    ruled = {
        "step_min": 30,
        "min_min": 60,
        "max_min": 240,
        "notice_min": 1500,
        "horizon_days": 60,
        "setup_min": 15,
        "cleaning_min": 30,
    }
    since = f"{DAY + timedelta(days=9):%Y-%m-%d}"
    quota = {"per": "day", "by": "organisation"}
    rules: dict[str, dict[str, Any]] = {
        "plain": {},
        "asked": {"approval": Approval.REQUEST},
        "ruled": {**ruled, "hours": weekdays, "exceptions": [friday], "holidays": "CN"},
        "tight": {**ruled, "hours": weekdays, "buffers_in_closed": False},
        "members": {"audience": [{"group": "academic"}]},
        "later": {"audience": [{"group": "industry", "since": since}]},
        "counted": {"quotas": [{**quota, "limit": 1, "unit": "count"}]},
        "hours": {
            "quotas": [{**quota, "limit": 3, "unit": "hours"}, {"limit": 3, "unit": "hours", "per": "week", "by": "person"}]
        },
    }
    for name in (*rules, "pool", "broken", "elsewhere", "paused", "draft", "retired", "taken line", "free line"):
        version = {"step_min": 30, "horizon_days": 300, **rules.get(name, {})}
        ids[name] = a_resource(db, institution=house, name=name, capacity=3 if name == "pool" else 1, rules=version).id
    ids["carded"] = a_resource(db, institution=collects, rules={"step_min": 30}).id
    ids["berlin"] = a_resource(db, institution=house, timezone="Europe/Berlin", rules={"horizon_days": 700}).id
    for kind in ("taken", "free"):
        ids[f"{kind} station"] = a_resource(db, institution=house, parent_id=ids[f"{kind} line"], rules={"step_min": 30}).id
    _take_times(db, ids)
    for name, state in (("paused", ListingState.PAUSED), ("draft", ListingState.DRAFT), ("retired", ListingState.RETIRED)):
        db.get_one(Resource, ids[name]).state = state
    db.flush()
    return ids


def _take_times(db: Session, ids: Mapping[str, str]) -> None:
    """What stands there already: the rival's bookings from ten to twelve, an outage, a calendar, the firm's own use."""

    def book(resource: str, when: Slot, who: str = "rival", firm: str = "other", quantity: int = 1) -> None:
        asked = Wish(ids[resource], when, ids[f"person:{who}"], ids[firm], Category.EXT, quantity)
        booking.book(db, wish=asked, now=NOW)

    for resource in ("plain", "asked", "taken line", "paused"):
        book(resource, slot(10, 12))
    book("ruled", slot(10, 12))
    book("pool", slot(10, 12), quantity=2)
    book("taken station", slot(20, 22))
    for resource, last in (("counted", 11), ("hours", 12)):
        book(resource, slot(10, last), "member", "firm")
    academic = an_organisation(db, customer_class=CustomerClass.ACADEMIC)
    booking.book(db, wish=Wish(ids["members"], slot(14, 16), ids["person:rival"], academic.id, Category.EXT), now=NOW)
    who = ids["person:manager"]
    outages.record_outage(db, resource_id=ids["broken"], slot=slot(10, 12), planned=True, reason="x", actor_id=who, now=NOW)
    times = f"DTSTART:{slot(10, 12).start:%Y%m%dT%H%M%SZ}\r\nDURATION:PT2H"
    body = f"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\n{times}\r\nEND:VEVENT\r\nEND:VCALENDAR".encode()
    source = external.Source(body=body)
    external.connect(db, resource_id=ids["elsewhere"], name="x", source=source, actor_id=who, now=NOW)


@dataclass
class Market:
    ids: dict[str, str]
    page: Door
    api: Door
    file: Door
    folder: Path

    def values(self, asked: Asked) -> dict[str, Any]:
        """As a program sends them."""
        found = {"start": asked.start, "end": asked.end, **asked.more}
        if "organisation_id" in found:
            found["organisation_id"] = self.ids.get(found["organisation_id"], found["organisation_id"])
        return found


@pytest.fixture(scope="module")
def market(
    database: str, with_tables: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Market]:
    first = new_database(database, request, tmp_path_factory.mktemp("first"), like=with_tables)
    engine = open_engine(first)
    with open_sessions(engine).begin() as session:
        ids = seed(session)
    engine.dispose()
    with ExitStack() as opened:
        doors = []
        for name in ("page", "api", "file"):
            url = new_database(database, request, tmp_path_factory.mktemp(name), like=first)
            app = create_app(Settings(database_url=url))
            app.dependency_overrides[read_clock] = lambda: NOW
            opened.callback(app.state.engine.dispose)
            people = ("member", "double", "manager", "lone") if name != "file" else ()
            clients = {one: TestClient(app, raise_server_exceptions=False) for one in people}
            doors.append(Door(app.state.sessions, clients, {one: ids[f"token:{one}"] for one in people}))
        for one, client in doors[0].clients.items():
            answer = Reader(client).post("/signin", email=f"{one}@x.org", password=PASSWORD, next="/account")
            assert answer.status_code == 200
        yield Market(ids, doors[0], doors[1], doors[2], tmp_path_factory.mktemp("rows"))


def by_api(market: Market, asked: Asked) -> dict[str, Any]:
    """The answer, as JSON."""
    client, token = market.api.clients[asked.who], market.api.tokens[asked.who]
    path = f"{API}/resources/{market.ids.get(asked.resource, 'res_none')}/bookings"
    answer = client.post(path, json=market.values(asked), headers={"authorization": f"Bearer {token}"})
    found: dict[str, Any] = answer.json()
    return {**found, "status": answer.status_code}


def by_file(market: Market, asked: Asked, number: int) -> tuple[str | None, dict[str, Any]]:
    """The id of the booking, and the verdict as JSON."""
    file = market.folder / f"{number}.jsonl"
    row = {"key": f"B{number}", "resource_id": market.ids.get(asked.resource, "res_none"), "person": f"{asked.who}@x.org"}
    file.write_text(json.dumps({**row, **market.values(asked)}))
    [read] = rows(file, Format.JSONL, TURNS)
    with market.file.sessions() as session:
        root = find_person_by_email(session, "operator@x.org")
        assert root
        work = Work(get_actor(session, root.id), timedelta(minutes=10))
        task = Task([(1, lambda: key_of(read))], lambda hand: [take(hand, Kind.BOOKINGS, read)])
        [verdict] = verdicts = work.take(session, task, now=NOW)
        work.note(session, verdicts, now=NOW)
        session.commit()
    assert (verdict.outcome is Outcome.REFUSED) == (verdict.refusal is not None)
    return verdict.object_id, verdict.as_json()


def by_page(market: Market, asked: Asked) -> tuple[int, str, str]:
    """Status, where it leads, and what the page says."""
    client = market.page.clients[asked.who]
    path = f"/en/r/{market.ids.get(asked.resource, 'res_none')}/bookings"
    sent = {name: str(value) for name, value in market.values(asked).items()}
    answer = client.post(
        path, data={"csrf": client.cookies[CSRF_COOKIE], **sent}, headers={"origin": "http://testserver"}, follow_redirects=False
    )
    return answer.status_code, answer.headers.get("location", ""), html.unescape(answer.text)


def stored(door: Door, booking_id: str) -> tuple[object, ...]:
    with door.sessions() as session:
        row = session.get_one(Booking, booking_id)
        who = (row.resource_id, row.person_id, row.organisation_id)
        return (*who, row.slot, row.quantity, row.state, row.category, row.purpose, row.hold_until)


def demand(door: Door) -> int | None:
    with door.sessions() as session:
        return session.scalar(select(func.count()).select_from(RefusedRequest))


@pytest.mark.parametrize("number", range(len(WISHES)), ids=[asked.what for asked in WISHES])
def test_a_wish_gets_the_same_verdict_at_every_door(market: Market, number: int) -> None:
    asked = WISHES[number]
    told = by_api(market, asked)
    status, location, page = by_page(market, asked)
    made, verdict = by_file(market, asked, number)
    assert (told["status"] == 201) == asked.what.startswith("good"), told
    if told["status"] == 201:
        found = re.search(r"/bookings/(\w+)", location)
        assert found, (status, page[:2000])
        assert made
        assert stored(market.api, told["id"]) == stored(market.page, found[1]) == stored(market.file, made)
    else:
        for name in ("code", "detail", "reasons", "conflicts", "alternatives"):
            assert verdict.get(name) == told.get(name), name
        assert status == told["status"]
        _says(page, told)
    assert demand(market.api) == demand(market.page) == demand(market.file)


def _says(page: str, told: Mapping[str, Any]) -> None:
    """The page tells what the API told: the verdict, every reason and no other, the conflicts, the ways out."""
    assert title(told["code"], EN) in page
    reasons = [sentence(one["code"], one, EN) for one in told["reasons"] if one["code"] != told["code"]]
    note = re.search(r'<div class="note bad" role="alert".*?</div>\s*\{?', page, re.DOTALL)
    listed = re.findall(r"<li>(.*?)</li>", note[0]) if note else []
    assert listed == reasons
    if not reasons:
        assert sentence(told["code"], told["reasons"][0], EN) in page
    taken = re.findall(r'data-taken="([^/"]+)/([^"]+)"', page)
    assert [[_minute(one) for one in pair] for pair in taken] == [
        [_minute(one["start"]), _minute(one["end"])] for one in told.get("conflicts", ())
    ]
    ways = re.findall(r'<a href="[^"]*\?start=([^&]+)&end=([^&#"]+)(?:&quantity=\d+)?#panel"', page)
    assert [[_minute(one) for one in pair] for pair in ways] == [
        [_minute(one["start"]), _minute(one["end"])] for one in told.get("alternatives", ())
    ]


def _minute(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(second=0, microsecond=0)


TOGETHER = {
    "one is taken": [("plain", 13, 14), ("pool", 10, 12)],
    "both are taken": [("plain", 10, 12), ("taken line", 10, 12)],
    "against rules": [("plain", 13, 14), ("ruled", 6, 7)],
    "in each other's way": [("plain", 19, 20), ("plain", 19.5, 20.5)],
    "good": [("plain", 19, 20), ("pool", 20, 21)],
}


@pytest.mark.parametrize("what", TOGETHER)
def test_what_goes_together_gets_the_same_verdict_over_the_api_and_from_a_file(market: Market, what: str) -> None:
    units = {"pool": {"quantity": 2}}
    parts = [
        {"resource_id": market.ids[name], "start": at(first), "end": at(last), **units.get(name, {})}
        for name, first, last in TOGETHER[what]
    ]
    headers = {"authorization": f"Bearer {market.api.tokens['member']}"}
    answer = market.api.clients["member"].post(f"{API}/bookings", json={"parts": parts}, headers=headers)
    told = answer.json()
    file = market.folder / "together.jsonl"
    file.write_text("".join(f"{json.dumps({**part, 'person': 'member@x.org', 'together': what})}\n" for part in parts))
    with market.file.sessions() as session:
        root = find_person_by_email(session, "operator@x.org")
        assert root
        work = Work(get_actor(session, root.id), timedelta(minutes=10))
        [task] = tasks("bookings", file, None, resource="", name="")
        verdicts = work.take(session, task, now=NOW)
        work.note(session, verdicts, now=NOW)
        session.commit()
    assert (answer.status_code == 201) == (what == "good"), told
    if what == "good":
        for made, verdict in zip(told["bookings"], verdicts, strict=True):
            assert verdict.object_id
            assert stored(market.api, made["id"]) == stored(market.file, verdict.object_id)
        return
    assert len(verdicts) == len(parts)
    for verdict in verdicts:
        for name in ("code", "detail", "reasons", "conflicts", "alternatives"):
            assert verdict.as_json().get(name) == told.get(name), name
    assert demand(market.api) == demand(market.file)


def test_at_the_end_the_three_ledgers_hold(market: Market) -> None:
    for door in (market.page, market.api, market.file):
        with door.sessions() as session:
            assert audit(session) == []
