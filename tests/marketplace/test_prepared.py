"""Statements handed to the driver: what waits is written with the flush, in order, once, and goes with its transaction."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import bindparam, func, inspect, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from marketplace.ids import new_id
from marketplace.prepared import Append, Question, Read, ask_together, start_over
from marketplace.tables import AuditEntry, Membership, Message, Person
from tests.builders import a_person

NOW = datetime(2026, 3, 10, 3, tzinfo=UTC)
ENTRIES, MESSAGES, PEOPLE = Append(AuditEntry), Append(Message, once=True), Append(Person)
NAMED = Read(select(Person.name, Person.created_at, Person.disabled_at).where(Person.id == bindparam("person")))
COUNTED = Read(select(func.count()).select_from(AuditEntry).where(AuditEntry.object_id == bindparam("what")))


def asked_for(read: Read, **values: object) -> Question[list[tuple[object, ...]]]:
    return Question(read, values, lambda _session, rows: [tuple(row) for row in rows])


def a_row() -> dict[str, object]:
    return {"id": new_id("per"), "email": "b@example.org", "name": "B", "locale": "zh", "created_at": NOW}


def write(session: Session, row: dict[str, object], refused: dict[str, Exception]) -> None:
    with session.begin_nested():
        ENTRIES.add(session, [row], refused=refused)
        session.flush()


def entry(what: str) -> dict[str, object]:
    after = {"said": "中试 'quoted' \\ %s :x"}
    return {"id": new_id("aud"), "at": NOW, "action": "try", "object_kind": "test", "object_id": what, "after": after}


def count(session: Session, what: str) -> int:
    return session.scalar(select(func.count()).where(AuditEntry.object_id == what)) or 0


def a_message(person_id: str, cause: str) -> dict[str, object]:
    message = {"id": new_id("msg"), "cause": cause, "person_id": person_id, "kind": "booking_confirmed", "data": {}}
    return {**message, "run_at": NOW, "attempts": 0, "created_at": NOW}


def test_what_is_appended_is_read_as_the_mapping_reads_it(db: Session) -> None:
    ENTRIES.add(db, [entry("obj_1")])
    row = db.scalars(select(AuditEntry).where(AuditEntry.object_id == "obj_1")).one()
    assert (row.at, row.after, row.before) == (NOW, {"said": "中试 'quoted' \\ %s :x"}, None)


def test_a_read_sees_what_waits_and_turns_values_as_the_mapping_does(db: Session) -> None:
    person = a_person(db, name="王小明", created_at=NOW)
    ENTRIES.add(db, [entry("obj_1"), entry("obj_1")])
    counted = (asked_for(COUNTED, what=f"obj_{number}") for number in range(1, 3))
    assert ask_together(db, asked_for(NAMED, person=person.id), *counted) == ([("王小明", NOW, None)], [(2,)], [(0,)])


def test_rows_go_out_in_the_order_of_the_program(db: Session) -> None:
    """Foreign keys both ways: the mapping's row before an appended one, and an appended row before the mapping's."""
    person = Person(id=new_id("per"), email="a@example.org", name="A", locale="zh", created_at=NOW)
    db.add(person)
    MESSAGES.add(db, [a_message(person.id, "one")])
    [other] = PEOPLE.add_objects(db, [a_row()])
    db.add(Membership(id=new_id("mem"), person_id=other.id, role="operator", created_at=NOW))
    db.flush()
    assert db.scalar(select(func.count()).where(Message.person_id == person.id)) == 1


def test_an_appended_object_belongs_to_the_session(db: Session) -> None:
    [other] = PEOPLE.add_objects(db, [a_row()])
    assert db.get(Person, other.id) is other
    assert (inspect(other).expired_attributes, other.phone) == (set(), None)
    other.name = "C"
    db.flush()
    assert asked_for(NAMED, person=other.id).ask(db) == [("C", NOW, None)]


def test_with_once_what_is_there_stays(db: Session) -> None:
    person = a_person(db).id
    for _ in range(2):
        MESSAGES.add(db, [a_message(person, "same")])
    assert db.scalar(select(func.count()).where(Message.cause == "same")) == 1


def test_a_constraint_raises_what_was_said(db: Session) -> None:
    row = entry("obj_1")
    ENTRIES.add(db, [row])
    db.flush()
    with pytest.raises(LookupError):
        write(db, row, {"audit": LookupError()})
    with pytest.raises(IntegrityError):
        write(db, row, {"another_constraint": LookupError()})
    assert count(db, "obj_1") == 1


def test_what_waits_goes_with_its_transaction_and_its_savepoint(committed_db: sessionmaker[Session]) -> None:
    with committed_db() as session:
        ENTRIES.add(session, [entry("kept")])
        savepoint = session.begin_nested()
        ENTRIES.add(session, [entry("taken_back")])
        savepoint.rollback()
        session.commit()
        ENTRIES.add(session, [entry("rolled_back")])
        session.rollback()
        ENTRIES.add(session, [entry("closed")])
    with committed_db() as session:
        session.commit()
        found = {what: count(session, what) for what in ("kept", "taken_back", "rolled_back", "closed")}
    assert found == {"kept": 1, "taken_back": 0, "rolled_back": 0, "closed": 0}


def test_a_closed_session_that_is_used_again_writes_nothing_old(committed_db: sessionmaker[Session]) -> None:
    session = committed_db()
    ENTRIES.add(session, [entry("closed")])
    session.close()
    session.commit()
    assert count(session, "closed") == 0
    session.close()


def test_what_is_refused_at_the_commit_takes_the_whole_transaction_with_it(committed_db: sessionmaker[Session]) -> None:
    row = entry("obj_1")
    with committed_db.begin() as session:
        ENTRIES.add(session, [row])
    with committed_db() as session:
        MESSAGES.add(session, [a_message(a_person(session).id, "with_it")])
        ENTRIES.add(session, [row], refused={"audit": LookupError()})
        with pytest.raises(LookupError):
            session.commit()
    with committed_db() as session:
        assert (count(session, "obj_1"), session.scalar(select(func.count()).select_from(Message))) == (1, 0)


def test_what_waits_is_not_committed_before_what_was_changed(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as session:
        person = a_person(session)
    with committed_db() as session:
        session.add(person)
        person.email = None  # type: ignore[assignment]
        ENTRIES.add(session, [entry("obj_1")])
        with pytest.raises(IntegrityError):
            session.commit()
    with committed_db() as session:
        assert count(session, "obj_1") == 0


def test_the_end_of_a_savepoint_commits_nothing(committed_db: sessionmaker[Session]) -> None:
    with committed_db() as session:
        with session.begin_nested():
            ENTRIES.add(session, [entry("obj_1")])
        assert count(session, "obj_1") == 1
        session.rollback()
        assert count(session, "obj_1") == 0


def test_a_transaction_that_ended_with_its_rows_is_followed_by_another(committed_db: sessionmaker[Session]) -> None:
    with committed_db() as session:
        for number in range(7):  # from the sixth on the driver has the statements prepared
            ENTRIES.add(session, [entry("obj_1")])
            session.commit()
            ENTRIES.add(session, [entry("obj_1")])
            session.rollback()
            assert count(session, "obj_1") == number + 1


def test_who_starts_over_leaves_nothing_behind_and_goes_on_in_a_transaction_of_its_own(
    committed_db: sessionmaker[Session],
) -> None:
    """Whatever comes next: a read, a row of the mapping or an appended one, or nothing but the commit."""
    with committed_db() as session:
        for kept in ("read", "mapped", "appended", "nothing"):
            ENTRIES.add(session, [entry("obj_gone")])
            assert asked_for(COUNTED, what="obj_gone").ask(session) == [(1,)]
            ENTRIES.add(session, [entry("obj_waiting")])
            start_over(session)
            if kept == "read":
                assert asked_for(COUNTED, what="obj_gone").ask(session) == [(0,)]
            elif kept == "mapped":
                assert count(session, "obj_gone") == 0
                session.add(AuditEntry(**entry(kept)))
            elif kept == "appended":
                ENTRIES.add(session, [entry(kept)])
            session.commit()
    with committed_db() as session:
        names = ("obj_gone", "obj_waiting", "mapped", "appended")
        assert [count(session, name) for name in names] == [0, 0, 1, 1]


def test_who_starts_over_lets_go_of_rows_with_the_next_statement(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as session:
        person = a_person(session).id
    mine = select(Person.id).where(Person.id == person).with_for_update(nowait=True)
    with committed_db() as session, committed_db() as other:
        if session.get_bind().dialect.name != "postgresql":
            pytest.skip("SQLite has one writer")
        assert session.scalar(mine) == person
        start_over(session)
        assert asked_for(COUNTED, what="obj_1").ask(session) == [(0,)]
        assert other.scalar(mine) == person


def test_what_is_to_be_confirmed_goes_before_what_is_read(committed_db: sessionmaker[Session]) -> None:
    with committed_db() as session:
        ask = asked_for(NAMED, person="nobody")
        heard: list[int] = []
        session.confirm(Question(ask.read, ask.values, lambda _session, rows: heard.append(len(rows))))  # type: ignore[attr-defined]
        assert heard == []
        assert (ask.ask(session), heard) == ([], [0])
        assert (ask.ask(session), heard) == ([], [0])


@pytest.mark.parametrize("end", [lambda it: it.commit(), lambda it: it.flush(), lambda it: it.execute(select(1))])
def test_nothing_is_written_before_it_is_confirmed(committed_db: sessionmaker[Session], end: Callable[[Session], object]) -> None:
    ask = asked_for(NAMED, person="nobody")

    def deny(_session: Session, _rows: object) -> None:
        raise LookupError

    with committed_db() as session:
        ENTRIES.add(session, [entry("unconfirmed")])
        session.confirm(Question(ask.read, ask.values, deny))  # type: ignore[attr-defined]
        with pytest.raises(LookupError):
            end(session)
    with committed_db() as session:
        assert count(session, "unconfirmed") == 0
