"""Series over the wall clock: RFC 5545 rules against a second implementation, changes of time, and rules that are none."""

import datetime as clock_module
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given
from hypothesis import strategies as st

from booking.recurrence import NO_RULE, NOT_OFFERED, WEEKDAYS, Skipped, days, occurrences, parse
from marketplace.refusals import Invalid
from marketplace.slot import Slot

BERLIN, NEW_YORK, LORD_HOWE = (ZoneInfo(name) for name in ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe"))
START = date(2026, 3, 10)


def local(zone: ZoneInfo, text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def slot(zone: ZoneInfo, start: str, end: str) -> Slot:
    return Slot(local(zone, start), local(zone, end))


@st.composite
def rules(draw: st.DrawFn) -> str:
    freq = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    parts = {"FREQ": freq, "INTERVAL": draw(st.integers(1, 5))}
    if draw(st.booleans()):
        numbered = freq in {"MONTHLY", "YEARLY"} and draw(st.booleans())  # the other one means "and" where both kinds are mixed
        nth = st.sampled_from(["1", "2", "-1", "5", "-5"]) if numbered else st.just("")
        named = draw(st.lists(st.tuples(nth, st.sampled_from(WEEKDAYS)), min_size=1, max_size=4))
        parts["BYDAY"] = ",".join(a + b for a, b in named)
    if freq != "WEEKLY" and draw(st.booleans()):
        month_days = st.integers(-31, 31).filter(bool)
        parts["BYMONTHDAY"] = ",".join(map(str, draw(st.lists(month_days, min_size=1, max_size=4))))
    if draw(st.booleans()):
        parts["BYMONTH"] = ",".join(map(str, draw(st.lists(st.integers(1, 12), min_size=1, max_size=6))))
    if freq == "YEARLY" and "BYDAY" in parts and not any(sign in parts["BYDAY"] for sign in "125") and draw(st.booleans()):
        parts["BYWEEKNO"] = ",".join(map(str, draw(st.lists(st.integers(-53, 53).filter(bool), min_size=1, max_size=6))))
    if freq == "YEARLY" and draw(st.booleans()):
        parts["BYYEARDAY"] = ",".join(map(str, draw(st.lists(st.integers(-366, 366).filter(bool), min_size=1, max_size=9))))
    if freq != "DAILY" and ("BYDAY" in parts or "BYMONTHDAY" in parts) and draw(st.booleans()):
        parts["BYSETPOS"] = draw(st.sampled_from(["1", "2", "-1", "1,3", "-2,4", "6"]))
    if draw(st.booleans()):
        parts["WKST"] = draw(st.sampled_from(WEEKDAYS))
    return ";".join(f"{name}={value}" for name, value in parts.items())


@pytest.mark.laws
@given(rules(), st.integers(0, 800))
def test_days_are_those_of_a_second_implementation(rule: str, offset: int) -> None:
    start = START + timedelta(days=offset)
    last, parsed = start + timedelta(days=1500), parse(f"{rule};COUNT=1", BERLIN)
    if "WEEKLY" in rule and "BYSETPOS" in rule:  # the other one numbers what is left of the first week, RFC 5545 all of it
        start -= timedelta(days=(start.weekday() - parsed.week_start) % 7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock_module, "MAXYEAR", last.year + 1)  # where the other one gives up on a rule that never comes true
        other = rrulestr(f"{rule};UNTIL={last:%Y%m%d}T000000", dtstart=datetime.combine(start, clock_module.time()))
        expected = [at.date() for at in other]
    assert list(days(parsed, start, last)) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO;COUNT=3", ["1997-05-12", "1998-05-11", "1999-05-17"]),
        ("FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200", ["1997-01-01", "1997-04-10", "1997-07-19", "2000-01-01"]),
        ("FREQ=YEARLY;BYWEEKNO=-1;COUNT=3", ["1997-12-22", "1998-12-28", "1999-12-27"]),
    ],
)
def test_weeks_and_days_of_the_year_are_those_of_the_standard(rule: str, expected: list[str]) -> None:
    """The first two are of RFC 5545, 3.8.5.3; the third keeps the weekday of its start, as the standard has what is not said."""
    start = date.fromisoformat(expected[0])
    found = days(parse(rule, NEW_YORK), start, date(2000, 2, 1))
    assert [f"{day}" for day in found] == expected


def test_nine_in_the_morning_stays_nine_in_the_morning() -> None:
    found = occurrences("FREQ=WEEKLY;COUNT=4", slot(BERLIN, "2027-03-14T09:00", "2027-03-14T11:00"), BERLIN)
    assert [one.start.isoformat() for one in found] == [
        "2027-03-14T08:00:00+00:00",
        "2027-03-21T08:00:00+00:00",
        "2027-03-28T07:00:00+00:00",
        "2027-04-04T07:00:00+00:00",
    ]


