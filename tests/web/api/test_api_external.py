"""Calendars kept elsewhere over JSON and by the worker: connected, read from a server, refused, disconnected."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fastapi.testclient import TestClient

from booking.external.fetching import MOST_REDIRECTS, Fetched, NotFetched, Seen, fetch
from booking.external.lines import LARGEST
from tests.web.api.world import World, fields, refused, span, tomorrow
from web.worker import Elsewhere, read_calendar


def file(start: datetime, hours: float = 2, *more: str) -> str:
    end = start + timedelta(hours=hours)
    times = [f"DTSTART:{start:%Y%m%dT%H%M%SZ}", f"DTEND:{end:%Y%m%dT%H%M%SZ}"]
    lines = ["BEGIN:VCALENDAR", "BEGIN:VEVENT", "UID:1", "SUMMARY:geheim", *times, *more, "END:VEVENT", "END:VCALENDAR"]
    return "\r\n".join(lines)


@pytest.fixture
def path(world: World) -> str:
    return f"/resources/{world.resource}/external-calendars"


def connected(world: World, path: str, **body: str) -> dict[str, Any]:
    return world.made(path, world.manager, {"name": "课表", **body})


def kinds(world: World) -> list[tuple[str, str]]:
    window = {"from": tomorrow(0).isoformat(), "to": tomorrow(23).isoformat()}
    reply = world.get(f"/resources/{world.resource}/availability", params=window)
    assert "geheim" not in reply.text
    return [(one["kind"], one["start"]) for one in reply.json()["busy"]]


def test_a_file_closes_time_and_its_removal_opens_it(world: World, path: str) -> None:
    made = connected(world, path, ics=file(tomorrow(1)))
    assert (made["state"], made["entries"], made["busy"], made["url"], made["notes"]) == ("read", 1, 1, None, [])
    assert kinds(world) == [("external", tomorrow(1).isoformat())]
    answer = refused(world.post(f"/resources/{world.resource}/bookings", world.member, json=span(tomorrow(2))), 409, "slot_taken")
    assert answer["conflicts"] == [span(tomorrow(2), 1)]
    newer = world.post(f"{path}/{made['id']}/refresh", world.manager, json={"ics": file(tomorrow(5))})
    assert newer.status_code == 200
    assert kinds(world) == [("external", tomorrow(5).isoformat())]
    assert world.ask("DELETE", f"{path}/{made['id']}", token=world.manager).status_code == 204
    assert kinds(world) == []
    refused(world.ask("DELETE", f"{path}/{made['id']}", token=world.manager), 404, "not_found")


def test_a_booking_that_stands_in_busy_time_is_listed(world: World, path: str) -> None:
    booking = world.a_booking()
    made = connected(world, path, ics=file(tomorrow(2), 4, "DTSTAMP:x", "RRULE:FREQ=SECONDLY"))
    assert made["conflicts"] == [{"booking_id": booking["id"], **span(tomorrow(2), 1)}]
    assert [note["code"] for note in made["notes"]] == ["bad_rule"]
    assert world.get(f"/bookings/{booking['id']}", world.member).json()["state"] == "confirmed"
    assert world.get(path, world.manager).json()["items"] == [made]


def test_only_who_minds_the_machine_may_see_or_change_them(world: World, path: str) -> None:
    made = connected(world, path, ics=file(tomorrow(1)))
    body = {"name": "x", "ics": file(tomorrow(1))}
    for token in (world.member, world.a_person("finance", institution_id=world.institution)):
        refused(world.get(path, token), 403, "not_allowed")
        refused(world.post(path, token, json=body), 403, "not_allowed")
        refused(world.post(f"{path}/{made['id']}/refresh", token), 403, "not_allowed")
        refused(world.ask("DELETE", f"{path}/{made['id']}", token=token), 403, "not_allowed")
    refused(world.get(path), 401, "not_signed_in")
    other = f"/resources/{world.a_resource()}/external-calendars/{made['id']}"
    refused(world.post(f"{other}/refresh", world.manager), 404, "not_found")
    refused(world.get("/resources/res_none/external-calendars", world.manager), 404, "not_found")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": "x"}, "invalid"),
        ({"name": "x", "url": "https://a.example/x", "ics": "x"}, "invalid"),
        ({"name": "x", "url": "ftp://a.example/x"}, "invalid"),
        ({"name": "x", "ics": "<html>"}, "calendar_unreadable"),
        ({"name": "", "ics": "x"}, "malformed"),
        ({"name": "x", "ics": 5}, "malformed"),
    ],
)
def test_what_is_no_calendar_is_refused(world: World, path: str, body: dict[str, Any], code: str) -> None:
    assert fields is not None
    told = refused(world.post(path, world.manager, json=body), 422, code)
    assert "{" not in told["detail"]
    assert ("is no iCalendar file" in told["detail"]) == (code == "calendar_unreadable")
    assert world.get(path, world.manager).json()["items"] == []


class Calendars(ThreadingHTTPServer):
    """A server of calendars on loopback; what it says is set by the test."""

    daemon_threads = True
    body = b""
    asked: list[dict[str, str]]


class Handler(BaseHTTPRequestHandler):
    server: Calendars

    def do_GET(self) -> None:
        self.server.asked.append({name.lower(): value for name, value in self.headers.items()})
        kind = self.path.strip("/").split("/")[0]
        if kind == "loop":
            self._answer(302, location="/loop")
        elif kind == "moved":
            self._answer(301, location="/calendar.ics")
        elif kind == "inside":
            self._answer(302, location="http://169.254.169.254/latest")
        elif kind == "odd":
            self._answer(302, location="file:///etc/passwd")
        elif kind == "gone":
            self._answer(410)
        elif kind == "zipped":
            self._answer(200, **{"content-encoding": "gzip"})
        elif self.headers.get("if-none-match") == '"1"':
            self._answer(304)
        else:
            self._answer(200, etag='"1"', **{"last-modified": "Tue, 10 Mar 2026 01:00:00 GMT"})

    def _answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        body = self.server.body if status == 200 else b""
        if status != 304:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def server() -> Iterator[Calendars]:
    with Calendars(("127.0.0.1", 0), Handler) as running:
        running.asked = []
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def address(server: Calendars, path: str = "calendar.ics") -> str:
    return f"http://localhost:{server.server_port}/{path}"


def why(url: str, *, private: bool = True) -> tuple[str, int | None]:
    with pytest.raises(NotFetched) as refused:
        fetch(url, Seen(), private=private)
    return refused.value.values["reason"], refused.value.values.get("status")


def test_a_calendar_is_fetched_once_and_then_asked_for_changes(server: Calendars) -> None:
    server.body = b"BEGIN:VCALENDAR\r\nEND:VCALENDAR"
    first = fetch(address(server, "moved"), Seen(), private=True)
    assert first == Fetched(server.body, Seen('"1"', "Tue, 10 Mar 2026 01:00:00 GMT"))
    assert fetch(address(server), first.seen, private=True).body is None
    assert server.asked[-1]["if-modified-since"] == "Tue, 10 Mar 2026 01:00:00 GMT"
    assert server.asked[-1]["host"] == f"localhost:{server.server_port}"


def test_what_a_server_may_do_is_bounded(server: Calendars) -> None:
    assert why(address(server, "gone")) == ("status", 410)
    assert why(address(server, "loop")) == ("redirects", None)
    assert len(server.asked) == 1 + MOST_REDIRECTS + 1
    assert why(address(server, "odd")) == ("redirects", None)
    assert why(address(server, "zipped")) == ("status", 200)
    server.body = b"x" * (LARGEST + 1)
    assert why(address(server)) == ("too_large", None)
    assert why(f"http://127.0.0.1:{server.server_port + 1 if server.server_port < 65535 else 1}/") == ("unreachable", None)
    assert why("http://no.such.host.invalid/") == ("unreachable", None)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "0.0.0.0", "169.254.169.254", "10.0.0.1", "2130706433"])
def test_addresses_of_the_inside_are_not_met(server: Calendars, host: str) -> None:
    assert why(f"http://{host}:{server.server_port}/", private=False) == ("private_address", None)
    assert server.asked == []


def test_the_worker_reads_what_was_connected_and_keeps_the_last_good_state(
    world: World, path: str, client: TestClient, server: Calendars
) -> None:
    sessions = client.app.state.sessions  # type: ignore[attr-defined]
    inside = Elsewhere(private=True)
    server.body = file(tomorrow(1)).encode()
    made = connected(world, path, url=address(server))
    assert (made["state"], made["url"]) == ("waiting", f"http://localhost:{server.server_port}/…")
    while read_calendar(inside, sessions):
        pass
    [now] = world.get(path, world.manager).json()["items"]
    assert (now["state"], now["busy"], now["error"]) == ("read", 1, None)
    server.body = b"<html>"
    server.RequestHandlerClass = Handler
    world.post(f"{path}/{made['id']}/refresh", world.manager)
    assert read_calendar(Elsewhere(), sessions)
    [now] = world.get(path, world.manager).json()["items"]
    assert (now["state"], now["error"]["code"], now["busy"]) == ("error", "private_address", 1)
    assert kinds(world) == [("external", tomorrow(1).isoformat())]
    world.ask("DELETE", f"{path}/{made['id']}", token=world.manager)
