"""What is stored of sealed time beside what all messages come to: parts of runs, states over states, where they differ."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from devices.placing import Sample
from devices.profile import InForce
from devices.segments import Segment, State, joined
from devices.sessions import Grade, counted
from devices.sessions import Session as Run
from marketplace.slot import Slot, intersect, subtract, total, union

CUT = "cut_at_seal"
"""The flag of a part of a run of which the rest lies in sealed time."""


@dataclass(frozen=True, slots=True)
class Figures:
    """A run, or a part of one, in what is stored of it. Open while `ends_at` is None."""

    starts_at: datetime
    ends_at: datetime | None
    until: datetime
    confirmed_s: int
    unverified_s: int
    energy_wh: int
    end_reason: str | None
    grade: str
    flags: tuple[str, ...]

    @property
    def slot(self) -> Slot | None:
        return Slot(self.starts_at, self.until) if self.starts_at < self.until else None


def figures(run: Run) -> Figures:
    return Figures(
        run.start, run.end, run.until, int(run.confirmed_s), int(run.unverified_s), round(run.energy_wh),
        run.end_reason.value if run.end_reason else None, run.grade.value, tuple(run.flags),
    )  # fmt: skip


def parts(run: Run, pieces: Sequence[Slot], samples: Sequence[Sample], profiles: InForce) -> list[Figures]:
    """The run as far as it lies in `pieces` of it: as it is where all of it does, else each part with what is its own."""
    if list(pieces) == [Slot(run.start, run.until)]:
        return [figures(run)]
    return [_part(run, piece, samples, profiles) for piece in pieces]


def _part(run: Run, piece: Slot, samples: Sequence[Sample], profiles: InForce) -> Figures:
    """Energy between the counter values within it; silence that is not proven counts as it does in the run."""
    blind = total(intersect([piece], [Slot(b.start, b.end) for b in run.bridges if not b.confirmed])).total_seconds()
    energy = counted((one for one in samples if piece.start <= one.at <= piece.end), profiles).total
    ended = run.end if piece.end == run.until else piece.end
    return Figures(
        piece.start, ended, piece.end, int(piece.seconds - blind), int(blind), round(energy),
        run.end_reason.value if run.end_reason else ("off" if ended else None),
        Grade.D.value if blind else run.grade.value, tuple(sorted({*run.flags, CUT})),
    )  # fmt: skip


def clipped(segments: Iterable[Segment], slots: Sequence[Slot]) -> list[Segment]:
    """As far as they lie in `slots`, which are disjoint and in order."""
    found = [Segment(part, one.state, one.bridged) for one in segments for part in intersect([one.slot], slots)]
    return sorted(found, key=lambda one: one.slot)


def without(segments: Iterable[Segment], slots: Sequence[Slot]) -> list[Segment]:
    return [Segment(part, one.state, one.bridged) for one in segments for part in subtract([one.slot], slots)]


def put_over(segments: Sequence[Segment], slots: Sequence[Slot], other: Iterable[Segment]) -> list[Segment]:
    """`other` in `slots`, `segments` elsewhere; a silence that the counter proves stays one across the edge of a slot."""
    if not slots:
        return list(segments)
    pieces = joined(sorted([*without(segments, slots), *clipped(other, slots)], key=lambda one: one.slot))
    return _mended(pieces, {edge for slot in slots for edge in (slot.start, slot.end)})


def _mended(pieces: Sequence[Segment], edges: Container[datetime]) -> list[Segment]:
    found: list[Segment] = []
    for piece in pieces:
        last = found[-1] if found else None
        if last and last.bridged and piece.bridged and last.slot.end == piece.slot.start and piece.slot.start in edges:
            found[-1] = Segment(Slot(last.slot.start, piece.slot.end), piece.state, bridged=True)
        else:
            found.append(piece)
    return found


def differences(one: Sequence[Segment], other: Sequence[Segment]) -> list[Slot]:
    """Where the states of two recordings are not the same; what is not covered is unknown."""
    edges = sorted({edge for piece in (*one, *other) for edge in (piece.slot.start, piece.slot.end)})
    found, at, then = [], 0, 0
    for start, end in pairwise(edges):
        at, here = _covering(one, at, start)
        then, there = _covering(other, then, start)
        if here != there:
            found.append(Slot(start, end))
    return union(found)


def _covering(pieces: Sequence[Segment], position: int, start: datetime) -> tuple[int, tuple[State, bool]]:
    while position < len(pieces) and pieces[position].slot.end <= start:
        position += 1
    covers = position < len(pieces) and pieces[position].slot.start <= start
    return position, (pieces[position].state, pieces[position].bridged) if covers else (State.UNKNOWN, False)


def run_seconds(segments: Iterable[Segment]) -> int:
    """Of run, silence that the counter proves to be run among it."""
    return round(total(one.slot for one in segments if one.state is State.RUN or one.bridged).total_seconds())


def as_document(segments: Iterable[Segment], sessions: Iterable[Figures]) -> dict[str, Any]:
    listed = [
        [one.slot.start.isoformat(), one.slot.end.isoformat(), one.state.value, one.bridged] for one in joined(list(segments))
    ]
    return {"segments": listed, "sessions": [_session(one) for one in sorted(sessions, key=lambda one: one.starts_at)]}


def _session(one: Figures) -> dict[str, Any]:
    return {
        "starts_at": one.starts_at.isoformat(),
        "ends_at": one.ends_at.isoformat() if one.ends_at else None,
        "until": one.until.isoformat(),
        "confirmed_s": one.confirmed_s,
        "unverified_s": one.unverified_s,
        "energy_wh": one.energy_wh,
        "end_reason": one.end_reason,
        "grade": one.grade,
        "flags": list(one.flags),
    }


def segments_in(document: Mapping[str, Any]) -> list[Segment]:
    return [Segment(_slot(start, end), State(state), bridged) for start, end, state, bridged in document["segments"]]


def sessions_in(document: Mapping[str, Any]) -> list[Figures]:
    return [
        Figures(
            **{
                **one,
                "starts_at": datetime.fromisoformat(one["starts_at"]),
                "ends_at": datetime.fromisoformat(one["ends_at"]) if one["ends_at"] else None,
                "until": datetime.fromisoformat(one["until"]),
                "flags": tuple(one["flags"]),
            }
        )
        for one in document["sessions"]
    ]


def sealed_in(document: Mapping[str, Any]) -> list[Slot]:
    """The parts of its stretch of which a record speaks."""
    return [_slot(start, end) for start, end in document["sealed"]]


def _slot(start: str, end: str) -> Slot:
    return Slot(datetime.fromisoformat(start), datetime.fromisoformat(end))
