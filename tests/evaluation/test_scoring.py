"""The functions an indicator may use, and schemes that cannot be read."""

from dataclasses import replace
from fractions import Fraction

import pytest

from evaluation.figures import figures
from evaluation.metrics import Tally
from evaluation.schemes import DEFAULT, MalformedScheme, load_scheme, parameters, parse_scheme, scheme_names
from evaluation.scoring import Function, Indicator, points_of, score

BASE = Indicator("X", "A", "甲", "X", Fraction(5), Function.LINEAR, "m", {"lo": Fraction(0), "hi": Fraction(1)})


def points(function: Function, value: str, **args: object) -> Fraction | None:
    return points_of(replace(BASE, function=function, args=args), {"m": Fraction(value)})


@pytest.mark.parametrize(("value", "earned"), [("0.95", 5), ("0.9499", "4.5"), ("0.90", "4.5"), ("0.80", 3), ("0.7999", 0)])
def test_a_band_begins_at_its_bound(value: str, earned: str) -> None:
    bands = tuple((Fraction(bound), Fraction(given)) for bound, given in (("0.95", "5"), ("0.90", "4.5"), ("0.80", "3")))
    assert points(Function.BANDS, value, bands=bands) == Fraction(earned)


def test_points_stay_between_nothing_and_the_weight() -> None:
    rising, falling = {"lo": Fraction(0), "hi": Fraction(1)}, {"lo": Fraction(3, 10), "hi": Fraction(0)}
    assert [points(Function.LINEAR, v, **rising) for v in ("-1", "0.5", "2")] == [0, Fraction(5, 2), 5]
    assert [points(Function.LINEAR, v, **falling) for v in ("0", "0.15", "0.5")] == [5, Fraction(5, 2), 0]
    assert [points(Function.MANUAL, v) for v in ("-1", "4.5", "9")] == [0, Fraction(9, 2), 5]
    assert [points(Function.PER_STEP, v, step=Fraction(1000), points=Fraction(1)) for v in ("2999", "9000")] == [2, 5]
    assert [points(Function.CHECKLIST, v, items=Fraction(10)) for v in ("4", "12")] == [2, 5]


def test_training_points_of_the_ministrys_rules_add_up() -> None:
    counts = (("independent", Fraction(10)), ("assisted", Fraction(3)), ("shown", Fraction(1, 30)))
    training = replace(BASE, weight=Fraction(20), function=Function.COUNT_POINTS, args={"counts": counts})
    values: dict[str, Fraction | None] = {"independent": Fraction(6), "assisted": Fraction(12), "shown": Fraction(45)}
    assert points_of(training, values) == Fraction("97.5") * Fraction(20, 100)
    assert points_of(training, {"independent": Fraction(50)}) == 20
    assert points_of(training, {}) is None


def test_the_shipped_scheme_reads_and_names_itself() -> None:
    assert DEFAULT in scheme_names()
    scheme = load_scheme(DEFAULT)
    assert (scheme.id, scheme.version, scheme.params.merge_gap_s) == ("WPC-OPEN", "2026.1", 600)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('weight = "6"', 'weight = "six"'),
        ('function = "bands"', 'function = "magic"'),
        ("merge_gap_s = 600", "merge_gap_s = 600.5"),
        ("merge_gap_s = 600", "merge_gap = 600"),
        ('equals = "1"', ""),
        ('zone = "Asia/Shanghai"', 'zone = "Nowhere"'),
        ('id = "WPC-OPEN"', ""),
        ("[[grades]]", "[[grades"),
        ('at_most = "合格"', 'at_most = "及格"'),
        ('args = { lo = "0.60", hi = "1" }', 'args = { lo = "1", hi = "1" }'),
        ('args = { lo = "0.60", hi = "1" }', 'args = { lo = "0.60" }'),
        ('args = { lo = "0.60", hi = "1" }', 'args = "0.60"'),
        ('["0.80", "3"]', '["low", "3"]'),
    ],
)
def test_a_malformed_scheme_is_refused(old: str, new: str) -> None:
    text = load_scheme(DEFAULT).source
    with pytest.raises(MalformedScheme):
        parse_scheme(text.replace(old, new, 1))


def test_parameters_are_exact() -> None:
    assert parameters({"cov_min": 0.9}).cov_min == Fraction(9, 10)
    assert parameters({"cov_min": "9/10"}).cov_min == Fraction(9, 10)
    with pytest.raises(ValueError, match="whole number"):
        parameters({"min_run_s": "1/3"})


@pytest.mark.parametrize("value", [-1, None, True, "1/0", "nan", "1e999999999", "9" * 30, [1], {}])
def test_a_parameter_that_is_no_number_is_named(value: object) -> None:
    with pytest.raises(ValueError, match=r"params\.cov_min must be a number"):
        parameters({"cov_min": value})


def test_a_rating_without_prior_and_without_answers_is_not_applicable() -> None:
    assert figures(Tally(), parameters({"rating_weight": 0}))["satisfaction"].text is None
    with pytest.raises(ValueError, match="at most 366"):
        parameters({"sla_working_days": 10**9})


def test_yearly_targets_shrink_with_the_period_and_shares_do_not() -> None:
    scheme = load_scheme(DEFAULT)
    month = replace(scheme, params=parameters({"year_share": "1/10"}, scheme.params))
    values: dict[str, Fraction | None] = {
        "ext_h_per_unit": Fraction(20),
        "ext_smes_per_unit": Fraction(1),
        "share_ratio": Fraction(1, 10),
    }
    assert [score(scheme, values).points[code] for code in ("C1", "C2", "C3")] == [Fraction("0.96"), 4, Fraction("1.5")]
    assert [score(month, values).points[code] for code in ("C1", "C2", "C3")] == [Fraction("9.6"), 4, 6]
