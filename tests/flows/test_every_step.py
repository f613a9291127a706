"""kill -9 before every statement and around every commit of what writes bookings: whole or nothing, and asked again it is once.

The everyday run tries every eleventh step and the last ones, where the commits are. `KILLS=all pytest
tests/flows/test_every_step.py -o faulthandler_timeout=0` tries each, and starts anew before it asks again; some minutes.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import sessionmaker

from marketplace import clock
from marketplace.db import open_engine, open_sessions
from marketplace.people.actions import create_person, create_token
from marketplace.permissions import Grant
from marketplace.roles import Role
from tests.conftest import new_database
from tests.flows import oracle
from tests.web.api.world import API, World, a_world, span, tomorrow
from web.running import audit
from web.schema import METADATA

pytestmark = pytest.mark.servers
SERVER = str(Path(__file__).with_name("mortal_server.py"))
FEWEST_STEPS = 8
"""An operation of fewer has not met the database as we think."""
MOST_STEPS = 300
PATIENCE_S = 20
EVERY = 1 if os.environ.get("KILLS") == "all" else 11
LAST = 4
FAR = 10
"""Days ahead, so that a late cancellation is none."""


class Mortal:
    """A server process by number of the step before which it dies; the next one begins where it left."""

    def __init__(self, database_url: str) -> None:
        environment = {"PILOTBENCH_DATABASE_URL": database_url, "PATH": "", "PYTHONPATH": str(Path(__file__).parents[2])}
        self.process = subprocess.Popen(
            [sys.executable, SERVER], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.client = httpx2.Client()

    def serve(self, step: int = 0) -> httpx2.Client:
        self.client = httpx2.Client(base_url=f"http://127.0.0.1:{self._answer(f'serve {step}')}", timeout=PATIENCE_S)
        return self.client

    def stop(self) -> int:
        """The steps it took."""
        self.client.close()
        return self._answer("stop")

    def _answer(self, line: str) -> int:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        assert self.process.stdout
        self.process.stdout.close()
        self.process.wait(PATIENCE_S)


@dataclass
class Scene:
    """A world in which one server may die beside one that lives, and the rows that are left behind."""

    mortal: Mortal
    steady: httpx2.Client
    world: World
    engine: Engine
    other: str
    days: int = FAR

    def a_day(self) -> int:
        """A day on which nothing has been asked yet."""
        self.days += 1
        return self.days

    def rows(self) -> dict[str, int]:
        """How many rows each table has."""
        with self.engine.connect() as connection:
            tables = METADATA.tables.values()
            return {table.name: connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables}

    def faults(self) -> list[str]:
        with sessionmaker(self.engine)() as session:
            return [
                *audit(session),
                *oracle.broken(oracle.read(session)),
                *oracle.unrecorded(session),
                *oracle.half_series(session),
            ]


@pytest.fixture(scope="module")
def scene(
    database: str, with_tables: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """One for all operations: each asks for days of its own."""
    database_url = new_database(database, request, tmp_path_factory.mktemp("scene"), like=with_tables)
    engine, now = open_engine(database_url), clock.now()
    with open_sessions(engine).begin() as session:
        person = create_person(
            session, email="op@example.com", name="平台运营", grants=[Grant(Role.OPERATOR)], actor_id=None, now=now
        )
        operator = create_token(session, person_id=person.id, label="tests", now=now)
    mortal, steady = Mortal(database_url), Mortal(database_url)
    world = a_world(steady.serve(), operator)
    world.resource = world.a_resource(rules={"horizon_days": 730})
    other = world.a_resource(rules={"setup_min": 15, "cleaning_min": 30, "horizon_days": 730})
    yield Scene(mortal, steady.client, world, engine, other)
    steady.stop()
    for one in (steady, mortal):
        one.end()
    engine.dispose()


Ask = Callable[[httpx2.Client, str], httpx2.Response]
"""Sends the request under that key."""


def create(scene: Scene) -> Ask:
    body = span(tomorrow(days=scene.a_day()))
    return posted(scene, f"/resources/{scene.world.resource}/bookings", body)


def series(scene: Scene) -> Ask:
    body = {**span(tomorrow(days=scene.a_day())), "rrule": "FREQ=DAILY;COUNT=4"}
    scene.days += 3
    return posted(scene, f"/resources/{scene.world.resource}/booking-series", body)


def bundle(scene: Scene) -> Ask:
    when = span(tomorrow(days=scene.a_day()))
    parts = [{"resource_id": one, **when} for one in (scene.world.resource, scene.other)]
    return posted(scene, "/bookings", {"parts": parts})


def together(scene: Scene) -> Ask:
    """All of a bundle by three hours."""
    day = scene.a_day()
    parts = [{"resource_id": one, **span(tomorrow(days=day))} for one in (scene.world.resource, scene.other)]
    made = scene.world.made("/bookings", scene.world.member, {"parts": parts})

    def ask(client: httpx2.Client, key: str) -> httpx2.Response:
        headers = {"authorization": f"Bearer {scene.world.member}", "idempotency-key": key, "if-match": '"2"'}
        body = {"start": tomorrow(4, days=day).isoformat()}
        return client.post(f"{API}/bundles/{made['id']}/move", json=body, headers=headers)

    return ask


def cancel(scene: Scene) -> Ask:
    return posted(scene, f"/bookings/{booked(scene)['id']}/cancel", None)


def edit(scene: Scene) -> Ask:
    """Twice as long; a second time its version is gone, which the person who asks again hears."""
    row = booked(scene)
    body = span(tomorrow(days=scene.days), 4)

    def ask(client: httpx2.Client, _key: str) -> httpx2.Response:
        headers = {"authorization": f"Bearer {scene.world.member}", "if-match": '"1"'}
        return client.patch(f"{API}/bookings/{row['id']}", json=body, headers=headers)

    return ask


def outage(scene: Scene) -> Ask:
    """Over two bookings that it cancels, on a machine that has no other outage near."""
    machine = scene.world.a_resource()
    for hour in (1, 4):
        scene.world.made(f"/resources/{machine}/bookings", scene.world.member, span(tomorrow(hour, days=FAR)))
    body = {**span(tomorrow(days=FAR), 8), "planned": True, "reason": "保养", "plan": "cancel"}
    return posted(scene, f"/resources/{machine}/outages", body, token=scene.world.manager)


def booked(scene: Scene) -> dict[str, Any]:
    return scene.world.a_booking(**span(tomorrow(days=scene.a_day())))


def posted(scene: Scene, path: str, body: Mapping[str, Any] | None, token: str = "") -> Ask:
    def ask(client: httpx2.Client, key: str) -> httpx2.Response:
        headers = {"authorization": f"Bearer {token or scene.world.member}", "idempotency-key": key}
        return client.post(f"{API}{path}", json=body, headers=headers)

    return ask


def asked(scene: Scene, ask: Ask, key: str, step: int = 0) -> tuple[httpx2.Response | None, int]:
    """The answer, none where the server died first, and the steps it took."""
    client = scene.mortal.serve(step)
    try:
        reply = ask(client, key)
    except httpx2.TransportError:
        return None, scene.mortal.stop()
    return reply, scene.mortal.stop()


def gained(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    return {name: count - before[name] for name, count in after.items() if count != before[name]}


@pytest.mark.parametrize("prepare", [create, edit, series, bundle, together, cancel, outage], ids=lambda one: str(one.__name__))
def test_killed_at_any_step_it_is_whole_or_nothing_and_asked_again_it_is_once(
    scene: Scene, prepare: Callable[[Scene], Ask]
) -> None:
    ask = prepare(scene)
    before = scene.rows()
    reply, steps = asked(scene, ask, "first")
    assert reply is not None
    assert reply.status_code in {200, 201}, reply.text
    whole = gained(before, scene.rows())
    assert FEWEST_STEPS < steps < MOST_STEPS
    tried = [step for step in range(1, steps + 1) if step % EVERY == 0 or step > steps - LAST]
    found = [killed(scene, prepare(scene), f"key {step}", step, whole) for step in tried]
    assert scene.faults() == []
    assert found == sorted(found), "nothing before the commit, all of it after"
    assert {found[0], found[-1]} == {False, True}


def killed(scene: Scene, ask: Ask, key: str, step: int, whole: Mapping[str, int]) -> bool:
    """Whether it was stored although the server died at that step; at last it is stored once in any case."""
    before = scene.rows()
    lost, taken = asked(scene, ask, key, step)
    assert (lost, taken) == (None, step)
    stored = gained(before, scene.rows())
    assert stored in ({}, whole), f"half of it at step {step}: {stored} of {whole}"
    again, _ = asked(scene, ask, key) if EVERY == 1 else (ask(scene.steady, key), 0)
    assert again is not None
    expected = {412} if stored and ask.__qualname__.startswith("edit") else {200, 201}
    assert again.status_code in expected, f"at step {step}: {again.text}"
    assert gained(before, scene.rows()) == whole, f"not once after step {step}"
    return bool(stored)
