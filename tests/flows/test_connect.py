"""A plug from nothing to its first confirmed minute: a person in a browser, a Tasmota at a real broker, measured thresholds."""

import re
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect
from sqlalchemy.orm import Session, sessionmaker

from devices import queries as devices
from devices.machines import Machine, Sends, message
from marketplace import clock
from marketplace.db import open_engine, open_sessions
from marketplace.people.actions import create_person
from marketplace.permissions import Grant
from marketplace.roles import Role
from marketplace.slot import Slot
from tests import builders
from tests.devices.plugs import a_plug, eventually, published
from tests.flows.test_story import MOVED, Time
from tests.product import Product
from tests.product import product as a_product
from tests.servers import Broker
from tests.web.test_pages import WATCH, faults, findings

pytestmark = pytest.mark.servers
PASSWORD = "a long password"
EVERY_S = 10


@pytest.fixture
def moved(tmp_path: Path) -> Time:
    file = tmp_path / "offset"
    file.write_text("0")
    return Time(file)


@pytest.fixture
def product(empty_database_url: str, broker: Broker, moved: Time, tmp_path: Path) -> Iterator[Product]:
    settings = {"mqtt_url": broker.url, "mqtt_dir": str(broker.folder)}
    command = (sys.executable, MOVED, str(moved.file))
    with a_product(tmp_path / "product", empty_database_url, command=command, **settings) as made:
        yield made


@pytest.fixture
def sessions(empty_database_url: str) -> Iterator[sessionmaker[Session]]:
    """On the product's own database."""
    engine = open_engine(empty_database_url)
    yield open_sessions(engine)
    engine.dispose()


def a_listing(sessions: sessionmaker[Session]) -> str:
    """A machine, and a technician of its institution."""
    with sessions.begin() as session:
        house = builders.an_institution(session)
        place = builders.a_resource(session, institution=house)
        grant = Grant(Role.TECHNICIAN, institution_id=house.id)
        create_person(
            session, email="t@example.com", name="技术员", password=PASSWORD, grants=[grant], actor_id=None, now=clock.now()
        )
        return place.id


def signed_in(context: BrowserContext, base: str, lang: str) -> Page:
    context.add_init_script(WATCH)
    page = context.new_page()
    page.goto(f"{base}/{lang}/signin")
    page.fill("[name=email]", "t@example.com")
    page.fill("[name=password]", PASSWORD)
    page.click("main button.main")
    page.wait_for_url("**/search**")
    return page


class Plug:
    """A simulated machine that reports as the moved clock goes on."""

    def __init__(self, client: Client, machine: Machine, moved: Time, sessions: sessionmaker[Session]) -> None:
        self._client, self.machine, self._moved, self._sessions = client, machine, moved, sessions
        self.at = datetime.now(UTC)

    def reports(self, seconds: int, *, at_work: bool) -> None:
        """For so long, and each message is stored before the next is sent."""
        end = self.at + timedelta(seconds=seconds)
        runs = (Slot(self.at - timedelta(hours=1), end + timedelta(hours=1)),) if at_work else ()
        self.machine = replace(self.machine, runs=runs, awake=(Slot(self.at - timedelta(days=1), end + timedelta(days=1)),))
        while self.at < end:
            self.at += timedelta(seconds=EVERY_S)
            self._moved.to(self.at + timedelta(milliseconds=200))
            published(self._client, *message(self.machine, self.at))
            eventually(lambda: self._heard() >= self.at)

    def _heard(self) -> datetime:
        with self._sessions() as session:
            row = devices.devices_by_key(session, [self.machine.key])[self.machine.key]
            return row.last_message_at or datetime.min.replace(tzinfo=UTC)


@pytest.mark.parametrize(("lang", "width"), [("en", 1280), ("zh", 390)])
def test_a_plug_is_connected_and_its_thresholds_are_measured(
    product: Product, broker: Broker, moved: Time, browser: Browser, sessions: sessionmaker[Session], lang: str, width: int
) -> None:
    resource = a_listing(sessions)
    product.start()
    context = browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce", timezone_id="Asia/Shanghai")
    page = signed_in(context, product.base_url, lang)
    page.goto(f"{product.base_url}/{lang}/desk/resources/{resource}/devices")
    page.fill("#f-name", "主电源")
    page.check("[name=family][value=tasmota]")
    assert findings(page) == []
    page.click("form:has(#f-name) button.main")
    command = page.inner_text("#command")
    told = dict(re.findall(r"(\w+) (\S+?)(?:;|$)", command.removeprefix("Backlog ")))
    key, secret = told["MqttUser"], told["MqttPassword"]
    assert (told["MqttClient"], told["Topic"], told["FullTopic"]) == (key, key, "d/%topic%/%prefix%/")
    assert (told["MqttHost"], told["MqttPort"]) == ("127.0.0.1", str(broker.port))
    assert page.locator("svg.qr").count() == 2
    page.wait_for_url("**/connect")  # a reload makes no other meter
    expect(page.locator(".arrival .pill")).to_have_text(re.compile("Nothing yet|尚无消息"))

    time.sleep(2.5)  # until the broker has been told of the key
    with a_plug(broker.port, key, secret) as client:
        published(client, f"d/{key}/tele/SENSOR", b"{")
        expect(page.locator("#progress .now-list")).to_be_visible(timeout=15_000)  # turned away, without a reload
        machine = Machine(key, secret, datetime.now(UTC) - timedelta(days=1), sends=Sends.TASMOTA, zone="Asia/Shanghai")
        plug = Plug(client, machine, moved, sessions)
        plug.reports(30, at_work=False)
        expect(page.locator(".arrival .pill.good")).to_be_visible(timeout=15_000)
        page.click("#begin-idle")
        plug.reports(70, at_work=False)
        expect(page.locator("#begin-run")).to_be_visible(timeout=15_000)
        page.reload()  # one may leave and come back
        page.click("#begin-run")
        plug.reports(70, at_work=True)
        expect(page.locator("#f-p_on")).to_be_visible(timeout=15_000)
        assert findings(page) == []
        p_on, p_off = float(page.input_value("#f-p_on")), float(page.input_value("#f-p_off"))
        assert 40 < p_off < p_on < 2200
        page.click("button[name=step][value=look]")
        expect(page.locator("#foreseen")).to_be_visible()
        page.click("button[name=step][value=save]")
        page.wait_for_url("**done=thresholds**")
        plug.reports(130, at_work=True)
        expect(page.locator("#done ~ div .pill.good")).to_be_visible(timeout=30_000)

    with sessions() as session:
        row = devices.devices_by_key(session, [key])[key]
        profile = devices.profile_of(session, row.id, at=plug.at)
    assert (profile.p_on, profile.p_off, profile.stale_after) == (p_on, p_off, 180.0)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.evaluate("window.violations") == []
    assert faults(page, f"{product.base_url}/{lang}/desk/fleet") == []
    assert faults(page, f"{product.base_url}/{lang}/desk/devices/{row.id}") == []
    assert secret not in product.log
    page.goto(f"{product.base_url}/{lang}/desk/devices/{row.id}/connect")
    assert findings(page) == []
    assert secret not in page.content()
    context.close()
