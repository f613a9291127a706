"""The whole chain from outside: register, list, search, book in a browser, a Tasmota plug, bill, card, evaluation."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx2
import orjson
import pytest
from playwright.sync_api import Browser, Page

from marketplace.db import open_engine, open_sessions
from marketplace.people import actions as people
from tests.devices.plugs import a_plug, eventually, published
from tests.product import Product
from tests.product import product as a_product
from tests.servers import Broker, free_port, stop, wait_for
from tests.web.api.world import World

pytestmark = pytest.mark.servers
MOVED = str(Path(__file__).with_name("moved_clock.py"))
ZONE = ZoneInfo("Asia/Shanghai")
PASSWORD = "a long password"
RUN_MIN, BOOKED_MIN = 97, 120
PRICE_MINOR = 30000
BILLED_MINOR = 52500
"""97 minutes and 10 of grace do not count as 120: 105 minutes in steps of 15, at 300.00 an hour."""


@dataclass
class Time:
    """The product's clock; `to` moves all of its processes at once."""

    file: Path

    def to(self, moment: datetime) -> None:
        draft = self.file.with_suffix(".draft")
        draft.write_text(str((moment - datetime.now(UTC)).total_seconds()))
        draft.replace(self.file)


@pytest.fixture
def moved(tmp_path: Path) -> Time:
    file = tmp_path / "offset"
    file.write_text("0")
    return Time(file)


@pytest.fixture
def stripe(moved: Time, tmp_path: Path) -> Iterator[str]:
    """The stand-in for Stripe as a server of its own, on the same clock."""
    port = free_port()
    with (tmp_path / "stripe.log").open("wb") as log:
        command = [sys.executable, MOVED, str(moved.file), "fake-stripe", "--port", str(port)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=tmp_path)
    wait_for(port, process, "the stand-in for Stripe")
    yield f"http://127.0.0.1:{port}"
    stop(process)


@pytest.fixture
def product(empty_database_url: str, broker: Broker, stripe: str, moved: Time, tmp_path: Path) -> Iterator[Product]:
    settings = {
        "mqtt_url": broker.url,
        "mqtt_dir": str(broker.folder),
        "stripe_key": "sk_test_story",
        "stripe_api_base": stripe,
        "stripe_webhook_secrets": "whsec_stand_in",
        "test_payment_method": "pm_card_visa",
    }
    command = (sys.executable, MOVED, str(moved.file))
    with a_product(tmp_path / "product", empty_database_url, command=command, **settings) as made:
        yield made


def nine_tomorrow() -> datetime:
    day = datetime.now(ZONE).date() + timedelta(days=1)
    return datetime(day.year, day.month, day.day, 9, tzinfo=ZONE).astimezone(UTC)


def listed(world: World) -> str:
    """An institution whose money the platform collects, and its diffractometer."""
    house = {"name": "锦城分析测试中心", "kind": "university", "timezone": "Asia/Shanghai", "settlement": "platform_collects"}
    world.institution = str(world.made("/institutions", world.operator, house)["id"])
    world.manager = world.a_person("manager", institution_id=world.institution)
    week = [{"weekday": day, "open": "08:00", "close": "20:00"} for day in range(7)]
    machine = {
        "institution_id": world.institution,
        "kind": "instrument",
        "name": "X射线衍射仪",
        "name_en": "X-ray diffractometer",
        "timezone": "Asia/Shanghai",
        "step_min": 30,
        "hours": week,
        "price_per_hour": {"minor": PRICE_MINOR, "currency": "CNY"},
        "rules": {"min_min": 60},
    }
    return str(world.made("/resources", world.manager, machine)["id"])


def registered(page: Page, base: str) -> None:
    page.goto(f"{base}/en/register")
    page.fill("[name=organisation]", "蓉创新材料有限公司")
    page.check("[name=is_sme]")
    page.fill("[name=name]", "李梅")
    page.fill("[name=email]", "limei@example.com")
    page.fill("[name=password]", PASSWORD)
    page.click("main button.main")
    page.wait_for_url("**/search**")


def signed_in(page: Page, base: str) -> None:
    page.goto(f"{base}/en/signin")
    page.fill("[name=email]", "limei@example.com")
    page.fill("[name=password]", PASSWORD)
    page.click("main button.main")
    page.wait_for_url("**/search**")


def booked_by_dragging(page: Page, base: str, start: datetime) -> str:
    """Found by its Chinese name on the English pages, dragged over two hours, confirmed; the booking's id."""
    page.fill("#q", "衍射")
    page.press("#q", "Enter")
    page.wait_for_url("**q=**")
    page.goto(f"{base}/en/search?q=%E8%A1%8D%E5%B0%84")
    page.click("article.machine h3 a")
    page.goto(f"{page.url}?week={start.astimezone(ZONE).date()}")
    first, last = (f'td[data-start="{(start + timedelta(minutes=m)):%Y-%m-%dT%H:%MZ}"]' for m in (0, 90))
    page.locator(first).scroll_into_view_if_needed()
    a, b = page.locator(first).bounding_box(), page.locator(last).bounding_box()
    assert a
    assert b
    page.mouse.move(a["x"] + 20, a["y"] + 6)
    page.mouse.down()
    page.mouse.move(b["x"] + 20, b["y"] + 12, steps=8)
    page.mouse.up()
    page.wait_for_selector("#panel form[method=post]")
    assert "¥600.00" in page.inner_text("#panel")
    page.click("#panel form[method=post] button.main")
    page.wait_for_url("**/review?**")
    assert "¥600.00" in page.inner_text("main")
    page.click("main form[method=post] button.main")
    page.wait_for_url("**/bookings/*")
    found = re.search(r"/bookings/(\w+)", page.url)
    assert found
    return found[1]


