"""The ingest loop's own decisions: what waits, what is kept apart, and what stops nobody."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from devices.ingest import Batch
from devices.intake import actions as intake
from devices.pace import Pace
from devices.readings import Envelope
from devices.registry.actions import register_device
from devices.tables import Heartbeat, RawMessage, RejectedMessage
from tests.builders import a_resource
from web import worker

BEGIN = datetime(2026, 3, 10, tzinfo=UTC)


@pytest.fixture
def batch(committed_db: sessionmaker[Session]) -> Batch:
    with committed_db.begin() as session:
        place = a_resource(session).id
        device, _ = register_device(session, resource_id=place, name="plug", profile={}, actor_id=None, now=BEGIN)
        key = device.key
    said = [Envelope(f"d/{key}/t", b'{"p":%d}' % number, BEGIN + timedelta(seconds=number)) for number in range(9)]
    return Batch(said, [], beat_at=BEGIN)


def kept(sessions: sessionmaker[Session]) -> tuple[int, list[tuple[str, bytes]], int]:
    """How many messages, what was rejected, and how many heartbeats."""
    with sessions() as session:
        rejected = session.execute(select(RejectedMessage.reason, RejectedMessage.payload)).all()
        counted = [session.scalar(select(func.count()).select_from(table)) or 0 for table in (RawMessage, Heartbeat)]
        return counted[0], [(reason, payload) for reason, payload in rejected], counted[1]


@pytest.mark.parametrize("error", [ValueError("nobody foresaw it"), DataError("INSERT", None, Exception("out of range"))])
def test_what_cannot_be_stored_is_rejected_and_stops_nobody(
    committed_db: sessionmaker[Session], batch: Batch, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    store = intake.store

    def fails(session: Session, envelopes: list[Envelope], *, pace: Pace) -> None:
        store(session, envelopes, pace=pace)
        if any(one.payload == b'{"p":4}' for one in envelopes):
            raise error

    monkeypatch.setattr(intake, "store", fails)
    assert worker.keep(batch, committed_db, threading.Event(), Pace())
    assert kept(committed_db) == (8, [("unstorable", b'{"p":4}')], 1)


def test_a_database_that_is_away_is_waited_for(
    committed_db: sessionmaker[Session], batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, tries = intake.store, []

    def fails_twice(session: Session, envelopes: list[Envelope], *, pace: Pace) -> None:
        tries.append(len(envelopes))
        if len(tries) < 3:
            raise OperationalError("INSERT", None, Exception("the server closed the connection"))
        store(session, envelopes, pace=pace)

    monkeypatch.setattr(intake, "store", fails_twice)
    monkeypatch.setattr(worker, "PAUSE_S", 0.01)
    assert worker.keep(batch, committed_db, threading.Event(), Pace())
    assert tries == [9, 9, 9]
    assert kept(committed_db) == (9, [], 1)


def test_what_was_stopped_before_it_was_stored_is_not_acknowledged(
    committed_db: sessionmaker[Session], batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def stops(_session: Session, _envelopes: list[Envelope], *, pace: Pace) -> None:
        over.set()
        raise OperationalError("INSERT", None, Exception("away"))

    monkeypatch.setattr(intake, "store", stops)
    assert not worker.keep(batch, committed_db, over, Pace())
    assert kept(committed_db) == (0, [], 0)
