"""The power of several meters as one curve."""

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Curve:
    """What one meter measured, oldest first, and how long each value counts after its time."""

    points: Sequence[tuple[datetime, float]]
    holds: timedelta
    meter: str = ""
    inside: Collection[str] = ()
    """The meters that include what this one measures: while one of them tells something, this one adds nothing."""


def added(curves: Sequence[Curve], *, since: datetime, most: int) -> list[float]:
    """At each time from `since` on at which one of them tells something the sum of what all told last, at most `most` values."""
    times = sorted({at for curve in curves for at, _ in curve.points if at >= since})
    step = -(-len(times) // most) or 1
    return [_together(curves, time) for time in times[::step]]


def _together(curves: Sequence[Curve], time: datetime) -> float:
    told = [(curve, power_w) for curve in curves if (power_w := _at(curve, time)) is not None]
    meters = {curve.meter for curve, _ in told}
    return round(sum((power_w for curve, power_w in told if meters.isdisjoint(curve.inside)), 0.0), 1)


def _at(curve: Curve, time: datetime) -> float | None:
    """None where it told nothing so far, or is silent by then."""
    place = bisect_right(curve.points, time, key=lambda point: point[0])
    if not place:
        return None
    at, power_w = curve.points[place - 1]
    return power_w if time - at <= curve.holds else None
