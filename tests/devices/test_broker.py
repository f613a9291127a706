"""The product's own Mosquitto: its ACL, its credentials, and that what it acknowledged survives a kill."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from devices.broker import BrokerUnavailable, RunningBroker, provision, start_broker, write_credentials
from devices.codecs import families
from devices.ingest import Batch, Ingest
from devices.readings import Command, Envelope
from devices.registry.actions import broker_hash
from tests.devices.plugs import V5, V311, a_plug, batches, die_with_will, envelopes, eventually, listening, published, turned_away

pytestmark = pytest.mark.servers


@pytest.fixture(params=[V311, V5], ids=["3.1.1", "5"])
def version(request: pytest.FixtureRequest) -> MQTTProtocolVersion:
    """That a device speaks."""
    return MQTTProtocolVersion(request.param)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningBroker]:
    known = [("k1", broker_hash("one")), ("k2", broker_hash("two"))]
    broker = start_broker(tmp_path / "broker", credentials=known)
    yield broker
    broker.stop()


def test_a_device_writes_below_its_own_name_only(running: RunningBroker, version: MQTTProtocolVersion) -> None:
    with listening(running.url) as ingest:
        with a_plug(running.port, "k1", "one", version=version) as plug:
            for topic in ("d/k2/t", "d/k10/t", "ingest/beat", "ingest/marker/x", "ingest/again/d/k1/t", "elsewhere", "d/k1/t"):
                published(plug, topic, b"{}")
        heard = envelopes(batches(ingest, until=envelopes))
    assert [envelope.topic for envelope in heard] == ["d/k1/t"]


OWN = ("shellies/k1/relay/0/power", "spBv1.0/lab/NBIRTH/k1", "spBv1.0/lab/DDATA/k1/oven")
FOREIGN = (
    "shellies/k2/relay/0/power",
    "spBv1.0/lab/NBIRTH/k2",
    "spBv1.0/lab/DDATA/k2/k1",
    "spBv1.0/STATE/k1",
    "spBv1.0/k1/k1/k2",
)


def test_where_a_standard_puts_a_device_it_writes_below_its_own_name_only(
    running: RunningBroker, version: MQTTProtocolVersion
) -> None:
    with listening(running.url) as ingest:
        with a_plug(running.port, "k1", "one", version=version) as plug:
            for topic in (*FOREIGN, *OWN):
                published(plug, topic, b"1")
        heard = envelopes(batches(ingest, until=lambda found: len(envelopes(found)) >= len(OWN)))
    assert [envelope.topic for envelope in heard] == list(OWN)
    assert [families.device_key(topic) for topic in OWN] == ["k1"] * len(OWN)


def test_a_will_on_the_topic_of_another_is_dropped(running: RunningBroker, version: MQTTProtocolVersion) -> None:
    with listening(running.url) as ingest:
        die_with_will(running.port, "k1", "one", "d/k2/s", b'{"online":false,"forged":true}', version=version)
        die_with_will(running.port, "k2", "two", "d/k2/s", b'{"online":false}', version=version)
        heard = envelopes(batches(ingest, until=envelopes))
    assert [envelope.payload for envelope in heard] == [b'{"online":false}']


def test_a_device_can_neither_read_another_nor_take_over_the_ingest(running: RunningBroker, version: MQTTProtocolVersion) -> None:
    got: list[str] = []
    with (
        listening(running.url) as ingest,
        a_plug(running.port, "k1", "one", client_id="ingest", version=version) as spy,
        a_plug(running.port, "k2", "two", version=version) as plug,
    ):
        spy.on_message = lambda _client, _data, message: got.append(message.topic)
        spy.subscribe([("#", 1), ("d/k2/#", 1), ("d/k1/cmd/#", 1)])
        published(plug, "d/k2/t", b'{"p":1}')
        batches(ingest, until=envelopes)
        assert ingest.connected
    assert got == []


def test_a_new_device_may_connect_after_a_reload_and_a_revoked_one_is_put_out(
    running: RunningBroker, version: MQTTProtocolVersion
) -> None:
    with a_plug(running.port, "k1", "one", version=version) as plug:
        assert provision(running.folder, [("k3", broker_hash("three"))])
        eventually(lambda: not plug.is_connected())
    with a_plug(running.port, "k3", "three", version=version) as plug:
        assert plug.is_connected()
    assert turned_away(running.port, "k1", "one", version=version)


def test_a_renewed_secret_puts_out_who_came_by_the_old_one(running: RunningBroker, version: MQTTProtocolVersion) -> None:
    with a_plug(running.port, "k1", "one", version=version) as plug:
        assert provision(running.folder, [("k1", broker_hash("other")), ("k2", broker_hash("two"))])
        eventually(lambda: not plug.is_connected())
    assert turned_away(running.port, "k1", "one", version=version)
    assert not turned_away(running.port, "k1", "other", version=version)


def test_a_secret_and_its_successor_count_at_once_by_two_names_and_each_reaches_its_own_topics_only(
    running: RunningBroker, version: MQTTProtocolVersion
) -> None:
    k2 = ("k2", broker_hash("two"))
    present, successor = ("k1", broker_hash("one")), ("k1.2", broker_hash("new"))
    got: list[str] = []
    with listening(running.url) as ingest, a_plug(running.port, "k1", "one", version=version) as old:
        assert provision(running.folder, [present, successor, k2])
        with a_plug(running.port, "k1.2", "new", client_id="k2", version=version) as new:
            new.on_message = lambda _client, _data, message: got.append(message.topic)
            new.subscribe([("d/k1/cmd/#", 1), ("d/k2/cmd/#", 1), ("d/k2/t", 1)])
            for plug in (old, new, old):
                for topic in ("d/k2/t", "shellies/k2/x", "spBv1.0/lab/DDATA/k2/k1", "ingest/beat", "elsewhere", "d/k1/t", OWN[0]):
                    published(plug, topic, b"{}")
            ingest.tell(Command("d/k1/cmd/x", b"{}"))
            ingest.tell(Command("d/k2/cmd/x", b"{}"))
            own = ["d/k1/t", OWN[0]] * 3
            heard = envelopes(batches(ingest, until=lambda found: len(telling(found)) >= len(own)))
            assert [one.topic for one in heard if "/cmd/" not in one.topic] == own
            eventually(lambda: got)
            assert provision(running.folder, [successor, k2])
            eventually(lambda: not old.is_connected())
            assert turned_away(running.port, "k1", "one", version=version)
            assert turned_away(running.port, "k1", "new", version=version)
            assert turned_away(running.port, "k1.2", "one", version=version)
            published(new, "d/k1/t", b"last")
            batches(ingest, until=lambda found: any(one.payload == b"last" for one in envelopes(found)))
    assert got == ["d/k1/cmd/x"]


def telling(found: list[Batch]) -> list[Envelope]:
    """What a device said."""
    return [one for one in envelopes(found) if "/cmd/" not in one.topic]


def test_nothing_is_reloaded_where_nothing_changed(running: RunningBroker) -> None:
    known = [("k1", broker_hash("one"))]
    assert provision(running.folder, known)
    assert not provision(running.folder, known)


NO_NAMES = ("a+b", "a#", "a/b", "a.b", "a.2.2", ".2", "", "ingest", "keeper", "keeper-again", "a\nb:c", "x" * 65)


@pytest.mark.parametrize("key", NO_NAMES)
def test_a_name_that_would_be_a_pattern_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(BrokerUnavailable):
        write_credentials(tmp_path, [(key, broker_hash("s"))], ingest_password="p")


def test_a_line_in_a_hash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokerUnavailable):
        write_credentials(tmp_path, [("k1", broker_hash("s") + "\nintruder:$7$1")], ingest_password="p")


def test_acknowledged_messages_survive_a_kill_of_the_broker_while_ingest_is_away(tmp_path: Path) -> None:
    secret = secrets.token_hex(8)
    broker = start_broker(tmp_path / "broker", credentials=[("k1", broker_hash(secret))])
    with listening(broker.url):
        pass
    with a_plug(broker.port, "k1", secret) as plug:
        sent = [plug.publish("d/k1/t", b'{"p":1,"seq":%d,"boot":"a"}' % number, qos=1) for number in range(1200)]
        for message in sent:
            message.wait_for_publish(20)
        plug.publish("d/k1/t", b"{}", qos=1).wait_for_publish(20)  # it writes once per round, after its acknowledgements: 0040
        broker.process.kill()
        broker.stop()
    again = start_broker(tmp_path / "broker", port=broker.port, credentials=[("k1", broker_hash(secret))])
    ingest = Ingest(again.url)
    try:
        ingest.start()
        heard = envelopes(batches(ingest, until=lambda taken: any(batch.beat_at for batch in taken)))
    finally:
        ingest.stop()
        again.stop()
    assert len({envelope.payload for envelope in heard} - {b"{}"}) == 1200
    assert all(envelope.backlog for envelope in heard)
