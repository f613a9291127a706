"""Tasmota: `tele/{topic}/SENSOR` with ENERGY, `stat/{topic}/STATUS10` answers, `tele/{topic}/LWT`.

Time is local without offset by default; Total counts kWh; several channels make Power an array (their sum is used).
"""

import re
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from devices.codecs.strict import Unreadable, read_number, read_object, read_wall
from devices.readings import Channel, Reading, Reason

EXAMPLE = '{"ENERGY": {"Power": 742.5, "Total": 118.2347}}'
SETUP = (
    "Backlog MqttHost {host}; MqttPort {port}; MqttUser {key}; MqttPassword {secret}; "
    "MqttClient {key}; Topic {key}; FullTopic d/%topic%/%prefix%/; TelePeriod 10"
)
"""For the console of the plug."""

WH_PER_KWH = 1000
ANSWERS = ("STATUS8", "STATUS10")
"""What a plug answers to `Status 8` and `Status 10`: the same as SENSOR, in StatusSNS."""

QUIET = re.compile(r"STATE|INFO\d|RESULT|POWER\d*|STATUS\d*|UPTIME|MARGINS|LOGGING")
"""Tails that are ours to ignore: they carry no measurement."""


def decode(tail: str, payload: bytes, zone: ZoneInfo) -> list[Reading]:
    """`tail` is the topic's last part: SENSOR or the answer to a question for it, LWT, or one without a measurement."""
    if tail == "LWT":
        return [_presence(payload)]
    if tail not in {"SENSOR", *ANSWERS}:
        if QUIET.fullmatch(tail):
            return []
        raise Unreadable(Reason.TOPIC, f"no such channel: {tail[:40]}")
    body = read_object(payload)
    if tail in ANSWERS:
        answer = body.get("StatusSNS")
        if not isinstance(answer, dict):
            raise Unreadable(Reason.SHAPE, "StatusSNS is not an object")
        body = answer
    energy = body.get("ENERGY", {})
    if not isinstance(energy, dict):
        raise Unreadable(Reason.SHAPE, "ENERGY is not an object")
    return [_sample(body, energy, zone)] if energy else []


def _sample(body: Mapping[str, Any], energy: Mapping[str, Any], zone: ZoneInfo) -> Reading:
    total = _sum(energy.get("Total"), "Total")
    return Reading(
        Channel.TELEMETRY,
        measured_at=read_wall(body["Time"], zone) if body.get("Time") is not None else None,
        power_w=_sum(energy.get("Power"), "Power"),
        energy_wh=None if total is None else round(total * WH_PER_KWH, 3),
    )


def _sum(value: object, name: str) -> float | None:
    if not isinstance(value, list):
        return read_number(value, name)
    if not 1 <= len(value) <= 16:
        raise Unreadable(Reason.SHAPE, f"{name} has no channel or too many")
    total = 0.0
    for channel in value:
        number = read_number(channel, name)
        if number is None:
            raise Unreadable(Reason.NUMBER, f"{name} has an empty channel")
        total += number
    return total


def _presence(payload: bytes) -> Reading:
    words = {b"Online": True, b"Offline": False}
    if payload not in words:
        raise Unreadable(Reason.SHAPE, "LWT is neither Online nor Offline")
    return Reading(Channel.PRESENCE, online=words[payload])
