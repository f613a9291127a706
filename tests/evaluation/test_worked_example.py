"""Section 6's worked example: four units, given sums, 80.39 and 良好."""

from dataclasses import replace
from fractions import Fraction

import pytest

from evaluation.assess import OrganisationResult, organisation
from evaluation.figures import rounded
from evaluation.metrics import Tally
from evaluation.requests import Demand
from evaluation.schemes import DEFAULT, load_scheme
from evaluation.scoring import points_of, ranked, score
from evaluation.states import State

SHARE = Fraction(184, 365)


def a_unit(quota: int, eff: int, ext: int, *, share: Fraction = Fraction(1), **more: object) -> Tally:
    quota_s = quota * 3600 * share
    return replace(
        Tally(
            units=1,
            in_service=share,
            ledger={State.PRD_EXT: ext * 3600, State.PRD_SELF: (eff - ext) * 3600},
            eff_s=eff * 3600,
            eff_graded_s=eff * 3600,
            quota_s=quota_s,
            quota_eff_s=eff * 3600,
            quota_capped_s=min(Fraction(eff * 3600), quota_s),
        ),
        **more,  # type: ignore[arg-type]
    )


def the_example() -> OrganisationResult:
    units = [
        a_unit(
            1400,
            1540,
            420,
            open_s=1000,
            silent_s=68,
            open_unit_s=1000,
            pd_s=69,
            idle_booked_s=12,
            idle_base_s=100,
            ext_smes=frozenset(f"firm {n}" for n in range(14)),
            ratings=(Fraction("4.52"),) * 31,
            demand=Demand(wanted=35, turned_away=10, due=38, in_time=31),
        ),
        a_unit(800, 760, 430),
        a_unit(1400, 600, 90, share=SHARE),
        a_unit(800, 240, 0),
    ]
    entered = {"A1": 5, "B4": 4, "C7": 2, "staff_fte": Fraction("1.5"), "units_open": 4, "units_should_open": 5}
    return organisation(units, {name: Fraction(value) for name, value in entered.items()}, load_scheme(DEFAULT))


def test_the_figures_are_those_of_the_page() -> None:
    found = {code: figure.text for code, figure in the_example().figures.items()}
    assert found["util_quota_capped"] == "0.8096"
    assert found["util_quota"] == "0.8473"
    assert found["quota_h"] == "3705.75"
    assert found["n_w"] == "3.5041"
    assert found["ext_h_per_unit"] == "268.26"
    assert found["share_ratio"] == "0.2994"
    assert found["satisfaction"] == "4.39"


def test_the_total_is_80_39_and_the_grade_good() -> None:
    scores = the_example().scores
    points = {code: rounded(value, 2) for code, value in scores.points.items()}
    assert points == {
        "A1": "5.00", "A2": "4.00", "A3": "5.00", "A4": "4.50",
        "B1": "16.19", "B2": "4.37", "B3": "3.00", "B4": "4.00",
        "C1": "12.00", "C2": "8.00", "C3": "5.99", "C4": "3.87", "C5": "2.47", "C6": "0.00", "C7": "2.00",
    }  # fmt: skip
    assert [rounded(scores.group(name), 2) for name in "ABC"] == ["18.50", "27.56", "34.33"]
    assert (rounded(scores.total, 2), scores.grade, scores.gates) == ("80.39", "良好", [])


def the_values(total: Fraction, **others: Fraction) -> dict[str, Fraction | None]:
    """Values that earn `total` points: everything in full but A1 (6) and C7 (3), which share what is left."""
    full = {"open_rate": 1, "staff_fte_per_unit": 1, "coverage": 1, "util_quota_capped": 1, "availability": 1, "idle_rate": 0}
    full |= {"B4": 5, "ext_h_per_unit": 250, "share_ratio": 1, "ext_smes_per_unit": 4, "satisfaction": 5, "sla_rate": 1}
    rest = total - 91
    first = min(rest, Fraction(6))
    values: dict[str, Fraction | None] = {name: Fraction(value) for name, value in full.items()}
    return {**values, "turnaway_rate": Fraction(), "A1": first, "C7": rest - first, "ext_h": Fraction(1000), **others}


@pytest.mark.parametrize(
    ("exact", "shown", "grade"), [("91.996", "92.00", "优秀"), ("91.994", "91.99", "优秀"), ("100", "100.00", "优秀")]
)
def test_the_total_is_rounded_half_up_once(exact: str, shown: str, grade: str) -> None:
    scores = score(load_scheme(DEFAULT), the_values(Fraction(exact)))
    assert (rounded(scores.total, 2), scores.grade) == (shown, grade)


def test_89_996_shows_90_00_and_is_excellent() -> None:
    values = the_values(Fraction(91)) | {"B4": Fraction("3.996")}
    scores = score(load_scheme(DEFAULT), values)
    assert (scores.exact, rounded(scores.total, 2), scores.grade) == (Fraction("89.996"), "90.00", "优秀")


@pytest.mark.parametrize(
    ("values", "gates", "grade"),
    [
        ({"falsification": 1}, ["falsification"], "不合格"),
        ({"ext_h": 0}, ["no_external_use"], "不合格"),
        ({"coverage": Fraction(79, 100)}, ["low_coverage"], "合格"),
        ({"serious_accident": 1}, ["serious_accident"], "合格"),
        ({"serious_accident": 1, "ext_h": 0}, ["no_external_use", "serious_accident"], "不合格"),
        ({}, [], "优秀"),
    ],
)
def test_a_gate_caps_the_grade_and_not_the_points(values: dict[str, int], gates: list[str], grade: str) -> None:
    scores = score(load_scheme(DEFAULT), the_values(Fraction(100), **{k: Fraction(v) for k, v in values.items()}))
    assert (list(scores.gates), scores.grade) == (gates, grade)


def test_a_missing_value_earns_nothing_and_is_named() -> None:
    values = the_values(Fraction(100)) | {"sla_rate": None}
    scores = score(load_scheme(DEFAULT), values)
    assert (list(scores.missing), scores.exact) == (["C5"], 96)


def test_equal_totals_are_ranked_by_shared_service() -> None:
    scheme = load_scheme(DEFAULT)
    more_sharing = the_values(Fraction(95)) | {"A1": Fraction(1), "C7": Fraction(3)}
    less_sharing = the_values(Fraction(95)) | {"A1": Fraction(4), "C7": Fraction(0)}
    scores = {"less": score(scheme, less_sharing), "more": score(scheme, more_sharing)}
    assert ranked(scores) == ["more", "less"]


def test_the_weights_add_up_to_100() -> None:
    scheme = load_scheme(DEFAULT)
    weights = {name: sum(i.weight for i in scheme.indicators if i.parent == name) for name in "ABC"}
    assert weights == {"A": 25, "B": 35, "C": 40}
    assert all(points_of(indicator, {}) is None for indicator in scheme.indicators)
