"""Calendars from elsewhere on a machine's page: connected by a form, told with what went wrong, disconnected."""

import re
from datetime import timedelta

import httpx2
import pytest

from marketplace import clock
from tests.web.desks import TOKEN, Desk, Reader, error_beside
from tests.web.test_desk_outages import a_booking, day

HOUR = "%Y%m%dT%H%M%S"


def file(first: int, last: int, zone: str = "Asia/Shanghai") -> str:
    times = [f"{name};TZID={zone}:{day(hour):{HOUR}}" for name, hour in (("DTSTART", first), ("DTEND", last))]
    return "\r\n".join(["BEGIN:VCALENDAR", "BEGIN:VEVENT", "UID:1", "SUMMARY:Geheim", *times, "END:VEVENT", "END:VCALENDAR"])


def sent(reader: Reader, address: str, file: str | None, lang: str = "en", **fields: str) -> httpx2.Response:
    token = TOKEN.search(reader.client.get("/en/signin").text)
    assert token
    files = {"file": ("a.ics", (file or "").encode(), "text/calendar")}
    answer: httpx2.Response = reader.client.post(  # type: ignore[assignment]
        f"/{lang}{address}", data={"csrf": token[1], **fields}, files=files, headers={"origin": "http://testserver"}
    )
    return answer


def test_a_file_is_connected_shown_and_disconnected(desk: Desk) -> None:
    booking = a_booking(desk)
    reader, address = desk.reader("technician"), f"/desk/resources/{desk.resource}/external"
    assert "Connect the calendar in which" in reader.get(address).text
    page = sent(reader, address, file(9, 11, "Nirgendwo"), name="Teaching").text
    assert "The file was read" in page
    assert "entries: 1 · busy times to come: 1" in page
    assert "Unknown time zone, read as that of this equipment: Nirgendwo" in page
    assert "Booked at the same time" in page
    assert f"/bookings/{booking}" in page
    assert "Geheim" not in page
    week = desk.reader("customer").get(f"/r/{desk.resource}?week={day(9):%Y-%m-%d}").text
    assert "cell-booked" in week
    assert "Teaching" not in week
    found = re.search(r"external/(\w+)/disconnect", page)
    assert found
    newer = sent(reader, f"{address}/{found[1]}/file", file(20, 21)).text
    assert "Booked at the same time" not in newer
    assert "its busy time is free again" in reader.post(f"{address}/{found[1]}/disconnect").text
    assert "Connect the calendar in which" in reader.get(address).text


def test_an_address_is_kept_secret_and_waits_for_the_worker(desk: Desk) -> None:
    reader, address = desk.reader("manager"), f"/desk/resources/{desk.resource}/external"
    page = sent(reader, address, None, name="Google", url="https://calendars.example.org/private-5f/basic.ics").text
    assert "not read yet" in page
    assert "https://calendars.example.org/…" in page
    assert "private-5f" not in page
    found = re.search(r"external/(\w+)/read", page)
    assert found
    assert "being read" in reader.post(f"{address}/{found[1]}/read").text


@pytest.mark.parametrize(
    ("fields", "file_", "field", "said"),
    [
        ({"name": "x"}, None, "url", "either an address or a file"),
        ({"name": "x", "url": "https://a.example/"}, "x", "url", "either an address or a file"),
        ({"name": "x", "url": "calendar"}, None, "url", "no address of a calendar"),
        ({"name": ""}, "BEGIN:VCALENDAR\r\nEND:VCALENDAR", "name", "1 to 200 characters"),
        ({"name": "x"}, "<html>", "file", "no iCalendar file"),
    ],
)
def test_what_is_wrong_is_told_beside_its_field(
    desk: Desk, fields: dict[str, str], file_: str | None, field: str, said: str
) -> None:
    address = f"/desk/resources/{desk.resource}/external"
    answer = sent(desk.reader("manager"), address, file_, **fields)
    assert answer.status_code == 422
    assert said in error_beside(answer.text, field)
    assert "Connect the calendar in which" in desk.reader("manager").get(address).text


@pytest.mark.parametrize(("who", "status"), [("finance", 403), ("stranger", 404), ("customer", 404), ("evaluator", 404)])
def test_only_those_who_mind_the_machine_connect_calendars(desk: Desk, who: str, status: int) -> None:
    address = f"/desk/resources/{desk.resource}/external"
    manager, reader = desk.reader("manager"), desk.reader(who)
    found = re.search(r"external/(\w+)/disconnect", sent(manager, address, file(9, 11), name="x").text)
    assert found
    assert reader.get(address).status_code == status
    assert sent(reader, address, file(9, 11), name="x").status_code == status
    for step in ("read", "disconnect"):
        assert reader.post(f"{address}/{found[1]}/{step}").status_code == status
    assert "busy times to come: 1" in manager.get(address).text


def test_another_machines_calendar_is_not_found(desk: Desk) -> None:
    address = f"/desk/resources/{desk.resource}/external"
    manager = desk.reader("manager")
    found = re.search(r"external/(\w+)/disconnect", sent(manager, address, file(9, 11), name="x").text)
    assert found
    other = desk.list_machine()
    assert manager.post(f"/desk/resources/{other}/external/{found[1]}/disconnect").status_code == 404
    assert clock.now() + timedelta(days=9) < day(9)
