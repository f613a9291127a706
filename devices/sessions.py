"""From samples to sessions: a fold over samples in time, the same result whatever order they came in.

Sessions say when the machine really ran, what of that is confirmed, what silence leaves open, and why each began and ended.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice, takewhile

from devices.agreement import compared
from devices.placing import Sample
from devices.profile import InForce, Profile


class Load(StrEnum):
    """What a sample says of the machine. KEEP neither opens a candidate nor ends a pause."""

    ON = "ON"
    OFF = "OFF"
    KEEP = "KEEP"


class EndReason(StrEnum):
    OFF = "off"
    GAP = "gap"


class SessionState(StrEnum):
    CLOSED = "closed"
    IN_USE = "in_use"
    UNKNOWN = "unknown"


class Grade(StrEnum):
    """How well a session is evidenced: A the counter agrees throughout, B in part or not with the power, C no counter,
    D unverified time."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"


WH_DIGITS = 6
"""Energies are compared to a millionth of a Wh: 34.111 - 19.111 is a little less than 15 in binary, and 15 Wh is enough."""

JUMP = 1.5
"""Times the rating: nothing draws more, and a counter that rises faster has jumped."""

BESIDE = timedelta(seconds=2)
"""So near to a silence a counter still tells of it that came in a message of its own, beside that of the power."""

LOADS = {"RUN": Load.ON, "IDLE": Load.OFF, "STANDBY": Load.OFF, "OFF": Load.OFF, "DOWN": Load.OFF, "HELD": Load.KEEP}
"""The native state vocabulary; a state that is not here is KEEP and noted."""


@dataclass(frozen=True, slots=True)
class Bridge:
    """A silence inside a session, and whether the energy counter proves that it ran on."""

    start: datetime
    end: datetime
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Session:
    """One run. Open while `end` is None; `until` is then how far its confirmed time reaches."""

    start: datetime
    end: datetime | None
    until: datetime
    confirmed_s: float
    unverified_s: float
    energy_wh: float
    end_reason: EndReason | None
    state: SessionState
    flags: tuple[str, ...]
    bridges: tuple[Bridge, ...]
    grade: Grade


@dataclass(slots=True)
class _Run:
    """A session or candidate while it is being folded."""

    start: datetime
    proven: bool = False
    pause: datetime | None = None
    flags: set[str] = field(default_factory=set)
    bridges: list[Bridge] = field(default_factory=list)
    first: int = 0
    """Index of the sample it began with."""
    counter: Sample | None = None
    """The last one that told a counter."""
    peak_w: float = 0.0
    """The highest power that was told."""


def load_of(sample: Sample, profile: Profile) -> Load:
    """State wins over power; a sample with neither is a heartbeat and keeps."""
    if sample.state is not None:
        return LOADS.get(sample.state, Load.KEEP)
    if sample.power_w is None:
        return Load.KEEP
    if sample.power_w >= profile.p_on:
        return Load.ON
    return Load.OFF if sample.power_w < profile.p_off else Load.KEEP


