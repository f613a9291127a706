from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from booking.availability import ALWAYS, DAY_MIN, Hours, Opening, local_day, open_slots
from marketplace.slot import Slot, total

BERLIN = ZoneInfo("Europe/Berlin")
SHANGHAI = ZoneInfo("Asia/Shanghai")
ZONES = sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith(("Etc/", "posix/", "right/")))


def every_day(open_min: int, close_min: int) -> Opening:
    return Opening([Hours(weekday, open_min, close_min) for weekday in range(7)])


@pytest.mark.parametrize(
    ("day", "open_min", "close_min", "hours"),
    [
        (date(2027, 3, 28), 90, 210, 1),  # 01:30-03:30 on the short day
        (date(2027, 10, 31), 90, 210, 3),  # 01:30-03:30 on the long day
        (date(2027, 3, 28), 120, 180, 0),  # the skipped hour vanishes
        (date(2027, 10, 31), 120, 180, 2),  # the repeated hour counts twice
        (date(2027, 10, 31), 120, 150, 1),  # half of it, twice
        (date(2027, 3, 28), 0, DAY_MIN, 23),
        (date(2027, 10, 31), 0, DAY_MIN, 25),
        (date(2027, 6, 1), 540, 1020, 8),
    ],
)
def test_opening_hours_follow_the_wall_clock_across_dst(day: date, open_min: int, close_min: int, hours: float) -> None:
    opened = open_slots(every_day(open_min, close_min), BERLIN, local_day(day, BERLIN))
    assert total(opened) == timedelta(hours=hours)


def test_no_hours_means_always_open() -> None:
    window = Slot(datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 3, 12, tzinfo=UTC))
    assert open_slots(ALWAYS, SHANGHAI, window) == [window]


def test_only_the_named_weekday_is_open_in_the_resources_zone() -> None:
    window = Slot(datetime(2026, 3, 8, 16, tzinfo=UTC), datetime(2026, 3, 15, 16, tzinfo=UTC))  # Monday to Sunday, local
    (opened,) = open_slots(Opening([Hours(1, 540, 1020)]), SHANGHAI, window)
    assert opened == Slot(datetime(2026, 3, 10, 1, tzinfo=UTC), datetime(2026, 3, 10, 9, tzinfo=UTC))


def test_a_day_that_closes_at_24_joins_the_next() -> None:
    hours = [Hours(0, 1200, DAY_MIN), Hours(1, 0, 240)]
    window = Slot(datetime(2026, 3, 8, 16, tzinfo=UTC), datetime(2026, 3, 11, tzinfo=UTC))
    (opened,) = open_slots(Opening(hours), SHANGHAI, window)
    assert opened.duration == timedelta(hours=8)


@settings(max_examples=150, deadline=None)
@given(zone=st.sampled_from(ZONES), day=st.dates(date(2020, 1, 1), date(2030, 12, 31)))
def test_local_days_follow_each_other_without_hole_or_overlap(zone: str, day: date) -> None:
    place = ZoneInfo(zone)
    try:
        today, tomorrow = local_day(day, place), local_day(day + timedelta(days=1), place)
    except ValueError:  # a date that a zone skipped whole when it crossed the date line
        return
    assert today.end == tomorrow.start
    assert timedelta(hours=22) <= today.duration <= timedelta(hours=26)
    assert open_slots(every_day(0, DAY_MIN), place, today) == [today]
