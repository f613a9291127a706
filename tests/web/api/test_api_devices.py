"""contract.md: a device's registration, thresholds, new secret and end; live state; sessions and the use of a booking."""

import re
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import orjson
import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session, sessionmaker

from booking.tables import Booking
from devices import actions, queries
from devices.intake import actions as intake
from devices.readings import Envelope
from devices.tables import Device
from marketplace import audit, clock
from marketplace.catalogue.queries import get_resource
from tests.builders import a_booking
from tests.web.api.world import Reply, World, fields, refused

CSRF = re.compile(r'name="csrf" value="([^"]+)"')


@cache
def began() -> datetime:
    """Four hours before a test."""
    return clock.now().replace(second=0, microsecond=0) - timedelta(hours=4)


@pytest.fixture(autouse=True)
def _anew() -> None:
    """What was read when a long run of tests began lies too far back for what is live."""
    began.cache_clear()


@pytest.fixture
def store(client: TestClient) -> sessionmaker[Session]:
    """The application's own way to its database."""
    found: sessionmaker[Session] = client.app.state.sessions  # type: ignore[attr-defined]
    return found


def minute(count: float) -> datetime:
    return began() + timedelta(minutes=count)


def a_device(world: World, **changes: Any) -> dict[str, Any]:
    path = f"/resources/{world.resource}/devices"
    return world.made(path, world.manager, {"name": "主电源", "profile": "native", **changes})


def pressed(world: World, token: str, path: str) -> Reply:
    """A button of the desk, pressed by the owner of `token`."""
    page = world.client.request("GET", "/en/search").text
    csrf = CSRF.search(page)
    assert csrf
    headers = {"authorization": f"Bearer {token}", "origin": "http://testserver"}
    reply: Reply = world.client.request("POST", f"/en/desk{path}", data={"csrf": csrf[1]}, headers=headers)
    return reply


def listed(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.get(f"/resources/{world.resource}/devices", world.manager).json()["items"]
    return found


def state_of(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.get(f"/resources/{world.resource}/status").json()
    return found


def heard(store: sessionmaker[Session], key: str, start: int, end: int, power: float) -> None:
    """One message a minute from minute `start` to `end`, received a second later, then folded."""
    stream = [
        Envelope(
            f"d/{key}/t",
            orjson.dumps({"ts": int(minute(at).timestamp() * 1000), "p": power, "e": at * 10.0}),
            minute(at) + timedelta(seconds=1),
        )
        for at in range(start, end)
    ]
    with store.begin() as session:
        intake.store(session, stream)
        while actions.fold_devices(session, now=minute(end)):
            pass


MAPPING = {"message": [{"topic": "{branch+}/kw", "format": "scalar", "power": {"path": ".", "scale": 1000}}]}


@pytest.mark.parametrize(
    ("profile", "topic"),
    [
        ("native", "d/{key}/t"),
        ("tasmota", "d/{key}/tele/SENSOR"),
        ("shelly1", "shellies/{key}/relay/0/power"),
        ("shelly2", "d/{key}/events/rpc"),
        ("sparkplug", "spBv1.0/group/DDATA/{key}/device"),
        (MAPPING, "d/{key}/#"),
    ],
    ids=str,
)
def test_a_registered_device_gets_all_it_needs_to_connect(world: World, profile: str | dict[str, Any], topic: str) -> None:
    made = a_device(world, profile=profile)
    assert made["mqtt"] == {
        "host": "127.0.0.1",
        "port": 1883,
        "username": made["key"],
        "topic": topic.format(key=made["key"]),
    }
    assert len(made["secret"]) >= 32
    assert (made["state"], made["resource_id"], made["last_message_at"]) == ("active", world.resource, None)


def test_a_secret_is_answered_once_and_kept_as_a_hash(world: World, store: sessionmaker[Session]) -> None:
    made = a_device(world)
    (row,) = listed(world)
    assert (row["id"], row["key"], row["rejected"]) == (made["id"], made["key"], 0)
    assert made["secret"] not in str(row)
    with store() as session:
        assert made["secret"] not in session.get_one(Device, made["id"]).secret_hash
        (noted,) = audit.history_of(session, "device", made["id"])
        assert (noted.action, noted.after) == ("register", {"name": "主电源", "key": made["key"], "family": "native"})


def test_the_same_key_registers_one_device(world: World) -> None:
    path, body = f"/resources/{world.resource}/devices", {"name": "表", "profile": "native"}
    one, two = (world.post(path, world.manager, key="d1", json=body) for _ in range(2))
    assert (one.json(), one.status_code, two.headers["idempotency-replayed"]) == (two.json(), 201, "true")
    assert len(listed(world)) == 1


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"name": ""}, "malformed", "name"),
        ({"name": "a\u0000b"}, "malformed", "name"),
        ({"surprise": 1}, "malformed", "surprise"),
        ({"thresholds": {"p_on": "much"}}, "malformed", "thresholds.p_on"),
        ({"profile": "telegraph"}, "invalid", "profile"),
        ({"profile": {"message": []}}, "invalid", "profile.family.message"),
        ({"profile": {"message": [{"topic": "a", "power": "x..y"}]}}, "invalid", "profile.family.message.0"),
        ({"thresholds": {"p_high": 1}}, "invalid", "profile.p_high"),
        ({"thresholds": {"p_on": -1}}, "invalid", "profile.p_on"),
        ({"thresholds": {"p_on": 50, "p_off": 60}}, "invalid", "profile.p_off"),
    ],
)
def test_a_device_that_cannot_be_is_refused_naming_the_field(world: World, change: dict[str, Any], code: str, field: str) -> None:
    body = {"name": "表", "profile": "native", **change}
    reply = world.post(f"/resources/{world.resource}/devices", world.manager, json=body)
    assert field in fields(refused(reply, 422, code))
    assert listed(world) == []


