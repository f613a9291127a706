"""The keeper beside our own broker: what it remembers, what it tells again, and who else may."""

import math
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.broker import RunningBroker, start_broker
from devices.codecs.strict import PAYLOAD_LIMIT
from devices.ingest import keep_for_us
from devices.keeper import KEPT_BYTES, KEPT_MESSAGES, Keeper, Memory
from devices.registry.actions import broker_hash
from devices.rights import AGAIN
from marketplace import clock
from tests.devices.plugs import V5, a_plug, envelopes, eventually, published, resuming, turned_away

MOST_MB = 40
SECRET = secrets.token_hex(8)
KNOWN = [("k1", broker_hash(SECRET))]


def remembered(memory: Memory) -> list[bytes]:
    """In their order; asked of a copy."""
    memory.hold(-math.inf)
    return [one.payload for one in memory.held()]


@given(st.lists(st.tuples(st.floats(0, 3), st.binary(max_size=9)), max_size=60))
def test_it_remembers_the_last_ones_that_fit_all_bounds_and_no_more(passed: list[tuple[float, bytes]]) -> None:
    memory, now = Memory(seconds=5, messages=8, size=40), 0.0
    said = []
    for step, payload in passed:
        now += step
        memory.add("t", payload, now)
        said.append((now, payload))
    fits = 0
    while fits < min(len(said), 8) and sum(1 + len(one) for _, one in said[-fits - 1 :]) <= 40 and said[-fits - 1][0] >= now - 5:
        fits += 1
    assert memory.size == sum(1 + len(payload) for _, payload in said[len(said) - fits :])
    assert remembered(memory) == [payload for _, payload in said[len(said) - fits :]]


