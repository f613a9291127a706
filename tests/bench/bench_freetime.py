"""Free time of 50 resources for 30 days among a million claims, beside the bare read of the same claims in the same run."""

import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import psycopg
from sqlalchemy import Engine, text

from booking import queries
from booking.tables import Claim
from marketplace.db import open_engine, open_readers, open_sessions
from marketplace.slot import Slot
from tests import servers
from tests.bench.frame import BenchRow, Better
from tests.builders import a_booking, a_person, a_resource, an_institution, an_organisation
from web.schema import METADATA

RESOURCES = 5_000
CLAIMS_EACH = 200
"""One every 36 hours of 300 days, of which the last sixty lie ahead."""
ASKED, DAYS = 50, 30
REPEATS = 60
BORN = datetime(2026, 1, 5, tzinfo=UTC)
NOW = BORN + timedelta(days=240)
WITHIN = Slot(NOW, NOW + timedelta(days=DAYS))
RULES = {
    "hours": [{"weekday": day, "open_min": 8 * 60, "close_min": 20 * 60} for day in range(5)],
    "step_min": 30,
    "min_min": 60,
    "cleaning_min": 30,
}
COLUMNS = ("id", "institution_id", "resource_id", "unit", "lane", "starts_at", "ends_at", "kind", "booking_id", "active")
READ = """
SELECT resource_id, booking_id, unit, lane, starts_at, ends_at FROM claims
WHERE {active} AND resource_id IN ({places}) AND starts_at < {end} AND ends_at > {start}
"""


def rows() -> Iterator[BenchRow]:
    """One row for each database."""
    with tempfile.TemporaryDirectory() as folder:
        yield on_sqlite(Path(folder) / "ours.db")
        with servers.postgres(Path(folder) / "pilotbench-postgres-bench") as url:
            yield on_postgresql(url)


def on_sqlite(file: Path) -> BenchRow:
    engine = open_engine(f"sqlite:///{file}")
    asked = filled(engine)
    connection = sqlite3.connect(file)
    edges = [f"{edge:%Y-%m-%d %H:%M:%S.%f}" for edge in (WITHIN.end, WITHIN.start)]
    read = READ.format(active="active = 1", places=", ".join("?" * ASKED), end="?", start="?")
    limit = p50_ms(lambda: connection.execute(read, (*asked, *edges)).fetchall())
    connection.close()
    return row("SQLite", limit, ours_ms(engine, asked))


def on_postgresql(url: str) -> BenchRow:
    engine = open_engine(url)
    asked = filled(engine)
    read = READ.format(active="active", places=", ".join(["%s"] * ASKED), end="%s", start="%s")
    with psycopg.connect(url, prepare_threshold=0) as connection:
        limit = p50_ms(lambda: connection.execute(read, (*asked, WITHIN.end, WITHIN.start)).fetchall())
    return row("PostgreSQL", limit, ours_ms(engine, asked))


def row(database: str, limit: float, ours: float) -> BenchRow:
    name = f"free time, {ASKED} resources x {DAYS} days, 1 M claims, p50; {database}"
    return BenchRow(name, "bare read of the claims", limit, ours, "ms", 12, 4, Better.LOWER)


def ours_ms(engine: Engine, asked: list[str]) -> float:
    """Places, rules, claims and opening hours to bookable stretches, by our whole function."""
    with open_readers(engine)() as session:
        found = p50_ms(lambda: queries.free_time_of(session, asked, within=WITHIN, now=NOW))
    engine.dispose()
    return found


def p50_ms(measured: Callable[[], object]) -> float:
    took = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        measured()
        took.append(time.perf_counter() - began)
    return 1000 * median(took)


def filled(engine: Engine) -> list[str]:
    """The ids to ask for, in a database of a million claims. The guard is left out while they are written: none overlap."""
    METADATA.create_all(engine)
    with open_sessions(engine).begin() as session:
        house, firm, person = an_institution(session), an_organisation(session), a_person(session)
        places = [a_resource(session, institution=house, rules=RULES) for _ in range(RESOURCES)]
        bookings = [a_booking(session, resource=place, organisation=firm, person=person, start=NOW) for place in places]
        owners = [(house.id, place.id, booking.id) for place, booking in zip(places, bookings, strict=True)]
    {"sqlite": fill_sqlite, "postgresql": fill_postgresql}[engine.dialect.name](engine, claims(owners))
    with engine.connect() as connection:
        tidy = "ANALYZE" if engine.dialect.name == "sqlite" else "VACUUM ANALYZE"  # as autovacuum would have by then
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text(tidy))
    return random.Random(1).sample([place for _, place, _ in owners], ASKED)


def claims(owners: list[tuple[str, str, str]]) -> Iterator[tuple[object, ...]]:
    chance = random.Random(2)
    for number in range(CLAIMS_EACH):
        for house, place, booking in owners:
            start = BORN + timedelta(hours=36 * number + chance.randrange(27))
            end = start + timedelta(minutes=30 * chance.randrange(4, 18))
            yield f"{number}-{place}", house, place, 0, 0, start, end, "booking", booking, True


def fill_sqlite(engine: Engine, rows: Iterator[tuple[object, ...]]) -> None:
    connection = sqlite3.connect(engine.url.database or "")
    triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'claims'").fetchall()
    for (name,) in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    places = ", ".join("?" * len(COLUMNS))
    written = ((*row[:5], *(f"{at:%Y-%m-%d %H:%M:%S.%f}" for at in row[5:7]), *row[7:]) for row in rows)
    connection.executemany(f"INSERT INTO {Claim.__tablename__} ({', '.join(COLUMNS)}) VALUES ({places})", written)
    connection.commit()
    connection.close()


def fill_postgresql(engine: Engine, rows: Iterator[tuple[object, ...]]) -> None:
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("ALTER TABLE claims DROP CONSTRAINT claims_no_overlap")
        with cursor.copy(f"COPY claims ({', '.join(COLUMNS)}) FROM STDIN") as copied:
            for one in rows:
                copied.write_row(one)
