"""A folder of evidence agrees with itself, and whatever somebody changes in it is told."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from devices import actions
from devices.archive.files import Archive
from devices.evidence import folder
from devices.evidence.exporting import export
from devices.evidence.folder import NoEvidence
from devices.evidence.keys import read_signer
from devices.evidence.records import SignedSeal
from devices.evidence.verifying import verify
from devices.intake import actions as intake
from devices.registry.actions import set_thresholds
from devices.tables import RawMessage, UsageSession
from marketplace.db import open_engine, open_sessions
from marketplace.refusals import Invalid, NotFound
from tests.builders import a_person, a_resource
from tests.devices.evidences import DAY, DAYS, a_device, at, heard, message, sealed
from web.schema import METADATA

Row = dict[str, Any]


SIGNER = read_signer("7a" * 32, Path("nowhere"))
EMPTY = Archive(Path("nowhere"))


def evidence(session: Session, directory: Path) -> Path:
    """Two of four days, of which three are sealed."""
    device, neighbour = a_device(session), a_device(session)
    intake.store(session, [message(neighbour, at(day, 100), 8) for day in range(DAYS)])
    heard(session, device)
    sealed(session, SIGNER, until=3)
    second, third = DAY + timedelta(days=1), DAY + timedelta(days=2)
    done = export(session, directory, archive=EMPTY, resource_id=device.resource_id, first=second, last=third)
    assert (done.messages, done.seals) == (3 * 1440, 3)
    return directory


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evidence")
    engine = open_engine(f"sqlite:///{folder}/market.db")
    METADATA.create_all(engine)
    with open_sessions(engine)() as session:
        return evidence(session, folder / "out")


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(made, tmp_path / "out")


def rows_of(out: Path, name: str) -> list[Row]:
    return [orjson.loads(line) for line in (out / name).read_bytes().splitlines()]


def write(out: Path, name: str, rows: list[Row]) -> None:
    (out / name).write_bytes(b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows))


def test_what_was_written_agrees(db: Session, tmp_path: Path) -> None:
    out = evidence(db, tmp_path / "out")
    found = verify(out, keys=[SIGNER.key.upper()])
    assert (found.problems, found.keys, found.seals, found.messages) == ([], [SIGNER.key], 3, 3 * 1440)
    starts = [row["start"] for row in rows_of(out, folder.SESSIONS)]
    assert starts == [f"2026-03-{day}:00.000000Z" for day in ("11T09:00", "11T23:30", "12T09:00")]
    assert {row["confirmed_s"] for row in rows_of(out, folder.SESSIONS)} == {3600}


def test_a_run_over_the_first_midnight_is_not_cut(db: Session, tmp_path: Path) -> None:
    """Its beginning lies before the span, so that it is not claimed, and nothing else is told of it."""
    device = a_device(db)
    heard(db, device, days=2)
    sealed(db, SIGNER, until=2)
    export(
        db,
        tmp_path / "out",
        archive=EMPTY,
        resource_id=device.resource_id,
        first=DAY + timedelta(days=1),
        last=DAY + timedelta(days=1),
    )
    assert verify(tmp_path / "out").problems == []
    assert [row["start"] for row in rows_of(tmp_path / "out", folder.SESSIONS)] == ["2026-03-11T09:00:00.000000Z"]


def test_thresholds_that_changed_within_are_taken_as_they_were(db: Session, tmp_path: Path) -> None:
    device = a_device(db)
    heard(db, device, days=1)
    set_thresholds(db, device_id=device.id, profile={"p_on": 500, "p_off": 400}, actor_id=None, now=at(1, 0))
    intake.store(db, [message(device, at(1, minute), 350.0 if 540 <= minute < 600 else 8.0) for minute in range(1440)])
    actions.fold_devices(db, now=at(2, 0))
    sealed(db, SIGNER, until=2)
    export(db, tmp_path / "out", archive=EMPTY, resource_id=device.resource_id, first=DAY, last=DAY + timedelta(days=1))
    assert verify(tmp_path / "out").problems == []
    assert [row["start"] for row in rows_of(tmp_path / "out", folder.SESSIONS)][:1] == ["2026-03-10T09:00:00.000000Z"]


def test_what_was_stored_late_is_told_with_its_own_proof(db: Session, tmp_path: Path) -> None:
    device = a_device(db)
    heard(db, device, days=1)
    sealed(db, SIGNER, until=1)
    intake.store(db, [message(device, at(0, 720.5), 8), message(device, at(1, 1), 8)])
    actions.fold_devices(db, now=at(2, 0))
    sealed(db, SIGNER, until=2)
    export(db, tmp_path / "out", archive=EMPTY, resource_id=device.resource_id, first=DAY, last=DAY)
    assert verify(tmp_path / "out").problems == []
    assert [(row["day"], row["number"], row["seal"]) for row in rows_of(tmp_path / "out", folder.DAYS)] == [
        ("2026-03-10", 1, 1), ("2026-03-10", 2, 2), ("2026-03-11", 1, 2),
    ]  # fmt: skip


def changed(place: int, /, **values: Any) -> Callable[[list[Row]], list[Row]]:
    def change(rows: list[Row]) -> list[Row]:
        rows[place] = {**rows[place], **values}
        return rows

    return change


TAMPERED: list[tuple[str, Callable[[list[Row]], list[Row]], str]] = [
    (folder.MESSAGES, changed(2000, payload_b64="e30="), "not those that were recorded"),
    (folder.MESSAGES, changed(2000, received_at="2026-03-11T09:00:00.000000Z"), "not those that were recorded"),
    (folder.MESSAGES, changed(2000, topic="d/k/s"), "not those that were recorded"),
    (folder.MESSAGES, changed(2000, backlog=True), "not those that were recorded"),
    (folder.MESSAGES, changed(2000, day="2026-03-12"), "were recorded"),
    (folder.MESSAGES, lambda rows: rows[:2000] + rows[2001:], "1439 messages are here, 1440 were recorded"),
    (folder.MESSAGES, lambda rows: [*rows, rows[-1]], "1441 messages are here"),
    (folder.MESSAGES, lambda rows: [*rows[:10], rows[11], rows[10], *rows[12:]], "in another order"),
    (folder.DAYS, lambda rows: rows[:1] + rows[2:], "there are messages and no record"),
    (folder.DAYS, changed(1, root="0" * 64), "it is not in seal 2"),
    (folder.DAYS, changed(1, index=1), "it is not in seal 2"),
    (folder.DAYS, changed(1, path=[]), "it is not in seal 2"),
    (folder.DAYS, changed(1, seal=9), "seal 9 is not here"),
    (folder.DAYS, changed(1, number=2), "of its records [2] are here"),
    (folder.DAYS, changed(1, total=9), "it is not in seal 2"),
    (folder.DAYS, changed(1, thresholds="0" * 64), "the thresholds are not those"),
    (folder.DAYS, lambda rows: rows[:-1], "there is no record of 2026-03-12"),
    (folder.SEALS, changed(1, root="0" * 64), "not signed by the key it names"),
    (folder.SEALS, changed(1, records=7), "not signed by the key it names"),
    (folder.SEALS, changed(1, previous="0" * 64), "not tied to the one before"),
    (folder.SEALS, lambda rows: [rows[0], rows[2]], "seal 2 is missing"),
    (folder.SEALS, lambda rows: rows[1:], "seal 1 is missing"),
    (folder.SEALS, lambda rows: rows[:2], "seal 3 is not here"),
    (folder.SESSIONS, changed(0, confirmed_s=3660), "do not come to the session"),
    (folder.SESSIONS, changed(0, energy_wh=7), "do not come to the session"),
    (folder.SESSIONS, changed(0, end="2026-03-11T10:01:00.000000Z"), "do not come to the session"),
    (folder.SESSIONS, lambda rows: rows[1:], "show use from 2026-03-11T09:00:00.000000Z, and no session tells of it"),
    (folder.SESSIONS, lambda rows: rows[:-1], "show use from 2026-03-12T09:00:00.000000Z, and no session tells of it"),
    (folder.SESSIONS, lambda _rows: [], "no session tells of it"),
    (folder.SESSIONS, lambda rows: rows * 2, "begins before the one before it is over"),
    (folder.SESSIONS, changed(0, start="2026-03-10T23:30:00.000000Z"), "does not lie in the span"),
    (folder.SESSIONS, changed(0, device="dev_other"), "has sessions and no thresholds"),
]


@pytest.mark.parametrize(("name", "change", "told"), TAMPERED)
def test_what_is_changed_is_told(out: Path, name: str, change: Callable[[list[Row]], list[Row]], told: str) -> None:
    write(out, name, change(rows_of(out, name)))
    problems = verify(out).problems
    assert any(told in problem for problem in problems), problems


def without(day: str) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [row for row in rows if row.get("day", row.get("start", ""))[:10] != day]


@pytest.mark.parametrize("day", ["2026-03-10", "2026-03-11", "2026-03-12"])
def test_a_day_that_is_left_out_with_all_that_rests_on_it_is_told(out: Path, day: str) -> None:
    for name in (folder.MESSAGES, folder.DAYS, folder.SESSIONS):
        write(out, name, without(day)(rows_of(out, name)))
    assert any("there is no record of" in one or "the days before" in one for one in verify(out).problems)


def about(out: Path) -> Any:
    return orjson.loads((out / folder.ABOUT).read_bytes())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"since": "2026-03-12T00:00:00.000000Z"}, "does not lie in the span"),
        ({"since": "2026-03-11T02:00:00.000000Z"}, "are no days in this order"),
        ({"until": "2026-03-14T00:00:00.000000Z"}, "are no days in this order"),
        ({"heard_until": "2026-03-12T00:00:00.000000Z"}, "are no days in this order"),
        ({"devices": []}, "there is no device"),
    ],
)
def test_a_span_that_is_told_otherwise_is_told(out: Path, change: Row, told: str) -> None:
    (out / folder.ABOUT).write_bytes(orjson.dumps({**about(out), **change}))
    problems = verify(out).problems
    assert any(told in problem for problem in problems), problems


@pytest.mark.parametrize("profile", [{"p_on": 9000.0, "p_off": 8000.0}, {"min_off": 36000.0}])
def test_thresholds_that_were_not_sealed_are_told(out: Path, profile: Row) -> None:
    told = about(out)
    told["devices"][0]["thresholds"][0]["profile"] |= profile
    (out / folder.ABOUT).write_bytes(orjson.dumps(told))
    assert any("thresholds are not those that were sealed" in one for one in verify(out).problems)


def test_thresholds_that_come_right_after_a_run_leave_it_as_it_was(db: Session, tmp_path: Path) -> None:
    """The fold after them begins before them."""
    device = a_device(db)
    told = [message(device, at(0, minute), 350.0 if 540 <= minute < 600 else 8.0) for minute in range(630)]
    intake.store(db, told)
    actions.fold_devices(db, now=at(0, 630))
    set_thresholds(db, device_id=device.id, profile={"p_on": 500, "p_off": 400}, actor_id=a_person(db).id, now=at(0, 630))
    intake.store(db, [message(device, at(0, minute), 900.0 if 800 <= minute < 900 else 8.0) for minute in range(630, 1440)])
    for part in (640, 1440):
        actions.fold_devices(db, now=at(0, part))
    sealed(db, SIGNER, until=1)
    export(db, tmp_path / "out", archive=EMPTY, resource_id=device.resource_id, first=DAY, last=DAY)
    assert verify(tmp_path / "out").problems == []
    assert [row["start"][11:16] for row in rows_of(tmp_path / "out", folder.SESSIONS)] == ["09:00", "13:20"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (folder.SESSIONS, changed(0, flags=[[1]])),
        (folder.SESSIONS, changed(0, confirmed_s=3600.9)),
        (folder.SESSIONS, changed(0, confirmed_s=" 3600 ")),
        (folder.SESSIONS, changed(0, billed_eur=999)),
        (folder.SESSIONS, changed(0, start="0001-01-01T00:00:00+23:59")),
        (folder.DAYS, changed(0, count=1e30)),
        (folder.DAYS, changed(0, day="9999-12-31")),
        (folder.SEALS, changed(0, records="1_0")),
        (folder.SEALS, changed(0, records=1e30)),
    ],
)
def test_a_line_that_could_be_read_in_two_ways_is_none(out: Path, name: str, change: Callable[[list[Row]], list[Row]]) -> None:
    write(out, name, change(rows_of(out, name)))
    with pytest.raises(NoEvidence) as told:
        verify(out)
    assert (told.value.values["file"], told.value.values["line"]) == (name, 1)


def test_a_chain_that_somebody_else_signed_anew_is_told_by_the_key(out: Path) -> None:
    forger = read_signer("11" * 32, Path("nowhere"))
    before, rows = "0" * 64, []
    for one in folder.read_seals(out):
        seal = type(one.seal)(one.seal.number, one.seal.day, before, one.seal.records, one.seal.root, forger.key)
        rows.append(folder.seal_row(SignedSeal(seal, forger.sign(seal))))
        before = seal.digest()
    write(out, folder.SEALS, rows)
    assert (verify(out).problems, verify(out).keys) == ([], [forger.key])
    assert len([one for one in verify(out, keys=[SIGNER.key]).problems if "another key" in one]) == len(rows)


def test_the_database_that_was_changed_does_not_agree_with_its_seals(db: Session, tmp_path: Path) -> None:
    device = a_device(db)
    heard(db, device, days=1)
    sealed(db, SIGNER, until=1)
    first = db.scalars(select(RawMessage.digest).where(RawMessage.received_at > at(0, 560)).limit(1)).one()
    db.execute(update(RawMessage).where(RawMessage.digest == first).values(payload=b"{}"))
    db.execute(update(UsageSession).values(confirmed_s=UsageSession.confirmed_s + 60))
    export(db, tmp_path / "out", archive=EMPTY, resource_id=device.resource_id, first=DAY, last=DAY)
    problems = verify(tmp_path / "out").problems
    assert "1439 messages are here, 1440 were recorded" in problems[0]
    assert any("do not come to the session" in problem for problem in problems)


@pytest.mark.parametrize("name", [folder.ABOUT, folder.SEALS, folder.DAYS, folder.MESSAGES, folder.SESSIONS])
@pytest.mark.parametrize("content", [None, b"{", b"[]", b"{}", b"\xff", b"null"])
def test_a_folder_that_cannot_be_read_says_where(out: Path, name: str, content: bytes | None) -> None:
    if content is None:
        (out / name).unlink()
    else:
        (out / name).write_bytes(content)
    with pytest.raises(NoEvidence) as told:
        verify(out)
    assert told.value.values["file"] == name


def test_an_export_says_what_cannot_be_had(db: Session, tmp_path: Path) -> None:
    device = a_device(db)
    place = device.resource_id

    def asked(first: int, last: int, resource: str = place) -> None:
        days = [DAY + timedelta(days=number) for number in (first, last)]
        export(db, tmp_path / "out", archive=EMPTY, resource_id=resource, first=days[0], last=days[1])

    with pytest.raises(Invalid, match="from"):
        asked(0, 0)
    heard(db, device, days=1)
    sealed(db, SIGNER, until=1)
    with pytest.raises(Invalid, match="from"):
        asked(1, 1)
    with pytest.raises(Invalid, match="to"):
        asked(1, 0)
    with pytest.raises(NotFound):
        asked(0, 0, a_resource(db).id)
    asked(0, 5)
    with pytest.raises(Invalid, match="out"):
        asked(0, 0)
    (tmp_path / "file").touch()
    with pytest.raises(Invalid, match="out"):
        export(db, tmp_path / "file" / "out", archive=EMPTY, resource_id=place, first=DAY, last=DAY)
