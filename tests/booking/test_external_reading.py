"""Calendar files as busy time: RFC 5545 with its zones, rules and exceptions, and within bounds whatever is sent."""

import time
from datetime import UTC, datetime
from random import Random
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr

from booking.external.lines import LARGEST, Unreadable
from booking.external.reading import Read, read
from booking.external.times import zone_named
from marketplace.slot import Slot

SHANGHAI = ZoneInfo("Asia/Shanghai")
YEAR = Slot(datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC))


def calendar(*lines: str, around: str = "VEVENT") -> bytes:
    body = "\r\n".join([f"BEGIN:{around}", "UID:one", *lines, f"END:{around}"])
    return wrapped(body)


def wrapped(body: str) -> bytes:
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//x//EN\r\n{body}\r\nEND:VCALENDAR\r\n".encode()


def two(*events: str) -> bytes:
    return wrapped("\r\n".join(f"BEGIN:VEVENT\r\nUID:one\r\n{event}\r\nEND:VEVENT" for event in events))


def said(data: bytes, zone: ZoneInfo = SHANGHAI, within: Slot = YEAR) -> list[str]:
    """Busy times, as UTC."""
    return [f"{one.start:%m-%dT%H:%M}/{one.end:%m-%dT%H:%M}" for one in read(data, zone=zone, within=within).busy]


def notes(data: bytes) -> set[tuple[str, str]]:
    return {(note.code, note.value) for note in read(data, zone=SHANGHAI, within=YEAR).notes}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["DTSTART:20270310T010000Z", "DTEND:20270310T020000Z"], ["03-10T01:00/03-10T02:00"]),
        (["DTSTART:20270310T010000Z", "DURATION:PT1H30M"], ["03-10T01:00/03-10T02:30"]),
        (["DTSTART:20270310T090000", "DTEND:20270310T100000"], ["03-10T01:00/03-10T02:00"]),
        (["DTSTART;VALUE=DATE:20270310", "DTEND;VALUE=DATE:20270312"], ["03-09T16:00/03-11T16:00"]),
        (["DTSTART;VALUE=DATE:20270310"], ["03-09T16:00/03-10T16:00"]),
        (["DTSTART;VALUE=DATE:20270310", "DURATION:P2D"], ["03-09T16:00/03-11T16:00"]),
        (["DTSTART:20270310T010000Z"], []),
        (["DTSTART:20270310T010000Z", "DTEND:20270310T020000Z", "TRANSP:TRANSPARENT"], []),
        (["DTSTART:20270310T010000Z", "DTEND:20270310T020000Z", "STATUS:CANCELLED"], []),
        (["DTSTART:20270310T010000Z", "DTEND:20270310T020000Z", "STATUS:TENTATIVE"], ["03-10T01:00/03-10T02:00"]),
        (["DTSTART;TZID=Europe/Berlin:20270310T090000", "DTEND;TZID=Asia/Shanghai:20270310T170000"], ["03-10T08:00/03-10T09:00"]),
        (
            ['dtstart;tzid="Europe/Berlin":20270310T090000', "dtend;tzid=Europe/Berlin:20270310T100000"],
            ["03-10T08:00/03-10T09:00"],
        ),
        (["DTSTART:2027031\r\n 0T010000Z", "DTEND:20270310T02\r\n\t0000Z"], ["03-10T01:00/03-10T02:00"]),
        (["SUMMARY:a\\, b\\; c\\nEND:VEVENT", "DTSTART:20270310T010000Z", "DTEND:20270310T020000Z"], ["03-10T01:00/03-10T02:00"]),
        (
            ["DTSTART:20270310T010000Z", "DTEND:20270310T020000Z", "BEGIN:VALARM", "DURATION:PT5H", "END:VALARM"],
            ["03-10T01:00/03-10T02:00"],
        ),
        (["DTSTART:20261231T230000Z", "DTEND:20270101T020000Z"], ["01-01T00:00/01-01T02:00"]),
    ],
)
def test_an_event_is_busy_when_it_says(lines: list[str], expected: list[str]) -> None:
    assert said(calendar(*lines)) == expected


