"""Revisions: frozen, numbered, hashed, with what changed; entered values; packs from the database."""

from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from devices.segments import State
from evaluation import actions, queries
from evaluation.packs import evaluate_pack, verify
from evaluation.schemes import DEFAULT
from evaluation.tables import PublishedFigure, PublishedScore
from marketplace.refusals import Invalid, NotFound, WrongState
from marketplace.tables import Resource
from tests.builders import a_person, an_institution
from tests.evaluation.test_queries import a_line, booked, seen

NOW = datetime(2026, 4, 20, tzinfo=UTC)


def a_month(db: Session) -> str:
    """An institution with one unit and one external job in March 2026; returns its id."""
    house = an_institution(db)
    line = a_line(db, institution=house)
    booked(db, line, "09:00", 2)
    seen(db, line, (State.RUN, "09:00", "11:00"))
    return house.id


def test_a_closed_period_is_frozen_once(db: Session) -> None:
    house = a_month(db)
    made = actions.publish_due(db, now=NOW)
    assert actions.publish_due(db, now=NOW) == []
    rows = {row.period: row for row in (queries.get_revision(db, key) for key in made)}
    assert set(rows) == {"2025", "2026-03"}
    assert (rows["2026-03"].number, rows["2026-03"].institution_id, rows["2026-03"].cause) == (1, house, "period_closed")
    figures = db.scalars(select(PublishedFigure).where(PublishedFigure.revision_id == rows["2026-03"].id)).all()
    assert {row.value for row in figures if row.code == "eff_h"} == {"2.00"}
    assert len(db.scalars(select(PublishedScore).where(PublishedScore.revision_id == rows["2026-03"].id)).all()) == 15


def test_a_recomputation_without_change_makes_no_revision_and_with_one_names_it(db: Session) -> None:
    house = a_month(db)
    first = actions.publish(db, institution_id=house, period="2026-03", actor_id=None, now=NOW)
    again = actions.recompute(db, institution_id=house, period="2026-03", cause="late_data", actor_id=None, now=NOW)
    assert again.id == first.id
    person = a_person(db)
    actions.enter_manual(
        db, institution_id=house, period="2026-03", indicator="A1", value=Fraction(5), note="rules in force", evidence="file-7",
        actor_id=person.id, now=NOW,
    )  # fmt: skip
    second = actions.recompute(db, institution_id=house, period="2026-03", cause="manual_value", actor_id=person.id, now=NOW)
    assert (second.number, second.cause) == (2, "manual_value")
    changes = {(c["code"], c["before"], c["after"]) for c in second.difference["changes"]}
    assert ("A1", "0.00", "5.00") in changes
    assert second.inputs_hash != first.inputs_hash
    assert [row.number for row in queries.revisions_of(db, house, period="2026-03", scheme=DEFAULT)] == [1, 2]


def test_what_is_published_cannot_be_changed(db: Session) -> None:
    revision = actions.publish(db, institution_id=a_month(db), period="2026-03", actor_id=None, now=NOW)
    revision.total = "100.00"
    with pytest.raises(DatabaseError, match="evaluation_revisions_frozen"):
        db.flush()


def test_only_periods_that_are_over_are_frozen(db: Session) -> None:
    house = a_month(db)
    with pytest.raises(Invalid):
        actions.publish(db, institution_id=house, period="2026", actor_id=None, now=NOW)
    with pytest.raises(Invalid):
        actions.publish(db, institution_id=house, period="March", actor_id=None, now=NOW)
    with pytest.raises(WrongState):
        actions.recompute(db, institution_id=house, period="2026-03", cause="late_data", actor_id=None, now=NOW)


def test_an_institution_without_units_has_nothing_to_publish(db: Session) -> None:
    with pytest.raises(actions.NoUnits):
        actions.publish(db, institution_id=an_institution(db).id, period="2026-03", actor_id=None, now=NOW)


@pytest.mark.parametrize(
    ("indicator", "value", "evidence"),
    [("B1", "5", "file"), ("A1", "7", "file"), ("A1", "-1", "file"), ("A1", "5", " "), ("A9", "1", "file")],
)
def test_entered_values_are_checked(db: Session, indicator: str, value: str, evidence: str) -> None:
    with pytest.raises(Invalid):
        actions.enter_manual(
            db, institution_id=an_institution(db).id, period="2026-03", indicator=indicator, value=Fraction(value), note="",
            evidence=evidence, actor_id=a_person(db).id, now=NOW,
        )  # fmt: skip


def test_published_institutions_are_ranked(db: Session) -> None:
    busy = a_month(db)
    idle = an_institution(db)
    a_line(db, institution=idle, listed_on=date(2025, 6, 1))
    for house in (idle.id, busy):
        actions.publish(db, institution_id=house, period="2026-03", actor_id=None, now=NOW)
    found = queries.evaluation(db, "2026-03")
    assert [(item["institution_id"], item["place"]) for item in found["items"]] == [(busy, 1), (idle.id, 2)]
    assert found["items"][0]["metrics"]["eff_h"] == "2.00"
    assert found["items"][1]["gates"] == ["no_external_use", "low_coverage"]


def test_a_pack_of_the_database_verifies_and_gives_the_published_figures(db: Session, tmp_path: Path) -> None:
    house = a_month(db)
    revision = actions.publish(db, institution_id=house, period="2026-03", actor_id=None, now=NOW)
    actions.write_pack(db, period="2026-03", directory=tmp_path, now=NOW, institution_ids=[house])
    assert verify(tmp_path) == []
    found = evaluate_pack(tmp_path)
    assert found["scores"][house]["total"] == revision.total
    assert found["units"] == revision.document["units"]


def test_a_revisions_pack_holds_the_facts_it_was_made_of_even_after_they_changed(db: Session, tmp_path: Path) -> None:
    house = a_month(db)
    first = actions.publish(db, institution_id=house, period="2026-03", actor_id=None, now=NOW)
    booked(db, db.scalars(select(Resource).where(Resource.institution_id == house)).one(), "14:00", 1)
    second = actions.recompute(db, institution_id=house, period="2026-03", cause="late_data", actor_id=None, now=NOW)
    for revision, bookings in ((first, 1), (second, 2)):
        folder = tmp_path / revision.id
        actions.write_revision_pack(db, revision_id=revision.id, directory=folder)
        assert verify(folder) == []
        found = evaluate_pack(folder)
        assert (len(found["bookings"]), found["scores"][house]["total"]) == (bookings, revision.total)
    with pytest.raises(NotFound):
        actions.write_revision_pack(db, revision_id="rev_none", directory=tmp_path / "none")
