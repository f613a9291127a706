"""A booking of several units, and one that repeats, from the review page: told first, then made, refused or left with gaps."""

import html
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select, update

from booking.tables import Booking, BookingSeries
from marketplace.refusals import Invalid
from marketplace.slot import Slot
from marketplace.tables import Resource
from tests.web.desks import PASSWORD, Desk, error_beside
from tests.web.test_desk_outages import day
from tests.web.test_series_page import a_series
from web.repeats import WORKDAYS, Repeat, rule_of

SHANGHAI = ZoneInfo("Asia/Shanghai")
WEEKLY = {"repeats": "FREQ=WEEKLY", "times": "4"}


def times(first: int = 10, last: int = 12) -> dict[str, str]:
    return {"start": f"{day(first).astimezone(UTC):%Y-%m-%dT%H:%MZ}", "end": f"{day(last).astimezone(UTC):%Y-%m-%dT%H:%MZ}"}


def address(desk: Desk, page: str = "/review", **typed: str) -> str:
    return f"/r/{desk.resource}{page}?{urlencode({**times(), **typed})}"


def form_of(page: str) -> dict[str, str]:
    """What the page's booking form would send as it stands, without JavaScript."""
    form = re.search(r'<form class="form" method="post".*?</form>', page, re.DOTALL)
    assert form
    inputs = re.findall(r"<input [^>]*>", form[0])
    sent = {
        name[1]: html.unescape(value[1]) if (value := re.search(r'value="([^"]*)"', one)) else ""
        for one in inputs
        if (name := re.search(r'name="(\w+)"', one)) and "checkbox" not in one and name[1] != "csrf"
    }
    for select_name, options in re.findall(r'<select [^>]*name="(\w+)"[^>]*>(.*?)</select>', form[0], re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options)
        sent[select_name] = html.unescape(chosen[1]) if chosen else ""
    return sent


def ways_out(page: str) -> list[str]:
    offered = re.search(r'<div class="alternatives">.*?</div>', page, re.DOTALL)
    return [html.unescape(one) for one in re.findall(r'href="([^"]+)"', offered[0])] if offered else []


def units(desk: Desk, capacity: int) -> None:
    with desk.app.state.sessions.begin() as session:
        session.execute(update(Resource).where(Resource.id == desk.resource).values(capacity=capacity))


def made(desk: Desk) -> Sequence[Booking]:
    with desk.database() as session:
        return session.scalars(select(Booking).order_by(Booking.starts_at)).all()


def test_a_form_says_a_rule_or_what_is_wrong_with_it() -> None:
    saturday = Slot(datetime(2026, 12, 5, 1, tzinfo=UTC), datetime(2026, 12, 5, 3, tzinfo=UTC))
    wrong = {
        "repeats": [Repeat("FREQ=HOURLY", times="3"), Repeat("", times="3"), Repeat(WORKDAYS, times="3")],
        "times": [
            Repeat("FREQ=DAILY"),
            Repeat("FREQ=DAILY", times="3", until="2026-12-24"),
            *(Repeat("FREQ=DAILY", times=one) for one in ("1", "201", "x", "-3", "9" * 5000)),
            Repeat("FREQ=MONTHLY", times="100"),
        ],
        "until": [Repeat("FREQ=WEEKLY", until=one) for one in ("2026-12-05", "2026-12-11", "0001-01-01", "9999-12-31", "soon")]
        + [Repeat("FREQ=DAILY", until="2027-12-31")],
    }
    for field, cases in wrong.items():
        for case in cases:
            with pytest.raises(Invalid) as refused:
                rule_of(case, saturday, SHANGHAI)
            assert refused.value.values["field"] == field, case
    assert rule_of(Repeat("FREQ=WEEKLY", until="2026-12-12"), saturday, SHANGHAI) == "FREQ=WEEKLY;UNTIL=20261212"


