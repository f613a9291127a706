"""Several workers at one broker: one listens, the others stand by, and none is lost as one takes over from another."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from devices import ingest as listening
from devices import queries
from devices.broker import RunningBroker, start_broker
from devices.ingest import LONGEST_WAIT_S, Ingest, wait_s
from devices.registry.actions import register_device
from devices.tables import RawMessage
from tests.builders import a_resource
from tests.devices.plugs import a_plug, eventually
from tests.servers import Broker
from web import worker as loops

pytestmark = pytest.mark.servers
DAY = datetime(2026, 3, 10, 1, tzinfo=UTC)
SILENT_S, WATCHED_S = 2.0, 6.0


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "BEAT_S", 0.5)
    monkeypatch.setattr(listening, "SIGN_EVERY", timedelta(seconds=0.5))
    monkeypatch.setattr(loops, "SILENT_S", SILENT_S)


@contextmanager
def working(broker: Broker | RunningBroker, sessions: sessionmaker[Session]) -> Iterator[Ingest]:
    """A worker's ingest, which goes as if it had been killed: what it has taken is not acknowledged any more."""
    ingest, stop = Ingest(broker.url), threading.Event()
    thread = threading.Thread(target=loops.ingest_loop, args=(ingest, sessions, stop))
    ingest.start()
    thread.start()
    eventually(lambda: ingest.connected)
    try:
        yield ingest
    finally:
        ingest.stop()
        stop.set()
        thread.join(10)


def test_the_last_to_come_listens_and_the_others_take_over_when_it_is_gone(
    committed_db: sessionmaker[Session], broker: Broker
) -> None:
    with committed_db.begin() as session:
        _, known = register_device(session, resource_id=a_resource(session).id, name="plug", profile={}, actor_id=None, now=DAY)
    broker.add_device(known.key, known.secret)
    sent, over = 0, threading.Event()

    def numbers() -> list[int]:
        with committed_db() as session:
            return sorted(orjson.loads(row)["seq"] for row in session.scalars(select(RawMessage.payload)))

    def send() -> None:
        nonlocal sent
        while not over.wait(0.005):
            body = {"ts": int(DAY.timestamp() * 1000) + sent, "seq": sent, "boot": "b", "p": 350.5}
            plug.publish(f"d/{known.key}/t", orjson.dumps(body), qos=1)
            sent += 1

    sending = threading.Thread(target=send)
    with working(broker, committed_db) as first, ExitStack() as others, a_plug(broker.port, known.key, known.secret) as plug:
        sending.start()
        eventually(lambda: len(numbers()) > 50)
        second = others.enter_context(working(broker, committed_db))
        eventually(lambda: first.broken)
        so_far = len(numbers())
        assert not threading.Event().wait(WATCHED_S)
        assert (first.broken, second.broken, second.connected) == (True, False, True)
        assert len(numbers()) > so_far + 50
        others.close()
        eventually(lambda: first.connected and not first.broken)
        over.set()
        sending.join()
        eventually(lambda: len(numbers()) >= sent)
    assert numbers() == list(range(sent))


def test_alone_it_comes_back_as_soon_as_the_broker_does(committed_db: sessionmaker[Session], tmp_path: Path) -> None:
    running = start_broker(tmp_path / "broker")
    with working(running, committed_db) as ingest:
        eventually(lambda: ingest.signed_at)
        running.stop()
        eventually(lambda: not ingest.connected)
        again = start_broker(tmp_path / "broker", port=running.port)
        eventually(lambda: ingest.connected, seconds=WATCHED_S)
    again.stop()


def test_the_wait_after_refusals_doubles_up_to_a_minute_and_no_two_wait_alike() -> None:
    for refusals, most in ((1, 2), (2, 4), (3, 8), (5, 32), (6, 60), (7, 60), (5000, 60)):
        waits = {wait_s(refusals) for _ in range(50)}
        assert most / 2 <= min(waits) < max(waits) <= most
    assert wait_s(0) == 0


def test_one_that_the_broker_refuses_tries_again_ever_later_and_is_let_in_once_it_may(
    committed_db: sessionmaker[Session], tmp_path: Path
) -> None:
    """Five tries in six seconds would be one a second; twice the wait each time makes it three or four."""
    running = start_broker(tmp_path / "broker", ingest_password="another")
    wrong, stop = Ingest(running.url.replace("another", "wrong")), threading.Event()
    thread = threading.Thread(target=loops.ingest_loop, args=(wrong, committed_db, stop))
    wrong.start()
    thread.start()
    eventually(lambda: wrong.refusals)
    assert not threading.Event().wait(WATCHED_S)
    assert 2 <= wrong.refusals <= 4
    assert not wrong.connected
    with committed_db() as session:
        assert queries.last_heartbeat(session, queries.REFUSED)
    running.stop()
    again = start_broker(tmp_path / "broker", port=running.port, ingest_password="wrong")
    eventually(lambda: wrong.connected and not wrong.refusals, seconds=LONGEST_WAIT_S)
    wrong.stop()
    stop.set()
    thread.join(10)
    again.stop()
