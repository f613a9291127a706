"""Every covered second of a device in one state, for bills and the evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise

from devices.placing import Sample
from devices.profile import InForce, Profile
from devices.sessions import Session
from marketplace.slot import Slot, subtract


class State(StrEnum):
    RUN = "RUN"
    IDLE = "IDLE"
    OFF = "OFF"
    FAULT = "FAULT"
    UNKNOWN = "UNKNOWN"


AWAKE = frozenset({"IDLE", "STANDBY"})
"""States of a machine that is on but not working; held outside a session it is judged by its power."""


@dataclass(frozen=True, slots=True)
class Segment:
    """`slot` in `state`. `bridged` marks a silence that the energy counter proves to be run."""

    slot: Slot
    state: State
    bridged: bool = False


def segments(samples: Sequence[Sample], sessions: Sequence[Session], profiles: InForce, *, now: datetime) -> list[Segment]:
    """Disjoint segments from the first sample to the last, or to `now` once silence is longer than stale_after."""
    bridged = {(b.start, b.end) for session in sessions for b in session.bridges if b.confirmed}
    found: list[Segment] = []
    told: Sample | None = None
    position = 0
    for index, sample in enumerate(samples):
        told = told if sample.beats else sample
        end = samples[index + 1].at if index + 1 < len(samples) else now
        if end <= sample.at:
            continue
        profile = profiles.at(sample.at)
        silent = end - sample.at > profile.span("stale_after")
        if index + 1 == len(samples) and not silent:
            break
        while position < len(sessions) and sessions[position].until <= sample.at:
            position += 1
        running = position < len(sessions) and sessions[position].start <= sample.at
        state = State.UNKNOWN if silent else _state(told, profile, running)
        found.append(Segment(Slot(sample.at, end), state, silent and (sample.at, end) in bridged))
    return joined(found)


def _state(told: Sample | None, profile: Profile, running: bool) -> State:  # noqa: FBT001
    """By what the device last told; before it told anything but heartbeats nobody knows."""
    if told is not None and told.state == "DOWN":
        return State.FAULT
    if running:
        return State.RUN
    if told is None:
        return State.UNKNOWN
    awake = told.state in AWAKE or (told.power_w is not None and told.power_w >= profile.p_idle)
    return State.IDLE if awake else State.OFF


def joined(pieces: Sequence[Segment]) -> list[Segment]:
    """Touching pieces of one state made one; bridged ones stay apart."""
    found: list[Segment] = []
    for piece in pieces:
        last = found[-1] if found else None
        if last and last.state is piece.state and last.slot.end == piece.slot.start and not (last.bridged or piece.bridged):
            found[-1] = Segment(Slot(last.slot.start, piece.slot.end), piece.state)
        else:
            found.append(piece)
    return found


PRIORITY = (State.FAULT, State.RUN, State.IDLE, State.OFF, State.UNKNOWN)
"""Which state wins where several meters of one resource disagree."""
OF_LINE = (State.RUN, State.FAULT, State.UNKNOWN, State.IDLE, State.OFF)
"""And where the parts of a line do: it works where any of them does, and stands still only where all are seen to."""


def combine(meters: Sequence[Sequence[Segment]]) -> list[Segment]:
    """The segments of a resource from those of its meters; where any meter knows, nothing is UNKNOWN."""
    return _strongest(meters, PRIORITY)


def of_line(parts: Sequence[Sequence[Segment]]) -> list[Segment]:
    """The segments of a line from those of its parts, each without gaps as far as it has any meter."""
    return _strongest(parts, OF_LINE)


def _strongest(meters: Sequence[Sequence[Segment]], priority: Sequence[State]) -> list[Segment]:
    if len(meters) == 1:
        return list(meters[0])
    edges = sorted({edge for meter in meters for piece in meter for edge in (piece.slot.start, piece.slot.end)})
    positions = [0] * len(meters)
    found: list[Segment] = []
    for start, end in pairwise(edges):
        covering = []
        for number, meter in enumerate(meters):
            while positions[number] < len(meter) and meter[positions[number]].slot.end <= start:
                positions[number] += 1
            if positions[number] < len(meter) and meter[positions[number]].slot.start <= start:
                covering.append(meter[positions[number]])
        if covering:
            best = min(covering, key=lambda piece: priority.index(piece.state))
            found.append(Segment(Slot(start, end), best.state, best.bridged and best.state is State.UNKNOWN))
    return joined(found)


def filled(pieces: Sequence[Segment], within: Slot) -> list[Segment]:
    """With UNKNOWN where nothing is said."""
    blind = [Segment(slot, State.UNKNOWN) for slot in subtract([within], [piece.slot for piece in pieces])]
    return sorted([*pieces, *blind], key=lambda piece: piece.slot)
