"""A firm pays on a page of the provider's: it chooses how, is led there and back, and reads what became of its money."""

import re
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import httpx2
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from billing import queries
from billing.payments import queries as payments
from billing.tables import Payment
from booking.tables import Booking
from marketplace import clock
from marketplace.db import open_engine, open_sessions
from marketplace.tables import Institution, Settlement
from tests.billing.conftest import Stripe, serving, work
from tests.billing.test_card_flow import apply_events
from tests.web.desks import Desk
from tests.web.test_desk_outages import day
from web.timers import expire_holds

LINK = re.compile(r'href="(http://127\.0\.0\.1:\d+/(?:pay|authenticate)/[^"]+)"')


@pytest.fixture
def shop() -> Iterator[Stripe]:
    with serving(clock.now) as running:
        yield running


@pytest.fixture
def sessions(desk: Desk) -> Iterator[sessionmaker[Session]]:
    engine = open_engine(desk.settings.database_url)
    made = open_sessions(engine)
    with made.begin() as session:
        session.get_one(Institution, desk.house).settlement = Settlement.PLATFORM_COLLECTS
    yield made
    engine.dispose()


def book(desk: Desk, funding: str) -> str:
    """Where the firm is led after it has confirmed."""
    times = {"start": day(10).isoformat(), "end": day(12).isoformat()}
    answer = desk.reader("customer").post(f"/r/{desk.resource}/bookings", reviewed="1", key="k1", funding=funding, **times)
    assert answer.status_code == 200, answer.text
    return urlsplit(str(answer.url)).path.removeprefix("/en")


def hear(sessions: sessionmaker[Session], shop: Stripe) -> None:
    """What a worker does."""
    work(sessions, shop, clock.now())
    apply_events(sessions, shop, clock.now())
    with sessions.begin() as session:
        expire_holds(session, clock.now())


def test_a_wallet_is_chosen_paid_and_comes_back_to_a_booking_that_stands(
    desk: Desk, sessions: sessionmaker[Session], shop: Stripe
) -> None:
    reader = desk.reader("customer")
    review = reader.get(
        f"/r/{desk.resource}/review?start={day(10).isoformat()}&end={day(12).isoformat()}".replace("+", "%2B")
    ).text
    assert 'name="funding" value="wallet"' in review
    path = book(desk, "wallet")
    assert re.fullmatch(r"/bookings/\w+/payment", path)
    page = reader.get(path).text
    assert "The provider is being asked" in page
    assert 'hx-trigger="every 2s"' in page
    hear(sessions, shop)
    page = reader.get(path).text
    [address] = LINK.findall(page)
    assert "Pay now" in page
    assert "The time is held for you until" in page
    back = httpx2.post(address, data={"choice": "alipay"}, follow_redirects=False).headers["location"]
    assert urlsplit(back).path.endswith(f"{path}/back")
    assert urlsplit(str(reader.get(urlsplit(back).path.removeprefix("/zh").removeprefix("/en")).url)).path == f"/en{path}"
    hear(sessions, shop)
    page = reader.get(path).text
    assert "Paid in advance" in page
    assert not LINK.findall(page)
    booking = reader.get(path.removesuffix("/payment")).text
    assert "Payment and its state" in booking
    with sessions() as session:
        assert session.scalars(select(Booking.state)).all()[-1].value == "confirmed"


def test_a_card_is_entered_on_a_page(desk: Desk, sessions: sessionmaker[Session], shop: Stripe) -> None:
    path = book(desk, "card")
    hear(sessions, shop)
    page = desk.reader("customer").get(path, lang="zh").text
    [address] = LINK.findall(page)
    assert "填写银行卡" in page
    httpx2.post(address, data={"choice": "pm_card_visa"}, follow_redirects=False)
    desk.reader("customer").get(f"{path}/back")
    hear(sessions, shop)
    told = desk.reader("customer").get(path).text
    assert "Held on the card" in told or "Card kept" in told


def test_what_is_open_is_asked_a_page_for_once_and_only_by_the_firm(
    desk: Desk, sessions: sessionmaker[Session], shop: Stripe
) -> None:
    path = book(desk, "card")
    assert "Pay now" not in desk.reader("finance").get(path).text
    assert desk.reader("finance").post(path).status_code == 403
    assert desk.reader("stranger").get(path).status_code == 404
    refused = desk.reader("customer").post(path)
    assert (refused.status_code, "Nothing is open that can be paid online now" in refused.text) == (409, True)


def test_the_api_tells_the_same(desk: Desk, sessions: sessionmaker[Session], shop: Stripe) -> None:
    path = book(desk, "wallet")
    hear(sessions, shop)
    reader = desk.reader("customer")
    with sessions() as session:
        [payment] = session.scalars(select(Payment)).all()
        page = payments.find_page(session, payment.id)
        assert page is not None
        assert page.ends_at is not None
        assert page.ends_at > clock.now() + timedelta(minutes=30)
        assert queries.find_quote(session, payment.booking_id) is not None
    token = re.search(r"pb_[\w-]+", reader.post("/account/tokens", token_name="t").text)
    assert token
    headers = {"authorization": f"Bearer {token[0]}"}
    booking_id = path.split("/")[2]
    answer = reader.client.get(f"/api/v1/bookings/{booking_id}/payment", headers=headers).json()
    assert (answer["funding"], answer["payments"][0]["state"], answer["open"]) == ("wallet", "wanted", None)
    assert answer["payments"][0]["page"]["purpose"] == "prepay"
    refused = reader.client.post(f"/api/v1/bookings/{booking_id}/payment/page", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "wrong_state")