class Fold:
    """Walks samples in time once. `sessions` and `notes` hold the result after `finish`."""

    def __init__(self, samples: Sequence[Sample], profiles: InForce) -> None:
        self._samples, self._profiles = samples, profiles
        self._run: _Run | None = None
        self.sessions: list[Session] = []
        self.notes: set[str] = set()

    def walk(self, now: datetime) -> None:
        """Fold every sample, then look at `now` for what is still open."""
        last: Sample | None = None
        for index, sample in enumerate(self._samples):
            load = load_of(sample, self._profiles.at(sample.at))
            if sample.state is not None and sample.state not in LOADS:
                self.notes.add("unknown_state")
            if self._run and last:
                self._pass_time(index, last, sample, load)
            self._take(index, sample, load)
            last = sample
        if self._run and last:
            self._finish(last, now)

    def _pass_time(self, index: int, last: Sample, sample: Sample, load: Load) -> None:
        """What the time since the last sample did to the open run. The pause rule comes before the silence rule."""
        run, silence = self._run, sample.at - last.at
        if run is None:
            return
        if run.pause is not None and sample.at - run.pause >= self._span("min_off", run.pause):
            self._close(run, run.pause, EndReason.OFF)
        elif silence > self._span("stale_after", last.at):
            self._cross(run, index, last, sample, load)

    def _span(self, name: str, began: datetime) -> timedelta:
        """As it was set when what it measures began."""
        return self._profiles.at(began).span(name)

    def _cross(self, run: _Run, index: int, last: Sample, sample: Sample, load: Load) -> None:
        """A silence longer than stale_after."""
        if not run.proven:
            self._run = None
            return
        profile = self._profiles.at(last.at)
        moved, counted = self._moved_across(run, index)
        if sample.at - last.at > profile.span("max_gap") or load is Load.OFF:
            if sample.at - last.at <= profile.span("max_gap"):
                run.flags.add("end_uncertain")
            if moved > 0:
                self.notes.add("energy_in_gap")
            self._close(run, last.at, EndReason.GAP)
            return
        bridge = Bridge(last.at, sample.at, confirmed=False)
        run.bridges.append(replace(bridge, confirmed=counted and self._is_enough(bridge, moved)))

    def _is_enough(self, bridge: Bridge, moved: float) -> bool:
        p_off = self._profiles.at(bridge.start).p_off
        return moved >= round(p_off * (bridge.end - bridge.start).total_seconds() / 3600, WH_DIGITS)

    def _moved_across(self, run: _Run, index: int) -> tuple[float, bool]:
        """Wh that counters moved since the last message of each, within the run, and whether any can tell."""
        last, sample = self._samples[index - 1], self._samples[index]
        if not sample.counters:
            return self._moved_alone(run, last.at, sample.at, sample)
        moved, counted, left = 0.0, False, dict(sample.counters)
        for place in range(index - 1, run.first - 1, -1):
            before = self._samples[place]
            for metric, value in before.counters:
                if metric in left:
                    one, after = Sample(before.at, None, value, None), Sample(sample.at, None, left.pop(metric), None)
                    moved += energy_between(one, after, self._profiles.at(before.at))
                    counted |= one.energy_wh is not None and after.energy_wh is not None
            if not left:
                break
        return moved, counted

    def _moved_alone(self, run: _Run, begin: datetime, end: datetime, sample: Sample) -> tuple[float, bool]:
        """The same of one series, across a silence that `sample` follows. What the machine may have drawn between the silence and
        counters beside it is taken off, so that one that stood still is not taken for one that ran."""
        before = run.counter
        if before is None or sample.energy_wh is None or begin - before.at > BESIDE or sample.at - end > BESIDE:
            return 0.0, False
        profile = self._profiles.at(begin)
        moved, beside = energy_between(before, sample, profile), begin - before.at + sample.at - end
        if not beside:
            return moved, True
        most = max(run.peak_w, sample.power_w or 0.0, JUMP * (profile.rated_w or 0.0))
        return round(moved - most * beside.total_seconds() / 3600, WH_DIGITS), most > 0

    def _count(self, run: _Run, sample: Sample) -> None:
        """A counter may tell of the silence before the last message."""
        if sample.energy_wh is not None:
            if run.bridges and run.counter and run.counter.at <= run.bridges[-1].start:
                bridge = run.bridges[-1]
                moved, counted = self._moved_alone(run, bridge.start, bridge.end, sample)
                run.bridges[-1] = replace(bridge, confirmed=counted and self._is_enough(bridge, moved))
            run.counter = sample
        run.peak_w = max(run.peak_w, sample.power_w or 0.0)

    def _take(self, index: int, sample: Sample, load: Load) -> None:
        """What the sample itself does."""
        run = self._run
        if run is None:
            if load is Load.ON:
                self._run = _Run(sample.at, first=index)
                self._prove(self._run, sample.at)
                self._count(self._run, sample)
            return
        self._prove(run, sample.at)
        self._count(run, sample)
        if load is Load.ON:
            run.pause = None
        elif load is Load.OFF and not run.proven:
            self.notes.add("short_pulse")
            self._run = None
        elif load is Load.OFF and run.pause is None:
            run.pause = sample.at

    def _prove(self, run: _Run, at: datetime) -> None:
        if not run.proven and at - run.start >= self._span("min_on", run.start):
            run.proven = True

    def _close(self, run: _Run, end: datetime, reason: EndReason) -> None:
        self.sessions.append(self._session(run, end, end, reason, SessionState.CLOSED))
        self._run = None

    def _session(
        self, run: _Run, until: datetime, end: datetime | None, reason: EndReason | None, state: SessionState
    ) -> Session:
        energy, flags, grade = self._energy(run, until)
        self.notes |= flags
        bridges = tuple(bridge for bridge in run.bridges if bridge.start < until)
        flags |= {"gap_energy_confirmed" if bridge.confirmed else "gap_unverified" for bridge in bridges}
        unverified = sum((b.end - b.start for b in bridges if not b.confirmed), timedelta())
        return Session(
            start=run.start,
            end=end,
            until=until,
            confirmed_s=(until - run.start - unverified).total_seconds(),
            unverified_s=unverified.total_seconds(),
            energy_wh=energy,
            end_reason=reason,
            state=state,
            flags=tuple(sorted(run.flags | flags)),
            bridges=bridges,
            grade=Grade.D if unverified else grade,
        )

    def _energy(self, run: _Run, until: datetime) -> tuple[float, set[str], Grade]:
        """Wh between the counter values from the start to `until`, both inclusive, what was odd, and how good it is."""
        first = run.first
        while first and self._samples[first - 1].at == run.start:
            first -= 1  # said at the same instant, and so within the session
        within = list(takewhile(lambda one: one.at <= until, islice(self._samples, first, None)))
        found = counted(within, self._profiles)
        if not found.any:
            return found.total, found.flags, Grade.C
        whole = found.total and not found.partly and not found.flags
        return found.total, found.flags, Grade.A if whole and compared(within, self._profiles).agree else Grade.B

    def _finish(self, last: Sample, now: datetime) -> None:
        """What is open at `now`: a pause may have lasted, a silence may have grown too long."""
        run, silence = self._run, now - last.at
        if run is None or not run.proven:
            return
        if run.pause is not None and now - run.pause >= self._span("min_off", run.pause):
            self._close(run, run.pause, EndReason.OFF)
        elif silence > self._span("max_gap", last.at):
            self._close(run, last.at, EndReason.GAP)
        else:
            stale = silence > self._span("stale_after", last.at)
            state = SessionState.UNKNOWN if stale else SessionState.IN_USE
            self.sessions.append(self._session(run, run.pause or last.at, None, None, state))


