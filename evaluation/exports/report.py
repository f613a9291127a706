"""What an export contains, as values; for the public, cells that rest on fewer than three organisations are suppressed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from evaluation.scoring import Scheme
from marketplace.slot import Slot

SMALLEST = 3
"""Organisations a public cell must rest on, so that nobody learns which firm used which line."""

HIDDEN = "<3"
ABOUT_FIRMS = frozenset(
    {"ext_users", "ext_orgs", "ext_smes", "ext_smes_per_unit", "ext_revenue", "no_show_fees", "related_fees", "satisfaction",
     "ratings", "response_rate", "lead_time", "lead_time_p90", "lead_time_mean", "ext_h", "ext_h_per_unit", "share_ratio"}
)  # fmt: skip
"""Figures that tell of single users where there are few."""

FIRM_METRICS = frozenset({"ext_h_per_unit", "share_ratio", "ext_smes_per_unit", "satisfaction"})
"""Figures whose points would give the figure away."""

Cell = str | int | None
Metrics = Mapping[str, Cell]


@dataclass(frozen=True, slots=True)
class InstitutionRow:
    id: str
    name: str
    metrics: Metrics
    points: Mapping[str, str]
    total: str
    grade: str
    gates: Sequence[str]


@dataclass(frozen=True, slots=True)
class UnitRow:
    id: str
    name: str
    institution_id: str
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class BookingRow:
    """A booking by id only: who booked is looked up by those who may."""

    id: str
    unit_id: str
    start: datetime
    end: datetime
    category: str
    status: str
    eff_s: int


@dataclass(frozen=True, slots=True)
class Report:
    """`coverage` is that of all units together; `inputs_hash` the facts and scheme the figures rest on."""

    within: Slot
    scheme: Scheme
    cut_off: datetime
    code_version: str
    inputs_hash: str
    coverage: str | None
    institutions: Sequence[InstitutionRow]
    units: Sequence[UnitRow]
    bookings: Sequence[BookingRow]


def for_public(report: Report) -> Report:
    """Without bookings, and without what fewer than three organisations stand behind."""
    hidden = frozenset(indicator.code for indicator in report.scheme.indicators if indicator.metric in FIRM_METRICS)
    return replace(
        report,
        institutions=[_institution(row, hidden) for row in report.institutions],
        units=[replace(row, metrics=suppressed(row.metrics)) for row in report.units],
        bookings=(),
    )


def _institution(row: InstitutionRow, hidden: frozenset[str]) -> InstitutionRow:
    if not is_small(row.metrics):
        return row
    points = {code: HIDDEN if code in hidden else value for code, value in row.points.items()}
    return replace(row, metrics=suppressed(row.metrics), points=points)


def is_small(metrics: Metrics) -> bool:
    """Whether one or two external organisations stand behind the figures."""
    return 0 < int(metrics.get("ext_orgs") or 0) < SMALLEST


def suppressed(metrics: Metrics) -> Metrics:
    """The same with `<3` where single users could be told."""
    if not is_small(metrics):
        return metrics
    return {code: HIDDEN if code in ABOUT_FIRMS and value is not None else value for code, value in metrics.items()}
