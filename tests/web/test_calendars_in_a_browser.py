"""Timeline, answers, one's own calendar and the review in a real browser: drag, keys, no findings of axe, nothing sideways."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product as product_of
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from booking.tables import Approval
from marketplace import clock
from marketplace.db import open_engine, open_sessions
from marketplace.people.actions import create_person
from marketplace.people.queries import get_actor
from marketplace.permissions import Grant
from marketplace.roles import Role
from marketplace.slot import Slot
from tests.builders import a_resource, an_institution, an_organisation
from tests.product import Product
from tests.web.test_pages import PASSWORD, a_page, faults
from web import checkout
from web.checkout import Order
from web.i18n import instant

pytestmark = pytest.mark.servers
LOOKS = [("zh", "light", 1440), ("en", "dark", 390)]
ZONE = ZoneInfo("Asia/Shanghai")


def at(hour: int, days: int = 1) -> datetime:
    """An hour of a day to come, the equipment's clock."""
    day = clock.now().astimezone(ZONE) + timedelta(days=days)
    return day.replace(hour=hour, minute=0, second=0, microsecond=0)


@dataclass
class House:
    """A publisher with two lines of which one asks, a booking and two requests; who signs in by which address."""

    product: Product
    line: str
    other: str
    booking: str

    def signed_in(self, context: BrowserContext, name: str) -> Page:
        page = a_page(context)
        page.goto(f"{self.product.base_url}/en/signin")
        page.fill("[name=email]", f"{name}@example.com")
        page.fill("[name=password]", PASSWORD)
        page.click("main button.main")
        page.wait_for_load_state()
        return page

    def timeline(self, lang: str = "en", scale: str = "day") -> str:
        return f"{self.product.base_url}/{lang}/desk/timeline?scale={scale}&day={at(0):%Y-%m-%d}"


@pytest.fixture
def house(product: Product) -> House:
    engine = open_engine(product.environment["PILOTBENCH_DATABASE_URL"])
    now = clock.now()
    with open_sessions(engine)() as session:
        row, firm = an_institution(session), an_organisation(session)
        line = a_resource(session, institution=row, name_en="Line one", rules={"step_min": 30, "cleaning_min": 30})
        other = a_resource(session, institution=row, name_en="Line two", rules={"step_min": 30, "approval": Approval.REQUEST})
        grants = {"lab": Grant(Role.MANAGER, institution_id=row.id), "firm": Grant(Role.MEMBER, organisation_id=firm.id)}
        who = {
            name: create_person(
                session, email=f"{name}@example.com", name=name, password=PASSWORD, grants=[grant], actor_id=None, now=now
            ).id
            for name, grant in grants.items()
        }
        firm_member = get_actor(session, who["firm"])
        made = [
            checkout.book(session, actor=firm_member, order=Order(place.id, Slot(start, end)), now=now, hold=timedelta())[0]
            for place, start, end in (
                (line, at(10), at(12)),
                (other, at(9), at(11)),
                (other, at(22), at(6, days=2)),
            )
        ]
        session.commit()
        found = House(product, line.id, other.id, made[0].id)
    engine.dispose()
    product.start(workers=0)
    return found


def test_a_bar_is_dragged_tried_made_and_taken_back(house: House, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce")
    page = house.signed_in(context, "lab")
    page.goto(house.timeline())
    bar, card = page.locator(f"a.slab[data-id='{house.booking}']"), page.locator("#move.card")
    home = bar.locator("svg").first.get_attribute("x")
    box, track = bar.locator(".body").bounding_box(), page.locator(".track").nth(0).bounding_box()
    assert box
    assert track
    hour = box["width"] / 2
    page.mouse.move(box["x"] + hour, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 2 * hour, box["y"] + 10)
    page.mouse.move(box["x"] + 4 * hour, box["y"] + 10)
    page.mouse.up()
    expect(card).to_contain_text("It fits. Nothing is moved yet.")
    expect(card).to_contain_text("13:00–15:00")
    page.keyboard.press("Escape")
    expect(card).to_have_count(0)
    assert bar.locator("svg").first.get_attribute("x") == home
    bar.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#timeline-said")).to_contain_text("Press Enter to see whether it fits.")
    page.keyboard.press("Enter")
    expect(card).to_contain_text("10:30–13:00")
    card.get_by_role("button", name="Move it").click()
    page.wait_for_url("**moved=**")
    expect(bar).to_have_attribute("data-start", instant(at(10) + timedelta(minutes=30)))
    page.get_by_role("button", name="Take it back").click()
    page.wait_for_load_state()
    expect(bar).to_have_attribute("data-start", instant(at(10)))
    assert page.evaluate("window.violations") == []
    context.close()


def test_what_another_changes_meanwhile_is_drawn_and_an_old_version_told(house: House, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce")
    page = house.signed_in(context, "lab")
    page.goto(house.timeline())
    bar = page.locator(f"a.slab[data-id='{house.booking}']")
    bar.focus()
    page.keyboard.press("ArrowRight")
    elsewhere = context.new_page()
    elsewhere.goto(
        house.timeline().replace(
            "timeline?", f"timeline/move?booking={house.booking}&start={instant(at(14))}&end={instant(at(16))}&"
        )
    )
    elsewhere.get_by_role("button", name="Move it").click()
    elsewhere.wait_for_url("**moved=**")
    page.keyboard.press("Enter")
    expect(page.locator("#move.card")).to_contain_text("Someone else changed it first")
    page.keyboard.press("Escape")
    expect(bar).to_have_attribute("data-start", instant(at(14)), timeout=10_000)
    context.close()


def test_they_are_accessible_and_keep_the_policy(house: House, browser: Browser) -> None:
    day = f"{at(0):%Y-%m-%d}"
    slot = f"start={instant(at(14))}&end={instant(at(16))}"
    paths = {
        "lab": [
            f"/desk/timeline?scale=week&day={day}",
            f"/desk/timeline/move?booking={house.booking}&scale=day&day={day}&{slot}",
            f"/desk/timeline/move?booking={house.booking}&resource={house.other}&start={instant(at(10))}&end={instant(at(12))}",
            "/desk/requests",
            "/account",
        ],
        "firm": [
            f"/bookings?view=month&day={day}",
            f"/bookings?view=week&day={day}",
            "/bookings",
            f"/r/{house.line}/review?{slot}",
        ],
    }
    found = []
    for (lang, theme, width), (name, own) in product_of(LOOKS, paths.items()):
        context = browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce")
        context.add_cookies([{"name": "pb_theme", "value": theme, "url": house.product.base_url}])
        page = house.signed_in(context, name)
        wrong: list[str] = []
        page.on("console", lambda said, wrong=wrong: wrong.append(said.text) if said.type == "error" else None)  # type: ignore[misc]
        found += [fault for path in own for fault in faults(page, f"{house.product.base_url}/{lang}{path}")] + wrong
        context.close()
    assert found == []
