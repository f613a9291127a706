"""The worker keeps the broker's password file equal to who may connect."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from devices.registry import actions
from marketplace import clock
from tests.builders import a_resource
from tests.devices.plugs import eventually
from web.worker import Provisioned, broker_loop

NOW = datetime(2026, 3, 10, 1, tzinfo=UTC)


@contextmanager
def kept(folder: Path, sessions: sessionmaker[Session]) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=broker_loop, args=(Provisioned(folder), sessions, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_an_old_secret_leaves_the_file_when_its_time_is_over(tmp_path: Path, committed_db: sessionmaker[Session]) -> None:
    file = tmp_path / "passwords"

    def named() -> set[str]:
        return {line.partition(":")[0] for line in file.read_text().splitlines()} if file.exists() else set()

    with committed_db.begin() as session:
        resource = a_resource(session).id
        row, known = actions.register_device(session, resource_id=resource, name="plug", profile={}, actor_id=None, now=NOW)
        until = clock.now() + timedelta(seconds=4)
        actions.new_secret(session, device_id=row.id, overlap=timedelta(hours=1), actor_id="p", now=until - timedelta(hours=1))
    with kept(tmp_path, committed_db):
        eventually(lambda: named() == {known.key, f"{known.key}.2"})
        assert f"user {known.key}.2\n" in (tmp_path / "acl").read_text()
        eventually(lambda: named() == {f"{known.key}.2"})
    assert clock.now() >= until


def test_the_file_follows_every_change_within_seconds(tmp_path: Path, committed_db: sessionmaker[Session]) -> None:
    file = tmp_path / "passwords"

    def says(key: str) -> str:
        lines = file.read_text().splitlines() if file.exists() else []
        return next((line for line in lines if line.startswith(f"{key}:")), "")

    with committed_db.begin() as session:
        resource = a_resource(session).id
    with kept(tmp_path, committed_db):
        with committed_db.begin() as session:
            row, known = actions.register_device(session, resource_id=resource, name="plug", profile={}, actor_id=None, now=NOW)
            device = row.id
        eventually(lambda: says(known.key))
        first = says(known.key)
        with committed_db.begin() as session:
            actions.new_secret(session, device_id=device, actor_id="per_1", now=NOW)
        eventually(lambda: says(known.key) != first)
        with committed_db.begin() as session:
            actions.revoke(session, device_id=device, actor_id="per_1", now=NOW)
        eventually(lambda: not says(known.key))
