"""The evaluator's pages: overview, an institution's score sheet, a unit down to its sessions, definitions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from marketplace.slot import Slot
from web.views.bookings import SessionRow
from web.views.frame import Badge, Choice


@dataclass(frozen=True, slots=True)
class KpiTile:
    """`code` as evaluation.trends.Kpi has it; `value` as a number of `unit`: percent, h, count or money (major units)."""

    code: str
    value: float | None
    unit: str
    change: float | None
    """Against the comparison: percentage points for percent, else per cent; counts as they are."""
    spark: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """A week's share in per cent; None without data."""

    week: date
    value: float | None
    before: float | None = None


@dataclass(frozen=True, slots=True)
class HeatRow:
    """Shares in per cent for the hours of the heat map, None where never in service."""

    weekday: int
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class RankRow:
    """An institution among others; shares in per cent."""

    place: int
    id: str
    name: str
    units: int
    util: float | None
    used_h: float
    sme_share: float | None
    income: float
    change: float | None
    coverage: float | None
    thin: bool
    """Whether telemetry covers less than the scheme asks for."""
    score: str | None = None
    """Of the published revision, if there is one."""
    grade: str | None = None


@dataclass(frozen=True, slots=True)
class Export:
    """A download: csv, xlsx or pack."""

    kind: str
    url: str


@dataclass(frozen=True, slots=True)
class OverviewView:
    """GET /{lang}/evaluation."""

    within: Slot
    zone: str
    institutions: int
    units: int
    periods: Sequence[Choice]
    districts: Sequence[Choice]
    comparisons: Sequence[Choice]
    kpis: Sequence[KpiTile]
    trend: Sequence[TrendPoint]
    target: float | None
    """Per cent."""
    hours: Sequence[int]
    heat: Sequence[HeatRow]
    ranking: Sequence[RankRow]
    sort: str
    sort_urls: Sequence[Choice]
    """value = column (util, hours, smes, income, coverage), label = its address, chosen = the present one."""
    exports: Sequence[Export]
    questions: int = 0
    """Open ones about meters, of all institutions."""
    mean_util: float | None = None
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class IndicatorRow:
    """A line of the score sheet."""

    code: str
    name: str
    weight: str
    points: str
    figure: str | None
    """The figure behind it as printed; None for a manual one that nobody entered."""
    metric: str | None
    """The definition it links to."""
    clause: str
    level: int
    """1 for a group's sum, 2 for an indicator."""
    share: float
    """points / weight, 0 to 1."""
    manual: bool = False
    note: str | None = None


@dataclass(frozen=True, slots=True)
class UnitRow:
    id: str
    name: str
    open_h: str
    avail_h: str
    eff_h: str
    ext_h: str
    util: float | None
    coverage: float | None


@dataclass(frozen=True, slots=True)
class RevisionRow:
    number: int
    created_at: datetime
    total: str
    grade: str
    cause: str
    inputs_hash: str
    url: str
    discrepancies: int = 0
    """Late readings that it is with."""


@dataclass(frozen=True, slots=True)
class InstitutionReportView:
    """GET /{lang}/evaluation/institutions/{id}."""

    id: str
    name: str
    scheme: str
    scheme_title: str
    authority: str
    period: str
    within: Slot
    zone: str
    total: str | None
    grade: str | None
    published: bool
    """A frozen revision; else the figures as they stand."""
    cut_off: datetime | None
    inputs_hash: str | None
    indicators: Sequence[IndicatorRow]
    units: Sequence[UnitRow]
    revisions: Sequence[RevisionRow]
    exports: Sequence[Export]
    periods: Sequence[Choice]
    can_publish: bool = False
    """An evaluator may enter manual indicators and freeze a revision."""


@dataclass(frozen=True, slots=True)
class LedgerShare:
    """Seconds in a state of the ledger, and their share of the period (0 to 1)."""

    state: str
    seconds: int
    share: float


@dataclass(frozen=True, slots=True)
class UnitBooking:
    id: str
    slot: Slot
    category: str
    status: str
    eff_s: int


@dataclass(frozen=True, slots=True)
class SealedMeter:
    """How many days of a meter's messages are sealed, and under which seals; None without one."""

    name: str
    days: int
    messages: int
    first_seal: int | None
    last_seal: int | None


@dataclass(frozen=True, slots=True)
class UnitView:
    """GET /{lang}/evaluation/units/{id}."""

    id: str
    name: str
    institution_id: str
    institution: str
    within: Slot
    zone: str
    figures: Sequence[tuple[str, str]]
    """(metric code, figure as printed), in the order of the definitions."""
    ledger: Sequence[LedgerShare]
    hours: Sequence[int]
    heat: Sequence[HeatRow]
    bookings: Sequence[UnitBooking]
    sessions: Sequence[SessionRow]
    gaps: Sequence[Slot]
    """Stretches without signal."""
    live: Badge | None = None
    """While the period runs; a past one is told as it was."""
    exports: Sequence[Export] = ()
    sealed: Sequence[SealedMeter] = ()
    days: int = 0
    """Of the period so far, UTC."""
    commands: Sequence[str] = ()
    """What writes the messages of the period with their proofs, and what checks them."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A metric: its formula in words and where it comes from."""

    code: str
    name: str
    formula: str
    source: str
    unit: str


@dataclass(frozen=True, slots=True)
class DefinitionsView:
    """GET /{lang}/definitions. Each metric has an anchor with its code."""

    scheme: str
    scheme_title: str
    definitions: Sequence[Definition]
    params: Sequence[tuple[str, str]]
    """(name, value) of the scheme's parameters."""
