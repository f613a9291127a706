"""Zones that a calendar file defines itself (VTIMEZONE): used where nobody else knows the name, and within bounds."""

import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from icalendar import Timezone

from booking.external.lines import Unreadable
from booking.external.reading import read
from marketplace.slot import Slot

SHANGHAI = ZoneInfo("Asia/Shanghai")
YEAR = Slot(datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC))
RULES = {
    "STANDARD": "DTSTART:19701025T030000\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100",
    "DAYLIGHT": "DTSTART:19700329T020000\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0200",
}
FIXED = {"STANDARD": "DTSTART:16010101T000000\nTZOFFSETFROM:-0500\nTZOFFSETTO:-0500"}


def zone(parts: dict[str, str] | list[tuple[str, str]], name: str = "Ours") -> str:
    said = parts.items() if isinstance(parts, dict) else parts
    inside = "\n".join(f"BEGIN:{kind}\n{text}\nEND:{kind}" for kind, text in said)
    return f"BEGIN:VTIMEZONE\nTZID:{name}\n{inside}\nEND:VTIMEZONE"


def event(*lines: str) -> str:
    return "\n".join(["BEGIN:VEVENT", "UID:one", *lines, "END:VEVENT"])


def file(*parts: str) -> bytes:
    return "\n".join(["BEGIN:VCALENDAR", *parts, "END:VCALENDAR", ""]).replace("\n", "\r\n").encode()


def said(*parts: str) -> list[str]:
    found = read(file(*parts), zone=SHANGHAI, within=YEAR)
    assert found.notes == []
    return [f"{one.start:%m-%dT%H:%M}/{one.end:%m-%dT%H:%M}" for one in found.busy]


def told(*parts: str) -> list[tuple[str, str]]:
    return [(note.code, note.value) for note in read(file(*parts), zone=SHANGHAI, within=YEAR).notes]


def at(start: str, *more: str, name: str = "Ours") -> str:
    return event(f"DTSTART;TZID={name}:{start}", "DURATION:PT1H", *more)


def test_a_fixed_offset_counts_before_and_after_the_events() -> None:
    vague = zone(FIXED, "Customized Time Zone")
    assert said(vague, at("20270112T090000", name="Customized Time Zone")) == ["01-12T14:00/01-12T15:00"]
    assert said(at("20270712T090000", name="Customized Time Zone"), vague) == ["07-12T14:00/07-12T15:00"]
    assert said(vague, event("DTSTART:20270112T090000", "DURATION:PT1H")) == ["01-12T01:00/01-12T02:00"]


@pytest.mark.parametrize("offset", ["+0545", "-0330", "+053000", "+1400"])
def test_an_offset_may_be_of_any_minutes(offset: str) -> None:
    parts = {"STANDARD": f"DTSTART:20000101T000000\nTZOFFSETFROM:{offset}\nTZOFFSETTO:{offset}"}
    expected = datetime.strptime(f"20270112T120000{offset}", "%Y%m%dT%H%M%S%z").astimezone(UTC)
    assert said(zone(parts), at("20270112T120000"))[0].startswith(f"{expected:%m-%dT%H:%M}")


@pytest.mark.parametrize(
    "lines",
    [
        ("20270327T090000", "RRULE:FREQ=DAILY;COUNT=4"),
        ("20271030T090000", "RRULE:FREQ=DAILY;COUNT=4"),
        ("20270327T023000", "RRULE:FREQ=DAILY;COUNT=3"),
        ("20270328T023000",),
        ("20271031T023000",),
        ("20271031T030000",),
        ("20150105T090000", "RRULE:FREQ=WEEKLY;BYDAY=MO"),
        ("20270326T090000", "RRULE:FREQ=DAILY;UNTIL=20270329T070000Z"),
        ("20270326T090000", "RRULE:FREQ=DAILY;UNTIL=20270329T065959Z"),
        ("20270326T090000", "RRULE:FREQ=DAILY;COUNT=5", "EXDATE;TZID=Ours:20270329T090000"),
        ("20271030T090000", "RDATE;TZID=Ours:20271031T090000"),
    ],
)
def test_rules_that_say_what_berlin_does_make_the_same_times(lines: tuple[str, ...]) -> None:
    berlin = event(*(line.replace("Ours", "Europe/Berlin") for line in at(*lines).split("\n")[2:-1]))
    assert said(zone(RULES), at(*lines)) == said(berlin) != []


