"""Exceptions and public holidays: against every minute's own wall clock, and the same for search, admission and evaluation."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from booking import actions, queries
from booking.admission import SlotRefused, Wish
from booking.availability import DAY_MIN, Hours, Opening, local_day, open_slots
from booking.calendar_days import CALENDARS, NO_HOLIDAYS, read_holidays
from booking.finding.askers import STRANGER
from booking.finding.queries import Wanted, rooms
from booking.rules.actions import Further, RuleSet, set_rules
from booking.tables import Category
from evaluation.sources.queries import calendars_of
from marketplace.refusals import Invalid
from marketplace.slot import Slot, total
from tests.builders import a_person, a_resource, an_organisation

CHINA = CALENDARS["CN"]
SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
NEW_YORK, LORD_HOWE = ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")
MINUTE = timedelta(minutes=1)
NEAR = {
    SHANGHAI: date(2026, 10, 7),
    BERLIN: date(2027, 10, 31),
    NEW_YORK: date(2026, 3, 8),
    LORD_HOWE: date(2026, 4, 5),
}
WORKDAYS = [Hours(day, 540, 1020) for day in range(5)]


@st.composite
def spans(draw: st.DrawFn) -> tuple[int, int]:
    start = draw(st.integers(0, DAY_MIN - 1))
    return start, draw(st.integers(start + 1, DAY_MIN))


@st.composite
def openings(draw: st.DrawFn) -> tuple[ZoneInfo, Opening]:
    zone = draw(st.sampled_from(list(NEAR)))
    days = st.integers(-2, 2).map(lambda n: NEAR[zone] + timedelta(days=n))
    weekly = draw(st.lists(st.builds(lambda day, span: Hours(day, *span), st.integers(0, 6), spans()), max_size=6))
    exceptions = draw(st.dictionaries(days, st.lists(spans(), max_size=3), max_size=3))
    return zone, Opening(weekly, exceptions, draw(st.sampled_from([CHINA, NO_HOLIDAYS])))


def open_at(instant: datetime, opening: Opening, zone: ZoneInfo) -> bool:
    """What the wall clock and the calendar say of one instant."""
    local = instant.astimezone(zone)
    day, minute = local.date(), local.hour * 60 + local.minute
    if day in opening.exceptions:
        return any(start <= minute < end for start, end in opening.exceptions[day])
    if day in opening.holidays.off:
        return False
    weekday = opening.holidays.working.get(day, day).weekday()
    if not opening.weekly:
        return True
    return any(span.weekday == weekday and span.open_min <= minute < span.close_min for span in opening.weekly)


@pytest.mark.laws
@settings(max_examples=80)
@given(openings())
def test_what_is_open_is_what_every_minutes_wall_clock_says(case: tuple[ZoneInfo, Opening]) -> None:
    zone, opening = case
    noon = datetime.combine(NEAR[zone], datetime.min.time(), zone).astimezone(UTC) + timedelta(hours=12)
    window = Slot(noon - timedelta(hours=40), noon + timedelta(hours=40))
    opened = open_slots(opening, zone, window)
    assert all(one.end < other.start for one, other in pairwise(opened))
    at = window.start
    while at < window.end:
        assert any(span.start <= at < span.end for span in opened) == open_at(at, opening, zone), at
        at += MINUTE


@pytest.mark.parametrize(
    ("zone", "day", "span", "hours"),
    [
        (BERLIN, date(2027, 3, 28), (90, 210), 1),
        (BERLIN, date(2027, 10, 31), (90, 210), 3),
        (NEW_YORK, date(2026, 3, 8), (60, 240), 2),
        (NEW_YORK, date(2026, 11, 1), (60, 240), 4),
        (LORD_HOWE, date(2026, 10, 4), (60, 240), 2.5),
        (LORD_HOWE, date(2026, 4, 5), (60, 240), 3.5),
        (LORD_HOWE, date(2026, 4, 5), (0, DAY_MIN), 24.5),
    ],
)
def test_an_exceptions_hours_follow_the_wall_clock_across_dst(
    zone: ZoneInfo, day: date, span: tuple[int, int], hours: float
) -> None:
    opening = Opening([], {day: [span], day + timedelta(days=1): []})
    assert total(open_slots(opening, zone, local_day(day, zone))) == timedelta(hours=hours)
    assert open_slots(opening, zone, local_day(day + timedelta(days=1), zone)) == []
    before = local_day(day - timedelta(days=1), zone)
    assert open_slots(opening, zone, before) == [before]


def test_every_make_up_day_is_a_weekend_and_replaces_a_weekday_that_is_off() -> None:
    for calendar in CALENDARS.values():
        for day, replaced in calendar.working.items():
            assert day.weekday() >= 5 > replaced.weekday()
            assert replaced in calendar.off
            assert day not in calendar.off
        assert len(set(calendar.working.values())) == len(calendar.working)


def test_the_notice_of_2026_has_33_days_off_and_six_made_up() -> None:
    assert len(CHINA.off) == 3 + 9 + 3 + 5 + 3 + 3 + 7
    assert len(CHINA.working) == 6
    assert {day.year for day in CHINA.off | set(CHINA.working)} == {2026}


@pytest.mark.parametrize(
    ("day", "opened"),
    [
        (date(2026, 9, 30), True),  # Wednesday
        (date(2026, 10, 1), False),
        (date(2026, 10, 7), False),
        (date(2026, 10, 10), True),  # a Saturday that is worked
        (date(2026, 10, 11), False),
        (date(2026, 9, 20), True),  # a Sunday that is worked
        (date(2027, 10, 1), True),  # Friday of a year that was not announced
    ],
)
def test_holidays_close_and_made_up_days_open_as_the_weekday_they_replace(day: date, opened: bool) -> None:
    found = open_slots(Opening(WORKDAYS, {}, CHINA), SHANGHAI, local_day(day, SHANGHAI))
    assert total(found) == (timedelta(hours=8) if opened else timedelta())


def test_a_made_up_day_has_the_hours_of_its_own_weekday_and_an_exception_comes_first() -> None:
    hours = [Hours(day, 540, 600 + 60 * day) for day in range(5)]
    saturday = date(2026, 10, 10)  # stands for Wednesday
    assert Opening(hours, {}, CHINA).on(saturday) == ((540, 720),)
    assert Opening(hours, {saturday: [(0, 60)]}, CHINA).on(saturday) == [(0, 60)]
    assert Opening(hours, {date(2026, 10, 1): [(0, 60)]}, CHINA).on(date(2026, 10, 1)) == [(0, 60)]


def test_a_file_of_holidays_is_read_by_year() -> None:
    found = read_holidays("[2030]\noff = [{ from = 2030-02-03, to = 2030-02-04 }]\nworking = []\n")
    assert found.off == {date(2030, 2, 3), date(2030, 2, 4)}
    assert not found.working


NOW = datetime(2026, 9, 1, tzinfo=UTC)
FURTHER = Further(
    exceptions=[
        {"date": "2026-09-29", "hours": []},
        {"date": "2026-09-30", "hours": [{"open_min": 600, "close_min": 720}]},
    ],
    holidays="CN",
)


def local(month: int, day: int, hour: float) -> datetime:
    return datetime(2026, month, day, tzinfo=SHANGHAI) + timedelta(hours=hour)


def test_free_time_admission_search_and_evaluation_agree_on_what_is_open(db: Session) -> None:
    resource, who, firm = a_resource(db), a_person(db), an_organisation(db)
    rules = RuleSet(hours=[{"weekday": day, "open_min": 540, "close_min": 1020} for day in range(5)])
    set_rules(db, resource_id=resource.id, rules=rules, further=FURTHER, actor_id=None, now=NOW)
    window = Slot(local(9, 28, 0), local(10, 12, 0))
    expected = [
        Slot(local(9, 28, 9), local(9, 28, 17)),
        Slot(local(9, 30, 10), local(9, 30, 12)),
        Slot(local(10, 8, 9), local(10, 8, 17)),
        Slot(local(10, 9, 9), local(10, 9, 17)),
        Slot(local(10, 10, 9), local(10, 10, 17)),
    ]
    assert queries.free_time(db, resource.id, within=window, now=NOW) == expected
    calendar = calendars_of(db, [resource], within=window)[resource.id]
    assert [(int(s.start.timestamp()), int(s.end.timestamp())) for s in expected] == calendar
    week = Slot(local(9, 29, 0), local(10, 8, 0))
    wanted = {hours: Wanted(week, timedelta(hours=hours)) for hours in (2, 3)}
    found = {hours: rooms(db, [resource.id], wanted=one, askers=[STRANGER], now=NOW) for hours, one in wanted.items()}
    assert {hours: set(one) for hours, one in found.items()} == {2: {resource.id}, 3: set()}
    for slot in expected:
        actions.book(db, wish=Wish(resource.id, slot, who.id, firm.id, Category.EXT), now=NOW)
    for closed in (local(9, 29, 10), local(10, 1, 10), local(10, 11, 10)):
        wish = Wish(resource.id, Slot(closed, closed + timedelta(hours=1)), who.id, firm.id, Category.EXT)
        with pytest.raises(SlotRefused) as caught:
            actions.book(db, wish=wish, now=NOW)
        assert [reason.code for reason in caught.value.reasons] == ["outside_hours"]


@pytest.mark.parametrize(
    "further",
    [
        Further(exceptions=[{"date": "2026-10-01", "hours": []}] * 2),
        Further(exceptions=[{"date": "2026-10-01", "hours": [{"open_min": 600, "close_min": 600}]}]),
        Further(holidays="XX"),
    ],
)
def test_exceptions_that_mean_nothing_are_refused(db: Session, further: Further) -> None:
    resource = a_resource(db)
    with pytest.raises(Invalid):
        set_rules(db, resource_id=resource.id, rules=RuleSet(), further=further, actor_id=None, now=NOW)
