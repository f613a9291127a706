"""Geometry of what the pages draw as SVG: values in, coordinates out. Templates only write them down."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from math import ceil, floor

from marketplace.slot import Slot
from web.views.attestations import Silence
from web.views.bookings import UseMinutes
from web.views.evaluation import TrendPoint

LEVELS = 7
"""Steps of the heat map's ramp."""

Curve = tuple[str, ...]
"""Stretches of "x,y x,y …", broken where there is no value."""


@dataclass(frozen=True, slots=True)
class Spark:
    """A small line of `width` x `height`, filled below."""

    width: int
    height: int
    lines: Curve
    areas: Curve


def spark(values: Sequence[float | None], width: int = 168, height: int = 30) -> Spark:
    """The curve from its lowest to its highest value."""
    known = [value for value in values if value is not None]
    if not known:
        return Spark(width, height, (), ())
    low, high = min(known), max(known)
    scale = (height - 6) / (high - low) if high > low else 0.0
    step = width / max(len(values) - 1, 1)
    points = [None if v is None else (i * step, height - 3 - (v - low) * scale) for i, v in enumerate(values)]
    runs = _runs(points)
    return Spark(width, height, tuple(map(_joined, runs)), tuple(_area(run, height) for run in runs))


def _runs(points: Sequence[tuple[float, float] | None]) -> list[list[tuple[float, float]]]:
    grouped = groupby(points, key=lambda point: point is not None)
    return [[point for point in group if point is not None] for known, group in grouped if known]