def test_nobody_is_asked_how_many_where_there_is_one(desk: Desk) -> None:
    customer = desk.reader("customer")
    for page in ("", "/review"):
        assert 'name="quantity"' not in customer.get(address(desk, page)).text


def test_several_units_go_from_the_panel_to_the_booking_at_their_price(desk: Desk) -> None:
    units(desk, 3)
    customer = desk.reader("customer")
    panel = customer.get(address(desk, "", quantity="2")).text
    assert "× 2" in panel
    assert "¥2,160.00" in panel
    sent = customer.post(f"/r/{desk.resource}/bookings", review="1", quantity="2", **times())
    assert "quantity=2" in str(sent.url)
    assert "Book for ¥2,160.00" in sent.text
    back = re.search(r'href="(/en/r/[^"]+)#panel"', sent.text)
    assert back
    assert "quantity=2" in back[1]
    booked = customer.post(f"/r/{desk.resource}/bookings", **form_of(sent.text))
    assert "<dt>How many</dt><dd>2</dd>" in booked.text
    assert [one.quantity for one in made(desk)] == [2]


def test_a_click_in_the_calendar_keeps_the_number(desk: Desk) -> None:
    units(desk, 3)
    customer = desk.reader("customer")
    following = customer.get(f"/r/{desk.resource}?quantity=2").text
    week = re.findall(r'href="/en(/r/\w+\?[^"]*week=[^"]+)"', following)[-1]
    page = customer.get(html.unescape(week)).text
    cells = [html.unescape(one) for one in re.findall(r'<td class="cell-free"[^>]*><a href="/en([^"]+)"', page)]
    assert cells
    assert all("quantity=2" in one for one in cells)
    assert re.search(r'name="quantity"[^>]* value="2"', customer.get(cells[0]).text)
    assert "quantity" not in re.search(r"<table.*</table>", customer.get(f"/r/{desk.resource}").text, re.DOTALL)[0]  # type: ignore[index]


def test_another_number_is_priced_before_it_is_booked(desk: Desk) -> None:
    units(desk, 3)
    customer = desk.reader("customer")
    form = form_of(customer.get(address(desk)).text)
    again = customer.post(f"/r/{desk.resource}/bookings", **{**form, "quantity": "3"})
    assert "Nothing is booked yet." in again.text
    assert "Book for ¥3,240.00" in again.text
    assert made(desk) == []
    customer.post(f"/r/{desk.resource}/bookings", **form_of(again.text))
    assert [one.quantity for one in made(desk)] == [3]


def test_refusals_and_ways_out_are_those_of_the_number(desk: Desk) -> None:
    units(desk, 3)
    customer = desk.reader("customer")
    customer.post(f"/r/{desk.resource}/bookings", **form_of(customer.get(address(desk, quantity="2")).text))
    assert "That time has just been taken" not in customer.get(address(desk)).text
    page = customer.get(address(desk, quantity="2", purpose="小试")).text
    assert "That time has just been taken" in page
    links = ways_out(page)
    assert len(links) == 3
    assert all("quantity=2" in one and "purpose=" in one for one in links)
    assert "Only 3 can be booked at a time." in customer.get(address(desk, quantity="4")).text
    refused = customer.post(f"/r/{desk.resource}/bookings", quantity="2", key="k", **times())
    assert refused.status_code == 409
    assert "&amp;quantity=2#panel" in refused.text


def test_a_number_that_is_none_loses_nothing_of_the_form(desk: Desk) -> None:
    units(desk, 3)
    form = {**form_of(desk.reader("customer").get(address(desk, purpose="小试", **WEEKLY)).text), "quantity": "0"}
    page = desk.reader("customer").post(f"/r/{desk.resource}/bookings", **form)
    assert page.status_code == 422
    assert form_of(page.text)["times"] == "4"
    assert form_of(page.text)["purpose"] == "小试"


