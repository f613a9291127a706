"""What is looked at, one device and day, and what may be found in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from devices.placing import Sample
from devices.profile import InForce
from devices.readings import Relay
from marketplace.slot import Slot


class Kind(StrEnum):
    FLAT = "flat"
    REPLAYED = "replayed"
    ENERGY_MISMATCH = "energy_mismatch"
    OVER_RATING = "over_rating"
    ALWAYS_ON = "always_on"
    CLOCK = "clock"
    RELAY_OFF = "relay_off"
    TAKEOVERS = "takeovers"
    BURST = "burst"


@dataclass(frozen=True, slots=True)
class Found:
    """`evidence` holds the figures that it rests on, by name: W, Wh, seconds, counts, shares, hours, RFC 3339."""

    kind: Kind
    span: Slot
    evidence: Mapping[str, Any]
    lasting: bool = False
    """Where it goes on day after day it is asked once, whatever its kind."""


@dataclass(frozen=True, slots=True)
class Switched:
    """What a plug said at once of a relay and of what flows through it, live; None for what it left out."""

    at: datetime
    """Of receipt."""
    channel: str
    relay: Relay
    power_w: float | None = None
    energy_wh: float | None = None


@dataclass(frozen=True, slots=True)
class TakenOver:
    """A minute in which the broker closed the device's connection, for another client came with the same key."""

    at: datetime
    address: str
    """Of the other; empty where it is not known."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The use before a period that is evaluated ended: hours of each 24 before `at`, the last ones first."""

    at: datetime
    hours: Sequence[float | None]
    """Without what outside customers had booked. None where the meter was not seen, or the machine was out of use."""


@dataclass(frozen=True, slots=True)
class Day:
    """What one device said on one day (UTC), in order, and what it said before."""

    slot: Slot
    samples: Sequence[Sample]
    profile: InForce
    before: Sequence[Sample] = ()
    """Of the days in which a repeated stretch is looked for."""
    running_before: Sequence[float] = ()
    """The share of each of the days before that it ran, the nearest first."""
    messages: int = 0
    ill_timed: int = 0
    """Messages whose clock was ahead, or behind without a reason."""
    switched: Sequence[Switched] = ()
    taken_over: Sequence[TakenOver] = ()
    ended: Ended | None = None
    """Where such a period ended on that day."""


class Timed(Protocol):
    @property
    def at(self) -> datetime: ...


def length(run: Sequence[Timed]) -> timedelta:
    """From the first to the last, in order."""
    return run[-1].at - run[0].at if run else timedelta()
