"""Open questions over the API: who sees them, who closes them."""

from datetime import timedelta

import orjson
import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session, sessionmaker

from devices.flags import actions as flags
from devices.intake import actions as intake
from devices.machines import Machine, power_at
from devices.readings import Envelope
from marketplace import clock
from marketplace.slot import Slot
from tests.web.api.world import World, refused


@pytest.fixture
def flag(client: TestClient, world: World) -> str:
    """Of a counter that stood still while the machine ran yesterday."""
    sessions: sessionmaker[Session] = client.app.state.sessions  # type: ignore[attr-defined]
    made = world.made(f"/resources/{world.resource}/devices", world.manager, {"name": "表", "profile": "native"})
    begin = clock.now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
    machine = Machine(made["key"], "s", begin, runs=(Slot(begin, begin + timedelta(hours=8)),))
    moments = [begin + timedelta(minutes=minute) for minute in range(600)]
    with sessions.begin() as session:
        told = [orjson.dumps({"p": power_at(machine, at), "e": 5.0}) for at in moments]
        intake.store(session, [Envelope(f"d/{made['key']}/t", body, at) for body, at in zip(told, moments, strict=True)])
        while flags.look_at_days(session, now=clock.now()):
            pass  # until every meter of this world was looked at
    (found,) = [one for one in listed(world, world.manager) if one["device_id"] == made["id"]]
    assert (found["kind"], found["day"], found["evidence"]["counted_wh"]) == ("energy_mismatch", begin.date().isoformat(), 0)
    identifier: str = found["id"]
    return identifier


def listed(world: World, token: str) -> list[dict[str, object]]:
    items: list[dict[str, object]] = world.get(f"/resources/{world.resource}/flags", token).json()["items"]
    return items


def test_keepers_and_evaluators_see_them_and_keepers_close_them(world: World, flag: str) -> None:
    evaluator = world.a_person("evaluator")
    assert flag in {one["id"] for one in listed(world, evaluator)}
    for token, status in ((None, 401), (world.member, 404), (evaluator, 404)):
        assert world.post(f"/flags/{flag}/close", token, json={"comment": "x"}).status_code == status
    assert world.get(f"/resources/{world.resource}/flags").status_code == 401
    refused(world.get(f"/resources/{world.resource}/flags", world.member), 403)
    refused(world.post(f"/flags/{flag}/close", world.manager, json={}), 422)
    closed = world.post(f"/flags/{flag}/close", world.manager, json={"comment": "已更换电表"})
    assert (closed.status_code, closed.json()["comment"]) == (200, "已更换电表")
    refused(world.post(f"/flags/{flag}/close", world.manager, json={"comment": "again"}), 409, "wrong_state")
    assert world.post("/flags/flg_none/close", world.manager, json={"comment": "x"}).status_code == 404
