"""When a sample happened: our clock beside the device's, and what to make of repeats."""

from collections.abc import Collection, Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from devices.profile import InForce, Profile
from devices.readings import Channel, Envelope, Reading, Told

BACKLOG_REACH = timedelta(hours=24)
"""A broker's backlog older than this is not trusted with the device's clock."""


class Arrival(NamedTuple):
    """A reading as it came to us, with the payload that breaks ties."""

    reading: Reading
    received_at: datetime
    payload: bytes
    retain: bool = False
    backlog: bool = False
    historical: bool = False


def arrived(envelope: Envelope, told: Told) -> Arrival:
    """A reading of a message, as the message came."""
    historical = envelope.historical or told.reading.historical
    return Arrival(told.reading, envelope.received_at, envelope.payload, envelope.retain, envelope.backlog, historical)


class Sample(NamedTuple):
    """A reading placed in time."""

    at: datetime
    power_w: float | None
    energy_wh: float | None
    state: str | None
    counters: tuple[tuple[str, float | None], ...] = ()
    """Of a device with several series instead of `energy_wh`: those that this message spoke of, and what each counted."""
    powers: tuple[tuple[str, float], ...] = ()
    """Of those the ones that told a power, and which; `power_w` is that of all series together."""

    @property
    def beats(self) -> bool:
        """A heartbeat: it says that the device is there, and nothing new of the machine."""
        return self.power_w is None and self.state is None


def place(arrivals: Iterable[Arrival], profiles: InForce, *, until: datetime) -> tuple[list[Sample], set[str]]:
    """Telemetry received up to `until` in the order it happened, and the notes on what was odd; several series as one machine.

    The same for any order of arrival and any repetition.
    """
    heard = [a for a in arrivals if a.reading.channel is Channel.TELEMETRY and a.received_at <= until]
    if any(one.series for one in profiles.every):
        heard = [a for a in heard if profiles.at(a.received_at).counts(a.reading.metric)]
    kept, several, notes = _first_of_each(sorted(heard, key=_order))
    placed, more = _placed(kept, several, profiles)
    notes |= more
    placed.sort(key=itemgetter(0, 1, 2))
    if len({metric for *_, metric, _ in placed}) <= 1:
        return [sample for *_, sample in placed], notes
    messages = ([(one[3], one[4]) for one in some] for _, some in groupby(placed, key=itemgetter(0, 1, 2)))
    return as_one(messages, profiles), notes


Name = tuple[object, ...]
"""What the device itself calls a reading."""
Named = tuple[Arrival, Sequence[Name]]
Placed = tuple[datetime, datetime, bytes, str, Sample]
"""A sample with what orders it: when it was, when it came, its payload, its series."""


def _placed(kept: Iterable[Named], several: Container[Name], profiles: InForce) -> tuple[list[Placed], set[str]]:
    """Each at its instant; what adds to a measurement that lies at the same one is part of its sample.

    `several` are the names under which more than one message is kept.
    """
    found: list[Placed] = []
    notes: set[str] = set()
    first: dict[Name, int] = {}
    for arrival, own in kept:
        at, note = placed_at(arrival, profiles.at(arrival.received_at))
        if note:
            notes.add(note)
        if at is None:
            continue
        reading = arrival.reading
        shared = [(at, *name) for name in own if name in several] if several else ()
        place = next((first[name] for name in shared if name in first), None)
        if place is None:
            sample = Sample(at, reading.power_w, reading.energy_wh, reading.state)
            place = len(found)
            found.append((at, arrival.received_at, arrival.payload, reading.metric, sample))
        else:
            *_, sample = found[place]
            found[place] = (*found[place][:4], _filled(sample, reading))
        for name in shared:
            first.setdefault(name, place)
    return found, notes


def _filled(sample: Sample, more: Reading) -> Sample:
    return sample._replace(
        power_w=more.power_w if sample.power_w is None else sample.power_w,
        energy_wh=more.energy_wh if sample.energy_wh is None else sample.energy_wh,
        state=more.state if sample.state is None else sample.state,
    )


VALUE_KEPT = timedelta(hours=1)
"""So long heartbeats of one series of several keep what it told last."""


@dataclass(slots=True)
class _Series:
    """What is known of one series of several."""

    heard_at: datetime
    told: Sample | None = None


