"""Tasmota: `tele/{topic}/SENSOR` or `{topic}/tele/SENSOR` with ENERGY, `stat/{topic}/STATUS10` answers, `tele/{topic}/LWT`.

Time is local without offset by default; Total counts kWh; several channels make Power an array (their sum is used), which is
switched off where all relays are open, and Total an array of counters, each a series of its own by the channel's number.
"""

import re
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from devices.codecs.strict import Unreadable, read_number, read_object, read_wall
from devices.readings import Channel, Reading, Reason, Relay

EXAMPLE = '{"ENERGY": {"Power": 742.5, "Total": 118.2347}}'
SETUP = (
    "Backlog MqttHost {host}; MqttPort {port}; MqttUser {login}; MqttPassword {secret}; "
    "MqttClient {key}; Topic {key}; FullTopic d/%topic%/%prefix%/; SetOption52 1; TelePeriod 10"
)
"""For the console of the plug. SetOption52 has it tell the offset of its clock; the period is the shortest it has, so that
thresholds are measured in a minute."""

WH_PER_KWH = 1000
ANSWERS = ("STATUS8", "STATUS10")
"""What a plug answers to `Status 8` and `Status 10`: the same as SENSOR, in StatusSNS."""

STATES = {"STATE": "", "STATUS11": "StatusSTS", "RESULT": ""}
"""What names the relays, and under which key: all of them, but RESULT only what was switched."""

POWER = re.compile(r"POWER\d*")
QUIET = re.compile(r"INFO\d|STATUS\d*|UPTIME|MARGINS|LOGGING")
"""Tails that are ours to ignore: they carry no measurement."""


def decode(tail: str, payload: bytes, zone: ZoneInfo) -> list[Reading]:
    """`tail` is the topic's last part: SENSOR or the answer to a question for it, LWT, or one without a measurement."""
    if tail == "LWT":
        return [_presence(payload)]
    if tail in STATES or POWER.fullmatch(tail):
        return _relays(tail, payload)
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
    return _samples(body, energy, zone) if energy else []


def _samples(body: Mapping[str, Any], energy: Mapping[str, Any], zone: ZoneInfo) -> list[Reading]:
    """The power, and the counter with it where there is one; several begin anew each by itself."""
    at = read_wall(body["Time"], zone) if body.get("Time") is not None else None
    totals = [None if one is None else round(one * WH_PER_KWH, 3) for one in _numbers(energy.get("Total"), "Total")]
    power_w = None if energy.get("Power") is None else sum(one or 0.0 for one in _numbers(energy["Power"], "Power"))
    alone = totals[0] if len(totals) == 1 else None
    power = Reading(Channel.TELEMETRY, measured_at=at, power_w=power_w, energy_wh=alone, relay=Relay.UNTOLD)
    if len(totals) == 1:
        return [power]
    counters = [
        Reading(Channel.TELEMETRY, measured_at=at, energy_wh=one, metric=str(number))
        for number, one in enumerate(totals, start=1)
    ]
    return [power, *counters]


def _relays(tail: str, payload: bytes) -> list[Reading]:
    """Whether any of the relays is closed, or all are open; nothing where that is not told."""
    try:
        said = read_object(payload) if tail in STATES else {tail: payload.decode(errors="replace")}
    except Unreadable:
        return []
    told = said.get(STATES[tail]) if STATES.get(tail) else said
    words = {name: word for name, word in told.items() if POWER.fullmatch(name)} if isinstance(told, dict) else {}
    if "ON" in words.values():
        return [Reading(Channel.RELAY, relay=Relay.CLOSED)]
    complete = tail in {"STATE", "STATUS11"} or set(words) == {"POWER"}
    is_open = words and complete and all(word == "OFF" for word in words.values())
    return [Reading(Channel.RELAY, relay=Relay.OPEN)] if is_open else []


def _numbers(value: object, name: str) -> list[float | None]:
    """Of each channel; of one it may be missing."""
    if not isinstance(value, list):
        return [read_number(value, name)]
    if not 1 <= len(value) <= 16:
        raise Unreadable(Reason.SHAPE, f"{name} has no channel or too many")
    found = [read_number(channel, name) for channel in value]
    if None in found:
        raise Unreadable(Reason.NUMBER, f"{name} has an empty channel")
    return found


def _presence(payload: bytes) -> Reading:
    words = {b"Online": True, b"Offline": False}
    if payload not in words:
        raise Unreadable(Reason.SHAPE, "LWT is neither Online nor Offline")
    return Reading(Channel.PRESENCE, online=words[payload])
