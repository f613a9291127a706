"""Bookings a second beside what bare inserts under the same guard reach in the same run, each with a commit of its own."""

import contextlib
import gc
import re
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import timedelta
from functools import partial
from itertools import count
from math import ceil
from pathlib import Path
from statistics import median

import orjson
import psycopg
from sqlalchemy.orm import Session

from marketplace import clock
from marketplace.db import BUSY_TIMEOUT_S, open_engine, open_sessions
from marketplace.group_commit import GroupCommit
from marketplace.ids import new_id
from marketplace.people.actions import create_person, create_token
from marketplace.permissions import Actor, Grant
from marketplace.roles import Role
from marketplace.slot import Slot
from tests import servers
from tests.bench import load
from tests.bench.frame import BenchRow, Better
from tests.builders import a_resource, an_organisation
from tests.product import Product, product
from web import checkout
from web.schema import METADATA

ROUNDS = 5
ROUND_S = 1.5
"""Limit and ours take turns, and the middle of each counts: a machine that others share is twice as fast a moment later."""
WARM_UP_S = 4
GROWN_S = 0.8
"""Until SQLite's write-ahead file is as long as it gets: each commit that lengthens it takes a third more."""
PROGRAMS = servers.POSTGRES_BIN[-1]
RESOURCES = 50
CLIENTS = 8
SERVERS = 2
CLAIMS = 1_000_000
HOUR = timedelta(hours=1)
HOURS = 24 * 300
GUARDED = """
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE TABLE bare (resource int, slot tstzrange, EXCLUDE USING gist (resource WITH =, slot WITH &&));
INSERT INTO bare SELECT n % 50, tstzrange(now() - (n / 50 + 1) * interval '1 hour', now() - (n / 50) * interval '1 hour')
FROM generate_series(0, {claims} - 1) AS n;
ANALYZE bare;
"""
INSERT = """
\\set resource random(1, 50)
\\set hour random(1, 100000000)
INSERT INTO bare VALUES (:resource, tstzrange(now() + :hour * interval '1 hour', now() + (:hour + 1) * interval '1 hour'))
ON CONFLICT DO NOTHING;
"""
PAST = """
WITH places AS (SELECT id, institution_id, row_number() OVER (ORDER BY id) AS number FROM resources),
closed AS (
  INSERT INTO outages (id, resource_id, starts_at, ends_at, planned, reason, recorded_at)
  SELECT 'out_' || number, id, now() - interval '20 years', now() - interval '1 day', true, 'past', now() FROM places RETURNING id
)
INSERT INTO claims (id, institution_id, resource_id, unit, lane, starts_at, ends_at, kind, outage_id, active)
SELECT 'clm_' || number || '_' || n, institution_id, places.id, 0, 0, now() - (n + 1) * interval '1 hour',
       now() - n * interval '1 hour', 'outage', 'out_' || number, true
FROM places, generate_series(1, {each}) AS n
"""
"""As many claims as a market of years has left behind; the outages of the same statement are there when keys are checked."""


def rows() -> Iterator[BenchRow]:
    """SQLite in process; PostgreSQL over HTTP, and the trips to it that a booking costs."""
    with tempfile.TemporaryDirectory() as folder:
        yield on_sqlite(Path(folder))
        with servers.postgres(Path(folder) / "pilotbench-postgres-bench", durable=True) as url:
            guard(Path(folder), url)
            with product(Path(folder) / "product", url) as made:
                yield over_http(made, Path(folder), url)
                yield round_trips(made, url)


