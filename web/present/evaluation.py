"""The evaluator's pages from the evaluation floor: overview, an institution's score sheet, a unit down to its sessions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from booking.lines.queries import parts_of
from devices.discrepancies.queries import known_runs
from devices.evidence import queries as evidence
from devices.evidence import resting
from devices.flags import queries as flags
from devices.segments import State as Telemetry
from evaluation import queries
from evaluation.exports.headings import HEADINGS, formula, heading
from evaluation.overview import queries as overviews
from evaluation.periods import period_slot
from evaluation.schemes import DEFAULT, load_scheme
from evaluation.scoring import Scheme
from evaluation.tables import Revision
from evaluation.trends import HeatCell, Kpi, Standing, Week
from marketplace.catalogue import queries as catalogue
from marketplace.people import queries as people
from marketplace.slot import Slot
from web.i18n import translations
from web.labels import word
from web.present import names
from web.present.bookings import run_row
from web.views.evaluation import (
    Definition,
    DefinitionsView,
    Export,
    HeatRow,
    IndicatorRow,
    InstitutionReportView,
    KpiTile,
    LedgerShare,
    OverviewView,
    RankRow,
    RevisionRow,
    SealedMeter,
    TrendPoint,
    UnitBooking,
    UnitRow,
    UnitView,
)
from web.views.frame import Choice, Lang

MONTHS_BACK = 12
HOURS = range(24)
SORTS = ("util", "hours", "smes", "income", "coverage")
SHOWN = ("avail_h", "eff_h", "ext_h", "util_quota", "util_capacity", "share_ratio", "no_show_rate", "coverage")
"""The figures of a unit's page, in the order of the definitions."""