def _joined(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _area(points: Sequence[tuple[float, float]], base: float) -> str:
    return f"{points[0][0]:.1f},{base:.1f} {_joined(points)} {points[-1][0]:.1f},{base:.1f}"


@dataclass(frozen=True, slots=True)
class Mark:
    """A tick with what is written beside it."""

    at: float
    value: float


@dataclass(frozen=True, slots=True)
class Trend:
    """Weeks on a plane of `width` x `height`; `left` and `bottom` leave room for the axes."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    lines: Curve
    areas: Curve
    before: Curve
    ticks: Sequence[Mark]
    target_y: float | None
    last: tuple[float, float] | None
    labels: Sequence[tuple[float, int]]
    """(x, index of the week) of the dates to write."""


def trend(points: Sequence[TrendPoint], target: float | None) -> Trend:
    """A line of shares in per cent, the year before dashed, the target across."""
    width, height, left, top, right, bottom = 680, 270, 38, 14, 672, 226
    known = [v for p in points for v in (p.value, p.before) if v is not None] + ([target] if target is not None else [])
    low = floor((min(known, default=0) - 2) / 10) * 10 if known else 0
    low, high = max(low, 0), ceil((max(known, default=100) + 2) / 10) * 10
    step = (right - left) / max(len(points) - 1, 1)

    def y(value: float) -> float:
        return bottom - (value - low) * (bottom - top) / max(high - low, 1)

    now = [None if p.value is None else (left + i * step, y(p.value)) for i, p in enumerate(points)]
    before = [None if p.before is None else (left + i * step, y(p.before)) for i, p in enumerate(points)]
    grid = 2 if high - low <= 10 else max(5, ceil((high - low) / 50) * 10)
    shown = sorted({round(i * (len(points) - 1) / 5) for i in range(6)}) if len(points) > 1 else [0][: len(points)]
    return Trend(
        width, height, left, right, top, bottom,
        lines=tuple(map(_joined, _runs(now))),
        areas=tuple(_area(run, bottom) for run in _runs(now)),
        before=tuple(map(_joined, _runs(before))),
        ticks=[Mark(round(y(v), 1), v) for v in range(int(low), int(high) + 1, grid)],
        target_y=None if target is None else round(y(target), 1),
        last=next((point for point in reversed(now) if point), None),
        labels=[(round(left + i * step, 1), i) for i in shown],
    )  # fmt: skip


def heat_level(value: float | None) -> int:
    """0 (nothing) to 6 (nearly always) for a share in per cent."""
    return 0 if value is None else min(int(value / 100 * LEVELS), LEVELS - 1)


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch from `x`, `width` long, in `kind`."""

    x: float
    width: float
    kind: str


@dataclass(frozen=True, slots=True)
class UseGraph:
    """Booked above measured on one time axis of `width`, with the power curve between `power_top` and `power_bottom`."""

    width: int
    height: int
    booked: Bar
    measured: Sequence[Bar]
    power: Curve
    power_area: Curve
    peak_w: float
    hours: Sequence[tuple[float, datetime]]


def use_graph(booked: Slot, use: UseMinutes) -> UseGraph:
    """Drawn from half an hour before the booking, or earlier pieces, to half an hour after it or later ones."""
    width = 720
    drawn, x = _axis([booked, *(piece.slot for piece in use.pieces)], width)
    power = [(at, watts) for at, watts in use.power if drawn.start <= at <= drawn.end]
    peak = max((watts for _, watts in power), default=0.0)
    points = [(x(at), round(208 - watts / peak * 104, 1)) for at, watts in power] if peak else []
    return UseGraph(
        width=width,
        height=240,
        booked=Bar(x(booked.start), round(x(booked.end) - x(booked.start), 1), "booked"),
        measured=[_bar(piece.state, x(piece.slot.start), x(piece.slot.end)) for piece in use.pieces],
        power=(_joined(points),) if points else (),
        power_area=(_area(points, 208),) if points else (),
        peak_w=peak,
        hours=[(x(at), at) for at in _hours(drawn)],
    )


@dataclass(frozen=True, slots=True)
class SilenceGraph:
    """Booked, known and stated below each other on one time axis of `width`."""

    width: int
    height: int
    booked: Bar
    known: Sequence[Bar]
    stated: Sequence[Bar]
    hours: Sequence[tuple[float, datetime]]


def silence_graph(one: Silence) -> SilenceGraph:
    """Drawn as far as the pieces reach; shorter where nothing is stated."""
    width = 720
    drawn, x = _axis([one.slot, *(piece.slot for piece in one.pieces), *one.stated], width)
    return SilenceGraph(
        width=width,
        height=136 if one.stated else 98,
        booked=_bar("booked", x(one.slot.start), x(one.slot.end)),
        known=[_bar(piece.state, x(piece.slot.start), x(piece.slot.end)) for piece in one.pieces],
        stated=[_bar("run", x(slot.start), x(slot.end)) for slot in one.stated],
        hours=[(x(at), at) for at in _hours(drawn)],
    )


def _axis(spans: Sequence[Slot], width: int) -> tuple[Slot, Callable[[datetime], float]]:
    """What is drawn, half an hour more than the spans on either side, and where an instant lies on it."""
    margin = timedelta(minutes=30)
    drawn = Slot(min(span.start for span in spans) - margin, max(span.end for span in spans) + margin)
    return drawn, lambda at: round((at - drawn.start) / drawn.duration * width, 1)


def _bar(kind: str, start: float, end: float) -> Bar:
    return Bar(start, round(max(end - start, 1.0), 1), kind.lower())


def _hours(drawn: Slot) -> list[datetime]:
    """Whole hours, thinned out to at most eight."""
    first = drawn.start.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    count = int((drawn.end - first) / timedelta(hours=1)) + 1
    step = max(1, ceil(count / 8))
    return [first + timedelta(hours=n) for n in range(0, max(count, 0), step)]


@dataclass(frozen=True, slots=True)
class PowerGraph:
    """Watts over time with the two thresholds as levels; y of a level is `top` at `peak_w` and `bottom` at 0."""

    width: int
    height: int
    line: Curve
    peak_w: float
    on_y: float | None
    off_y: float | None


def power_graph(power: Sequence[tuple[datetime, float]], on_w: float | None, off_w: float | None) -> PowerGraph:
    """The recent watts beside the levels at which use begins and ends."""
    width, height = 720, 180
    peak = max([watts for _, watts in power] + [level * 1.2 for level in (on_w, off_w) if level], default=0.0) or 1.0
    span = (power[-1][0] - power[0][0]) / timedelta(seconds=1) if len(power) > 1 else 1.0

    def y(watts: float) -> float:
        return round(height - 8 - watts / peak * (height - 20), 1)

    points = [((at - power[0][0]) / timedelta(seconds=1) / max(span, 1) * width, y(watts)) for at, watts in power]
    return PowerGraph(
        width, height, (_joined(points),) if points else (), peak,
        None if on_w is None else y(on_w), None if off_w is None else y(off_w),
    )  # fmt: skip


def number_or_none(text: str) -> float | None:
    """A field's text as a number, None where it is none."""
    try:
        return float(text)
    except ValueError:
        return None
