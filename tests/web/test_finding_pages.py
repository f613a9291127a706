"""The search by time and the chain finder as pages: what they tell can be booked, and there is always a way on."""

import re
from datetime import datetime, timedelta
from html import unescape
from urllib.parse import parse_qsl, urlencode, urlsplit
from zoneinfo import ZoneInfo

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from booking.operators.actions import add_operator
from booking.rules.actions import Further, RuleSet, set_rules
from booking.tables import Booking
from marketplace import clock
from marketplace.people.queries import find_person_by_email
from marketplace.tables import Institution, Settlement
from tests.web.desks import TOKEN, Desk, Reader

ZONE = ZoneInfo("Asia/Shanghai")
STEPS = [("q", "喷雾干燥"), ("q", "干燥机"), ("hours", "2"), ("hours", "1.5"), ("gap_min", ""), ("gap_min", "0.5")]


def monday() -> datetime:
    """Of a week to come."""
    today = clock.now().astimezone(ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=14 - today.weekday())


def window(days: int = 2) -> list[tuple[str, str]]:
    return [("day", f"{monday():%Y-%m-%d}"), ("until", f"{monday() + timedelta(days=days - 1):%Y-%m-%d}")]


def review_of(page: str) -> str:
    found = re.search(r'href="(?:/\w\w)(/chains/review[^"]+)"', page)
    assert found, page
    return unescape(found[1])


def send(reader: Reader, address: str) -> httpx2.Response:
    """Press the review's button."""
    token = TOKEN.search(reader.get("/signin").text)
    assert token
    data: dict[str, object] = {"csrf": token[1], "key": "k"}
    data["part"] = [value for name, value in parse_qsl(urlsplit(address).query) if name == "part"]
    answer: httpx2.Response = reader.client.post(  # type: ignore[assignment]
        "/en/chains/bookings", data=data, headers={"origin": "http://testserver"}
    )
    return answer


def test_a_chain_is_found_reviewed_and_booked_whole_and_once(desk: Desk) -> None:
    customer = desk.reader("customer")
    page = customer.get(f"/chains?{urlencode([*STEPS, *window()])}")
    assert page.status_code == 200
    assert "Earliest" in page.text
    address = review_of(page.text)
    review = customer.get(address).text
    assert "¥1,890.00" in review
    booked = send(customer, address)
    assert str(booked.url).endswith("/en/bookings?done=booked")
    assert booked.text.count(f"/r/{desk.resource}") == 2
    assert send(customer, address).text.count(f"/r/{desk.resource}") == 2


def test_what_is_held_for_the_card_says_so_alone_and_in_a_chain(desk: Desk) -> None:
    with desk.app.state.sessions.begin() as session:
        session.get_one(Institution, desk.house).settlement = Settlement.PLATFORM_COLLECTS
    customer = desk.reader("customer")
    address = review_of(customer.get(f"/chains?{urlencode([*STEPS, *window()])}").text)
    page = send(customer, address).text
    assert "Held for you while the card is checked." in page
    assert page.count("Held for payment") == 2
    assert "The institution will answer" not in page
    start = monday() + timedelta(days=1, hours=9)
    alone = {"start": start.isoformat(), "end": (start + timedelta(hours=2)).isoformat()}
    page = customer.post(f"/r/{desk.resource}/bookings", **alone).text
    assert "The time is held for you until" in page
    assert "The institution will answer" not in page
    assert "时段已为您保留" in customer.get("/bookings?done=held", "zh").text


def test_a_chain_that_went_meanwhile_books_nothing_and_offers_a_way_out(desk: Desk) -> None:
    customer = desk.reader("customer")
    address = review_of(customer.get(f"/chains?{urlencode([*STEPS, *window()])}").text)
    start = monday() + timedelta(hours=9)
    taken = {"start": start.isoformat(), "end": (start + timedelta(hours=2)).isoformat()}
    assert desk.reader("manager").post(f"/r/{desk.resource}/bookings", **taken).status_code == 200
    refused = send(customer, address)
    assert refused.status_code == 409
    assert "Nothing was booked" in refused.text
    way_out = review_of(refused.text)
    assert str(send(customer, way_out).url).endswith("done=booked")


