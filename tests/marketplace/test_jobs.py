"""Timed jobs: each due slot runs once however many workers tick, a broken run is tried again, a restart misses nothing."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from marketplace import clock, jobs
from marketplace.tables import JobSlot
from tests.marketplace.rivals import race
from web.timers import JOBS, Job
from web.worker import catch_up, run_job, tick

NOW = datetime(2026, 3, 10, 1, 0, 30, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EVERY = timedelta(minutes=1)
DUE = jobs.due_slot(NOW, EVERY)


def claims(due_at: datetime = DUE) -> Callable[[Session], bool]:
    return lambda session: jobs.claim(session, job="fold", due_at=due_at, now=NOW)


@given(st.integers(0, 2**32), st.integers(1, 10**6))
def test_a_due_slot_is_the_latest_multiple_not_after_now(second: int, length: int) -> None:
    now, every = EPOCH + timedelta(seconds=second), timedelta(seconds=length)
    due = jobs.due_slot(now, every)
    assert due <= now < due + every
    assert (due - EPOCH) % every == timedelta()


def test_a_slot_is_claimed_once(db: Session) -> None:
    assert claims()(db)
    assert not claims()(db)
    assert claims(DUE + EVERY)(db)
    assert jobs.claim(db, job="purge", due_at=DUE, now=NOW)


@pytest.mark.parametrize("job", JOBS, ids=[job.name for job in JOBS])
def test_two_workers_never_run_the_same_tick(committed_db: sessionmaker[Session], job: Job) -> None:
    due = jobs.due_slot(NOW, job.every)
    found = race(committed_db, lambda session: jobs.claim(session, job=job.name, due_at=due, now=NOW))
    assert (found.first, found.second, found.waited) == (True, False, True)


def test_a_slot_whose_worker_died_goes_to_the_one_that_waited(committed_db: sessionmaker[Session]) -> None:
    found = race(committed_db, claims(), end=Session.rollback)
    assert (found.waited, found.second) == (True, True)


def a_job(runs: list[datetime], *, breaks: bool = False) -> Job:
    def run(_session: Session, now: datetime) -> None:
        runs.append(now)
        if breaks:
            raise ZeroDivisionError

    return Job("fold", EVERY, run)


def test_a_slot_runs_once_and_is_marked_done(committed_db: sessionmaker[Session]) -> None:
    runs: list[datetime] = []
    assert run_job(committed_db, a_job(runs), DUE, NOW)
    assert not run_job(committed_db, a_job(runs), DUE, NOW)
    assert runs == [NOW]
    with committed_db() as session:
        assert jobs.last_done(session, job="fold") == NOW
        assert jobs.last_done(session, job="purge") is None


def test_a_run_that_breaks_leaves_its_slot_free_and_the_worker_alive(committed_db: sessionmaker[Session]) -> None:
    runs: list[datetime] = []
    broken = a_job(runs, breaks=True)
    with pytest.raises(ZeroDivisionError):
        run_job(committed_db, broken, DUE, NOW)
    tick(committed_db, broken)
    assert len(runs) == 2
    with committed_db() as session:
        assert session.scalars(select(JobSlot)).all() == []
    assert run_job(committed_db, a_job(runs), DUE, NOW)


@pytest.mark.parametrize(("goes_on", "expected"), [(True, 4), (False, 1)])
def test_a_job_that_goes_on_does_so_in_transactions_of_its_own_while_it_finds_something(
    committed_db: sessionmaker[Session], *, goes_on: bool, expected: int
) -> None:
    open_sessions: set[Session] = set()
    runs: list[int] = []

    def run(session: Session, _now: datetime) -> int:
        open_sessions.add(session)
        runs.append(len(runs))
        return 3 - len(runs) + 1

    tick(committed_db, Job("fold", EVERY, run, goes_on=goes_on))
    tick(committed_db, Job("fold", EVERY, run, goes_on=goes_on))  # of the same slot
    assert len(runs) == len(open_sessions) == expected


def test_a_job_that_never_ends_leaves_half_of_its_time_to_others(committed_db: sessionmaker[Session]) -> None:
    runs: list[float] = []

    def run(_session: Session, _now: datetime) -> bool:
        runs.append(monotonic())
        return True

    tick(committed_db, Job("fold", timedelta(seconds=1), run, goes_on=True))
    assert len(runs) > 1
    assert runs[-1] - runs[0] < 0.9


def test_what_was_missed_are_the_slots_since_the_last_one(db: Session) -> None:
    assert jobs.missed(db, job="fold", every=EVERY, now=NOW) == []
    claims(DUE - 3 * EVERY)(db)
    assert jobs.missed(db, job="fold", every=EVERY, now=NOW) == [DUE - 2 * EVERY, DUE - EVERY, DUE]
    claims()(db)
    assert jobs.missed(db, job="fold", every=EVERY, now=NOW) == []
    assert jobs.missed(db, job="fold", every=EVERY, now=NOW - EVERY) == []


def test_after_a_long_absence_no_more_than_fifty_slots_are_looked_at(db: Session) -> None:
    claims(DUE - timedelta(days=30))(db)
    found = jobs.missed(db, job="fold", every=EVERY, now=NOW)
    assert (len(found), found[0], found[-1]) == (jobs.CATCH_UP, DUE - 49 * EVERY, DUE)


def test_a_restart_runs_what_passed_meanwhile_once(committed_db: sessionmaker[Session]) -> None:
    before = clock.now() - timedelta(days=1)
    with committed_db.begin() as session:
        for job in JOBS:
            jobs.claim(session, job=job.name, due_at=jobs.due_slot(before, job.every), now=before)
    catch_up(committed_db)
    with committed_db() as session:
        done = select(JobSlot.job, func.count()).where(JobSlot.done_at.is_not(None)).group_by(JobSlot.job)
        assert {name: count for name, count in session.execute(done)} == {job.name: 1 for job in JOBS}  # noqa: C416


def test_a_first_start_has_nothing_to_catch_up_with(committed_db: sessionmaker[Session]) -> None:
    catch_up(committed_db)
    with committed_db() as session:
        assert session.scalars(select(JobSlot)).all() == []


def test_old_slots_are_forgotten(db: Session) -> None:
    claims(NOW - jobs.KEEP)(db)
    claims(NOW - jobs.KEEP - timedelta(seconds=1))(db)
    jobs.purge(db, now=NOW)
    assert db.scalars(select(JobSlot.due_at)).all() == [NOW - jobs.KEEP]
