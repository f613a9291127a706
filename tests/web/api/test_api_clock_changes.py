"""Days of 23, 24 and 25 hours, and those that change by half an hour: booked, listed, repeated and counted by the wall clock."""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from marketplace import clock
from tests.web.api.world import YUAN_300, World, refused

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
DAY_H = 24
FAR = {"horizon_days": 730}
ALL_DAY = [{"weekday": day, "open": "00:00", "close": "24:00"} for day in range(7)]


@cache
def change(zone: str, *, longer: bool) -> date:
    """The next day but nine on which the clocks go back (`longer`) or forward."""
    today = clock.now().astimezone(ZoneInfo(zone)).date()
    days = (today + timedelta(days=ahead) for ahead in count(10))
    return next(day for day in days if (length(zone, day) > DAY_H if longer else length(zone, day) < DAY_H))


def length(zone: str, day: date) -> float:
    """Hours from midnight to midnight."""
    return (midnight(zone, day + timedelta(days=1)) - midnight(zone, day)) / timedelta(hours=1)


def midnight(zone: str, day: date) -> datetime:
    return wall(zone, day, "00:00")


def wall(zone: str, day: date, at: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(f"{day}T{at}").replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def slot(start: datetime, end: datetime) -> dict[str, str]:
    return {"start": start.isoformat(), "end": end.isoformat()}


def whole(zone: str, day: date, days: int = 1) -> dict[str, str]:
    return slot(midnight(zone, day), midnight(zone, day + timedelta(days=days)))


def a_place(world: World, zone: str, **rules: Any) -> str:
    hours = rules.pop("hours", [])
    return world.a_resource(timezone=zone, hours=hours, rules={**FAR, **rules}, step_min=15)


@pytest.fixture(params=[(zone, longer) for zone in ZONES for longer in (False, True)], ids=str)
def changed(request: pytest.FixtureRequest) -> tuple[str, date]:
    zone, longer = request.param
    return zone, change(zone, longer=longer)


def test_the_whole_day_is_listed_booked_and_priced_as_long_as_it_is(world: World, changed: tuple[str, date]) -> None:
    zone, day = changed
    for hours in (ALL_DAY, []):
        place = a_place(world, zone, hours=hours)
        asked = whole(zone, day)
        query = {"from": asked["start"], "to": asked["end"]}
        assert world.get(f"/resources/{place}/availability", params=query).json()["free"] == [asked]
        made = world.made(f"/resources/{place}/bookings", world.member, asked)
        assert made["quote"]["minor"] == YUAN_300["minor"] * length(zone, day)
        assert world.get(f"/resources/{place}/availability", params=query).json()["free"] == []


def test_nights_and_several_days_across_the_change(world: World, changed: tuple[str, date]) -> None:
    """Open from 18:00 to 24:00 and from 00:00 to 06:00 of the next day is open for the night, twelve hours by the wall clock."""
    zone, day = changed
    before = day - timedelta(days=1)
    nights = [{"weekday": before.weekday(), "open": "18:00", "close": "24:00"}]
    nights += [{"weekday": day.weekday(), "open": "00:00", "close": "06:00"}]
    place = a_place(world, zone, hours=nights)
    night = slot(wall(zone, before, "18:00"), wall(zone, day, "06:00"))
    made = world.made(f"/resources/{place}/bookings", world.member, night)
    assert made["quote"]["minor"] == YUAN_300["minor"] * (12 + length(zone, day) - DAY_H)
    longer = slot(wall(zone, before, "17:45"), wall(zone, day, "06:00"))
    body = refused(world.post(f"/resources/{place}/bookings", world.member, json=longer), 409)
    assert "outside_hours" in {reason["code"] for reason in body["reasons"]}
    always = a_place(world, zone)
    days = world.made(f"/resources/{always}/bookings", world.member, whole(zone, before, 3))
    assert days["quote"]["minor"] == YUAN_300["minor"] * (2 * DAY_H + length(zone, day))


def test_a_days_quota_is_of_the_local_day(world: World, changed: tuple[str, date]) -> None:
    """Of 24 hours a day the long day leaves some over, the short one not; what lies a minute past midnight is of another day."""
    zone, day = changed
    place = a_place(world, zone, quotas=[{"limit": 24, "unit": "hours", "per": "day", "by": "organisation"}])
    reply = world.post(f"/resources/{place}/bookings", world.member, json=whole(zone, day))
    if length(zone, day) > DAY_H:
        body = refused(reply, 409)
        assert [reason["code"] for reason in body["reasons"]] == ["over_quota_hours"]
        assert body["reasons"][0]["since"] == day.isoformat()
    else:
        assert reply.status_code == 201, reply.text
    world.made(f"/resources/{place}/bookings", world.member, whole(zone, day + timedelta(days=1)))


def test_a_series_keeps_the_wall_clock_across_the_change(world: World, changed: tuple[str, date]) -> None:
    zone, day = changed
    place = a_place(world, zone)
    first = slot(wall(zone, day - timedelta(days=1), "22:00"), wall(zone, day, "09:00"))
    body = {**first, "rrule": "FREQ=DAILY;COUNT=3"}
    made = world.made(f"/resources/{place}/booking-series", world.member, body)
    local = [
        [datetime.fromisoformat(row[end]).astimezone(ZoneInfo(zone)) for end in ("start", "end")] for row in made["bookings"]
    ]
    assert [(f"{start:%H:%M}", f"{end:%H:%M}") for start, end in local] == [("22:00", "09:00")] * 3
    elapsed = [(end.astimezone(UTC) - start.astimezone(UTC)) / timedelta(hours=1) for start, end in local]
    assert elapsed == [11 + length(zone, day) - DAY_H, 11, 11]


@pytest.mark.parametrize("zone", ZONES)
def test_a_time_that_is_skipped_is_a_gap_and_one_that_comes_twice_is_the_earlier(world: World, zone: str) -> None:
    """02:15 is skipped in all three zones; where it comes twice only the instant tells which is meant."""
    place, day = a_place(world, zone), change(zone, longer=False)
    start = wall(zone, day - timedelta(days=1), "02:15")
    body = {**slot(start, start + timedelta(minutes=15)), "rrule": "FREQ=DAILY;COUNT=3"}
    path = f"/resources/{place}/booking-series"
    refused_body = refused(world.post(path, world.member, json=body), 409)
    assert {reason["code"] for reason in refused_body["reasons"]} == {"no_such_time"}
    made = world.made(path, world.member, {**body, "on_conflict": "skip"})
    assert len(made["bookings"]) == 2
    assert [reason["code"] for gap in made["skipped"] for reason in gap["reasons"]] == ["no_such_time"]
    long = change(zone, longer=True)
    twice = "01:45" if wall(zone, long, "01:45") != wall(zone, long, "01:45", fold=1) else "02:15"
    both = [wall(zone, long, twice, fold=fold) for fold in (0, 1)]
    assert both[0] < both[1]
    for at in both:
        world.made(f"/resources/{place}/bookings", world.member, slot(at, at + timedelta(minutes=15)))


@pytest.mark.parametrize("zone", ZONES)
def test_offsets_of_the_writer_do_not_matter(world: World, zone: str) -> None:
    """The same instants by any clock are the same slot."""
    place, day = a_place(world, zone), change(zone, longer=False)
    start, end = wall(zone, day, "00:30"), wall(zone, day, "05:30")
    path = f"/resources/{place}/bookings"
    offsets = [ZoneInfo(name) for name in ("Asia/Kathmandu", "Pacific/Kiritimati", "Pacific/Marquesas", zone)]
    made = world.made(path, world.member, slot(start.astimezone(offsets[0]), end.astimezone(offsets[1])))
    assert (made["start"], made["end"]) == (start.isoformat(), end.isoformat())
    for other in offsets[2:]:
        body = refused(
            world.post(path, world.member, json=slot(start.astimezone(other), end.astimezone(other))), 409, "slot_taken"
        )
        assert body["conflicts"] == [slot(start, end)]
