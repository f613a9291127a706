"""Segments against bookings: what each booking really used, and what was used without one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from fractions import Fraction

from devices.segments import Segment, State, joined
from marketplace.slot import Slot, intersect, subtract, total, union

EARLY_GRACE = timedelta(seconds=900)
OVERRUN_MAX = timedelta(seconds=3600)
COVERAGE_MIN = Fraction(9, 10)
FAILED_SHARE = Fraction(1, 2)
"""A booking without use of which this much was down is the provider's failure."""


class Verdict(StrEnum):
    FULFILLED = "fulfilled"
    NO_SHOW = "no_show"
    PROVIDER_FAILED = "provider_failed"
    UNVERIFIABLE = "unverifiable"


@dataclass(frozen=True, slots=True)
class Booked:
    """A booking as matching sees it."""

    booking_id: str
    slot: Slot
    attested: Sequence[Slot] = ()
    """Use that both sides signed for; it counts only where telemetry is silent."""
    attested_unused: bool = False
    """Both sides signed that it was not used: silence is then no reason to doubt it."""


@dataclass(frozen=True, slots=True)
class Use:
    """What one booking used. `pieces` are all its states in order, early start and overrun included."""

    booking_id: str
    slot: Slot
    verdict: Verdict
    pieces: tuple[Segment, ...]
    confirmed: timedelta
    early: timedelta
    overrun: timedelta
    unverified: timedelta
    fault: timedelta
    attested: timedelta
    """Of `confirmed`, `early` and `overrun`, what rests on signatures alone."""
    split: bool
    """A run went on across the border to a neighbour's booking."""


def match(segments: Sequence[Segment], bookings: Sequence[Booked], *, down: Sequence[Slot] = ()) -> list[Use]:
    """The use of every booking, in order of start. No second of run goes to two bookings.

    `down` is maintenance and breakdown that a person recorded, in which no run is use; uncovered time is UNKNOWN.
    """
    ordered = sorted(bookings, key=lambda booked: (booked.slot, booked.booking_id))
    resolved = _resolve(segments, ordered, down)
    measured = [segment.slot for segment in resolved if segment.state is State.RUN]
    given: list[Slot] = []
    uses: list[Use] = []
    for number, booked in enumerate(ordered):
        known, signed = _with_attested(resolved, booked.attested)
        runs = union([*measured, *signed])
        following = ordered[number + 1].slot if number + 1 < len(ordered) else None
        free = subtract([booked.slot], given)
        overrun = _overrun(booked.slot, runs, following)
        grace = Slot(booked.slot.start - EARLY_GRACE, booked.slot.start)
        early = subtract(intersect([grace], runs), [*given, *(other.slot for other in ordered[:number])])
        uses.append(_use(booked, known, Credited(runs, signed, free, early, overrun)))
        given = union([*given, booked.slot, *early, *overrun])
    return uses


@dataclass(frozen=True, slots=True)
class Credited:
    """The runs that one booking may claim, those of them that are `signed` only, and where it may claim them."""

    runs: list[Slot]
    signed: list[Slot]
    free: list[Slot]
    early: list[Slot]
    overrun: list[Slot]


def _with_attested(resolved: Sequence[Segment], attested: Sequence[Slot]) -> tuple[Sequence[Segment], list[Slot]]:
    """The segments with RUN where one booking's statement fills a silence, and where that is."""
    if not attested:
        return resolved, []
    signed = subtract(attested, [segment.slot for segment in resolved if segment.state is not State.UNKNOWN])
    left = [Segment(piece, one.state) for one in resolved for piece in subtract([one.slot], signed)]
    return sorted([*left, *(Segment(slot, State.RUN) for slot in signed)], key=lambda one: one.slot), signed


def _resolve(segments: Sequence[Segment], bookings: Sequence[Booked], down: Sequence[Slot]) -> list[Segment]:
    """What is down is FAULT; a bridged silence wholly inside one booking is RUN."""
    found = []
    for segment in segments:
        inside = segment.bridged and any(booked.slot.contains(segment.slot) for booked in bookings)
        state = State.RUN if inside else segment.state
        found += [Segment(piece, state) for piece in subtract([segment.slot], down)]
    found += [Segment(slot, State.FAULT) for slot in union(down)]
    return joined(sorted(found, key=lambda segment: segment.slot))


def _overrun(slot: Slot, runs: Sequence[Slot], following: Slot | None) -> list[Slot]:
    """The unbroken run past the end, up to an hour or the next booking."""
    limit = slot.end + OVERRUN_MAX
    if following is not None:
        limit = min(limit, following.start)
    past = next((run for run in union(runs) if run.start < slot.end < run.end), None)
    if past is None or limit <= slot.end:
        return []
    return [Slot(slot.end, min(past.end, limit))]


def _use(booked: Booked, known: Sequence[Segment], credited: Credited) -> Use:
    inside = _cover(known, credited.free)
    early, overrun = credited.early, credited.overrun
    spans = {state: total(piece.slot for piece in inside if piece.state is state) for state in State}
    extra = [Segment(slot, State.RUN) for slot in (*early, *overrun)]
    used = spans[State.RUN] + total(early) + total(overrun)
    edge = booked.slot.end
    split = any(run.start < edge < run.end for run in credited.runs) and not overrun
    return Use(
        booking_id=booked.booking_id,
        slot=booked.slot,
        verdict=_verdict(booked, used, spans),
        pieces=tuple(joined(sorted([*inside, *extra], key=lambda piece: piece.slot))),
        confirmed=spans[State.RUN],
        early=total(early),
        overrun=total(overrun),
        unverified=spans[State.UNKNOWN],
        fault=spans[State.FAULT],
        attested=total(intersect(credited.signed, [*credited.free, *early, *overrun])),
        split=split,
    )


def _cover(resolved: Sequence[Segment], free: Sequence[Slot]) -> list[Segment]:
    known = [Segment(piece, segment.state) for segment in resolved for slot in free if (piece := segment.slot.clip(slot))]
    blind = [Segment(slot, State.UNKNOWN) for slot in subtract(free, [segment.slot for segment in known])]
    return sorted([*known, *blind], key=lambda segment: segment.slot)


def _verdict(booked: Booked, used: timedelta, spans: dict[State, timedelta]) -> Verdict:
    """Use first, then the provider's failure, then blindness that no statement explains; only what is left is a no-show."""
    slot = booked.slot
    if used > timedelta():
        return Verdict.FULFILLED
    if _share(spans[State.FAULT], slot) >= FAILED_SHARE:
        return Verdict.PROVIDER_FAILED
    if not booked.attested_unused and 1 - _share(spans[State.UNKNOWN], slot) < COVERAGE_MIN:
        return Verdict.UNVERIFIABLE
    return Verdict.NO_SHOW


def _share(part: timedelta, slot: Slot) -> Fraction:
    tick = timedelta(microseconds=1)
    return Fraction(part // tick, slot.duration // tick)


def unbooked(segments: Sequence[Segment], uses: Sequence[Use]) -> list[Slot]:
    """Run that belongs to no booking: self-use, never external."""
    runs = [segment.slot for segment in segments if segment.state is State.RUN]
    return subtract(runs, [piece.slot for use in uses for piece in use.pieces])
