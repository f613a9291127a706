"""What an honest machine's meter does not say: each kind with its evidence, and with what keeps it from accusing one.

Each looks at one device and day. None changes a session, a bill or an evaluation.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise

from devices.agreement import compared_each
from devices.flags.bursts import burst
from devices.flags.days import Day, Found, Kind, length
from devices.flags.relays import relay_off
from devices.flags.takeovers import takeovers
from devices.placing import Sample
from devices.profile import InForce
from devices.sessions import Load, load_of
from marketplace.slot import Slot

FLAT_FOR, FLAT_SAMPLES, FINE = timedelta(hours=2), 60, 0.01
"""A coarse meter repeats itself honestly: what is judged must be told more finely than a hundredth."""
UNTOLD_FOR, UNTOLD_W = timedelta(hours=12), 100.0
"""Where nothing shows how finely it tells: half a day in all, and of a power that a plug telling whole watts tells finely."""
GRAINS = (1000.0, 100.0, 10.0, 1.0, 0.1, 0.01)


def flat(day: Day) -> Found | None:
    """The same power to the last digit for two hours while it ran. A load that is measured moves with the mains."""
    longest = max(_flat(day, day.samples), key=length, default=None)
    if longest is None or length(longest) < FLAT_FOR or len(longest) < FLAT_SAMPLES:
        return None
    power = longest[0].power_w or 0.0
    told = {one.power_w for one in (*day.before, *day.samples) if one.power_w is not None}
    grain = _grain(told)
    fine = grain <= power * FINE
    if not fine and (_is_coarse(told, grain) or power < UNTOLD_W or _in_all(day, power) < UNTOLD_FOR):
        return None
    return Found(Kind.FLAT, _span(longest), {"power_w": power, "samples": len(longest)}, lasting=not fine)


def _flat(day: Day, samples: Sequence[Sample]) -> list[Sequence[Sample]]:
    return _stretches(
        day, samples, lambda one, after: one.power_w == after.power_w and load_of(one, day.profile.at(one.at)) is Load.ON
    )


def _is_coarse(told: Collection[float], grain: float) -> bool:
    """Two powers one step apart: so a load looks that moves, told coarsely. A round number alone does not show it."""
    steps = {round(one / grain) for one in told if one} if grain else set()
    return any(one + 1 in steps for one in steps)


def _in_all(day: Day, power: float) -> timedelta:
    """How long it was exactly that, on the days before too."""
    runs = [run for run in _flat(day, (*day.before, *day.samples)) if run[0].power_w == power]
    return sum(map(length, runs), timedelta())


REPLAYED_SAMPLES, REPLAYED_VALUES = 45, 15


def replayed(day: Day) -> Found | None:
    """45 powers, 15 of them different, that equal 45 from before. Noise does not come twice; coarse values may."""
    powers = [one.power_w for one in day.samples if one.power_w is not None]
    if len(powers) < REPLAYED_SAMPLES:
        return None
    measured = [one for one in (*day.before, *day.samples) if one.power_w is not None]
    seen: dict[int, int] = {}
    first_today = len(measured) - len(powers)
    for place in range(len(measured) - REPLAYED_SAMPLES + 1):
        window = _powers(measured, place)
        before = seen.setdefault(hash(window), place)
        if place < first_today or place - before < REPLAYED_SAMPLES or len(set(window)) < REPLAYED_VALUES:
            continue
        if _powers(measured, before) != window:
            continue
        end = _end_of_copy(measured, before, place)
        told = {"samples": end - place, "first_at": measured[before].at.isoformat()}
        return Found(Kind.REPLAYED, Slot(measured[place].at, measured[end - 1].at), told)
    return None


def _powers(measured: Sequence[Sample], place: int) -> tuple[float | None, ...]:
    return tuple(one.power_w for one in measured[place : place + REPLAYED_SAMPLES])


def _end_of_copy(measured: Sequence[Sample], before: int, place: int) -> int:
    """The index after the last sample that still equals its model."""
    length = REPLAYED_SAMPLES
    while place + length < len(measured) and measured[before + length].power_w == measured[place + length].power_w:
        length += 1
    return place + length


MISMATCH_WH, MISMATCH_INTERVALS = 200.0, 60


def energy_mismatch(day: Day) -> Found | None:
    """Power over time and the counter do not agree, of enough to tell; of several channels the largest that does not."""
    told_each = compared_each(day.samples, day.profile)
    enough = {name: one for name, one in told_each.items() if one.intervals >= MISMATCH_INTERVALS and one.larger >= MISMATCH_WH}
    apart = [name for name, one in enough.items() if not one.agree]
    if not apart:
        return None
    channel = max(apart, key=lambda name: (enough[name].larger, name))
    found = enough[channel]
    told = {
        "drawn_wh": round(found.drawn), "counted_wh": round(found.counted), "intervals": found.intervals, "channel": channel,
    }  # fmt: skip
    return Found(Kind.ENERGY_MISMATCH, day.slot, told)


OVER_BY, OVER_FOR, OVER_SAMPLES = 1.2, timedelta(minutes=2), 3


def over_rating(day: Day) -> Found | None:
    """More than 1.2 times the rated power for two minutes. What flows as a machine is switched on is over by then."""

    def over(one: Sample) -> bool:
        rated = day.profile.at(one.at).rated_w
        return bool(rated) and (one.power_w or 0) > (rated or 0) * OVER_BY

    runs = [run for run in _stretches(day, day.samples, lambda one, after: over(one) and over(after)) if over(run[0])]
    longest = max(runs, key=length, default=None)
    if longest is None or length(longest) < OVER_FOR or len(longest) < OVER_SAMPLES:
        return None
    most = max(one.power_w or 0 for one in longest)
    told = {"power_w": most, "rated_w": day.profile.at(longest[0].at).rated_w, "samples": len(longest)}
    return Found(Kind.OVER_RATING, _span(longest), told)


ALWAYS_DAYS, ALWAYS_SHARE = 7, 0.98


def always_on(day: Day) -> Found | None:
    """It ran, seen all the while, for a week: more often thresholds that lie too low than work."""
    shares = [running_share(day.samples, day.profile, day.slot), *day.running_before[: ALWAYS_DAYS - 1]]
    if len(shares) < ALWAYS_DAYS or min(shares) < ALWAYS_SHARE:
        return None
    powers = sorted(one.power_w for one in day.samples if one.power_w is not None)
    told = {"days": len(shares), "least_w": powers[0] if powers else None, "p_on": day.profile.at(day.slot.start).p_on}
    return Found(Kind.ALWAYS_ON, day.slot, told)


def running_share(samples: Sequence[Sample], profile: InForce, within: Slot) -> float:
    """Of the whole of `within`, in which samples say ON and are followed in time by another."""
    running = timedelta()
    for one, after in pairwise(samples):
        mine = profile.at(one.at)
        if after.at - one.at <= mine.span("stale_after") and load_of(one, mine) is Load.ON:
            running += after.at - one.at
    return running / within.duration


CLOCK_MESSAGES, CLOCK_SHARE = 20, 0.1


def clock(day: Day) -> Found | None:
    """A tenth of its messages, 20 at least, told a time that ours does not bear out: a wrong zone, a clock that was moved."""
    if day.ill_timed < CLOCK_MESSAGES or day.ill_timed < day.messages * CLOCK_SHARE:
        return None
    return Found(Kind.CLOCK, day.slot, {"messages": day.messages, "ill_timed": day.ill_timed})


RULES: Mapping[Kind, Callable[[Day], Found | None]] = {
    Kind.FLAT: flat,
    Kind.REPLAYED: replayed,
    Kind.ENERGY_MISMATCH: energy_mismatch,
    Kind.OVER_RATING: over_rating,
    Kind.ALWAYS_ON: always_on,
    Kind.CLOCK: clock,
    Kind.RELAY_OFF: relay_off,
    Kind.TAKEOVERS: takeovers,
    Kind.BURST: burst,
}


def look(day: Day) -> list[Found]:
    """One of each kind at most."""
    return [found for rule in RULES.values() if (found := rule(day)) is not None]


def _stretches(day: Day, samples: Sequence[Sample], together: Callable[[Sample, Sample], bool]) -> list[Sequence[Sample]]:
    """Measured samples that follow each other in time and of which each two belong together."""
    measured = [one for one in samples if one.power_w is not None]
    found = list[Sequence[Sample]]()
    begin = 0
    for place, (one, after) in enumerate(pairwise(measured), start=1):
        if after.at - one.at > day.profile.at(one.at).span("stale_after") or not together(one, after):
            found.append(measured[begin:place])
            begin = place
    return [*found, measured[begin:]] if measured else []


def _span(stretch: Sequence[Sample]) -> Slot:
    return Slot(stretch[0].at, stretch[-1].at)


def _grain(told: Collection[float]) -> float:
    """The coarsest step of which every power that was told is a multiple, W."""
    return next((step for step in GRAINS if all(abs(one / step - round(one / step)) < 1e-6 for one in told)), 0.0)
