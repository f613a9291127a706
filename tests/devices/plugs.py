"""A device of the tests at a real broker, and a way to take what ingest hears."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from devices.ingest import Batch, Ingest
from devices.readings import Envelope

PATIENCE_S = 20
V311, V5 = MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5


@contextmanager
def a_plug(port: int, key: str, secret: str, *, client_id: str = "", version: MQTTProtocolVersion = V311) -> Iterator[Client]:
    """A connected device."""
    client = Client(CallbackAPIVersion.VERSION2, client_id=client_id or key, protocol=version)
    client.username_pw_set(key, secret)
    client.connect("127.0.0.1", port)
    client.loop_start()
    eventually(client.is_connected)
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def die_with_will(port: int, key: str, secret: str, topic: str, payload: bytes, *, version: MQTTProtocolVersion = V5) -> None:
    """A device that connects, and leaves so that the broker publishes its will: it says so, or it is cut off."""
    client = Client(CallbackAPIVersion.VERSION2, client_id=key, protocol=version)
    client.username_pw_set(key, secret)
    client.will_set(topic, payload, qos=1)
    client.connect("127.0.0.1", port)
    client.loop_start()
    eventually(client.is_connected)
    if version is V5:
        client.disconnect(ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message"))
    elif cut := client.socket():
        client.reconnect_delay_set(PATIENCE_S, PATIENCE_S)
        cut.shutdown(socket.SHUT_RDWR)
        eventually(lambda: not client.is_connected())
    client.loop_stop()


def turned_away(port: int, name: str, secret: str, *, version: MQTTProtocolVersion = V311) -> bool:
    """Whether the broker refuses this login."""
    answers: list[bool] = []
    client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=version)
    client.username_pw_set(name, secret)
    client.on_connect = lambda _client, _data, _flags, reason, _properties: answers.append(bool(reason.is_failure))
    client.connect("127.0.0.1", port)
    eventually(lambda: client.loop(0.1) is not None and answers)
    return answers[0]


def eventually(true: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Wait until `true()` is."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def published(client: Client, topic: str, payload: bytes) -> None:
    """Publish and wait for the broker's acknowledgement."""
    client.publish(topic, payload, qos=1).wait_for_publish(PATIENCE_S)


def batches(ingest: Ingest, *, until: Callable[[list[Batch]], object]) -> list[Batch]:
    """Take until `until` holds of all that was taken; nothing is acknowledged."""
    taken: list[Batch] = []
    end = time.monotonic() + PATIENCE_S
    while not until(taken):
        assert time.monotonic() < end, "waited in vain"
        if batch := ingest.take():
            taken.append(batch)
    return taken


@contextmanager
def listening(url: str) -> Iterator[Ingest]:
    """An ingest that has heard itself."""
    ingest = Ingest(url)
    ingest.start()
    try:
        for batch in batches(ingest, until=lambda taken: any(b.beat_at for b in taken)):
            ingest.ack(batch)
        yield ingest
    finally:
        ingest.stop()


def envelopes(taken: list[Batch]) -> list[Envelope]:
    return [envelope for batch in taken for envelope in batch.envelopes]


@contextmanager
def resuming(url: str) -> Iterator[tuple[Ingest, list[Batch]]]:
    """An ingest, and the batches that the broker had for it up to its own marker, none acknowledged."""
    ingest = Ingest(url)
    ingest.start()
    try:
        yield ingest, batches(ingest, until=lambda taken: any(batch.beat_at for batch in taken))
    finally:
        ingest.stop()
