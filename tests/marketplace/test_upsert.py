"""Insert what is new, leave what is there."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from marketplace.tables import JobSlot, Membership, Message
from marketplace.upsert import insert_many_new, insert_new
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


def a_message(person_id: str, number: int, **values: Any) -> dict[str, Any]:
    row = {"id": f"msg_{number}", "cause": f"c{number}", "person_id": person_id, "kind": "k", "data": {"n": [number]}}
    return {**row, "attempts": number, "run_at": NOW, "created_at": NOW, **values}


def test_of_many_the_new_ones_are_inserted_and_named(db: Session) -> None:
    person = a_person(db).id
    assert insert_many_new(db, Message, [a_message(person, 1), a_message(person, 2)], key="id") == {"msg_1", "msg_2"}
    again = [a_message(person, number, kind="other", lease_until=NOW) for number in (3, 2, 4, 3)]
    assert insert_many_new(db, Message, again, key="id") == {"msg_3", "msg_4"}
    found = {row.id: (row.kind, row.data, row.attempts, row.run_at, row.lease_until) for row in db.scalars(select(Message))}
    old = {f"msg_{number}": ("k", {"n": [number]}, number, NOW, None) for number in (1, 2)}
    assert found == old | {f"msg_{number}": ("other", {"n": [number]}, number, NOW, NOW) for number in (3, 4)}
    assert insert_many_new(db, Message, [], key="id") == set()


def test_of_many_the_first_of_a_name_counts(db: Session) -> None:
    person = a_person(db).id
    rows = [a_message(person, 1, kind="first"), a_message(person, 2), a_message(person, 1, kind="second")]
    assert insert_many_new(db, Message, rows, key="id") == {"msg_1", "msg_2"}
    assert db.scalars(select(Message.kind).where(Message.id == "msg_1")).one() == "first"


def test_of_many_one_that_is_wrong_is_refused(db: Session) -> None:
    person = a_person(db).id
    insert_many_new(db, Message, [a_message(person, 1)], key="id")
    for wrong in (a_message("per_none", 2), a_message(person, 2, cause="c1"), a_message(person, 2, kind=None)):
        with pytest.raises(IntegrityError), db.begin_nested():
            insert_many_new(db, Message, [a_message(person, 3), wrong], key="id")
    assert set(db.scalars(select(Message.id))) == {"msg_1"}


def test_thousands_at_once(db: Session) -> None:
    person = a_person(db).id
    assert len(insert_many_new(db, Message, [a_message(person, number) for number in range(3000)], key="id")) == 3000
    assert not insert_many_new(db, Message, [a_message(person, number) for number in range(3000)], key="id")


def test_of_two_with_the_same_many_one_inserts(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as session:
        person = a_person(session).id
    rows = [a_message(person, number) for number in range(20)]
    found = race(committed_db, lambda session: insert_many_new(session, Message, rows, key="id"))
    assert (len(found.first), found.second) == (20, set())


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
