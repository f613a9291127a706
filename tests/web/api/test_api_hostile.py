"""What nobody who means well would send to the booking routes: a clear refusal each time, at once, never a failure of ours."""

import random
import time
from datetime import timedelta
from typing import Any

import orjson
import pytest

from tests.web.api.world import PROBLEM, World, refused, span, tomorrow

LONGEST_S = 1.0
"""Of computing for any answer; not of waiting, as the machine may be busy with other tests."""
MEMBER_WINDOW_YEARS = 70
SEED, ROUNDS = 20270328, 250

TIMES: list[Any] = [
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999+00:00",
    "9999-12-31T23:59:59-23:59",
    "0000-00-00T00:00:00Z",
    "2027-02-30T09:00:00Z",
    "2027-03-10T24:00:00Z",
    "2027-03-10T23:59:60Z",
    "2027-03-10T09:00:00+24:00",
    "2027-03-10T09:00:00-24:00",
    "2027-03-10T09:00:00+23:59",
    "2027-03-10T09:00:00",
    "2027-03-10",
    "2027-W10-3T09:00:00Z",
    "٢٠٢٧-03-10T09:00:00Z",
    "2027-03-10T09:00:00.1234567890123Z",
    "now",
    "",
    " ",
    "\x00",
    "１２",
    0,
    -1,
    1e308,
    10**30,
    1773000000,
    True,
    None,
    [],
    {},
    ["2027-03-10T09:00:00Z"],
    "x" * 100_000,
]
NUMBERS: list[Any] = [0, -1, 1001, 2**63, -(2**63), 10**40, 1.5, 1.0, True, "1", None, [], {}, "一"]
TEXTS: list[Any] = ["", "\x00", "\u202e", "\ud7ff\uffff", "a\u0300" * 600, "😀" * 900, 1, [], {}, "'; DROP TABLE bookings"]
TEXTS.append("x" * 100_000)
RULES: list[Any] = [
    "FREQ=SECONDLY;COUNT=5",
    "FREQ=DAILY",
    "FREQ=DAILY;COUNT=99999999999999999999",
    "FREQ=DAILY;COUNT=1001",
    "FREQ=YEARLY;COUNT=1000",
    "FREQ=DAILY;INTERVAL=99999999;COUNT=5",
    "FREQ=MONTHLY;BYMONTHDAY=31;BYMONTH=2;COUNT=5",
    "FREQ=DAILY;UNTIL=99991231T235959Z",
    "FREQ=DAILY;COUNT=٣",
    ";" * 400,
    "FREQ=DAILY;COUNT=1;COUNT=2",
    "RRULE:FREQ=DAILY;COUNT=2",
    "",
    None,
    7,
]
BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"0",
    b'"x"',
    b"\xff\xfe{}",
    b"[" * 50_000,
    b'{"start":' * 5_000,
    b'{"start":NaN,"end":Infinity}',
    b'{"start":"2027-03-10T09:00:00Z","start":"x","end":"2027-03-10T10:00:00Z"}',
    b'{"start":"\\ud800","end":"\\udfff"}',
    b'{"__proto__":{},"constructor":1}',
    b"start=2027-03-10T09:00:00Z",
]


@pytest.fixture
def asked(world: World) -> "Hostile":
    return Hostile(world)


