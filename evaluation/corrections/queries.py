"""Reads of discrepancies under published figures: those that wait for a revision, and those that have one."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, select
from sqlalchemy.orm import Session, aliased

from devices.discrepancies import queries as discrepancies
from devices.discrepancies.tables import Discrepancy
from evaluation.corrections.tables import DiscrepancyAnswer
from evaluation.tables import Revision
from marketplace.slot import Slot
from marketplace.tables import Resource


def unanswered(session: Session, revision: Revision, *, until: datetime) -> Sequence[Discrepancy]:
    """Found up to `until`, since the newest revision of an evaluation was frozen, in its period; no revision is with them."""
    within = Slot(revision.period_from, revision.period_to)
    found = discrepancies.standing_found(session, revision.institution_id, within, after=revision.cut_off, until=until)
    done = answered(session, revision, [one.id for one in found])
    return [one for one in found if one.id not in done]


def answered(session: Session, revision: Revision, ids: Collection[str]) -> set[str]:
    """Those that some revision of the same evaluation is with."""
    same = (
        Revision.institution_id == revision.institution_id,
        Revision.period == revision.period,
        Revision.scheme == revision.scheme,
    )
    rows = select(DiscrepancyAnswer.discrepancy_id).join(Revision, Revision.id == DiscrepancyAnswer.revision_id).where(*same)
    return set(session.scalars(rows.where(DiscrepancyAnswer.discrepancy_id.in_(ids))))


def revisions_with_discrepancies(session: Session, *, until: datetime) -> Sequence[Revision]:
    """The newest revision of each evaluation under which something was found up to `until`, since it was frozen."""
    later, answer, same = aliased(Revision), aliased(DiscrepancyAnswer), aliased(Revision)
    of_same = (Revision.institution_id, Revision.period, Revision.scheme)
    newest = ~exists().where(_same(later), later.number > Revision.number)
    known = exists().where(answer.discrepancy_id == Discrepancy.id, answer.revision_id == same.id, _same(same))
    there = and_(
        Discrepancy.resource_id == Resource.id,
        Discrepancy.starts_at < Revision.period_to,
        Discrepancy.ends_at > Revision.period_from,
        Discrepancy.found_at > Revision.cut_off,
        Discrepancy.found_at <= until,
        ~known,
    )
    found = exists().where(Resource.institution_id == Revision.institution_id, there)
    return session.scalars(select(Revision).where(newest, found).order_by(*of_same)).all()


def _same(other: type[Revision]) -> ColumnElement[bool]:
    """Another revision of the same evaluation."""
    house = other.institution_id == Revision.institution_id
    return and_(house, other.period == Revision.period, other.scheme == Revision.scheme)


def answers_to(session: Session, ids: Collection[str]) -> dict[str, list[Revision]]:
    """By discrepancy, the revisions that are with it, oldest first."""
    rows = session.execute(
        select(DiscrepancyAnswer.discrepancy_id, Revision)
        .join(Revision, Revision.id == DiscrepancyAnswer.revision_id)
        .where(DiscrepancyAnswer.discrepancy_id.in_(ids))
        .order_by(Revision.created_at, Revision.id)
    )
    found: dict[str, list[Revision]] = {}
    for discrepancy_id, revision in rows:
        found.setdefault(discrepancy_id, []).append(revision)
    return found
