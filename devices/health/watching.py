"""A meter's messages as somebody who watches sees them: what each says of power and energy, when it came, what time it tells."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from devices import queries
from devices.codecs import families
from devices.health.rhythm import Clock, clock_of, interval_s
from devices.placing import Sample, as_one
from devices.profile import Profile
from devices.readings import Channel, Envelope, Reading, Rejected, Told
from devices.tables import Device
from marketplace.slot import Slot

LAST = 50
MOST = 5000
"""Messages of one look: more than an hour of one a second."""


@dataclass(frozen=True, slots=True)
class Word:
    """A reading of telemetry. `live`: not kept by the broker or by the meter for later."""

    received_at: datetime
    measured_at: datetime | None
    power_w: float | None
    energy_wh: float | None
    state: str | None
    live: bool


@dataclass(frozen=True, slots=True)
class Pulse:
    """What the last messages say of the meter itself."""

    words: Sequence[Word]
    """In order of receipt."""
    interval_s: float | None
    clock: Clock | None

    @property
    def power_w(self) -> float | None:
        return next((one.power_w for one in reversed(self.words) if one.power_w is not None), None)

    @property
    def energy_wh(self) -> float | None:
        return next((one.energy_wh for one in reversed(self.words) if one.energy_wh is not None), None)

    @property
    def state(self) -> str | None:
        return next((one.state for one in reversed(self.words) if one.state is not None), None)


def clock_agrees(clock: Clock, profile: Profile) -> bool:
    """Whether a sample is placed at the time it tells."""
    return -profile.max_future <= clock.behind_s <= profile.max_skew


def last_words(session: Session, device: Device, profile: Profile) -> list[Word]:
    """Of the last messages that were taken."""
    return _words(session, device, profile, queries.last_messages(session, device.id, count=LAST))


def words_within(session: Session, device: Device, profile: Profile, within: Slot) -> list[Word]:
    """Of what was received then, the first of it; of several series with what each told just before."""
    heard = queries.messages_within(session, device.id, within.widen(profile.span("stale_after"), timedelta(0)), limit=MOST)
    return [one for one in _words(session, device, profile, heard) if one.received_at >= within.start]


def pulse_of(words: Sequence[Word]) -> Pulse:
    live = [one for one in words if one.live]
    told = [(one.received_at, one.measured_at) for one in live if one.measured_at is not None]
    return Pulse(words, interval_s([one.received_at for one in live]), clock_of(told))


def recent(words: Sequence[Word], *, now: datetime, within: timedelta) -> list[Word]:
    """Those of the last while, so that an old silence says nothing of today."""
    return [one for one in words if one.received_at > now - within]


def _words(session: Session, device: Device, profile: Profile, heard: Sequence[Envelope]) -> list[Word]:
    births = queries.births_of(session, device.id, before=heard[0].received_at) if heard else []
    since = heard[0].received_at if heard else None
    read = [(envelope, told) for envelope, told in _read([*births, *heard], profile) if since and envelope.received_at >= since]
    if len({one.reading.metric for _, told in read for one in told}) <= 1:
        return [_word(envelope, one, one.reading) for envelope, told in read for one in told]
    return _together(read, profile)


Heard = tuple[Envelope, list[Told]]
"""A message, and what it says of the series that count."""


def _read(envelopes: Iterable[Envelope], profile: Profile) -> Iterable[Heard]:
    for envelope, told in families.follow(profile.family, envelopes, profile.tz, profile.mapping):
        some = [] if isinstance(told, Rejected) else [one for one in told if one.reading.channel is Channel.TELEMETRY]
        if counting := [one for one in some if profile.counts(one.reading.metric)]:
            yield envelope, counting


def _together(read: Sequence[Heard], profile: Profile) -> list[Word]:
    """Several series as the fold reads them: one machine, a word a message."""
    messages = [
        [
            (one.reading.metric, Sample(envelope.received_at, one.reading.power_w, one.reading.energy_wh, one.reading.state))
            for one in told
        ]
        for envelope, told in read
    ]
    counted: dict[str, float] = {}
    found = []
    for (envelope, told), sample in zip(read, as_one(messages, profile), strict=True):
        counted |= {metric: value for metric, value in sample.counters if value is not None}
        energy = sum(counted.values()) if any(value is not None for _, value in sample.counters) else None
        found.append(
            _word(envelope, told[0], told[0].reading._replace(power_w=sample.power_w, energy_wh=energy, state=sample.state))
        )
    return found


def _word(envelope: Envelope, told: Told, reading: Reading) -> Word:
    live = not (envelope.retain or envelope.backlog or envelope.historical or told.reading.historical)
    return Word(envelope.received_at, reading.measured_at, reading.power_w, reading.energy_wh, reading.state, live)
