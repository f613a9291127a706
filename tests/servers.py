"""Throw-away servers on free loopback ports: PostgreSQL for the run, shared by all workers, and a Mosquitto of one's own."""

import contextlib
import fcntl
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devices.broker import provision, start_broker
from devices.registry.actions import broker_hash

START_S = 60
POSTGRES_BIN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


class MissingServer(RuntimeError):
    """A program that the tests need is not installed; says which package has it."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes], what: str, seconds: float = START_S) -> None:
    """Until something listens on `port`. Raises: MissingServer if `process` ends or the time is up."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise MissingServer(f"{what} ended at start with exit code {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise MissingServer(f"{what} did not listen on port {port} within {seconds} s")


def stop(process: subprocess.Popen[bytes], kind: signal.Signals = signal.SIGINT) -> None:
    if process.poll() is None:
        process.send_signal(kind)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@contextlib.contextmanager
def postgres(folder: Path, *, durable: bool = False) -> Iterator[str]:
    """The URL of a private PostgreSQL that lives in `folder` and is shared by every process that names the same folder.

    The first to come starts it, the last to go stops it. Without `durable` writes: it holds nothing worth keeping.
    """
    state = folder / "state.json"
    with _locked(folder):
        _sweep(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if not state.exists():
            state.write_text(json.dumps({"users": [], **_start_postgres(folder, durable=durable)}))
        shared: dict[str, Any] = json.loads(state.read_text())
        shared["users"].append(os.getpid())
        state.write_text(json.dumps(shared))
    try:
        yield f"postgresql://postgres@127.0.0.1:{shared['port']}/postgres"
    finally:
        with _locked(folder):
            shared = json.loads(state.read_text())
            shared["users"].remove(os.getpid())
            shared["users"] = _alive(shared["users"])
            state.write_text(json.dumps(shared))
            if not shared["users"]:
                _stop_postgres(folder)
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder.parent / "pilotbench-postgres.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _alive(users: list[int]) -> list[int]:
    return [user for user in users if Path(f"/proc/{user}").exists()]


def _sweep(folder: Path) -> None:
    """Stop servers of runs that were killed before they could."""
    for state in folder.parent.glob("pilotbench-postgres-*/state.json"):
        if state.parent != folder and os.access(state, os.W_OK) and not _alive(json.loads(state.read_text())["users"]):
            with contextlib.suppress(subprocess.CalledProcessError):  # it may have ended by itself
                _stop_postgres(state.parent)
            shutil.rmtree(state.parent, ignore_errors=True)


def _as_postgres() -> dict[str, object]:
    """PostgreSQL refuses to run as root; run it as its own user then."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _start_postgres(folder: Path, *, durable: bool) -> dict[str, int]:
    data, port = _new_postgres(folder), free_port()
    settings = " ".join(f"-c {name}={value or repr('')}" for name, value in _options(durable=durable).items())
    log = str(data / "server.log")
    _control(POSTGRES_BIN[-1], data, "start", "-w", "-t", str(START_S), "-l", log, "-o", f"-p {port} {settings}")
    return {"port": port}


def _options(*, durable: bool) -> dict[str, str]:
    return {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        **({} if durable else dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes"), "off")),
        "max_connections": "200",
        "shared_buffers": "128MB",
        "log_min_messages": "fatal",
    }


def _new_postgres(folder: Path) -> Path:
    """Where its data lie."""
    if not POSTGRES_BIN:
        raise MissingServer("PostgreSQL is not installed: apt-get install postgresql")
    programs, data = POSTGRES_BIN[-1], folder / "data"
    shutil.rmtree(data, ignore_errors=True)
    identity = _as_postgres()
    if identity:
        for parent in [folder, *folder.parents]:
            if parent.stat().st_uid == 0 and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o011)
        data.mkdir()
        os.chown(data, int(str(identity["user"])), int(str(identity["group"])))
    init = [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
    subprocess.run(init, check=True, stdout=subprocess.DEVNULL, cwd="/", **identity)  # type: ignore[call-overload]
    return data


def _control(programs: Path, data: Path, *words: str) -> None:
    command = [str(programs / "pg_ctl"), "-D", str(data), *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **_as_postgres())  # type: ignore[call-overload]


def _stop_postgres(folder: Path) -> None:
    _control(POSTGRES_BIN[-1], folder / "data", "stop", "-m", "immediate")


class Database:
    """A durable PostgreSQL that can be killed as by a power cut, and comes back on its port."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._data, self._port = _new_postgres(folder), free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"
        self._process = self._spawn()

    def kill(self) -> None:
        """All of it: halted first, it makes no more children, of which one left over would keep the next from starting."""
        pid = self._process.pid
        os.kill(pid, signal.SIGSTOP)
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        for each in (pid, *children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        self._process.wait(10)
        end = time.monotonic() + START_S
        while any(_lives(child) for child in children) and time.monotonic() < end:
            time.sleep(0.01)

    def start(self) -> None:
        self._process = self._spawn()

    def stop(self) -> None:
        stop(self._process)

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = [f"--{name}={value}" for name, value in _options(durable=True).items()]
        command = [POSTGRES_BIN[-1] / "postgres", "-D", self._data, "-p", str(self._port), *settings]
        with (self._data / "server.log").open("ab") as log:
            process: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True, **_as_postgres()
            )
        wait_for(self._port, process, "PostgreSQL")
        return process


def _lives(pid: int) -> bool:
    """Not gone, nor dead and waiting for its parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Broker:
    """A Mosquitto of one's own, set up and started by the product; `folder` holds its configuration, passwords and ACL."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.devices: dict[str, str] = {}
        self.running = start_broker(folder)
        self.host, self.port = self.running.host, self.running.port
        self.url, self.ingest_password = self.running.url, self.running.ingest_password

    def add_device(self, key: str, secret: str) -> None:
        """Let a device in, with the right to write under d/<key>/ only."""
        self.devices[key] = broker_hash(secret)
        provision(self.folder, self.devices.items())
        time.sleep(0.2)  # it answers the signal in its next loop, every 100 ms

    def kill(self) -> None:
        """As a power cut would."""
        self.running.process.kill()
        self.running.process.wait(10)
        self.running.log_filter.wait(10)

    def start(self) -> None:
        """Again, on the same port, with what it had saved."""
        self.running = start_broker(self.folder, port=self.port, credentials=self.devices.items())


@contextlib.contextmanager
def mosquitto(folder: Path) -> Iterator[Broker]:
    """A private broker on a free loopback port, stopped at the end."""
    broker = Broker(folder)
    try:
        yield broker
    finally:
        broker.running.stop()
