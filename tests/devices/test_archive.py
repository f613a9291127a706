"""Old messages move into files: whole, proven, once; and nothing that rests on them changes, whatever comes late."""

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from devices import actions, queries
from devices.archive import queries as archived
from devices.archive.actions import forget_rejected
from devices.archive.files import Archive, ArchiveUnreadable, Opened
from devices.archive.invariants import violations
from devices.archive.reading import messages_of_day
from devices.archive.tables import ArchivedDay, ArchiveFile
from devices.codecs.sparkplug_wire import Payload
from devices.evidence import invariants as evidence
from devices.evidence.exporting import export
from devices.evidence.verifying import verify
from devices.intake import actions as intake
from devices.readings import Envelope
from devices.registry.actions import register_device, set_thresholds
from devices.tables import Device, RawMessage, RejectedMessage, StateSegment, UsageSession
from tests.builders import a_resource
from tests.devices.archives import LATER, SIGNER, archiving, day, go, raw, seal, worked
from tests.devices.evidences import a_device, at, message, sealed
from tests.devices.test_sparkplug import DBIRTH, FLOAT, INT64, NBIRTH, payload

MINUTES = 181


def two_days(db: Session, *, devices: int = 1) -> list[Device]:
    """Days 0 and 1 of each, and day 29; all sealed."""
    made = [a_device(db) for _ in range(devices)]
    for device in made:
        for number in (0, 1, LATER - 1):
            worked(db, device, number)
    seal(db, until=LATER)
    return made


def told(db: Session, device: Device) -> list[tuple[Any, ...]]:
    """Everything that was made of a device's messages."""
    columns = (UsageSession.starts_at, UsageSession.ends_at, UsageSession.confirmed_s, UsageSession.energy_wh, UsageSession.flags)
    runs = db.execute(select(*columns).where(UsageSession.device_id == device.id).order_by(UsageSession.starts_at)).all()
    pieces = select(StateSegment.starts_at, StateSegment.ends_at, StateSegment.state).where(StateSegment.device_id == device.id)
    return [tuple(row) for row in [*runs, *db.execute(pieces.order_by(StateSegment.starts_at)).all()]]


def before(rows: list[tuple[Any, ...]], end: datetime) -> list[tuple[Any, ...]]:
    """What began by then."""
    return [row for row in rows if row[0] < end]


def everywhere(db: Session, folder: Path, device: Device, *, days: int = LATER) -> list[Envelope]:
    """What both have together, in order of receipt."""
    return [
        one
        for number in range(days)
        for one in sorted(messages_of_day(db, Archive(folder), device.id, day(number)).values(), key=lambda one: one.received_at)
    ]


def test_old_sealed_days_move_and_read_back_as_they_were(db: Session, tmp_path: Path) -> None:
    first, second = two_days(db, devices=2)
    before, made = raw(db, first), told(db, first)
    assert go(db, tmp_path)
    assert [one.received_at >= at(LATER - 1, 0) for one in raw(db, first)] == [True] * MINUTES
    assert everywhere(db, tmp_path, first) == before
    assert told(db, first) == made
    rows = db.scalars(select(ArchiveFile).order_by(ArchiveFile.day)).all()
    assert [(row.day, row.devices, row.messages) for row in rows] == [(day(number), 2, 2 * MINUTES) for number in (0, 1)]
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([*(row.name for row in rows), "lock"])
    opened = Opened(Archive(tmp_path), rows[0].name)
    assert sorted(opened.device_ids) == sorted([first.id, second.id])
    assert (len(opened.said(second.id)), opened.said("dev_other")) == (MINUTES, [])
    assert {queries.get_device(db, one.id).archived_until for one in (first, second)} == {at(2, 0)}
    assert [*violations(db, Archive(tmp_path)), *evidence.violations(db)] == []
    assert go(db, tmp_path)
    assert len(db.scalars(select(ArchiveFile)).all()) == 2


