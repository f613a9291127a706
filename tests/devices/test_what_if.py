"""What other thresholds would have made of the last days."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from devices import what_if
from devices.intake import actions as intake
from devices.profile import Profile
from devices.tables import Thresholds, UsageSession
from devices.what_if import Run, stretches
from marketplace.slot import Slot
from tests.devices.evidences import a_device, at, heard, message

RUNS = st.lists(st.tuples(st.integers(0, 200), st.integers(1, 20)), max_size=8)


def run(start: int, end: int) -> Run:
    return Run(Slot(at(0, start), at(0, end)), (end - start) * 60)


def stored(db: Session) -> list[int | None]:
    return [db.scalar(select(func.count()).select_from(table)) for table in (Thresholds, UsageSession)]


@given(RUNS, RUNS)
def test_every_run_is_in_one_stretch_and_stretches_do_not_touch(now: list[tuple[int, int]], then: list[tuple[int, int]]) -> None:
    sides = [[run(start, start + length) for start, length in side] for side in (now, then)]
    found = stretches(*sides)
    assert sorted((one for two in found for one in two.now), key=str) == sorted(sides[0], key=str)
    assert sorted((one for two in found for one in two.then), key=str) == sorted(sides[1], key=str)
    spans = [[one.slot for one in (*two.now, *two.then)] for two in found]
    assert all(max(a.end for a in one) <= min(b.start for b in two) for one, two in pairwise(spans))


def test_the_same_thresholds_would_change_nothing(db: Session) -> None:
    device = a_device(db)
    heard(db, device)
    found = what_if.foresee(db, device, Profile(), now=at(4, 0))
    assert len(found.stretches) == 8  # the last one runs
    assert not any(one.differs for one in found.stretches)


def test_what_would_be_is_told_and_nothing_is_written(db: Session) -> None:
    device = a_device(db)
    heard(db, device, days=1)
    before = stored(db)
    never = what_if.foresee(db, device, Profile(p_on=500, p_off=400), now=at(1, 0)).stretches
    assert [(len(one.now), len(one.then)) for one in never] == [(1, 0), (1, 0)]
    always = what_if.foresee(db, device, Profile(p_on=5, p_off=2), now=at(1, 0)).stretches
    assert [(len(one.now), len(one.then)) for one in always] == [(2, 1)]
    assert stored(db) == before


def test_of_a_device_that_says_much_fewer_days_are_read(db: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    device = a_device(db)
    heard(db, device, days=2)
    monkeypatch.setattr("devices.what_if.MOST_MESSAGES", 300)
    found = what_if.foresee(db, device, Profile(), now=at(2, 0))
    assert at(1, 1440 - 300) - timedelta(hours=3) < found.since < at(1, 1440 - 300)
    intake.store(db, [message(device, at(2, 1), 8)])
    assert [len(one.now) for one in found.stretches] == [1]
