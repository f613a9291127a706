"""When a sample happened: our clock beside the device's, and what to make of repeats."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from devices.profile import InForce, Profile
from devices.readings import Channel, Envelope, Reading, Told

BACKLOG_REACH = timedelta(hours=24)
"""A broker's backlog older than this is not trusted with the device's clock."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A reading as it came to us, with the payload that breaks ties."""

    reading: Reading
    received_at: datetime
    payload: bytes
    retain: bool = False
    backlog: bool = False
    historical: bool = False


def arrived(envelope: Envelope, told: Told) -> Arrival:
    """A reading of a message, as the message came."""
    historical = envelope.historical or told.historical
    return Arrival(told.reading, envelope.received_at, envelope.payload, envelope.retain, envelope.backlog, historical)


@dataclass(frozen=True, slots=True)
class Sample:
    """A reading placed in time."""

    at: datetime
    power_w: float | None
    energy_wh: float | None
    state: str | None

    @property
    def beats(self) -> bool:
        """A heartbeat: it says that the device is there, and nothing new of the machine."""
        return self.power_w is None and self.state is None


def place(arrivals: Iterable[Arrival], profiles: InForce, *, until: datetime) -> tuple[list[Sample], set[str]]:
    """Telemetry received up to `until` in the order it happened, and the notes on what was odd.

    The same for any order of arrival and any repetition.
    """
    heard = [a for a in arrivals if a.reading.channel is Channel.TELEMETRY and a.received_at <= until]
    kept, notes = _first_of_each(sorted(heard, key=lambda a: (a.received_at, a.payload, _marks(a))))
    placed: list[tuple[datetime, datetime, bytes, Sample]] = []
    for arrival in kept:
        at, note = placed_at(arrival, profiles.at(arrival.received_at))
        if note:
            notes.add(note)
        if at is not None:
            reading = arrival.reading
            sample = Sample(at, reading.power_w, reading.energy_wh, reading.state)
            placed.append((at, arrival.received_at, arrival.payload, sample))
    return [sample for *_, sample in sorted(placed, key=lambda item: item[:3])], notes


def _marks(arrival: Arrival) -> tuple[bool, bool, bool]:
    return (arrival.retain, arrival.backlog, arrival.historical)


def _first_of_each(arrivals: Sequence[Arrival]) -> tuple[list[Arrival], set[str]]:
    """Repeats left out: the same device time, or the same boot and sequence number."""
    seen: dict[tuple[object, ...], Reading] = {}
    kept: list[Arrival] = []
    notes: set[str] = set()
    for arrival in arrivals:
        reading = arrival.reading
        own = names(reading)
        first = next((seen[name] for name in own if name in seen), None)
        if first is None:
            kept.append(arrival)
            seen.update(dict.fromkeys(own, reading))
        else:
            notes.add("duplicate" if _value(first) == _value(reading) else "conflict")
    return kept, notes


def names(reading: Reading) -> list[tuple[object, ...]]:
    """What the device itself calls a reading: by its time, by its number since a start, by both or by nothing."""
    found: list[tuple[object, ...]] = []
    if reading.measured_at is not None:
        found.append(("ts", reading.metric, reading.measured_at))
    if reading.boot is not None and reading.seq is not None:
        found.append(("seq", reading.metric, reading.boot, reading.seq))
    return found


def _value(reading: Reading) -> tuple[float | None, float | None, str | None]:
    return (reading.power_w, reading.energy_wh, reading.state)


def placed_at(arrival: Arrival, profile: Profile) -> tuple[datetime | None, str | None]:
    """The instant a reading is placed at, or None where it cannot be, and a note where something was odd."""
    measured, received = arrival.reading.measured_at, arrival.received_at
    if measured is None:
        if arrival.retain:
            return None, "retained_no_ts"
        return (None, "backlog_no_ts") if arrival.backlog else (received, None)
    age = received - measured
    if age < timedelta():
        return _ahead(arrival, -age, profile)
    if age <= profile.span("max_skew"):
        return measured, None
    trusted = arrival.historical or age <= profile.span("backfill") or (arrival.backlog and age <= BACKLOG_REACH)
    if trusted:
        return measured, "late"
    return (None, "stale_retained") if arrival.retain else (received, "clock_skew")


def _ahead(arrival: Arrival, lead: timedelta, profile: Profile) -> tuple[datetime | None, str | None]:
    if arrival.retain:
        return None, "stale_retained"
    return arrival.received_at, "clock_future" if lead > profile.span("max_future") else None
