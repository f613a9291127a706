"""Devices over TLS: the platform's own broker, kept running, lets in who has a certificate that counts, and nobody else."""

import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from sqlalchemy.orm import Session

from devices import queries
from devices.certificates import Issued, listed, read_authority
from devices.registry import actions
from devices.tables import DeviceState
from marketplace.refusals import Invalid, NotFound, WrongState
from tests.builders import a_person, a_resource
from tests.devices.plugs import eventually
from tests.product import COMMAND, Product
from tests.product import product as a_product
from tests.servers import free_port, wait_for
from tests.web.api.world import World, a_world

NOW = datetime(2026, 3, 10, tzinfo=UTC)
Login = tuple[str, str]
VERSIONS = [MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5]


def test_an_authority_is_made_once_and_signs_what_openssl_accepts(tmp_path: Path) -> None:
    authority = read_authority(tmp_path, now=NOW)
    assert read_authority(tmp_path, now=NOW).pem == authority.pem
    assert (tmp_path / "device-authority.pem").stat().st_mode & 0o077 == 0
    device, broker = authority.for_device("k1", now=NOW), authority.for_broker(["mqtt.example", "192.0.2.1"], now=NOW)
    (tmp_path / "ca").write_text(authority.pem)
    (tmp_path / "crl").write_text(authority.revocations([(device.serial, NOW)], now=NOW))
    at = str(int((NOW + timedelta(days=1)).timestamp()))
    for made, purpose, more, fine in (
        (device, "sslclient", [], True),
        (device, "sslserver", [], False),
        (broker, "sslserver", ["-verify_hostname", "mqtt.example"], True),
        (broker, "sslserver", ["-verify_ip", "192.0.2.1"], True),
        (broker, "sslserver", ["-verify_hostname", "other.example"], False),
        (broker, "sslclient", [], False),
        (device, "sslclient", ["-crl_check", "-CRLfile", str(tmp_path / "crl")], False),
        (broker, "sslserver", ["-crl_check", "-CRLfile", str(tmp_path / "crl")], True),
    ):
        (tmp_path / "one").write_text(made.certificate)
        command = ["openssl", "verify", "-attime", at, "-x509_strict", "-CAfile", tmp_path / "ca", "-purpose", purpose, *more]
        found = subprocess.run([*command, tmp_path / "one"], capture_output=True, text=True, check=False)
        assert (found.returncode == 0) is fine, (purpose, more, found.stderr)


def test_several_certificates_count_until_they_are_revoked(db: Session, tmp_path: Path) -> None:
    authority, person = read_authority(tmp_path, now=NOW), a_person(db).id
    row, _ = actions.register_device(db, resource_id=a_resource(db).id, name="plug", profile={}, actor_id=None, now=NOW)
    other, _ = actions.register_device(db, resource_id=a_resource(db).id, name="plug", profile={}, actor_id=None, now=NOW)

    def issued() -> Issued:
        return actions.new_certificate(db, authority, device_id=row.id, actor_id=person, now=NOW)

    made = [issued() for _ in range(actions.MOST_CERTIFICATES)]
    assert x509.load_pem_x509_certificate(made[0].certificate.encode()).subject.rfc4514_string() == f"CN={row.key}"
    with pytest.raises(Invalid):
        issued()
    with pytest.raises(NotFound):
        actions.revoke_certificate(db, device_id=other.id, serial=made[0].serial, actor_id=person, now=NOW)
    for _ in range(2):
        actions.revoke_certificate(db, device_id=row.id, serial=made[0].serial, actor_id=person, now=NOW)
    issued()
    assert queries.revoked_certificates(db, now=NOW) == [(made[0].serial, NOW)]
    assert listed(authority.revocations([(made[0].serial, NOW)], now=NOW)) == {made[0].serial}
    assert (listed(authority.revocations([], now=NOW)), listed("")) == (set(), None)
    actions.revoke(db, device_id=row.id, actor_id=person, now=NOW + timedelta(hours=1))
    assert len(queries.revoked_certificates(db, now=NOW)) == actions.MOST_CERTIFICATES + 1
    assert queries.revoked_certificates(db, now=made[0].expires_at) == []
    with pytest.raises(WrongState):
        issued()
    assert row.state is DeviceState.REVOKED


