"""Bookings a second beside the database's own limit: what a bare insert under the same guard reaches in the same run."""

import re
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from booking.actions import book
from booking.admission import Wish
from booking.tables import Category
from marketplace.db import BUSY_TIMEOUT_S, open_engine, open_sessions
from marketplace.slot import Slot
from tests import servers
from tests.bench.frame import BenchRow
from tests.builders import a_person, a_resource, an_organisation
from web.schema import METADATA

MEASURED_S = 6
RESOURCES = 50
CLIENTS = 8
NOW = datetime(2026, 3, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURS = 24 * 300
GUARDED = """
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE TABLE bare (resource int, slot tstzrange, EXCLUDE USING gist (resource WITH =, slot WITH &&));
"""
INSERT = """
\\set resource random(1, 50)
\\set hour random(1, 100000000)
INSERT INTO bare VALUES (:resource, tstzrange(now() + :hour * interval '1 hour', now() + (:hour + 1) * interval '1 hour'))
ON CONFLICT DO NOTHING;
"""


def rows() -> Iterator[BenchRow]:
    """One row for each database."""
    with tempfile.TemporaryDirectory() as folder:
        yield on_sqlite(Path(folder))
        with servers.postgres(Path(folder) / "pilotbench-postgres-bench") as url:
            yield on_postgresql(Path(folder), url)


def on_postgresql(folder: Path, url: str) -> BenchRow:
    limit = pgbench(folder, url)
    ours = bookings_a_second(url)
    return BenchRow(
        "book() with rules, audit, message; PostgreSQL, 1 process", "pgbench, 8 connections", limit, ours, "1/s", 0.06, 0.15
    )


def on_sqlite(folder: Path) -> BenchRow:
    limit = bare_sqlite(folder / "bare.db")
    ours = bookings_a_second(f"sqlite:///{folder}/ours.db")
    return BenchRow("book() with rules, audit, message; SQLite", "bare insert, synchronous FULL", limit, ours, "1/s", 0.25, 0.4)


def pgbench(folder: Path, url: str) -> float:
    """Transactions a second of single guarded inserts."""
    setup, script = folder / "guarded.sql", folder / "insert.sql"
    setup.write_text(GUARDED)
    script.write_text(INSERT)
    programs = servers.POSTGRES_BIN[-1]
    subprocess.run([programs / "psql", "-q", url, "-f", setup], check=True, stdout=subprocess.DEVNULL)
    load = f"-n -M prepared -c {CLIENTS} -j 2 -T {MEASURED_S}".split()
    command: list[Path | str] = [programs / "pgbench", *load, "-f", script, url]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"tps = ([\d.]+)", answer)
    assert found, answer
    return float(found.group(1))


def bare_sqlite(file: Path) -> float:
    """Commits a second of one insert each."""
    connection = sqlite3.connect(file, isolation_level=None, timeout=BUSY_TIMEOUT_S)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE bare (resource, starts_at, ends_at)")
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < MEASURED_S / 2:
        connection.execute("INSERT INTO bare VALUES (?, ?, ?)", (done % RESOURCES, done, done + 1))
        done += 1
    connection.close()
    return done / (time.perf_counter() - began)


def bookings_a_second(url: str) -> float:
    """Our whole action and its commit, one after the other, each on a free hour of one of many resources."""
    engine = open_engine(url)
    METADATA.create_all(engine)
    sessions = open_sessions(engine)
    wishes = iter(prepared(sessions))
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < MEASURED_S:
        with sessions.begin() as session:
            book(session, wish=next(wishes), now=NOW)
        done += 1
    rate = done / (time.perf_counter() - began)
    engine.dispose()
    return rate


def prepared(sessions: sessionmaker[Session]) -> list[Wish]:
    with sessions.begin() as session:
        firm, person = an_organisation(session), a_person(session)
        places = [a_resource(session, name=f"R{number}").id for number in range(RESOURCES)]
    return [
        Wish(place, Slot(NOW + (hour + 1) * HOUR, NOW + (hour + 2) * HOUR), person.id, firm.id, Category.EXT)
        for hour in range(HOURS)
        for place in places
    ]
