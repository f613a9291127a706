"""Insert what is new, leave what is there."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from marketplace.tables import JobSlot, Membership, Message
from marketplace.upsert import insert_new
from tests.builders import a_person
from tests.marketplace.rivals import race

NOW = datetime(2026, 3, 10, 1, tzinfo=UTC)


def a_slot(job: str) -> dict[str, Any]:
    return {"job": job, "due_at": NOW, "claimed_at": NOW}


def test_new_rows_are_inserted_and_named_and_old_ones_left_as_they_are(db: Session) -> None:
    assert insert_new(db, JobSlot, [a_slot("a"), a_slot("b")], key="job") == {"a", "b"}
    later = NOW.replace(hour=2)
    assert insert_new(db, JobSlot, [{**a_slot("b"), "claimed_at": later}, a_slot("c")], key="job") == {"c"}
    found = {job: at for job, at in db.execute(select(JobSlot.job, JobSlot.claimed_at))}  # noqa: C416
    assert found == {"a": NOW, "b": NOW, "c": NOW}


def test_nothing_inserted_names_nothing(db: Session) -> None:
    assert insert_new(db, JobSlot, [], key="job") == set()


def test_a_row_twice_in_one_call_is_inserted_once(db: Session) -> None:
    assert insert_new(db, JobSlot, [a_slot("a"), a_slot("a")], key="job") == {"a"}


def test_any_unique_value_counts_not_only_the_key(db: Session) -> None:
    row = {"id": "msg_1", "cause": "c", "person_id": a_person(db).id, "kind": "k", "data": {}, "attempts": 0}
    row |= {"run_at": NOW, "created_at": NOW}
    assert insert_new(db, Message, [row], key="id") == {"msg_1"}
    assert insert_new(db, Message, [{**row, "id": "msg_2"}], key="id") == set()


def test_a_row_that_is_wrong_in_another_way_is_still_refused(db: Session) -> None:
    row = {"id": "mem_1", "person_id": "per_none", "role": "member", "created_at": NOW}
    with pytest.raises(IntegrityError), db.begin_nested():
        insert_new(db, Membership, [row], key="id")


def test_of_two_at_once_one_inserts(committed_db: sessionmaker[Session]) -> None:
    found = race(committed_db, lambda session: insert_new(session, JobSlot, [a_slot("a")], key="job"))
    assert (found.first, found.second) == ({"a"}, set())


def test_the_second_inserts_what_the_first_took_back(committed_db: sessionmaker[Session]) -> None:
    found = race(committed_db, lambda session: insert_new(session, JobSlot, [a_slot("a")], key="job"), end=Session.rollback)
    assert (found.waited, found.second) == (True, {"a"})
