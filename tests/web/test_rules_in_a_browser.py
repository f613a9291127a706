"""The rules' editor and the terms' as a person clicks through them in a real browser, wide and narrow, in both languages."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from booking.states import BookingState
from marketplace import clock
from marketplace.db import open_engine, open_sessions
from marketplace.ids import new_id
from marketplace.people.actions import create_person
from marketplace.permissions import Grant
from marketplace.roles import Role
from tests.builders import a_booking, a_resource, an_institution, an_organisation
from tests.product import Product
from tests.servers import Broker
from tests.web.test_pages import PASSWORD, a_page, faults, findings

pytestmark = pytest.mark.servers
WORDS = {
    "en": {
        "machine": "Spray dryer",
        "rules": "All rules",
        "shortest": "Shortest booking",
        "look": "See what it would have done",
        "refused": "2 of 3 bookings of the last three months would have been refused",
        "which": "Which ones, and why",
        "why": "Shorter than the minimum of 120 minutes.",
        "save": "Save these rules",
        "saved": "The rules hold from now on; accepted bookings keep theirs.",
        "version": "version {number}",
        "terms": "Cancelling and billing",
    },
    "zh": {
        "machine": "喷雾干燥机",
        "rules": "全部规则",
        "shortest": "最短预约",
        "look": "查看对以往预约的影响",
        "refused": "近三个月的 3 个预约中，有 2 个会被拒绝",
        "which": "哪些预约，为什么",
        "why": "短于最短预约 120 分钟。",
        "save": "保存这些规则",
        "saved": "规则即日起生效；已接受的预约仍按原规则。",
        "version": "第 {number} 版",
        "terms": "取消与计费",
    },
}


@dataclass
class Lab:
    """A publisher with one machine that was used three times this quarter: twice for an hour, once for three."""

    product: Product
    machine: str
    email: str

    def address(self, lang: str, page: str) -> str:
        return f"{self.product.base_url}/{lang}/desk/resources/{self.machine}{page}"

    def opened(self, browser: Browser, lang: str, theme: str, width: int) -> Page:
        """The manager's window."""
        context = browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce")
        context.add_cookies([{"name": "pb_theme", "value": theme, "url": self.product.base_url}])
        page = a_page(context)
        page.goto(f"{self.product.base_url}/{lang}/signin")
        page.fill("[name=email]", self.email)
        page.fill("[name=password]", PASSWORD)
        page.click("main button.main")
        page.wait_for_load_state()
        return page


@pytest.fixture(scope="module")
def running(shared_product: tuple[Product, Broker]) -> Product:
    product, _ = shared_product
    product.start(workers=0)
    return product


@pytest.fixture
def lab(running: Product) -> Lab:
    """A house of each test's own."""
    product, email = running, f"{new_id('lab')}@example.com"
    engine, now = open_engine(product.environment["PILOTBENCH_DATABASE_URL"]), clock.now()
    with open_sessions(engine)() as session:
        house, firm = an_institution(session), an_organisation(session)
        machine = a_resource(session, institution=house, name="喷雾干燥机", name_en="Spray dryer")
        for days, hours in ((10, 1), (20, 1), (30, 3)):
            start = now.replace(minute=0, second=0, microsecond=0) - timedelta(days=days)
            state = BookingState.COMPLETED
            a_booking(session, resource=machine, organisation=firm, start=start, hours=hours, state=state)
        grants = [Grant(Role.MANAGER, institution_id=house.id)]
        create_person(session, email=email, name="lab", password=PASSWORD, grants=grants, actor_id=None, now=now)
        session.commit()
        found = Lab(product, machine.id, email)
    engine.dispose()
    return found


def sideways(page: Page) -> int:
    wide: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wide


@pytest.mark.parametrize(("lang", "theme", "width"), [("zh", "light", 1440), ("en", "dark", 390), ("zh", "dark", 390)])
def test_a_rule_is_changed_seen_on_the_last_quarter_and_saved(
    lab: Lab, browser: Browser, lang: str, theme: str, width: int
) -> None:
    words, page = WORDS[lang], lab.opened(browser, lang, theme, width)
    page.goto(f"{lab.product.base_url}/{lang}/desk")
    page.locator("main").get_by_role("link", name=words["machine"]).first.click()
    page.wait_for_url("**/desk/resources/*")
    page.get_by_role("link", name=words["rules"]).click()
    expect(page.locator(".page-head")).to_contain_text(words["version"].format(number=1))
    page.get_by_label(words["shortest"]).fill("120")
    page.get_by_role("button", name=words["look"]).click()
    effect = page.locator("#effect")
    expect(effect).to_be_focused()
    expect(effect.get_by_role("heading")).to_have_text(words["refused"])
    expect(page.get_by_label(words["shortest"])).to_have_value("120")
    effect.get_by_text(words["which"]).click()
    expect(effect.get_by_text(words["why"])).to_have_count(2)
    assert sideways(page) == 0
    assert findings(page) == []
    effect.get_by_role("button", name=words["save"]).click()
    expect(page.get_by_text(words["saved"])).to_be_visible()
    expect(page.locator(".page-head")).to_contain_text(words["version"].format(number=2))
    expect(page.get_by_label(words["shortest"])).to_have_value("120")
    expect(page.locator("#effect")).to_have_count(0)
    assert sideways(page) == 0
    assert page.evaluate("window.violations") == []
    page.context.close()


@pytest.mark.parametrize(("lang", "theme", "width"), [("zh", "dark", 390), ("en", "light", 1440)])
def test_the_terms_are_found_beside_the_rules_changed_and_saved(
    lab: Lab, browser: Browser, lang: str, theme: str, width: int
) -> None:
    words, page = WORDS[lang], lab.opened(browser, lang, theme, width)
    page.goto(lab.address(lang, "/rules"))
    page.get_by_role("link", name=words["terms"]).click()
    page.fill("[name=no_show_rate]", "101")
    page.get_by_role("button", name=words["look"]).click()
    expect(page.locator("#e-no_show_rate")).to_be_visible()
    assert sideways(page) == 0
    page.fill("[name=no_show_rate]", "100")
    page.get_by_role("button", name=words["look"]).click()
    expect(page.locator("#effect")).to_be_focused()
    page.locator("#effect button.main").click()
    expect(page.locator(".page-head")).to_contain_text(words["version"].format(number=1))
    expect(page.locator("[name=no_show_rate]")).to_have_value("100")
    paths = ("/rules", "/policy", "")
    assert [fault for path in paths for fault in faults(page, lab.address(lang, path))] == []
    page.context.close()
