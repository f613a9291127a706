"""The power of several meters as one curve."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Curve:
    """What one meter measured, oldest first, and how long each value counts after its time."""

    points: Sequence[tuple[datetime, float]]
    holds: timedelta


def added(curves: Sequence[Curve], *, since: datetime, most: int) -> list[float]:
    """At each time from `since` on at which one of them tells something the sum of what all told last, at most `most` values."""
    times = sorted({at for curve in curves for at, _ in curve.points if at >= since})
    step = -(-len(times) // most) or 1
    return [round(sum(_at(curve, time) for curve in curves), 1) for time in times[::step]]


def _at(curve: Curve, time: datetime) -> float:
    """Nothing where it told nothing so far, or is silent by then."""
    place = bisect_right(curve.points, time, key=lambda point: point[0])
    if not place:
        return 0.0
    at, power_w = curve.points[place - 1]
    return power_w if time - at <= curve.holds else 0.0
