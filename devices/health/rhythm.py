"""How often a meter speaks and whether its clock agrees with ours, by its last messages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil
from statistics import median

FEWEST = 3
"""Messages that tell a time before anything is said of the clock."""
AT_ONCE_S = 0.5
STEADY_S = 120.0
"""Offsets that lie no further apart are one offset."""
ZONE_STEP_S, ZONE_MOST_S = 900, 14 * 3600
"""Zones differ by quarters of an hour, by fourteen hours at most."""


@dataclass(frozen=True, slots=True)
class Clock:
    """How far the meter's clock is behind ours, in s; less than 0 where it is ahead."""

    behind_s: float
    steady: bool

    @property
    def zone_s(self) -> int | None:
        """The whole quarters of an hour that a wrong time zone makes of it; None where it is something else.

        >>> Clock(28803.0, True).zone_s, Clock(28803.0, False).zone_s, Clock(2.0, True).zone_s, Clock(28400.0, True).zone_s
        (28800, None, None, None)
        """
        found = round(self.behind_s / ZONE_STEP_S) * ZONE_STEP_S
        is_zone = self.steady and found and abs(found) <= ZONE_MOST_S and abs(self.behind_s - found) <= STEADY_S
        return found if is_zone else None


def interval_s(heard: Sequence[datetime]) -> float | None:
    """Between two messages, in s: nine of ten gaps are no longer, so that one silence does not count. None for fewer than two.

    Times in order. Several messages at once, one for each value, count as one.
    """
    every = sorted((b - a) / timedelta(seconds=1) for a, b in pairwise(heard))
    gaps = [gap for gap in every if gap >= AT_ONCE_S] or every
    return gaps[ceil(0.9 * len(gaps)) - 1] if gaps else None


def clock_of(told: Sequence[tuple[datetime, datetime]]) -> Clock | None:
    """By (received, measured) of messages that came as they were made; None where too few tell a time."""
    if len(told) < FEWEST:
        return None
    offsets = [(received - measured) / timedelta(seconds=1) for received, measured in told]
    return Clock(round(median(offsets), 1), max(offsets) - min(offsets) <= STEADY_S)