MOST_SESSIONS = 200
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for."""

    period: str
    district: str = ""
    compare: str = ""
    sort: str = "util"

    def address(self, path: str, **changed: str) -> str:
        given = {"period": self.period, "district": self.district, "compare": self.compare, "sort": self.sort} | changed
        return f"{path}?{urlencode({name: value for name, value in given.items() if value})}"


def this_month(now: datetime) -> str:
    return f"{now.astimezone(load_scheme(DEFAULT).zone):%Y-%m}"


def periods(now: datetime, chosen: str) -> list[Choice]:
    """This month and those before it, this year and the last."""
    local = now.astimezone(load_scheme(DEFAULT).zone)
    months = [local.year * 12 + local.month - 1 - back for back in range(MONTHS_BACK)]
    found = [f"{month // 12:04d}-{month % 12 + 1:02d}" for month in months] + [f"{local.year:04d}", f"{local.year - 1:04d}"]
    return [Choice(name, name, name == chosen) for name in dict.fromkeys([*found, chosen])]


def overview(session: Session, asked: Asked, *, lang: Lang, now: datetime) -> OverviewView:
    """Raises: Invalid."""
    scheme = load_scheme(DEFAULT)
    within = period_slot(scheme, asked.period)
    only = overviews.institutions_in(session, asked.district) if asked.district else None
    seen = Slot(within.start, min(within.end, max(now, within.start + timedelta(hours=1))))
    before = Slot(within.start - seen.duration, within.start) if asked.compare == "before" else None
    found = overviews.overview(session, within=within, now=now, institution_ids=only, compare=before)
    _ = translations(lang).gettext
    rows = [_rank(one, found.names, lang, scheme.params.cov_min) for one in found.standings]
    ranking = sorted(rows, key=lambda row: _order(row, asked.sort))
    published = {row.institution_id: row for row in queries.latest_revisions(session, period=asked.period, scheme=DEFAULT)}
    base = f"/{lang.value}/evaluation"
    return OverviewView(
        within=found.within,
        zone=scheme.zone.key,
        institutions=found.institutions,
        units=found.units,
        periods=periods(now, asked.period),
        districts=[Choice(name, word(_, "district", name), name == asked.district) for name in overviews.districts(session)],
        comparisons=[Choice("before", _("the time before"), asked.compare == "before")],
        kpis=[_tile(kpi) for kpi in found.kpis],
        trend=_trend(found.weeks, found.weeks_before, scheme),
        target=None,
        hours=list(HOURS),
        heat=_heat(found.heatmap),
        ranking=[_placed(row, place, published.get(row.id)) for place, row in enumerate(ranking, 1)],
        sort=asked.sort,
        sort_urls=[Choice(name, asked.address(base, sort=name), name == asked.sort) for name in SORTS],
        exports=[Export(kind, asked.address(f"{base}.{kind}")) for kind in ("csv", "xlsx")],
        questions=flags.count_open(session, None),
        mean_util=_percent(found.kpis[0].value) if found.kpis else None,
        as_of=found.within.end,
    )


def _percent(value: Fraction | None) -> float | None:
    return None if value is None else float(value * 100)


def _tile(kpi: Kpi) -> KpiTile:
    unit, scale = {
        "util_capacity": ("percent", Fraction(100)),
        "coverage": ("percent", Fraction(100)),
        "eff_s": ("h", Fraction(1, 3600)),
        "ext_smes": ("count", Fraction(1)),
        "ext_revenue": ("money", Fraction(1, 100)),
    }[kpi.code]
    change = None
    if kpi.value is not None and kpi.before is not None:
        if unit in {"percent", "count"}:
            change = float((kpi.value - kpi.before) * scale)
        elif kpi.before:
            change = float((kpi.value / kpi.before - 1) * 100)
    series = [None if value is None else float(value * scale) for value in kpi.series]
    return KpiTile(kpi.code, None if kpi.value is None else float(kpi.value * scale), unit, change, series)


def _trend(weeks: Sequence[Week], before: Sequence[Week], scheme: Scheme) -> list[TrendPoint]:
    past = [_percent(week.utilisation) for week in before]
    return [
        TrendPoint(
            week.start.astimezone(scheme.zone).date(), _percent(week.utilisation), past[number] if number < len(past) else None
        )
        for number, week in enumerate(weeks)
    ]


def _heat(cells: Sequence[HeatCell]) -> list[HeatRow]:
    shares = {(cell.weekday, cell.hour): _percent(cell.share) for cell in cells}
    return [HeatRow(day, [shares.get((day, hour)) for hour in HOURS]) for day in range(7)]


def _rank(one: Standing, known: Mapping[str, tuple[str, str | None]], lang: Lang, least: Fraction) -> RankRow:
    name, name_en = known.get(one.institution_id, (one.institution_id, None))
    return RankRow(
        place=0,
        id=one.institution_id,
        name=name_en if lang is Lang.EN and name_en else name,
        units=one.units,
        util=_percent(one.utilisation),
        used_h=one.eff_s / 3600,
        sme_share=_percent(one.sme_share),
        income=one.revenue_minor / 100,
        change=_percent(one.change),
        coverage=_percent(one.coverage),
        thin=one.coverage is not None and one.coverage < least,
    )


def _order(row: RankRow, sort: str) -> tuple[float, str]:
    value = {"hours": row.used_h, "smes": row.sme_share, "income": row.income, "coverage": row.coverage}.get(sort, row.util)
    return (-(value if value is not None else -1.0), row.id)


def _placed(row: RankRow, place: int, published: Revision | None) -> RankRow:
    return RankRow(
        **{name: getattr(row, name) for name in RankRow.__slots__ if name not in {"place", "score", "grade"}},
        place=place,
        score=published.total if published else None,
        grade=published.grade if published else None,
    )


def institution(
    session: Session, institution_id: str, period: str, *, lang: Lang, now: datetime, can_publish: bool
) -> InstitutionReportView:
    """Frozen where a revision is published, else the figures as they stand. Raises: NotFound, Invalid."""
    house = people.get_institution(session, institution_id)
    scheme = load_scheme(DEFAULT)
    within = period_slot(scheme, period)
    revisions = queries.revisions_of(session, institution_id, period=period, scheme=DEFAULT)
    newest = revisions[-1] if revisions else None
    live = queries.institution_metrics(
        session, institution_id, Slot(within.start, max(min(within.end, now), within.start + HOUR))
    )
    frozen = newest.document if newest else None
    figures = frozen["organisations"].get(institution_id, {}) if frozen else live["metrics"]
    by_unit = frozen["units"] if frozen else {unit["resource_id"]: unit["metrics"] for unit in live["units"]}
    known = {row.id: names.name_of(row, lang) for row in catalogue.resources(session, by_unit)}
    base = f"/{lang.value}/evaluation/institutions/{institution_id}"
    exports = [Export(kind, f"{base}.{kind}?period={period}") for kind in ("csv", "xlsx")]
    return InstitutionReportView(
        id=institution_id,
        name=names.name_of(house, lang),
        scheme=f"{scheme.id}-{scheme.version}",
        scheme_title=scheme.title_en if lang is Lang.EN else scheme.title_zh,
        authority=scheme.authority,
        period=period,
        within=within,
        zone=scheme.zone.key,
        total=newest.total if newest else None,
        grade=newest.grade if newest else None,
        published=newest is not None,
        cut_off=newest.cut_off if newest else None,
        inputs_hash=newest.inputs_hash if newest else None,
        indicators=_sheet(scheme, frozen["scores"].get(institution_id, {}), figures, lang) if frozen else [],
        units=[_unit(key, known.get(key, key), found) for key, found in by_unit.items()],
        revisions=[_revision(row, base) for row in reversed(revisions)],
        exports=[*exports, Export("pack", f"{base}/pack?revision={newest.id}")] if newest else exports,
        periods=periods(now, period),
        can_publish=can_publish and within.end <= now,
    )


def _sheet(scheme: Scheme, scores: Mapping[str, Any], figures: Mapping[str, Any], lang: Lang) -> list[IndicatorRow]:
    points, missing = scores.get("indicators", {}), set(scores.get("missing", []))
    found = []
    for one in scheme.indicators:
        got = Fraction(points.get(one.code, "0"))
        found.append(
            IndicatorRow(
                code=one.code,
                name=one.name_en if lang is Lang.EN else one.name_zh,
                weight=f"{float(one.weight):g}",
                points=points.get(one.code, "–"),
                figure=_printed(figures.get(one.metric)) if one.metric in figures else None,
                metric=one.metric if one.metric in HEADINGS else None,
                clause=one.clause,
                level=2 if one.parent else 1,
                share=float(got / one.weight) if one.weight else 0.0,
                manual=one.entered,
                note="missing" if one.code in missing else None,
            )
        )
    return found


def _printed(value: object) -> str:
    return "–" if value is None else str(value)


def _with_unit(code: str, value: object) -> str:
    """The very digits of the exports: hours as they are, a ratio in per cent.

    >>> _with_unit("eff_h", "65.92"), _with_unit("util_quota", "0.3487"), _with_unit("coverage", "1.0000")
    ('65.92 h', '34.87 %', '100.00 %')
    """
    if value is None:
        return "–"
    return f"{value} h" if _unit_of(code) else f"{Decimal(str(value)) * 100:.2f} %"


def _unit(key: str, name: str, figures: Mapping[str, Any]) -> UnitRow:
    def share(code: str) -> float | None:
        return None if figures.get(code) is None else float(figures[code]) * 100

    return UnitRow(
        id=key,
        name=name,
        open_h=_printed(figures.get("open_h")),
        avail_h=_printed(figures.get("avail_h")),
        eff_h=_printed(figures.get("eff_h")),
        ext_h=_printed(figures.get("ext_h")),
        util=share("util_quota"),
        coverage=share("coverage"),
    )


def _revision(row: Revision, base: str) -> RevisionRow:
    return RevisionRow(
        number=row.number,
        created_at=row.created_at,
        total=row.total,
        grade=row.grade,
        cause=row.cause,
        inputs_hash=row.inputs_hash,
        url=f"{base}/pack?revision={row.id}",
        discrepancies=len(row.difference.get("discrepancies", ())),
    )


def unit(session: Session, resource_id: str, period: str, *, lang: Lang, now: datetime) -> UnitView:
    """A unit's figures down to its bookings and sessions, computed from the facts as they are. Raises: NotFound, Invalid."""
    scheme = load_scheme(DEFAULT)
    whole = period_slot(scheme, period)
    within = Slot(whole.start, max(min(whole.end, now), whole.start + HOUR))
    found = queries.unit_detail(session, resource_id, within)
    house = people.get_institution(session, found.institution_id)
    seconds = sum(found.ledger_s.values())
    runs = known_runs(session, resource_id, within)
    place = catalogue.get_resource(session, resource_id)
    parts, newest = parts_of(session, [resource_id])[resource_id], evidence.last_seal(session)
    first, last = resting.utc_days(within)
    return UnitView(
        id=resource_id,
        name=names.name_of(place, lang),
        institution_id=house.id,
        institution=names.name_of(house, lang),
        within=within,
        zone=scheme.zone.key,
        figures=[(code, _with_unit(code, found.figures.get(code))) for code in SHOWN],
        ledger=[
            LedgerShare(state, count, count / seconds if seconds else 0.0) for state, count in found.ledger_s.items() if count
        ],
        hours=list(HOURS),
        heat=[],
        bookings=[UnitBooking(b.booking_id, Slot(b.start, b.end), b.category, b.status, b.eff_s) for b in found.bookings],
        sessions=[run_row(run) for run in runs[:MOST_SESSIONS]],
        live=names.badge(session, place, lang, now=now) if whole.start <= now < whole.end else None,
        sealed=[
            SealedMeter(one.name, one.days, one.messages, one.first_seal, one.last_seal)
            for one in resting.sealed_days(session, parts, within)
        ],
        days=(last - first).days + 1,
        commands=[resting.export_command(resource_id, within), resting.check_command(newest.key if newest else None)],
        gaps=[Slot(s.start, s.end) for s in found.segments if str(s.state).upper().endswith(Telemetry.UNKNOWN.value)],
    )