def test_a_series_is_told_whole_then_made(desk: Desk) -> None:
    customer = desk.reader("customer")
    form = {**form_of(customer.get(address(desk)).text), **WEEKLY}
    unseen = customer.post(f"/r/{desk.resource}/bookings", **form)
    assert "Nothing is booked yet." in unseen.text
    page = customer.post(f"/r/{desk.resource}/bookings", review="1", **form).text
    assert "4 of 4 would be booked, for ¥4,320.00 at most." in page
    assert "Every week · 4 times" in page
    assert made(desk) == []
    answer = customer.post(f"/r/{desk.resource}/bookings", **form_of(page))
    assert "/series/ser_" in str(answer.url)
    assert "Booked. All times are yours." in answer.text
    assert [one.starts_at - day(10) for one in made(desk)] == [timedelta(weeks=n) for n in range(4)]


def test_a_form_sent_twice_makes_one_series(desk: Desk) -> None:
    customer = desk.reader("customer")
    form = form_of(customer.get(address(desk, **WEEKLY)).text)
    first, second = (customer.post(f"/r/{desk.resource}/bookings", **form) for _ in range(2))
    assert str(first.url) == str(second.url)
    assert len(made(desk)) == 4


def test_the_others_are_booked_and_the_gaps_kept(desk: Desk) -> None:
    a_series(desk, 1, start=day(10) + timedelta(weeks=1))
    customer = desk.reader("customer")
    page = customer.get(address(desk, on_conflict="skip", **WEEKLY)).text
    assert "3 of 4 would be booked, for ¥3,240.00 at most." in page
    assert "Not possible: 1" in page
    answer = customer.post(f"/r/{desk.resource}/bookings", **form_of(page))
    assert "Done for the times that could be had" in answer.text
    assert "Times that could not be had" in answer.text
    assert len(made(desk)) == 4


def test_none_is_booked_where_one_is_not_possible(desk: Desk) -> None:
    customer = desk.reader("customer")
    form = form_of(customer.get(address(desk, purpose="小试", **WEEKLY)).text)
    a_series(desk, 1, start=day(10) + timedelta(weeks=1))
    refused = customer.post(f"/r/{desk.resource}/bookings", **form)
    assert refused.status_code == 409
    assert "None would be booked." in refused.text
    assert "That time is taken." in refused.text
    assert "Book 4 times" not in refused.text
    kept = form_of(refused.text)
    assert {name: kept[name] for name in ("repeats", "times", "on_conflict", "purpose", "key")} == {
        **WEEKLY, "on_conflict": "refuse", "purpose": "小试", "key": form["key"]
    }  # fmt: skip
    links = ways_out(refused.text)
    assert links
    assert "Book 4 times for ¥4,320.00" in customer.get(links[0].removeprefix("/en")).text
    assert len(made(desk)) == 1
    assert "没有一次会被预约。" in customer.get(address(desk, **WEEKLY), "zh").text


def test_what_is_wrong_is_told_beside_its_field(desk: Desk) -> None:
    customer = desk.reader("customer")
    page = customer.get(address(desk, repeats="FREQ=WEEKLY", purpose="小试"))
    assert page.status_code == 422
    assert "how many times or until which day" in error_beside(page.text, "times")
    page = customer.post(f"/r/{desk.resource}/bookings", **{**form_of(page.text), "times": "1000", "purpose": "小试"})
    assert "2 to 200" in error_beside(page.text, "times")
    assert form_of(page.text)["purpose"] == "小试"


def test_a_series_of_several_units_is_priced_so(desk: Desk) -> None:
    units(desk, 2)
    customer = desk.reader("customer")
    page = customer.get(address(desk, quantity="2", **WEEKLY)).text
    assert "4 of 4 would be booked, for ¥8,640.00 at most." in page
    customer.post(f"/r/{desk.resource}/bookings", **form_of(page))
    assert [one.quantity for one in made(desk)] == [2] * 4