def over_http(made: Product, folder: Path, url: str) -> BenchRow:
    """Bookings with authentication, rules, price, audit and message, by workers of the product itself."""
    market = Market(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(PAST.format(each=CLAIMS // RESOURCES))
        connection.execute("ANALYZE")
        made.start(servers=SERVERS, workers=0)
        wanted = market.requests(made.port)
        load.send(made.port, wanted, connections=CLIENTS, seconds=WARM_UP_S)
        connection.execute("ANALYZE")  # as autovacuum does within a minute: keys into young tables are looked up row by row
    limit, ours = in_turns(
        lambda: pgbench(folder, url), lambda: load.send(made.port, wanted, connections=CLIENTS, seconds=ROUND_S).rate(201)
    )
    made.stop()
    what = f"bookings over HTTP, {SERVERS} workers, {CLAIMS:,} claims; PostgreSQL"
    return BenchRow(what, f"pgbench, {CLIENTS} connections", limit, ours, "1/s", 0.06, 0.15)


def round_trips(made: Product, url: str) -> BenchRow:
    """How often a booking waits for PostgreSQL, seen from the wire: `limit` is one trip, so that ratios are trips."""
    market = Market(url)
    with wire(url) as (through, trips):
        made.environment["PILOTBENCH_DATABASE_URL"] = through
        made.start(servers=1, workers=0)
        wanted = market.requests(made.port)
        load.send(made.port, wanted, connections=1, seconds=2)
        before = trips[0]
        answers = load.send(made.port, wanted, connections=1, seconds=2)
        found = (trips[0] - before) / answers.statuses[201]
        made.stop()
    return BenchRow("round trips to PostgreSQL a booking", "one", 1, found, "trips", 5, 2, Better.LOWER)


def on_sqlite(folder: Path) -> BenchRow:
    files = count()
    gc.collect()
    gc.freeze()  # as a server process does when it begins
    limit, ours = in_turns(
        lambda: bare_sqlite(folder / f"bare-{next(files)}.db"),
        lambda: bookings_a_second(f"sqlite:///{folder}/ours-{next(files)}.db"),
    )
    what = f"bookings with rules, price, audit, message; SQLite, in process, {CLIENTS} at once"
    return BenchRow(what, "the same claims alone, one by one, synchronous FULL", limit, ours, "1/s", 0.25, 0.4)


def in_turns(limit: Callable[[], float], ours: Callable[[], float]) -> tuple[float, float]:
    """The median of each over some rounds."""
    rounds = [(limit(), ours()) for _ in range(ROUNDS)]
    return median(one for one, _ in rounds), median(one for _, one in rounds)


class Market:
    """Fifty resources and somebody who may book them."""

    def __init__(self, url: str) -> None:
        engine, now = open_engine(url), clock.now()
        self.sessions = open_sessions(engine)
        with self.sessions.begin() as session:
            firm = an_organisation(session)
            self.places = [a_resource(session, name=f"R{number}").id for number in range(RESOURCES)]
            role = Grant(Role.MEMBER, organisation_id=firm.id)
            person = create_person(
                session, email=f"{new_id('p')}@example.com", name="陈静", grants=[role], actor_id=None, now=now
            )
            self.token = create_token(session, person_id=person.id, label="bench", now=now)
            self.actor = Actor(person.id, grants=frozenset({role}))
        engine.dispose()

    def slots(self) -> Iterator[tuple[str, Slot]]:
        """A free hour of one resource after the other."""
        first = (clock.now() + timedelta(days=1)).replace(minute=0, second=0, microsecond=0)
        for hour in range(HOURS):
            for place in self.places:
                yield place, Slot(first + hour * HOUR, first + (hour + 1) * HOUR)

    def requests(self, port: int) -> Iterator[bytes]:
        for place, slot in self.slots():
            body = orjson.dumps({"start": slot.start, "end": slot.end})
            yield load.post(port, f"/api/v1/resources/{place}/bookings", self.token, body)


def bookings_a_second(url: str) -> float:
    """As a server process carries them out: what waits when the writer is free shares a commit."""
    engine = open_engine(url)
    METADATA.create_all(engine)
    market, group, now = Market(url), GroupCommit(engine), clock.now()
    wanted = market.slots()
    free, done = threading.Semaphore(CLIENTS), count()

    def book(place: str, slot: Slot, session: Session) -> None:
        checkout.book(session, actor=market.actor, order=checkout.Order(place, slot), now=now, hold=HOUR)
        session.commit()

    def tell(answer: Future[None]) -> None:
        free.release()
        if answer.exception() is None:
            next(done)

    def ask(seconds: float) -> float:
        """How many a second are booked, all answered."""
        began, before = time.perf_counter(), next(done)
        while time.perf_counter() - began < seconds:
            free.acquire()
            group.submit(partial(book, *next(wanted))).add_done_callback(tell)
        group.close()
        return (next(done) - before - 1) / (time.perf_counter() - began)

    ask(GROWN_S)
    rate = ask(ROUND_S)
    engine.dispose()
    return rate


def bare_sqlite(file: Path) -> float:
    """Commits a second of one claim each, in the product's own table under its own guard."""
    engine = open_engine(f"sqlite:///{file}")
    METADATA.create_all(engine)
    market = Market(f"sqlite:///{file}")
    engine.dispose()
    connection = sqlite3.connect(file, isolation_level=None, timeout=BUSY_TIMEOUT_S)
    connection.execute("PRAGMA synchronous=FULL")
    house = connection.execute("SELECT institution_id FROM resources").fetchone()[0]
    done, began = 0, time.perf_counter()
    for place, slot in market.slots():
        row = (f"clm_{done}", house, place, slot.start.replace(tzinfo=None), slot.end.replace(tzinfo=None))
        connection.execute(
            "INSERT INTO claims (id, institution_id, resource_id, unit, lane, starts_at, ends_at, kind, outage_id, active)"
            " VALUES (?, ?, ?, 0, 0, ?, ?, 'outage', 'out_1', 1)",
            row,
        )
        done += 1
        if time.perf_counter() - began > ROUND_S:
            break
    connection.close()
    return done / (time.perf_counter() - began)


def guard(folder: Path, url: str) -> None:
    """A table under the same constraint, with as much in it."""
    setup = folder / "guarded.sql"
    setup.write_text(GUARDED.format(claims=CLAIMS))
    subprocess.run([PROGRAMS / "psql", "-q", url, "-f", setup], check=True, stdout=subprocess.DEVNULL)


def pgbench(folder: Path, url: str) -> float:
    """Transactions a second of single guarded inserts."""
    script = folder / "insert.sql"
    script.write_text(INSERT)
    options = f"-n -M prepared -c {CLIENTS} -j 2 -T {ceil(ROUND_S)}".split()
    command: list[Path | str] = [PROGRAMS / "pgbench", *options, "-f", script, url]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"tps = ([\d.]+)", answer)
    assert found, answer
    return float(found.group(1))


@contextlib.contextmanager
def wire(url: str) -> Iterator[tuple[str, list[int]]]:
    """A way to the database that counts how often the talk turns from question to answer."""
    port, trips = int(url.rsplit(":", 1)[1].split("/", maxsplit=1)[0]), [0]
    listening = socket.create_server(("127.0.0.1", 0))

    def carry(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            asked = threading.Event()
            back = threading.Thread(target=answers, args=(server, client, asked), daemon=True)
            back.start()
            while data := client.recv(1 << 16):
                asked.set()
                server.sendall(data)

    def answers(server: socket.socket, client: socket.socket, asked: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                if asked.is_set():
                    asked.clear()
                    trips[0] += 1
                client.sendall(data)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=carry, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield url.replace(f":{port}/", f":{listening.getsockname()[1]}/"), trips
    listening.close()
