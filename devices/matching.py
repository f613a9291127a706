"""Segments against bookings: what each booking really used, and what was used without one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from fractions import Fraction

from devices.segments import Segment, State, joined, of_line
from marketplace.slot import Slot, intersect, subtract, total, union

EARLY_GRACE = timedelta(seconds=900)
OVERRUN_MAX = timedelta(seconds=3600)
"""The longest overrun; a booking's own rules may allow less."""
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
    overtime: timedelta = OVERRUN_MAX
    """How long an unbroken run past its end is its use, by the rules of its acceptance."""

    @property
    def beyond(self) -> list[Slot]:
        """Where a run past the end is no use of it any more."""
        end = self.slot.end
        return [Slot(end + self.overtime, end + OVERRUN_MAX)] if self.overtime < OVERRUN_MAX else []


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


@dataclass(frozen=True, slots=True)
class Part:
    """What is measured or stopped by itself: a machine, one station of a line, or what all of a line shares."""

    segments: Sequence[Segment]
    bookings: Sequence[Booked]
    """Of whatever uses it: of itself, of the lines above it, and of what is below it."""
    down: Sequence[Slot] = ()
    """Maintenance and breakdown of it that a person recorded, in which no run is use."""
    stopped: Sequence[Slot] = ()
    """The same of a line that it is a part of: for the line's booking, not for its own."""
    sensed: bool = True
    """Nothing is held against anybody that nothing measures: then only what stopped it counts."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one booking gets of one part: the states of its own time, and the runs before and after it."""

    inside: Sequence[Segment]
    early: Sequence[Slot]
    overrun: Sequence[Slot]
    signed: Sequence[Slot]
    """Of the runs, what rests on signatures alone."""
    split: bool

    @property
    def runs(self) -> list[Slot]:
        return [*(piece.slot for piece in self.inside if piece.state is State.RUN), *self.early, *self.overrun]


def match(segments: Sequence[Segment], bookings: Sequence[Booked], *, down: Sequence[Slot] = ()) -> list[Use]:
    """The use of every booking, in order of start. No second of run goes to two bookings.

    `down` is maintenance and breakdown that a person recorded, in which no run is use; uncovered time is UNKNOWN.
    """
    return [_use(booked, [share]) for booked, share in _shares(Part(segments, bookings, down))]


def match_parts(booking_id: str, parts: Sequence[Part]) -> Use:
    """The use of a booking of several parts at once. On none of them a second of run goes to two bookings."""
    found = [
        (booked, _narrowed(share, part)) for part in parts for booked, share in _shares(part) if booked.booking_id == booking_id
    ]
    return _use(found[0][0], [share for _, share in found])


def _shares(part: Part) -> list[tuple[Booked, Share]]:
    """In order of start, the earlier one first where both would have the same run."""
    ordered = sorted(part.bookings, key=lambda booked: (booked.slot, booked.booking_id))
    resolved = _resolve(part.segments, ordered, part.down)
    measured = [segment.slot for segment in resolved if segment.state is State.RUN]
    given: list[Slot] = []
    shares: list[tuple[Booked, Share]] = []
    for number, booked in enumerate(ordered):
        known, signed = _with_attested(resolved, booked.attested)
        runs = union([*measured, *signed])
        following = ordered[number + 1].slot if number + 1 < len(ordered) else None
        free = subtract([booked.slot], given)
        past = _overrun(booked.slot, runs, following)
        overrun = subtract(past, booked.beyond)
        grace = Slot(booked.slot.start - EARLY_GRACE, booked.slot.start)
        early = subtract(intersect([grace], runs), [*given, *(other.slot for other in ordered[:number])])
        edge = booked.slot.end
        split = any(run.start < edge < run.end for run in runs) and not past
        alone = intersect(signed, [*free, *early, *overrun])
        shares.append((booked, Share(_cover(known, free), early, overrun, alone, split)))
        given = union([*given, booked.slot, *early, *past])  # what goes on beyond the overtime is nobody's early start
    return shares


def _narrowed(share: Share, part: Part) -> Share:
    """Less what the line was stopped for; of what nothing measures no more than that it was stopped."""
    stopped = intersect(part.stopped, [piece.slot for piece in share.inside])
    left = [Segment(slot, piece.state) for piece in share.inside for slot in subtract([piece.slot], stopped)]
    inside = sorted([*left, *(Segment(slot, State.FAULT) for slot in stopped)], key=lambda piece: piece.slot)
    if not part.sensed:
        return Share([piece for piece in inside if piece.state is State.FAULT], [], [], [], split=False)
    overrun = [slot for slot in subtract(share.overrun, part.stopped) if slot.start == share.overrun[0].start]
    signed = subtract(share.signed, part.stopped)
    return Share(inside, subtract(share.early, part.stopped), overrun, signed, share.split)


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


def _use(booked: Booked, shares: Sequence[Share]) -> Use:
    """By all of its parts: used while any was, and unused only while each was seen to be."""
    inside = of_line([share.inside for share in shares])
    early = union(slot for share in shares for slot in share.early)
    overrun = union(slot for share in shares for slot in share.overrun)
    measured = [slot for share in shares for slot in subtract(share.runs, share.signed)]
    spans = {state: total(piece.slot for piece in inside if piece.state is state) for state in State}
    extra = [Segment(slot, State.RUN) for slot in (*early, *overrun)]
    used = spans[State.RUN] + total(early) + total(overrun)
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
        attested=total(subtract((slot for share in shares for slot in share.signed), measured)),
        split=any(share.split for share in shares),
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
