"""The thresholds that follow from powers with the machine idle and at work."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil, floor, log10

from devices.profile import Profile

SPAN = timedelta(seconds=60)
"""Of either half, where the meter says enough in it."""
FEWEST = 3
"""Powers of either half."""
LONGEST = timedelta(hours=2)
"""Of a half; a meter that says less than three powers in it is set to report more often first."""
LEAST_W = 1.0
"""Below this a plug measures its own noise."""
LEAST_RATIO, LEAST_RISE_W = 1.2, 3.0
"""By which work is told from idling."""
STALE_INTERVALS = 2.5
"""One message may be lost, and the next be a little late."""

Point = tuple[datetime, float]
"""When it was received, and W."""


@dataclass(frozen=True, slots=True)
class Half:
    """One half of a measurement. `ends_at` is when it is complete as far as is known by now."""

    watts: Sequence[Point]
    ends_at: datetime
    complete: bool
    too_slow: bool = False
    """It has lasted as long as any may, and too little was said."""

    def left_s(self, now: datetime) -> int:
        """Until it is complete."""
        return max(ceil((self.ends_at - now) / timedelta(seconds=1)), 0)


class Unfit(StrEnum):
    """Why nothing follows from a measurement."""

    TOO_FEW = "too_few"
    NOT_ABOVE = "not_above"
    TOO_CLOSE = "too_close"


@dataclass(frozen=True, slots=True)
class Proposal:
    """W and s."""

    p_on: float
    p_off: float
    stale_after: float
    max_gap: float


def span_of(interval_s: float | None) -> timedelta:
    """How long a half takes with a meter that says something every so often.

    >>> [span_of(every).seconds for every in (None, 10.0, 60.0, 300.0)]
    [60, 60, 180, 900]
    """
    return SPAN if interval_s is None else max(SPAN, timedelta(seconds=ceil(FEWEST * interval_s)))


def stale_for(interval_s: float) -> float:
    """After how many seconds a meter that speaks so often is silent; whole tens.

    >>> stale_for(10.0), stale_for(300.4)
    (30.0, 760.0)
    """
    return ceil(STALE_INTERVALS * interval_s / 10) * 10.0


def half(heard: Sequence[Point], *, began: datetime, now: datetime, interval_s: float | None) -> Half:
    """What was heard since it began, in order of receipt, as far as it belongs to it: a minute, and the third power if that
    comes later."""
    since = [point for point in heard if point[0] >= began]
    if len(since) >= FEWEST:
        ends_at = max(began + SPAN, since[FEWEST - 1][0])
        return Half([point for point in since if point[0] <= ends_at], ends_at, complete=now >= ends_at)
    return Half(since, began + span_of(interval_s), complete=False, too_slow=now - began > LONGEST)


def propose(idle: Sequence[float], run: Sequence[float], interval_s: float, present: Profile) -> Proposal | Unfit:
    """Both thresholds lie on even steps of ratio between what idling seldom exceeds and the middle of work: they stand off a
    noisy idling, and a machine that works less hard still counts. Spans are made longer where they must be, never shorter.

    >>> propose([38, 41, 40], [2300, 2450, 2400], 10.0, Profile())
    Proposal(p_on=314.0, p_off=113.0, stale_after=180.0, max_gap=900.0)
    """
    if min(len(idle), len(run)) < FEWEST:
        return Unfit.TOO_FEW
    low, high = max(_quantile(idle, 0.9), LEAST_W), _quantile(run, 0.5)
    if high <= low:
        return Unfit.NOT_ABOVE
    if high < LEAST_RATIO * low or high - low < LEAST_RISE_W:
        return Unfit.TOO_CLOSE
    stale_after = max(Profile().stale_after, stale_for(interval_s))
    return Proposal(
        p_on=_round(low**0.5 * high**0.5),
        p_off=_round(low**0.75 * high**0.25),
        stale_after=stale_after,
        max_gap=max(present.max_gap, 2 * stale_after),
    )


def _quantile(values: Sequence[float], share: float) -> float:
    """The least of `values` that `share` of them do not exceed."""
    return sorted(values)[ceil(share * len(values)) - 1]


def _round(watts: float) -> float:
    """To three digits."""
    return round(watts, 2 - floor(log10(watts)))
