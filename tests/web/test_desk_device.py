"""One meter's page: thresholds, secret, enabling and disabling, what was turned away and why."""

import re
from base64 import b64decode
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import SecretStr

from devices import actions
from devices import queries as devices
from devices.intake import actions as intake
from devices.readings import Envelope, Reason
from devices.registry.actions import MOST_CERTIFICATES
from marketplace import clock
from tests.web.desks import Desk, Reader, error_beside
from web.present.rejections import reason_in_words
from web.views.frame import Lang

THRESHOLDS = {
    "p_on": "120",
    "p_off": "60",
    "p_idle": "5",
    "rated_w": "",
    "min_on": "90",
    "min_off": "120",
    "stale_after": "180",
    "max_gap": "900",
}
FIELD = re.compile(r'name="(p_on|p_off|p_idle|rated_w|min_on|min_off|stale_after|max_gap)"[^>]* value="([^"]*)"')


def a_device(desk: Desk, resource: str = "") -> tuple[str, str]:
    """Id and key of a new meter."""
    path = f"/desk/resources/{resource or desk.resource}/devices"
    shown = desk.reader("technician").post(path, name="主电源", family="native").text
    found = re.search(r'/desk/devices/(\w+)"', shown)
    key = re.search(r"-u (k\w+)", shown)
    assert found
    assert key
    return found[1], key[1]


def thresholds(reader: Reader, device: str) -> dict[str, str]:
    return dict(FIELD.findall(reader.get(f"/desk/devices/{device}").text))


@pytest.mark.parametrize(
    ("family", "how", "what"),
    [
        ("tasmota", "into the plug's console", "Backlog MqttHost"),
        ("shelly2", "own address in place of PLUG", "MQTT.SetConfig"),
        ("zigbee2mqtt", "configuration.yaml", "base_topic: d/k"),
        ("homie", "send a message from a shell", "mosquitto_pub"),
    ],
)
def test_what_is_pasted_is_told_where_to(desk: Desk, family: str, how: str, what: str) -> None:
    shown = desk.reader("technician").post(f"/desk/resources/{desk.resource}/devices", name="表", family=family).text
    assert how in shown
    assert what in shown


def test_thresholds_hold_from_now_on(desk: Desk) -> None:
    device, _ = a_device(desk)
    reader = desk.reader("technician")
    assert thresholds(reader, device)["p_on"] == "100"
    answer = reader.post(f"/desk/devices/{device}/thresholds", **{**THRESHOLDS, "p_on": "1,200.5", "rated_w": "２０００"})
    assert answer.status_code == 200
    assert "The thresholds hold from now on" in answer.text
    kept = thresholds(reader, device)
    assert (kept["p_on"], kept["min_on"], kept["rated_w"]) == ("1200.5", "90", "2000")
    reader.post(f"/desk/devices/{device}/thresholds", **THRESHOLDS)
    assert thresholds(reader, device) == THRESHOLDS


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"p_off": "120"}, "p_off", "must lie below"),
        ({"min_on": "abc"}, "min_on", "number from 0"),
        ({"max_gap": ""}, "max_gap", "number from 0"),
        ({"stale_after": "99999999999"}, "stale_after", "too large"),
    ],
)
def test_a_wrong_threshold_is_told_beside_it_and_the_old_ones_stay(
    desk: Desk, changes: dict[str, str], field: str, said: str
) -> None:
    device, _ = a_device(desk)
    reader = desk.reader("manager")
    before = thresholds(reader, device)
    answer = reader.post(f"/desk/devices/{device}/thresholds", **{**THRESHOLDS, **changes})
    assert answer.status_code == 422
    assert said in error_beside(answer.text, field)
    assert dict(FIELD.findall(answer.text)) == {**THRESHOLDS, **changes}
    assert thresholds(reader, device) == before


def test_a_new_secret_is_shown_once(desk: Desk) -> None:
    device, key = a_device(desk)
    reader = desk.reader("manager")
    shown = reader.post(f"/desk/devices/{device}/renew").text
    secret = re.search(rf"-u {key} -P '([^']+)'|-u {key} -P &#39;(\S+)&#39;", shown)
    assert secret
    assert (secret[1] or secret[2]) not in reader.get(f"/desk/devices/{device}").text


