"""The worked cases of devices.md, as recordings through the same door as `pilotbench replay`."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from devices.profile import read_profile
from devices.replay import replay

T0 = datetime(2026, 3, 10, tzinfo=UTC)
FILE = json.loads((Path(__file__).parents[1] / "data" / "device_cases.json").read_text())
FOREIGN = {"state_map", "energy_kwh_max_step"}


def recording(case: dict[str, Any]) -> list[bytes]:
    """The case's messages as native payloads."""
    return [line(message) for message in case["messages"]]


def line(message: dict[str, Any]) -> bytes:
    body: dict[str, Any] = {}
    if "ts" in message:
        body["ts"] = int((T0.timestamp() + message["ts"]) * 1000)
    if "power" in message:
        body["p"] = message["power"]
    if "energy" in message:
        body["e"] = message["energy"] * 1000
    if "state" in message:
        body["st"] = message["state"]
    marks = {name: True for name in ("retain", "backlog", "historical") if message.get(name)}
    received = (T0 + timedelta(seconds=message["recv"])).isoformat()
    return orjson.dumps({"received_at": received, "topic": "d/k1/t", "payload": orjson.dumps(body).decode(), **marks})


def seconds(instant: str | None) -> float | None:
    return None if instant is None else (datetime.fromisoformat(instant) - T0).total_seconds()


@pytest.mark.parametrize("case", FILE["scenarios"], ids=[f"{c['id']} {c['title']}" for c in FILE["scenarios"]])
def test_a_worked_case_folds_to_its_sessions(case: dict[str, Any]) -> None:
    values = {**FILE["default_profile"], **case["profile_overrides"]}
    profile = read_profile({name: value for name, value in values.items() if name not in FOREIGN})
    for lines in (recording(case), recording(case)[::-1], recording(case) * 2):
        found = replay(lines, profile, until=T0 + timedelta(seconds=case["now"])).as_json()
        expected = case["expect"]["sessions"]
        assert len(found["sessions"]) == len(expected)
        for session, wanted in zip(found["sessions"], expected, strict=True):
            assert (seconds(session["start"]), seconds(session["end"])) == (wanted["start"], wanted["end"])
            assert session["confirmed_s"] == wanted["confirmed"]
            assert session["unverified_s"] == wanted["unverified"]
            assert session["energy_wh"] / 1000 == pytest.approx(wanted["energy"], abs=1e-4)
            assert session["flags"] == wanted["flags"]
            assert session["end_reason"] == wanted["reason"]
            assert session["state"] == wanted.get("state", "CLOSED").lower()
        if len(lines) == len(case["messages"]):
            assert found["notes"] == case["expect"]["notes"]
