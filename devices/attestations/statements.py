"""What a statement says, and why one cannot be made: pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from devices.matching import EARLY_GRACE, OVERRUN_MAX, Use
from devices.segments import Segment, State
from marketplace.refusals import Invalid
from marketplace.slot import Slot, intersect, subtract, union

MOST_STRETCHES = 20
"""Of one statement."""


class Side(StrEnum):
    PROVIDER = "provider"
    USER = "user"

    @property
    def other(self) -> "Side":
        return Side.USER if self is Side.PROVIDER else Side.PROVIDER


@dataclass(frozen=True, slots=True)
class Statement:
    """The stretches in which the equipment was used; or that it was not used at all, then there are none."""

    stretches: Sequence[Slot]

    @property
    def unused(self) -> bool:
        return not self.stretches


def read_statement(stretches: Sequence[Slot], *, unused: bool) -> Statement:
    """Whole seconds, in order, none touching another. Raises: Invalid."""
    if unused and stretches:
        raise Invalid(field="stretches", reason="either it was used in these stretches or not at all")
    if not unused and not stretches:
        raise Invalid(field="stretches", reason="say when it was used, or that it was not used at all")
    if len(stretches) > MOST_STRETCHES:
        raise Invalid(field="stretches", reason="more than {most} stretches", most=MOST_STRETCHES)
    for one in stretches:
        if one.start.microsecond or one.end.microsecond:
            raise Invalid(field="stretches", reason="must begin and end at whole seconds")
    return Statement(tuple(union(stretches)))


def as_json(statement: Statement) -> list[dict[str, str]]:
    return [{"start": one.start.isoformat(), "end": one.end.isoformat()} for one in statement.stretches]


def from_json(stretches: Iterable[dict[str, Any]]) -> Statement:
    return Statement(tuple(Slot(datetime.fromisoformat(one["start"]), datetime.fromisoformat(one["end"])) for one in stretches))


@dataclass(frozen=True, slots=True)
class Known:
    """What stands against a statement: segments and downtime around the booking, its use without any statement, its overtime."""

    segments: Sequence[Segment]
    down: Sequence[Slot]
    use: Use
    overtime: timedelta = OVERRUN_MAX


def check(statement: Statement, known: Known, with_it: Use) -> None:
    """It must lie where telemetry is silent, and change what is known; `with_it` is the use if it were signed.

    Raises: Invalid, naming the stretch that cannot be.
    """
    if statement.unused:
        _check_unused(known)
        return
    for one in statement.stretches:
        _check_reach(one, known.use.slot, known.overtime)
        _check_silence(one, known)
    runs = [piece.slot for piece in with_it.pieces if piece.state is State.RUN]
    if lost := subtract(statement.stretches, runs):
        reason = "from {since} to {until} is the time of another booking, or use that does not reach this one without a break"
        raise _at(lost[0], reason)
    if with_it.attested == timedelta():
        raise Invalid(field="stretches", reason="the meter has confirmed all of that already")


def _check_unused(known: Known) -> None:
    if runs := [piece.slot for piece in known.use.pieces if piece.state is State.RUN]:
        raise _at(runs[0], "the meter saw it in use from {since} to {until}")
    if known.use.unverified == timedelta():
        raise Invalid(field="stretches", reason="the meter saw the whole of the booking already")


def _check_reach(one: Slot, booked: Slot, overtime: timedelta) -> None:
    if outside := subtract([one], [booked.widen(EARLY_GRACE, overtime)]):
        reason = "from {since} to {until} is more than {early} minutes before the booking or {late} minutes after it"
        early, late = EARLY_GRACE // timedelta(minutes=1), overtime // timedelta(minutes=1)
        raise _at(outside[0], reason, early=early, late=late)


def _check_silence(one: Slot, known: Known) -> None:
    if down := intersect([one], known.down):
        raise _at(down[0], "the equipment was down from {since} to {until}")
    for states, reason in AGAINST:
        if against := intersect([one], [piece.slot for piece in known.segments if piece.state in states]):
            raise _at(against[0], reason)


AGAINST = (
    ({State.IDLE, State.OFF}, "the meter saw it idle or off from {since} to {until}"),
    ({State.FAULT}, "the meter saw a fault from {since} to {until}"),
)


def _at(piece: Slot, reason: str, **values: int) -> Invalid:
    return Invalid(field="stretches", reason=reason, since=piece.start.isoformat(), until=piece.end.isoformat(), **values)
