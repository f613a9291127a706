"""What a message says, whatever its family, and why one was turned away.

What is made for each message is a tuple with names: a frozen dataclass takes four times as long to make.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class Channel(StrEnum):
    """Telemetry counts as evidence; presence (a will, online or offline) only moves the online flag, and what a plug says of
    its relay alone is compared with the power it tells (devices/flags)."""

    TELEMETRY = "t"
    PRESENCE = "s"
    RELAY = "r"


class Relay(StrEnum):
    """Of the relay that a power flows through, so that none should flow where it is open."""

    CLOSED = "closed"
    OPEN = "open"
    UNTOLD = "untold"
    """There is one, and this message says nothing of it."""


class Reason(StrEnum):
    """Why a message was turned away."""

    TOO_LARGE = "too_large"
    TOPIC = "bad_topic"
    NOT_JSON = "not_json"
    TOO_DEEP = "too_deep"
    SHAPE = "bad_shape"
    NUMBER = "bad_number"
    TIME = "bad_time"
    UNKNOWN_DEVICE = "unknown_device"
    UNKNOWN_FAMILY = "unknown_family"
    UNKNOWN_ALIAS = "unknown_alias"
    FOREIGN_TOPIC = "foreign_topic"
    WRONG_LOGIN = "wrong_login"
    TAKEN_OVER = "taken_over"
    UNSTORABLE = "unstorable"
    RATE = "rate"
    """More than its device may send in that time (devices/pace.py)."""
    EXPRESSION = "bad_expression"
    """What the mapping of its device looks for cannot be worked out from it."""


class Envelope(NamedTuple):
    """A message as it came: where, what, when received by us, and how the broker marked it."""

    topic: str
    payload: bytes
    received_at: datetime
    retain: bool = False
    backlog: bool = False
    historical: bool = False
    again: bool = False
    """The broker was told it once more after it was killed; it may or may not have kept it the first time."""


class Reading(NamedTuple):
    """One decoded message. Power in W, energy as the counter's reading in Wh, `measured_at` the device's own clock."""

    channel: Channel
    measured_at: datetime | None = None
    power_w: float | None = None
    energy_wh: float | None = None
    state: str | None = None
    online: bool | None = None
    boot: str | None = None
    seq: int | None = None
    metric: str = ""
    """Which series of the device this belongs to, where it has several."""
    relay: Relay | None = None
    """None where nothing is known of one."""
    historical: bool = False
    """The device itself says that it kept this for later."""


@dataclass(frozen=True, slots=True)
class Command:
    """A message to a device."""

    topic: str
    payload: bytes


class Told(NamedTuple):
    """A reading in its place among others."""

    reading: Reading
    after_hole: bool = False
    """Something that came before it is missing."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that was turned away; stored and counted, never dropped."""

    reason: Reason
    detail: str = ""


Followed = Iterator[tuple[Envelope, list[Told] | Rejected]]
"""Messages of one device, each with what it says once those before it are known."""
