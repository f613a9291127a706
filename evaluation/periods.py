"""Periods by name: a year as the scheme counts it, a month, or a span of local days. Never from UTC dates."""

import re
from dataclasses import replace
from datetime import date, datetime, timedelta
from fractions import Fraction

from booking.availability import local_midnight
from evaluation.scoring import PeriodRule, Scheme
from evaluation.spans import Span
from marketplace.refusals import Invalid
from marketplace.slot import Slot

MAX_DAYS = 1100


def period_slot(scheme: Scheme, name: str) -> Slot:
    """`2026`, `2026-03` or `2026-03-01/2026-03-15` (last day included) in the scheme's zone.

    Raises: Invalid.
    """
    first, following = _days(scheme, name)
    if not 0 < (following - first).days <= MAX_DAYS:
        raise Invalid(field="period", reason="not a period such as 2026 or 2026-11")
    return Slot(local_midnight(first, scheme.zone), local_midnight(following, scheme.zone))


def _days(scheme: Scheme, name: str) -> tuple[date, date]:
    try:
        if re.fullmatch(r"\d{4}", name):
            year, month = int(name), 9 if scheme.period_rule is PeriodRule.ACADEMIC else 1
            return date(year, month, 1), date(year + 1, month, 1)
        if re.fullmatch(r"\d{4}-\d{2}", name):
            first = date.fromisoformat(f"{name}-01")
            return first, (first + timedelta(days=31)).replace(day=1)
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}/\d{4}-\d{2}-\d{2}", name):
            start, end = name.split("/")
            return date.fromisoformat(start), date.fromisoformat(end) + timedelta(days=1)
    except (ValueError, OverflowError):
        pass
    raise Invalid(field="period", reason="not a period such as 2026 or 2026-11")


def last_year_end(scheme: Scheme, now: datetime) -> datetime:
    """When the newest year of the scheme that is over ended."""
    day = now.astimezone(scheme.zone).date()
    month = 9 if scheme.period_rule is PeriodRule.ACADEMIC else 1
    return local_midnight(date(day.year if day.month >= month else day.year - 1, month, 1), scheme.zone)


def as_span(slot: Slot) -> Span:
    """The same in whole seconds."""
    return int(slot.start.timestamp()), int(slot.end.timestamp())


def days_in_year(scheme: Scheme, slot: Slot) -> int:
    """The days of the scheme's year in which the period starts: the base of a yearly quota."""
    day = slot.start.astimezone(scheme.zone).date()
    month = 9 if scheme.period_rule is PeriodRule.ACADEMIC else 1
    begin = date(day.year if day.month >= month else day.year - 1, month, 1)
    return (begin.replace(year=begin.year + 1) - begin).days


def for_period(scheme: Scheme, slot: Slot) -> Scheme:
    """The scheme with the period's share of its year, by which yearly quotas and targets shrink."""
    share = Fraction(local_days(scheme, slot), days_in_year(scheme, slot))
    return replace(scheme, params=replace(scheme.params, year_share=share))


def local_days(scheme: Scheme, slot: Slot) -> int:
    """Days from the local date of the start to that of the end; at least one."""
    return max(1, (slot.end.astimezone(scheme.zone).date() - slot.start.astimezone(scheme.zone).date()).days)
