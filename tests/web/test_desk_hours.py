"""Opening hours in the listing's editor: presets, an own week, several intervals a day, and what cannot be one."""

import re
from datetime import timedelta

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace import clock
from tests.web.desks import Desk, error_beside
from web.present import opening
from web.present.opening import WrongHours

LISTED = {"name": "离心喷雾干燥机", "kind": "small_line", "price": "540", "capacity": "1"}
CLOCK = re.compile(r'name="((?:open|close)_\d_\d+)"[^>]* value="([^"]*)"')


def week_of(page: str) -> dict[str, str]:
    """The filled fields of the week."""
    return {name: value for name, value in CLOCK.findall(page) if value}


def save(desk: Desk, **changes: str) -> httpx2.Response:
    """Send the editor as its page stands, with `changes`."""
    page = desk.reader("manager").get(f"/desk/resources/{desk.resource}").text
    version = re.findall(r'name="version" value="(\d+)"', page)[0]
    shown = "week" if week_of(page) else "always"
    fields = {**LISTED, **week_of(page), "hours": shown, "version": version, **changes}
    return desk.reader("manager").post(f"/desk/resources/{desk.resource}", **fields)


def test_a_preset_fills_the_week_and_stays_as_it_is(desk: Desk) -> None:
    page = desk.reader("manager").get(f"/desk/resources/{desk.resource}").text
    assert week_of(page) == {
        f"{end}_{day}_1": clock for day in range(5) for end, clock in (("open", "08:30"), ("close", "17:30"))
    }
    assert week_of(save(desk).text) == week_of(page)
    assert week_of(save(desk, hours="always").text) == {}
    assert week_of(save(desk, hours="daily").text)["close_6_1"] == "20:00"


def test_a_day_has_two_intervals_and_another_is_closed(desk: Desk) -> None:
    lunch = {"close_0_1": "12:00", "open_0_2": "１３：３０", "close_0_2": "24:00", "open_4_1": "", "close_4_1": ""}
    page = save(desk, **lunch).text
    kept = week_of(page)
    assert [kept[name] for name in ("open_0_1", "close_0_1", "open_0_2", "close_0_2")] == ["08:30", "12:00", "13:30", "24:00"]
    assert "open_4_1" not in kept
    assert 'name="open_0_3"' in page


def test_what_was_typed_over_day_and_night_counts(desk: Desk) -> None:
    save(desk, hours="always")
    assert week_of(save(desk, hours="always", open_2_1="9", close_2_1="1700").text) == {
        "open_2_1": "09:00",
        "close_2_1": "17:00",
    }


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"open_0_1": "noon"}, "open_0_1", "no time of day"),
        ({"close_0_1": ""}, "close_0_1", "other end"),
        ({"open_0_1": "18:00"}, "close_0_1", "closes before it opens"),
        ({"open_0_2": "17:00", "close_0_2": "19:00"}, "open_0_2", "overlaps"),
        ({f"{end}_{day}_1": "" for day in range(5) for end in ("open", "close")}, "hours", "No day is open"),
        ({"hours": "daily", "close_0_1": "18:00"}, "hours", "preset"),
    ],
)
def test_a_wrong_week_is_told_beside_its_field_and_nothing_is_lost(
    desk: Desk, changes: dict[str, str], field: str, said: str
) -> None:
    answer = save(desk, name="改名", **changes)
    assert answer.status_code == 422
    assert said in error_beside(answer.text, field)
    assert 'value="改名"' in answer.text
    stored = desk.reader("manager").get(f"/desk/resources/{desk.resource}").text
    assert "改名" not in stored
    assert week_of(stored)["close_0_1"] == "17:30"


def test_only_the_houses_managers_change_hours(desk: Desk) -> None:
    for who, status in (("technician", 403), ("stranger", 404), ("customer", 404)):
        answer = desk.reader(who).post(f"/desk/resources/{desk.resource}", **LISTED, hours="always", version="1")
        assert answer.status_code == status, who


def test_only_typed_hours_are_bookable(desk: Desk) -> None:
    only = {f"{end}_{day}_1": "" for day in range(5) for end in ("open", "close")} | {"open_6_1": "10:00", "close_6_1": "12:00"}
    assert save(desk, **only).status_code == 200
    monday = (clock.now() + timedelta(days=14)).date()
    monday -= timedelta(days=monday.weekday())
    window = {"from": f"{monday}T00:00:00+08:00", "to": f"{monday + timedelta(days=7)}T00:00:00+08:00"}
    free = desk.reader("customer").client.get(f"/api/v1/resources/{desk.resource}/availability", params=window).json()["free"]
    sunday = monday + timedelta(days=6)
    assert free == [{"start": f"{sunday}T02:00:00+00:00", "end": f"{sunday}T04:00:00+00:00"}]


SPAN = st.tuples(st.integers(0, 6), st.integers(0, 1439), st.integers(1, 1440)).filter(lambda span: span[1] < span[2])


@given(st.lists(SPAN, max_size=20))
def test_a_week_survives_its_fields(spans: list[tuple[int, int, int]]) -> None:
    week = [{"weekday": day, "open_min": opens, "close_min": closes} for day, opens, closes in spans]
    read, faults = opening.read_week(opening.as_fields(week))
    assert faults == []
    assert read == opening.merged(week)
    assert opening.chosen_hours(week, {**opening.as_fields(week), "hours": opening.shown_choice(week)}) == week


def test_a_preset_and_a_changed_week_contradict() -> None:
    with pytest.raises(WrongHours):
        opening.chosen_hours(opening.PRESETS["daily"], {"hours": "workdays", "open_0_1": "9", "close_0_1": "10"})
