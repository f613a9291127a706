"""How a device's messages are read, and what they say, in the words of the API."""

from base64 import b64encode
from typing import Any

import orjson

from devices import profile_files, trial
from devices.codecs.discovery import import_discovery
from devices.codecs.families import MAPPING
from devices.profile import Profile
from devices.readings import Rejected
from web.api import shapes


def shape(found: Profile) -> dict[str, Any]:
    family = orjson.loads(found.mapping) if found.family == MAPPING else found.family
    values = {name: getattr(found, name) for name in profile_files.READING}
    return {"profile": family, **values, "toml": profile_files.as_text(found)}


def imported(family: object) -> dict[str, Any]:
    """What discovery messages came to; nothing of any other profile."""
    if not isinstance(family, dict) or "home_assistant" not in family:
        return {}
    found = import_discovery(family)
    taken = [
        {"what": one.what, "name": one.name, "topic": one.topic, "path": one.path, "scale": one.scale} for one in found.taken
    ]
    left = [{"name": one.name, "why": one.why.value, "detail": one.detail} for one in found.left_out]
    return {"taken": taken, "left_out": left}


def message(one: trial.Tried) -> dict[str, Any]:
    """Newest first; `now` and `then` are lists of readings, or why it is turned away; null where only its begin was kept."""
    envelope = one.heard.envelope
    refused = one.heard.turned_away
    return {
        "received_at": shapes.instant(envelope.received_at),
        "topic": envelope.topic,
        **_payload(envelope.payload),
        "size": one.heard.size,
        "retain": envelope.retain,
        "turned_away": _refused(refused) if refused else None,
        "now": _said(one.now),
        "then": _said(one.then),
    }


def _payload(payload: bytes) -> dict[str, str]:
    """As text, or as base64 where it is none."""
    try:
        return {"payload": payload.decode()}
    except UnicodeDecodeError:
        return {"payload_b64": b64encode(payload).decode()}


def _said(said: trial.Said | None) -> Any:
    if said is None:
        return None
    return _refused(said) if isinstance(said, Rejected) else [_reading(one) for one in said]


def _refused(said: Rejected) -> dict[str, str]:
    return {"reason": said.reason.value, "detail": said.detail}


def _reading(one: trial.Value) -> dict[str, Any]:
    return {
        "power_w": one.power_w,
        "energy_wh": one.energy_wh,
        "state": one.state,
        "online": one.online,
        "metric": one.metric,
        "at": shapes.instant(one.at),
        "note": one.note,
    }
