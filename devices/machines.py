"""Simulated equipment as a function of time: what a machine draws, counts and says. Same machine, same instant, same answer.

A demo loads its past and goes on live from one description, and the counter fits at the seam.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

import orjson

from devices.readings import Envelope
from marketplace.slot import Slot

RAMP = timedelta(minutes=3)
"""Heating up: a run starts above its steady power."""

DIP_EVERY_MIN, DIP_MIN = 47, 1
"""Real machines rest for a moment now and then; shorter than min_off, so the session goes on."""


class Sends(StrEnum):
    """The payload format a machine speaks."""

    NATIVE = "native"
    TASMOTA = "tasmota"


@dataclass(frozen=True, slots=True)
class Machine:
    """One simulated machine. `runs` and `awake` are when it works and when it is switched on, `blind` when it is silent;
    each of them disjoint.

    Powers in W. `since` is when its counter stood at zero; `counts` is the share of the energy that it counts, below 1 where
    it is wired wrongly.
    """

    key: str
    secret: str
    since: datetime
    runs: tuple[Slot, ...] = ()
    awake: tuple[Slot, ...] = ()
    blind: tuple[Slot, ...] = ()
    sends: Sends = Sends.NATIVE
    zone: str = "UTC"
    run_w: float = 2400.0
    idle_w: float = 40.0
    off_w: float = 1.5
    counts: float = 1.0
    every: timedelta = timedelta(seconds=60)


def power_at(machine: Machine, at: datetime) -> float:
    """What it draws at `at`, in W, to a tenth.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 3, 10, 12, tzinfo=UTC)
    >>> power_at(Machine("k", "s", noon, off_w=0.0), noon)
    0.0
    """
    run = next((run for run in machine.runs if run.start <= at < run.end), None)
    noise = _noise(machine.key, at)
    if run is None:
        awake = any(slot.start <= at < slot.end for slot in machine.awake)
        return round((machine.idle_w if awake else machine.off_w) * (1 + 0.04 * noise), 1)
    minute = (at - run.start) // timedelta(minutes=1)
    if minute and minute % DIP_EVERY_MIN < DIP_MIN and run.end - at > RAMP:
        return round(machine.idle_w * (1 + 0.04 * noise), 1)
    heat = 1.35 if at - run.start < RAMP else 1.0
    return round(machine.run_w * heat * (1 + 0.08 * noise), 1)


def energy_at(machine: Machine, at: datetime) -> float:
    """Its counter at `at`, in Wh; never falls, and needs no history to be known.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 3, 10, 12, tzinfo=UTC)
    >>> run = Slot(noon, noon + timedelta(hours=2))
    >>> energy_at(Machine("k", "s", noon, runs=(run,), run_w=1000, off_w=0), noon + timedelta(hours=3))
    2000.0
    """
    run = _until(machine.runs, at)
    awake = max(_until(machine.awake, at) - run, 0.0)
    off = max((at - machine.since).total_seconds() / 3600 - run - awake, 0.0)
    return round((run * machine.run_w + awake * machine.idle_w + off * machine.off_w) * machine.counts, 2)


def _until(slots: Sequence[Slot], at: datetime) -> float:
    """Hours of `slots` before `at`."""
    return sum((min(slot.end, at) - slot.start).total_seconds() for slot in slots if slot.start < at) / 3600


def _noise(key: str, at: datetime) -> float:
    """Between -1 and 1, the same for the same machine and second."""
    return zlib.crc32(f"{key} {at.timestamp():.0f}".encode()) / 2**31 - 1


def message(machine: Machine, at: datetime) -> tuple[str, bytes]:
    """Topic and payload that it publishes at `at`, in its own format."""
    if machine.sends is Sends.TASMOTA:
        return f"d/{machine.key}/tele/SENSOR", _tasmota(machine, at)
    body = {"ts": round(at.timestamp() * 1000), "p": power_at(machine, at), "e": energy_at(machine, at)}
    return f"d/{machine.key}/t", orjson.dumps(body)


def _tasmota(machine: Machine, at: datetime) -> bytes:
    local = at.astimezone(ZoneInfo(machine.zone)).replace(microsecond=0, tzinfo=None)
    energy, power = energy_at(machine, at), power_at(machine, at)
    reading = {
        "TotalStartTime": machine.since.astimezone(ZoneInfo(machine.zone)).replace(microsecond=0, tzinfo=None).isoformat(),
        "Total": round(energy / 1000, 3),
        "Power": round(power),
        "Factor": 0.93 if power > machine.idle_w else 0.4,
        "Voltage": 230,
        "Current": round(power / 230, 3),
    }
    return orjson.dumps({"Time": local.isoformat(), "ENERGY": reading})


def presence(machine: Machine, online: bool) -> tuple[str, bytes]:  # noqa: FBT001
    """Topic and payload of its retained birth or will."""
    if machine.sends is Sends.TASMOTA:
        return f"d/{machine.key}/tele/LWT", b"Online" if online else b"Offline"
    return f"d/{machine.key}/s", b'{"online":true}' if online else b'{"online":false}'


def history(machine: Machine, within: Slot) -> Iterator[Envelope]:
    """Everything it would have published within `within`, a second on the way, in order; nothing while blind."""
    at = within.start
    while at < within.end:
        if not any(slot.start <= at < slot.end for slot in machine.blind):
            topic, payload = message(machine, at)
            yield Envelope(topic, payload, at + timedelta(seconds=1))
        at += machine.every
