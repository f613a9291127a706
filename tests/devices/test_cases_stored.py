"""The worked cases of devices.md as the product meets them: stored as they come, folded now and then, cut anywhere."""

from datetime import timedelta
from itertools import pairwise
from random import Random
from typing import Any

import orjson
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from devices import actions
from devices.intake import actions as intake
from devices.readings import Envelope
from devices.registry.actions import register_device
from devices.tables import Device, UsageSession
from tests.builders import a_resource
from tests.devices.test_cases import FILE, FOREIGN, T0, recording, seconds

CASES = [case for case in FILE["scenarios"] if not any(message.get("historical") for message in case["messages"])]
"""What a device marks as kept for later is part of Sparkplug's own payload, and no mark of the broker's."""
WAYS = 4


def heard(case: dict[str, Any], key: str) -> list[Envelope]:
    """In order of receipt, up to the moment the case is looked at."""
    found = []
    for line in map(orjson.loads, recording(case)):
        at = T0 + timedelta(seconds=seconds(line["received_at"]) or 0)
        marks = {name: line.get(name, False) for name in ("retain", "backlog")}
        if at <= T0 + timedelta(seconds=case["now"]):
            found.append(Envelope(f"d/{key}/t", line["payload"].encode(), at, **marks))
    return sorted(found, key=lambda one: one.received_at)


def a_device(db: Session, case: dict[str, Any]) -> Device:
    values = {**FILE["default_profile"], **case["profile_overrides"]}
    profile = {name: value for name, value in values.items() if name not in FOREIGN and value is not None}
    begin = T0 - timedelta(days=3)
    return register_device(db, resource_id=a_resource(db).id, name="plug", profile=profile, actor_id=None, now=begin)[0]


def sessions(db: Session, device: Device) -> list[tuple[object, ...]]:
    rows = db.scalars(select(UsageSession).where(UsageSession.device_id == device.id).order_by(UsageSession.starts_at))
    return [
        (
            (run.starts_at - T0).total_seconds(),
            (run.ends_at - T0).total_seconds() if run.ends_at else None,
            run.confirmed_s,
            run.unverified_s,
            run.energy_wh,
            run.flags,
            run.end_reason and run.end_reason.value,
        )
        for run in rows
    ]


@pytest.mark.parametrize("case", CASES, ids=[f"{c['id']} {c['title']}" for c in CASES])
def test_a_case_comes_to_the_same_however_it_was_cut(db: Session, case: dict[str, Any]) -> None:
    rnd = Random(case["id"])
    wanted = [
        (
            one["start"],
            one["end"],
            int(one["confirmed"]),
            int(one["unverified"]),
            round(one["energy"] * 1000),
            one["flags"],
            one["reason"],
        )
        for one in case["expect"]["sessions"]
    ]
    for way in range(WAYS):
        device = a_device(db, case)
        told = heard(case, device.key)
        inner = rnd.sample(range(1, len(told)), min(way, len(told) - 1)) if way < WAYS - 1 else range(1, len(told))
        for first, last in pairwise(sorted({0, *inner, len(told)})):
            part = told[first:last]
            again = rnd.choices(told[:last], k=3)  # the broker delivers anew what was not acknowledged
            intake.store(db, rnd.sample([*part, *again], len(part) + 3))
            actions.fold_devices(db, now=told[last - 1].received_at)
        actions.fold_devices(db, now=T0 + timedelta(seconds=case["now"]))
        assert sessions(db, device) == wanted, f"cut at {sorted(inner)}"
