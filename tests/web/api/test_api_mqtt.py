"""EMQX's questions as its documentation writes them (5.8 and later): who may come in, with which rights, until when."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from devices import logins
from devices.rights import emqx_rules
from marketplace import clock
from marketplace.settings import Settings
from tests.web.api.test_api_devices import a_device
from tests.web.api.world import API, Reply, World, fields, refused
from web.api.mqtt import LARGEST
from web.app import create_app
from web.security import BODY_LIMIT

SECRET = "of the tests, " + "0123456789abcdef" * 2
PATH = f"{API}/mqtt/authentication"
INGEST = {"username": "ingest", "password": "p@ss", "clientid": "ingest"}


@pytest.fixture(scope="module")
def emqx(api_url: str) -> Iterator[TestClient]:
    """The application of a platform whose broker is EMQX."""
    settings = Settings(database_url=api_url, emqx_secret=SECRET, mqtt_url="mqtt://ingest:p%40ss@broker.example:1883")
    with TestClient(create_app(settings), raise_server_exceptions=False) as asked:
        yield asked


def ask(emqx: TestClient, question: Any, *, secret: str = SECRET) -> Reply:
    reply: Reply = emqx.post(PATH, json=question, headers={"authorization": f"Bearer {secret}".encode()})
    return reply


def told(emqx: TestClient, question: Any) -> dict[str, Any]:
    """The answer to a question; whatever it is, EMQX reads it."""
    reply = ask(emqx, question)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json"), reply.text
    found: dict[str, Any] = reply.json()
    return found


def login_of(device: dict[str, Any], **changes: str) -> dict[str, str]:
    return {"username": device["mqtt"]["username"], "password": device["secret"], "clientid": device["key"], **changes}


def counted(world: World, device: dict[str, Any]) -> list[str]:
    items = world.get(f"/devices/{device['id']}/rejected", world.manager).json()["items"]
    assert {one["reason"] for one in items} <= {"wrong_login"}
    return [one["detail"] for one in items]


def test_a_device_comes_in_with_its_rights_and_until_when(world: World, emqx: TestClient) -> None:
    device, before = a_device(world), clock.now()
    found = told(emqx, login_of(device))
    until = found.pop("expire_at")
    assert found == {"result": "allow", "is_superuser": False, "acl": emqx_rules(device["key"])}
    longest = (before + logins.LASTS).timestamp()
    assert isinstance(until, int)
    assert longest - logins.STAGGER_S - 1 <= until <= longest + 60
    assert counted(world, device) == []


def test_the_answer_has_the_shape_that_emqx_documents(world: World, emqx: TestClient) -> None:
    for question in (INGEST, login_of(a_device(world))):
        for rule in told(emqx, question)["acl"]:
            assert set(rule) == {"permission", "action", "topic"}
            assert rule["permission"] in {"allow", "deny"}
            assert rule["action"] in {"publish", "subscribe", "all"}
            assert not re.search(r"[$ ]", rule["topic"])  # nothing that would be a placeholder or an `eq`


def test_ingest_comes_in_and_stays(emqx: TestClient) -> None:
    assert told(emqx, INGEST) == {"result": "allow", "is_superuser": False, "acl": emqx_rules(None)}
    assert told(emqx, {**INGEST, "password": "p%40ss"}) == {"result": "deny", "reason": "wrong_login"}
    assert told(emqx, {**INGEST, "clientid": "other"}) == {"result": "deny", "reason": "client_id"}


def test_without_a_password_in_the_settings_ingest_stays_outside(api_url: str) -> None:
    settings = Settings(database_url=api_url, emqx_secret=SECRET, mqtt_url="mqtt://broker.example:1883")
    with TestClient(create_app(settings)) as asked:
        assert told(asked, {**INGEST, "password": ""}) == {"result": "deny", "reason": "wrong_login"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"password": "guessed"}, "wrong_login"),
        ({"password": ""}, "wrong_login"),
        ({"clientid": "ingest"}, "client_id"),
        ({"clientid": ""}, "client_id"),
        ({"clientid": "emqx_random", "password": "guessed"}, "wrong_login"),
    ],
)
def test_a_wrong_login_is_denied_and_counted_to_its_device(
    world: World, emqx: TestClient, changes: dict[str, str], reason: str
) -> None:
    device = a_device(world)
    assert told(emqx, login_of(device, **changes)) == {"result": "deny", "reason": reason}
    assert counted(world, device) == [logins.DETAILS[logins.Fault(reason)]]


def test_a_storm_of_guesses_is_stored_a_few_times_and_keeps_the_device_itself_in(world: World, emqx: TestClient) -> None:
    device, began = a_device(world), clock.now()
    for _ in range(50):
        assert told(emqx, login_of(device, password="guessed"))["result"] == "deny"
    windows = (clock.now() - began).total_seconds() // logins.COUNTED_EVERY_S + 2
    assert 1 <= len(counted(world, device)) <= windows
    assert told(emqx, login_of(device))["result"] == "allow"


@pytest.mark.parametrize("name", ["", "nobody", "k1\n", "k\x00", "a/b", "#", "${username}", "k" * 200, "表", "ingest "])
def test_an_unknown_name_is_denied(emqx: TestClient, name: str) -> None:
    assert told(emqx, {"username": name, "password": "s", "clientid": name}) == {"result": "deny", "reason": "wrong_login"}


def test_a_revoked_device_is_denied_and_enabled_again_it_is_not(world: World, emqx: TestClient) -> None:
    device = a_device(world)
    world.post(f"/devices/{device['id']}/revoke", world.manager)
    assert told(emqx, login_of(device)) == {"result": "deny", "reason": "revoked"}
    again = world.post(f"/devices/{device['id']}/secret", world.manager).json()
    assert told(emqx, login_of(device)) == {"result": "deny", "reason": "wrong_login"}
    assert told(emqx, login_of(again))["result"] == "allow"


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"null", b"[]", b"1", b'"k1"', b"{}", b"\xff", b"[" * 4000, b'{"username": "\\ud800"}'),
        *(b'{"username": "k1", "password": "s"}', b'{"username": 1, "password": "s", "clientid": "k1"}'),
        b'{"username": null, "password": null, "clientid": null}',
        b'{"username": "k1", "password": "s", "clientid": "k1"}' + b" " * LARGEST,
        b"username=k1&password=s&clientid=k1",
    ],
)
def test_what_is_no_question_is_denied(emqx: TestClient, body: bytes) -> None:
    reply = emqx.post(PATH, content=body, headers={"authorization": f"Bearer {SECRET}"})
    assert (reply.status_code, reply.json()) == (200, {"result": "deny", "reason": "malformed"})


def test_a_body_beyond_any_limit_is_no_answer_that_lets_in(emqx: TestClient) -> None:
    reply = emqx.post(PATH, content=b" " * (BODY_LIMIT + 1), headers={"authorization": f"Bearer {SECRET}"})
    refused(reply, 413, "too_large")


@pytest.mark.parametrize("secret", ["", "wrong", SECRET[:-1], SECRET + "0", "é", SECRET.upper()])
def test_whoever_does_not_know_the_secret_learns_nothing(world: World, emqx: TestClient, secret: str) -> None:
    device = a_device(world)
    refused(ask(emqx, login_of(device), secret=secret), 401, "not_signed_in")
    refused(emqx.post(PATH, json=login_of(device)), 401, "not_signed_in")
    refused(emqx.post(PATH, json=login_of(device), headers={"authorization": f"Bearer {world.manager}"}), 401, "not_signed_in")


def test_without_the_setting_nobody_is_answered(client: TestClient, world: World) -> None:
    device = a_device(world)
    for secret in ("", SECRET):
        refused(ask(client, login_of(device), secret=secret), 404, "not_found")


def renewed(world: World, emqx: TestClient, device: dict[str, Any], body: dict[str, Any]) -> Reply:
    headers = {"authorization": f"Bearer {world.manager}"}
    reply: Reply = emqx.post(f"{API}/devices/{device['id']}/secret", json=body, headers=headers)
    return reply


def test_two_secrets_count_for_the_time_that_was_asked(world: World, emqx: TestClient) -> None:
    device = a_device(world)
    new = renewed(world, emqx, device, {"overlap_hours": 2}).json()
    assert new["secret"] != device["secret"]
    ends = clock.now() + timedelta(hours=2)
    old = told(emqx, login_of(device))
    assert abs(old["expire_at"] - ends.timestamp()) < 60  # so EMQX puts it out just then
    assert new["old_secret_until"][:16] in {(ends - timedelta(minutes=one)).isoformat()[:16] for one in (0, 1)}
    assert told(emqx, login_of(new))["expire_at"] > old["expire_at"]
    newest = renewed(world, emqx, device, {"overlap_hours": 2}).json()
    assert [told(emqx, login_of(one))["result"] for one in (device, new, newest)] == ["deny", "allow", "allow"]
    last = renewed(world, emqx, device, {}).json()
    assert last["old_secret_until"] is None
    assert [told(emqx, login_of(one))["result"] for one in (new, newest, last)] == ["deny", "deny", "allow"]


def test_revoking_ends_both_secrets_and_enabling_brings_none_back(world: World, emqx: TestClient) -> None:
    device = a_device(world)
    new = renewed(world, emqx, device, {"overlap_hours": 24}).json()
    world.post(f"/devices/{device['id']}/revoke", world.manager)
    assert [told(emqx, login_of(one))["reason"] for one in (device, new)] == ["revoked", "revoked"]
    again = renewed(world, emqx, device, {"overlap_hours": 24}).json()
    assert again["old_secret_until"] is None
    assert [told(emqx, login_of(one))["result"] for one in (device, new, again)] == ["deny", "deny", "allow"]


@pytest.mark.parametrize("hours", [-1, 721, 1.5, "x", None])
def test_an_overlap_is_whole_hours_of_a_month_at_most(world: World, emqx: TestClient, hours: Any) -> None:
    device = a_device(world)
    assert fields(refused(renewed(world, emqx, device, {"overlap_hours": hours}), 422)) == {"overlap_hours"}
    assert told(emqx, login_of(device))["result"] == "allow"


def test_where_mosquitto_has_a_file_the_new_secret_comes_with_the_other_of_two_names(world: World, emqx: TestClient) -> None:
    device = a_device(world)

    def renew(hours: int) -> dict[str, Any]:
        reply = world.post(f"/devices/{device['id']}/secret", world.manager, json={"overlap_hours": hours})
        assert reply.status_code == 200
        found: dict[str, Any] = reply.json()
        return found

    new = renew(2)
    assert new["mqtt"] == {**device["mqtt"], "username": f"{device['key']}.2"}  # the topic stays
    assert (new["key"], new["old_secret_until"] is None) == (device["key"], False)
    rules = emqx_rules(device["key"])
    assert [told(emqx, login_of(one))["acl"] for one in (device, new)] == [rules, rules]  # whoever takes EMQX meanwhile
    back = renew(1)
    assert back["mqtt"] == device["mqtt"]
    plain = renew(0)
    assert (plain["mqtt"], plain["old_secret_until"]) == (device["mqtt"], None)
    assert [told(emqx, login_of(one))["result"] for one in (device, new, back, plain)] == ["deny", "deny", "deny", "allow"]
