"""From a real broker into both databases: nothing lost, nothing doubled, nothing dropped in silence."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from devices import actions, queries
from devices.broker import start_broker
from devices.ingest import Batch
from devices.intake.actions import store_batch
from devices.live.queries import Live, live_states
from devices.machines import Machine
from devices.registry.actions import Credentials, broker_hash, register_device
from devices.simulator import Simulator
from devices.tables import Heartbeat, IngestGap, RawMessage, RejectedMessage
from marketplace import clock
from marketplace.slot import Slot
from tests.builders import a_resource
from tests.devices.plugs import a_plug, batches, envelopes, eventually, listening, published, resuming
from tests.servers import Broker

pytestmark = pytest.mark.servers
DAY = datetime(2026, 3, 10, 1, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


def a_device(sessions: sessionmaker[Session], broker: Broker) -> tuple[str, Credentials]:
    """A registered device that the broker lets in, and its resource."""
    with sessions.begin() as session:
        resource = a_resource(session)
        _, known = register_device(session, resource_id=resource.id, name="plug", profile={}, actor_id=None, now=DAY)
    broker.add_device(known.key, known.secret)
    return resource.id, known


def payload(number: int) -> bytes:
    return orjson.dumps({"ts": int(DAY.timestamp() * 1000) + number, "seq": number, "boot": "b", "p": 350.5, "e": number / 10})


def stored(sessions: sessionmaker[Session]) -> int:
    with sessions() as session:
        return session.scalar(select(func.count()).select_from(RawMessage)) or 0


def test_killed_in_the_middle_it_loses_nothing_and_stores_nothing_twice(
    committed_db: sessionmaker[Session], database_url: str, broker: Broker
) -> None:
    _, known = a_device(committed_db, broker)
    command = [sys.executable, "-m", "tests.devices.ingest_loop", broker.url, database_url]
    count = 3000

    def loop() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)

    with listening(broker.url):
        pass  # from here on the broker keeps what nobody takes
    process = loop()
    try:
        with a_plug(broker.port, known.key, known.secret) as plug:
            sent = 0
            for target in (500, 1200, 2100, count):
                while sent < target:
                    plug.publish(f"d/{known.key}/t", payload(sent), qos=1)
                    sent += 1
                eventually(lambda target=target: stored(committed_db) > target // 2)
                process.send_signal(signal.SIGKILL)
                process.wait(10)
                process = loop()
            eventually(lambda: stored(committed_db) == count)
    finally:
        process.kill()
        process.wait(10)
    with committed_db() as session:
        numbers = sorted(orjson.loads(row)["seq"] for row in session.scalars(select(RawMessage.payload)))
    assert numbers == list(range(count))


def test_what_is_committed_but_not_acknowledged_comes_again_and_changes_nothing(
    committed_db: sessionmaker[Session], broker: Broker
) -> None:
    _, known = a_device(committed_db, broker)
    with listening(broker.url) as ingest, a_plug(broker.port, known.key, known.secret) as plug:
        for number in range(50):
            published(plug, f"d/{known.key}/t", payload(number))
        first = batches(ingest, until=lambda taken: len(envelopes(taken)) >= 50)
        keep(committed_db, first)
    assert stored(committed_db) == 50
    with resuming(broker.url) as (ingest, second):
        assert len(envelopes(second)) == 50
        assert all(envelope.backlog for envelope in envelopes(second))
        for batch in first:
            ingest.ack(batch)  # of a connection that is gone: must tell the broker nothing
        keep(committed_db, second)
    assert stored(committed_db) == 50


def keep(sessions: sessionmaker[Session], taken: list[Batch]) -> None:
    with sessions.begin() as session:
        for batch in taken:
            store_batch(session, batch, now=clock.now())


def test_bad_foreign_and_forged_messages_are_kept_with_their_reason_and_stop_nobody(
    committed_db: sessionmaker[Session], broker: Broker
) -> None:
    _, known = a_device(committed_db, broker)
    broker.add_device("stranger", "secret")
    with listening(broker.url) as ingest:
        with a_plug(broker.port, known.key, known.secret) as plug:
            for body in (b"{", b'{"p":NaN}', b'{"p":"12"}', b"[" * 60 + b"]" * 60, b" " * 20_000, payload(1)):
                published(plug, f"d/{known.key}/t", body)
            published(plug, f"d/{known.key}/elsewhere", b"{}")
        with a_plug(broker.port, "stranger", "secret") as plug:
            published(plug, "d/stranger/t", payload(2))
            published(plug, f"d/{known.key}/t", payload(3))
        taken = batches(ingest, until=lambda taken: len(envelopes(taken)) >= 8)
        keep(committed_db, taken)
        for batch in taken:
            ingest.ack(batch)
    with committed_db() as session:
        reasons = sorted(session.scalars(select(RejectedMessage.reason)))
        assert queries.count_rejected(session, [known.key, "stranger"]) == {known.key: 6, "stranger": 1}
    assert reasons == ["bad_number", "bad_topic", "not_json", "not_json", "too_deep", "too_large", "unknown_device"]
    assert stored(committed_db) == 1


def test_a_broker_that_forgot_us_leaves_a_gap_on_record(committed_db: sessionmaker[Session], tmp_path: Path) -> None:
    running = start_broker(tmp_path / "broker")
    with committed_db.begin() as session:
        session.add(Heartbeat(name="ingest", at=DAY))
    with resuming(running.url) as (_, taken):
        keep(committed_db, taken)
    with committed_db() as session:
        (gap,) = session.scalars(select(IngestGap)).all()
        assert gap.starts_at == DAY
        assert queries.last_heartbeat(session) >= gap.ends_at
    with resuming(running.url) as (_, taken):
        keep(committed_db, taken)
    with committed_db() as session:
        assert len(session.scalars(select(IngestGap)).all()) == 1
    running.stop()


def test_begun_again_it_has_what_the_broker_kept(tmp_path: Path) -> None:
    known = [("k1", broker_hash("one"))]
    running = start_broker(tmp_path / "broker", credentials=known)
    with listening(running.url) as ingest:
        running.stop()
        eventually(lambda: ingest.broken)
        assert not ingest.connected
        again = start_broker(tmp_path / "broker", port=running.port, credentials=known)
        with a_plug(again.port, "k1", "one") as plug:
            published(plug, "d/k1/t", b'{"p":1}')
        ingest.start()
        assert envelopes(batches(ingest, until=envelopes))[0].topic == "d/k1/t"
    again.stop()


def test_simulated_machines_reach_the_live_page_through_the_broker(committed_db: sessionmaker[Session], broker: Broker) -> None:
    now = clock.now()
    running, idle = a_device(committed_db, broker), a_device(committed_db, broker)
    run = Slot(now - timedelta(minutes=30), now + timedelta(minutes=30))
    machines = [
        Machine(running[1].key, running[1].secret, DAY, runs=(run,), every=timedelta(seconds=1)),
        Machine(idle[1].key, idle[1].secret, DAY),
    ]
    simulator = Simulator(broker.host, broker.port, machines, every_s=0.5)
    with listening(broker.url) as ingest:
        simulator.start()
        taken = batches(ingest, until=lambda taken: len(envelopes(taken)) >= 8)
        simulator.stop()
        keep(committed_db, taken)
        for batch in taken:
            ingest.ack(batch)
    with committed_db.begin() as session:
        actions.fold_devices(session, now=clock.now())
        states = live_states(session, [running[0], idle[0]], now=clock.now())
    assert states[idle[0]].state is Live.FREE
    assert states[running[0]].power_w is not None
    assert states[running[0]].power_w > 1000
