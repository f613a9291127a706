"""How a meter's messages are read, on its page; and a meter connected by pasted discovery messages."""

import re
from datetime import timedelta
from html import unescape

import pytest

from devices import queries as devices
from devices.intake import actions as intake
from devices.readings import Envelope
from marketplace import clock
from tests.web.desks import Desk, Reader, error_beside
from tests.web.test_desk_device import a_device

WRITTEN = re.compile(r'<textarea[^>]*name="profile"[^>]*>(.*?)</textarea>', re.DOTALL)
MAPPING = """zone = "Asia/Shanghai"

[[family.message]]
topic = "d/{device}/meter"
power = { path = "kw", scale = 1000 }
"""
DISCOVERED = (
    'homeassistant/sensor/press/power/config {"dev_cla":"power","unit_of_meas":"kW","stat_t":"press/power","avty_t":"press/up"}\n'
    'homeassistant/sensor/press/heat/config {"dev_cla":"temperature","unit_of_meas":"°C","stat_t":"press/heat"}\n'
)


def written(page: str) -> str:
    found = WRITTEN.search(page)
    assert found
    return unescape(found[1]).replace("\r\n", "\n").lstrip("\n")


def heard(desk: Desk, *messages: tuple[str, bytes]) -> None:
    """A second apart, the last one now."""
    now = clock.now()
    told = [Envelope(topic, payload, now - timedelta(seconds=back)) for back, (topic, payload) in enumerate(reversed(messages))]
    with desk.app.state.sessions() as session:
        intake.store(session, told)
        session.commit()


def kept(reader: Reader, device: str) -> str:
    return written(reader.get(f"/desk/devices/{device}/reading").text)


def test_the_last_messages_stand_with_what_is_read_out_of_them(desk: Desk) -> None:
    device, key = a_device(desk)
    reader = desk.reader("technician")
    assert "Nothing came yet" in reader.get(f"/desk/devices/{device}/reading").text
    heard(
        desk,
        (f"d/{key}/t", b'{"p": 1500.5, "e": 12470, "st": "RUN"}'),
        (f"d/{key}/t", b"{}"),
        (f"d/{key}/s", b'{"online": false}'),
        (f"d/{key}/meter", b"<b>?</b>"),
        (f"d/{key}/t", b" " * 20_000),
    )
    page = reader.get(f"/desk/devices/{device}/reading").text
    for said in ("1,500.50 W", "12,470 Wh", "RUN", "A sign of life", "Offline", "was turned away", "only its begin was kept"):
        assert said in page
    assert "&lt;b&gt;?&lt;/b&gt;" in page
    assert "<b>?</b>" not in page
    assert f"/desk/devices/{device}/reading" in reader.get(f"/desk/devices/{device}").text
    assert "仅表示在线" in reader.get(f"/desk/devices/{device}/reading", lang="zh").text


def test_a_profile_is_tried_and_then_saved(desk: Desk) -> None:
    device, key = a_device(desk)
    reader = desk.reader("technician")
    heard(desk, (f"d/{key}/t", b'{"p": 8}'), (f"d/{key}/meter", b'{"kw": 1.5}'))
    before = kept(reader, device)
    assert before.startswith('family = "native"')
    seen = reader.post(f"/desk/devices/{device}/reading", profile=MAPPING, step="look")
    assert seen.status_code == 200
    assert "2 would be read differently" in seen.text
    assert "1,500 W" in seen.text
    assert written(seen.text) == MAPPING
    assert kept(reader, device) == before
    same = reader.post(f"/desk/devices/{device}/reading", profile='family = "native"', step="look").text
    assert "All would be read the same." in same
    saved = reader.post(f"/desk/devices/{device}/reading", profile=MAPPING)
    assert "From now on its messages are read so" in saved.text
    assert 'power = { path = "kw", scale = 1000 }' in written(saved.text)
    heard(desk, (f"d/{key}/meter", b'{"kw": 2}'))
    with desk.database() as session:
        assert [one.family for one in devices.profiles_of(session, device).every] == ["native", "mapping"]
        assert devices.count_rejected(session, [key]) == {key: 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("family = ", "Line 1"),
        ("\n\nfamily = tasmota", "Line 3"),
        (
            '[[family.message]]\ntopic = "a"\n[[family.message]]\ntopic = "b"\npower = "x..y"',
            "Line 5 · message 2 power: has an empty",
        ),
        ('[[family.message]]\ntopic = "a"\nwatts = 3', "Line 3 · message 1 watts: is no word of a mapping"),
        ("p_on = 3", "Line 1 · p_on: does not say how messages are read"),
        ('zone = "Mars/Olympus"', "Line 1 · zone: not an IANA time zone"),
        ('family = "telegraph"', "Line 1 · family: unknown"),
        ("", "is missing"),
    ],
)
def test_what_does_not_fit_is_told_with_its_line_and_stays_typed(desk: Desk, text: str, said: str) -> None:
    device, _ = a_device(desk)
    reader = desk.reader("manager")
    before = kept(reader, device)
    for step in ("look", ""):
        answer = reader.post(f"/desk/devices/{device}/reading", profile=text, step=step)
        assert answer.status_code == 422
        assert said in unescape(error_beside(answer.text, "profile"))
        assert written(answer.text) == text.lstrip("\n")
    assert kept(reader, device) == before