def ran(world: World, resource: str, broker: Broker, moved: Time, start: datetime) -> None:
    """The plug reports every minute from before the start: off, RUN_MIN minutes at work, off again until after the end."""
    made = world.made(f"/resources/{resource}/devices", world.manager, {"name": "主电源", "profile": "tasmota"})
    topic = made["mqtt"]["topic"]
    with a_plug_soon(broker, made) as plug:
        energy = 0.0
        for minute in range(-5, BOOKED_MIN + 5):
            at = start + timedelta(minutes=minute)
            moved.to(at + timedelta(seconds=1))
            power = 1200 if 0 <= minute < RUN_MIN else 3
            energy += power / 60 / 1000
            local = at.astimezone(ZONE).replace(tzinfo=None).isoformat(timespec="seconds")
            reading = {"Total": round(energy, 4), "Power": power, "Voltage": 230, "Current": round(power / 230, 3)}
            published(plug, topic, orjson.dumps({"Time": local, "ENERGY": reading}))
            eventually(lambda at=at: heard(world, resource) >= at - timedelta(seconds=1))


def a_plug_soon(broker: Broker, made: dict[str, str]) -> "object":
    """Connected as soon as the broker has been told of the new device."""
    time.sleep(2.5)
    return a_plug(broker.port, made["key"], made["secret"])


def heard(world: World, resource: str) -> datetime:
    last = world.get(f"/resources/{resource}/devices", world.manager).json()["items"][0]["last_message_at"]
    return datetime.fromisoformat(last) if last else datetime.min.replace(tzinfo=UTC)


def captured(stripe: str) -> list[tuple[int, str]]:
    """(amount received, state) of every payment the provider has."""
    asked = httpx2.get(f"{stripe}/v1/events", params={"limit": 100}, headers={"authorization": "Bearer sk_test_story"})
    things = [event["data"]["object"] for event in asked.json()["data"]]
    return [(one["amount_received"], one["status"]) for one in things if one["object"] == "payment_intent"]


def test_from_registration_to_the_figure_that_opens_down_to_the_session(
    product: Product, stripe: str, broker: Broker, moved: Time, browser: Browser, empty_database_url: str
) -> None:
    start = nine_tomorrow()
    operator = product.operator_token()
    product.start()
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, reduced_motion="reduce", timezone_id="Asia/Shanghai")
    page = context.new_page()
    with httpx2.Client(base_url=product.base_url, timeout=30) as client:
        world = World(client, operator)
        resource = listed(world)
        registered(page, product.base_url)
        booking = booked_by_dragging(page, product.base_url, start)
        eventually(lambda: world.get(f"/bookings/{booking}", world.manager).json()["state"] == "confirmed")

        ran(world, resource, broker, moved, start)
        moved.to(start + timedelta(minutes=BOOKED_MIN + 30))

        eventually(lambda: world.get(f"/bookings/{booking}/use", world.manager).json()["verdict"] == "fulfilled", 60)
        use = world.get(f"/bookings/{booking}/use", world.manager).json()
        assert (use["booked_s"], use["confirmed_s"]) == (BOOKED_MIN * 60, RUN_MIN * 60)

        statement = f"{product.base_url}/en/bookings/{booking}/statement"
        signed_in(page, product.base_url)  # a day has passed
        eventually(lambda: (page.goto(statement), page.title())[1].startswith("Statement"), 60)
        assert f"Accept ¥{BILLED_MINOR / 100:,.2f}" in page.inner_text("main")
        page.click("main button.main")
        page.wait_for_url("**done=accepted**")
        eventually(lambda: (BILLED_MINOR, "succeeded") in captured(stripe), 60)
        assert {amount for amount, state in captured(stripe) if state == "succeeded"} == {BILLED_MINOR}
        eventually(lambda: (page.reload(), "Paid" in page.inner_text("main"))[1], 60)

        opened_down(page, product, empty_database_url, world, start)
    assert product.run("audit") == "Every invariant holds."
    context.close()


def opened_down(page: Page, product: Product, database_url: str, world: World, start: datetime) -> None:
    """An evaluator signs in, opens overview, institution, unit, and sees the run itself; the download has the same figure."""
    world.made("/people", world.operator, {"email": "he@example.com", "name": "何志远", "memberships": [{"role": "evaluator"}]})
    engine = open_engine(database_url)
    with open_sessions(engine)() as session:
        asked = people.ask_reset(session, email="he@example.com", now=start + timedelta(minutes=BOOKED_MIN + 30))
        assert asked
        session.commit()
    engine.dispose()
    page.goto(f"{product.base_url}/en/search")
    page.click("form[action$='/signout'] button")
    page.goto(f"{product.base_url}/en/reset/{asked[1]}")
    page.fill("[name=password]", PASSWORD)
    page.click("main button.main")
    page.wait_for_url("**/search**")
    period = f"{start.astimezone(ZONE):%Y-%m}"
    page.goto(f"{product.base_url}/en/evaluation?period={period}")
    page.click("#main .ranking tbody th a")
    page.click("tbody th a[href*='/units/']")
    hours = f"{RUN_MIN / 60:.2f}"
    assert page.inner_text("#figure-eff_h") == f"{hours} h"
    begun = start.astimezone(ZONE)
    ended = begun + timedelta(minutes=RUN_MIN)
    assert f"{begun:%H:%M}–{ended:%H:%M}" in page.inner_text("main")
    sheet = page.request.get(f"{product.base_url}/en/evaluation/institutions/{world.institution}.csv?period={period}")
    assert hours in sheet.text()
