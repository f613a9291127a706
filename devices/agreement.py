"""Whether a counter agrees with the power that the same meter told: what was drawn beside what was counted."""

from collections.abc import Iterable
from dataclasses import dataclass

from devices.placing import Sample
from devices.profile import InForce

SHARE = 0.25
"""Of the larger of the two. Power is told at moments and drawn in between: a load that cycles is seen by chance."""
STEPS = 2
"""Of the counter, for each stretch: where it stood within a step at the begin and at the end is not known."""
COARSEST_WH = 1000.0
"""A counter that did not move at all may count whole kilowatt-hours."""


@dataclass(slots=True)
class Compared:
    """Wh of the intervals whose both ends tell power and counter."""

    drawn: float = 0.0
    """The mean power of the two ends, over time."""
    counted: float = 0.0
    intervals: int = 0
    stretches: int = 0
    """Of intervals that follow each other."""
    step: float = COARSEST_WH
    """The counter's least rise."""

    @property
    def larger(self) -> float:
        return max(self.drawn, self.counted)

    @property
    def agree(self) -> bool:
        """Also where there was nothing to compare."""
        return abs(self.drawn - self.counted) <= max(self.larger * SHARE, STEPS * self.stretches * self.step)


def compared(samples: Iterable[Sample], profiles: InForce) -> Compared:
    """Of one series, in order. Silences, falls of the counter and what lacks either are left out of both."""
    found, joined = Compared(), False
    last: Sample | None = None
    for sample in samples:
        if sample.beats:
            continue
        moved = _moved(last, sample, profiles) if last is not None else None
        if last is not None and moved is not None:
            hours = (sample.at - last.at).total_seconds() / 3600
            found.drawn += ((last.power_w or 0.0) + (sample.power_w or 0.0)) / 2 * hours
            found.counted += moved
            found.intervals += 1
            found.stretches += not joined
            if moved:
                found.step = min(found.step, moved)
        joined, last = moved is not None, sample
    return found


def _moved(last: Sample, sample: Sample, profiles: InForce) -> float | None:
    """Wh that the counter rose; None where it cannot be compared with power."""
    if last.power_w is None or sample.power_w is None or last.energy_wh is None or sample.energy_wh is None:
        return None
    if sample.energy_wh < last.energy_wh or sample.at - last.at > profiles.at(last.at).span("stale_after"):
        return None
    return sample.energy_wh - last.energy_wh
