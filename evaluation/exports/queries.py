"""Reads what an export contains: a window as it stands now, or the newest published revisions of a period."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from evaluation import queries
from evaluation.actions import code_version, inputs_hash
from evaluation.assess import Evaluation, UnitResult, evaluate
from evaluation.document import scores_document, texts
from evaluation.exports.report import BookingRow, InstitutionRow, Report, UnitRow
from evaluation.facts import Facts
from evaluation.figures import figures
from evaluation.metrics import combined
from evaluation.packs.writing import fact_rows
from evaluation.periods import for_period
from evaluation.schemes import DEFAULT, load_scheme
from evaluation.scoring import Scheme
from evaluation.sources.queries import facts_of
from evaluation.tables import Revision
from marketplace.refusals import NotFound
from marketplace.slot import Slot
from marketplace.tables import Institution, Resource


def report_of_window(
    session: Session, *, within: Slot, now: datetime, scheme: str = DEFAULT, institution_ids: Collection[str] | None = None
) -> Report:
    """Everything of `within` up to now, computed from the facts, bookings included."""
    seen = Slot(within.start, min(within.end, now))
    applied = for_period(load_scheme(scheme), seen)
    facts = facts_of(session, applied, within=seen, institution_ids=institution_ids)
    found = evaluate(facts, applied)
    names = _names(session, found.organisations)
    return Report(
        within=seen,
        scheme=applied,
        cut_off=now,
        code_version=code_version(),
        inputs_hash=inputs_hash(fact_rows(facts, applied.zone, {}), applied),
        coverage=_coverage(found, applied),
        institutions=[
            _institution(key, names[key], texts(one.figures), scores_document(one.scores))
            for key, one in found.organisations.items()
        ],
        units=[UnitRow(key, u.facts.unit.name, u.facts.unit.owner_org, texts(u.figures)) for key, u in found.units.items()],
        bookings=[row for unit in found.units.values() for row in _bookings(unit, facts)],
    )


def report_of_period(session: Session, *, period: str, scheme: str = DEFAULT) -> Report:
    """The newest published revisions of a period, best first, without bookings. Raises: NotFound."""
    ranked = queries.ranking(session, period=period, scheme=scheme)
    if not ranked:
        raise NotFound(kind="evaluation")
    applied = load_scheme(scheme)
    revisions = [one.revision for one in ranked]
    resources = {row.id: row.name for row in session.scalars(select(Resource).where(Resource.id.in_(_unit_ids(revisions))))}
    return Report(
        within=Slot(revisions[0].period_from, revisions[0].period_to),
        scheme=applied,
        cut_off=max(row.cut_off for row in revisions),
        code_version=revisions[0].code_version,
        inputs_hash=sha256("".join(sorted(row.inputs_hash for row in revisions)).encode()).hexdigest(),
        coverage=None,
        institutions=[_published(one.institution, one.revision) for one in ranked],
        units=[
            UnitRow(key, resources.get(key, key), row.institution_id, metrics)
            for row in revisions
            for key, metrics in row.document["units"].items()
        ],
        bookings=(),
    )


def _unit_ids(revisions: Iterable[Revision]) -> list[str]:
    return [key for row in revisions for key in row.document["units"]]


def _names(session: Session, ids: Collection[str]) -> dict[str, str]:
    return {row.id: row.name for row in session.scalars(select(Institution).where(Institution.id.in_(ids)))}


def _coverage(found: Evaluation, scheme: Scheme) -> str | None:
    value = figures(combined(unit.tally for unit in found.units.values()), scheme.params)["coverage"].text
    return None if value is None else str(value)


def _institution(key: str, name: str, metrics: Mapping[str, Any], scores: Mapping[str, Any]) -> InstitutionRow:
    return InstitutionRow(key, name, metrics, scores["indicators"], scores["total"], scores["grade"], scores["gates"])


def _published(name: str, row: Revision) -> InstitutionRow:
    key = row.institution_id
    return _institution(key, name, row.document["organisations"][key], row.document["scores"][key])


def _bookings(unit: UnitResult, facts: Facts) -> Iterable[BookingRow]:
    for booking, category, result in zip(unit.facts.bookings, unit.states.category, unit.states.results, strict=True):
        if booking.start < facts.period[1] and booking.end > facts.period[0]:
            start, end = (datetime.fromtimestamp(at, UTC) for at in booking.span)
            yield BookingRow(booking.id, unit.facts.unit.id, start, end, category.value, result.status.value, result.eff_s)