@pytest.mark.parametrize("name", ["America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
def test_what_another_library_writes_of_a_zone_gives_its_times(name: str) -> None:
    defined = Timezone.from_tzid(name, first_date=datetime(2020, 1, 1).date(), last_date=datetime(2029, 1, 1).date())  # noqa: DTZ001
    text = defined.to_ical().decode().replace("\r\n", "\n").strip().replace(f"TZID:{name}", "TZID:Ours")
    daily = ("20270101T013000", "RRULE:FREQ=DAILY")
    assert said(text, at(*daily)) == said(at(*daily, name=name))


def test_before_the_first_observance_the_offset_that_it_ends_counts() -> None:
    parts = {"DAYLIGHT": "DTSTART:20270601T000000\nTZOFFSETFROM:+0300\nTZOFFSETTO:+0400"}
    assert said(zone(parts), at("20270501T090000")) == ["05-01T06:00/05-01T07:00"]
    assert said(zone(parts), at("20270701T090000")) == ["07-01T05:00/07-01T06:00"]


def test_changes_that_ended_long_ago_leave_what_they_ended_with() -> None:
    parts = {
        "DAYLIGHT": "DTSTART:19900325T020000\nRRULE:FREQ=YEARLY;UNTIL=20000326T010000Z;BYMONTH=3;BYDAY=-1SU\n"
        "TZOFFSETFROM:+0100\nTZOFFSETTO:+0200",
        "STANDARD": "DTSTART:19900930T030000\nRRULE:FREQ=YEARLY;COUNT=11;BYMONTH=9;BYDAY=-1SU\n"
        "TZOFFSETFROM:+0200\nTZOFFSETTO:+0100",
    }
    assert said(zone(parts), at("20270701T090000")) == ["07-01T08:00/07-01T09:00"]


def test_single_dates_are_changes_too() -> None:
    parts = {
        "STANDARD": "DTSTART:20261025T030000\nRDATE:20271031T030000\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100",
        "DAYLIGHT": "DTSTART:20260329T020000\nRDATE:20270328T020000,20280326T020000\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0200",
    }
    for day in ("20270301", "20270328", "20270701", "20271101"):
        assert said(zone(parts), at(f"{day}T090000")) == said(at(f"{day}T090000", name="Europe/Berlin"))


def test_a_name_that_is_known_keeps_its_own_rules() -> None:
    assert said(zone(FIXED, "Europe/Berlin"), at("20270112T090000", name="Europe/Berlin")) == ["01-12T08:00/01-12T09:00"]
    place = zone(FIXED).replace("TZID:Ours", "TZID:Ours\nX-LIC-LOCATION:Europe/Berlin")
    assert said(place, at("20270112T090000")) == ["01-12T08:00/01-12T09:00"]


def test_the_machines_own_zone_is_no_name_of_a_zone() -> None:
    assert told(at("20270112T090000", name="localtime")) == [("unknown_zone", "localtime")]
    assert said(zone(FIXED, "localtime"), at("20270112T090000", name="localtime")) == ["01-12T14:00/01-12T15:00"]


def test_of_two_definitions_of_a_name_the_first_counts() -> None:
    assert said(zone(FIXED), zone(RULES), at("20270112T090000")) == ["01-12T14:00/01-12T15:00"]
    assert said(zone(RULES), zone(FIXED), at("20270112T090000")) == ["01-12T08:00/01-12T09:00"]


def test_a_name_with_commas_is_found() -> None:
    name = "(UTC-05:00) Here, there; and elsewhere"
    escaped = name.replace(",", "\\,").replace(";", "\\;")
    assert said(zone(FIXED, escaped), at("20270112T090000", name=f'"{name}"')) == ["01-12T14:00/01-12T15:00"]


def test_the_zone_of_the_file_may_be_one_that_it_defines() -> None:
    named = "X-WR-TIMEZONE:Ours"
    assert said(named, zone(FIXED), event("DTSTART:20270112T090000", "DURATION:PT1H")) == ["01-12T14:00/01-12T15:00"]


BROKEN = [
    {},
    {"STANDARD": "TZOFFSETFROM:-0500\nTZOFFSETTO:-0500"},
    {"STANDARD": "DTSTART:19700101T000000\nTZOFFSETTO:-0500"},
    {"STANDARD": "DTSTART:19700101T000000\nTZOFFSETFROM:-0500\nTZOFFSETTO:5"},
    {"STANDARD": "DTSTART:19700101T000000\nTZOFFSETFROM:-0500\nTZOFFSETTO:+2400"},
    {"STANDARD": "DTSTART:00010101T000000\nTZOFFSETFROM:-0500\nTZOFFSETTO:-0500"},
    {"STANDARD": "DTSTART:19700230T000000\nTZOFFSETFROM:-0500\nTZOFFSETTO:-0500"},
    *({"STANDARD": f"{FIXED['STANDARD']}\nRRULE:{rule}"} for rule in ("FREQ=SECONDLY", "FREQ=DAILY;COUNT=999999999", "COUNT=1")),
    {"STANDARD": "DTSTART:21991231T235900\nTZOFFSETFROM:-1200\nTZOFFSETTO:-1200"},
    {"STANDARD": f"{FIXED['STANDARD']}\nRDATE:never"},
    [("STANDARD", FIXED["STANDARD"])] * 101,
]


@pytest.mark.parametrize("parts", BROKEN)
def test_a_definition_that_says_no_zone_is_told_as_an_unknown_one(parts: dict[str, str]) -> None:
    data = file(zone(parts), at("20270112T090000"))
    found = read(data, zone=SHANGHAI, within=YEAR)
    assert [(note.code, note.value) for note in found.notes] == [("unknown_zone", "Ours")]
    assert f"{found.busy[0].start:%H:%M}" == "01:00"


def test_a_definition_that_nobody_asks_for_costs_nothing() -> None:
    assert told(*(zone(RULES, f"Zone {number}") for number in range(1000)), event("DTSTART:20270112T090000Z")) == []


@pytest.mark.parametrize("rule", ["FREQ=YEARLY;INTERVAL=1000;COUNT=9", "FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU"])
def test_hostile_rules_of_many_zones_cost_little(rule: str) -> None:
    parts = [("STANDARD", f"{FIXED['STANDARD']}\nRRULE:{rule}")] * 10
    names = [f"Zone {number}" for number in range(400)]
    data = file(*(zone(parts, name) for name in names), *(at("20270112T090000", name=name) for name in names))
    begun = time.monotonic()
    with pytest.raises(Unreadable) as refused:
        read(data, zone=SHANGHAI, within=YEAR)
    assert refused.value.values == {"reason": "too_many"}
    assert time.monotonic() - begun < 20