def test_full_it_needs_no_more_than_its_bounds_say() -> None:
    memory = Memory()
    for number in range(2 * KEPT_MESSAGES):
        memory.add(f"d/k{number}/t", b"x" * (KEPT_BYTES // KEPT_MESSAGES), number / KEPT_MESSAGES)
    kept = memory._passed
    used = sys.getsizeof(kept) + sum(sys.getsizeof(part) for one in kept for part in (one, one.topic, one.payload, one.at))
    assert memory.overrun >= KEPT_MESSAGES
    assert len(memory) <= KEPT_MESSAGES
    assert used < MOST_MB << 20


def test_what_is_held_does_not_age_and_is_as_new_when_it_is_released() -> None:
    memory = Memory(seconds=5)
    for at in (1, 2, 3):
        memory.add("t", b"%d" % at, at)
    memory.hold(2)
    memory.add("t", b"100", 100)
    assert [one.payload for one in memory.held()] == [b"2", b"3"]
    memory.release(101)
    memory.add("t", b"104", 104)
    memory.hold(101)
    assert [one.payload for one in memory.held()] == [b"2", b"3", b"104"]


@contextmanager
def a_keeper(broker: RunningBroker) -> Iterator[Keeper]:
    """One that listens."""
    keeper = Keeper()
    keeper.start(broker.keeper_url)
    try:
        with a_plug(broker.port, "k1", SECRET) as plug:
            eventually(lambda: plug.publish("d/k1/hello", b"", qos=1).wait_for_publish(5) or len(keeper.memory))
        yield keeper
    finally:
        keeper.stop()


@pytest.mark.servers
def test_what_passed_after_the_store_was_written_comes_again_as_it_was(tmp_path: Path) -> None:
    broker = start_broker(tmp_path / "broker", credentials=KNOWN)
    keep_for_us(broker.url)
    with a_keeper(broker) as keeper:
        with a_plug(broker.port, "k1", SECRET) as plug:
            published(plug, "d/k1/t", b"saved")
            eventually(lambda: len(keeper.memory))
            saved_at = clock.now().timestamp()
            for body in (b"1", b"2", b"3"):
                published(plug, "d/k1/t", body)
            plug.publish("d/k1/t", b"kept", qos=1, retain=True).wait_for_publish(5)
            published(plug, "d/k1/t", b"x" * (PAYLOAD_LIMIT + 1))
            published(plug, "d/k1/" + "a/" * 190, b"deep")
        broker.process.kill()
        broker.stop()
        assert saved_at <= broker.saved_at <= clock.now().timestamp()
        keeper.hold(saved_at)
        again = start_broker(tmp_path / "broker", port=broker.port, credentials=KNOWN)
        try:
            keeper.start(again.keeper_url)
            eventually(lambda: len(keeper.memory) and not keeper.memory.held())
            with resuming(again.url) as (_, taken):
                heard = [one for one in envelopes(taken) if one.again]
            assert [(one.topic, one.payload) for one in heard] == [("d/k1/t", body) for body in (b"1", b"2", b"3", b"kept")]
            assert all(one.backlog and not one.retain for one in heard)
        finally:
            again.stop()


@pytest.mark.servers
def test_it_reads_what_a_dead_broker_had_sent_and_finds_out_that_it_is_gone(tmp_path: Path) -> None:
    broker = start_broker(tmp_path / "broker", credentials=KNOWN)
    with a_keeper(broker) as keeper:
        before = len(keeper.memory)
        with a_plug(broker.port, "k1", SECRET) as plug:
            acknowledged: list[int] = []
            plug.on_publish = lambda _client, _data, mid, *_: acknowledged.append(mid)
            for number in range(2000):
                plug.publish("d/k1/t", b"%d" % number, qos=1)
            eventually(lambda: len(acknowledged) > 200)
            broker.process.kill()
            eventually(lambda: keeper.broken)
        broker.stop()
        assert len(keeper.memory) - before >= len(acknowledged)


@pytest.mark.servers
def test_it_comes_in_by_its_own_password_only_and_a_broker_that_is_away_is_no_error(tmp_path: Path) -> None:
    broker = start_broker(tmp_path / "broker", credentials=KNOWN)
    keeper = Keeper()
    try:
        for name in ("keeper", "keeper-again"):
            assert turned_away(broker.port, name, SECRET, version=V5)
            assert not turned_away(broker.port, name, broker.keeper_password, version=V5)
        keeper.start(broker.keeper_url.replace(broker.keeper_password, "wrong"))
        eventually(lambda: keeper.broken)
    finally:
        broker.stop()
    keeper.start(broker.keeper_url)
    eventually(lambda: keeper.broken)
    keeper.stop()


@pytest.mark.servers
def test_the_one_that_tells_again_can_say_nothing_elsewhere(tmp_path: Path) -> None:
    broker = start_broker(tmp_path / "broker", credentials=KNOWN)
    try:
        keep_for_us(broker.url)
        with a_plug(broker.port, "keeper-again", broker.keeper_password) as teller:
            for topic in ("d/k1/t", "ingest/beat", f"{AGAIN}d/k1/t"):
                published(teller, topic, b"1")
        with resuming(broker.url) as (_, taken):
            assert [(one.topic, one.again) for one in envelopes(taken)] == [("d/k1/t", True)]
    finally:
        broker.stop()


@pytest.mark.servers
def test_put_out_by_a_broker_that_runs_it_connects_again_and_remembers_on(tmp_path: Path) -> None:
    broker = start_broker(tmp_path / "broker", credentials=KNOWN)
    try:
        with a_keeper(broker) as keeper:
            before = len(keeper.memory)
            with a_plug(broker.port, "keeper", broker.keeper_password, version=V5):
                eventually(lambda: keeper.broken)
            eventually(lambda: keeper.look_after(broker.keeper_url) or not keeper.broken)
            with a_plug(broker.port, "k1", SECRET) as plug:
                eventually(lambda: published(plug, "d/k1/t", b"1") or len(keeper.memory) > before)
            assert not keeper.memory.held()
    finally:
        broker.stop()
