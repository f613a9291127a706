"""Messages a second through a real broker: a subscriber in C that only acknowledges, and ours that commits first and folds."""

import resource
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from statistics import median

import orjson

from devices.actions import fold_devices
from devices.ingest import Ingest
from devices.intake.actions import store_batch
from devices.registry.actions import register_device
from marketplace import clock
from marketplace.db import open_engine, open_sessions
from tests import servers
from tests.bench.frame import BenchRow, Better
from tests.builders import a_resource
from tests.servers import Broker
from web.schema import METADATA

DEVICES, EACH = 10, 2000
ROUNDS = 3
"""Limit and ours take turns, and the middle of each counts."""
CONNECT, PUBLISH, PUBACK_BYTES = 0x10, 0x32, 4
PATIENCE_S = 120
STEP_MS = 50
"""A device measures twenty times a second, so all its messages are of the last two minutes, like those of a live one."""
RUN_OF = 200
"""Messages of a device between two changes from idle to run."""


def rows() -> Iterator[BenchRow]:
    """One row for each database, each with a limit of its own taken just before."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with servers.postgres(folder / "pilotbench-postgres-bench") as postgres:
            for database, url in (("SQLite", f"sqlite:///{folder}/ours.db"), ("PostgreSQL", postgres)):
                with servers.mosquitto(folder / f"broker-{database}") as broker:
                    yield from against(broker, database, url)


def against(broker: Broker, database: str, url: str) -> Iterator[BenchRow]:
    plugs = registered(broker, url)
    rounds, peaks = [], []
    for _ in range(ROUNDS):
        limit = rate(lambda: acknowledge_only(broker, plugs))
        rounds.append((limit, rate(lambda: commit_and_fold(broker, url, plugs))))
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    limit, ours = (median(each) for each in zip(*rounds, strict=True))
    name = f"ingest, QoS 1: commit, acknowledge, fold; {database}"
    yield BenchRow(name, "mosquitto_sub, which only acknowledges", limit, ours, "msg/s", 0.6, 0.85)
    name = f"memory after {ROUNDS * DEVICES * EACH:,} messages; {database}"
    yield BenchRow(name, f"after {DEVICES * EACH:,}", peaks[0], peaks[-1], "MB", 1.1, 1.03, Better.LOWER)


def registered(broker: Broker, url: str) -> list[tuple[str, str]]:
    """The names and secrets of devices that the product and the broker know."""
    engine = open_engine(url)
    METADATA.create_all(engine)
    native = {"family": "native"}
    with open_sessions(engine).begin() as session:
        place, now = a_resource(session).id, clock.now()
        made = [
            register_device(session, resource_id=place, name=f"m{n}", profile=native, actor_id=None, now=now)[1]
            for n in range(DEVICES)
        ]
    engine.dispose()
    for known in made:
        broker.add_device(known.key, known.secret)
    return [(known.key, known.secret) for known in made]


def rate(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return DEVICES * EACH / (time.perf_counter() - began)


def begin_anew(broker: Broker) -> list[str]:
    """From here on the broker keeps what comes, and nothing of the round before; how a subscriber takes it."""
    as_ingest = ["-h", broker.host, "-p", str(broker.port), "-i", "ingest", "-u", "ingest", "-P", broker.ingest_password]
    fresh = ["mosquitto_sub", *as_ingest, "-t", "#", "-q", "1"]
    subprocess.run([*fresh, "-E"], check=True)
    subprocess.run([*fresh, "-c", "-E"], check=True)
    return [*fresh, "-c"]


def acknowledge_only(broker: Broker, plugs: list[tuple[str, str]]) -> None:
    """What the machine allows: broker, publishers and a subscriber without any work of its own."""
    asked = begin_anew(broker)
    null = subprocess.Popen([*asked, "-C", str(DEVICES * EACH), "-N"], stdout=subprocess.DEVNULL)
    publish_all(broker, plugs)
    assert null.wait(PATIENCE_S) == 0


def commit_and_fold(broker: Broker, url: str, plugs: list[tuple[str, str]]) -> None:
    """The worker's two loops: store, commit, acknowledge; and fold beside it until nothing is left."""
    begin_anew(broker)
    engine = open_engine(url)
    sessions, ingest, over = open_sessions(engine), Ingest(broker.url), threading.Event()

    def fold() -> None:
        while True:
            last = over.is_set()
            with sessions.begin() as session:
                folded = fold_devices(session, now=clock.now())
            if last and not folded:
                return
            over.wait(1)

    folding = threading.Thread(target=fold)
    ingest.start()
    folding.start()
    publish_all(broker, plugs)
    stored = 0
    while stored < DEVICES * EACH:
        if batch := ingest.take():
            with sessions.begin() as session:
                store_batch(session, batch, now=clock.now())
            ingest.ack(batch)
            stored += len(batch.envelopes)
    over.set()
    folding.join(PATIENCE_S)
    ingest.stop()
    engine.dispose()


def publish_all(broker: Broker, plugs: list[tuple[str, str]]) -> None:
    """Every plug writes all it has in one go, from packets made beforehand; returns while the broker still reads."""
    begun = clock.now() - timedelta(milliseconds=EACH * STEP_MS)
    for key, secret in plugs:
        packets = b"".join(packet(key, number, int(begun.timestamp() * 1000)) for number in range(1, EACH + 1))
        threading.Thread(target=write, args=(broker, key, secret, packets), daemon=True).start()


def packet(key: str, number: int, begun_ms: int) -> bytes:
    """A QoS 1 PUBLISH of MQTT 3.1.1, about 150 bytes."""
    running = number // RUN_OF % 2
    body = orjson.dumps(
        {
            "ts": begun_ms + number * STEP_MS,
            "seq": number,
            "boot": str(begun_ms),
            "p": 350.5 if running else 4.25,
            "e": round(number / 10, 1),
            "v": 229.8,
            "i": 1.52,
            "fw": "2.4.1",
            "rssi": -61,
            "run": running,
        }
    )
    topic = f"d/{key}/t".encode()
    rest = len(topic).to_bytes(2) + topic + number.to_bytes(2) + body
    return bytes([PUBLISH]) + varying(len(rest)) + rest


def varying(length: int) -> bytes:
    """MQTT's length of 1 to 4 bytes, seven bits each, low ones first."""
    found = bytearray()
    while True:
        length, low = divmod(length, 128)
        found.append(low | (128 if length else 0))
        if not length:
            return bytes(found)


def write(broker: Broker, key: str, secret: str, packets: bytes) -> None:
    fields = b"".join(len(text).to_bytes(2) + text for text in (key.encode(), key.encode(), secret.encode()))
    rest = b"\x00\x04MQTT\x04\xc2\x00\x3c" + fields
    with socket.create_connection((broker.host, broker.port)) as plug:
        plug.sendall(bytes([CONNECT]) + varying(len(rest)) + rest)
        assert plug.recv(4)[3] == 0, "the broker refused the plug"
        sending = threading.Thread(target=plug.sendall, args=(packets,))
        sending.start()
        left = EACH * PUBACK_BYTES
        while left > 0:
            left -= len(plug.recv(65536))
        sending.join()
