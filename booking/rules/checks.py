"""What a version of rules must keep to be one that can be judged by."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from booking.calendar_days import CALENDARS
from booking.occupancy import Gap
from booking.terms import AT_MOST
from marketplace.refusals import Invalid

FURTHEST_DAYS = AT_MOST.horizon_days
"""Ahead, that a publisher may open to all; further is for nobody (see reasons_in_spite)."""
MOST_EXCEPTIONS = 800
"""More than two years of single days."""
MOST_NAMED = 500
"""Organisations that one list names."""
MOST_QUOTAS = 20
"""Each is one pass over a customer's bookings at every admission."""

BOUNDS = {"decide_within_h": (1, 8784), "offer_min": (5, 2880), "check_in_grace_min": (5, 1440), "overtime_min": (0, 60)}
"""Of rules that may be left open. Meters need some minutes to show that nobody came, and an hour of overtime is the most that
devices, bills and published figures know of."""
MOST_NEEDS = 10
MOST_RUNS = 20
"""Supervised runs before somebody works alone."""


def require_between(field: str, value: int, low: int, high: int) -> None:
    """Raises: Invalid."""
    if not low <= value <= high:
        raise Invalid(field=field, reason="must be {low} to {high}", low=low, high=high)


def check_spans(spans: Iterable[Mapping[str, int]]) -> None:
    """Opening times of a weekday or a date, in minutes of the day. Raises: Invalid."""
    for span in spans:
        if not (0 <= span.get("weekday", 0) <= 6 and 0 <= span["open_min"] < span["close_min"] <= 1440):
            raise Invalid(field="hours", reason="each interval must close after it opens")


def check_exceptions(exceptions: Sequence[Mapping[str, Any]]) -> None:
    """Raises: Invalid."""
    require_few("rules.exceptions", exceptions, MOST_EXCEPTIONS)
    if len({one["date"] for one in exceptions}) < len(exceptions):
        raise Invalid(field="rules.exceptions", reason="names a date twice")
    for one in exceptions:
        check_spans(one["hours"])


def check_holidays(country: str | None) -> None:
    """Raises: Invalid."""
    if country is not None and country not in CALENDARS:
        raise Invalid(field="rules.holidays", reason="choose one of the list")


def check_quotas(quotas: Sequence[Mapping[str, Any]]) -> None:
    """Raises: Invalid."""
    require_few("rules.quotas", quotas, MOST_QUOTAS)
    for quota in quotas:
        require_between("rules.quotas", quota["limit"], 1, 100_000)
        named = [*quota.get("organisation_ids", ()), *quota.get("person_ids", ())]
        require_few("rules.quotas", named, MOST_NAMED)
        if quota["by"] == "group" and bool(quota.get("group")) == bool(named):
            raise Invalid(field="rules.quotas", reason="names either a group of the audience or its members")


def check_pool(gap: Gap, *, pooled: bool, waived: bool) -> None:
    """Whose buffer is whose must not depend on the unit. Raises: Invalid."""
    if pooled and (waived or gap is not Gap.SUM):
        raise Invalid(field="rules.capacity_mode", reason="counted units need full buffers: clean down, then set up")


def require_few(field: str, values: Sequence[object], most: int) -> None:
    """Raises: Invalid."""
    if len(values) > most:
        raise Invalid(field=field, reason="more than {most} entries", most=most)
