"""Two clients with one key that put each other out: what the broker tells of it, and when it is asked about."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from sqlalchemy.orm import Session

from devices.broker import start_broker
from devices.denials import LOG, Denial, unread
from devices.flags import actions as flags
from devices.flags import queries
from devices.flags.days import Day, Found, Kind, TakenOver
from devices.flags.rules import look
from devices.intake import actions as intake
from devices.profile import Profile
from devices.readings import Envelope, Reason
from devices.registry.actions import broker_hash, register_device
from marketplace.slot import Slot
from tests.builders import a_resource
from tests.devices.plugs import a_plug, eventually

BEGIN = datetime(2026, 3, 10, tzinfo=UTC)
DAY = Slot(BEGIN, BEGIN + timedelta(days=1))


def found(minutes: Sequence[float], addresses: Sequence[str] = ("10.0.0.7", "10.0.0.9")) -> list[Found]:
    taken = [TakenOver(BEGIN + timedelta(minutes=one), addresses[number % len(addresses)]) for number, one in enumerate(minutes)]
    return look(Day(DAY, (), Profile(), taken_over=taken))


def test_an_hour_full_of_takeovers_is_asked_about() -> None:
    (one,) = found([*range(5, 30), 600])
    assert (one.kind, one.span) == (Kind.TAKEOVERS, Slot(BEGIN + timedelta(minutes=5), BEGIN + timedelta(minutes=29)))
    assert one.evidence == {"minutes": 26, "most_in_an_hour": 25, "addresses": ["10.0.0.7", "10.0.0.9"]}


@pytest.mark.parametrize(
    ("minutes", "raised"),
    [
        (range(19), 0),
        (range(20), 1),
        ([place * 59 / 19 for place in range(20)], 1),
        ([place * 60 / 19 for place in range(20)], 0),  # the last of them is in the next hour
        ([], 0),
    ],
)
def test_twenty_minutes_of_an_hour_count(minutes: Sequence[float], raised: int) -> None:
    assert len(found(minutes)) == raised


@pytest.mark.parametrize("seed", range(20))
def test_one_client_whose_connection_is_lost_again_and_again_raises_none(seed: int) -> None:
    """A weak network all day: on average it comes back every eight minutes before the broker has missed it."""
    noise = Random(seed)
    assert found([minute for minute in range(1440) if noise.random() < 1 / 8], ["10.0.0.7"]) == []


def read(folder: Path) -> list[Denial]:
    with unread(folder) as seen:
        return seen


@pytest.mark.servers
def test_a_broker_tells_of_two_clients_that_put_each_other_out(tmp_path: Path) -> None:
    broker = start_broker(tmp_path / "broker", credentials=[("k1", broker_hash("one")), ("k2", broker_hash("two"))])
    seen: list[Denial] = []
    try:
        with a_plug(broker.port, "k2", "two"), a_plug(broker.port, "k1", "one"), a_plug(broker.port, "k1", "one"):
            eventually(lambda: seen.extend(read(broker.folder)) or len(seen) >= 2)
    finally:
        broker.stop()
    assert {(one.reason, one.client) for one in seen} == {(Reason.TAKEN_OVER, "k1")}
    assert {one.detail for one in seen} <= {"127.0.0.1", ""}
    assert any(one.detail for one in seen)
    assert (broker.folder / LOG).read_text().count("already connected, closing old connection") >= 2


def test_a_client_that_leaves_before_it_comes_again_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / LOG).write_bytes(
        b"2026-03-10T01:00:00: New client connected from 10.0.0.7:5 as k1 (p2, c1, k60, u'k1').\n"
        b"2026-03-10T01:00:01: Client k1 closed its connection.\n"
        b"2026-03-10T01:00:02: New client connected from 10.0.0.9:6 as k1 (p2, c1, k60, u'k1').\n"
        b"2026-03-10T01:00:03: Client k1 has exceeded timeout, disconnecting.\n"
    )
    assert read(tmp_path) == []


def told_by_broker(key: str, minutes: Sequence[int], *, each: int = 3) -> bytes:
    """Of each minute some takeovers, from addresses in turn."""
    lines = [
        f"{BEGIN + timedelta(minutes=minute, seconds=10 * time):%Y-%m-%dT%H:%M:%S}: {said}\n"
        for minute in minutes
        for time in range(each)
        for said in (
            f"Client {key} already connected, closing old connection.",
            f"New client connected from 10.0.0.{7 + (minute + time) % 2}:1883 as {key} (p2, c1, k60, u'{key}').",
        )
    ]
    return "".join(lines).encode()


def test_it_is_counted_by_the_minute_and_asked_about_after_the_day(db: Session, tmp_path: Path) -> None:
    row, _ = register_device(db, resource_id=a_resource(db).id, name="plug", profile={}, actor_id=None, now=BEGIN)
    intake.store(db, [Envelope(f"d/{row.key}/t", b'{"p":5}', BEGIN - timedelta(days=1))])
    (tmp_path / LOG).write_bytes(told_by_broker(row.key, range(30)) + told_by_broker("ingest", range(30)))
    denials = read(tmp_path)
    for _ in range(2):
        intake.store_denials(db, denials)
    assert len(queries.taken_over(db, row.key, DAY)) == 30
    assert queries.taken_over(db, "ingest", DAY) == []
    for _ in range(2):
        flags.look_at_days(db, now=BEGIN + timedelta(days=1, hours=2))
    (one,) = queries.flags_of(db, row.resource_id)
    assert (one.kind, one.evidence["minutes"]) == (Kind.TAKEOVERS, 30)
    assert one.evidence["addresses"] == ["10.0.0.7", "10.0.0.8"]
