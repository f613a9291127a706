"""Figures to points, points to a grade. Which indicators, weights, grades and gates is data of a scheme version."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from evaluation.facts import Parameters
from marketplace.money import round_half_away


class Function(StrEnum):
    LINEAR = "linear"
    BANDS = "bands"
    PER_STEP = "per_step"
    COUNT_POINTS = "count_points"
    CHECKLIST = "checklist"
    MANUAL = "manual"


class PeriodRule(StrEnum):
    """What a year is: calendar (national), academic (1 September to 31 August)."""

    CALENDAR = "calendar"
    ACADEMIC = "academic"


@dataclass(frozen=True, slots=True)
class Indicator:
    """`metric` names the figure that the function takes; a manual one takes what a person entered under its own code."""

    code: str
    parent: str
    name_zh: str
    name_en: str
    weight: Fraction
    function: Function
    metric: str
    args: Mapping[str, Any]
    clause: str = ""
    evidence_required: Sequence[str] = ()
    annual: bool = False
    """Whether the targets of a linear indicator are for a whole year."""

    @property
    def entered(self) -> bool:
        """Whether a person enters the value."""
        return self.function in (Function.MANUAL, Function.CHECKLIST)


@dataclass(frozen=True, slots=True)
class Grade:
    name: str
    at_least: Fraction


@dataclass(frozen=True, slots=True)
class Gate:
    """When `metric` is below, or equal to, a value the grade is at most `at_most`, whatever the points."""

    code: str
    metric: str
    at_most: str
    below: Fraction | None
    equals: Fraction | None

    def holds(self, values: Mapping[str, Fraction | None]) -> bool:
        value = values.get(self.metric)
        if value is None:
            return False
        return value == self.equals if self.below is None else value < self.below


@dataclass(frozen=True, slots=True)
class Scheme:
    """One version of an assessment; never changed once published."""

    id: str
    version: str
    title_zh: str
    title_en: str
    authority: str
    legal_ref: str
    valid_from: date
    zone: ZoneInfo
    period_rule: PeriodRule
    params: Parameters
    purposes_excluded: frozenset[str]
    indicators: Sequence[Indicator]
    grades: Sequence[Grade]
    gates: Sequence[Gate]
    tie_break: Sequence[str]
    source: str = field(default="", repr=False)
    """The text it was read from, for packs and hashes."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Points of one organisation. `exact` is unrounded; the grade follows the rounded total."""

    points: Mapping[str, Fraction]
    missing: Sequence[str]
    exact: Fraction
    total: Fraction
    grade: str
    gates: Sequence[str]
    tie: Sequence[Fraction]

    def group(self, prefix: str) -> Fraction:
        """The points of one first-level indicator, unrounded."""
        return sum((points for code, points in self.points.items() if code.startswith(prefix)), Fraction())


def score(scheme: Scheme, values: Mapping[str, Fraction | None]) -> Scores:
    """Points, total, gates and grade. An indicator without a value earns nothing and is named in `missing`."""
    points: dict[str, Fraction] = {}
    missing: list[str] = []
    for indicator in scheme.indicators:
        earned = points_of(_for_share(indicator, scheme.params.year_share), values)
        if earned is None:
            missing.append(indicator.code)
        points[indicator.code] = earned or Fraction()
    exact = sum(points.values(), Fraction())
    total = Fraction(round_half_away(exact * 100), 100)
    gates = [gate for gate in scheme.gates if gate.holds(values)]
    grade = _grade(scheme.grades, total, gates)
    groups: dict[str, Fraction] = {}
    for indicator in scheme.indicators:
        groups[indicator.parent] = groups.get(indicator.parent, Fraction()) + points[indicator.code]
    tie = [groups.get(name, values.get(name) or Fraction()) for name in scheme.tie_break]
    return Scores(points, missing, exact, total, grade, [gate.code for gate in gates], tie)


def ranked(scores: Mapping[str, Scores]) -> list[str]:
    """Best first: by rounded total, then by the scheme's tie-break, then by name so that the order never wavers."""
    return sorted(scores, key=lambda name: (-scores[name].total, [-value for value in scores[name].tie], name))


def _grade(grades: Sequence[Grade], total: Fraction, gates: Iterable[Gate]) -> str:
    """`grades` best first; the last one takes everything."""
    names = [grade.name for grade in grades]
    reached = next((i for i, grade in enumerate(grades) if total >= grade.at_least), len(grades) - 1)
    return names[max([reached, *(names.index(gate.at_most) for gate in gates)])]


def _for_share(indicator: Indicator, share: Fraction) -> Indicator:
    if not indicator.annual or share == 1:
        return indicator
    return replace(indicator, args={name: Fraction(value) * share for name, value in indicator.args.items()})


def points_of(indicator: Indicator, values: Mapping[str, Fraction | None]) -> Fraction | None:
    """Exact points in [0, weight], or None where the value is not there."""
    if indicator.function is Function.COUNT_POINTS:
        return _count_points(indicator, values)
    value = values.get(indicator.metric)
    return None if value is None else FUNCTIONS[indicator.function](value, indicator.weight, indicator.args)


def linear(value: Fraction, weight: Fraction, args: Mapping[str, Any]) -> Fraction:
    """From 0 points at `lo` to the weight at `hi`; `hi` below `lo` where less is better.

    >>> linear(Fraction(12, 100), Fraction(5), {"lo": Fraction(3, 10), "hi": Fraction(0)})
    Fraction(3, 1)
    """
    lo, hi = Fraction(args["lo"]), Fraction(args["hi"])
    return weight * min(Fraction(1), max(Fraction(), (value - lo) / (hi - lo)))


def bands(value: Fraction, weight: Fraction, args: Mapping[str, Any]) -> Fraction:
    """The points of the first band whose bound is reached, bands from high to low; else 0."""
    return next((Fraction(points) for bound, points in args["bands"] if value >= bound), Fraction())


def per_step(value: Fraction, weight: Fraction, args: Mapping[str, Any]) -> Fraction:
    """`points` for every whole `step`, up to the weight."""
    return min(weight, Fraction(value // Fraction(args["step"])) * Fraction(args["points"]))


def checklist(value: Fraction, weight: Fraction, args: Mapping[str, Any]) -> Fraction:
    """The share of `items` that are met, times the weight."""
    return weight * min(Fraction(1), max(Fraction(), value / Fraction(args["items"])))


def manual(value: Fraction, weight: Fraction, args: Mapping[str, Any]) -> Fraction:
    """What a person gave, between 0 and the weight."""
    return min(weight, max(Fraction(), value))


def _count_points(indicator: Indicator, values: Mapping[str, Fraction | None]) -> Fraction | None:
    """Points per piece of several figures out of `cap` (100), scaled to the weight; None where all figures are missing."""
    cap = indicator.args.get("cap", Fraction(100))
    earned = [number * points for metric, points in indicator.args["counts"] if (number := values.get(metric)) is not None]
    return indicator.weight * min(cap, sum(earned, Fraction())) / cap if earned else None


FUNCTIONS: Mapping[Function, Callable[[Fraction, Fraction, Mapping[str, Any]], Fraction]] = {
    Function.LINEAR: linear,
    Function.BANDS: bands,
    Function.PER_STEP: per_step,
    Function.CHECKLIST: checklist,
    Function.MANUAL: manual,
}
