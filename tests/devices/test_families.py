"""Every payload family reads the messages of its vendor's documentation as they are meant."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest

from devices.codecs.describing import VOCABULARIES
from devices.codecs.families import FAMILIES, Example, decode
from devices.profile import Profile, read_profile
from devices.readings import Channel, Reading, Reason, Rejected
from devices.sessions import LOADS
from marketplace.refusals import Invalid

EXAMPLES = [(family.name, example) for family in FAMILIES.values() for example in family.examples]
MEANT = {*LOADS, "UNKNOWN"}
POW = """{"Time":"2018-02-15T17:37:10","ENERGY":{"TotalStartTime":"2018-11-14T18:39:40","Total":6.294,"Yesterday":5.340,
"Today":0.954,"Period":217,"Power":2635,"ApparentPower":2650,"Factor":0.99,"Voltage":227,"Current":11.661}}"""
STATUS8 = """{"StatusSNS":{"Time":"2018-11-15T08:54:18","ENERGY":{"TotalStartTime":"2018-11-14T18:39:40","Total":6.404,
"Yesterday":5.340,"Today":1.064,"Power":2629,"ApparentPower":2645,"Factor":0.99,"Voltage":226,"Current":11.677}}}"""


def told(reading: Reading) -> dict[str, Any]:
    """What a reading says, without what it does not."""
    assert (reading.channel is Channel.PRESENCE) == (reading.online is not None)
    return {
        name: value
        for name, value in reading._asdict().items()
        if name not in {"channel", "historical"} and value not in (None, "")
    }


@pytest.mark.parametrize(("family", "example"), EXAMPLES, ids=[f"{family}-{example.topic}" for family, example in EXAMPLES])
def test_an_example_says_what_is_meant(family: str, example: Example) -> None:
    found = decode(family, example.topic, example.payload.encode())
    assert not isinstance(found, Rejected), found
    assert len(example.source) > 10
    times = {"measured_at": datetime.fromisoformat}
    expected = [{name: times.get(name, lambda one: one)(value) for name, value in one.items()} for one in example.readings]
    assert [told(reading) for reading in found] == expected


def test_each_shipped_family_has_examples_of_what_it_reads_and_of_what_it_passes_over() -> None:
    described = [family for family in FAMILIES.values() if family.name not in {"native", "tasmota", "sparkplug"}]
    assert len(described) > 5
    for family in described:
        assert any(example.readings for example in family.examples), family.name
        assert any(not example.readings for example in family.examples), family.name


def test_every_word_of_a_vocabulary_means_a_state_of_ours() -> None:
    assert {"packml", "lads", "e10", "mtconnect"} <= set(VOCABULARIES)
    for words in VOCABULARIES.values():
        assert set(words.values()) <= MEANT
    assert VOCABULARIES["packml"]["6"] == "RUN" != VOCABULARIES["lads"]["6"]
    assert {number for number, meaning in VOCABULARIES["packml"].items() if number.isdecimal() and meaning == "RUN"} == {
        "3", "6", "12", "14", "16",
    }  # fmt: skip
    assert {number for number, meaning in VOCABULARIES["packml"].items() if number.isdecimal() and meaning == "HELD"} == {
        "5", "10", "11", "13",
    }  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("payload", [b"", b"\xff\xfe", b"NaN", b"-inf", b"1e999", b"{", b"[" * 50, b"null", b"{}" * 9, b"\x00"])
def test_nonsense_is_never_a_measurement(family: str, payload: bytes) -> None:
    for example in FAMILIES[family].examples:
        found = decode(family, example.topic, payload)
        assert isinstance(found, Rejected) or not any(reading.power_w or reading.energy_wh for reading in found)


TASMOTA = [
    ("tele/pow1/SENSOR", POW, 2635.0, 6294.0),
    ("stat/pow1/STATUS8", STATUS8, 2629.0, 6404.0),
    ("d/k1/stat/STATUS10", STATUS8, 2629.0, 6404.0),
    ("tele/lab/floor 2/pow1/SENSOR", POW, 2635.0, 6294.0),
    ("pow1/tele/SENSOR", POW, 2635.0, 6294.0),
    ("lab/floor 2/pow1/stat/STATUS8", STATUS8, 2629.0, 6404.0),
    ("d/k1/tele/lab/pow1/SENSOR", POW, 2635.0, 6294.0),
    ("d/k1/lab/pow1/tele/SENSOR", POW, 2635.0, 6294.0),
]


@pytest.mark.parametrize(("topic", "payload", "power", "energy"), TASMOTA, ids=[topic for topic, *_ in TASMOTA])
def test_a_tasmota_plug_tells_and_answers(topic: str, payload: str, power: float, energy: float) -> None:
    """Examples of docs/devices/Sonoff-Pow-R2.md in Tasmota's documentation."""
    (reading,) = decode("tasmota", topic, payload.encode())  # type: ignore[misc]
    assert (reading.power_w, reading.energy_wh) == (power, energy)


