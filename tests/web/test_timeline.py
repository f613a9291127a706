"""The publisher's timeline without JavaScript: who sees it, what a move would come to, moving, and taking it back."""

import html
import re

import pytest

from tests.web.desks import Desk
from tests.web.test_desk_outages import a_booking, day

FORM = re.compile(r'name="(\w+)" value="([^"]*)"')


def timeline(desk: Desk, **more: str) -> str:
    asked = {"institution": desk.house, "scale": "week", "day": f"{day(9):%Y-%m-%d}", **more}
    return "/desk/timeline?" + "&".join(f"{name}={value}" for name, value in asked.items())


def trial(desk: Desk, booking: str, first: int, last: int, **more: str) -> str:
    asked = {"institution": desk.house, "booking": booking, "start": f"{day(first):%Y-%m-%dT%H:%M}", **more}
    return "/desk/timeline/move?" + "&".join(
        f"{name}={value}" for name, value in {**asked, "end": f"{day(last):%Y-%m-%dT%H:%M}"}.items()
    )


def form(page: str, button: str) -> dict[str, str]:
    """The fields of the form that ends in that button."""
    return dict(FORM.findall(page[: page.index(button)].rpartition("<form")[2]))


def version_of(desk: Desk, booking: str) -> str:
    return form(desk.reader("manager").get(trial(desk, booking, 13, 15)).text, ">See whether it fits<")["version"]


def test_every_line_shows_its_bookings_as_bars_and_as_a_list(desk: Desk) -> None:
    booking, other = a_booking(desk), desk.list_machine()
    page = desk.reader("manager").get(timeline(desk)).text
    assert re.findall(r'data-resource="(\w+)"', page).count(other) == 1
    [bar] = re.findall(rf'<a class="slab is-confirmed"[^>]*data-id="{booking}"[^>]*>', page)
    assert 'data-moves="all"' in bar
    assert "10:00–12:00, Confirmed" in bar
    assert "The same as a list (1 booking)" in page
    assert "Move …" in page


@pytest.mark.parametrize(
    ("who", "status", "moves"), [("technician", 403, 0), ("finance", 403, 0), ("stranger", 404, 0), ("customer", 404, 0)]
)
def test_only_who_decides_moves_and_a_stranger_knows_nothing(desk: Desk, who: str, status: int, moves: int) -> None:
    booking = a_booking(desk)
    reader = desk.reader(who)
    page = reader.get(timeline(desk))
    assert page.status_code == (200 if status == 403 else 404)
    assert page.text.count('data-moves="all"') == moves
    assert reader.get(trial(desk, booking, 13, 15)).status_code == status
    fields = {"institution": desk.house, "booking": booking, "version": "1", "resource": desk.resource}
    times = {"start": day(13).isoformat(), "end": day(15).isoformat()}
    assert reader.post("/desk/timeline/move", **fields, **times).status_code == status


def test_another_houses_machine_is_no_place_to_move_to(desk: Desk) -> None:
    booking = a_booking(desk)
    theirs = re.search(r"/desk/resources/(\w+)/devices", str(
        desk.reader("stranger").post("/desk/new", name="别家的炉", kind="instrument", price="1", hours="daily").url
    ))  # fmt: skip
    assert theirs
    assert desk.reader("manager").get(trial(desk, booking, 13, 15, resource=theirs[1])).status_code == 404


def test_a_move_is_judged_before_it_is_made_then_made_and_taken_back(desk: Desk) -> None:
    manager, booking, other = desk.reader("manager"), a_booking(desk), desk.list_machine()
    judged = manager.get(trial(desk, booking, 13, 16, resource=other)).text
    assert "It fits. Nothing is moved yet." in judged
    assert "The price changes from ¥1,080.00 to ¥1,620.00 at most." in judged
    assert "10:00–12:00" in manager.get(f"/bookings/{booking}").text
    moved = manager.post("/desk/timeline/move", **form(judged, ">Move it<"))
    assert "The booking is moved; the customer is told." in moved.text
    assert "13:00–16:00" in desk.reader("customer").get(f"/bookings/{booking}").text
    back = manager.post("/desk/timeline/move", **form(moved.text, ">Take it back<"))
    assert back.status_code == 200
    stands = desk.reader("customer").get(f"/bookings/{booking}").text
    assert "10:00–12:00" in stands
    assert f"/r/{desk.resource}" in stands


