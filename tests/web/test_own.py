"""One's own bookings as a list and as calendars: nights and several days, other zones, filters, weeks from Sunday."""

import html
import re
from datetime import UTC, date, datetime, timedelta

from marketplace import clock
from marketplace.slot import Slot
from tests.web.desks import Desk, Reader
from tests.web.test_desk_outages import a_booking, day
from web import monthgrid
from web.views.calendar import Day, Entry

NIGHT = Entry(
    "night", "炉", Slot(datetime(2026, 11, 24, 14, tzinfo=UTC), datetime(2026, 11, 24, 22, tzinfo=UTC)), "Asia/Shanghai", ""
)
LONG = Entry(
    "long", "炉", Slot(datetime(2026, 11, 27, 1, tzinfo=UTC), datetime(2026, 12, 1, 16, tzinfo=UTC)), "Asia/Shanghai", ""
)
BERLIN = Entry(
    "berlin", "炉", Slot(datetime(2026, 11, 25, 22, tzinfo=UTC), datetime(2026, 11, 25, 23, tzinfo=UTC)), "Europe/Berlin", ""
)


def parts(weeks: list[list[Day]], entry: str) -> list[tuple[str, str, int]]:
    """Day, part and lane of an entry."""
    return [
        (f"{one.day:%m-%d}", piece.part, lane)
        for week in weeks
        for one in week
        for lane, piece in enumerate(one.pieces)
        if piece and piece.entry.id == entry
    ]


def test_a_night_lies_on_two_days_and_one_that_ends_at_midnight_not_on_the_next() -> None:
    weeks = monthgrid.month(date(2026, 11, 25), 0, [NIGHT, LONG, BERLIN], date(2026, 11, 25), "?")
    assert parts(weeks, "night") == [("11-24", "first", 0), ("11-25", "last", 0)]
    assert [(on, part) for on, part, _ in parts(weeks, "long")] == [
        ("11-27", "first"), ("11-28", "middle"), ("11-29", "middle"), ("11-30", "middle"), ("12-01", "last"),
    ]  # fmt: skip
    assert parts(weeks, "berlin") == [("11-25", "whole", 1)]


def test_weeks_begin_on_sunday_or_monday_and_hold_the_whole_month() -> None:
    for first_weekday in (0, 6):
        for month in range(1, 13):
            weeks = monthgrid.weeks_of(date(2026, month, 15), first_weekday)
            days = [one for week in weeks for one in week]
            assert {one.weekday() for one in days[::7]} == {first_weekday}
            assert days == [days[0] + timedelta(days=n) for n in range(len(days))]
            assert sum(one.month == month for one in days) == (monthgrid.month_of(days[10])[1]).day


def test_a_full_day_says_how_many_more_there_are() -> None:
    start = datetime(2026, 11, 25, 1, tzinfo=UTC)
    many = [
        Entry(str(n), "", Slot(start + timedelta(hours=n), start + timedelta(hours=n + 1)), "Asia/Shanghai", "") for n in range(6)
    ]
    [full] = [
        one for week in monthgrid.month(start.date(), 0, many, start.date(), "?") for one in week if one.day == start.date()
    ]
    assert (len(full.pieces), full.more) == (4, 2)


def always_open(desk: Desk, zone: str = "") -> str:
    """The id of a machine that is open day and night."""
    fields = {"institution_id": desk.house, "name": "长时退火炉", "kind": "instrument", "price": "100", "hours": "always"}
    made = desk.reader("manager").post("/desk/new", **fields)
    found = re.search(r"/desk/resources/(\w+)/devices", str(made.url))
    assert found
    return found[1]


def booked(customer: Reader, machine: str, start: datetime, hours: int) -> str:
    slot = {"start": start.isoformat(), "end": (start + timedelta(hours=hours)).isoformat()}
    found = re.search(r"/bookings/(\w+)\?", str(customer.post(f"/r/{machine}/bookings", **slot).url))
    assert found
    return found[1]


def chips(page: str) -> list[tuple[str, str]]:
    """The classes and the clock of each chip of a month."""
    return re.findall(r'<a class="chip (is-\w+ \w+)"[^>]*><b>\s*([^\s<]+)', page)


def test_a_month_and_a_week_show_what_runs_over_midnight(desk: Desk) -> None:
    customer, machine = desk.reader("customer"), always_open(desk)
    booked(customer, machine, day(22), 8)
    month = html.unescape(customer.get(f"/bookings?view=month&day={day(22):%Y-%m-%d}").text)
    shown = chips(month)
    assert ("is-confirmed first", "22:00") in shown
    assert ("is-confirmed last", "→") in shown
    week = customer.get(f"/bookings?view=week&day={day(22):%Y-%m-%d}").text
    assert week.count('<a class="slab is-confirmed"') == 2
    assert week.count("22:00") >= 2


def test_the_list_keeps_to_the_state_asked_for(desk: Desk) -> None:
    customer, booking = desk.reader("customer"), a_booking(desk)
    assert booking in customer.get("/bookings").text
    assert booking in customer.get("/bookings?state=confirmed").text
    ended = customer.get("/bookings?state=ended").text
    assert booking not in ended
    assert "None of this kind" in ended
    customer.post(f"/bookings/{booking}/cancel")
    assert booking in customer.get("/bookings?state=ended").text
    assert booking not in customer.get(f"/bookings?view=month&day={day(9):%Y-%m-%d}").text


def test_equipments_zone_is_named_where_its_clock_is_not_the_readers(desk: Desk) -> None:
    customer = desk.reader("customer")
    a_booking(desk)
    assert "Asia/Shanghai, UTC+8" not in customer.get("/bookings").text
    choice = dict.fromkeys(("bookings", "reminders", "statements", "decisions"), "at_once")
    assert customer.post("/account/messages", timezone="Europe/Berlin", **choice).status_code == 200
    assert "Asia/Shanghai, UTC+8" in customer.get("/bookings").text


def test_an_address_with_nonsense_is_the_list_of_today(desk: Desk) -> None:
    customer = desk.reader("customer")
    assert "No bookings yet" in customer.get("/bookings?view=year&day=9999-99-99&state=none&organisation=org_1&cursor=x").text
    month = customer.get("/bookings?view=month&day=0001-01-01").text
    assert f"{clock.now():%Y}" in month


def test_months_begin_their_weeks_as_the_reader_chose(desk: Desk) -> None:
    customer = desk.reader("customer")
    heads = re.compile(r'<th scope="col">(\w\w\w)</th>')
    assert heads.findall(customer.get("/bookings?view=month").text)[0] == "Mon"
    assert customer.post("/account", name="customer", locale="en", first_day="sunday").status_code == 200
    assert heads.findall(customer.get("/bookings?view=month").text)[0] == "Sun"
