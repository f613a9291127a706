"""The payload families we read, and how their topics name a device."""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from devices.codecs import native, sparkplug, tasmota
from devices.codecs.describing import read_mapping, read_metrics
from devices.codecs.strict import PAYLOAD_LIMIT, TOPIC_LIMIT, Unreadable
from devices.readings import Envelope, Followed, Reading, Reason, Rejected, Told
from marketplace.refusals import Invalid

UTC = ZoneInfo("UTC")
KEY = re.compile(r"^[A-Za-z0-9_-]{1,64}$")
Read = Callable[[str, bytes, ZoneInfo], list[Reading]]
"""The readings of (topic, payload, zone of the device's clock). Raises: Unreadable."""
Follow = Callable[[Iterable[Envelope], datetime | None], Followed]
"""Of a family whose messages mean something only after others: one device's in order of receipt, each with what it says.
Of those before the instant only births are among them."""


@dataclass(frozen=True, slots=True)
class Example:
    """A message of the vendor's documentation, or one that was captured, and what it says."""

    topic: str
    payload: str
    readings: Sequence[Mapping[str, Any]]
    source: str


@dataclass(frozen=True, slots=True)
class Family:
    """A payload family; a device that we provision publishes its measurements on `publishes`, which names its {key}."""

    name: str
    title: str
    publishes: str
    read: Read
    follow: Follow | None = None
    setup: str = ""
    """What is typed into the device, with {host}, {port}, {key}, {login} and {secret}; without it any MQTT client shows how."""
    examples: Sequence[Example] = ()
    described: Mapping[str, Any] | None = None
    """As a mapping, where one describes it."""


def _by_codec(topic: re.Pattern[str], decode: Callable[[str, bytes, ZoneInfo], list[Reading]]) -> Read:
    """Of a codec that is told the topic's tail."""

    def read(named: str, payload: bytes, zone: ZoneInfo) -> list[Reading]:
        match = topic.match(named)
        if match is None:
            raise Unreadable(Reason.TOPIC, "not a topic of this family")
        return decode(match["tail"], payload, zone)

    return read


def _shipped() -> Mapping[str, Family]:
    """By name, as devices/families/*.toml describe them."""
    found = {}
    for file in sorted((resources.files("devices") / "families").iterdir(), key=lambda one: one.name):
        if file.name.endswith(".toml"):
            described = tomllib.loads(file.read_text("utf-8"))
            name = file.name.removesuffix(".toml")
            messages = {"message": described["message"]}
            mapping = read_mapping(messages, name=name)
            examples = [Example(**one) for one in described["example"]]
            setup = described.get("setup", "")
            found[name] = Family(
                name,
                described["title"],
                described["publishes"],
                mapping.read,
                setup=setup,
                examples=examples,
                described=messages,
            )
    return found


def _sparkplug(name: str, metrics: Mapping[str, Any]) -> Family:
    message = read_metrics(metrics)

    def follow(envelopes: Iterable[Envelope], since: datetime | None) -> Followed:
        return sparkplug.Node(message).follow(envelopes, since=since)

    return Family(name, "Sparkplug B", "spBv1.0/group/DDATA/{key}/device", sparkplug.beats, follow)


METRICS = {
    "power": """jmespath:not_null("Power/Active_W", "Power", "ActivePower")""",
    "energy": {"path": """jmespath:not_null("Energy/Total_kWh", "Energy", "ActiveEnergy")""", "scale": 1000},
    "state": {"path": """jmespath:not_null("Status/State", "Status/StateCurrent", "State")""", "vocabulary": "packml"},
}
"""The names that we ask for: watts, kilowatt-hours and the state of PackML."""
NATIVE_EXAMPLE = '{"p": 742.5, "e": 118234.7}'
NATIVE = re.compile(r"^d/(?P<device>[^/]+)/(?P<tail>[^/]+)$")
TASMOTA = re.compile(r"^(?:d/[^/]+/)?(?:(?:tele|stat)/(?:.+/)?|(?:.+/)?(?:tele|stat)/)(?P<tail>[^/]+)$")
"""Both orders of FullTopic that Tasmota documents, `%prefix%/%topic%/` and `%topic%/%prefix%/`; a topic may have levels."""
FAMILIES: Mapping[str, Family] = {
    "native": Family("native", "MQTT (JSON)", "d/{key}/t", _by_codec(NATIVE, native.decode)),
    "tasmota": Family("tasmota", "Tasmota", "d/{key}/tele/SENSOR", _by_codec(TASMOTA, tasmota.decode), setup=tasmota.SETUP),
    "sparkplug": _sparkplug("sparkplug", METRICS),
    **_shipped(),
}
"""A Tasmota plug that we provision publishes below its own `d/{key}/`; elsewhere its topic is its name."""

