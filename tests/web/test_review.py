"""The page before a booking: price, policy with its dates, who answers; nothing is booked until it is confirmed."""

import html
import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from billing.policy import Basis, Policy, Tier
from marketplace.money import Money
from tests.web.desks import Desk
from tests.web.test_approvals import by_request
from tests.web.test_desk_outages import a_booking, day
from web.present.policy import cancelling, facts
from web.present.review import steps
from web.views.frame import Lang

BERLIN = ZoneInfo("Europe/Berlin")
TOTAL = Money(100000, "EUR")


def times(first: int = 10, last: int = 12) -> dict[str, str]:
    return {"start": day(first).isoformat(), "end": day(last).isoformat()}


def review(desk: Desk, first: int = 10, last: int = 12, **more: str) -> str:
    return f"/r/{desk.resource}/review?" + "&".join(f"{k}={quote(v)}" for k, v in {**times(first, last), **more}.items())


def test_the_policy_is_told_by_its_dates_days_on_the_wall_clock() -> None:
    start = datetime(2026, 10, 26, 9, tzinfo=BERLIN)
    tiers = (Tier(Fraction(0), days=2), Tier(Fraction(1, 4), hours=Fraction(24)), Tier(Fraction(1, 4), hours=Fraction(2)))
    policy = Policy(cancel_tiers=tiers, no_show_rate=Fraction(3, 4))
    found = steps(policy, start, BERLIN, TOTAL, datetime(2026, 10, 1, tzinfo=UTC))
    assert [(one.until, one.percent, one.fee.minor) for one in found] == [
        (datetime(2026, 10, 24, 9, tzinfo=BERLIN), "0", 0),
        (datetime(2026, 10, 26, 7, tzinfo=BERLIN), "25", 25000),
        (None, "75", 75000),
    ]
    late = steps(policy, start, BERLIN, TOTAL, datetime(2026, 10, 25, tzinfo=UTC))
    assert [one.percent for one in late] == ["25", "75"]


def test_each_price_of_cancelling_is_a_line_in_the_unit_of_its_tier() -> None:
    half, hour = Fraction(1, 2), Fraction(1)
    days = Policy(cancel_tiers=(Tier(half, hours=hour), Tier(Fraction(0), days=3), Tier(half, hours=Fraction(3))))
    assert cancelling(days, Lang.EN) == [
        "Until 3 calendar days (same time) before: free",
        "Until 1 h before: 50 per cent of the price",
        "Later: 50 per cent of the price",
    ]
    assert cancelling(Policy(cancel_tiers=(Tier(Fraction(0), days=1),)), Lang.ZH) == [
        "提前 1 个自然日（同一时刻）以上：免费",
        "更晚：价格的 50%",
    ]
    assert cancelling(Policy(cancel_tiers=()), Lang.EN) == ["Until the start: free"]


def test_what_is_billed_is_told_in_words() -> None:
    def told(code: str, **values: Any) -> list[str]:
        return [line for fact in facts(Policy(**values), Lang.EN) if fact.code == code for line in (fact.value, *fact.more)]

    assert told("billed") == ["The confirmed use, in steps of 15 min", "At least 30 min, never more than was booked"]
    assert told("billed", basis=Basis.BOOKED) == ["The booked time, used or not"]
    assert told("billed", basis=Basis.MAX, minimum_min=0) == [
        "The confirmed use, in steps of 15 min",
        "At least the booked time",
    ]
    assert told("overtime") == ["150 per cent of the price, once it is longer than 10 min, for 1 h at most"]
    assert told("overtime", grace_min=0) == ["150 per cent of the price, from the first minute, for 1 h at most"]
    assert told("overtime", overtime_mult=Fraction(0)) == told("overtime", grace_min=60) == ["free"]
    assert told("unused") == []
    assert told("unused", unused_rate=Fraction(1, 4), unused_free_if_rebooked=True) == [
        "25 per cent of the price",
        "Nothing for what others book",
    ]
    assert told("no_show", no_show_rate=Fraction(0)) == ["free"]


