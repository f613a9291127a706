"""`make soak`: broker, worker and database die by kill -9 at random moments under load; the worker stays away for half an hour.

The law: every message that its device got an acknowledgement for is stored exactly once, and what was measured while nobody
listened comes to the sessions that the rules say. What was acknowledged within LAST_ROUND_S of a death of the broker is counted
apart: Mosquitto itself forgets some of it, and only the keeper of `pilotbench broker` knows it still (decision 0040).
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from devices import queries
from devices.broker import provision
from devices.registry.actions import Credentials, register_device
from devices.tables import RawMessage, UsageSession
from marketplace import clock
from marketplace.db import open_engine, open_sessions
from tests.builders import a_resource
from tests.product import Product
from tests.product import product as a_product
from tests.servers import Database, free_port, stop

DEVICES = 10
PER_S = 40
"""Messages a second of each device."""
LAST_ROUND_S = 0.2
CATCH_UP_S = 120
STUBBORN = str(Path(__file__).with_name("stubborn_broker.py"))
KINDS = ("broker", "worker", "database")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@dataclass
class Said:
    """What one device has sent, by number, and when its acknowledgement came."""

    known: Credentials
    sent: int = 0
    acknowledged: dict[int, float] = field(default_factory=dict)


class Plug:
    """A device of MQTT 3.1.1 that measures on whatever happens, and sends again what was not acknowledged."""

    def __init__(self, port: int, known: Credentials, *, every: float, timed: bool = True) -> None:
        self.said = Said(known)
        self._numbers: dict[int, int] = {}
        self._every, self._timed, self._over = every, timed, threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=known.key, clean_session=False)
        self._client.username_pw_set(known.key, known.secret)
        self._client.reconnect_delay_set(1, 1)
        self._client.max_inflight_messages_set(1000)
        self._client.on_publish = self._acknowledged
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()
        self._measuring = threading.Thread(target=self._measure, daemon=True)
        self._measuring.start()

    def _measure(self) -> None:
        while not self._over.wait(self._every):
            number = self.said.sent
            body: dict[str, Any] = {"seq": number, "boot": "b", "p": 350.5}
            if self._timed:
                body["ts"] = int(time.time() * 1000)
            self.said.sent += 1
            told = self._client.publish(f"d/{self.said.known.key}/t", orjson.dumps(body), qos=1)
            self._numbers[told.mid] = number

    def _acknowledged(self, _client: Client, _data: object, mid: int, *_more: object) -> None:
        while mid not in self._numbers:  # faster than the thread that sends could note it
            time.sleep(0.001)
        self.said.acknowledged.setdefault(self._numbers.pop(mid), time.monotonic())

    def quiet(self) -> None:
        """No more measurements; what is under way goes on."""
        self._over.set()
        self._measuring.join(10)

    def stop(self) -> None:
        self.quiet()
        self._client.disconnect()
        self._client.loop_stop()


class Broker:
    """The private broker as `pilotbench broker` keeps it running."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.settings = {"mqtt_url": f"mqtt://ingest:secret@127.0.0.1:{self.port}", "mqtt_dir": str(folder)}

    @contextlib.contextmanager
    def supervised(self, product: Product, *words: str) -> Iterator[None]:
        """With the database and the settings of `product`, until the block ends."""
        with (self.folder.parent / "supervisor.log").open("ab") as log:
            command = [sys.executable, STUBBORN, *words]
            process = subprocess.Popen(command, env=product.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            until(self._pid)
            yield
        finally:
            stop(process, signal.SIGTERM)

    def kill(self) -> None:
        """Mosquitto alone, with SIGKILL; its supervisor has begun it anew when this returns."""
        os.kill(before := self._pid(), signal.SIGKILL)
        until(lambda: self._pid() not in {0, before}, every_s=0.02)

    def _pid(self) -> int:
        """0 while none runs."""
        with contextlib.suppress(FileNotFoundError):
            return int((self.folder / "pid").read_text())
        return 0


@dataclass(frozen=True)
class Soak:
    """What is under test, and the devices at it."""

    product: Product
    broker: Broker
    database: Database
    sessions: sessionmaker[Session]

    def listens(self, *, since: datetime | None = None) -> bool:
        """Whether what the worker has said to itself since then has come back: so has all that came before it."""
        try:
            with self.sessions() as session:
                last = queries.last_heartbeat(session)
        except DBAPIError:  # the database is only just coming back
            return False
        return last is not None and (since is None or last > since)

    def register(self, count: int, **profile: Any) -> list[Credentials]:
        """Devices on a resource each, known to the broker."""
        with self.sessions.begin() as session:
            places = [a_resource(session).id for _ in range(count)]
            made = [
                register_device(session, resource_id=place, name="plug", profile=profile, actor_id=None, now=clock.now())[1]
                for place in places
            ]
        with self.sessions() as session:
            provision(self.broker.folder, queries.logins(session, at=clock.now()))
        time.sleep(0.2)  # it answers the signal in its next loop, every 100 ms
        return made

    def kill(self, kind: str, *, away_s: float) -> float:
        """When it died; it is back afterwards."""
        died = time.monotonic()
        if kind == "broker":
            self.broker.kill()
        elif kind == "worker":
            self.product.kill()
            time.sleep(away_s)
            self.product.start(servers=0)
        else:
            self.database.kill()
            time.sleep(away_s)
            self.database.start()
        return died

    def stored(self, known: Credentials) -> Counter[int]:
        """How often each number of a device is stored."""
        try:
            return stored_numbers(self.sessions, known.key)
        except DBAPIError:  # it is only just coming back
            return Counter()

    def sessions_of(self, known: Credentials) -> list[tuple[datetime, datetime | None, int, int]]:
        with self.sessions() as session:
            of_device = select(RawMessage.device_id).where(RawMessage.topic == f"d/{known.key}/t").limit(1)
            runs = select(UsageSession).where(UsageSession.device_id.in_(of_device)).order_by(UsageSession.starts_at)
            return [(run.starts_at, run.ends_at, run.confirmed_s, run.unverified_s) for run in session.scalars(runs)]


def stored_numbers(sessions: sessionmaker[Session], key: str) -> Counter[int]:
    with sessions() as session:
        of_device = select(RawMessage.payload).where(RawMessage.topic == f"d/{key}/t")
        return Counter(orjson.loads(payload)["seq"] for payload in session.scalars(of_device))


@contextlib.contextmanager
def a_soak(folder: Path) -> Iterator[Soak]:
    folder.chmod(0o755)
    database, broker = Database(folder / "database"), Broker(folder / "broker")
    try:
        with a_product(folder / "product", database.url, **broker.settings) as made, broker.supervised(made):
            made.start(servers=0)
            engine = open_engine(database.url)
            soak = Soak(made, broker, database, open_sessions(engine))
            until(soak.listens)  # from here on the broker keeps what nobody takes
            yield soak
            engine.dispose()
    finally:
        database.stop()


@dataclass(frozen=True)
class Killed:
    """The outcome of the kills."""

    kills: Counter[str]
    sent: int
    acknowledged: int
    lost: int
    """Acknowledged and not stored."""
    lost_in_the_last_round: int
    """The same, acknowledged within LAST_ROUND_S of a death of the broker."""
    doubled: int


def kills(soak: Soak, *, rounds: int, seed: int, devices: int = DEVICES, per_s: float = PER_S) -> Killed:
    """Load on all devices while something dies `rounds` times; each kind at least once where there are rounds enough."""
    chance = random.Random(seed)
    order = [*KINDS, *chance.choices(KINDS, k=max(0, rounds - len(KINDS)))][:rounds]
    chance.shuffle(order)
    plugs = [Plug(soak.broker.port, known, every=1 / per_s) for known in soak.register(devices)]
    deaths: list[float] = []
    for number, kind in enumerate(order, start=1):
        time.sleep(chance.uniform(0.5, 3))
        died = soak.kill(kind, away_s=chance.uniform(0, 2))
        deaths += [died] if kind == "broker" else []
        say(f"  {number} of {rounds}: {kind}")
    time.sleep(2)
    for plug in plugs:
        plug.quiet()
    until(lambda: all(len(plug.said.acknowledged) == plug.said.sent for plug in plugs))
    quiet = clock.now()
    until(lambda: soak.listens(since=quiet))
    for plug in plugs:
        plug.stop()
    missing, doubled = [], 0
    for plug in plugs:
        found = soak.stored(plug.said.known)
        missing += [at for number, at in plug.said.acknowledged.items() if not found[number]]
        doubled += sum(count - 1 for count in found.values())
    last = [at for at in missing if any(abs(died - at) <= LAST_ROUND_S for died in deaths)]
    said = [plug.said for plug in plugs]
    return Killed(
        Counter(order), sum(one.sent for one in said), sum(len(one.acknowledged) for one in said),
        len(missing) - len(last), len(last), doubled,
    )  # fmt: skip


def until(true: Any, *, or_else: bool = True, every_s: float = 0.2) -> None:
    end = time.monotonic() + CATCH_UP_S
    while not true():
        if time.monotonic() > end:
            assert not or_else, "waited in vain"
            return
        time.sleep(every_s)


@dataclass(frozen=True)
class CaughtUp:
    """Two devices that ran through while the worker was away: one whose messages tell the time, and one without."""

    timed: list[tuple[datetime, datetime | None, int, int]]
    untimed: list[tuple[datetime, datetime | None, int, int]]
    left: datetime
    back: datetime
    every: timedelta


def downtime(soak: Soak, *, seconds: float) -> CaughtUp:
    """Each measures ninety times in that time; silence of a sixth of it is stale, of half of it ends a run."""
    every = seconds / 90
    profile = {"stale_after": seconds / 6, "max_gap": seconds / 2, "min_on": every * 3, "min_off": every * 6}
    timed, untimed = soak.register(2, **profile)
    plugs = [Plug(soak.broker.port, timed, every=every), Plug(soak.broker.port, untimed, every=every, timed=False)]
    time.sleep(every * 30)
    until(lambda: all(len(soak.stored(known)) > 10 for known in (timed, untimed)))
    soak.product.kill()
    left = clock.now()
    time.sleep(seconds)
    soak.product.start(servers=0)
    back = clock.now()
    until(lambda: soak.listens(since=back))
    time.sleep(every * 30)
    for plug in plugs:
        plug.quiet()
    until(lambda: all(sum(soak.stored(plug.said.known).values()) >= plug.said.sent for plug in plugs))
    until(lambda: len(soak.sessions_of(untimed)) == 2 and _heard_to_the_end(soak, timed, back), or_else=False)
    for plug in plugs:
        plug.stop()
    return CaughtUp(soak.sessions_of(timed), soak.sessions_of(untimed), left, back, timedelta(seconds=every))


def _heard_to_the_end(soak: Soak, known: Credentials, back: datetime) -> bool:
    runs = soak.sessions_of(known)
    return bool(runs) and runs[-1][0] + timedelta(seconds=runs[-1][2] + runs[-1][3]) > back


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--downtime-min", type=float, default=30)
    asked = parser.parse_args()
    say(f"seed {asked.seed}: {asked.rounds} kills under {DEVICES * PER_S} messages a second")
    with tempfile.TemporaryDirectory() as name, a_soak(Path(name)) as soak:
        killed = kills(soak, rounds=asked.rounds, seed=asked.seed)
        say(str(killed))
        say(f"the worker stays away for {asked.downtime_min} minutes")
        caught_up = downtime(soak, seconds=asked.downtime_min * 60)
        say(str(caught_up))
        say(soak.product.run("audit"))


if __name__ == "__main__":
    main()
