"""Whether a counter agrees with the power that the same meter told: what was drawn beside what was counted."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter

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
    """Wh from one word of the counter to the next, while the power is known throughout."""

    drawn: float = 0.0
    """Power over time; between two powers their mean."""
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

    def add(self, drawn: float, counted: float, *, stretches: int) -> None:
        self.drawn += drawn
        self.counted += counted
        self.intervals += 1
        self.stretches += stretches
        if counted:
            self.step = min(self.step, counted)


class _Power:
    """What was drawn since it is known without a silence; told and counted may come in messages of their own."""

    def __init__(self) -> None:
        self.drawn = 0.0
        self._told: Sample | None = None
        self._at: datetime | None = None

    def pass_to(self, sample: Sample, profiles: InForce) -> bool:
        """Whether the power is known from the last sample to this one."""
        told, since = self._told, self._at
        known = told is not None and since is not None and sample.at - told.at <= profiles.at(told.at).span("stale_after")
        if known and told and since:
            before = told.power_w or 0.0
            after = before if sample.power_w is None else sample.power_w
            self.drawn += (before + after) / 2 * (sample.at - since).total_seconds() / 3600
        if sample.power_w is not None:
            self._told, self._at = sample, sample.at
        elif sample.state is not None or not known:
            self._told = self._at = None
        else:
            self._at = sample.at
        return known


def compared(samples: Iterable[Sample], profiles: InForce) -> Compared:
    """Of one series, in order. Silences and falls of the counter are left out of both."""
    found, power = Compared(), _Power()
    last: tuple[float, float] | None = None  # the counter, and what was drawn when it was told
    joined = False
    for sample in samples:
        if sample.beats and sample.energy_wh is None:
            continue
        if not power.pass_to(sample, profiles):
            last, joined = None, False
        if sample.energy_wh is None:
            continue
        rose = last is not None and sample.energy_wh >= last[0]
        if last and rose:
            found.add(power.drawn - last[1], sample.energy_wh - last[0], stretches=int(not joined))
        last, joined = (sample.energy_wh, power.drawn), rose
    return found


def compared_each(samples: Sequence[Sample], profiles: InForce) -> dict[str, Compared]:
    """Of a machine, in order: each series that tells power and counter by itself. A power without a name that has no counter of
    its own is that of all channels, as Tasmota tells it: it is compared with the sum of the counters without a power."""
    series = _each(samples)
    found = {name: compared(own, profiles) for name, own in series.items()}
    powers = [one for one in series.get("", ()) if one.power_w is not None]
    counters = {name: told for name, told in series.items() if _counts_alone(told)}
    if powers and counters and all(one.energy_wh is None for one in powers):
        found[""] = compared(sorted([*powers, *_sum(counters)], key=lambda one: (one.at, one.power_w is None)), profiles)
    return found


def _each(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    """What each series said itself."""
    found: dict[str, list[Sample]] = {}
    for one in samples:
        if not one.counters:
            found.setdefault("", []).append(one)
        powers = dict(one.powers)
        for name, value in one.counters:
            found.setdefault(name, []).append(Sample(one.at, powers.get(name), value, None))
    return found


def _counts_alone(samples: Sequence[Sample]) -> bool:
    return any(one.energy_wh is not None for one in samples) and all(one.power_w is None for one in samples)


def _sum(counters: Mapping[str, Sequence[Sample]]) -> Iterator[Sample]:
    """Of what each counted last, once all of them have said something; those of one instant at once."""
    told = ((one.at, name, one.energy_wh) for name, samples in counters.items() for one in samples if one.energy_wh is not None)
    known: dict[str, float] = {}
    for at, some in groupby(sorted(told), key=itemgetter(0)):
        known |= {name: value for _, name, value in some}
        if len(known) == len(counters):
            yield Sample(at, None, round(sum(known.values()), 3), None)