@pytest.mark.parametrize(
    ("zone", "start", "days"),
    [
        ("Europe/Berlin", "20270327T090000", ["03-27T08:00", "03-28T07:00", "03-29T07:00"]),
        ("Europe/Berlin", "20271030T090000", ["10-30T07:00", "10-31T08:00", "11-01T08:00"]),
        ("America/New_York", "20270313T090000", ["03-13T14:00", "03-14T13:00", "03-15T13:00"]),
        ("America/New_York", "20271106T090000", ["11-06T13:00", "11-07T14:00", "11-08T14:00"]),
        ("Australia/Lord_Howe", "20270403T090000", ["04-02T22:00", "04-03T22:30", "04-04T22:30"]),
        ("Australia/Lord_Howe", "20271002T090000", ["10-01T22:30", "10-02T22:00", "10-03T22:00"]),
        ("Europe/Berlin", "20270327T023000", ["03-27T01:30", "03-29T00:30", "03-30T00:30"]),
        ("Australia/Lord_Howe", "20271002T021500", ["10-01T15:45", "10-03T15:15", "10-04T15:15"]),
    ],
)
def test_a_series_keeps_its_wall_clock_and_skips_what_does_not_exist(zone: str, start: str, days: list[str]) -> None:
    lines = [f"DTSTART;TZID={zone}:{start}", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=3"]
    assert [one.split("/")[0] for one in said(calendar(*lines))] == days


def test_a_day_lasts_as_long_as_the_clocks_make_it() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    busy = said(calendar("DTSTART;VALUE=DATE:20270328", "RRULE:FREQ=WEEKLY;COUNT=2;INTERVAL=31"), zone=berlin)
    assert busy == ["03-27T23:00/03-28T22:00", "10-30T22:00/10-31T23:00"]


def test_a_time_in_a_repeated_hour_is_the_first_and_in_a_skipped_one_goes_by_the_offset_before() -> None:
    lines = ["DTSTART;TZID=Europe/Berlin:20271031T023000", "DURATION:PT1H"]
    assert said(calendar(*lines)) == ["10-31T00:30/10-31T01:30"]
    assert said(calendar("DTSTART;TZID=Europe/Berlin:20270328T023000", "DURATION:PT1H")) == ["03-28T01:30/03-28T02:30"]


@pytest.mark.parametrize(
    ("more", "days"),
    [
        (["RRULE:FREQ=WEEKLY;BYDAY=MO,WE;COUNT=4"], ["0301", "0303", "0308", "0310"]),
        (["RRULE:FREQ=WEEKLY;UNTIL=20270315T010000Z"], ["0301", "0308", "0315"]),
        (["RRULE:FREQ=WEEKLY;UNTIL=20270315T005959Z"], ["0301", "0308"]),
        (["RRULE:FREQ=WEEKLY;UNTIL=20270315"], ["0301", "0308", "0315"]),
        (["RRULE:FREQ=WEEKLY;UNTIL=20270315T090000"], ["0301", "0308", "0315"]),
        (["RRULE:FREQ=MONTHLY;BYDAY=-1FR;COUNT=3"], ["0301", "0326", "0430"]),
        (["RRULE:FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=3"], ["0301", "0331", "0430"]),
        (["RRULE:FREQ=WEEKLY;BYDAY=MO,WE;BYSETPOS=1;COUNT=3"], ["0301", "0308", "0315"]),
        (["RRULE:FREQ=DAILY;COUNT=3;BYHOUR=9;BYMINUTE=0;BYSECOND=0"], ["0301", "0302", "0303"]),
        (["RRULE:FREQ=DAILY;COUNT=3", "EXDATE;TZID=Asia/Shanghai:20270302T090000"], ["0301", "0303"]),
        (["RRULE:FREQ=DAILY;COUNT=3", "EXDATE:20270302T010000Z,20270303T010000Z"], ["0301"]),
        (["RRULE:FREQ=DAILY;COUNT=3", "EXDATE;VALUE=DATE:20270302"], ["0301", "0303"]),
        (["RDATE;TZID=Asia/Shanghai:20270305T090000,20270307T090000"], ["0301", "0305", "0307"]),
        (["RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"], ["0301"]),
    ],
)
def test_rules_dates_and_exceptions_make_the_occurrences(more: list[str], days: list[str]) -> None:
    data = calendar("DTSTART;TZID=Asia/Shanghai:20270301T090000", "DTEND;TZID=Asia/Shanghai:20270301T100000", *more)
    assert [one.split("T")[0].replace("-", "") for one in said(data)] == days


def test_a_period_of_its_own_lasts_as_it_says() -> None:
    data = calendar(
        "DTSTART:20270301T010000Z",
        "DTEND:20270301T020000Z",
        "RDATE;VALUE=PERIOD:20270302T010000Z/20270302T050000Z,20270303T010000Z/PT3H",
    )
    assert said(data) == ["03-01T01:00/03-01T02:00", "03-02T01:00/03-02T05:00", "03-03T01:00/03-03T04:00"]


def test_a_rule_of_several_hours_makes_several_times_a_day() -> None:
    data = calendar("DTSTART:20270301T010000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=4;BYHOUR=1,5")
    assert said(data) == [
        "03-01T01:00/03-01T02:00",
        "03-01T05:00/03-01T06:00",
        "03-02T01:00/03-02T02:00",
        "03-02T05:00/03-02T06:00",
    ]


DAILY = "DTSTART;TZID=Europe/Berlin:20270301T090000\r\nDURATION:PT1H\r\nRRULE:FREQ=DAILY;COUNT=3"
SECOND = "RECURRENCE-ID;TZID=Europe/Berlin:20270302T090000"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (f"{SECOND}\r\nDTSTART:20270302T120000Z\r\nDURATION:PT2H", ["03-01T08:00", "03-02T12:00", "03-03T08:00"]),
        (
            "RECURRENCE-ID:20270302T080000Z\r\nDTSTART:20270305T120000Z\r\nDURATION:PT2H",
            ["03-01T08:00", "03-03T08:00", "03-05T12:00"],
        ),
        (f"{SECOND}\r\nSTATUS:CANCELLED\r\nDTSTART:20270302T120000Z\r\nDURATION:PT2H", ["03-01T08:00", "03-03T08:00"]),
        (f"{SECOND}\r\nTRANSP:TRANSPARENT\r\nDTSTART:20270302T080000Z\r\nDURATION:PT1H", ["03-01T08:00", "03-03T08:00"]),
        (
            f"{SECOND.replace(';', ';RANGE=THISANDFUTURE;')}\r\nDTSTART;TZID=Europe/Berlin:20270302T110000\r\nDURATION:PT1H",
            ["03-01T08:00", "03-02T10:00", "03-03T10:00"],
        ),
        (
            "RECURRENCE-ID:20270401T080000Z\r\nDTSTART:20270401T120000Z\r\nDURATION:PT2H",
            ["03-01T08:00", "03-02T08:00", "03-03T08:00", "04-01T12:00"],
        ),
    ],
)
def test_an_override_stands_for_its_occurrence(override: str, expected: list[str]) -> None:
    assert [one.split("/")[0] for one in said(two(DAILY, override))] == expected
    assert [one.split("/")[0] for one in said(two(override, DAILY))] == expected


