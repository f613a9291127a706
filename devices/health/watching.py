"""A meter's messages as somebody who watches sees them: what each says of power and energy, when it came, what time it tells."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from devices import queries
from devices.codecs import families
from devices.health.rhythm import Clock, clock_of, interval_s
from devices.profile import Profile
from devices.readings import Channel, Envelope, Rejected
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
    """Of what was received then, the first of it."""
    return _words(session, device, profile, queries.messages_within(session, device.id, within, limit=MOST))


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
    return [one for one in _read([*births, *heard], profile) if since and one.received_at >= since]


def _read(envelopes: Iterable[Envelope], profile: Profile) -> Iterable[Word]:
    for envelope, told in families.follow(profile.family, envelopes, profile.tz, profile.mapping):
        for one in [] if isinstance(told, Rejected) else told:
            reading, live = one.reading, not (envelope.retain or envelope.backlog or envelope.historical or one.historical)
            if reading.channel is Channel.TELEMETRY:
                yield Word(
                    envelope.received_at, reading.measured_at, reading.power_w, reading.energy_wh, reading.state, live
                )  # fmt: skip