def test_everything_is_told_and_nothing_is_booked_until_it_is_confirmed(desk: Desk) -> None:
    customer = desk.reader("customer")
    page = customer.get(review(desk, purpose="小试 & 放大")).text
    for said in ("Look it over", "10:00–12:00", "¥1,080.00", "If you cancel", "nobody has to approve it", "25 %"):
        assert said in page
    assert 'value="小试 &amp; 放大"' in page
    assert "No bookings yet" in customer.get("/bookings").text
    made = customer.post(f"/r/{desk.resource}/bookings", reviewed="1", purpose="小试", **times())
    assert "Booked. The time is yours." in made.text


def test_the_panel_tells_no_free_cancelling_that_is_over_already(desk: Desk) -> None:
    customer = desk.reader("customer")
    soon = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=4)
    far = soon + timedelta(days=20)
    told = [
        customer.get(f"/r/{desk.resource}?start={at:%Y-%m-%dT%H:%MZ}&end={at + timedelta(hours=2):%Y-%m-%dT%H:%MZ}").text
        for at in (soon, far)
    ]
    assert ["Cancelling is free until" in page for page in told] == [False, True]
    assert ["Once it is confirmed, cancelling costs ¥540.00." in page for page in told] == [True, False]


def test_going_back_keeps_what_was_typed(desk: Desk) -> None:
    customer = desk.reader("customer")
    sent = customer.post(f"/r/{desk.resource}/bookings", review="1", purpose="配方验证", **times())
    assert "/review?" in str(sent.url)
    back = re.search(r'href="(/en/r/[^"]+)#panel"', sent.text)
    assert back
    again = customer.get(html.unescape(back[1]).removeprefix("/en")).text
    assert 'value="配方验证"' in again
    assert f'data-start="{day(10).astimezone(UTC):%Y-%m-%dT%H:%MZ}"' in again


def test_a_request_names_who_answers_and_is_looked_over_first(desk: Desk) -> None:
    by_request(desk)
    customer = desk.reader("customer")
    assert "Look it over, then request" in customer.get(f"/r/{desk.resource}?" + review(desk).partition("?")[2]).text
    page = customer.get(review(desk)).text
    assert "answers before the start" in page
    assert "Request for ¥1,080.00" in page


def test_what_stands_in_the_way_is_told_before_and_after_confirming(desk: Desk) -> None:
    a_booking(desk)
    customer = desk.reader("customer")
    page = customer.get(review(desk, 11, 13)).text
    assert "That time has just been taken" in page
    assert len(re.findall(r'<a href="/en/r/\w+/review\?start=[^"&]+Z&amp;', page)) == 3
    refused = customer.post(f"/r/{desk.resource}/bookings", reviewed="1", purpose="小试", **times(11, 13))
    assert refused.status_code == 409
    assert "Look it over" in refused.text
    assert 'value="小试"' in refused.text


def test_who_is_not_signed_in_comes_back_to_the_review(desk: Desk) -> None:
    stranger = desk.reader("customer")
    stranger.post("/signout")
    page = stranger.get(review(desk, purpose="小试"))
    assert page.status_code == 200
    assert "Sign in and go on" in page.text
    sent = stranger.post(f"/r/{desk.resource}/bookings", reviewed="1", purpose="小试", **times())
    assert "/signin?next=" in str(sent.url)
    back = re.findall(r'name="next" value="([^"]+)"', sent.text)[-1]
    assert html.unescape(back).startswith(f"/en/r/{desk.resource}/review?start=")
    assert "purpose=" in back


def test_a_review_of_no_time_or_of_a_hidden_listing_is_refused(desk: Desk) -> None:
    customer = desk.reader("customer")
    assert customer.get(f"/r/{desk.resource}/review?start=x&end=y").status_code == 422
    assert customer.get(f"/r/res_none/review?start={quote(times()['start'])}&end={quote(times()['end'])}").status_code == 404
