"""What a use rests on is named: records of days under their seals, and the leaves that came in that time."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, event
from sqlalchemy.orm import Session

from devices import queries as devices
from devices.evidence import merkle, queries
from devices.evidence import resting as rests
from devices.evidence.keys import Signer, read_signer
from devices.evidence.records import message_leaf
from devices.evidence.resting import Basis, basis_of, sealed_days
from devices.intake import actions as intake
from devices.tables import Device, RawMessage
from marketplace.slot import Slot
from tests.devices.evidences import DAY, a_device, at, heard, message, sealed

MORNING = Slot(at(0, 540), at(0, 600))
NIGHT = Slot(at(0, 1410), at(1, 30))


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return read_signer("", tmp_path / "evidence.key")


def named(found: Basis) -> list[tuple[date, list[tuple[int, int | None, int | None]]]]:
    return [(one.day, [(record.count, record.first, record.within) for record in one.records]) for one in found.days]


@contextmanager
def statements(db: Session) -> Iterator[list[str]]:
    said: list[str] = []
    connection = db.connection()

    def hear(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        said.append(statement)

    event.listen(connection, "before_cursor_execute", hear)
    try:
        yield said
    finally:
        event.remove(connection, "before_cursor_execute", hear)


def test_the_leaves_that_are_named_are_those_of_the_messages_of_that_time(db: Session, signer: Signer) -> None:
    device = a_device(db)
    heard(db, device, days=2)
    sealed(db, signer, until=2)
    for within in (MORNING, NIGHT):
        with statements(db) as said:
            found = basis_of(db, [device.resource_id], within)
        assert len(said) == 1
        assert (found.complete, found.signing_key) == (True, signer.key)
        leaves = list[bytes]()
        for one in found.days:
            assert (one.device_id, one.key, one.resource_id) == (device.id, device.key, device.resource_id)
            [record], [row] = one.records, queries.days_of(db, device.id, days=[one.day])
            assert (record.root, record.number, record.count) == (row.root, 1, row.count)
            [seal] = [seal for seal in queries.seals(db) if seal.number == record.seal]
            assert (seal.day, record.seal_digest) == (one.day, queries.signed(seal).seal.digest())
            assert record.first is not None
            assert record.within is not None
            leaves += merkle.split(row.leaves)[record.first : record.first + record.within]
        assert leaves == [message_leaf(device.id, one) for one in devices.messages_within(db, device.id, within)]


def test_a_day_that_is_not_sealed_yet_says_so(db: Session, signer: Signer) -> None:
    device = a_device(db)
    heard(db, device, days=2)
    assert named(basis_of(db, [device.resource_id], NIGHT)) == [(DAY, []), (DAY + timedelta(days=1), [])]
    sealed(db, signer, until=1)
    found = basis_of(db, [device.resource_id], NIGHT)
    assert [bool(one.records) for one in found.days] == [True, False]
    assert [(one.days, one.first_seal, one.last_seal) for one in sealed_days(db, [device.resource_id], NIGHT)] == [(1, 1, 1)]


def test_the_place_of_the_leaves_is_not_guessed_where_messages_came_late_or_are_archived(db: Session, signer: Signer) -> None:
    device = a_device(db)
    heard(db, device, days=2)
    sealed(db, signer, until=1)
    intake.store(db, [message(device, at(0, 550.5), 350.0)])
    sealed(db, signer, until=2)
    count = queries.days_of(db, device.id, days=[DAY])[0].count
    assert named(basis_of(db, [device.resource_id], MORNING)) == [(DAY, [(count, None, None), (1, None, None)])]
    db.execute(delete(RawMessage))
    assert named(basis_of(db, [device.resource_id], MORNING)) == [(DAY, [(count, None, None), (1, None, None)])]


def test_a_meter_counts_from_its_first_day_on_and_a_resource_without_one_rests_on_nothing(db: Session, signer: Signer) -> None:
    device, later = a_device(db), a_device(db)
    db.get_one(Device, later.id).created_at = at(1, 5)
    heard(db, device, days=2)
    sealed(db, signer, until=2)
    assert [one.day for one in basis_of(db, [later.resource_id], NIGHT).days] == [DAY + timedelta(days=1)]
    assert basis_of(db, [later.resource_id], MORNING).days == []
    assert basis_of(db, ["res_none"], NIGHT).days == []


def test_what_is_named_is_bounded_and_says_where_it_ends(db: Session, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    device = a_device(db)
    heard(db, device, days=3)
    sealed(db, signer, until=3)
    long = Slot(at(0, 0), at(3, 0))
    monkeypatch.setattr(rests, "MOST_ROWS", 2)
    found = basis_of(db, [device.resource_id], long)
    assert ([one.day for one in found.days], found.complete) == ([DAY, DAY + timedelta(days=1)], False)
    monkeypatch.setattr(rests, "MOST_DAYS", 1)
    found = basis_of(db, [device.resource_id], long)
    assert ([one.day for one in found.days], found.complete, found.last) == ([DAY], False, DAY + timedelta(days=2))
