"""Pages in a real browser: no findings of axe, nothing against the policy, nothing sideways, in both languages and themes."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from marketplace.ids import new_id
from tests.product import Product
from tests.servers import Broker
from tests.web.api.world import World, a_world

pytestmark = pytest.mark.servers
AXE = Path(__file__).resolve().parents[2] / "node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WATCH = """window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));"""
PASSWORD = "a long password"
CHAIN = "/chains?q=%E6%A2%81&q=x&hours=2&hours=1&gap_max=&gap_max=9"
PERSONAL = ["/bookings", CHAIN, "/account", "/account/members", "/account/messages", "/account/calendar", "/messages"]


@pytest.fixture(scope="module")
def product(shared_product: tuple[Product, Broker]) -> Product:
    return shared_product[0]


@pytest.fixture(scope="module")
def world(product: Product) -> Iterator[World]:
    operator = product.operator_token()
    product.start()
    with httpx2.Client(base_url=product.base_url, timeout=30) as client:
        yield a_world(client, operator)


def a_page(context: BrowserContext) -> Page:
    context.add_init_script(WATCH)
    return context.new_page()


def findings(page: Page) -> list[str]:
    page.evaluate(AXE.read_text())
    found = page.evaluate("(tags) => axe.run({runOnly: tags}).then((all) => all.violations)", RULES)
    return [f"{page.url} {one['id']}: {[node['html'][:160] for node in one['nodes'][:3]]}" for one in found]


def faults(page: Page, address: str) -> list[str]:
    """What is wrong with the page at `address` at its present width."""
    reply = page.goto(address)
    assert reply
    assert reply.status == 200, address
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    sideways = [f"{address} is {wide} px too wide"] if wide else []
    return [*findings(page), *sideways, *page.evaluate("window.violations")]


def registered(page: Page, base: str) -> None:
    page.goto(f"{base}/zh/register")
    page.fill("[name=organisation]", "蜀药生物科技有限公司")
    page.fill("[name=name]", "张宇")
    page.fill("[name=email]", f"{new_id('zhangyu')}@example.com")
    page.fill("[name=password]", PASSWORD)
    page.click("main button.main")
    page.wait_for_url("**/search**")


@pytest.mark.parametrize(("lang", "theme", "width"), [("zh", "light", 1440), ("en", "dark", 390)])
def test_what_everybody_sees_is_accessible_and_keeps_the_policy(
    world: World, product: Product, browser: Browser, lang: str, theme: str, width: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce")
    context.add_cookies([{"name": "pb_theme", "value": theme, "url": product.base_url}])
    page = a_page(context)
    base = f"{product.base_url}/{lang}"
    paths = ["/search", f"/r/{world.resource}", "/signin", "/register", "/reset", "/accessibility", "/licences", "/definitions"]
    found = [fault for path in paths for fault in faults(page, base + path)]
    registered(page, product.base_url)
    found += [fault for path in PERSONAL for fault in faults(page, base + path)]
    context.close()
    assert found == []


def test_a_firm_books_without_javascript(world: World, product: Product, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    registered(page, product.base_url)
    page.goto(f"{product.base_url}/zh/r/{world.resource}?week=2099-01-05")
    page.goto(f"{product.base_url}/zh/r/{world.resource}")
    page.click("#week .week-moves a >> nth=-1")
    page.click("#week td[data-start] a >> nth=20")
    page.select_option("#p-end", index=1)
    page.click("#panel form:not([method=post]) noscript button, #panel form:not([method=post]) button")
    page.click("#panel form[method=post] button.main")
    assert "/bookings/" in page.url
    context.close()


def test_a_stranger_sees_no_desk_and_no_figures(world: World, product: Product, browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    registered(page, product.base_url)
    for path in ("/desk", "/evaluation", "/operator", f"/desk/resources/{world.resource}", f"/evaluation/units/{world.resource}"):
        reply = page.goto(f"{product.base_url}/en{path}")
        assert reply
        assert reply.status == 404, path
    context.close()


def test_a_form_without_its_token_is_refused(world: World, product: Product) -> None:
    answer = httpx2.post(f"{product.base_url}/en/r/{world.resource}/bookings", data={"start": "x", "end": "y"})
    assert answer.status_code == 403


def test_the_week_is_chosen_by_keyboard_with_its_day_its_price_and_a_way_back(
    world: World, product: Product, browser: Browser
) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page = a_page(context)
    page.goto(f"{product.base_url}/zh/r/{world.resource}")
    page.click("#week .week-moves a >> nth=-1")
    page.wait_for_selector("#week .is-today", state="detached")
    page.focus("#week td[data-start] a[tabindex='0']")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowDown")
    page.wait_for_selector("#panel:not([data-start=''])")
    chosen = page.locator("#week td.chosen")
    first, last = (chosen.nth(place).get_attribute(edge) for place, edge in ((0, "data-start"), (-1, "data-end")))
    asked = page.locator("#panel")
    assert (asked.get_attribute("data-start"), asked.get_attribute("data-end")) == (first, last)
    assert re.fullmatch(r"已选 \d+月\d+日 周. \d\d:\d\d 至 \d\d:\d\d，共 [\d.]+ 小时", page.inner_text("#chosen-words"))
    page.focus("#week td.chosen a")
    page.keyboard.press("Escape")
    page.wait_for_selector("#panel[data-start='']")
    assert chosen.count() == 0
    assert page.evaluate("window.violations") == []
    context.close()
