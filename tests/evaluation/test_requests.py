"""Demand: what counts as one request, as turned away, as answered in time."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from evaluation.facts import Outcome, Parameters, Request, Unit, UnitFacts
from evaluation.requests import Demand, demand_of, served_instants

ZONE = ZoneInfo("Asia/Shanghai")
PARAMS = Parameters()
TUESDAY = datetime(2026, 3, 10, 10, tzinfo=ZONE)


def seconds(instant: datetime) -> int:
    return int(instant.astimezone(UTC).timestamp())


def asked(*rows: tuple[str | None, int, Outcome], answered: timedelta | None = None) -> UnitFacts:
    """Requests by (requester, days after Tuesday, outcome)."""
    found = []
    for n, (org, days, outcome) in enumerate(rows):
        at = TUESDAY + timedelta(days=days)
        found.append(Request(f"r{n}", org, seconds(at), seconds(at + answered) if answered else None, outcome))
    opened = [(seconds(TUESDAY), seconds(TUESDAY) + 7 * 3600)]
    return UnitFacts(Unit("u1", "line", "o1"), calendar=opened, requests=found)


def demand(facts: UnitFacts, served: dict[str, list[int]] | None = None) -> Demand:
    window = (seconds(TUESDAY) - 86400, seconds(TUESDAY) + 90 * 86400)
    return demand_of(facts, window, PARAMS, served or {})


@pytest.mark.parametrize(
    ("rows", "wanted", "turned_away"),
    [
        ([("a", 0, Outcome.DECLINED_CAPACITY), ("b", 0, Outcome.ACCEPTED)], 2, 1),
        ([("a", 0, Outcome.DECLINED_CAPACITY), ("a", 7, Outcome.DECLINED_CAPACITY)], 1, 1),
        ([("a", 0, Outcome.DECLINED_CAPACITY), ("a", 8, Outcome.DECLINED_CAPACITY)], 2, 2),
        ([("a", 0, Outcome.DECLINED_CAPACITY), ("a", 1, Outcome.ACCEPTED)], 1, 0),
        ([(None, 0, Outcome.UNANSWERED), (None, 0, Outcome.UNANSWERED)], 2, 2),
        ([("a", 0, Outcome.WITHDRAWN), ("b", 0, Outcome.OUT_OF_SCOPE)], 0, 0),
    ],
)
def test_requests_of_one_firm_within_a_week_are_one(
    rows: list[tuple[str | None, int, Outcome]], wanted: int, turned_away: int
) -> None:
    found = demand(asked(*rows))
    assert (found.wanted, found.turned_away) == (wanted, turned_away)


@pytest.mark.parametrize(("days", "turned_away"), [(30, 0), (31, 1)])
def test_who_was_served_elsewhere_within_a_month_was_not_turned_away(days: int, turned_away: int) -> None:
    served = served_instants([("a", seconds(TUESDAY + timedelta(days=days)))])
    assert demand(asked(("a", 0, Outcome.DECLINED_CAPACITY)), served).turned_away == turned_away


@pytest.mark.parametrize(
    ("answered", "in_time"),
    [(timedelta(days=3, hours=13), 1), (timedelta(days=3, hours=14), 0), (None, 0)],
)
def test_an_answer_is_in_time_until_the_end_of_the_third_working_day(answered: timedelta | None, in_time: int) -> None:
    found = demand(asked(("a", 0, Outcome.ACCEPTED), answered=answered))
    assert (found.due, found.in_time) == (1, in_time)


def test_a_weekend_stops_the_clock() -> None:
    facts = asked(("a", 3, Outcome.ACCEPTED), answered=timedelta(days=5))  # Friday to Wednesday
    assert demand(facts).in_time == 1


def test_waiting_is_counted_in_the_providers_open_hours() -> None:
    assert demand(asked(("a", 0, Outcome.ACCEPTED), answered=timedelta(hours=2))).response_s == (7200,)
    assert demand(asked(("a", 0, Outcome.UNANSWERED))).response_s == (7 * 3600,)
    assert demand(asked(("a", 0, Outcome.WITHDRAWN))).due == 0