@pytest.mark.parametrize(
    ("zone", "start", "end", "seconds"),
    [
        (BERLIN, "2027-03-27T01:30", "2027-03-27T03:30", [7200, 3600, 7200]),
        (BERLIN, "2027-10-30T01:30", "2027-10-30T03:30", [7200, 10800, 7200]),
        (NEW_YORK, "2027-03-13T22:00", "2027-03-14T06:00", [25200, 28800, 28800]),
        (NEW_YORK, "2027-11-06T00:00", "2027-11-07T00:00", [86400, 90000, 86400]),
        (LORD_HOWE, "2026-10-03T01:30", "2026-10-03T03:30", [7200, 5400, 7200]),
        (LORD_HOWE, "2027-04-03T01:00", "2027-04-03T03:00", [7200, 9000, 7200]),
    ],
)
def test_each_occurrence_has_the_length_of_its_own_day(zone: ZoneInfo, start: str, end: str, seconds: list[int]) -> None:
    found = occurrences("FREQ=DAILY;COUNT=3", slot(zone, start, end), zone)
    assert [one.seconds for one in found if isinstance(one, Slot)] == seconds


def test_a_time_that_does_not_exist_on_a_day_is_named_with_its_day() -> None:
    found = occurrences("FREQ=DAILY;COUNT=3", slot(BERLIN, "2027-03-27T02:30", "2027-03-27T05:00"), BERLIN)
    assert found[1] == Skipped(datetime.fromisoformat("2027-03-28T02:30"), datetime.fromisoformat("2027-03-28T05:00"))
    assert isinstance(found[2], Slot)


@pytest.mark.parametrize(
    ("until", "count"),
    [
        ("20270328", 3),
        ("20270327", 2),
        ("20270328T070000Z", 3),  # 09:00 in summer time
        ("20270328T065959Z", 2),
        ("20270328T090000", 3),
        ("20270328T085959", 2),
    ],
)
def test_the_last_one_may_be_given_in_utc_in_local_time_or_as_a_day(until: str, count: int) -> None:
    first = slot(BERLIN, "2027-03-14T09:00", "2027-03-14T10:00")
    assert len(occurrences(f"RRULE:FREQ=WEEKLY;UNTIL={until}", first, BERLIN)) == count


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "weekly",
        "FREQ=WEEKLY",
        "FREQ=HOURLY;COUNT=3",
        "FREQ=WEEKLY;COUNT=3;UNTIL=20270401",
        "FREQ=WEEKLY;COUNT=0",
        "FREQ=WEEKLY;COUNT=x",
        "FREQ=DAILY;COUNT=1001",
        "FREQ=DAILY;INTERVAL=0;COUNT=3",
        "FREQ=DAILY;COUNT=3;COUNT=4",
        "FREQ=DAILY;COUNT=3;BYDAY=XX",
        "FREQ=DAILY;COUNT=3;BYDAY=1MO",
        "FREQ=DAILY;COUNT=3;BYSETPOS=5",
        "FREQ=WEEKLY;COUNT=3;BYWEEKNO=20",
        "FREQ=MONTHLY;COUNT=3;BYYEARDAY=100",
        "FREQ=YEARLY;COUNT=3;BYWEEKNO=20;BYDAY=1MO",
        "FREQ=YEARLY;COUNT=3;BYWEEKNO=54",
        "FREQ=YEARLY;COUNT=3;BYYEARDAY=0",
        "FREQ=MONTHLY;COUNT=3;BYMONTHDAY=0",
        "FREQ=MONTHLY;COUNT=3;BYMONTHDAY=32",
        "FREQ=DAILY;COUNT=3;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=WEEKLY;COUNT=3;BYDAY=MO",
        "FREQ=YEARLY;COUNT=5",
        "FREQ=DAILY;UNTIL=20270229",
        "FREQ=DAILY;UNTIL=20260101",
        "FREQ=WEEKLY;UNTIL=20990101",
        "FREQ=DAILY;COUNT=3;WKST=XX",
        "FREQ=DAILY;COUNT=３",
        "FREQ=DAILY;COUNT=3\nEXDATE:20270315",
        "FREQ=DAILY;COUNT=3;" + "BYMONTH=1," * 100,
    ],
)
def test_what_is_no_rule_or_never_ends_or_begins_elsewhere_is_refused(rule: str) -> None:
    first = Slot(datetime(2027, 3, 14, 8, tzinfo=UTC), datetime(2027, 3, 14, 9, tzinfo=UTC))
    with pytest.raises(Invalid) as refused:
        occurrences(rule, first, BERLIN)
    assert refused.value.values["field"] == "rrule"


@pytest.mark.parametrize(
    ("rule", "part"),
    [
        ("FREQ=DAILY;BYHOUR=9,11;COUNT=9", "BYHOUR"),
        ("FREQ=WEEKLY;COUNT=9;BYMINUTE=0", "BYMINUTE"),
        ("BYSECOND=0;FREQ=DAILY;COUNT=2", "BYSECOND"),
    ],
)
def test_a_part_of_the_standard_that_is_not_offered_is_named(rule: str, part: str) -> None:
    first = Slot(datetime(2027, 3, 14, 8, tzinfo=UTC), datetime(2027, 3, 14, 9, tzinfo=UTC))
    with pytest.raises(Invalid) as refused:
        occurrences(rule, first, BERLIN)
    assert (refused.value.values["reason"], refused.value.values["part"]) == (NOT_OFFERED, part)
    with pytest.raises(Invalid) as wrong:
        occurrences(rule.replace("=9,11", "=x").replace("E=0", "E=").replace("D=0", "D=0,"), first, BERLIN)
    assert wrong.value.values["reason"] == NO_RULE
