"""Seals: every message under a root, every root under a signature, each seal tied to the one before."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from devices import queries as devices
from devices.evidence import merkle, queries
from devices.evidence.actions import SETTLED, seal_next
from devices.evidence.invariants import violations
from devices.evidence.keys import Signer, is_signed, read_signer
from devices.evidence.records import FIRST, Seal, bounds, message_leaf
from devices.evidence.tables import EvidenceDay, EvidenceSeal
from devices.intake import actions as intake
from devices.tables import RawMessage
from marketplace.refusals import Invalid
from marketplace.slot import Slot
from tests.devices.evidences import DAY, a_device, at, heard, message, sealed

LEAVES = [merkle.leaf(bytes([number])) for number in range(40)]


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return read_signer("", tmp_path / "keys" / "evidence.key")


@given(st.integers(1, 40), st.integers(0, 39))
def test_a_proof_leads_to_the_root_for_its_place_alone(size: int, index: int) -> None:
    leaves = LEAVES[:size]
    if index >= size:
        with pytest.raises(IndexError):
            merkle.path(leaves, index)
        return
    proof = merkle.path(leaves, index)
    assert merkle.root_by(proof, leaves[index], index=index, size=size) == merkle.root(leaves)
    assert merkle.root_by(proof, merkle.leaf(b"other"), index=index, size=size) != merkle.root(leaves)
    assert merkle.root_by([*proof, LEAVES[0]], leaves[index], index=index, size=size) is None
    assert merkle.root_by(proof, leaves[index], index=size, size=size) is None


def test_roots_are_those_of_the_rfc() -> None:
    """Known answers of the reference implementation of Certificate Transparency."""
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    leaves = [merkle.leaf(bytes.fromhex(one)) for one in inputs]
    assert {size: merkle.root(leaves[:size]).hex() for size in (1, 2, 3, 8)} == {
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }


def test_each_day_is_sealed_once_it_is_over_and_tied_to_the_one_before(db: Session, signer: Signer) -> None:
    device, other = a_device(db), a_device(db)
    heard(db, device, days=3)
    intake.store(db, [message(other, at(1, 7), 8)])
    assert not seal_next(db, signer=signer, now=at(1, 0) + SETTLED - timedelta(seconds=1))
    assert sealed(db, signer, until=3) == 3
    assert sealed(db, signer, until=3) == 0
    rows = queries.seals(db)
    assert [(row.number, row.day, row.records) for row in rows] == [
        (number, DAY + timedelta(days=number - 1), records) for number, records in ((1, 2), (2, 2), (3, 2))
    ]
    assert [row.previous for row in rows] == [FIRST, *(queries.signed(row).seal.digest() for row in rows[:-1])]
    assert all(is_signed(queries.signed(row).seal, row.signature) and row.key == signer.key for row in rows)
    assert not is_signed(queries.signed(rows[0]).seal, rows[1].signature)


def test_every_message_of_a_day_is_a_leaf_and_every_record_proves_its_seal(db: Session, signer: Signer) -> None:
    device = a_device(db)
    heard(db, device, days=1)
    sealed(db, signer, until=1)
    (row,) = queries.days_of(db, device.id, days=[DAY])
    stored = devices.messages_within(db, device.id, Slot(*bounds(DAY)))
    assert set(merkle.split(row.leaves)) == {message_leaf(device.id, one) for one in stored}
    assert (row.count, row.root) == (len(stored), merkle.root(merkle.split(row.leaves)).hex())
    (seal,) = queries.seals(db)
    (record,) = queries.records_of(db, 1)
    assert record == queries.as_record(row)
    assert merkle.root([record.leaf()]).hex() == seal.root


def test_what_was_stored_late_goes_into_the_next_seal(db: Session, signer: Signer) -> None:
    device = a_device(db)
    intake.store(db, [message(device, at(0, 5), 8)])
    sealed(db, signer, until=1)
    intake.store(db, [message(device, at(0, 6), 8), message(device, at(1, 5), 8)])
    sealed(db, signer, until=2)
    rows = queries.days_of(db, device.id, days=[DAY, DAY + timedelta(days=1)])
    assert [((row.day - DAY).days, row.number, row.seal, row.count) for row in rows] == [(0, 1, 1, 1), (0, 2, 2, 1), (1, 1, 2, 1)]
    assert queries.seals(db)[1].records == 2


def test_a_day_without_a_message_is_sealed_too(db: Session, signer: Signer) -> None:
    device = a_device(db)
    intake.store(db, [message(device, at(0, 5), 8), message(device, at(2, 5), 8)])
    sealed(db, signer, until=3)
    assert [row.records for row in queries.seals(db)] == [1, 1, 1]
    assert [row.count for row in queries.days_of(db, device.id, days=[DAY + timedelta(days=day) for day in range(3)])] == [
        1,
        0,
        1,
    ]


def test_more_devices_than_go_at_once_are_one_seal(db: Session, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devices.evidence.actions.AT_ONCE", 2)
    made = [a_device(db) for _ in range(4)]
    intake.store(db, [message(device, at(0, 5), 8) for device in made])
    assert sealed(db, signer, until=1) == 3
    assert [row.records for row in queries.seals(db)] == [4]


@pytest.mark.parametrize("table", [EvidenceSeal, EvidenceDay])
@pytest.mark.parametrize("change", ["update", "delete"])
def test_the_database_lets_nobody_change_what_is_sealed(
    db: Session, signer: Signer, table: type[EvidenceSeal | EvidenceDay], change: str
) -> None:
    device = a_device(db)
    intake.store(db, [message(device, at(0, 5), 8)])
    sealed(db, signer, until=1)
    with pytest.raises(DatabaseError, match="never change"), db.begin_nested():
        db.execute(delete(table) if change == "delete" else update(table).values(root="0"))
    assert db.scalar(select(func.count()).select_from(table)) == 1


def test_the_key_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "evidence.key"
    made = read_signer("", file)
    assert (file.stat().st_mode & 0o777, read_signer("", file).key) == (0o600, made.key)
    assert [one.name for one in file.parent.iterdir()] == ["evidence.key"]
    assert read_signer("11" * 32, file).key != made.key


@pytest.mark.parametrize("seed", ["zz", "11" * 31, "11" * 33])
def test_a_seed_that_is_none_is_named(tmp_path: Path, seed: str) -> None:
    with pytest.raises(Invalid) as told:
        read_signer(seed, tmp_path / "evidence.key")
    assert told.value.values["field"] == "evidence_key"


def test_a_long_way_to_catch_up_is_gone_in_pieces(db: Session, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devices.evidence.actions.WORKS_S", 0)
    device = a_device(db)
    intake.store(db, [message(device, at(day, 5), 8) for day in range(3)])
    assert [sealed(db, signer, until=3) for _ in range(4)] == [1, 1, 1, 0]
    assert len(queries.seals(db)) == 3


def test_the_audit_tells_what_no_longer_fits_its_seal(db: Session, signer: Signer) -> None:
    device = a_device(db)
    intake.store(db, [message(device, at(0, minute), 8) for minute in range(5)])
    sealed(db, signer, until=1)
    assert list(violations(db)) == []
    db.execute(update(RawMessage).values(payload=b"{}").where(RawMessage.received_at < at(0, 2)))
    assert list(violations(db)) == [f"2 sealed messages of device {device.id} of 2026-03-10 were changed or are gone"]


def test_the_audit_tells_a_seal_that_was_put_between(db: Session, signer: Signer) -> None:
    forged = Seal(1, DAY, "1" * 64, 0, "0" * 64, signer.key)
    row = {"number": 1, "day": DAY, "previous": forged.previous, "records": 0, "root": forged.root, "key": forged.key}
    db.execute(insert(EvidenceSeal).values(**row, signature="00" * 64, sealed_at=at(1, 0)))
    assert list(violations(db)) == [
        "seal 1 of 2026-03-10 is not tied to the one before it",
        "seal 1 of 2026-03-10 is not signed by the key it names",
        "seal 1 of 2026-03-10 is not that of its records",
    ]


def test_the_audit_tells_what_came_too_late_for_any_seal(db: Session, signer: Signer) -> None:
    device = a_device(db)
    intake.store(db, [message(device, at(0, 5), 8)])
    sealed(db, signer, until=4)
    intake.store(db, [message(device, at(0, 6), 8)])
    sealed(db, signer, until=5)
    assert list(violations(db)) == [f"1 messages of device {device.id} of 2026-03-10 were stored too late for any seal"]
