"""Several transactions in one commit: each is whole or nothing, and nobody hears of what the disk does not have."""

import random
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from marketplace import group_commit
from marketplace.db import open_engine, open_readers
from marketplace.group_commit import MOST, GroupCommit
from marketplace.ids import new_id
from marketplace.prepared import Append, Question, Read, start_over
from marketplace.refusals import Busy
from marketplace.roles import Role
from marketplace.tables import AuditEntry, Membership
from web.schema import METADATA

NOW = datetime(2026, 3, 10, 3, tzinfo=UTC)
ENTRIES = Append(AuditEntry)
WAIT_S = 20


class Unwanted(Exception):
    """What a task may fail with."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path}/group.db")
    METADATA.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def group(engine: Engine) -> Iterator[GroupCommit]:
    group = GroupCommit(engine)
    yield group
    group.close()


@pytest.fixture
def commits(engine: Engine) -> list[int]:
    """Grows with every commit."""
    made: list[int] = []
    event.listen(engine, "commit", lambda _connection: made.append(1))
    return made


def note(session: Session, what: str) -> None:
    ENTRIES.add(session, [{"id": new_id("aud"), "at": NOW, "action": "try", "object_kind": "test", "object_id": what}])


def noted(what: str) -> Callable[[Session], str]:
    def work(session: Session) -> str:
        note(session, what)
        session.commit()
        return what

    return work


def failing(what: str) -> Callable[[Session], str]:
    def work(session: Session) -> str:
        note(session, what)
        session.flush()
        raise Unwanted(what)

    return work


def stored(engine: Engine) -> list[str]:
    with open_readers(engine)() as session:
        return sorted(session.scalars(select(AuditEntry.object_id)))


def together(group: GroupCommit, *works: Callable[[Session], str]) -> list[Future[str]]:
    """Submitted while the thread is busy, so that they are one group."""
    hold = threading.Event()
    first = group.submit(lambda _session: hold.wait(WAIT_S))
    futures = [group.submit(work) for work in works]
    hold.set()
    wait([first, *futures], WAIT_S)
    return futures


def test_what_waits_goes_into_one_commit(group: GroupCommit, engine: Engine, commits: list[int]) -> None:
    futures = together(group, *(noted(f"n{number}") for number in range(MOST - 1)))
    assert [future.result(WAIT_S) for future in futures] == [f"n{number}" for number in range(MOST - 1)]
    assert len(stored(engine)) == MOST - 1
    assert len(commits) == 1


def test_a_group_has_an_end(group: GroupCommit, engine: Engine, commits: list[int]) -> None:
    for future in together(group, *(noted(f"n{number}") for number in range(3 * MOST - 1))):
        future.result(WAIT_S)
    assert len(stored(engine)) == 3 * MOST - 1
    assert len(commits) == 3


def test_nobody_hears_before_the_disk_has_it(group: GroupCommit, engine: Engine) -> None:
    seen: list[list[str]] = []
    future = group.submit(noted("mine"))
    future.add_done_callback(lambda _future: seen.append(stored(engine)))
    future.result(WAIT_S)
    group.close()
    assert seen == [["mine"]]


def test_what_fails_leaves_nothing_and_harms_nobody(group: GroupCommit, engine: Engine) -> None:
    one, bad, other = together(group, noted("one"), failing("bad"), noted("other"))
    assert (one.result(WAIT_S), other.result(WAIT_S)) == ("one", "other")
    with pytest.raises(Unwanted):
        bad.result(WAIT_S)
    assert stored(engine) == ["one", "other"]


def test_what_was_not_committed_is_not_kept(group: GroupCommit, engine: Engine) -> None:
    def forgetful(session: Session) -> str:
        note(session, "forgotten")
        session.flush()
        return "done"

    assert group.submit(forgetful).result(WAIT_S) == "done"
    assert stored(engine) == []


def test_what_one_task_leaves_open_is_not_the_next_one_s(group: GroupCommit, engine: Engine) -> None:
    entry = {"id": new_id("aud"), "at": NOW, "action": "try", "object_kind": "test", "object_id": "left open"}

    def careless(session: Session) -> str:
        session.add(AuditEntry(**entry))
        session.begin_nested()
        note(session, "left waiting")
        session.confirm(Question(Read(select(AuditEntry.id)), {}, lambda _session, _rows: 1 / 0))  # type: ignore[attr-defined]
        return "left"

    def looking(session: Session) -> str:
        note(session, f"{len(session.new)} new, nested {session.in_nested_transaction()}")
        session.commit()
        return "seen"

    careless_one, looking_one = together(group, careless, looking)
    assert (careless_one.result(WAIT_S), looking_one.result(WAIT_S)) == ("left", "seen")
    assert stored(engine) == ["0 new, nested False"]


def test_a_task_that_starts_over_keeps_what_came_after(group: GroupCommit, engine: Engine) -> None:
    def refused(session: Session) -> str:
        note(session, "taken back")
        session.flush()
        start_over(session)
        note(session, "demand")
        session.commit()
        raise Unwanted

    before, future, after = together(group, noted("before"), refused, noted("after"))
    with pytest.raises(Unwanted):
        future.result(WAIT_S)
    assert (before.result(WAIT_S), after.result(WAIT_S)) == ("before", "after")
    assert stored(engine) == ["after", "before", "demand"]


def test_where_the_database_takes_the_whole_back_all_hear_it(group: GroupCommit, engine: Engine) -> None:
    """As SQLite does by itself when the disk is full."""

    def fatal(session: Session) -> str:
        session.connection().connection.driver_connection.rollback()  # type: ignore[union-attr]
        return "kept, I think"

    before, lost = together(group, noted("before"), fatal)
    for future in (before, lost):
        with pytest.raises(OperationalError):
            future.result(WAIT_S)
    assert stored(engine) == []
    assert group.submit(noted("later")).result(WAIT_S) == "later"
    assert stored(engine) == ["later"]


def test_a_transaction_that_was_swapped_for_another_is_noticed(group: GroupCommit, engine: Engine) -> None:
    def swap(session: Session) -> str:
        note(session, "swapped")
        session.flush()
        session.connection().connection.driver_connection.rollback()  # type: ignore[union-attr]
        session.begin_nested()
        session.connection()
        raise Unwanted

    before, swapped, after = together(group, noted("before"), swap, noted("after"))
    assert before.exception() is not None
    assert swapped.exception() is not None
    assert after.result(WAIT_S) == "after"
    assert stored(engine) == ["after"]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, StopIteration, CancelledError, RecursionError])
def test_no_error_ends_the_thread_or_passes_for_another(group: GroupCommit, engine: Engine, error: type[BaseException]) -> None:
    def odd(session: Session) -> str:
        note(session, "odd")
        session.flush()
        raise error

    before, bad, after = together(group, noted("before"), odd, noted("after"))
    assert (before.result(WAIT_S), after.result(WAIT_S)) == ("before", "after")
    with pytest.raises(RuntimeError):  # RecursionError is one
        bad.result(WAIT_S)
    assert stored(engine) == ["after", "before"]


def test_while_nobody_may_write_all_who_wait_hear_it_together(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    group = GroupCommit(engine)
    begun, told = threading.Event(), threading.Event()

    def refuse(_connection: object) -> None:
        begun.set()
        told.wait(WAIT_S)
        raise OperationalError("BEGIN IMMEDIATE", None, sqlite3.OperationalError("database is locked"))

    event.listen(engine, "begin", refuse)
    first = group.submit(noted("first"))
    begun.wait(WAIT_S)
    others = [group.submit(noted(f"n{number}")) for number in range(40)]
    told.set()
    for future in (first, *others):
        with pytest.raises(OperationalError):
            future.result(WAIT_S)
    event.remove(engine, "begin", refuse)
    monkeypatch.setattr(group_commit, "BUSY_TIMEOUT_S", -1)
    with pytest.raises(Busy):
        group.submit(noted("late")).result(WAIT_S)
    group.close()
    assert stored(engine) == []


def test_on_a_full_disk_what_was_told_is_what_is_there(group: GroupCommit, engine: Engine) -> None:
    def too_much(session: Session) -> str:
        pages = session.scalar(text("PRAGMA page_count"))
        session.execute(text(f"PRAGMA max_page_count = {pages}"))
        for number in range(10_000):
            note(session, f"much{number}")
        session.commit()
        return "much"

    futures = together(group, noted("before"), too_much, noted("after"))
    with pytest.raises(OperationalError, match="full"):
        futures[1].result(WAIT_S)
    kept = [future.result(WAIT_S) for future in futures if not future.exception()]
    assert stored(engine) == sorted(kept)


def test_where_the_commit_fails_all_hear_it(group: GroupCommit, engine: Engine) -> None:
    def orphan(session: Session) -> str:
        session.execute(text("PRAGMA defer_foreign_keys = ON"))
        session.add(Membership(id="mem_1", person_id="per_nobody", role=Role.OPERATOR, created_at=NOW))
        session.commit()
        return "kept, I think"

    for future in together(group, noted("before"), orphan):
        with pytest.raises(IntegrityError):
            future.result(WAIT_S)
    assert stored(engine) == []
    assert group.submit(noted("later")).result(WAIT_S) == "later"


def test_where_no_transaction_begins_it_is_told(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/nowhere/group.db")
    group = GroupCommit(engine)
    for _ in range(2):
        with pytest.raises(OperationalError):
            group.submit(noted("lost")).result(WAIT_S)
    group.close()
    engine.dispose()


def test_who_has_left_before_their_turn_is_passed_over(group: GroupCommit, engine: Engine) -> None:
    hold = threading.Event()
    first = group.submit(lambda _session: hold.wait(WAIT_S))
    gone, stays = group.submit(noted("gone")), group.submit(noted("stays"))
    assert gone.cancel()
    hold.set()
    first.result(WAIT_S)
    assert stays.result(WAIT_S) == "stays"
    with pytest.raises(CancelledError):
        gone.result(WAIT_S)
    assert stored(engine) == ["stays"]


def test_the_end_carries_out_what_waits(engine: Engine) -> None:
    group = GroupCommit(engine)
    futures = together(group, *(noted(f"n{number}") for number in range(5)))
    group.close()
    assert all(future.done() for future in futures)
    assert len(stored(engine)) == 5
    assert group.submit(noted("late")).result(WAIT_S) == "late"
    group.close()
    group.close()


def test_of_many_threads_each_gets_its_own_answer(group: GroupCommit, engine: Engine) -> None:
    draw = random.Random(7)
    works = {f"n{number:03}": draw.random() < 0.7 for number in range(300)}

    def ask(item: tuple[str, bool]) -> bool:
        what, well = item
        try:
            return group.submit(noted(what) if well else failing(what)).result(WAIT_S) == what
        except Unwanted:
            return False

    with ThreadPoolExecutor(16) as threads:
        assert dict(zip(works, threads.map(ask, works.items()), strict=True)) == works
    assert stored(engine) == [what for what, well in works.items() if well]
