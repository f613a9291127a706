"""The page before a booking: price, policy with its dates, who answers; nothing is booked until it is confirmed."""

import html
import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from urllib.parse import quote
from zoneinfo import ZoneInfo

from billing.policy import Policy, Tier
from marketplace.money import Money
from tests.web.desks import Desk
from tests.web.test_approvals import by_request
from tests.web.test_desk_outages import a_booking, day
from web.present.resource import free_tier
from web.present.review import steps

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


def test_free_cancelling_is_told_in_the_unit_of_its_tier() -> None:
    days = free_tier(Policy(cancel_tiers=(Tier(Fraction(0), days=3), Tier(Fraction(1, 2), hours=Fraction(1)))))
    half = free_tier(Policy(cancel_tiers=(Tier(Fraction(0), hours=Fraction(3, 2)),)))
    assert days
    assert half
    assert ((days.code, days.value), (half.code, half.value)) == (("cancellation_days", "3"), ("cancellation", "1.5"))
    assert free_tier(Policy(cancel_tiers=(Tier(Fraction(1, 2), hours=Fraction(1)),))) is None


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
