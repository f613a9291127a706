"""Retiring a machine on its page: what lies ahead is shown first, and nothing is done before somebody chooses."""

import re

from tests.web.desks import Desk
from tests.web.test_desk_outages import a_booking, day


def address(desk: Desk) -> str:
    return f"/desk/resources/{desk.resource}/retire"


def shown(page: str) -> dict[str, str]:
    """What the page sends back of what it shows."""
    return {name: value.strip() for name, value in re.findall(r'name="(seen|proposed)" value="([^"]*)"', page)}


def test_what_nobody_counts_on_is_retired_at_once(desk: Desk) -> None:
    answer = desk.reader("manager").post(address(desk))
    assert "Retired." in answer.text
    assert desk.reader("manager").post(address(desk)).status_code == 409
    assert "离心喷雾干燥机" not in desk.reader("manager").get("/desk").text


def test_what_lies_ahead_is_shown_and_kept_until_it_is_over(desk: Desk) -> None:
    booking = a_booking(desk)
    reader = desk.reader("manager")
    page = reader.post(address(desk))
    assert page.status_code == 409
    assert "1 booking ahead" in page.text
    assert f"/bookings/{booking}" in page.text
    assert "此后有 1 个预约" in reader.post(address(desk), lang="zh").text
    assert "Published" in reader.get(f"/desk/resources/{desk.resource}").text
    assert reader.post(address(desk), plan="keep", seen="").status_code == 409
    done = reader.post(address(desk), plan="keep", **shown(page.text))
    assert "Retired." in done.text
    assert "Confirmed" in desk.reader("customer").get(f"/bookings/{booking}").text
    assert desk.resource in reader.get("/desk").text
    timeline = reader.get(f"/desk/timeline?day={day(10):%Y-%m-%d}").text
    assert booking in timeline
    assert reader.get(f"/desk/timeline/move?booking={booking}").status_code == 200


def test_what_is_proposed_or_ended_is_carried_out(desk: Desk) -> None:
    booking = a_booking(desk)
    other = desk.list_machine()
    reader = desk.reader("manager")
    page = reader.post(address(desk)).text
    assert "proposed: same time on" in page
    changed = {**shown(page), "proposed": shown(page)["proposed"].replace(":move:", ":cancel:")}
    assert reader.post(address(desk), plan="proposed", **changed).status_code == 409
    assert reader.post(address(desk), plan="proposed", **shown(page)).status_code == 200
    assert f"/r/{other}" in desk.reader("customer").get(f"/bookings/{booking}").text


def test_who_waits_is_shown_and_told(desk: Desk) -> None:
    booking = a_booking(desk)
    slot = {"start": f"{day(10):%Y-%m-%dT%H:%M}", "end": f"{day(12):%Y-%m-%dT%H:%M}"}
    waiting = desk.reader("customer").post(f"/r/{desk.resource}/waiting", **slot)
    assert waiting.status_code == 200
    reader = desk.reader("manager")
    reader.post(f"/bookings/{booking}/cancel")
    page = reader.post(address(desk))
    assert page.status_code == 409
    assert "Somebody waits for it" in page.text
    assert re.search(r"In the waiting list 0 wait and 1 have an offer", page.text)
    assert "Retired." in reader.post(address(desk), plan="keep", **shown(page.text)).text
    assert "is not offered any more" in desk.reader("customer").get("/messages").text
    assert "候补" in desk.reader("customer").get("/messages", "zh").text


def test_strangers_and_technicians_retire_nothing(desk: Desk) -> None:
    for who, status in (("technician", 403), ("finance", 403), ("stranger", 404), ("customer", 404)):
        assert desk.reader(who).post(address(desk)).status_code == status
