"""How long a day of a thousand devices takes into the archive, beside writing the same rows as one Parquet file alone."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, insert, select

from devices.archive.files import Archive, Draft
from devices.archive.moving import Archiving
from devices.archive.tables import ArchiveFile
from devices.evidence.actions import SETTLED, seal_due
from devices.evidence.keys import read_signer
from devices.evidence.records import bounds
from devices.machines import Machine, history
from devices.readings import Envelope
from devices.registry.actions import register_device
from devices.tables import RawMessage
from marketplace.db import open_engine, open_sessions
from marketplace.slot import Slot
from tests.bench.frame import BenchRow, Better
from tests.builders import a_resource
from tests.servers import postgres
from web.schema import METADATA

DAY = date(2026, 3, 10)
DEVICES = 1000
KEEP = timedelta(days=14)
NOW = bounds(DAY + timedelta(days=30))[0]
LIMIT = "writing the rows as Parquet alone"


def rows() -> Iterator[BenchRow]:
    """SQLite and PostgreSQL, a message a minute of each device."""
    with tempfile.TemporaryDirectory() as folder:
        yield from row(f"sqlite:///{folder}/market.db", Path(folder), "SQLite")
    with tempfile.TemporaryDirectory() as folder, postgres(Path(folder) / "postgres") as url:
        yield from row(url, Path(folder), "PostgreSQL")


def row(url: str, folder: Path, name: str) -> Iterator[BenchRow]:
    engine = open_engine(url)
    METADATA.create_all(engine)
    limit = filled(engine, folder)
    began = time.perf_counter()
    longest = moved(engine, Archive(folder / "archive"))
    took = time.perf_counter() - began
    with open_sessions(engine)() as session:
        assert session.scalar(select(func.count()).select_from(RawMessage)) == 0
        (file,) = session.scalars(select(ArchiveFile)).all()
        assert file.messages == DEVICES * 1440
    engine.dispose()
    title = (
        f"archive of a day of {DEVICES:,} devices on {name}: {file.size / 1e6:.0f} MB, transactions <= {longest * 1000:.0f} ms"
    )
    yield BenchRow(title, LIMIT, limit, took, "s", 60, 1, Better.LOWER)


def filled(engine: Engine, folder: Path) -> float:
    """Seconds that the rows take into a Parquet file alone."""
    sessions = open_sessions(engine)
    (folder / "alone").mkdir()
    limit = 0.0
    with closing(Draft(Archive(folder / "alone"), DAY)) as draft, sessions() as session:
        resource = a_resource(session)
        for number in range(DEVICES):
            device, _ = register_device(
                session, resource_id=resource.id, name=f"plug {number}", profile={}, actor_id=None, now=bounds(DAY)[0]
            )
            device_id, messages = device.id, said(device.key)
            session.execute(insert(RawMessage), [stored(device_id, one) for one in messages])
            began = time.perf_counter()
            draft.add(device_id, [(1, one) for one in messages])
            limit += time.perf_counter() - began
        session.commit()
    signer = read_signer("7a" * 32, folder)
    with sessions() as session:
        while seal_due(session, signer=signer, now=bounds(DAY + timedelta(days=13))[0] + SETTLED):
            session.commit()
    return limit


def said(key: str) -> list[Envelope]:
    start = bounds(DAY)[0]
    machine = Machine(key, "s", start, runs=(Slot(start + timedelta(hours=8), start + timedelta(hours=16)),))
    return list(history(machine, Slot(*bounds(DAY))))


def stored(device_id: str, one: Envelope) -> dict[str, Any]:
    row = {"device_id": device_id, "digest": sha256(one.topic.encode() + one.payload).hexdigest(), "received_at": one.received_at}
    return {**row, "topic": one.topic, "payload": one.payload, "retain": one.retain, "backlog": one.backlog}


def moved(engine: Engine, archive: Archive) -> float:
    """Everything due, without a pause; seconds of the longest transaction."""
    sessions, longest = open_sessions(engine), 0.0
    with closing(Archiving(archive, KEEP).steps()) as steps, suppress(StopIteration):
        step = next(steps)
        while True:
            began = time.perf_counter()
            with sessions() as session:
                done = step(session, now=NOW)
                session.commit()
            longest = max(longest, time.perf_counter() - began)
            step = steps.send(done)
    return longest