def definitions(lang: Lang) -> DefinitionsView:
    """Every figure with its formula, and the parameters of the scheme in force."""
    scheme = load_scheme(DEFAULT)
    by_metric = {one.metric: one.clause for one in scheme.indicators if one.clause}
    params = {name: getattr(scheme.params, name) for name in scheme.params.__slots__}
    return DefinitionsView(
        scheme=f"{scheme.id}-{scheme.version}",
        scheme_title=scheme.title_en if lang is Lang.EN else scheme.title_zh,
        definitions=[
            Definition(
                code, metric_name(code, lang), formula(code, english=lang is Lang.EN), by_metric.get(code, ""), _unit_of(code)
            )
            for code in HEADINGS
        ],
        params=[(name, f"{float(value):g}" if isinstance(value, Fraction) else str(value)) for name, value in params.items()],
    )


def metric_name(code: str, lang: Lang) -> str:
    return heading(code) if lang is Lang.ZH else word(str, "metric", code)


def _unit_of(code: str) -> str:
    return "h" if code.endswith("_h") else ""


def file_name(period: str, suffix: str, institution_id: str = "") -> str:
    """Of a download; nothing in it needs escaping.

    >>> file_name("2026-03-01/2026-03-15", "xlsx")
    'pilotbench-2026-03-01_2026-03-15.xlsx'
    """
    return "-".join(["pilotbench", period.replace("/", "_"), *([institution_id] if institution_id else [])]) + f".{suffix}"