@dataclass
class Plant:
    """A platform in production with its own broker; `api` is its world."""

    product: Product
    api: World
    plain_port: int
    tls_port: int
    certificate_port: int
    folder: Path

    def device(self) -> dict[str, Any]:
        return self.api.made(f"/resources/{self.api.resource}/devices", self.api.manager, {"name": "表", "profile": "native"})

    def certificate(self, device: dict[str, Any]) -> dict[str, Any]:
        return self.api.made(f"/devices/{device['id']}/certificates", self.api.manager, {})

    def trust(self, made: dict[str, Any] | None = None) -> ssl.SSLContext:
        """What a device knows: the authority, and its own certificate if it has one."""
        context = ssl.create_default_context(cadata=read_authority(self.product.folder, now=NOW).pem)
        if made:
            (self.folder / "own.pem").write_text(made["key"] + made["certificate"])
            context.load_cert_chain(self.folder / "own.pem")
        return context

    def heard(self, device: dict[str, Any]) -> int:
        found = self.api.get(f"/resources/{self.api.resource}/devices", self.api.manager).json()["items"]
        return sum(one["last_message_at"] is not None for one in found if one["id"] == device["id"])


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    folder = tmp_path_factory.mktemp("plant")
    ports = [free_port() for _ in range(3)]
    settings = {
        "mqtt_url": f"mqtt://ingest:secret@127.0.0.1:{ports[0]}",
        "mqtt_dir": str(tmp_path_factory.mktemp("broker")),
        "mqtt_tls_port": str(ports[1]),
        "mqtt_certificate_port": str(ports[2]),
    }
    with a_product(folder / "product", f"sqlite:///{folder}/pilotbench.db", **settings) as made:
        operator = made.operator_token()
        with (folder / "broker.log").open("wb") as log:
            broker = subprocess.Popen([COMMAND, "broker"], env=made.environment, cwd=folder, stdout=log, stderr=log)
        try:
            wait_for(ports[2], broker, "the broker")
            made.start()
            with httpx2.Client(base_url=made.base_url, timeout=30) as client:
                eventually(lambda: client.get("/readyz").json().get("broker"), 60)
                yield Plant(made, a_world(client, operator), *ports, folder)
        finally:
            broker.send_signal(signal.SIGTERM)
            assert broker.wait(20) == 0


@contextmanager
def connected(
    port: int, context: ssl.SSLContext, *, version: MQTTProtocolVersion, login: Login | None = None
) -> Iterator[Client]:
    client = Client(CallbackAPIVersion.VERSION2, client_id="whatever", protocol=version)
    client.tls_set_context(context)
    if login:
        client.username_pw_set(*login)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def turned_away(port: int, context: ssl.SSLContext, *, login: Login | None = None) -> bool:
    """Whether it does not get in within two seconds."""
    try:
        with connected(port, context, version=VERSIONS[0], login=login) as client:
            end = time.monotonic() + 2
            while time.monotonic() < end:
                if client.is_connected():
                    return False
                time.sleep(0.05)
            return True
    except OSError:
        return True


@pytest.mark.servers
@pytest.mark.parametrize("version", VERSIONS)
def test_a_certificate_is_enough_and_opens_the_device_own_branch_only(plant: Plant, version: MQTTProtocolVersion) -> None:
    mine, other = plant.device(), plant.device()
    with connected(plant.certificate_port, plant.trust(plant.certificate(mine)), version=version) as client:
        eventually(client.is_connected)
        client.publish(f"d/{other['key']}/t", b'{"p":350}', qos=1)
        client.publish(f"d/{mine['key']}/t", b'{"p":350}', qos=1).wait_for_publish(10)
        eventually(lambda: plant.heard(mine))
    assert not plant.heard(other)


@pytest.mark.servers
def test_name_and_secret_are_taken_over_tls(plant: Plant) -> None:
    mine = plant.device()
    login = (mine["key"], mine["secret"])
    time.sleep(1.5)  # the worker tells the broker once a second
    with connected(plant.tls_port, plant.trust(), version=VERSIONS[0], login=login) as client:
        eventually(client.is_connected)
        client.publish(f"d/{mine['key']}/t", b'{"p":350}', qos=1).wait_for_publish(10)
        eventually(lambda: plant.heard(mine))
    assert turned_away(plant.tls_port, plant.trust(), login=(mine["key"], "other"))
    renewed = plant.api.post(f"/devices/{mine['id']}/secret", plant.api.manager).json()
    eventually(lambda: turned_away(plant.tls_port, plant.trust(), login=login))
    eventually(lambda: not turned_away(plant.tls_port, plant.trust(), login=(mine["key"], renewed["secret"])))


@pytest.mark.servers
def test_a_stranger_s_certificate_none_and_the_broker_s_own_are_turned_away(plant: Plant, tmp_path: Path) -> None:
    mine = plant.device()
    forged = read_authority(tmp_path, now=NOW).for_device(mine["key"], now=datetime.now(UTC))
    assert turned_away(plant.certificate_port, plant.trust({"key": forged.key, "certificate": forged.certificate}))
    assert turned_away(plant.certificate_port, plant.trust())
    assert turned_away(plant.certificate_port, plant.trust(), login=(mine["key"], mine["secret"]))
    folder = Path(plant.product.environment["PILOTBENCH_MQTT_DIR"])
    own = {"key": (folder / "server.key").read_text(), "certificate": (folder / "server.crt").read_text()}
    assert turned_away(plant.certificate_port, plant.trust(own))
    expired = read_authority(plant.product.folder, now=NOW).for_device(mine["key"], now=NOW, lasting=timedelta(days=30))
    assert turned_away(plant.certificate_port, plant.trust({"key": expired.key, "certificate": expired.certificate}))
    assert not turned_away(plant.certificate_port, plant.trust(plant.certificate(mine)))