def test_of_two_versions_of_an_event_the_later_counts() -> None:
    old = "SEQUENCE:1\r\nDTSTART:20270301T010000Z\r\nDURATION:PT1H"
    new = "SEQUENCE:2\r\nDTSTART:20270302T010000Z\r\nDURATION:PT1H"
    assert said(two(new, old)) == ["03-02T01:00/03-02T02:00"]


def test_published_busy_times_count() -> None:
    data = calendar(
        "FREEBUSY:20270301T010000Z/20270301T020000Z,20270302T010000Z/PT1H",
        "FREEBUSY;FBTYPE=FREE:20270303T010000Z/PT1H",
        "FREEBUSY;FBTYPE=BUSY-TENTATIVE:20270304T010000Z/PT1H",
        around="VFREEBUSY",
    )
    assert [one[:5] for one in said(data)] == ["03-01", "03-02", "03-04"]


def test_zones_are_known_by_many_names() -> None:
    places = {"Custom": "Europe/Berlin"}
    for name in ("Europe/Berlin", "W. Europe Standard Time", "/x.org/2026/Europe/Berlin", "europe/berlin", "Custom"):
        found = zone_named(name, places)
        assert found is not None
        assert found.key == "Europe/Berlin"
    assert zone_named("Mars/Olympus", {}) is None


def test_an_unknown_zone_is_told_and_the_place_of_the_resource_assumed() -> None:
    data = calendar("DTSTART;TZID=Mars/Olympus:20270310T090000", "DURATION:PT1H")
    assert said(data) == ["03-10T01:00/03-10T02:00"]
    assert notes(data) == {("unknown_zone", "Mars/Olympus")}


def test_the_zone_of_the_file_counts_for_times_without_one() -> None:
    event = "BEGIN:VEVENT\r\nDTSTART:20270310T090000\r\nDURATION:PT1H\r\nEND:VEVENT"
    data = wrapped(f"X-WR-TIMEZONE:Europe/Berlin\r\n{event}")
    assert said(data) == ["03-10T08:00/03-10T09:00"]


