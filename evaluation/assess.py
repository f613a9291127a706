"""Facts and a scheme to an evaluation: every unit's ledger and sums, every organisation's figures and grade."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from zoneinfo import ZoneInfo

from evaluation.facts import Facts, Parameters, Status, UnitFacts
from evaluation.figures import HOUR_S, Figure, Kind, figures, ratio
from evaluation.metrics import Tally, combined, counting, tally
from evaluation.requests import served_instants
from evaluation.scoring import Scheme, Scores, score
from evaluation.states import State, UnitStates, states_of

ENTERED_FIGURES = frozenset({"open_rate", "staff_fte_per_unit"})
"""Figures a person may enter directly: what the facts of a pack cannot say, or only in part."""

ENTERED_INPUTS = frozenset({"staff_fte", "units_open", "units_should_open", "falsification", "serious_accident"})
"""Numbers a person may enter that are no points of an indicator."""


@dataclass(frozen=True, slots=True)
class UnitResult:
    facts: UnitFacts
    states: UnitStates
    tally: Tally
    figures: Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class OrganisationResult:
    tally: Tally
    figures: Mapping[str, Figure]
    scores: Scores


@dataclass(frozen=True, slots=True)
class Evaluation:
    units: Mapping[str, UnitResult]
    organisations: Mapping[str, OrganisationResult]


def evaluate(facts: Facts, scheme: Scheme) -> Evaluation:
    """The whole computation; pure, and the same for a pack and for the database."""
    params = scheme.params
    counted = counting(scheme.purposes_excluded)
    states = {one.unit.id: states_of(one, facts.period, params, counted) for one in facts.units}
    served = served_instants(
        (booking.user_org, booking.start)
        for one in facts.units
        for booking, result in zip(one.bookings, states[one.unit.id].results, strict=True)
        if booking.user_org and result.status is Status.FULFILLED
    )
    units: dict[str, UnitResult] = {}
    by_owner: dict[str, list[Tally]] = defaultdict(list)
    for one in facts.units:
        sums = tally(one, states[one.unit.id], facts.period, params, served)
        units[one.unit.id] = UnitResult(one, states[one.unit.id], sums, figures(sums, params))
        by_owner[one.unit.owner_org].append(sums)
    organisations = {owner: organisation(tallies, facts.manual.get(owner, {}), scheme) for owner, tallies in by_owner.items()}
    return Evaluation(units, organisations)


def organisation(tallies: Sequence[Tally], entered: Mapping[str, Fraction], scheme: Scheme) -> OrganisationResult:
    """Sums of its units, ratios of these sums, averages per unit in service, and the grade."""
    sums = combined(tallies)
    found = {**figures(sums, scheme.params), **per_unit(sums, entered, scheme.params)}
    values = {code: _value(figure) for code, figure in found.items()}
    values |= {name: value for name, value in entered.items() if name not in found}
    for indicator in scheme.indicators:
        if indicator.code in entered and not indicator.entered:
            found[indicator.metric] = Figure(Kind.RATIO, entered[indicator.code])
            values[indicator.metric] = entered[indicator.code]
    return OrganisationResult(sums, found, score(scheme, values))


def _value(figure: Figure) -> Fraction | None:
    return figure.value / HOUR_S if figure.kind is Kind.HOURS and figure.value is not None else figure.value


def per_unit(sums: Tally, entered: Mapping[str, Fraction], params: Parameters) -> dict[str, Figure]:
    """Averages over N_w, the units weighted by their time in service; staff over the head count of units."""
    staff, opened = entered.get("staff_fte"), entered.get("units_open", Fraction(sums.open_units))
    per_head = ratio(staff, sums.units) if staff is not None else None
    return {
        "ext_h_per_unit": Figure(Kind.HOURS, ratio(sums.ledger.get(State.PRD_EXT, 0), sums.in_service)),
        "eff_h_per_unit": Figure(Kind.HOURS, ratio(sums.eff_s, sums.in_service)),
        "ext_smes_per_unit": Figure(Kind.NUMBER, ratio(len(sums.ext_smes), sums.in_service)),
        "staff_fte_per_unit": Figure(Kind.RATIO, entered.get("staff_fte_per_unit", per_head)),
        "open_rate": Figure(
            Kind.RATIO, entered.get("open_rate", ratio(opened, entered.get("units_should_open", Fraction(sums.units))))
        ),
    }


def may_be_entered(name: str, scheme: Scheme) -> bool:
    """Whether a person may give a value for `name`: a manual indicator, or what no fact can tell."""
    if name in ENTERED_FIGURES | ENTERED_INPUTS:
        return True
    counts = {metric for one in scheme.indicators for metric, _ in one.args.get("counts", ())}
    return name in counts or any(one.code == name and (one.entered or one.metric in ENTERED_FIGURES) for one in scheme.indicators)


def with_params(scheme: Scheme, params: Parameters, zone: ZoneInfo) -> Scheme:
    """The scheme under other parameters and in another zone, as a run may state them."""
    return replace(scheme, params=params, zone=zone)
