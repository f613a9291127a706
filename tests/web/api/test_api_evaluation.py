"""contract.md: figures of an institution, published evaluations, and the pack that anyone can recompute."""

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from devices.segments import State
from evaluation import actions
from evaluation.packs import evaluate_pack, verify
from evaluation.schemes import DEFAULT
from marketplace.people.queries import get_institution
from tests.evaluation.test_queries import a_line, booked, seen
from tests.web.api.world import World, fields, refused

NOW = datetime(2026, 4, 20, tzinfo=UTC)
MARCH = {"from": "2026-03-01T00:00:00+08:00", "to": "2026-04-01T00:00:00+08:00"}


@pytest.fixture
def revision(world: World, client: TestClient) -> str:
    """The published March of the world's institution: one line, two hours of an outside firm."""
    with client.app.state.sessions.begin() as session:  # type: ignore[attr-defined]
        line = a_line(session, institution=get_institution(session, world.institution))
        booked(session, line, "09:00", 2)
        seen(session, line, (State.RUN, "09:00", "11:00"))
        made = actions.publish(session, institution_id=world.institution, period="2026-03", actor_id=None, now=NOW)
        return made.id


def metrics(world: World, token: str | None, **changes: str) -> Any:
    return world.get(f"/institutions/{world.institution}/metrics", token, params={**MARCH, **changes})


def test_figures_of_an_institution_and_each_of_its_units(world: World, revision: str) -> None:
    found = metrics(world, world.manager).json()
    assert (found["institution_id"], found["scheme"]) == (world.institution, DEFAULT)
    assert {found[name] for name in ("from", "to")} == {"2026-02-28T16:00:00+00:00", "2026-03-31T16:00:00+00:00"}
    (unit,) = [row for row in found["units"] if row["metrics"]["eff_h"] != "0.00"]
    assert (unit["metrics"]["eff_h"], unit["metrics"]["ext_h"]) == ("2.00", "2.00")
    assert found["metrics"]["ext_orgs"] == 1


def test_figures_are_for_the_house_and_the_evaluator(world: World, revision: str) -> None:
    evaluator = world.a_person("evaluator")
    assert metrics(world, evaluator).json() == metrics(world, world.manager).json()
    others = [world.member, world.a_person("technician", institution_id=world.institution)]
    for someone in (*others, world.a_person("manager", institution_id=world.an_institution())):
        refused(metrics(world, someone), 403, "not_allowed")
    refused(metrics(world, None), 401, "not_signed_in")
    refused(world.get("/institutions/ins_none/metrics", evaluator, params=MARCH), 404, "not_found")


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"from": "2026-03-01"}, "malformed", "from"),
        ({"from": "2026-03-01T00:00:00"}, "malformed", "from"),
        ({"to": MARCH["from"]}, "invalid", "end"),
        ({"to": "2027-06-01T00:00:00Z"}, "invalid", "to"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(world: World, change: dict[str, str], code: str, field: str) -> None:
    assert field in fields(refused(metrics(world, world.manager, **change), 422, code))


def test_evaluations_of_a_period_are_the_evaluators(world: World, revision: str) -> None:
    evaluator, query = world.a_person("evaluator"), {"period": "2026-03"}
    found = world.get("/evaluations", evaluator, params=query).json()
    (item,) = [row for row in found["items"] if row["id"] == revision]
    assert (item["institution_id"], item["revision"], item["metrics"]["eff_h"]) == (world.institution, 1, "2.00")
    assert [row["place"] for row in found["items"]] == list(range(1, len(found["items"]) + 1))
    for someone in (world.manager, world.member):
        refused(world.get("/evaluations", someone, params=query), 403, "not_allowed")
    refused(world.get("/evaluations", params=query), 401, "not_signed_in")
    assert world.get("/evaluations", evaluator, params={"period": "2019-01"}).json()["items"] == []
    refused(world.get("/evaluations", evaluator, params={"period": "March"}), 422, "invalid")
    refused(world.get("/evaluations", evaluator), 422, "malformed")


def unpacked(content: bytes, folder: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert not [name for name in archive.namelist() if name.startswith("/") or ".." in name]
        archive.extractall(folder)
    return folder


def test_a_pack_recomputes_to_what_was_published(world: World, revision: str, tmp_path: Path) -> None:
    reply: Any = world.get(f"/evaluations/{revision}/pack", world.manager)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/zip")
    assert reply.headers["content-disposition"] == f'attachment; filename="pilotbench-2026-03-{world.institution}.zip"'
    folder = unpacked(reply.content, tmp_path)
    assert verify(folder) == []
    evaluator = world.a_person("evaluator")
    items = world.get("/evaluations", evaluator, params={"period": "2026-03"}).json()["items"]
    (item,) = [row for row in items if row["id"] == revision]
    score = evaluate_pack(folder)["scores"][world.institution]
    assert (score["total"], score["grade"]) == (item["total"], item["grade"])
    again: Any = world.get(f"/evaluations/{revision}/pack", evaluator)
    assert (
        unpacked(again.content, tmp_path / "again").joinpath("datapackage.json").read_bytes()
        == (folder / "datapackage.json").read_bytes()
    )


def test_a_pack_that_somebody_touched_does_not_verify(world: World, revision: str, tmp_path: Path) -> None:
    reply: Any = world.get(f"/evaluations/{revision}/pack", world.manager)
    folder = unpacked(reply.content, tmp_path)
    for file in folder.rglob("*.csv"):
        if b"RUN" in (before := file.read_bytes()):
            file.write_bytes(before.replace(b"RUN", b"OFF", 1))
    assert verify(folder) != []


def test_a_pack_is_for_the_house_and_the_evaluator(world: World, revision: str) -> None:
    path = f"/evaluations/{revision}/pack"
    for someone in (world.member, world.a_person("finance", institution_id=world.institution)):
        assert world.get(path, someone).status_code in {403, 404}
    refused(world.get(path), 401, "not_signed_in")
    refused(world.get("/evaluations/rev_none/pack", world.a_person("evaluator")), 404, "not_found")
