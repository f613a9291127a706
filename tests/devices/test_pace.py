"""One device that sends without end is held to its pace; what it or the broker kept for later comes all at once, and counts."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from devices import pace as bounds
from devices import queries
from devices.health import queries as health
from devices.ingest import Batch
from devices.intake.actions import store, store_batch
from devices.pace import A_SECOND, BURST, Pace
from devices.readings import Envelope
from devices.registry.actions import register_device
from devices.tables import RawMessage
from tests.builders import a_resource

NOW = datetime(2026, 3, 10, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def taken(pace: Pace, count: int, at: datetime, key: str = "k1") -> int:
    return sum(pace.admits(key, at) for _ in range(count))


def test_a_burst_is_taken_and_after_it_so_many_a_second() -> None:
    pace = Pace()
    assert taken(pace, BURST + 5, NOW) == BURST
    assert taken(pace, 1000, after(1)) == A_SECOND
    assert taken(pace, 1000, after(1)) == 0
    assert taken(pace, 1000, after(1), key="k2") == 1000, "another device has a bucket of its own"
    assert taken(pace, BURST * 2, after(86400)) == BURST


def test_a_clock_that_was_set_back_stops_nobody() -> None:
    pace = Pace()
    assert taken(pace, BURST, NOW) == BURST
    back = NOW - timedelta(hours=1)
    assert taken(pace, 10, back) == 0
    assert taken(pace, 1000, back + SECOND) == A_SECOND


def test_what_was_rolled_back_is_judged_as_if_for_the_first_time() -> None:
    pace = Pace()
    for _ in range(3):
        pace.begin()
        assert taken(pace, BURST + 1, NOW) == BURST
    pace.settle()
    pace.begin()
    assert taken(pace, 1, NOW) == 0


def test_it_is_logged_once_a_minute_for_each_device() -> None:
    pace = Pace()
    with capture_logs() as logged:
        for second in range(150):
            taken(pace, BURST + 1 if not second else A_SECOND + 1, after(second))
            pace.settle()
    assert [one["device"] for one in logged] == ["k1"] * 3


def test_it_remembers_the_busiest_and_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST", 50)
    pace = Pace()
    taken(pace, BURST, NOW, key="wild")
    for number in range(500):
        taken(pace, 1, after(number / 1000), key=f"calm{number}")
        pace.settle()
    assert pace.known <= 50
    assert taken(pace, 1000, after(1), key="wild") == A_SECOND


def told(key: str, count: int, *, at: datetime = NOW, first: int = 0) -> list[Envelope]:
    return [Envelope(f"d/{key}/t", orjson.dumps({"p": number}), at) for number in range(first, first + count)]


def kept(key: str, count: int, at: datetime) -> list[Envelope]:
    """By the device: each message has a time of its own."""
    since = int(at.timestamp() * 1000)
    bodies = [{"p": number, "ts": since + number} for number in range(count)]
    return [Envelope(f"d/{key}/t", orjson.dumps(body), NOW) for body in bodies]


def test_what_comes_faster_is_kept_as_rejected_and_counted(db: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "BURST", 20)
    place = a_resource(db).id
    keys = [register_device(db, resource_id=place, name=name, profile={}, actor_id=None, now=NOW)[1].key for name in ("a", "b")]
    pace, wild, calm = Pace(), *keys
    batch = Batch([*told(wild, 50), *told(calm, 5), Envelope(f"d/{wild}/t", b"{", NOW)], [])
    with db.begin_nested() as lost:
        store_batch(db, batch, now=NOW, pace=pace)
        lost.rollback()
    store_batch(db, batch, now=NOW, pace=pace)
    pace.settle()
    assert db.scalar(select(func.count()).select_from(RawMessage)) == 25
    assert health.count_since(db, wild, since=NOW, reason="rate") == 31
    assert queries.count_rejected(db, keys) == {wild: 31}
    store(db, [*kept(wild, 30, after(-10_000)), *(one._replace(backlog=True) for one in told(wild, 30, first=200))], pace=pace)
    assert db.scalar(select(func.count()).select_from(RawMessage)) == 85, "what it kept, or the broker, is none of it"
    store(db, told(wild, 200, at=after(1), first=300), pace=pace)
    assert db.scalar(select(func.count()).select_from(RawMessage)) == 105


def test_of_a_message_that_comes_twice_in_one_batch_the_first_receipt_counts(db: Session) -> None:
    _, known = register_device(db, resource_id=a_resource(db).id, name="m", profile={}, actor_id=None, now=NOW)
    topic, body = f"d/{known.key}/t", orjson.dumps({"p": 7, "ts": int(NOW.timestamp() * 1000)})
    first, waited, retained = (Envelope(topic, body, after(seconds)) for seconds in (1, 5, 9))
    copies = [waited._replace(backlog=True), first, retained._replace(retain=True)]
    store(db, copies)
    [row] = db.scalars(select(RawMessage)).all()
    assert (row.received_at, row.retain, row.backlog) == (after(1), False, False)
