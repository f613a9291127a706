"""The throw-away servers do what the tests rely on."""

import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import Browser
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from tests import builders, servers

pytestmark = pytest.mark.servers


def _client(broker: servers.Broker, name: str, secret: str) -> mqtt.Client:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
    client.username_pw_set(name, secret)
    client.connect(broker.host, broker.port)
    client.loop_start()
    return client


def test_a_device_writes_its_own_topics_and_no_other(broker: servers.Broker) -> None:
    broker.add_device("dk-own", "secret")
    seen: queue.Queue[str] = queue.Queue()
    subscribed = threading.Event()
    reader = _client(broker, "ingest", broker.ingest_password)
    reader.on_message = lambda _client, _data, message: seen.put(message.topic)
    reader.on_subscribe = lambda *_: subscribed.set()
    reader.subscribe("d/#", qos=1)
    assert subscribed.wait(5)
    device = _client(broker, "dk-own", "secret")
    device.publish("d/dk-other/m", b"{}", qos=1)
    device.publish("d/dk-own/m", b"{}", qos=1)
    assert seen.get(timeout=5) == "d/dk-own/m"
    for client in (device, reader):
        client.disconnect()
        client.loop_stop()


def test_what_a_test_writes_is_gone_in_the_next(db: Session) -> None:
    assert db.scalar(text("select count(*) from institutions")) == 0
    builders.an_institution(db)
    db.commit()


def test_what_a_test_writes_is_gone_in_the_next_again(db: Session) -> None:
    assert db.scalar(text("select count(*) from institutions")) == 0
    builders.an_institution(db)
    db.commit()


def test_a_private_database_keeps_what_is_committed(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as session:
        builders.a_booking(session)
    with committed_db() as session:
        assert session.scalar(text("select count(*) from bookings")) == 1


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<title>open</title>")

    def log_message(self, *_: object) -> None: ...


def test_the_browser_opens_pages_of_this_machine(browser: Browser) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        assert page.title() == "open"
    server.shutdown()
    server.server_close()
