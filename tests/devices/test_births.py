"""A Sparkplug node whose birth was missed is asked for it, once in a while, over the real broker."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from devices import actions
from devices.births.actions import COOL_DOWN, take_wanted
from devices.broker import RunningBroker, provision, start_broker
from devices.codecs.sparkplug_wire import Payload
from devices.intake import actions as intake
from devices.readings import Envelope
from devices.registry.actions import register_device
from devices.tables import Device
from tests.builders import a_resource
from tests.devices.plugs import a_plug, eventually, listening
from tests.devices.test_sparkplug import DBIRTH, FLOAT, NBIRTH, data, payload

NOW = datetime(2026, 3, 10, 1, tzinfo=UTC)


def a_node(db: Session) -> tuple[Device, str, str]:
    resource = a_resource(db)
    row, known = register_device(
        db, resource_id=resource.id, name="node", profile={"family": "sparkplug"}, actor_id=None, now=NOW
    )
    return row, known.key, known.secret


def hear(db: Session, key: str, kind: str, content: bytes, second: float) -> None:
    oven = "/oven" if kind.startswith("D") else ""
    received = NOW + timedelta(seconds=second)
    intake.store(db, [Envelope(f"spBv1.0/lab/{kind}/{key}{oven}", content, received)])
    actions.fold_devices(db, now=received)


def asked(db: Session, second: float) -> list[str]:
    return [command.topic for command in take_wanted(db, now=NOW + timedelta(seconds=second))]


def test_who_was_never_introduced_is_asked_once_in_a_while(db: Session) -> None:
    _, key, _ = a_node(db)
    assert asked(db, 0) == []
    hear(db, key, "DDATA", data(2, 9.0), 1)
    assert asked(db, 2) == [f"spBv1.0/lab/NCMD/{key}"]
    assert asked(db, 3) == []
    hear(db, key, "DDATA", data(3, 9.0, 4), 4)
    assert asked(db, 5) == []
    assert asked(db, 3 + COOL_DOWN.total_seconds()) == [f"spBv1.0/lab/NCMD/{key}"]


def test_who_is_understood_is_left_alone_and_who_left_something_out_is_asked(db: Session) -> None:
    _, key, _ = a_node(db)
    hear(db, key, "NBIRTH", NBIRTH, 1)
    hear(db, key, "DBIRTH", payload(1, Power=(1, FLOAT, 8.0)), 1)
    hear(db, key, "DDATA", data(2, 9.0, 2), 2)
    assert asked(db, 3) == []
    for number in (4, 5, 6):
        hear(db, key, "DDATA", data(number, 9.0, number), 2 * number)
    assert asked(db, 20) == [f"spBv1.0/lab/NCMD/{key}"]


def test_who_is_followed_for_hours_is_left_alone_wherever_a_fold_begins(db: Session) -> None:
    _, key, _ = a_node(db)
    hear(db, key, "NBIRTH", NBIRTH, 0)
    hear(db, key, "DBIRTH", payload(1, Power=(1, FLOAT, 8.0)), 0)
    for minute in range(1, 8 * 60):
        power = 9.0 if minute % 60 < 30 else 0.0
        hear(db, key, "DDATA", data((minute + 1) % 256, power, 60 * minute), 60 * minute)
    assert asked(db, 8 * 3600) == []


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningBroker]:
    broker = start_broker(tmp_path / "broker", credentials=[])
    yield broker
    broker.stop()


@pytest.mark.servers
def test_the_node_itself_hears_it(db: Session, running: RunningBroker) -> None:
    device, key, secret = a_node(db)
    provision(running.folder, [(key, device.secret_hash)])
    heard: list[tuple[str, bytes]] = []
    subscribed = threading.Event()
    with listening(running.url) as ingest, a_plug(running.port, key, secret) as node:
        node.on_message = lambda _client, _data, message: heard.append((message.topic, message.payload))
        node.on_subscribe = lambda *_: subscribed.set()
        node.subscribe(f"spBv1.0/lab/NCMD/{key}", 1)
        assert subscribed.wait(10)
        hear(db, key, "DDATA", DBIRTH, 1)
        for command in take_wanted(db, now=NOW + timedelta(seconds=2)):
            ingest.tell(command)
        eventually(lambda: heard)
    ((topic, content),) = heard
    told = Payload.FromString(content)
    assert topic == f"spBv1.0/lab/NCMD/{key}"
    assert [(one.name, one.boolean_value) for one in told.metrics] == [("Node Control/Rebirth", True)]
