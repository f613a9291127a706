"""How a device's messages are read, over the API: from discovery messages, tried on the last messages, saved from now on."""

from datetime import timedelta
from typing import Any

import orjson
import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session, sessionmaker

from devices import queries
from devices.intake import actions as intake
from devices.readings import Envelope
from devices.trial import MOST_MESSAGES
from marketplace import audit, clock
from tests.web.api.world import World, fields, refused

DISCOVERED = {
    "home_assistant": [
        {
            "topic": "homeassistant/sensor/press/power/config",
            "payload": {"dev_cla": "power", "unit_of_meas": "kW", "stat_t": "press/power", "avty_t": "press/status"},
        },
        {
            "topic": "homeassistant/sensor/press/heat/config",
            "payload": '{"dev_cla":"temperature","unit_of_meas":"°C","stat_t":"press/heat"}',
        },
    ]
}


@pytest.fixture
def store(client: TestClient) -> sessionmaker[Session]:
    found: sessionmaker[Session] = client.app.state.sessions  # type: ignore[attr-defined]
    return found


def a_device(world: World, profile: Any = "native") -> dict[str, Any]:
    return world.made(f"/resources/{world.resource}/devices", world.manager, {"name": "主电源", "profile": profile})


def heard(store: sessionmaker[Session], *messages: tuple[str, bytes]) -> None:
    """A second apart, the last one now."""
    now = clock.now()
    told = [Envelope(topic, payload, now - timedelta(seconds=back)) for back, (topic, payload) in enumerate(reversed(messages))]
    with store.begin() as session:
        intake.store(session, told)


def test_a_device_is_connected_by_its_discovery_messages(world: World, store: sessionmaker[Session]) -> None:
    path, body = f"/resources/{world.resource}/devices", {"name": "主电源", "profile": DISCOVERED}
    seen = world.client.request(
        "POST", f"/api/v1{path}?dry_run=true", json=body, headers={"authorization": f"Bearer {world.manager}"}
    )
    assert seen.status_code == 200
    assert world.get(path, world.manager).json()["items"] == []
    made = a_device(world, DISCOVERED)
    assert made["taken"] == seen.json()["taken"]
    assert [(one["what"], one["topic"], one["scale"]) for one in made["taken"]] == [
        ("power", "{branch*}/press/power", 1000), ("online", "{branch*}/press/status", 1),
    ]  # fmt: skip
    assert made["left_out"] == [{"name": "heat", "why": "other_quantity", "detail": ""}]
    heard(store, (f"d/{made['key']}/press/status", b"online"), (f"d/{made['key']}/press/power", b"1.25"))
    with store() as session:
        row = queries.get_device(session, made["id"])
        assert row.online
        assert queries.rejected_of(session, row.key) == []
    found = world.get(f"/devices/{made['id']}/profile", world.manager).json()
    assert found["profile"] == seen.json()["profile"]
    assert 'power = { path = ".", scale = 1000 }' in found["toml"]


def test_a_template_that_is_not_read_is_quoted(world: World) -> None:
    payload = {"dev_cla": "power", "unit_of_meas": "W", "stat_t": "a/b", "val_tpl": "{{ states('x') }}"}
    body = {"name": "表", "profile": {"home_assistant": [{"topic": "homeassistant/sensor/a/config", "payload": payload}]}}
    reply = refused(world.post(f"/resources/{world.resource}/devices", world.manager, json=body), 422, "invalid")
    assert "profile.family.home_assistant.0.payload" in fields(reply)
    assert "{{ states('x') }}" in reply["detail"]
    assert "write its path by hand" in reply["detail"]


def test_a_profile_is_tried_on_the_last_messages_before_it_is_saved(world: World, store: sessionmaker[Session]) -> None:
    made = a_device(world)
    key = made["key"]
    broken = f"d/{key}/meter"
    heard(store, (f"d/{key}/t", b'{"p": 8, "st": "IDLE"}'), (broken, b'{"kw": 1.5}'), (broken, b'{"kw": "\xff"}'))
    mapping = {"message": [{"topic": "d/{device}/meter", "power": {"path": "kw", "scale": 1000}}]}
    path = f"/devices/{made['id']}/profile"
    tried = world.post(f"{path}?dry_run=true", world.manager, json={"profile": mapping}).json()
    assert tried["profile"] == mapping
    raw, taken, native = tried["messages"]
    assert (raw["payload_b64"], raw["turned_away"]["reason"], raw["then"]["reason"]) == (
        "eyJrdyI6ICL/In0=",
        "bad_topic",
        "not_json",
    )
    assert (taken["now"]["reason"], taken["then"][0]["power_w"]) == ("bad_topic", 1500)
    assert taken["then"][0]["at"] == taken["received_at"]
    assert (native["now"][0]["power_w"], native["now"][0]["state"], native["then"]["reason"]) == (8, "IDLE", "bad_topic")
    assert world.get(path, world.manager).json()["profile"] == "native"
    saved = world.post(path, world.manager, json={"profile": mapping, "max_skew": 60})
    assert (saved.status_code, saved.json()["profile"], saved.json()["max_skew"]) == (200, mapping, 60)
    heard(store, (broken, b'{"kw": 2}'))
    with store() as session:
        profiles = queries.profiles_of(session, made["id"])
        assert [one.family for one in profiles.every] == ["native", "mapping"]
        assert queries.count_rejected(session, [key]) == {key: 2}
        assert [one.action for one in audit.history_of(session, "device", made["id"])] == ["set_profile", "register"]