def as_one(messages: Iterable[Sequence[tuple[str, Sample]]], profiles: InForce) -> list[Sample]:
    """Several series as one machine; of each message in order what it says of each series, at one instant.

    Power is the sum of what each told last, state the strongest; each as long as its series is heard, and what is kept by
    heartbeats alone for an hour. A message that tells nothing new is a heartbeat of the machine. Of one series it is that series.
    """
    known: dict[str, _Series] = {}
    found: list[Sample] = []
    for message in messages:
        at = message[0][1].at
        changed = _forget(known, at, profiles)
        for metric, sample in message:
            one = known.setdefault(metric, _Series(at))
            one.heard_at = at
            if not sample.beats:
                one.told, changed = sample, True
        told = [one.told for one in known.values() if one.told] if changed else []
        powers = [sample.power_w for sample in told if sample.power_w is not None]
        states = [sample.state for sample in told if sample.state is not None]
        state = min(states, key=lambda state: (_strength(state), state), default=None)
        counters = {metric: sample.energy_wh for metric, sample in message}
        own = tuple(sorted({metric: one.power_w for metric, one in message if one.power_w is not None}.items()))
        found.append(Sample(at, round(sum(powers), 6) if powers else None, None, state, tuple(sorted(counters.items())), own))
    return found


def _forget(known: dict[str, _Series], at: datetime, profiles: InForce) -> bool:
    """What is silent by then or was told too long ago; whether anything was."""
    gone = [name for name, one in known.items() if at - one.heard_at > profiles.at(one.heard_at).span("stale_after")]
    changed = any(known.pop(name).told for name in gone)
    for one in known.values():
        if one.told and at - one.told.at > VALUE_KEPT:
            one.told, changed = None, True
    return changed


STRENGTH = ("DOWN", "RUN", "HELD", "IDLE", "STANDBY", "OFF")
"""Which state of several series is the machine's; one that we do not know gives way to all that we do."""


def _strength(state: str) -> int:
    return STRENGTH.index(state) if state in STRENGTH else len(STRENGTH)


def _order(arrival: Arrival) -> tuple[datetime, bytes, bool, bool, bool]:
    return arrival.received_at, arrival.payload, arrival.retain, arrival.backlog, arrival.historical


VALUES = ("power_w", "energy_wh", "state")
"""What a device may tell of one moment, in one message or in several."""
HEARD = ""
"""What a heartbeat tells, and what is known under every name."""


def _first_of_each(arrivals: Sequence[Arrival]) -> tuple[list[Named], Collection[Name], set[str]]:
    """Of each value the first that was told under the same device time, or the same boot and sequence number; what tells
    others with it is left with those. With the names under which there were several messages, and the notes on them."""
    once: dict[Name, Reading] = {}
    several: dict[Name, dict[str, object]] = {}
    kept: list[Named] = []
    notes: set[str] = set()
    for arrival in arrivals:
        own, reading = names(arrival.reading), arrival.reading
        again = [name for name in own if name in once]
        if again:
            told = _values(reading) or {HEARD: None}
            known: dict[str, object] = {}
            for name in reversed(again):
                known |= several.setdefault(name, {**_values(once[name]), HEARD: None})
            new = [value for value in told if value not in known]
            if any(value in known and told[value] != known[value] for value in told):
                notes.add("conflict")
            elif not new:
                notes.add("duplicate")
            if not new:
                continue
            reading = _without(reading, known)
            for name in again:
                several[name] = {**_values(reading), **several[name]}
        for name in own:
            once.setdefault(name, reading)
        kept.append((arrival._replace(reading=reading) if again else arrival, own))
    return kept, several, notes


def _values(reading: Reading) -> dict[str, object]:
    """What it tells of its moment; nothing where it is a heartbeat."""
    told = {value: getattr(reading, value) for value in VALUES}
    return {value: one for value, one in told.items() if one is not None}


def _without(reading: Reading, values: Container[str]) -> Reading:
    return reading._replace(
        power_w=None if "power_w" in values else reading.power_w,
        energy_wh=None if "energy_wh" in values else reading.energy_wh,
        state=None if "state" in values else reading.state,
    )


def names(reading: Reading) -> list[Name]:
    """What the device itself calls a reading: by its time, by its number since a start, by both or by nothing."""
    found: list[Name] = []
    if reading.measured_at is not None:
        found.append(("ts", reading.metric, reading.measured_at))
    if reading.boot is not None and reading.seq is not None:
        found.append(("seq", reading.metric, reading.boot, reading.seq))
    return found


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
