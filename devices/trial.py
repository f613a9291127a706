"""What a device's last messages say by its profile, and what they would say by another. Nothing is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from devices import queries
from devices.codecs import families
from devices.placing import arrived, placed_at
from devices.profile import Profile
from devices.readings import Channel, Envelope, Reason, Rejected, Told
from devices.tables import Device

MOST_MESSAGES = 50
NOT_BY_READING = {Reason.FOREIGN_TOPIC, Reason.WRONG_LOGIN, Reason.RATE}
"""Turned away before anybody looked at what they say."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as it came, whether it was taken or turned away."""

    envelope: Envelope
    size: int
    """Of the payload as it came; of one that was turned away the first bytes are kept."""
    turned_away: Rejected | None = None

    @property
    def is_whole(self) -> bool:
        return self.size == len(self.envelope.payload)


@dataclass(frozen=True, slots=True)
class Value:
    """One reading of a message: W, the counter in Wh, state, presence, and where it was placed in time, or why nowhere."""

    power_w: float | None
    energy_wh: float | None
    state: str | None
    online: bool | None
    metric: str
    at: datetime | None
    note: str | None = None

    @property
    def beats(self) -> bool:
        """A sign of life and nothing else."""
        return self.power_w is None and self.energy_wh is None and self.state is None and self.online is None


Said = Sequence[Value] | Rejected
"""Of one message; empty where it measures nothing."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A message with what it says now and, where another profile is tried, what it would say then.

    None where only its begin was kept.
    """

    heard: Heard
    now: Said | None
    then: Said | None

    @property
    def differs(self) -> bool:
        return self.now != self.then


def last_heard(session: Session, device: Device) -> list[Heard]:
    """The device's last messages in order of receipt, taken or turned away."""
    taken = [Heard(one, len(one.payload)) for one in queries.last_messages(session, device.id, count=MOST_MESSAGES)]
    refused = [
        Heard(Envelope(row.topic, row.payload, row.received_at), row.size, Rejected(Reason(row.reason), row.detail))
        for row in queries.rejected_of(session, device.key, limit=MOST_MESSAGES)
        if row.device_id == device.id and row.reason in set(Reason) - NOT_BY_READING
    ]
    return sorted([*taken, *refused], key=lambda one: one.envelope.received_at)[-MOST_MESSAGES:]


def try_on(session: Session, device: Device, present: Profile, other: Profile | None = None) -> list[Tried]:
    """The last messages, newest first, read by the profile in force and by another."""
    heard = last_heard(session, device)
    whole = [one.envelope for one in heard if one.is_whole]
    births = queries.births_of(session, device.id, before=whole[0].received_at) if whole else []
    now = _said([*births, *whole], present)
    then = _said([*births, *whole], other) if other else {}
    return [Tried(one, now.get(id(one.envelope)), then.get(id(one.envelope))) for one in reversed(heard)]


def _said(envelopes: Sequence[Envelope], profile: Profile) -> dict[int, Said]:
    """By the identity of the envelope, which a family may take out of turn."""
    found: dict[int, Said] = {}
    for envelope, told in families.follow(profile.family, envelopes, profile.tz, profile.mapping):
        before = found.get(id(envelope), ())
        if isinstance(told, Rejected):
            found[id(envelope)] = told
        else:
            values = [_value(envelope, one, profile) for one in told]
            found[id(envelope)] = [*(() if isinstance(before, Rejected) else before), *values]
    return found


def _value(envelope: Envelope, told: Told, profile: Profile) -> Value:
    reading = told.reading
    at, note = placed_at(arrived(envelope, told), profile) if reading.channel is Channel.TELEMETRY else (None, None)
    if at is not None and not profile.counts(reading.metric):
        at, note = None, "not_counted"
    return Value(reading.power_w, reading.energy_wh, reading.state, reading.online, reading.metric, at, note)
