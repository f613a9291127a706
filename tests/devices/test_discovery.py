"""Home Assistant's discovery messages, as vendors document them, become mappings of ours; their templates are never evaluated."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.codecs.discovery import MOST_CONFIGS, PAYLOAD_BYTES, Imported, Why, import_discovery
from devices.codecs.families import decode
from devices.codecs.pasted import read_pasted
from devices.codecs.templates import NotOurs, place_of
from devices.profile import read_profile
from devices.readings import Channel, Reading, Rejected
from marketplace.refusals import Invalid


def message(topic: str, **payload: Any) -> dict[str, Any]:
    return {"topic": topic, "payload": orjson.dumps(payload).decode()}


def imported(*messages: dict[str, Any], **more: Any) -> Imported:
    return import_discovery({"home_assistant": list(messages), **more})


def read(found: Imported, topic: str, payload: str) -> list[Reading]:
    told = decode("mapping", topic, payload.encode(), mapping=orjson.dumps(found.mapping).decode())
    assert not isinstance(told, Rejected), told
    return told


def refused(*messages: dict[str, Any], **more: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        imported(*messages, **more)
    return caught.value


TASMOTA_LWT = {
    "avty_t": "tele/tasmota_139827/LWT",
    "pl_avail": "Online",
    "pl_not_avail": "Offline",
    "dev": {"ids": ["139827"]},
}
TASMOTA = [
    message(
        f"homeassistant/sensor/139827_ENERGY_{name}/config",
        name=f"Plug ENERGY {name}",
        stat_t="tele/tasmota_139827/SENSOR",
        uniq_id=f"139827_ENERGY_{name}",
        unit_of_meas=unit,
        dev_cla=kind,
        frc_upd=True,
        val_tpl=f"{{{{value_json['ENERGY']['{name}']}}}}",
        **TASMOTA_LWT,
    )
    for name, unit, kind in [
        ("Total", "kWh", "energy"),
        ("Yesterday", "kWh", "energy"),
        ("Today", "kWh", "energy"),
        ("Power", "W", "power"),
        ("ApparentPower", "VA", "apparent_power"),
        ("Voltage", "V", "voltage"),
    ]
]
"""Tasmota before 9.2 with SetOption19 1: tasmota.github.io, docs/Home-Assistant; payloads as its console logs them."""


def test_tasmotas_own_discovery() -> None:
    found = imported(*TASMOTA)
    assert [(one.what, one.name, one.path, one.scale) for one in found.taken] == [
        ("power", "139827_ENERGY_Power", "ENERGY.Power", 1),
        ("energy", "139827_ENERGY_Total", "ENERGY.Total", 1000),
        ("online", "tele/tasmota_139827/LWT", ".", 1),
    ]
    assert {one.name.rpartition("_")[2]: one.why for one in found.left_out} == {
        "Yesterday": Why.SPAN,
        "Today": Why.SPAN,
        "ApparentPower": Why.OTHER,
        "Voltage": Why.OTHER,
    }
    sensor = '{"Time":"2026-03-10T09:00:00","ENERGY":{"Total":6.294,"Yesterday":5.34,"Today":0.954,"Power":2635,"Voltage":227}}'
    for branch in ("", "d/k1/"):
        assert read(found, f"{branch}tele/tasmota_139827/SENSOR", sensor) == [
            Reading(Channel.TELEMETRY, power_w=2635, energy_wh=6294)
        ]
        assert read(found, f"{branch}tele/tasmota_139827/LWT", "Offline") == [Reading(Channel.PRESENCE, online=False)]
    assert read(found, "d/k1/tele/tasmota_139827/SENSOR", '{"Time":"2026-03-10T09:00:00","SWITCH":{}}') == []
    assert read(found, "d/k1/tele/other/SENSOR", sensor) == []


Z2M = {
    "availability": [
        {"topic": "zigbee2mqtt/bridge/state", "value_template": "{{ value_json.state }}"},
        {"topic": "zigbee2mqtt/lab/plug/availability", "value_template": "{{ value_json.state }}"},
    ],
    "availability_mode": "all",
    "device": {"identifiers": ["zigbee2mqtt_0x0017880104e45522"], "name": "lab/plug"},
    "state_topic": "zigbee2mqtt/lab/plug",
}


def test_zigbee2mqtts_discovery() -> None:
    """zigbee2mqtt.io, guide/usage/integrations/home_assistant; availability as its own tests expect it."""
    names = [("power", "W", "measurement"), ("energy", "kWh", "total_increasing"), ("linkquality", "lqi", "measurement")]
    found = imported(
        *(
            message(
                f"homeassistant/sensor/0x0017880104e45522/{name}/config",
                unique_id=f"0x0017880104e45522_{name}_zigbee2mqtt",
                object_id=f"plug_{name}",
                unit_of_measurement=unit,
                state_class=kind,
                value_template=f"{{{{ value_json.{name} }}}}",
                **({"device_class": name} if name != "linkquality" else {}),
                **Z2M,
            )
            for name, unit, kind in names
        ),
        message("homeassistant/switch/0x0017880104e45522/switch/config", state_topic="zigbee2mqtt/lab/plug", payload_on="ON"),
    )
    assert read(found, "d/k1/zigbee2mqtt/lab/plug", '{"state":"ON","power":35,"energy":12.47}') == [
        Reading(Channel.TELEMETRY, power_w=35, energy_wh=12470)
    ]
    assert read(found, "d/k1/zigbee2mqtt/lab/plug", '{"energy":12.47}') == [Reading(Channel.TELEMETRY, energy_wh=12470)]
    assert read(found, "d/k1/zigbee2mqtt/lab/plug", '{"state":"ON"}') == []
    assert read(found, "d/k1/zigbee2mqtt/lab/plug/availability", '{"state":"online"}') == [Reading(Channel.PRESENCE, online=True)]
    assert {(one.name, one.why) for one in found.left_out} == {
        ("0x0017880104e45522_linkquality_zigbee2mqtt", Why.OTHER),
        ("switch", Why.NO_SENSOR),
        ("zigbee2mqtt/bridge/state", Why.SEVERAL),
    }


def test_a_shelly_announced_by_a_script() -> None:
    """bieniu/ha-shellies-discovery-gen2: base topic, templates and units of a Shelly Plus 1PM."""
    about = {"~": "shellyplus1pm-a8032abe54dc/", "stat_t": "~status/switch:0", "en": "true", "qos": 0}
    found = imported(
        message(
            "homeassistant/sensor/shellyplus1pm-a8032abe54dc-0-power/config",
            val_tpl="{{value_json.apower|round(1)}}",
            unit_of_meas="W",
            dev_cla="power",
            **about,
        ),
        message(
            "homeassistant/sensor/shellyplus1pm-a8032abe54dc-0-energy/config",
            val_tpl="{{value_json.aenergy.total|round(2)}}",
            unit_of_meas="Wh",
            dev_cla="energy",
            stat_cla="total_increasing",
            **about,
        ),
    )
    status = '{"id":0,"output":true,"apower":25.74,"aenergy":{"total":913.252,"by_minute":[0]}}'
    assert read(found, "d/k1/shellyplus1pm-a8032abe54dc/status/switch:0", status) == [
        Reading(Channel.TELEMETRY, power_w=25.74, energy_wh=913.252)
    ]


def test_esphome_with_plain_values() -> None:
    """esphome.io, components/mqtt: homeassistant/sensor/<node>/<sensor>/config, `<prefix>/status` is online or offline."""
    about = {"avty_t": "press/status", "dev": {"ids": "246f28aabbcc", "name": "press"}}
    found = imported(
        message(
            "homeassistant/sensor/press/power/config",
            dev_cla="power",
            unit_of_meas="kW",
            stat_cla="measurement",
            stat_t="press/sensor/power/state",
            **about,
        ),
        message(
            "homeassistant/sensor/press/energy/config",
            dev_cla="energy",
            unit_of_meas="MWh",
            stat_cla="total_increasing",
            stat_t="press/sensor/energy/state",
            **about,
        ),
    )
    assert read(found, "d/k1/press/sensor/power/state", "1.25") == [Reading(Channel.TELEMETRY, power_w=1250)]
    assert read(found, "d/k1/press/sensor/energy/state", "0.5") == [Reading(Channel.TELEMETRY, energy_wh=500_000)]
    assert read(found, "d/k1/press/status", "online") == [Reading(Channel.PRESENCE, online=True)]


def test_a_whole_device_in_one_payload() -> None:
    """home-assistant.io, integrations/mqtt, device discovery: `cmps`, `p`, what is shared by all; the names are ours."""
    device = {
        "dev": {"ids": "ea334450945afc", "name": "Mill"},
        "o": {"name": "bridge"},
        "cmps": {
            "pw": {"p": "sensor", "device_class": "power", "unit_of_measurement": "W", "value_template": "{{ value_json.p }}"},
            "en": {
                "platform": "sensor",
                "dev_cla": "energy",
                "unit_of_meas": "kWh",
                "val_tpl": "{{ (value_json['e.t'] | float(0)) / 10 }}",
                "uniq_id": "mill_energy",
            },
            "button": {"p": "button", "command_topic": "mill/set"},
        },
        "~": "d/k9/mill",
        "stat_t": "~/state",
        "avty": {"t": "~/alive", "pl_avail": "1", "pl_not_avail": "0"},
    }
    found = imported({"topic": "homeassistant/device/ea334450945afc/config", "payload": device})
    assert [(one.what, one.name, one.topic, one.scale) for one in found.taken] == [
        ("power", "pw", "d/{device}/mill/state", 1),
        ("energy", "mill_energy", "d/{device}/mill/state", 100),
        ("online", "d/k9/mill/alive", "d/{device}/mill/alive", 1),
    ]
    assert read(found, "d/other/mill/state", '{"p": 12, "e.t": "77"}') == [Reading(Channel.TELEMETRY, power_w=12, energy_wh=7700)]


@pytest.mark.parametrize(
    ("template", "path", "scale"),
    [
        ("{{ value }}", ".", 1),
        ("{{value|float}}", ".", 1),
        ("{{ value_json.a.b }}", "a.b", 1),
        ("{{ value_json['a']['b c'] }}", "a.b c", 1),
        ('{{ value_json["ENERGY"].Power[1] | int }}', "ENERGY.Power.1", 1),
        ("{{ value_json.x | float(0) * 0.001 }}", "x", 0.001),
        ("{{ 1000 * value_json.x }}", "x", 1000),
        ("{{ (value_json.x | float / 1000) | round(2) }}", "x", 0.001),
        ("{{- value_json.x | is_defined | default(0) | round -}}", "x", 1),
        ("{{ value_json['a.b'].c }}", 'jmespath:"a.b"."c"', 1),
        ("{{ float_missing }}", None, 0),
        ("{{ value_json.x + 1 }}", None, 0),
        ("{{ value_json.x - 1 }}", None, 0),
        ("{{ value_json.x * value_json.y }}", None, 0),
        ("{{ 1 / value_json.x }}", None, 0),
        ("{{ value_json.x / 0 }}", None, 0),
        ("{{ value_json.x * 0 }}", None, 0),
        ("{{ 5 }}", None, 0),
        ("{{ value_json.pf*100|round }}", None, 0),
        ("{{ value_json.x | round(2, 'floor') }}", None, 0),
        ("{{ value_json.x | abs }}", None, 0),
        ("{{ value_json.get('x') }}", None, 0),
        ("{{ value_json.x if value_json.y else 0 }}", None, 0),
        ("{% if value_json.x %}1{% endif %}", None, 0),
        ("{{ states('sensor.x') }}", None, 0),
        ("{{ ''.__class__.__mro__ }}", None, 0),
        ("{{ value_json.x }}{{ value_json.y }}", None, 0),
        ("{{ value_json.x }} W", None, 0),
        ("{{ ((((((value_json.x)))))) }}", None, 0),
        ("value_json.x", None, 0),
        ("", None, 0),
    ],
)
def test_a_template_says_where_and_by_what_or_nothing(template: str, path: str | None, scale: float) -> None:
    if path is None:
        with pytest.raises(NotOurs):
            place_of(template)
    else:
        found = place_of(template)
        assert (found.path, found.scale) == (path, scale)


@given(st.text(alphabet="{}value_json.x[]'\"()|*/ 01round-", max_size=60))
def test_a_template_is_read_or_refused(text: str) -> None:
    for template in (text, f"{{{{{text}}}}}"):
        try:
            assert 0 < place_of(template).scale <= 1e9
        except NotOurs:
            continue


POWER = {"dev_cla": "power", "unit_of_meas": "W", "stat_t": "a/b"}


def test_a_template_outside_the_grammar_is_quoted_with_what_to_do() -> None:
    said = refused(message("homeassistant/sensor/a/config", val_tpl="{{ value_json.x | abs }}", uniq_id="meter", **POWER))
    assert said.values["field"] == "profile.family.home_assistant.0.payload"
    assert (said.values["template"], said.values["name"]) == ("{{ value_json.x | abs }}", "meter")
    assert "write its path by hand" in str(said.values["reason"])


def test_a_template_that_nobody_needs_is_not_looked_at() -> None:
    strange = message("homeassistant/sensor/t/config", dev_cla="temperature", val_tpl="{% evil %}", stat_t="a/b")
    found = imported(message("homeassistant/sensor/a/config", **POWER, avty_t="a/c", avty_tpl="{% if x %}"), strange)
    assert [one.what for one in found.taken] == ["power"]
    assert {(one.name, one.why, one.detail) for one in found.left_out} == {
        ("t", Why.OTHER, ""),
        ("a/c", Why.TEMPLATE, "{% if x %}"),
    }


def test_of_several_powers_one_is_named() -> None:
    three = [
        message(f"homeassistant/sensor/m/phase_{one}/config", **POWER, val_tpl=f"{{{{ value_json.{one} }}}}") for one in "abc"
    ]
    said = refused(*three)
    assert said.values["names"] == "phase_a, phase_b, phase_c"
    assert [one.path for one in imported(*three, take=["phase_b"]).taken] == ["b"]
    assert refused(*three, take=["phase_z"]).values["field"] == "profile.family.home_assistant"
    assert [one.path for one in imported(three[0], three[0]).taken] == ["a"]


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([], ""),
        ([{"topic": "tele/plug/SENSOR", "payload": "{}"}], "0.topic"),
        ([{"topic": "homeassistant/sensor//config", "payload": "{}"}], "0.topic"),
        ([{"topic": "homeassistant/sensor/a/config", "payload": "{"}], "0.payload"),
        ([{"topic": "homeassistant/sensor/a/config", "payload": "[]"}], "0.payload"),
        ([{"topic": "homeassistant/sensor/a/config", "payload": '{"a":' * 20 + "1" + "}" * 20}], "0.payload"),
        ([{"topic": "homeassistant/sensor/a/config", "payload": " " * PAYLOAD_BYTES + "{} "}], "0.payload"),
        ([{"topic": "homeassistant/sensor/a/config", "payload": "\ud800"}], "0.payload"),
        ([{"topic": "homeassistant/sensor/a/config", "payload": ""}], ""),
        ([{"topic": "homeassistant/sensor/a/config"}], "0.payload"),
        ([{"topic": "homeassistant/sensor/a/config", "payload": 7}], "0.payload.str"),
        ([message("homeassistant/sensor/a/config", **POWER)] * (MOST_CONFIGS + 1), ""),
        ([message("homeassistant/sensor/a/config", **{**POWER, "unit_of_meas": "BTU/h"})], ""),
        ([message("homeassistant/sensor/a/config", **{**POWER, "stat_t": ""})], ""),
        ([message("homeassistant/sensor/a/config", **{**POWER, "stat_t": "a/{x}{x}"})], "profile.family.message.0"),
        ([message("homeassistant/sensor/a/config", **{**POWER, "stat_t": "a" * 250})], "profile.family.message.0"),
        ([{"topic": "homeassistant/device/a/config", "payload": {"cmps": [1]}}], ""),
    ],
)
def test_what_cannot_be_read_names_its_place(messages: list[dict[str, Any]], field: str) -> None:
    whole = field if field.startswith("profile") else f"profile.family.home_assistant.{field}".rstrip(".")
    assert refused(*messages).values["field"] == whole


NAMES = st.sampled_from(
    [
        "~",
        "stat_t",
        "val_tpl",
        "dev_cla",
        "unit_of_meas",
        "avty",
        "avty_t",
        "t",
        "topic",
        "cmps",
        "p",
        "uniq_id",
        "name",
        "pl_avail",
    ]
)
WORDS = ["~", "a/b", "~x", "W", "kWh", "power", "energy", "sensor", "{{ value }}"]
ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(WORDS),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(NAMES, inside, max_size=6),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, ANY, max_size=8), st.sampled_from(["sensor", "device"]))
def test_whatever_is_announced_is_imported_or_refused(payload: dict[str, Any], kind: str) -> None:
    try:
        found = imported({"topic": f"homeassistant/{kind}/a/config", "payload": payload})
    except Invalid:
        return
    assert {one.what for one in found.taken} & {"power", "energy"}


def test_what_is_pasted_is_read_line_by_line() -> None:
    printed = "\n".join(f"{one['topic']} {one['payload']}" for one in TASMOTA)
    logged = "\n".join(f"14:29:21.123 MQT: {one['topic']} = {one['payload']} (retained)" for one in TASMOTA)
    assert read_pasted(printed) == read_pasted(logged) == TASMOTA
    spread = 'homeassistant/sensor/a/config {\n  "stat_t": "a/b"\n}\n\nhomeassistant/sensor/b/config\n'
    assert read_pasted(spread) == [
        {"topic": "homeassistant/sensor/a/config", "payload": '{\n  "stat_t": "a/b"\n}'},
        {"topic": "homeassistant/sensor/b/config", "payload": ""},
    ]
    for nothing in ("", "\n", '{"stat_t": "a"}'):
        with pytest.raises(Invalid):
            read_pasted(nothing)


def test_a_profile_file_may_hold_discovery_messages() -> None:
    profile = read_profile({"family": {"home_assistant": TASMOTA}, "p_on": 200})
    assert (profile.family, profile.p_on) == ("mapping", 200)
    assert orjson.loads(profile.mapping) == imported(*TASMOTA).mapping