def test_thresholds_begin_with_the_registration_and_the_zone_is_the_resources(world: World, store: sessionmaker[Session]) -> None:
    made = a_device(world, thresholds={"p_on": 250.5, "p_off": 40, "min_off": 30})
    with store() as session:
        found = queries.profile_of(session, made["id"], at=clock.now())
    assert (found.p_on, found.p_off, found.min_off, found.max_gap, found.zone) == (250.5, 40, 30, 900, "Asia/Shanghai")


def test_a_machine_below_its_own_threshold_is_free(world: World, store: sessionmaker[Session]) -> None:
    made = a_device(world, thresholds={"p_on": 1000, "p_off": 900})
    heard(store, made["key"], 230, 241, 500)
    assert (state_of(world)["state"], state_of(world)["power_w"]) == ("free", 500)


def test_who_manages_devices_sees_and_registers_them(world: World) -> None:
    path, body = f"/resources/{world.resource}/devices", {"name": "表", "profile": "native"}
    technician = world.a_person("technician", institution_id=world.institution)
    finance = world.a_person("finance", institution_id=world.institution)
    assert world.post(path, technician, json=body).status_code == 201
    assert len(world.get(path, technician).json()["items"]) == 1
    for someone in (finance, world.member, world.a_person("manager", institution_id=world.an_institution())):
        refused(world.post(path, someone, json=body), 403, "not_allowed")
        refused(world.get(path, someone), 403, "not_allowed")
    refused(world.post(path, json=body), 401, "not_signed_in")
    refused(world.get(path), 401, "not_signed_in")
    refused(world.post("/resources/res_none/devices", world.manager, json=body), 404, "not_found")


def test_a_new_secret_ends_the_old_one_and_keeps_the_key(world: World, store: sessionmaker[Session]) -> None:
    made = a_device(world)
    with store() as session:
        before = session.get_one(Device, made["id"]).secret_hash
    shown = pressed(world, world.manager, f"/devices/{made['id']}/renew")
    assert (shown.status_code, made["key"] in shown.text, made["secret"] in shown.text) == (200, True, False)
    with store() as session:
        row = session.get_one(Device, made["id"])
        assert (row.key, row.secret_hash == before, row.state) == (made["key"], False, "active")
        assert {entry.action for entry in audit.history_of(session, "device", made["id"])} == {"register", "new_secret"}


def test_a_device_that_is_turned_off_measures_nothing_any_more(world: World, store: sessionmaker[Session]) -> None:
    made = a_device(world)
    assert state_of(world) == {"state": "unknown", "since": None}
    assert pressed(world, world.manager, f"/devices/{made['id']}/revoke").status_code in {200, 303}
    assert [row["state"] for row in listed(world)] == ["revoked"]
    assert state_of(world) == {"state": "no_sensor", "since": None}
    with store() as session:
        assert made["key"] not in {row.key for row in queries.active_devices(session)}
    pressed(world, world.manager, f"/devices/{made['id']}/renew")
    assert [row["state"] for row in listed(world)] == ["active"]