def test_staff_repeat_their_own_use_at_no_price(desk: Desk) -> None:
    manager = desk.reader("manager")
    answer = manager.post(f"/r/{desk.resource}/bookings", **form_of(manager.get(address(desk, **WEEKLY)).text))
    assert "Booked. All times are yours." in answer.text


def test_who_is_not_signed_in_comes_back_with_everything_typed(desk: Desk) -> None:
    units(desk, 2)
    customer = desk.reader("customer")
    customer.post("/signout")
    page = customer.get(address(desk, quantity="2", purpose="小试", on_conflict="skip", **WEEKLY)).text
    assert "Sign in to see which times can be had" in page
    sent = customer.post(f"/r/{desk.resource}/bookings", **form_of(page))
    assert "/signin?next=" in str(sent.url)
    back = html.unescape(re.findall(r'name="next" value="([^"]+)"', sent.text)[-1])
    review = customer.post("/signin", email="customer@example.com", password=PASSWORD, next=back)
    kept = form_of(review.text)
    assert {name: kept[name] for name in ("repeats", "times", "on_conflict", "purpose", "quantity")} == {
        **WEEKLY, "on_conflict": "skip", "purpose": "小试", "quantity": "2"
    }  # fmt: skip
    customer.post(f"/r/{desk.resource}/bookings", **kept)
    with desk.database() as session:
        assert session.scalar(select(func.count()).select_from(BookingSeries)) == 1


def test_the_panel_is_left_as_a_whole_to_sign_in(desk: Desk) -> None:
    units(desk, 2)
    stranger = desk.reader("customer")
    stranger.post("/signout")
    stranger.client.headers["hx-request"] = "true"
    sent = stranger.post(f"/r/{desk.resource}/bookings", quantity="2", **times())
    assert sent.status_code == 204
    assert sent.headers["hx-redirect"].startswith("/en/signin?next=%2Fen%2Fr%2F")
    assert "quantity%3D2" in sent.headers["hx-redirect"]


def test_who_may_sets_the_rules_aside_for_what_repeats_and_sees_first_what_that_gives(desk: Desk) -> None:
    late = {"start": times(17)["start"], "end": f"{day(19).astimezone(UTC):%Y-%m-%dT%H:%MZ}"}
    address = f"/r/{desk.resource}/review?{urlencode({**late, **WEEKLY})}"
    assert "Set the rules aside" not in desk.reader("customer").get(address).text
    manager = desk.reader("manager")
    page = manager.get(address).text
    assert "None would be booked." in page
    assert "Set the rules aside this once" in page
    again = manager.post(f"/r/{desk.resource}/bookings", **{**form_of(page), "override": "客户批次"}, review="1")
    assert "4 of 4 would be booked" in again.text
    assert made(desk) == []
    answer = manager.post(f"/r/{desk.resource}/bookings", **form_of(again.text))
    assert "/series/ser_" in str(answer.url)
    assert len(made(desk)) == 4
    assert "Rules set aside: 客户批次" in manager.get(f"/bookings/{made(desk)[0].id}").text
    sneaked = desk.reader("customer").post(f"/r/{desk.resource}/bookings", **late, **WEEKLY, override="x")
    assert sneaked.status_code == 403
    assert len(made(desk)) == 4


def test_the_rules_are_set_aside_for_one_booking_from_the_review_too(desk: Desk) -> None:
    late = {"start": times(17)["start"], "end": f"{day(19).astimezone(UTC):%Y-%m-%dT%H:%MZ}"}
    manager = desk.reader("manager")
    page = manager.get(f"/r/{desk.resource}/review?{urlencode(late)}").text
    assert "Set the rules aside this once" in page
    told = manager.post(f"/r/{desk.resource}/bookings", **{**form_of(page), "override": "客户批次"})
    assert "Nothing is booked yet." in told.text
    booked = manager.post(f"/r/{desk.resource}/bookings", **form_of(told.text))
    assert "Rules set aside: 客户批次" in booked.text
