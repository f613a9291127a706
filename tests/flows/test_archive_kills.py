"""The process that moves messages into the archive is killed again and again; in the end each message is there once."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from devices.archive.files import Archive
from devices.archive.invariants import violations
from devices.archive.reading import messages_of_day
from devices.archive.tables import ArchiveFile
from devices.readings import Envelope
from devices.tables import Device
from tests.devices.archives import LATER, day, go, raw, seal, worked
from tests.devices.evidences import a_device

MOVES = """
import sys
from pathlib import Path
from devices.archive import actions
from marketplace.db import open_engine, open_sessions
from tests.devices.archives import archiving, at, LATER
actions.ROWS_AT_ONCE = 40
sessions = open_sessions(open_engine(sys.argv[1]))
steps = archiving(Path(sys.argv[2])).steps()
print("ready", flush=True)
try:
    step = next(steps)
    while True:
        with sessions() as session:
            done = step(session, now=at(LATER, 0))
            session.commit()
        step = steps.send(done)
except StopIteration:
    print("over", flush=True)
"""


@pytest.mark.servers
def test_killed_at_any_moment_it_loses_nothing(database_url: str, committed_db: sessionmaker[Session], tmp_path: Path) -> None:
    with committed_db() as session:
        devices = [a_device(session) for _ in range(5)]
        for device in devices:
            for number in (0, 1, LATER - 1):
                worked(session, device, number)
        seal(session, until=LATER)
        session.commit()
        before = {device.id: raw(session, device) for device in devices}
    kills = 0
    for delay_s in (0.02, 0.06, 0.12, 0.2, 0.3):
        with subprocess.Popen(
            [sys.executable, "-c", MOVES, database_url, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as mover:
            assert mover.stdout is not None
            assert mover.stdout.readline() == "ready\n"
            time.sleep(delay_s)
            os.kill(mover.pid, signal.SIGKILL)
            kills += mover.stdout.read() == ""
        with committed_db() as session:
            assert {device.id: everywhere(session, tmp_path, device) for device in devices} == before
    with committed_db() as session:
        assert go(session, tmp_path)
        session.commit()
        assert {device.id: everywhere(session, tmp_path, device) for device in devices} == before
        assert {len(raw(session, device)) for device in devices} == {len(before[devices[0].id]) // 3}
        assert list(violations(session, Archive(tmp_path))) == []
        assert len(session.scalars(select(ArchiveFile)).all()) >= 2
    assert kills > 1


def everywhere(session: Session, folder: Path, device: Device) -> list[Envelope]:
    found = [messages_of_day(session, Archive(folder), device.id, day(number)) for number in (0, 1, LATER - 1)]
    return [one for some in found for one in sorted(some.values(), key=lambda one: one.received_at)]
