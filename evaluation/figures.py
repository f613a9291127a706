"""Sums to published figures: hours, ratios, counts, each by its code; a figure that is not applicable is None."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from evaluation.facts import Parameters
from evaluation.metrics import Tally
from evaluation.states import State
from marketplace.money import round_half_away

DAY_S = 86400
HOUR_S = 3600


class Kind(StrEnum):
    """How a figure is written: hours and plain numbers with two digits, ratios with four, counts and fen as they are."""

    HOURS = "hours"
    RATIO = "ratio"
    NUMBER = "number"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Figure:
    """One exact value; hours are kept in seconds."""

    kind: Kind
    value: Fraction | None

    @property
    def text(self) -> str | int | None:
        """As printed: rounded once, half up."""
        if self.value is None:
            return None
        if self.kind is Kind.COUNT:
            return int(self.value)
        if self.kind is Kind.HOURS:
            return rounded(self.value / HOUR_S, 2)
        return rounded(self.value, 4 if self.kind is Kind.RATIO else 2)


def rounded(value: Fraction, places: int) -> str:
    """Half away from zero, always with `places` digits.

    >>> rounded(Fraction(1, 8), 2), rounded(Fraction(89996, 1000), 2)
    ('0.13', '90.00')
    """
    scaled = round_half_away(value * 10**places)
    digits = f"{abs(scaled):0{places + 1}d}"
    return f"{'-' if scaled < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def ratio(part: Fraction | int, whole: Fraction | int) -> Fraction | None:
    """None where there is nothing to divide by."""
    return Fraction(part) / Fraction(whole) if whole else None


def figures(tally: Tally, params: Parameters) -> dict[str, Figure]:
    """The figures of the metric table, for one unit or for the sum of many."""
    return {
        **{code: Figure(Kind.HOURS, Fraction(seconds)) for code, seconds in _hours(tally).items()},
        "turnaway_h": Figure(Kind.HOURS, None),
        "response_h": Figure(Kind.HOURS, _median(tally.demand.response_s)),
        **{code: Figure(Kind.RATIO, value) for code, value in _ratios(tally).items()},
        **_lead_time(tally.lead_s),
        "satisfaction": Figure(Kind.NUMBER, _satisfaction(tally.ratings, params)),
        "response_rate": Figure(Kind.RATIO, ratio(len(tally.ratings), tally.fulfilled)),
        "quota_h": Figure(Kind.NUMBER, tally.quota_s / HOUR_S if tally.quota_s else None),
        "n_w": Figure(Kind.RATIO, tally.in_service),
        **{code: Figure(Kind.COUNT, Fraction(count)) for code, count in _counts(tally).items()},
    }


def seconds(found: Mapping[str, Figure]) -> dict[str, int | None]:
    """Every hour figure once more, exactly (a median between two seconds is the lower one)."""
    return {
        code: int(figure.value) if figure.value is not None else None
        for code, figure in found.items()
        if figure.kind is Kind.HOURS
    }


def _hours(t: Tally) -> dict[str, int]:
    ledger = t.ledger
    return {
        "open_h": t.open_unit_s,
        "pd_h": t.pd_s,
        "ud_h": t.ud_s,
        "avail_h": t.open_unit_s - t.pd_s - t.ud_s,
        "eff_h": t.eff_s,
        "eff_graded_h": t.eff_graded_s,
        "eff_unit_h": t.eff_unit_s,
        "offhours_h": t.offhours_s,
        "ext_h": ledger.get(State.PRD_EXT, 0),
        "int_h": ledger.get(State.PRD_INT, 0),
        "self_h": ledger.get(State.PRD_SELF, 0),
        "teach_h": ledger.get(State.PRD_TEACH, 0),
        "unbooked_h": ledger.get(State.PRD_UNBOOKED, 0),
        "booked_h": t.booked_s,
        "idle_booked_h": t.idle_booked_s,
        "idle_other_h": t.idle_other_s,
        "class_a_h": t.class_a_s,
        "class_b_h": t.class_b_s,
        "class_c_h": t.class_c_s,
        "class_d_h": t.class_d_s,
    }


def _ratios(t: Tally) -> dict[str, Fraction | None]:
    available = t.open_unit_s - t.pd_s - t.ud_s
    return {
        "availability": ratio(available, t.open_unit_s),
        "util_quota": ratio(t.quota_eff_s, t.quota_s),
        "util_quota_capped": ratio(t.quota_capped_s, t.quota_s),
        "util_capacity": ratio(t.eff_available_unit_s, available),
        "coverage": ratio(t.open_s - t.silent_s, t.open_s),
        "share_ratio": ratio(t.ledger.get(State.PRD_EXT, 0), t.eff_s) or Fraction(),
        "idle_rate": ratio(t.idle_booked_s, t.idle_base_s),
        "unbooked_rate": ratio(t.ledger.get(State.PRD_UNBOOKED, 0), t.eff_s),
        "no_show_rate": ratio(t.no_show, t.fulfilled + t.no_show),
        "late_cancel_rate": ratio(t.cancelled_late, t.confirmed),
        "turnaway_rate": ratio(t.demand.turned_away, t.demand.wanted),
        "sla_rate": ratio(t.demand.in_time, t.demand.due),
        "confirmed_share": ratio(t.class_a_s, t.class_a_s + t.class_b_s + t.class_c_s + t.class_d_s),
        "open_rate": ratio(t.open_units, t.units),
    }


def _counts(t: Tally) -> dict[str, int]:
    return {
        "units": t.units,
        "fulfilled": t.fulfilled,
        "no_show": t.no_show,
        "provider_failed": t.provider_failed,
        "unverifiable": t.unverifiable,
        "conflict": t.conflict,
        "ext_users": len(t.ext_users),
        "ext_orgs": len(t.ext_orgs),
        "ext_smes": len(t.ext_smes),
        "ratings": len(t.ratings),
        "ext_revenue": t.revenue_minor,
        "no_show_fees": t.no_show_fees_minor,
        "related_fees": t.related_fees_minor,
    }


def _lead_time(lead_s: Sequence[int]) -> dict[str, Figure]:
    """Days from submission to start; the 90th percentile by nearest rank."""
    ordered = sorted(lead_s)
    ninetieth = Fraction(ordered[(9 * len(ordered) + 9) // 10 - 1]) if ordered else None
    values = {"lead_time": _median(ordered), "lead_time_p90": ninetieth, "lead_time_mean": ratio(sum(ordered), len(ordered))}
    return {code: Figure(Kind.NUMBER, value / DAY_S if value is not None else None) for code, value in values.items()}


def _median(values: Sequence[int]) -> Fraction | None:
    ordered = sorted(values)
    middle = len(ordered) // 2
    if not ordered:
        return None
    return Fraction(ordered[middle]) if len(ordered) % 2 else Fraction(ordered[middle - 1] + ordered[middle], 2)


def _satisfaction(ratings: Sequence[Fraction], params: Parameters) -> Fraction | None:
    """The mean drawn towards the prior as long as few have answered: (n mean + m prior) / (n + m)."""
    weighted = sum(ratings, Fraction()) + params.rating_weight * params.rating_prior
    return ratio(weighted, len(ratings) + params.rating_weight)