@pytest.mark.parametrize(
    ("lines", "note"),
    [
        (["DTSTART:20270230T010000Z", "DURATION:PT1H"], ("bad_time", "20270230T010000Z")),
        (["DTSTART:tomorrow", "DURATION:PT1H"], ("bad_time", "tomorrow")),
        (["DURATION:PT1H"], ("bad_time", "DTSTART")),
        (["DTSTART:20270310T010000Z", "DURATION:-PT1H"], ("bad_time", "-PT1H")),
        (["DTSTART:20270310T020000Z", "DTEND:20270310T010000Z"], ("bad_time", "2027-03-10 01:00:00")),
        (["DTSTART:20270310T020000Z", "DURATION:PT1H", "RRULE:FREQ=SECONDLY"], ("bad_rule", "FREQ=SECONDLY")),
        (["DTSTART:20270310T020000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;INTERVAL=0"], ("bad_rule", "FREQ=DAILY;INTERVAL=0")),
    ],
)
def test_what_is_not_understood_is_told(lines: list[str], note: tuple[str, str]) -> None:
    data = calendar(*lines)
    assert notes(data) == {note}
    assert len(said(data)) == (1 if note[0] == "bad_rule" else 0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not_a_calendar"),
        (b"<html>Sign in</html>", "not_a_calendar"),
        (b"BEGIN:VEVENT\r\nEND:VEVENT", "not_a_calendar"),
        (b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nEND:VCALENDAR", "not_a_calendar"),
        (calendar("DTSTART:20270310T020000Z")[:-15], "cut_off"),
        (b"BEGIN:VCALENDAR\r\n" + b"BEGIN:VEVENT\r\n" * 10_000, "too_many"),
        (wrapped("BEGIN:VEVENT\r\nEND:VEVENT\r\n" * 6_000), "too_many"),
        (wrapped("X" * LARGEST), "too_large"),
        (wrapped("\r\n" * 400_000), "too_large"),
        (wrapped("BEGIN:VEVENT\r\nDTSTART:19000101T000000Z\r\nRRULE:FREQ=DAILY;COUNT=99999\r\nEND:VEVENT\r\n" * 400), "too_many"),
        (wrapped("BEGIN:VEVENT\r\nDTSTART:20270101T000000Z\r\nRRULE:FREQ=DAILY\r\nEND:VEVENT\r\n" * 100), "too_many"),
        (calendar("DTSTART:20270101T000000Z", "RRULE:FREQ=DAILY;BYMINUTE=" + ",".join(map(str, range(60)))), "too_many"),
    ],
)
def test_what_is_no_calendar_or_too_much_is_refused_soon(data: bytes, reason: str) -> None:
    begun = time.monotonic()
    with pytest.raises(Unreadable) as refused:
        read(data, zone=SHANGHAI, within=YEAR)
    assert refused.value.values == {"reason": reason}
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize(
    "line",
    [
        "DTSTART" + ";" * 500_000 + ":x",
        "DTSTART;A=" + '"' * 500_000 + ":x",
        "DTSTART" + ";A=B" * 100_000,
        "RDATE:" + "," * 900_000,
        "EXDATE:" + "x," * 400_000,
        "RRULE:" + "BYDAY=MO;" * 50_000,
        "DTSTART:" + "9" * 500_000,
    ],
)
def test_a_hostile_line_costs_little(line: str) -> None:
    begun = time.monotonic()
    found = read(calendar("DTSTART:20270310T020000Z", "DURATION:PT1H", line), zone=SHANGHAI, within=YEAR)
    assert isinstance(found, Read)
    assert time.monotonic() - begun < 20


def test_many_overrides_of_one_name_cost_little() -> None:
    master = "BEGIN:VEVENT\r\nUID:a\r\nDTSTART:20260101T000000Z\r\nDURATION:PT1M\r\nRRULE:FREQ=DAILY;COUNT=40\r\nEND:VEVENT\r\n"
    other = "BEGIN:VEVENT\r\nUID:a\r\nDTSTART:2026{0}\r\nRECURRENCE-ID;RANGE=THISANDFUTURE:2026{0}\r\nEND:VEVENT\r\n"
    times = [f"01{1 + number % 28:02}T{number % 24:02}{number % 60:02}00Z" for number in range(2400)]
    begun = time.monotonic()
    read(wrapped(master * 100 + "".join(other.format(one) for one in times)), zone=SHANGHAI, within=YEAR)
    assert time.monotonic() - begun < 20