def test_a_disabled_device_is_enabled_with_a_new_secret(desk: Desk) -> None:
    device, _ = a_device(desk)
    reader = desk.reader("manager")
    disabled = reader.post(f"/desk/devices/{device}/revoke").text
    assert "Enable it with a new secret" in disabled
    assert "Disabled since" in disabled
    enabled = reader.post(f"/desk/devices/{device}/renew").text
    assert "shown this once" in enabled
    assert "Disable this device" in enabled


def test_what_was_turned_away_is_counted_by_reason(desk: Desk) -> None:
    device, key = a_device(desk)
    with desk.database() as session:
        broken = [(f"d/{key}/t", b"{"), (f"d/{key}/t", b'{"p": "many"}'), (f"d/{key}/t", b"[")]
        intake.store(session, [Envelope(topic, payload, clock.now()) for topic, payload in broken])
        session.commit()
        assert devices.count_rejected(session, [key]) == {key: 3}
    page = desk.reader("technician").get(f"/desk/devices/{device}").text
    assert "3 in all" in page
    assert "The text is not valid JSON" in page
    assert "A value is missing or out of range" in page
    assert "内容不是有效的 JSON" in desk.reader("technician").get(f"/desk/devices/{device}", lang="zh").text


@pytest.mark.parametrize(("who", "status"), [("finance", 403), ("stranger", 404), ("customer", 404), ("evaluator", 404)])
def test_only_those_who_mind_the_devices_open_it(desk: Desk, who: str, status: int) -> None:
    device, _ = a_device(desk)
    reader = desk.reader(who)
    steps = ("thresholds", "main-meter", "renew", "revoke")
    assert reader.get(f"/desk/devices/{device}").status_code == status
    assert [reader.post(f"/desk/devices/{device}/{step}", **THRESHOLDS).status_code for step in steps] == [status] * len(steps)
    assert reader.get("/desk/devices/dev_none").status_code == 404


def test_every_reason_has_its_words() -> None:
    said = [reason_in_words(reason.value, Lang.ZH) for reason in Reason]
    assert [words for words in said if words.isascii()] == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"origin": "http://testserver"}, 201),
        ({"origin": "http://elsewhere.example"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
    ],
)
def test_a_browsers_session_writes_through_the_api_for_our_own_pages_only(
    desk: Desk, headers: dict[str, str], status: int
) -> None:
    body = {"name": "主电源", "profile": "native"}
    path = f"/api/v1/resources/{desk.resource}/devices"
    answer = desk.reader("manager").client.post(path, json=body, headers={**headers, "idempotency-key": "a-key"})
    assert answer.status_code == status, answer.text
    assert desk.reader("manager").client.get(path, headers={"sec-fetch-site": "cross-site"}).status_code == 200


def test_what_thresholds_would_change_is_seen_before_they_are_saved(desk: Desk) -> None:
    device, key = a_device(desk)
    reader, now = desk.reader("technician"), clock.now()
    start = now - timedelta(hours=3)
    told = [
        Envelope(f"d/{key}/t", f'{{"p":{350 if 30 <= minute < 90 else 8}}}'.encode(), start + timedelta(minutes=minute))
        for minute in range(170)
    ]
    with desk.app.state.sessions() as session:
        intake.store(session, told)
        while actions.fold_devices(session, now=now):
            pass
        session.commit()
    seen = reader.post(f"/desk/devices/{device}/thresholds", **{**THRESHOLDS, "p_on": "400"}, step="look")
    assert seen.status_code == 200
    assert "What these thresholds would have made of the time since" in seen.text
    assert (seen.text.count("60 min · 1×"), seen.text.count(">0 min · 0×"), seen.text.count("no run")) == (2, 1, 1)
    assert dict(FIELD.findall(seen.text))["p_on"] == "400"
    assert thresholds(reader, device)["p_on"] == "100"
    same = reader.post(f"/desk/devices/{device}/thresholds", **THRESHOLDS, step="look")
    assert "Nothing: every run would be the same." in same.text
    wrong = reader.post(f"/desk/devices/{device}/thresholds", **{**THRESHOLDS, "p_off": "900"}, step="look")
    assert wrong.status_code == 422
    assert "would have made" not in wrong.text


