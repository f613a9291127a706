"""Late messages under a published figure: it stays as it was published, and a further revision names what was found."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from devices import actions as devices
from devices.discrepancies import invariants as sealed
from devices.discrepancies import queries as discrepancies
from devices.registry.actions import set_thresholds
from evaluation import actions, queries
from evaluation.corrections import invariants
from evaluation.corrections.tables import DiscrepancyAnswer
from evaluation.packs import verify
from evaluation.tables import PublishedFigure, Revision
from marketplace.tables import Institution
from tests.builders import a_resource
from tests.devices.test_actions import DAY, a_device, minute
from tests.devices.test_discrepancies import EVER, Line, a_line

PERIOD = "2026-03"
CLOSED = datetime(2026, 4, 8, tzinfo=UTC)
LATE = (CLOSED - DAY) // timedelta(minutes=1) + 600


def a_month(db: Session) -> Line:
    """One unit in March: booked and run from minute 65 to 90, silent to 150; run without a booking from 300 to 330."""
    line = a_line(db)
    set_thresholds(db, device_id=line.device_id, profile={"backfill": 40 * 86400}, actor_id="x", now=DAY + timedelta(seconds=2))
    line.hear(0, 65, 8)
    line.hear(65, 91, 350)
    line.hear(150, 300, 8)
    line.hear(300, 331, 350)
    line.hear(331, 340, 8)
    line.hear(400, 420, 8)
    devices.confirm_uses(db, now=minute(420))
    return line


def published(line: Line) -> Revision:
    return actions.publish(line.db, institution_id=line.booking.institution_id, period=PERIOD, actor_id=None, now=CLOSED)


def figure(revision: Revision, unit: str, code: str) -> object:
    return revision.document["units"][unit][code]


def revisions(line: Line) -> list[Revision]:
    return list(queries.revisions_of(line.db, line.booking.institution_id, period=PERIOD, scheme="WPC-OPEN-2026.1"))


def test_a_station_that_came_later_is_sealed_with_the_revision_that_rests_on_it(db: Session) -> None:
    line = a_month(db)
    first = published(line)
    station = a_resource(db, institution=db.get_one(Institution, line.booking.institution_id), parent_id=line.booking.resource_id)
    meter, known = a_device(db, station)
    Line(db, line.booking, known.key, meter.id).hear(100, 140, 350)
    second = published(line)
    assert (first.number, second.number) == (1, 2)
    assert discrepancies.sealed_for(db, [first.id]) == {line.booking.resource_id}
    assert discrepancies.sealed_for(db, [second.id]) == {line.booking.resource_id, station.id}


def faults(db: Session) -> list[str]:
    return [*sealed.violations(db), *invariants.violations(db)]


def test_a_published_period_stays_and_a_further_revision_names_what_came_late(db: Session, tmp_path: Path) -> None:
    line = a_month(db)
    first = published(line)
    unit = line.booking.resource_id
    before = line.rows(EVER)
    line.hear(91, 150, 350, at=LATE)
    assert line.rows(EVER) == before
    [found] = line.records()
    assert found.rests_on == [{"cause": "evaluation", "id": first.id}]
    actions.write_revision_pack(db, revision_id=first.id, directory=tmp_path / "first")
    assert verify(tmp_path / "first") == []
    assert actions.answer_discrepancies(db, now=minute(LATE + 30)) == []
    [second_id] = actions.answer_discrepancies(db, now=minute(LATE + 62))
    assert actions.answer_discrepancies(db, now=minute(LATE + 63)) == []
    one, two = revisions(line)
    assert (one.id, two.id, two.cause) == (first.id, second_id, "late_data")
    assert two.difference["discrepancies"] == [found.id]
    assert (figure(one, unit, "eff_h"), figure(two, unit, "eff_h")) == ("1.02", "2.52")
    assert {change["code"] for change in two.difference["changes"]} >= {"eff_h", "coverage"}
    actions.write_revision_pack(db, revision_id=two.id, directory=tmp_path / "second")
    assert verify(tmp_path / "second") == []
    assert faults(db) == []


def test_use_that_nobody_had_booked_is_sealed_too(db: Session) -> None:
    line = a_month(db)
    published(line)
    line.hear(340, 400, 350, at=LATE)
    [found] = line.records()
    assert (found.starts_at, found.ends_at, found.would_be_s - found.was_s) == (minute(339), minute(400), 3600)
    second = actions.recompute(
        db, institution_id=line.booking.institution_id, period=PERIOD, cause="asked", actor_id=None, now=minute(LATE + 1)
    )
    assert second.difference["discrepancies"] == [found.id]
    assert figure(second, line.booking.resource_id, "unbooked_h") == "1.67"
    assert actions.answer_discrepancies(db, now=minute(LATE + 90)) == []


def test_what_changes_no_figure_is_answered_by_the_revision_that_stays(db: Session) -> None:
    line = a_month(db)
    first = published(line)
    line.hear(331, 332, 8, at=LATE)
    line.hear(420, 430, 8, at=LATE + 1)
    line.hear(91, 92, 2, at=LATE + 2)
    found = line.records()
    assert found
    actions.answer_discrepancies(db, now=minute(LATE + 90))
    answered = db.scalars(select(DiscrepancyAnswer)).all()
    assert {row.discrepancy_id for row in answered} == {found[-1].id}
    assert first.id == revisions(line)[0].id
    assert faults(db) == []


def test_a_discrepancy_that_no_revision_is_with_is_seen(db: Session) -> None:
    line = a_month(db)
    published(line)
    line.hear(91, 120, 350, at=LATE)
    line.hear(340, 400, 350, at=LATE + 1)
    assert faults(db) == []
    day = 24 * 60
    line.hear(2 * day, 2 * day + 10, 8, at=LATE + 3000)
    assert len(discrepancies.standing(db, [line.booking.resource_id], EVER)) == 2
    [said] = faults(db)
    assert said.startswith("a_discrepancy_under_a_published_figure_is_answered")
    actions.answer_discrepancies(db, now=minute(LATE + 3090))
    assert faults(db) == []


def test_published_rows_and_answers_never_change(db: Session) -> None:
    line = a_month(db)
    revision = published(line)
    assert db.scalars(select(PublishedFigure).where(PublishedFigure.revision_id == revision.id)).all()
    line.hear(91, 150, 350, at=LATE)
    actions.answer_discrepancies(db, now=minute(LATE + 90))
    assert len(db.scalars(select(DiscrepancyAnswer)).all()) == 1
    with pytest.raises(DatabaseError, match="never change"), db.begin_nested():
        db.execute(delete(DiscrepancyAnswer))