def test_what_is_left_out_stays(world: World) -> None:
    made = a_device(world)
    path = f"/devices/{made['id']}"
    world.post(f"{path}/thresholds", world.manager, json={"p_on": 300, "p_off": 200})
    world.post(f"{path}/profile", world.manager, json={"toml": 'family = "tasmota"\nbackfill = 3600'})
    found = world.post(f"{path}/thresholds", world.manager, json={"min_on": 30}).json()
    assert (found["p_on"], found["min_on"]) == (300, 30)
    kept = world.get(f"{path}/profile", world.manager).json()
    assert (kept["profile"], kept["backfill"], kept["zone"]) == ("tasmota", 3600, "Asia/Shanghai")


def test_the_series_that_count_are_named_and_all_again(world: World) -> None:
    path = f"/devices/{a_device(world)['id']}/profile"
    assert world.get(path, world.manager).json()["series"] == []
    for asked, kept in (({"series": ["1", "0"]}, ["0", "1"]), ({"max_skew": 60}, ["0", "1"]), ({"toml": "series = []"}, [])):
        found = world.post(path, world.manager, json=asked).json()
        assert (found["series"], f"series = {orjson.dumps(kept).decode().replace(',', ', ')}" in found["toml"]) == (kept, True)


@pytest.mark.parametrize(
    ("body", "code", "field", "line"),
    [
        ({"series": ["x" * 300]}, "invalid", "profile.series", None),
        ({"toml": "family = "}, "invalid", "profile", 1),
        ({"toml": '\n[[family.message]]\ntopic = "a"\npower = "x..y"'}, "invalid", "profile.family.message.0", 4),
        ({"toml": 'zone = "Mars/Olympus"'}, "invalid", "profile.zone", 1),
        ({"toml": "p_on = 3"}, "invalid", "profile.p_on", 1),
        ({"toml": 'family = "tasmota"', "profile": "native"}, "invalid", "toml", None),
        ({"profile": "telegraph"}, "invalid", "profile.family", None),
        ({"profile": {"message": [{"topic": "a", "watts": 1}]}}, "invalid", "profile.family.message.0.watts", None),
        ({"max_skew": -1}, "invalid", "profile.max_skew", None),
        ({"toml": "#" * 70_000}, "malformed", "toml", None),
        ({"p_on": 3}, "malformed", "p_on", None),
    ],
)
def test_what_does_not_fit_names_field_and_line(
    world: World, body: dict[str, Any], code: str, field: str, line: int | None
) -> None:
    made = a_device(world)
    for path in (f"/devices/{made['id']}/profile", f"/devices/{made['id']}/profile?dry_run=true"):
        reply = refused(world.post(path, world.manager, json=body), 422, code)
        assert field in fields(reply)
        assert reply["reasons"][0].get("line") == line
    assert world.get(f"/devices/{made['id']}/profile", world.manager).json()["profile"] == "native"


def test_the_last_messages_are_bounded_and_one_that_was_cut_is_not_tried(world: World, store: sessionmaker[Session]) -> None:
    made = a_device(world)
    topic = f"d/{made['key']}/t"
    heard(store, *[(topic, orjson.dumps({"p": number})) for number in range(MOST_MESSAGES + 10)], (topic, b" " * 20_000))
    cut, last, *rest = world.post(f"/devices/{made['id']}/profile?dry_run=true", world.manager, json={}).json()["messages"]
    assert (cut["size"], len(cut["payload"]), cut["now"], cut["then"]) == (20_000, 1024, None, None)
    assert (last["now"][0]["power_w"], len(rest)) == (MOST_MESSAGES + 9, MOST_MESSAGES - 2)


def test_who_manages_devices_sees_and_changes_the_reading(world: World) -> None:
    made = a_device(world)
    path = f"/devices/{made['id']}/profile"
    technician = world.a_person("technician", institution_id=world.institution)
    finance = world.a_person("finance", institution_id=world.institution)
    assert world.get(path, technician).status_code == 200
    assert world.post(path, technician, json={"profile": "tasmota"}).status_code == 200
    stranger = world.a_person("manager", institution_id=world.an_institution())
    for tail in ("", "?dry_run=true"):
        refused(world.post(path + tail, finance, json={}), 403, "not_allowed")
        refused(world.post(path + tail, stranger, json={}), 404, "not_found")
        refused(world.post(path + tail, world.member, json={}), 404, "not_found")
        refused(world.post(path + tail, json={}), 401, "not_signed_in")
    refused(world.get(path, finance), 403, "not_allowed")
    refused(world.get(path, stranger), 404, "not_found")


def test_an_expression_that_fails_on_a_message_or_holds_others_up_is_told(world: World, store: sessionmaker[Session]) -> None:
    made = a_device(world)
    heard(store, (f"d/{made['key']}/t", b'{"p": 8, "st": "RUN"}'))
    path = f"/devices/{made['id']}/profile?dry_run=true"
    for expression in ("st > `1` && p", "[@][?st < `5`].p | [0]"):
        mapping = {"message": [{"topic": "{branch+}/t", "power": f"jmespath:{expression}"}]}
        (told,) = world.post(path, world.manager, json={"profile": mapping}).json()["messages"]
        assert told["then"]["reason"] == "bad_expression"
        assert expression[:12] in told["then"]["detail"]
    for expression in ("|".join(["[@,@][]"] * 30), "(" * 190 + "p" + ")" * 190):
        mapping = {"message": [{"topic": "{branch+}/t", "power": f"jmespath:{expression}"}]}
        reply = refused(world.post(path, world.manager, json={"profile": mapping}), 422, "invalid")
        assert "profile.family.message.0" in fields(reply)