def test_a_refused_move_tells_every_reason_and_the_free_times(desk: Desk) -> None:
    manager, booking = desk.reader("manager"), a_booking(desk)
    start, end = day(16).isoformat(), day(18).isoformat()
    taken = desk.reader("customer").post(f"/r/{desk.resource}/bookings", start=day(14).isoformat(), end=day(16).isoformat())
    assert taken.status_code == 200
    page = html.unescape(manager.get(trial(desk, booking, 15, 18)).text)
    assert "It lies outside the opening hours." in page
    assert "Taken: " in page
    assert "15:00–16:00" in page[page.index("Taken:") :]
    assert "Nearest free times of the same length:" in page
    fields = {"institution": desk.house, "booking": booking, "version": version_of(desk, booking), "resource": desk.resource}
    refused = manager.post("/desk/timeline/move", **fields, start=start, end=end)
    assert refused.status_code == 409
    assert "Set the rules aside this once …" in refused.text


def test_the_publishers_own_rules_are_set_aside_with_a_reason(desk: Desk) -> None:
    manager, booking = desk.reader("manager"), a_booking(desk)
    page = manager.get(trial(desk, booking, 16, 18)).text
    fields = form(page, ">Move it all the same<")
    assert manager.post("/desk/timeline/move", **{**fields, "override": " "}).status_code == 422
    assert "10:00–12:00" in manager.get(f"/bookings/{booking}").text
    moved = manager.post("/desk/timeline/move", **{**fields, "override": "客户要求"})
    assert "The booking is moved" in moved.text
    assert "16:00–18:00" in manager.get(f"/bookings/{booking}").text


def test_a_move_of_what_has_changed_since_is_told_so(desk: Desk) -> None:
    manager, booking = desk.reader("manager"), a_booking(desk)
    fields = form(manager.get(trial(desk, booking, 13, 15)).text, ">Move it<")
    assert manager.post("/desk/timeline/move", **fields).status_code == 200
    late = manager.post("/desk/timeline/move", **fields)
    assert late.status_code == 412
    assert "It was changed since you opened it" in late.text
    assert "Someone else changed it first" in manager.get(trial(desk, booking, 9, 10, version=fields["version"])).text


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"start": "soon"}, "no date and time"), ({"end": ""}, "no date and time"), ({"end": "2026-01-01T00:00"}, "ends before")],
)
def test_a_time_that_is_none_is_told_beside_its_field(desk: Desk, changes: dict[str, str], said: str) -> None:
    manager, booking = desk.reader("manager"), a_booking(desk)
    fields = {"institution": desk.house, "booking": booking, "version": "1", "resource": desk.resource}
    times = {"start": f"{day(13):%Y-%m-%dT%H:%M}", "end": f"{day(15):%Y-%m-%dT%H:%M}", **changes}
    answer = manager.post("/desk/timeline/move", **fields, **times)
    assert answer.status_code == 422
    assert said in answer.text


def test_an_address_with_nonsense_draws_the_present_week(desk: Desk) -> None:
    page = desk.reader("manager").get(f"/desk/timeline?institution={desk.house}&scale=eon&day=0001-01-01&page=-3")
    assert page.status_code == 200
    assert 'class="now"' in page.text


def test_weeks_begin_as_the_reader_chose_or_as_their_browser_has_it(desk: Desk) -> None:
    reader = desk.reader("manager")
    heads = re.compile(r'<text x="6" y="22">(\w\w\w) ')

    def first() -> str:
        return heads.findall(reader.get(timeline(desk)).text)[0]

    assert first() == "Mon"
    reader.client.headers["accept-language"] = "en-US,en;q=0.9"
    assert first() == "Sun"
    saved = reader.post("/account", name="manager", locale="en", first_day="monday")
    assert saved.status_code == 200
    assert first() == "Mon"
    assert reader.post("/account", name="manager", locale="en", first_day="sunday").status_code == 200
    del reader.client.headers["accept-language"]
    assert first() == "Sun"
    week = reader.get(f"/r/{desk.resource}?week={day(9):%Y-%m-%d}").text
    assert re.findall(r'<th scope="col" data-day="\d" data-said="(\w+)', week) == [
        "Sun",
        "Mon",
        "Tue",
        "Wed",
        "Thu",
        "Fri",
        "Sat",
    ]
    assert reader.post("/account", name="manager", locale="en", first_day="someday").status_code == 422