def test_a_step_that_nothing_does_is_named_in_words(desk: Desk) -> None:
    page = desk.reader("customer").get(f"/chains?{urlencode([('q', '干燥机'), ('q', '潜水艇'), *window()])}").text
    assert "Step 2 (潜水艇):" in page
    assert "nothing on the platform does this." in page


@pytest.mark.parametrize("query", ["q=x&hours=many", "q=x&hours=-1", "q=x&hours=0", "q=x&budget=much", "q=x&hours=nan"])
def test_a_number_that_is_none_is_told_beside_the_form(desk: Desk, query: str) -> None:
    answer = desk.reader("customer").get(f"/chains?{query}")
    assert answer.status_code == 422
    assert "A number from 0 is needed" in answer.text


def test_more_steps_are_added_without_a_script(desk: Desk) -> None:
    page = desk.reader("customer").get("/chains?q=a&q=b&hours=1&hours=1&more=1").text
    assert page.count('name="hours"') == 3
    assert desk.reader("customer").get("/chains?" + "q=x&" * 8).text.count('value="1">Add') == 0


@pytest.mark.parametrize("part", ["", "part=nonsense", "part=res_x~2027-01-04T09:00:00~2027-01-04T10:00:00"])
def test_a_review_of_nothing_is_refused(desk: Desk, part: str) -> None:
    assert desk.reader("customer").get(f"/chains/review?{part}").status_code in {404, 422}


def test_who_books_for_nobody_gets_no_chains(desk: Desk) -> None:
    assert desk.reader("evaluator").get(f"/chains?{urlencode([*STEPS, *window()])}").status_code == 403
    assert "/signin" in str(Reader(desk.opened.enter_context(desk_client(desk))).get("/chains").url)


def desk_client(desk: Desk) -> TestClient:
    return TestClient(desk.app)


def test_a_search_by_time_says_when_and_for_how_much(desk: Desk) -> None:
    page = desk.reader("customer").get(f"/search?{urlencode([*window(), ('hours', '4'), ('budget', '2160')])}").text
    assert re.search(r"08:30–12:30</a> · ¥2,160.00 at most", page)
    assert "¥2,160.00 at most" in page
    cheaper = desk.reader("customer").get(f"/search?{urlencode([*window(), ('hours', '4'), ('budget', '2159')])}").text
    assert "Nothing matches" in cheaper


def test_where_nothing_is_free_the_search_leads_to_the_nearest(desk: Desk) -> None:
    saturday = monday() + timedelta(days=5)
    page = desk.reader("customer").get(f"/search?day={saturday:%Y-%m-%d}&hours=2").text
    assert "Nothing is free then" in page
    assert f"day={clock.now().astimezone(ZONE):%Y}" in page or "Search from that day on" in page
    assert re.search(rf'href="/en/r/{desk.resource}\?start=', page)


def test_with_an_operator_is_said_found_and_booked_so(desk: Desk) -> None:
    assert "Nothing matches" in desk.reader("customer").get(f"/search?{urlencode([*window(), ('assisted', '1')])}").text
    with desk.database() as session:
        technician = find_person_by_email(session, "technician@example.com")
        assert technician is not None
        hours = [{"weekday": day, "open_min": 600, "close_min": 960} for day in range(7)]
        add_operator(session, institution_id=desk.house, person_id=technician.id, hours=hours, actor_id=None, now=clock.now())
        offered = Further(assistance={"mode": "optional", "operators": [], "supervised_runs": 0})
        set_rules(session, resource_id=desk.resource, rules=RuleSet(), further=offered, actor_id=None, now=clock.now())
        session.commit()
    customer = desk.reader("customer")
    page = customer.get(f"/search?{urlencode([*window(), ('hours', '2'), ('assisted', '1')])}").text
    assert "10:00–12:00</a>" in page
    assert 'name="assisted" value="1" checked' in page
    link = unescape(re.findall(r'href="/en(/r/\w+\?start=[^"]+)"', page)[0])
    panel = customer.get(link.partition("#")[0]).text
    assert re.search(r'name="assisted"[^>]* checked', panel)
    chosen = [("assisted", ""), ("assisted", "1")]
    review = review_of(customer.get(f"/chains?{urlencode([*STEPS, *window(), *chosen])}").text)
    assert "with an operator" in customer.get(review).text
    assert str(send(customer, review).url).endswith("done=booked")
    with desk.database() as session:
        assert session.scalars(select(Booking.assisted).order_by(Booking.starts_at)).all() == [False, True]
