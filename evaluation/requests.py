"""Requests for time: how many were turned away, how many were answered in time, how long an answer took."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain
from zoneinfo import ZoneInfo

from evaluation.facts import Outcome, Parameters, Request, UnitFacts
from evaluation.spans import Span, clip, length, union

TURNED_AWAY = frozenset({Outcome.DECLINED_CAPACITY, Outcome.UNANSWERED})
WEEKEND = frozenset({5, 6})


@dataclass(frozen=True, slots=True)
class Demand:
    """Sums over requests; `response_s` are seconds of the provider's open time until the answer."""

    wanted: int = 0
    turned_away: int = 0
    due: int = 0
    in_time: int = 0
    response_s: tuple[int, ...] = ()

    @staticmethod
    def combined(many: Sequence["Demand"]) -> "Demand":
        sums = {f.name: sum(getattr(one, f.name) for one in many) for f in fields(Demand) if f.name != "response_s"}
        return Demand(**sums, response_s=tuple(chain.from_iterable(one.response_s for one in many)))


def demand_of(facts: UnitFacts, window: Span, params: Parameters, served: Mapping[str, Sequence[int]]) -> Demand:
    """The requests that were submitted inside `window`."""
    low, high = window
    asked = sorted((r for r in facts.requests if low <= r.submitted_at < high), key=lambda r: (r.submitted_at, r.id))
    if not asked:
        return Demand()
    groups = [_ending(group) for group in _same(asked, params)]
    wanted = [group for group in groups if group.outcome not in (Outcome.WITHDRAWN, Outcome.OUT_OF_SCOPE)]
    due = [request for request in asked if request.outcome is not Outcome.WITHDRAWN]
    opened = union(facts.calendar)
    return Demand(
        wanted=len(wanted),
        turned_away=sum(g.outcome in TURNED_AWAY and not _served(g, params, served) for g in wanted),
        due=len(due),
        in_time=sum(_in_time(request, facts.unit.zone, params) for request in due),
        response_s=tuple(length(clip(opened, (r.submitted_at, r.answered_at or high))) for r in due) if opened else (),
    )


def _same(asked: Iterable[Request], params: Parameters) -> list[list[Request]]:
    """Requests of one requester for one unit within seven days of the first are one; without a name each stands alone."""
    groups: list[list[Request]] = []
    latest: dict[str, list[Request]] = {}
    for request in asked:
        group = latest.get(request.user_org) if request.user_org else None
        if group and request.submitted_at - group[0].submitted_at <= params.same_request_s:
            group.append(request)
            continue
        groups.append([request])
        if request.user_org:
            latest[request.user_org] = groups[-1]
    return groups


def _ending(group: Sequence[Request]) -> Request:
    """The request that tells how the group ended: accepted, else turned away, else the last."""
    for outcomes in (frozenset({Outcome.ACCEPTED}), TURNED_AWAY):
        for request in group:
            if request.outcome in outcomes:
                return request
    return group[-1]


def _served(request: Request, params: Parameters, served: Mapping[str, Sequence[int]]) -> bool:
    """Someone turned away here and served elsewhere soon after was redirected, not turned away."""
    instants = served.get(request.user_org, ()) if request.user_org else ()
    at = bisect_left(instants, request.submitted_at)
    return at < len(instants) and instants[at] <= request.submitted_at + params.served_within_s


def served_instants(fulfilled: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    """Per user organisation the starts of its fulfilled bookings, sorted."""
    found: dict[str, list[int]] = defaultdict(list)
    for user_org, start in sorted(fulfilled):
        found[user_org].append(start)
    return found


def _in_time(request: Request, zone: ZoneInfo, params: Parameters) -> bool:
    if request.answered_at is None:
        return False
    asked = datetime.fromtimestamp(request.submitted_at, UTC).astimezone(zone).date()
    return request.answered_at < int(_end_of(_working_day(asked, params.sla_working_days), zone).timestamp())


def _working_day(asked: date, count: int) -> date:
    day = asked
    while count:
        day += timedelta(days=1)
        count -= day.weekday() not in WEEKEND
    return day


def _end_of(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)
