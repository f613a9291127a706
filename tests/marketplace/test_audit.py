"""The record: every change of people and houses leaves a row that says who, what and when, and never a secret."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from sqlalchemy import Executable, delete, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from marketplace import audit
from marketplace.people import actions, queries
from marketplace.people.actions import Firm, House
from marketplace.permissions import Grant
from marketplace.roles import Role
from marketplace.tables import AuditEntry, InstitutionKind
from tests.builders import a_person, an_institution, an_organisation

NOW = datetime(2026, 3, 10, 1, tzinfo=UTC)
PASSWORD = "correct horse battery"
ACTOR = "per_actor"

Change = Callable[[Session], object]


def a_password_change(db: Session) -> None:
    person = actions.create_person(db, email="a@example.com", name="李梅", password=PASSWORD, actor_id=None, now=NOW)
    actions.change_password(db, person_id=person.id, present=PASSWORD, password=PASSWORD + "!", now=NOW)


def a_reset(db: Session) -> None:
    person = a_person(db)
    asked = actions.ask_reset(db, email=person.email, now=NOW)
    assert asked
    actions.reset_password(db, secret=asked[1], password=PASSWORD, now=NOW)


def an_invitation_accepted(db: Session) -> None:
    grant = Grant(Role.FINANCE, institution_id=an_institution(db).id)
    secret = actions.invite(db, email="new@example.com", grant=grant, actor_id=a_person(db).id, now=NOW)
    actions.accept_invitation(db, secret=secret, name="王强", password=PASSWORD, locale="zh", now=NOW)


def a_token_revoked(db: Session) -> None:
    person = a_person(db)
    actions.create_token(db, person_id=person.id, label="脚本", now=NOW)
    (token,) = queries.tokens_of(db, person.id)
    actions.revoke_token(db, person_id=person.id, token_id=token.id, now=NOW)


def a_related_party(db: Session) -> None:
    firm, house = an_organisation(db).id, an_institution(db).id
    actions.declare_related(db, organisation_id=firm, institution_id=house, reason="同一控股", actor_id=ACTOR, now=NOW)


def a_house(db: Session) -> None:
    house = House("院", InstitutionKind.INSTITUTE, "Asia/Shanghai")
    actions.create_institution(db, house=house, actor_id=ACTOR, now=NOW)


def a_registration(db: Session) -> None:
    firm = Firm("公司", None, is_sme=True)
    actions.register_firm(db, firm=firm, email="a@example.com", name="李梅", password=PASSWORD, locale="zh", now=NOW)


def a_profile(db: Session) -> None:
    actions.edit_profile(db, person_id=a_person(db).id, name="王强", locale="en", now=NOW)


CHANGES: dict[Change, list[tuple[str, str]]] = {
    a_house: [("create", "institution")],
    a_registration: [("create", "organisation"), ("create", "person"), ("grant", "membership")],
    a_related_party: [("declare_related", "institution")],
    an_invitation_accepted: [("create", "person"), ("grant", "membership"), ("invite", "ticket")],
    a_password_change: [("change_password", "person"), ("create", "person")],
    a_reset: [("reset_password", "person")],
    a_token_revoked: [("create_token", "person"), ("revoke_token", "person")],
    a_profile: [("edit", "person")],
}


@pytest.mark.parametrize(("change", "expected"), CHANGES.items(), ids=[change.__name__ for change in CHANGES])
def test_every_change_leaves_its_rows(db: Session, change: Change, expected: list[tuple[str, str]]) -> None:
    change(db)
    db.flush()
    rows = db.scalars(select(AuditEntry)).all()
    assert sorted((row.action, row.object_kind) for row in rows) == expected
    assert {row.at for row in rows} == {NOW}
    assert all(row.object_id for row in rows)


@pytest.mark.parametrize("change", CHANGES, ids=[change.__name__ for change in CHANGES])
def test_no_row_holds_a_secret(db: Session, change: Change) -> None:
    change(db)
    db.flush()
    for row in db.scalars(select(AuditEntry)):
        held = orjson.dumps([row.before, row.after]).decode()
        assert not any(word in held for word in (PASSWORD, "argon2", "pb_", "secret", "password"))


def test_a_row_says_who_where_and_what_it_became(db: Session) -> None:
    firm, house, person = an_organisation(db), an_institution(db), a_person(db)
    actions.declare_related(db, organisation_id=firm.id, institution_id=house.id, reason="同一控股", actor_id=person.id, now=NOW)
    (row,) = audit.history_of(db, "institution", house.id)
    assert (row.actor_id, row.institution_id, row.at) == (person.id, house.id, NOW)
    assert (row.before, row.after) == (None, {"organisation_id": firm.id, "reason": "同一控股"})


def test_what_changes_nothing_leaves_no_row(db: Session) -> None:
    firm, house = an_organisation(db).id, an_institution(db).id
    for _ in range(2):
        actions.declare_related(db, organisation_id=firm, institution_id=house, reason="x", actor_id=ACTOR, now=NOW)
    assert len(audit.history_of(db, "institution", house)) == 1


def note(db: Session, object_id: str, minutes: int) -> None:
    audit.record(
        db, actor_id=None, action=f"a{minutes}", object_kind="thing", object_id=object_id, institution_id=None,
        before={"量": minutes}, after=None, now=NOW + timedelta(minutes=minutes),
    )  # fmt: skip


def test_a_history_is_of_one_object_newest_first_and_bounded(db: Session) -> None:
    for minutes in (2, 3, 1):
        note(db, "one", minutes)
    note(db, "two", 9)
    assert [row.action for row in audit.history_of(db, "thing", "one")] == ["a3", "a2", "a1"]
    assert [row.action for row in audit.history_of(db, "thing", "one", limit=2)] == ["a3", "a2"]
    assert audit.history_of(db, "other", "one") == []
    assert [row.action for row in audit.recent(db, limit=2)] == ["a9", "a1"]  # as they were recorded
    assert audit.recent(db)[0].before == {"量": 9}


def test_a_change_taken_back_takes_its_row_with_it(db: Session) -> None:
    with db.begin_nested() as savepoint:
        a_house(db)
        savepoint.rollback()
    assert audit.recent(db) == []


@pytest.mark.parametrize("change", [update(AuditEntry).values(action="other"), delete(AuditEntry)], ids=["update", "delete"])
def test_the_database_itself_keeps_what_was_recorded(db: Session, change: Executable) -> None:
    note(db, "one", 2)
    db.flush()
    with pytest.raises(IntegrityError, match="never change"), db.begin_nested():
        db.execute(change)
    assert [row.action for row in audit.history_of(db, "thing", "one")] == ["a2"]


def test_no_row_is_put_in_the_place_of_another(db: Session, database: str) -> None:
    note(db, "one", 2)
    db.flush()
    anew = "REPLACE INTO audit_entries SELECT * FROM audit_entries" if database == "sqlite" else "TRUNCATE audit_entries"
    with pytest.raises(IntegrityError, match="never change"), db.begin_nested():
        db.execute(text(anew))
