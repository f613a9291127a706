"""Moving all that was booked together, and retiring with something ahead, by clicks alone; no findings of axe."""

from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from marketplace import clock
from marketplace.db import open_engine, open_sessions
from marketplace.people.queries import find_person_by_email, get_actor
from marketplace.slot import Slot
from tests.web.test_calendars_in_a_browser import LOOKS, House, at, house
from tests.web.test_pages import findings
from web import checkout
from web.checkout import Order

pytestmark = pytest.mark.servers
__all__ = ["house"]


def booked_together(house: House) -> str:
    """The first of two bookings, one after the other on both lines."""
    engine = open_engine(house.product.environment["PILOTBENCH_DATABASE_URL"])
    now = clock.now()
    with open_sessions(engine)() as session:
        firm = find_person_by_email(session, "firm@example.com")
        assert firm
        slots = [Slot(at(hour, days=3), at(hour + 2, days=3)) for hour in (9, 11)]
        orders = [Order(place, slot) for place, slot in zip((house.line, house.other), slots, strict=True)]
        made = checkout.book_bundle(session, actor=get_actor(session, firm.id), orders=orders, now=now, hold=timedelta())
        session.commit()
        first = made[0][0].id
    engine.dispose()
    return first


def looked_at(page: Page, name: str) -> list[str]:
    """What is wrong with the page as it is."""
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return [*findings(page), *([f"{name} is {wide} px too wide"] if wide else []), *page.evaluate("window.violations")]


@pytest.mark.parametrize(("lang", "theme", "width"), LOOKS)
def test_all_is_moved_and_a_line_is_retired_by_clicks(house: House, browser: Browser, lang: str, theme: str, width: int) -> None:
    booking, found = booked_together(house), list[str]()
    context = browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce")
    context.add_cookies([{"name": "pb_theme", "value": theme, "url": house.product.base_url}])
    page = house.signed_in(context, "firm")
    page.goto(f"{house.product.base_url}/{lang}/bookings/{booking}")
    card = page.locator("section[aria-labelledby='together']")
    card.locator("details", has=page.locator("[name=all_start]")).locator("summary").click()
    card.locator("[name=all_start]").fill(f"{at(14, days=4):%Y-%m-%dT%H:%M}")
    card.locator("form:not([method]) button").click()
    expect(card.locator("[role=status]")).to_contain_text("14:00")
    found += looked_at(page, f"together-{lang}")
    card.locator("[role=status] form button").click()
    page.wait_for_url("**done=moved_together**")
    expect(page.locator("h1 + p")).to_contain_text("14:00")
    context.close()
    context = browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce")
    context.add_cookies([{"name": "pb_theme", "value": theme, "url": house.product.base_url}])
    page = house.signed_in(context, "lab")
    page.goto(f"{house.product.base_url}/{lang}/desk/resources/{house.line}")
    retire = page.locator("details", has=page.locator("form[action$='/retire']"))
    retire.locator("summary").click()
    retire.locator("button").click()
    expect(page.locator("[name=plan]")).to_be_visible()
    found += looked_at(page, f"retire-{lang}")
    page.locator("[name=plan]").select_option("keep")
    page.locator("form[action$='/retire'] button").click()
    page.wait_for_url("**done=retired**")
    context.close()
    assert found == []