@dataclass(slots=True)
class Counted:
    """What the counters of a stretch moved, in Wh, and what was odd."""

    total: float = 0.0
    flags: set[str] = field(default_factory=set)
    partly: bool = False
    """A sample told of something else and not of a counter."""
    any: bool = False


def counted(samples: Iterable[Sample], profiles: InForce) -> Counted:
    """Between the values of these samples, each series by itself."""
    found, last = Counted(), dict[str, Sample]()
    for sample in samples:
        told = _counters(sample)
        found.partly |= not (told or sample.beats)
        for metric, one in told:
            if (before := last.get(metric)) is not None:
                profile = profiles.at(before.at)
                found.total += energy_between(before, one, profile)
                found.flags |= energy_flags(before, one, profile)
            last[metric] = one
    found.any = bool(last)
    return found


def _counters(sample: Sample) -> Sequence[tuple[str, Sample]]:
    """Each counter of which the sample tells, by series."""
    if not sample.counters:
        return [("", sample)] if sample.energy_wh is not None else []
    return [(metric, Sample(sample.at, None, value, None)) for metric, value in sample.counters if value is not None]


def energy_between(last: Sample, sample: Sample, profile: Profile) -> float:
    """Wh that the counter moved; after a fall the new value; a jump above JUMP x the rating counts nothing."""
    if last.energy_wh is None or sample.energy_wh is None:
        return 0.0
    moved = _moved(last.energy_wh, sample.energy_wh)
    return 0.0 if _jumps(moved, last, sample, profile) else moved


def energy_flags(last: Sample, sample: Sample, profile: Profile) -> set[str]:
    if last.energy_wh is None or sample.energy_wh is None:
        return set()
    fell = sample.energy_wh < last.energy_wh
    moved = _moved(last.energy_wh, sample.energy_wh)
    flags = {"energy_reset"} if fell else set()
    return flags | ({"energy_jump"} if _jumps(moved, last, sample, profile) else set())


def _moved(before: float, after: float) -> float:
    return after if after < before else round(after - before, WH_DIGITS)


def _jumps(moved: float, last: Sample, sample: Sample, profile: Profile) -> bool:
    if profile.rated_w is None:
        return False
    return moved > round(profile.rated_w * (sample.at - last.at).total_seconds() / 3600 * JUMP, WH_DIGITS)


def fold(samples: Sequence[Sample], profiles: InForce, *, now: datetime) -> tuple[list[Session], set[str]]:
    """Sessions in order, the last perhaps open, and notes on the recording. `samples` are in order of time."""
    folding = Fold(samples, profiles)
    folding.walk(now)
    return folding.sessions, folding.notes