@pytest.fixture
def takes_certificates(desk: Desk, tmp_path: Path) -> Iterator[None]:
    before = desk.app.state.settings
    desk.app.state.settings = before.model_copy(update={"mqtt_certificate_port": 8884, "data_dir": tmp_path})
    yield
    desk.app.state.settings = before


def test_a_platform_that_takes_no_certificates_speaks_of_none(desk: Desk) -> None:
    device, _ = a_device(desk)
    assert "ertificate" not in desk.reader("technician").get(f"/desk/devices/{device}").text


def test_a_certificate_is_shown_once_and_taken_back(desk: Desk, takes_certificates: None) -> None:
    device, key = a_device(desk)
    reader = desk.reader("technician")
    shown = reader.post(f"/desk/devices/{device}/certificates").text
    files = dict(re.findall(r'download="([^"]+)" href="data:application/x-pem-file;base64,([^"]+)"', shown))
    assert list(files) == [f"{key}.key", f"{key}.crt", "ca.crt"]
    made = x509.load_pem_x509_certificate(b64decode(files[f"{key}.crt"]))
    made.verify_directly_issued_by(x509.load_pem_x509_certificate(b64decode(files["ca.crt"])))
    own = load_pem_private_key(b64decode(files[f"{key}.key"]), None)
    assert own.public_key() == made.public_key()
    assert f"-p 8884 -q 1 -i {key} --cafile ca.crt --cert {key}.crt" in shown
    again = reader.get(f"/desk/devices/{device}").text
    assert "data:application" not in again
    serial = f"{made.serial_number:x}"
    back = reader.post(f"/desk/devices/{device}/certificates/{serial}/revoke").text
    assert "within seconds nobody can connect by it" in back
    assert f"/certificates/{serial}/revoke" not in back
    for _ in range(MOST_CERTIFICATES):
        reader.post(f"/desk/devices/{device}/certificates")
    assert "Issue a certificate" not in reader.get(f"/desk/devices/{device}").text
    assert "5 certificates that count" in reader.post(f"/desk/devices/{device}/certificates").text


@pytest.fixture
def asked_by_emqx(desk: Desk) -> Iterator[None]:
    before = desk.app.state.settings
    desk.app.state.settings = before.model_copy(update={"emqx_secret": SecretStr("of the tests")})
    yield
    desk.app.state.settings = before


def test_where_the_broker_asks_the_old_secret_may_go_on(desk: Desk, asked_by_emqx: None) -> None:
    device, _ = a_device(desk)
    reader = desk.reader("technician")
    assert 'name="overlap"' in reader.get(f"/desk/devices/{device}").text
    assert "The secret before this one counts until" in reader.post(f"/desk/devices/{device}/renew", overlap="24h").text
    with desk.database() as session:
        ends_in = [devices.find_old_secret(session, device, at=clock.now() + timedelta(hours=hours)) for hours in (23, 25)]
        assert [one is not None for one in ends_in] == [True, False]
    for choice in ("none", "9999h", ""):
        assert "The secret before this one" not in reader.post(f"/desk/devices/{device}/renew", overlap=choice).text


def test_where_it_has_a_file_the_new_secret_has_a_user_name_of_its_own(desk: Desk) -> None:
    device, key = a_device(desk)
    reader = desk.reader("technician")
    assert "a user name of its own" in reader.get(f"/desk/devices/{device}").text
    shown = reader.post(f"/desk/devices/{device}/renew", overlap="24h").text
    assert f"-i {key}.2 -u {key}.2 -P" in shown
    assert f"-t d/{key}/t" in shown
    assert f'Its user name: <span class="mono">{key}</span>' in shown
    assert f"-u {key}.2 -P" in reader.post(f"/desk/devices/{device}/renew", overlap="none").text
    assert f"-u {key} -P" in reader.post(f"/desk/devices/{device}/renew", overlap="1h").text