class Hostile:
    """Asks as a firm's member and looks at how it is answered."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.resource = f"/resources/{world.resource}"
        self.booking = f"/bookings/{world.a_booking()['id']}"

    def ask(self, method: str, path: str, **more: Any) -> int:
        """The status of the answer, which came in time and was a reply or a whole problem."""
        token = more.pop("token", self.world.member)
        began = time.process_time()
        reply = self.world.ask(method, path, token=token, **more)
        took = time.process_time() - began
        what = f"{method} {path[:100]} {str(more)[:300]}"
        assert took < LONGEST_S, f"{took:.1f} s for {what}"
        assert reply.status_code < 500, f"{reply.status_code} for {what}: {reply.text[:500]}"
        if reply.status_code >= 400:
            assert reply.headers["content-type"].split(";")[0] == PROBLEM, what
            body = refused(reply, reply.status_code)
            assert len(reply.text) < 100_000, what
            assert body["detail"]
        return int(reply.status_code)


AS_JSON: dict[str, Any] = {"headers": {"content-type": "application/json"}}


def written(body: Any) -> bytes:
    """As JSON, with the numbers that orjson refuses."""
    try:
        return orjson.dumps(body)
    except TypeError:
        return str(body).replace("'", '"').encode(errors="surrogatepass")


@pytest.mark.parametrize("content", BODIES, ids=range(len(BODIES)))
def test_bodies_that_are_none(asked: Hostile, content: bytes) -> None:
    for path in ("bookings", "booking-series", "outages"):
        kinds = ({"content-type": "application/json"}, {"content-type": "text/plain"}, {"content-type": "multipart/form-data"})
        for headers in kinds:
            assert asked.ask("POST", f"{asked.resource}/{path}", content=content, headers=headers) == 422
    for path in ("/bookings", f"{asked.booking}/cancel"):
        assert asked.ask("POST", path, content=content, headers={"content-type": "application/json"}) in {200, 409, 422}


def test_values_that_fit_no_field(asked: Hostile) -> None:
    """Each field of each route with each value that does not belong there, and many together."""
    good = span(tomorrow(5))
    fields: dict[str, list[Any]] = {"start": TIMES, "end": TIMES, "quantity": NUMBERS, "purpose": TEXTS, "organisation_id": TEXTS}
    for name, values in fields.items():
        for value in values:
            body = written({**good, name: value})
            asked.ask("POST", f"{asked.resource}/bookings", content=body, **AS_JSON)
            if name in {"start", "end"}:
                asked.ask("PATCH", asked.booking, content=body, headers={"if-match": '"1"', "content-type": "application/json"})
    for rule in RULES:
        body = written({**good, "rrule": rule})
        assert asked.ask("POST", f"{asked.resource}/booking-series", content=body, **AS_JSON) in {409, 422}
    dice = random.Random(SEED)
    for _ in range(ROUNDS):
        names = dice.sample(sorted(fields), dice.randint(1, 4))
        body = written({**good, **{name: dice.choice(fields[name]) for name in names}, **dice.choice(({}, {"x": 1}))})
        asked.ask("POST", f"{asked.resource}/bookings", content=body, **AS_JSON)


def test_windows_of_many_years(asked: Hostile) -> None:
    """The rules are looked at for a slot of seventy years, with opening hours and quotas, as quickly as for one of an hour."""
    hours = [{"weekday": day, "open": "08:00", "close": "18:00"} for day in range(7)]
    quotas = [{"limit": 4, "unit": unit, "per": per, "by": "person"} for unit in ("hours", "count") for per in ("day", "month")]
    place = asked.world.a_resource(
        timezone="Europe/Berlin", hours=hours, rules={"quotas": quotas, "buffers_in_closed": False, "cleaning_min": 30}
    )
    start = tomorrow(8)
    long = {"start": start.isoformat(), "end": (start + timedelta(days=365 * MEMBER_WINDOW_YEARS)).isoformat()}
    assert asked.ask("POST", f"/resources/{place}/bookings", json=long) == 409
    assert asked.ask("POST", f"/resources/{place}/booking-series", json={**long, "rrule": "FREQ=WEEKLY;COUNT=100"}) in {409, 422}
    assert asked.ask("POST", "/bookings", json={"parts": [{"resource_id": place, **long}] * 20}) == 409
    assert asked.ask("GET", f"/resources/{place}/availability", params={"from": long["start"], "to": long["end"]}) == 422
    outage = {**long, "planned": True, "reason": "保养"}
    manager = asked.world.manager
    assert asked.ask("POST", f"/resources/{place}/outages?dry_run=true", json=outage, token=manager) == 200
    assert asked.ask("POST", f"/resources/{place}/outages", json=outage, token=manager) == 201
    assert asked.ask("POST", f"/resources/{place}/bookings", json=span(start, 1)) == 409


def test_ids_of_others_and_of_nobody(asked: Hostile) -> None:
    """A stranger learns nothing of a booking, and nobody books for a firm that is not theirs."""
    stranger = asked.world.a_person("member", organisation_id=asked.world.an_organisation())
    slot = span(tomorrow(5))
    for step in ("approve", "refuse", "cancel", "check-in", "finish"):
        assert asked.ask("POST", f"{asked.booking}/{step}", token=stranger) == 404
    assert asked.ask("PATCH", asked.booking, token=stranger, json=slot, headers={"if-match": '"1"'}) == 404
    assert asked.ask("GET", asked.booking, token=stranger) == 404
    body = {**slot, "organisation_id": asked.world.organisation}
    assert asked.ask("POST", f"{asked.resource}/bookings", token=stranger, json=body) == 403
    assert asked.ask("POST", f"{asked.resource}/bookings", json={**slot, "organisation_id": "org_none"}) == 403
    assert asked.ask("POST", f"{asked.resource}/bookings", json={**slot, "override": {"reason": "x"}}) == 403
    assert asked.ask("POST", f"{asked.resource}/outages", json={**slot, "planned": True, "reason": "x"}) == 403
    for unknown in ("res_none", "%00", "a" * 300, "%F0%9F%99%82", "..%2f..%2fetc", "%ff"):
        assert asked.ask("POST", f"/resources/{unknown}/bookings", json=slot) in {404, 405, 422}
        assert asked.ask("GET", f"/bookings/{unknown}") in {404, 422}
        assert asked.ask("POST", f"/booking-series/{unknown}/cancel") in {404, 422}
        parts = {"parts": [{"resource_id": unknown, **slot}]}
        assert asked.ask("POST", "/bookings", json=parts) in {404, 422}


@pytest.mark.parametrize(
    ("tag", "status"),
    [
        ('"1"', 200),
        ("*", 200),
        ('"7", "1"', 200),
        ('"2"', 412),
        ('W/"1"', 412),
        ('"junk"', 412),
        ('"1junk"', 412),
        ('"01"', 412),
        ('"99999999999999999999999"', 412),
        ('""', 412),
        ("junk", 422),
        ("1", 200),
        ("2", 412),
        (' ,"7",, "1" ,', 200),
        ('"1" junk', 422),
        ('"1', 422),
        ("", 422),
        (",", 422),
        ('"1" "2"', 422),
        ('*, "1"', 422),
        ('"x",' * 1000 + '"1"', 200),
        ('"x",' * 1000 + "1", 422),
    ],
    ids=lambda value: str(value)[:30],
)
def test_versions_are_compared_as_rfc_9110_says(asked: Hostile, tag: str, status: int) -> None:
    """Section 13.1.1: any of the listed tags by the strong comparison, `*` for whatever there is; what is no tag is malformed."""
    assert asked.ask("PATCH", asked.booking, json=span(tomorrow(5)), headers={"if-match": tag}) == status


def test_keys_that_are_none(asked: Hostile) -> None:
    path, slot = f"{asked.resource}/bookings", span(tomorrow(8))
    for key in ("", "x" * 201, "\x07", "a\tb"):
        assert asked.ask("POST", path, json=slot, headers={"idempotency-key": key}) == 422
    for key in ("k" * 200, "'; --", "*", "0"):
        assert asked.ask("POST", path, json=slot, headers={"idempotency-key": key}) in {201, 409}
    assert asked.ask("POST", path, json=slot, headers={"idempotency-key": "k" * 200}) in {201, 409}
    assert asked.ask("POST", path, json=span(tomorrow(9)), headers={"idempotency-key": "k" * 200}) == 422


def test_megabytes(asked: Hostile) -> None:
    path = f"{asked.resource}/bookings"
    assert asked.ask("POST", path, json={**span(tomorrow(5)), "purpose": "x" * (1 << 20)}) == 413
    assert asked.ask("POST", path, json={**span(tomorrow(5)), "purpose": "x" * (1 << 19)}) == 422
    assert asked.ask("POST", path, json={**span(tomorrow(5)), **{f"x{n}": n for n in range(20_000)}}) == 422
    assert asked.ask("POST", "/bookings", json={"parts": [{"resource_id": "x", **span(tomorrow(5))}] * 5_000}) == 422
    assert asked.ask("GET", "/bookings", params={"cursor": "x" * 50_000}) in {200, 414, 422}
    assert asked.ask("GET", "/bookings", params={"limit": "9" * 400}) == 422
