"""How long a fold takes beside the least that anybody has to do with the same messages: read their JSON once."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import orjson

from devices.folding import runs_of
from devices.machines import Machine, history
from devices.profile import Profile
from devices.readings import Envelope
from marketplace.slot import Slot
from tests.bench.frame import BenchRow, Better

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
DEVICES = 1000
LIMIT = "reading the JSON of its messages"


def rows() -> Iterator[BenchRow]:
    """A year of one device, and a day of a thousand, a message a minute each."""
    year = said("k0", 365)
    yield row("fold of a year of one device, a sample a minute", timed(lambda: read(year)), timed(lambda: folded(year, 365)))
    limit = ours = 0.0
    for number in range(DEVICES):
        day = said(f"k{number}", 1)
        limit += timed(lambda day=day: read(day))  # type: ignore[misc]
        ours += timed(lambda day=day: folded(day, 1))  # type: ignore[misc]
    yield row(f"fold of a day of {DEVICES:,} devices, a sample a minute", limit, ours)


def row(name: str, limit: float, ours: float) -> BenchRow:
    return BenchRow(name, LIMIT, limit, ours, "s", 60, 25, Better.LOWER)


def said(key: str, days: int) -> Sequence[Envelope]:
    """Of a machine that works eight hours of each day, with a dip now and then."""
    work = tuple(Slot(BEGIN + day * DAY + DAY / 3, BEGIN + day * DAY + 2 * DAY / 3) for day in range(days))
    parts: list[Envelope] = []
    for day, slot in enumerate(work):  # a machine looks through its runs at every message
        machine = Machine(key, "s", BEGIN + day * DAY, runs=(slot,))
        parts += history(machine, Slot(BEGIN + day * DAY, BEGIN + (day + 1) * DAY))
    return parts


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def read(messages: Sequence[Envelope]) -> None:
    for one in messages:
        orjson.loads(one.payload)


def folded(messages: Sequence[Envelope], days: int) -> None:
    found = runs_of(messages, Profile(), until=BEGIN + days * DAY)
    assert len(found) == days, len(found)