def test_young_and_unsealed_days_stay(db: Session, tmp_path: Path) -> None:
    device = a_device(db)
    worked(db, device, 0)
    worked(db, device, 12)
    before = raw(db, device)
    assert go(db, tmp_path, now=at(LATER, 0))
    sealed(db, SIGNER, until=5)
    assert go(db, tmp_path, now=at(LATER, 0))
    seal(db, until=13)
    assert go(db, tmp_path, now=at(14, 0))
    assert raw(db, device) == before
    assert go(db, tmp_path, now=at(15, 0))
    assert raw(db, device) == before[MINUTES:]


@pytest.mark.parametrize("lost", [False, True])
def test_whatever_step_it_ends_at_nothing_is_lost_or_there_twice(
    db: Session, tmp_path: Path, lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.archive.actions.ROWS_AT_ONCE", 100)
    devices = two_days(db, devices=2)
    before = {one.id: raw(db, one) for one in devices}
    for number in range(1, 100):
        with db.begin_nested() as undone:
            folder = tmp_path / str(number)
            whole = go(db, folder, most=number, lost=lost)
            for device in devices:
                assert everywhere(db, folder, device) == before[device.id], number
                assert go(db, folder)
                assert everywhere(db, folder, device) == before[device.id], number
                assert [one.received_at >= at(LATER - 1, 0) for one in raw(db, device)] == [True] * MINUTES
            assert db.scalars(select(ArchivedDay).where(ArchivedDay.moved_at.is_(None))).all() == []
            assert list(violations(db, Archive(folder))) == []
            undone.rollback()
            db.expire_all()
        if whole:
            break
    assert 15 < number < 99


@pytest.mark.parametrize("broken", ["fsync", "rename", "write"])
def test_a_disk_that_fails_loses_nothing(db: Session, tmp_path: Path, broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (device,) = two_days(db)
    before = raw(db, device)

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        if broken == "fsync":
            patch.setattr(os, "fsync", fail)
        elif broken == "rename":
            patch.setattr(Path, "rename", fail)
        else:
            patch.setattr("pyarrow.parquet.ParquetWriter.write_table", fail)
        with pytest.raises(OSError, match="no space"):
            go(db, tmp_path)
    assert raw(db, device) == before
    assert list(tmp_path.glob("*.parquet")) == []
    assert go(db, tmp_path)
    assert everywhere(db, tmp_path, device) == before


def test_a_file_that_was_spoilt_before_it_is_moved_from_takes_nothing_out(db: Session, tmp_path: Path) -> None:
    (device,) = two_days(db)
    before = raw(db, device)
    number = 1
    while not db.scalars(select(ArchiveFile)).all():
        go(db, tmp_path, most=number)
        number += 1
    (file,) = tmp_path.glob("*.parquet")
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)
    assert go(db, tmp_path)
    assert raw(db, device) == before
    assert any(file.name in told for told in violations(db, Archive(tmp_path)))


def test_what_does_not_fit_its_seal_stays_in_the_database(db: Session, tmp_path: Path) -> None:
    device, other = two_days(db, devices=2)
    db.execute(
        update(RawMessage).values(payload=b"{}").where(RawMessage.device_id == device.id, RawMessage.received_at < at(0, 490))
    )
    before = raw(db, device)
    assert go(db, tmp_path)
    assert [one for one in before if one.received_at < at(1, 0)] == [one for one in raw(db, device) if one.received_at < at(1, 0)]
    assert len(raw(db, device)) == 2 * MINUTES
    assert len(raw(db, other)) == MINUTES


def test_an_archive_lies_in_one_place(db: Session, tmp_path: Path) -> None:
    (device,) = two_days(db)
    assert go(db, tmp_path / "here", now=at(15, 0))
    before = raw(db, device)
    assert len(before) == 2 * MINUTES
    assert go(db, tmp_path / "there")
    with Archive(tmp_path / "here").held() as ours:
        assert ours
        assert go(db, tmp_path / "here")
    assert raw(db, device) == before
    assert go(db, tmp_path / "here")
    assert len(raw(db, device)) == MINUTES
    with pytest.raises(ArchiveUnreadable):
        messages_of_day(db, Archive(tmp_path / "there"), device.id, day(0))


def test_the_audit_names_files_that_are_missing_or_changed(db: Session, tmp_path: Path) -> None:
    two_days(db)
    go(db, tmp_path)
    later, earlier = archived.files(db)
    file = tmp_path / earlier.name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    (tmp_path / later.name).unlink()
    told = list(violations(db, Archive(tmp_path)))
    assert f"the archive's file {later.name} of 2026-03-11 is not in {tmp_path}" in told
    assert f"the archive's file {earlier.name} of 2026-03-10 was changed" in told
    file.write_bytes(content[:-1])
    assert f"the archive's file {earlier.name} is not as long as it was written" in list(violations(db, Archive(tmp_path)))


def test_evidence_of_archived_days_is_the_same_file_by_file(db: Session, tmp_path: Path) -> None:
    (device,) = two_days(db)
    out = {"resource_id": device.resource_id, "first": day(0), "last": day(1), "archive": Archive(tmp_path / "archive")}
    export(db, tmp_path / "before", **out)  # type: ignore[arg-type]
    assert go(db, tmp_path / "archive")
    export(db, tmp_path / "after", **out)  # type: ignore[arg-type]
    for file in (tmp_path / "before").iterdir():
        assert file.read_bytes() == (tmp_path / "after" / file.name).read_bytes()
    found = verify(tmp_path / "after", keys=[SIGNER.key])
    assert (found.problems, found.messages, found.sessions) == ([], 2 * MINUTES, 2)


def test_a_run_that_is_not_over_keeps_its_first_day(db: Session, tmp_path: Path) -> None:
    device = a_device(db)
    last = 24 * 4 * LATER
    told = [message(device, at(0, 15 * minute), 350.0 if minute >= 40 else 8.0) for minute in range(last)]
    slow = {"stale_after": 1800.0, "max_gap": 3600.0}
    device = register_device(db, resource_id=a_resource(db).id, name="furnace", profile=slow, actor_id=None, now=at(0, 0))[0]
    told = [message(device, at(0, 15 * minute), 350.0 if minute >= 40 else 8.0) for minute in range(last)]
    intake.store(db, told)
    actions.fold_devices(db, now=told[-1].received_at)
    seal(db, until=LATER)
    assert go(db, tmp_path)
    assert raw(db, device) == told
    more = message(device, at(LATER, 5), 350.0)
    intake.store(db, [more])
    actions.fold_devices(db, now=more.received_at)
    (run,) = db.scalars(select(UsageSession).where(UsageSession.device_id == device.id)).all()
    assert (run.starts_at, run.ends_at) == (at(0, 600), None)


def test_a_machine_that_only_sends_signs_of_life_keeps_what_it_said_last(db: Session, tmp_path: Path) -> None:
    device = a_device(db)
    worked(db, device, 0)
    beats = [beat(device, at(0, 661 + 30 * number)) for number in range(48 * LATER - 30)]
    intake.store(db, beats)
    actions.fold_devices(db, now=at(LATER, 0))
    db.refresh(device)
    assert device.dirty_from is None
    seal(db, until=LATER)
    before = raw(db, device)
    assert go(db, tmp_path)
    assert raw(db, device) == before
    intake.store(db, [message(device, at(2, 700), 8.0, received=at(2, 700))])
    actions.fold_devices(db, now=at(LATER, 1))
    assert go(db, tmp_path)
    assert min(one.received_at for one in raw(db, device)) >= at(1, 0)


def beat(device: Device, when: datetime) -> Envelope:
    return Envelope(f"d/{device.key}/t", b'{"ts":%d}' % (when.timestamp() * 1000), when + timedelta(seconds=1))


def live(at_: datetime, watts: float, seq: int) -> bytes:
    made = Payload(timestamp=round(at_.timestamp() * 1000), seq=seq)
    made.metrics.add(timestamp=made.timestamp, datatype=FLOAT, alias=1).float_value = watts
    return bytes(made.SerializeToString())


def node_said(device: Device, kind: str, content: bytes, when: datetime) -> Envelope:
    return Envelope(f"spBv1.0/lab/{kind}/{device.key}{'/oven' if kind.startswith('D') else ''}", content, when)


def a_node_of_old(db: Session) -> Device:
    """Born on day 0 and never again; a message a minute from eight to eleven on days 0, 1 and 29."""
    profile = {"family": "sparkplug"}
    device = register_device(db, resource_id=a_resource(db).id, name="node", profile=profile, actor_id=None, now=at(0, 0))[0]
    said = [node_said(device, "NBIRTH", NBIRTH, at(0, 470)), node_said(device, "DBIRTH", DBIRTH, at(0, 470.1))]
    seq = 1
    for number in (0, 1, LATER - 1):
        for minute in range(480, 661):
            seq = (seq + 1) % 256
            when = at(number, minute)
            said.append(node_said(device, "DDATA", live(when, 350.0 if 540 <= minute < 600 else 8.0, seq), when))
        intake.store(db, said)
        actions.fold_devices(db, now=at(number, 700))
        said = []
    seal(db, until=LATER)
    return device


def trusting(db: Session, folder: Path) -> Device:
    """Days 0 and 1 are archived; from then on it is believed what it says to have been thirty days ago."""
    (device,) = two_days(db)
    assert go(db, folder)
    profile = {"backfill": 30 * 86400.0}
    set_thresholds(db, device_id=device.id, profile=profile, actor_id=None, now=at(LATER, 0))
    return queries.get_device(db, device.id)


def test_late_messages_for_archived_days_are_kept_and_change_nothing(db: Session, tmp_path: Path) -> None:
    device = trusting(db, tmp_path)
    made = told(db, device)
    late = [
        message(device, at(number, minute + 0.5), 8.0, received=at(LATER, 10 + place))
        for place, (number, minute) in enumerate([(0, 560), (1, 540), (1, 545), (1, 700), (1, 1439)])
    ]
    intake.store(db, late)
    db.refresh(device)
    assert device.dirty_from is None
    device.dirty_from = at(0, 560)
    actions.fold_devices(db, now=at(LATER, 20))
    db.refresh(device)
    assert device.dirty_from is None
    assert before(told(db, device), at(LATER - 1, 660)) == before(made, at(LATER - 1, 660))
    assert raw(db, device)[-len(late) :] == late


def test_late_messages_behind_the_archive_are_folded_from_there(db: Session, tmp_path: Path) -> None:
    device = trusting(db, tmp_path)
    made = told(db, device)
    said = [(1, 1430, 350.0), *((20, minute, 350.0 if minute < 530 else 8.0) for minute in range(500, 560))]
    late = [message(device, at(number, minute), power, received=at(LATER, 10)) for number, minute, power in said]
    intake.store(db, late)
    actions.fold_devices(db, now=at(LATER, 20))
    runs = [row for row in told(db, device) if len(row) == 5]
    assert [row[0] for row in runs] == [at(0, 540), at(1, 540), at(20, 500), at(LATER - 1, 540)]
    assert before(told(db, device), at(1, 661)) == before(made, at(1, 661))


def test_a_run_across_the_border_of_the_archive_is_not_cut(db: Session, tmp_path: Path) -> None:
    """It begins on the last archived day and ends two days later."""
    device = a_device(db)
    run = [message(device, at(0, minute), 350.0 if 1380 <= minute < 4400 else 8.0) for minute in range(1320, 4500)]
    intake.store(db, run)
    actions.fold_devices(db, now=at(4, 0))
    worked(db, device, LATER - 1)
    seal(db, until=LATER)
    profile = {"backfill": 30 * 86400.0}
    assert go(db, tmp_path, now=at(16, 0))
    set_thresholds(db, device_id=device.id, profile=profile, actor_id=None, now=at(LATER, 0))
    device, made = queries.get_device(db, device.id), told(db, device)
    assert device.archived_until == at(2, 0)
    intake.store(db, [message(device, at(2, 1000.5), 8.0, received=at(LATER, 10))])
    actions.fold_devices(db, now=at(LATER, 20))
    assert before(told(db, device), at(3, 60)) == before(made, at(3, 60))
    assert {row[0]: row[1] for row in made if len(row) == 5} == {at(0, 1380): at(0, 4400), at(29, 540): at(29, 600)}


def test_the_births_by_which_a_node_is_read_stay_and_move_once_another_comes(db: Session, tmp_path: Path) -> None:
    device = a_node_of_old(db)
    before = raw(db, device)
    assert go(db, tmp_path)
    assert [one.topic.split("/")[2] for one in raw(db, device)[:3]] == ["NBIRTH", "DBIRTH", "DDATA"]
    assert everywhere(db, tmp_path, device) == before
    fresh = [at(LATER, 480 + minute) for minute in range(9)]
    intake.store(db, [node_said(device, "DDATA", live(when, 350.0, 33 + place), when) for place, when in enumerate(fresh)])
    actions.fold_devices(db, now=fresh[-1] + timedelta(seconds=5))
    assert db.scalars(select(UsageSession.starts_at).where(UsageSession.ends_at.is_(None))).all() == [fresh[0]]
    out = {"resource_id": device.resource_id, "first": day(1), "last": day(1)}
    export(db, tmp_path / "out", archive=Archive(tmp_path), **out)  # type: ignore[arg-type]
    assert verify(tmp_path / "out").problems == []
    again = 86400.0 * LATER
    births = {"NBIRTH": payload(0, again, bdSeq=(None, INT64, 4)), "DBIRTH": payload(1, again, Power=(1, FLOAT, 8.0))}
    born = [node_said(device, kind, content, at(LATER, 600 + place)) for place, (kind, content) in enumerate(births.items())]
    intake.store(db, born)
    actions.fold_devices(db, now=at(LATER, 700))
    whole = raw(db, device)
    seal(db, until=2 * LATER)
    assert go(db, tmp_path, now=at(2 * LATER, 0))
    assert [(one.topic, one.received_at) for one in raw(db, device)] == [(one.topic, one.received_at) for one in born]
    assert everywhere(db, tmp_path, device, days=LATER + 1) == [*before, *whole[-11:]]


def test_rejected_messages_are_forgotten_and_stay_counted(db: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devices.archive.actions.FORGOTTEN_AT_ONCE", 3)
    device = a_device(db)
    bad = [Envelope(f"d/{device.key}/t", b"no", at(0, minute)) for minute in range(4)]
    strangers = [Envelope(f"d/stranger{number}/t", b"{}", at(0, 10 + number)) for number in range(2)]
    intake.store(db, [*bad, *strangers, Envelope(f"d/{device.key}/t", b"no", at(20, 0))])
    keep = archiving(Path("nowhere")).keep
    assert [forget_rejected(db, keep=keep, now=at(LATER, 0)) for _ in range(3)] == [3, 3, 0]
    assert [one.received_at for one in db.scalars(select(RejectedMessage))] == [at(20, 0)]
    assert queries.count_rejected(db, [device.key, "", "stranger0"]) == {device.key: 5, "": 2}


def test_a_device_whose_messages_were_deleted_is_not_archived_as_if_it_had_been_silent(db: Session, tmp_path: Path) -> None:
    (device,) = two_days(db)
    db.execute(delete(RawMessage).where(RawMessage.device_id == device.id, RawMessage.received_at < at(0, 600)))
    assert go(db, tmp_path)
    assert db.scalars(select(ArchivedDay.day)).all() == [day(1)]
