"""What the command line says when the database is not what it should be."""

import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tests.product import COMMAND
from tests.servers import free_port
from web import cli


def said(command: str, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setenv("PILOTBENCH_DATABASE_URL", url)
    monkeypatch.setattr("sys.argv", ["pilotbench", command])
    monkeypatch.setattr(cli, "log_to_stderr", lambda: None)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    return capsys.readouterr().err


@pytest.mark.parametrize("url", ["nonsense", "mysql://a/b", "postgresql://:port/x", ""])
def test_what_is_no_address_is_told(url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no address of a database" in said("migrate", url, monkeypatch, capsys)


def test_a_database_that_is_away_or_empty_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sqlite3.connect(tmp_path / "empty.db").close()
    away = f"postgresql://postgres:secret@127.0.0.1:{free_port()}/x"
    for url, why in (
        (away, "refused"),
        ("sqlite:////nowhere/x.db", "unable to open"),
        (f"sqlite:///{tmp_path}/empty.db", "no such"),
    ):
        told = said("audit", url, monkeypatch, capsys)
        assert why in told
        assert "do it again" in told
        assert "secret" not in told


@pytest.mark.servers
def test_a_worker_waits_for_its_database_and_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    url = f"postgresql://postgres@127.0.0.1:{free_port()}/x"
    environment = {**os.environ, "PILOTBENCH_DATABASE_URL": url, "PILOTBENCH_DATA_DIR": str(tmp_path)}
    with (tmp_path / "log").open("w+") as log:
        process = subprocess.Popen([COMMAND, "work"], env=environment, stdout=log, stderr=log)
        try:
            end = time.monotonic() + 30
            while "worker_waits" not in (tmp_path / "log").read_text() and time.monotonic() < end:
                time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
        finally:
            process.kill()
    told = (tmp_path / "log").read_text()
    assert "refused" in told
    assert "Traceback" not in told