@pytest.mark.parametrize("topic", ["cmnd/pow1/SENSOR", "pow1/cmnd/SENSOR", "pow1/SENSOR", "tele", "tele/", "xtele/pow1/SENSOR"])
def test_what_is_no_topic_of_a_tasmota_plug_is_turned_away(topic: str) -> None:
    found = decode("tasmota", topic, POW.encode())
    assert isinstance(found, Rejected)
    assert found.reason is Reason.TOPIC


@pytest.mark.parametrize("tail", ["STATE", "RESULT", "STATUS", "STATUS11", "INFO1", "UPTIME"])
def test_what_else_a_tasmota_plug_says_is_passed_over(tail: str) -> None:
    assert decode("tasmota", f"stat/pow1/{tail}", b"ON") == []


RELAYS = [
    ("tele/pow1/STATE", b'{"Time":"2018-02-15T17:37:10","Uptime":"0T01:00:10","Vcc":3.18,"POWER":"OFF"}', "open"),
    ("tele/pow1/STATE", b'{"POWER1":"OFF","POWER2":"ON"}', "closed"),
    ("tele/pow1/STATE", b'{"POWER1":"OFF","POWER2":"OFF"}', "open"),
    ("stat/pow1/STATUS11", b'{"StatusSTS":{"POWER":"OFF"}}', "open"),
    ("stat/pow1/RESULT", b'{"POWER":"OFF"}', "open"),
    ("stat/pow1/RESULT", b'{"POWER2":"ON"}', "closed"),
    ("stat/pow1/POWER", b"OFF", "open"),
    ("stat/pow1/RESULT", b'{"POWER2":"OFF"}', None),
    ("stat/pow1/POWER2", b"OFF", None),
    ("stat/pow1/POWER", b"aus", None),
    ("stat/pow1/STATUS11", b'{"StatusSTS":7}', None),
]


@pytest.mark.parametrize(("topic", "payload", "relay"), RELAYS)
def test_a_tasmota_plug_is_switched_off_where_all_of_its_relays_are(topic: str, payload: bytes, relay: str | None) -> None:
    """Examples of docs/MQTT.md and docs/Commands.md in Tasmota's documentation; what is no measurement is no sign of life."""
    found = decode("tasmota", topic, payload)
    assert not isinstance(found, Rejected)
    assert [(one.channel, one.relay) for one in found] == ([(Channel.RELAY, relay)] if relay else [])


@pytest.mark.parametrize("state", ["7", '{"a":1}', '"\\u0000"', "null", '""', f'"{"x" * 200}"', '["OFF"]'])
def test_an_odd_word_of_a_relay_turns_no_measurement_away(state: str) -> None:
    (reading,) = decode("zigbee2mqtt", "zigbee2mqtt/plug", f'{{"power":35,"state":{state}}}'.encode())  # type: ignore[misc]
    assert (reading.power_w, reading.relay) == (35.0, "untold")


def described(**message: Any) -> Profile:
    return read_profile({"family": {"message": [message]}})


def test_a_mapping_that_somebody_describes_reads_their_payloads() -> None:
    profile = described(
        topic="factory/{line}/meter/{metric}",
        power={"sum": ["p.a", "p.b"], "scale": 1000},
        energy="jmespath:counters[?name=='Wh'].v | [0]",
        state={"path": "mode", "words": {"producing": "RUN", "setup": "HELD"}},
        time={"path": "at", "format": "epoch_ms"},
    )
    payload = b'{"at":1757059829080,"p":{"a":1.5,"b":"0.5"},"counters":[{"name":"Wh","v":7}],"mode":"producing"}'
    (reading,) = decode(profile.family, "factory/3/meter/m1", payload, mapping=profile.mapping)  # type: ignore[misc]
    at = datetime(2025, 9, 5, 8, 10, 29, 80000, tzinfo=UTC)
    assert told(reading) == {"measured_at": at, "power_w": 2000.0, "energy_wh": 7.0, "state": "RUN", "metric": "m1"}
    again = read_profile(asdict(profile) | {"rated_w": 100})
    assert (again.family, again.mapping) == (profile.family, profile.mapping)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"topic": "a/{x}/{x}"}, "message.0"),
        ({"topic": "a/#"}, "message.0"),
        ({"topic": "a", "power": "b..c"}, "message.0"),
        ({"topic": "a", "power": "jmespath:[?"}, "message.0"),
        ({"topic": "a", "power": {"scale": 2}}, "message.0"),
        ({"topic": "a", "power": {"path": "p", "scale": -1}}, "message.0.power.scale"),
        ({"topic": "a", "state": {"vocabulary": "none"}}, "message.0"),
        ({"topic": "a", "time": {"path": "t", "format": "moon"}}, "message.0.time.format"),
        ({"topic": "a", "surprise": 1}, "message.0.surprise"),
        ({"format": "json"}, "message.0.topic"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused_at_its_field(message: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        described(**message)
    assert refused.value.values["field"] == f"profile.family.{field}"