def test_a_rule_that_began_long_ago_is_read_from_the_window_on() -> None:
    lines = ["DTSTART;TZID=Europe/Berlin:19990104T090000", "DURATION:PT1H", "RRULE:FREQ=WEEKLY;INTERVAL=2"]
    begun, first, last = (datetime(year, month, day, 9) for year, month, day in ((1999, 1, 4), (2027, 1, 1), (2028, 1, 1)))  # noqa: DTZ001
    expected = rrulestr("FREQ=WEEKLY;INTERVAL=2", dtstart=begun).between(first, last)
    assert len(said(calendar(*lines))) == len(expected)
    assert said(calendar(*lines))[0][:5] == f"{expected[0]:%m-%d}"


@pytest.mark.laws
def test_rules_give_what_another_library_gives() -> None:
    chance, first = Random(4), datetime(2025, 3, 3, 9)  # noqa: DTZ001
    pieces = (
        ["FREQ=DAILY", "FREQ=WEEKLY", "FREQ=MONTHLY", "FREQ=YEARLY"],
        ["", ";INTERVAL=2", ";INTERVAL=3"],
        ["", ";COUNT=40", ";UNTIL=20270630T000000Z"],
        ["", ";BYMONTH=3,7", ";BYDAY=MO,TH"],
    )
    for _ in range(60):
        rule = "".join(chance.choice(part) for part in pieces)
        wanted = {first, *rrulestr(rule.replace("T000000Z", "T000000"), dtstart=first)[:2000]}
        if "COUNT" in rule and first not in list(rrulestr(rule.replace("Z", ""), dtstart=first)[:1]):
            continue
        inside = sorted(f"{one:%m-%d}" for one in wanted if one.year == 2027)
        lines = ["DTSTART:20250303T090000Z", "DURATION:PT1H", f"RRULE:{rule}"]
        assert [one[:5] for one in said(calendar(*lines))] == inside, rule


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=HOURLY;INTERVAL=5;COUNT=30",
        "FREQ=HOURLY;INTERVAL=7;UNTIL=20270320T000000Z",
        "FREQ=HOURLY;BYHOUR=9,14;BYDAY=MO,WE;COUNT=12",
        "FREQ=HOURLY;INTERVAL=2;BYMINUTE=0,30;COUNT=20",
        "FREQ=MINUTELY;INTERVAL=90;COUNT=40",
        "FREQ=MINUTELY;BYHOUR=10;BYMINUTE=0,20,40;BYDAY=FR;COUNT=10",
        "FREQ=YEARLY;BYWEEKNO=12,30;BYDAY=TU",
        "FREQ=YEARLY;BYYEARDAY=60,100,-1",
    ],
)
def test_rules_by_the_hour_the_minute_the_week_and_the_day_of_the_year(rule: str) -> None:
    first = datetime(2027, 3, 1, 9)  # noqa: DTZ001
    wanted = {first, *rrulestr(rule.replace("Z", ""), dtstart=first).between(datetime(2027, 1, 1), datetime(2028, 1, 1))}  # noqa: DTZ001
    count = int(rule.partition("COUNT=")[2] or 0)  # the start is the first of those counted, here, whatever the rule says of it
    inside = sorted(f"{one:%m-%dT%H:%M}" for one in wanted)[: count or None]
    assert [one.split("/")[0] for one in said(calendar("DTSTART:20270301T090000Z", "DURATION:PT10M", f"RRULE:{rule}"))] == inside


def test_a_rule_by_the_second_is_told_and_only_its_first_time_is_taken() -> None:
    found = read(calendar("DTSTART:20270301T090000Z", "DURATION:PT1S", "RRULE:FREQ=SECONDLY"), zone=SHANGHAI, within=YEAR)
    assert (len(found.busy), [note.code for note in found.notes]) == (1, ["bad_rule"])


def test_every_minute_for_a_year_is_too_much() -> None:
    with pytest.raises(Unreadable):
        read(calendar("DTSTART:20270301T090000Z", "DURATION:PT1M", "RRULE:FREQ=MINUTELY"), zone=SHANGHAI, within=YEAR)


def test_our_own_bookings_do_not_come_back_to_us() -> None:
    data = calendar("DTSTART:20270310T010000Z", "DURATION:PT1H").replace(b"UID:one", b"UID:bk_1@pilotbench")
    assert read(data, zone=SHANGHAI, within=YEAR, ours={"bk_1"}).busy == []
    assert len(read(data, zone=SHANGHAI, within=YEAR, ours={"bk_2"}).busy) == 1