def test_a_mistake_is_told_in_chinese(desk: Desk) -> None:
    device, _ = a_device(desk)
    answer = desk.reader("manager").post(f"/desk/devices/{device}/reading", lang="zh", profile="p_on = 3")
    assert "第 1 行 · p_on：不属于消息的读法" in answer.text


@pytest.mark.parametrize(("who", "status"), [("finance", 403), ("stranger", 404), ("customer", 404), ("evaluator", 404)])
def test_only_those_who_mind_the_devices_see_and_change_the_reading(desk: Desk, who: str, status: int) -> None:
    device, _ = a_device(desk)
    reader = desk.reader(who)
    assert reader.get(f"/desk/devices/{device}/reading").status_code == status
    assert reader.post(f"/desk/devices/{device}/reading", profile=MAPPING).status_code == status
    path = f"/desk/resources/{desk.resource}/discovery"
    assert reader.post(path, meter="表", discovery=DISCOVERED).status_code == status


def test_what_discovery_messages_come_to_is_seen_before_a_meter_is_made(desk: Desk) -> None:
    reader = desk.reader("technician")
    path = f"/desk/resources/{desk.resource}/discovery"
    with desk.database() as session:
        before = len(devices.devices_of(session, desk.resource))
    seen = reader.post(path, meter="", discovery=DISCOVERED, step="look")
    assert seen.status_code == 200
    for said in ("{branch*}/press/power", "{branch*}/press/up", "tells neither a power nor an energy", "[[family.message]]"):
        assert said in unescape(seen.text)
    with desk.database() as session:
        assert len(devices.devices_of(session, desk.resource)) == before
    made = reader.post(path, meter="压机", discovery=DISCOVERED)
    assert made.status_code == 201
    key = re.search(r"remote_username (k\w+)", made.text)
    assert key
    assert f'topic press/power out 1 "" d/{key[1]}/' in unescape(made.text)
    heard(desk, (f"d/{key[1]}/press/power", b"1.5"))
    with desk.database() as session:
        (row,) = devices.devices_by_key(session, [key[1]]).values()
        assert (row.name, row.last_message_at is not None) == ("压机", True)


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"discovery": ""}, "discovery", "is missing"),
        ({"discovery": "{}"}, "discovery", "does not begin with a topic"),
        ({"discovery": 'a/sensor/b/config {"a"'}, "discovery", "Message 1: is no JSON that can be read"),
        (
            {"discovery": 'x/sensor/m/config {"dev_cla":"power","unit_of_meas":"W","stat_t":"a","val_tpl":"{{ now() }}"}'},
            "discovery",
            "Message 1: the template {{ now() }} of m is not evaluated",
        ),
        ({"take": "other"}, "discovery", "no sensor here tells a power"),
        ({"meter": ""}, "meter", "Name"),
    ],
)
def test_what_cannot_be_connected_is_told_beside_it(desk: Desk, fields: dict[str, str], field: str, said: str) -> None:
    sent = {"meter": "压机", "discovery": DISCOVERED, **fields}
    answer = desk.reader("manager").post(f"/desk/resources/{desk.resource}/discovery", **sent)
    assert answer.status_code == 422
    assert said in unescape(error_beside(answer.text, field))
