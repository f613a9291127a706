"""Reads what the overview shows, computed from the facts of the window."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from evaluation.assess import Evaluation, evaluate
from evaluation.periods import as_span
from evaluation.schemes import DEFAULT, load_scheme
from evaluation.scoring import Scheme
from evaluation.sources.queries import facts_of
from evaluation.trends import HeatCell, Kpi, Standing, Week, heatmap, kpis, standings, weeks
from marketplace.refusals import Invalid
from marketplace.slot import Slot
from marketplace.tables import Institution

MAX_WINDOW_DAYS = 400


@dataclass(frozen=True, slots=True)
class Overview:
    """`within` is what was asked for, up to now. Names are by institution id."""

    within: Slot
    institutions: int
    units: int
    kpis: Sequence[Kpi]
    weeks: Sequence[Week]
    weeks_before: Sequence[Week]
    heatmap: Sequence[HeatCell]
    standings: Sequence[Standing]
    names: dict[str, tuple[str, str | None]]


def overview(
    session: Session,
    *,
    within: Slot,
    now: datetime,
    scheme: str = DEFAULT,
    institution_ids: Collection[str] | None = None,
    compare: Slot | None = None,
) -> Overview:
    """Figures of `within` beside those of `compare` (last year's same weeks, say). Raises: Invalid."""
    if within.start >= now or within.duration.days > MAX_WINDOW_DAYS:
        raise Invalid(field="within", reason="more than {max_days} days, or not over yet", max_days=MAX_WINDOW_DAYS)
    seen = Slot(within.start, min(within.end, now))
    applied = load_scheme(scheme)
    found = _evaluated(session, applied, seen, institution_ids)
    before = _evaluated(session, applied, compare, institution_ids) if compare else None
    by_week = weeks(found, as_span(seen), applied.zone)
    return Overview(
        within=seen,
        institutions=len(found.organisations),
        units=len(found.units),
        kpis=kpis(found, before, by_week),
        weeks=by_week,
        weeks_before=weeks(before, as_span(compare), applied.zone) if before and compare else [],
        heatmap=heatmap(found, applied.zone),
        standings=standings(found, before),
        names=_names(session, found.organisations),
    )


def _evaluated(session: Session, scheme: Scheme, within: Slot, institution_ids: Collection[str] | None) -> Evaluation:
    return evaluate(facts_of(session, scheme, within=within, institution_ids=institution_ids), scheme)


def _names(session: Session, institution_ids: Collection[str]) -> dict[str, tuple[str, str | None]]:
    rows = session.scalars(select(Institution).where(Institution.id.in_(institution_ids)))
    return {row.id: (row.name, row.name_en) for row in rows}


def institutions_in(session: Session, district: str) -> list[str]:
    """Ids of the institutions of a district, for the overview's filter."""
    return list(session.scalars(select(Institution.id).where(Institution.district == district).order_by(Institution.id)))


def districts(session: Session) -> list[str]:
    """Every district that has an institution."""
    rows = session.scalars(select(Institution.district).where(Institution.district.is_not(None)).distinct())
    return sorted(name for name in rows if name)