@pytest.mark.parametrize("step", ["renew", "revoke"])
def test_another_houses_device_is_not_there_to_renew_or_turn_off(world: World, store: sessionmaker[Session], step: str) -> None:
    made = a_device(world)
    for someone in (world.a_person("manager", institution_id=world.an_institution()), world.member):
        assert pressed(world, someone, f"/devices/{made['id']}/{step}").status_code == 404
    finance = world.a_person("finance", institution_id=world.institution)
    assert pressed(world, finance, f"/devices/{made['id']}/{step}").status_code == 403
    with store() as session:
        assert [entry.action for entry in audit.history_of(session, "device", made["id"])] == ["register"]


def test_what_was_turned_away_is_told_to_the_house_only(world: World, store: sessionmaker[Session]) -> None:
    made = a_device(world)
    with store.begin() as session:
        intake.store(session, [Envelope(f"d/{made['key']}/t", b"{", minute(0)), Envelope(f"d/{made['key']}/x", b"{}", minute(1))])
    path = f"/devices/{made['id']}/rejected"
    assert [row["reason"] for row in world.get(path, world.manager).json()["items"]] == ["bad_topic", "not_json"]
    assert [row["rejected"] for row in listed(world)] == [2]
    for stranger in (world.member, world.a_person("manager", institution_id=world.an_institution())):
        refused(world.get(path, stranger), 404, "not_found")
    refused(world.get(path), 401, "not_signed_in")
    refused(world.get("/devices/dev_none/rejected", world.manager), 404, "not_found")


def test_the_live_state_follows_the_machine_and_is_open_to_everyone(world: World, store: sessionmaker[Session]) -> None:
    assert state_of(world) == {"state": "no_sensor", "since": None}
    made = a_device(world)
    heard(store, made["key"], 220, 241, 350)
    running = state_of(world)
    assert (running["state"], running["power_w"]) == ("in_use", 350)
    assert datetime.fromisoformat(running["since"]) == minute(220)


def test_a_machine_out_of_order_is_shown_in_maintenance(world: World) -> None:
    now = clock.now()
    outage = {"start": now.isoformat(), "end": (now + timedelta(hours=1)).isoformat(), "planned": False, "reason": "故障"}
    world.made(f"/resources/{world.resource}/outages", world.manager, outage)
    assert state_of(world)["state"] == "maintenance"


def window(start: float, end: float) -> dict[str, str]:
    return {"from": minute(start).isoformat(), "to": minute(end).isoformat()}


def test_sessions_tell_what_ran_and_why_it_ended(world: World, store: sessionmaker[Session]) -> None:
    made = a_device(world)
    heard(store, made["key"], 0, 10, 8)
    heard(store, made["key"], 10, 107, 600)
    heard(store, made["key"], 107, 130, 8)
    path = f"/resources/{world.resource}/sessions"
    found = world.get(path, world.manager, params=window(0, 130)).json()
    (row,) = found["items"]
    assert found["next_cursor"] is None
    assert (datetime.fromisoformat(row["start"]), datetime.fromisoformat(row["end"])) == (minute(10), minute(107))
    assert (row["confirmed_s"], row["unverified_s"], row["grade"]) == (97 * 60, 0, "A")
    assert row["energy_wh"] == 970
    assert (row["end_reason"], row["why"]["ended"]) == ("off", "off")
    assert world.get(path, world.manager, params=window(107, 130)).json()["items"] == []
    assert len(world.get(path, world.manager, params=window(106, 130)).json()["items"]) == 1


def test_sessions_are_for_those_who_review_the_use(world: World) -> None:
    path, query = f"/resources/{world.resource}/sessions", window(0, 60)
    technician = world.a_person("technician", institution_id=world.institution)
    assert world.get(path, technician, params=query).json()["items"] == []
    refused(world.get(path, world.member, params=query), 403, "not_allowed")
    refused(world.get(path, params=query), 401, "not_signed_in")
    refused(world.get("/resources/res_none/sessions", world.manager, params=query), 404, "not_found")
    refused(world.get(path, world.manager), 422, "malformed")
    refused(world.get(path, world.manager, params=window(60, 0)), 422, "invalid")


