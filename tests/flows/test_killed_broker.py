"""Mosquitto is killed again and again while no worker listens: nothing acknowledged is lost; without its keeper, some is."""

import random
import time
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from devices import queries
from devices.registry.actions import Credentials, register_device
from marketplace import clock
from marketplace.db import open_engine, open_sessions
from tests.builders import a_resource
from tests.flows.soak import Broker, Plug, stored_numbers, until
from tests.product import product

pytestmark = pytest.mark.servers
KILLS, DEVICES, PER_S = 20, 8, 30
SETTLED_S = 1.1
"""The devices are back, and so is the keeper: what dies sooner is the hole that is left (decision 0040)."""


def registered(sessions: sessionmaker[Session]) -> list[Credentials]:
    with sessions.begin() as session:
        places = [a_resource(session).id for _ in range(DEVICES)]
        return [
            register_device(session, resource_id=place, name="plug", profile={}, actor_id=None, now=clock.now())[1]
            for place in places
        ]


def lost_and_doubled(folder: Path, *, kills: int, words: tuple[str, ...] = (), seed: int = 1) -> tuple[int, int, int]:
    """How many messages the devices got an acknowledgement for, and how many of these are not stored, or stored twice."""
    folder.chmod(0o755)
    chance, broker = random.Random(seed), Broker(folder / "broker")
    url = f"sqlite:///{folder / 'pilotbench.db'}"
    with product(folder / "product", url, **broker.settings) as made:
        sessions = open_sessions(engine := open_engine(url))
        known = registered(sessions)
        with broker.supervised(made, *words):
            plugs = [Plug(broker.port, each, every=1 / PER_S) for each in known]
            until(lambda: all(plug.said.acknowledged for plug in plugs))
            for _ in range(kills):
                time.sleep(SETTLED_S + chance.uniform(0, 0.4))
                broker.kill()
            for plug in plugs:
                plug.quiet()
            until(lambda: all(len(plug.said.acknowledged) == plug.said.sent for plug in plugs))
            begun = clock.now()
            made.start(servers=0)
            told = {plug.said.known.key: set(plug.said.acknowledged) for plug in plugs}
            until(lambda: _has_heard_itself(sessions, since=begun))  # and so all that came before
            for plug in plugs:
                plug.stop()
            made.stop()
        found = {key: stored_numbers(sessions, key) for key in told}
        engine.dispose()
    doubled = sum(count - 1 for numbers in found.values() for count in numbers.values())
    return sum(map(len, told.values())), sum(len(told[key] - set(found[key])) for key in told), doubled


def _has_heard_itself(sessions: sessionmaker[Session], *, since: datetime) -> bool:
    with sessions() as session:
        last = queries.last_heartbeat(session)
    return last is not None and last > since


def test_with_its_keeper_everything_acknowledged_is_stored_once(tmp_path: Path) -> None:
    acknowledged, lost, doubled = lost_and_doubled(tmp_path, kills=KILLS)
    assert acknowledged > 1000
    assert (lost, doubled) == (0, 0)


def test_without_its_keeper_some_is_lost(tmp_path: Path) -> None:
    """Else the test above shows nothing."""
    _, lost, doubled = lost_and_doubled(tmp_path, kills=KILLS, words=("forgetful",))
    assert lost > 0
    assert doubled == 0
