"""What another broker hears reaches us below the device's own branch, by the bridge that we write for it."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from devices.broker import RunningBroker, free_port, start_broker
from devices.codecs.discovery import import_discovery
from devices.codecs.families import FAMILIES
from devices.ingest import Ingest
from devices.registry.actions import broker_hash
from devices.registry.wiring import bridge
from tests.devices.plugs import eventually
from tests.servers import stop, wait_for

CONFIG = {
    "topic": "homeassistant/sensor/press/power/config",
    "payload": {"stat_t": "tele/press/SENSOR", "dev_cla": "power", "unit_of_meas": "W", "avty_t": "tele/my press/LWT"},
}
MAPPING = import_discovery({"home_assistant": [CONFIG]}).mapping


@contextmanager
def another_broker(folder: Path, ours: RunningBroker) -> Iterator[int]:
    """A house's own, with our bridge in its configuration."""
    port = free_port()
    bridged = bridge(MAPPING, host="127.0.0.1", port=ours.port, key="k1", login="k1", secret="one")
    file = folder / "house.conf"
    file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n{bridged}\n")
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    process = subprocess.Popen([program, "-c", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process, "Mosquitto")
        yield port
    finally:
        stop(process)


@pytest.mark.servers
def test_a_bridge_brings_what_is_read_to_the_devices_own_branch(tmp_path: Path) -> None:
    ours = start_broker(tmp_path / "broker", credentials=[("k1", broker_hash("one"))])
    ingest = Ingest(ours.url)
    ingest.start()
    heard: dict[str, bytes] = {}
    try:
        with another_broker(tmp_path, ours) as port:
            plug = Client(CallbackAPIVersion.VERSION2)
            plug.connect("127.0.0.1", port)
            plug.loop_start()
            for topic in ("tele/press/SENSOR", "tele/my press/LWT", "tele/other/SENSOR"):
                plug.publish(topic, topic.encode(), qos=1).wait_for_publish(10)

            def come() -> bool:
                heard.update((one.topic, one.payload) for one in ingest.take().envelopes)
                return len(heard) >= 2

            eventually(come)
            plug.disconnect()
            plug.loop_stop()
    finally:
        ingest.stop()
        ours.stop()
    assert heard == {
        "d/k1/tele/press/SENSOR": b"tele/press/SENSOR",
        "d/k1/tele/my press/LWT": b"tele/my press/LWT",
    }


def test_what_is_found_below_the_devices_own_branch_needs_no_bridge() -> None:
    own = import_discovery(
        {"home_assistant": [{**CONFIG, "payload": {**CONFIG["payload"], "stat_t": "d/k/x", "avty_t": "d/k/y"}}]}
    )  # type: ignore[dict-item]
    known = {"host": "h", "port": 1883, "key": "k", "login": "k", "secret": "s"}
    assert bridge(own.mapping, **known) == ""  # type: ignore[arg-type]
    assert bridge({"sparkplug": {}}, **known) == ""  # type: ignore[arg-type]
    assert bridge(FAMILIES["zigbee2mqtt"].described or {}, **known) == ""  # type: ignore[arg-type]