OWN_BRANCHES = {"d": 1, "shellies": 1, "spBv1.0": 3}
"""First levels below which a device writes, and the level that is its key: the broker's rules for topics say the same."""


def device_key(topic: str) -> str | Rejected:
    """The key of the device whose branch `topic` lies in, such as `d/{key}/...`."""
    if len(topic) > TOPIC_LIMIT or not topic.isprintable():
        return Rejected(Reason.TOPIC, "too long or not printable")
    levels = topic.split("/")
    place = OWN_BRANCHES.get(levels[0], 0)
    tail = 0 if levels[0] == "spBv1.0" else 1
    if not place or len(levels) <= place + tail or not all(levels[place + 1 :]) or not KEY.match(levels[place]):
        return Rejected(Reason.TOPIC, "not below d/{device}/")
    return levels[place]


def shown(family: str) -> str:
    """A payload of the family that tells a power, for whoever tries the way with another client."""
    if family == "tasmota":
        return tasmota.EXAMPLE
    examples = FAMILIES[family].examples if family in FAMILIES else ()
    return next((one.payload for one in examples if any("power_w" in told for told in one.readings)), NATIVE_EXAMPLE)


MAPPING = "mapping"
"""The family of a device whose payloads somebody described."""


@lru_cache(maxsize=256)
def described_by(mapping: str) -> Family:
    """The family that a description, JSON, describes. Raises: Invalid, naming the field below `profile.family`."""
    try:
        values = orjson.loads(mapping)
    except orjson.JSONDecodeError as error:
        raise Invalid(field="profile.family", reason=f"not JSON ({error})") from error
    if isinstance(values, dict) and set(values) == {"sparkplug"}:
        return _sparkplug(MAPPING, values["sparkplug"])
    return Family(MAPPING, MAPPING, "d/{key}/#", read_mapping(values, name=MAPPING).read, described=values)


@lru_cache(maxsize=256)
def _stored(mapping: str) -> Family | None:
    """None where it was saved under wider bounds than ours."""
    try:
        return described_by(mapping)
    except Invalid:
        return None


def find(family: str, mapping: str) -> Family | None:
    """The one of that name; the one that `mapping` describes where it is none of ours; None where there is none."""
    return _stored(mapping) if family == MAPPING else FAMILIES.get(family)


def needs_birth(family: str, mapping: str) -> bool:
    """Whether its messages mean something only after others."""
    known = find(family, mapping)
    return known is not None and known.follow is not None


def follow(
    family: str, envelopes: Iterable[Envelope], zone: ZoneInfo = UTC, mapping: str = "", *, since: datetime | None = None
) -> Followed:
    """Messages of one device, in order of receipt, each with what it says once those before it are known.

    Of those before `since` only births are among them.
    """
    known = find(family, mapping)
    if known and known.follow:
        yield from known.follow(envelopes, since)
        return
    for envelope in envelopes:
        found = decode(family, envelope.topic, envelope.payload, zone, mapping)
        yield envelope, found if isinstance(found, Rejected) else [Told(reading) for reading in found]


def decode(family: str, topic: str, payload: bytes, zone: ZoneInfo = UTC, mapping: str = "") -> list[Reading] | Rejected:
    """The readings in a message alone, of a family that `mapping` describes where it is none of ours.

    None where it measures nothing; of a family whose messages need others before them only when something happened.
    """
    known = find(family, mapping)
    if known is None:
        described = "its mapping is not accepted any more; saving it again says why"
        return Rejected(Reason.UNKNOWN_FAMILY, described if family == MAPPING else family[:40])
    if len(payload) > PAYLOAD_LIMIT:
        return Rejected(Reason.TOO_LARGE, f"{len(payload)} bytes, at most {PAYLOAD_LIMIT}")
    if len(topic) > TOPIC_LIMIT:
        return Rejected(Reason.TOPIC, f"not a topic of {family}")
    try:
        return known.read(topic, payload, zone)
    except Unreadable as error:
        return Rejected(error.reason, error.detail)