@pytest.mark.servers
def test_one_certificate_takes_over_from_another_and_who_is_revoked_is_put_out(plant: Plant) -> None:
    mine = plant.device()
    first, second = plant.certificate(mine), plant.certificate(mine)
    with connected(plant.certificate_port, plant.trust(first), version=VERSIONS[0]) as old:
        eventually(old.is_connected)
        taken_back = plant.api.post(f"/devices/{mine['id']}/certificates/{first['serial']}/revoke", plant.api.manager)
        assert taken_back.json()["revoked_at"]
        eventually(lambda: not old.is_connected())
    eventually(lambda: not turned_away(plant.certificate_port, plant.trust(second)))
    assert turned_away(plant.certificate_port, plant.trust(first))
    told = plant.api.get(f"/devices/{mine['id']}/certificates", plant.api.manager).json()["items"]
    assert {one["serial"]: one["revoked_at"] is None for one in told} == {first["serial"]: False, second["serial"]: True}
    with connected(plant.certificate_port, plant.trust(second), version=VERSIONS[0]) as new:
        eventually(new.is_connected)
        plant.api.post(f"/devices/{mine['id']}/revoke", plant.api.manager)
        eventually(lambda: not new.is_connected())
    other = plant.device()
    eventually(lambda: not turned_away(plant.certificate_port, plant.trust(plant.certificate(other))))
    assert turned_away(plant.certificate_port, plant.trust(second))


def greeted(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSession | None:
    """The session of TLS, once the broker has taken a CONNECT; None where it did not."""
    name = b"\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x"
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 3) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as secured,
        ):
            secured.sendall(bytes((0x10, len(name))) + name)
            return secured.session if secured.recv(4)[:2] == b"\x20\x02" else None
    except OSError:
        return None


@pytest.mark.servers
def test_nobody_comes_back_by_a_session_from_before_the_revocation(plant: Plant) -> None:
    mine, other = plant.device(), plant.device()
    made = plant.certificate(mine)
    context, others = plant.trust(made), plant.trust(plant.certificate(other))
    eventually(lambda: greeted(plant.certificate_port, context))
    before = greeted(plant.certificate_port, context)
    assert greeted(plant.certificate_port, context, before)
    plant.api.post(f"/devices/{mine['id']}/certificates/{made['serial']}/revoke", plant.api.manager)
    eventually(lambda: not greeted(plant.certificate_port, context))
    eventually(lambda: greeted(plant.certificate_port, others))
    assert greeted(plant.certificate_port, context, before) is None


@pytest.mark.servers
def test_what_is_told_once_is_not_kept_for_a_repeated_request(plant: Plant) -> None:
    mine = plant.device()
    for path, name, status in (
        (f"/devices/{mine['id']}/certificates", "key", 201),
        (f"/devices/{mine['id']}/secret", "secret", 200),
    ):
        first, again = (plant.api.post(path, plant.api.manager, headers={"idempotency-key": name}) for _ in range(2))
        assert (first.status_code, again.status_code) == (status, status)
        assert first.json()[name]
        assert again.json() == {**first.json(), name: None}


@pytest.mark.servers
def test_others_have_no_say_and_learn_nothing(plant: Plant) -> None:
    mine = plant.device()
    made = plant.certificate(mine)
    path = f"/devices/{mine['id']}"
    for token, status in ((None, 401), (plant.api.member, 404)):
        for asked in (f"{path}/secret", f"{path}/revoke", f"{path}/certificates", f"{path}/certificates/{made['serial']}/revoke"):
            assert plant.api.post(asked, token).status_code == status
        assert plant.api.get(f"{path}/certificates", token).status_code == status
    assert plant.api.post(f"{path}/certificates/{'0' * 40}/revoke", plant.api.manager).status_code == 404


@contextmanager
def taken(port: int, folder: Path) -> Iterator[int]:
    """The broker dies, and another has its port before it is back; the number of its process.

    Killed again where it is: one that was revoked before may have it start anew just now.
    """
    before = 0

    def ended() -> bool:
        nonlocal before
        with suppress(FileNotFoundError, ProcessLookupError):
            before = int((folder / "pid").read_text())
            os.kill(before, signal.SIGKILL)
        return before > 0 and binds(other, port)

    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        eventually(ended)
        other.listen()
        yield before


def binds(other: socket.socket, port: int) -> bool:
    try:
        other.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


@pytest.mark.servers
def test_a_broker_that_dies_is_started_again(plant: Plant) -> None:
    mine = plant.device()
    context = plant.trust(plant.certificate(mine))
    folder = Path(plant.product.environment["PILOTBENCH_MQTT_DIR"])
    with taken(plant.plain_port, folder) as before:
        eventually(lambda: b"broker_does_not_start" in (plant.folder / "broker.log").read_bytes())
    eventually(lambda: (folder / "pid").exists() and int((folder / "pid").read_text()) != before)
    eventually(lambda: not turned_away(plant.certificate_port, context))
    with connected(plant.certificate_port, context, version=VERSIONS[0]) as client:
        eventually(client.is_connected)
        client.publish(f"d/{mine['key']}/t", b'{"p":350,"ts":%d}' % (time.time() * 1000), qos=1).wait_for_publish(10)
        eventually(lambda: plant.heard(mine))
