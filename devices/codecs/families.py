"""The payload families we read, and how their topics name a device."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from devices.codecs import native, tasmota
from devices.codecs.strict import PAYLOAD_LIMIT, TOPIC_LIMIT, Unreadable
from devices.readings import Reading, Reason, Rejected

UTC = ZoneInfo("UTC")
KEY = re.compile(r"^[A-Za-z0-9_-]{1,64}$")
Decoder = Callable[[str, bytes, ZoneInfo], list[Reading]]


@dataclass(frozen=True, slots=True)
class Family:
    """A payload family: `topic` matches its topics with a device and a tail, `decode` reads a payload."""

    name: str
    topic: re.Pattern[str]
    decode: Decoder


FAMILIES: Mapping[str, Family] = {
    "native": Family("native", re.compile(r"^d/(?P<device>[^/]+)/(?P<tail>[^/]+)$"), native.decode),
    "tasmota": Family(
        "tasmota",
        re.compile(r"^(?:d/(?P<device>[^/]+)/)?(?:tele|stat)/(?:(?P<name>[^/]+)/)?(?P<tail>[^/]+)$"),
        tasmota.decode,
    ),
}
"""A Tasmota plug that we provision publishes below its own `d/{key}/`; elsewhere its topic is its name."""


def device_key(topic: str) -> str | Rejected:
    """The key of the device whose branch `topic` lies in: `d/{key}/...`."""
    if len(topic) > TOPIC_LIMIT or not topic.isprintable():
        return Rejected(Reason.TOPIC, "too long or not printable")
    branch, _, rest = topic.partition("/")
    key, _, tail = rest.partition("/")
    if branch != "d" or not tail or not KEY.match(key):
        return Rejected(Reason.TOPIC, "not below d/{device}/")
    return key


def decode(family: str, topic: str, payload: bytes, zone: ZoneInfo = UTC) -> list[Reading] | Rejected:
    """The readings in a message of `family`; an empty list where it carries no measurement."""
    known = FAMILIES.get(family)
    if known is None:
        return Rejected(Reason.UNKNOWN_FAMILY, family[:40])
    if len(payload) > PAYLOAD_LIMIT:
        return Rejected(Reason.TOO_LARGE, f"{len(payload)} bytes, at most {PAYLOAD_LIMIT}")
    match = known.topic.match(topic) if len(topic) <= TOPIC_LIMIT else None
    if match is None:
        return Rejected(Reason.TOPIC, f"not a topic of {family}")
    try:
        return known.decode(match["tail"], payload, zone)
    except Unreadable as error:
        return Rejected(error.reason, error.detail)