def test_a_booking_is_told_what_it_really_used(world: World, store: sessionmaker[Session]) -> None:
    made = a_device(world)
    heard(store, made["key"], 0, 65, 8)
    heard(store, made["key"], 65, 162, 600)
    heard(store, made["key"], 162, 200, 8)
    with store.begin() as session:
        booking = past_booking(session, world)
        path = f"/bookings/{booking.id}/use"
    undecided = world.get(path, world.manager).json()
    assert undecided == {"booked_s": 7200, "confirmed_s": None, "unverified_s": None, "overrun_s": None, "verdict": None}
    with store.begin() as session:
        actions.confirm_uses(session, now=minute(200))
    used = world.get(path, world.manager).json()
    assert (used["verdict"], used["number"], used["grade"]) == ("fulfilled", 1, "A")
    assert (used["booked_s"], used["confirmed_s"], used["unverified_s"], used["overrun_s"]) == (7200, 97 * 60, 0, 0)
    assert {"start": minute(65).isoformat(), "end": minute(162).isoformat(), "state": "RUN"} in used["pieces"]
    refused(world.get(path, world.a_person()), 404, "not_found")


def past_booking(session: Session, world: World) -> Booking:
    """Two hours from minute 60 on."""
    return a_booking(session, resource=get_resource(session, world.resource), start=minute(60), hours=2)


def test_thresholds_are_set_from_now_on_and_tried_before(world: World, store: sessionmaker[Session]) -> None:
    made = world.made(f"/resources/{world.resource}/devices", world.manager, {"name": "plug", "profile": "native"})
    path = f"/devices/{made['id']}/thresholds"
    tried = world.post(path, world.manager, json={"p_on": 500}, params={"dry_run": "true"})
    assert (tried.status_code, tried.json()["thresholds"]["p_on"], tried.json()["stretches"]) == (200, 500, [])
    with store() as session:
        assert queries.profile_of(session, made["id"], at=clock.now()).p_on == 100
    kept = world.post(path, world.manager, json={"p_on": 500, "min_on": 30})
    assert (kept.status_code, kept.json()["p_on"], kept.json()["p_off"], kept.json()["min_on"]) == (200, 500, 60, 30)
    with store() as session:
        assert queries.profile_of(session, made["id"], at=clock.now()).p_on == 500
    refused(world.post(path, world.manager, json={"p_off": 900}), 422)
    refused(world.post(path, world.manager, json={"watts": 9}), 422)
    assert world.post(path, world.member, json={"p_on": 500}).status_code == 404
    assert world.post(path, json={"p_on": 500}).status_code == 401


def test_a_device_says_which_other_one_measures_all_that_it_does(world: World) -> None:
    main, plug = a_device(world), a_device(world)
    assert (main["measured_by"], plug["measured_by"]) == (None, None)
    path = f"/devices/{plug['id']}/measured-by"
    told = world.post(path, world.manager, json={"measured_by": main["id"]})
    assert (told.status_code, told.json()["measured_by"]) == (200, main["id"])
    chamber = a_device(world, measured_by=plug["id"])
    assert [row["measured_by"] for row in listed(world)] == [None, main["id"], plug["id"]]
    assert chamber["measured_by"] == plug["id"]
    world.post(path, world.manager, json={"measured_by": None})
    assert [row["measured_by"] for row in listed(world)] == [None, None, plug["id"]]


def test_a_circle_of_devices_and_one_of_elsewhere_are_refused_by_their_field(world: World) -> None:
    main = a_device(world)
    plug = a_device(world, measured_by=main["id"])
    path = f"/devices/{main['id']}/measured-by"
    for body, reason in (({"measured_by": plug["id"]}, "part of what"), ({"measured_by": "dev_none"}, "no other meter")):
        answer = world.post(path, world.manager, json=body)
        assert answer.status_code == 422
        assert [(one["field"], reason in one["detail"]) for one in answer.json()["reasons"]] == [("measured_by", True)]
    assert world.post(path, world.manager, json={}).status_code == 422
    assert world.post(path, world.member, json={"measured_by": None}).status_code in (403, 404)
    body = {"name": "表", "profile": "native", "measured_by": "dev_none"}
    assert world.post(f"/resources/{world.resource}/devices", world.manager, json=body).status_code == 422
    assert len(listed(world)) == 2
