"""What devices stores: devices and their thresholds, messages as they came, sessions, segments, confirmed use."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from booking.tables import Booking
from devices.matching import Verdict
from devices.segments import State
from devices.sessions import EndReason, Grade
from marketplace.db import Base, Code, Document, Id, Line, Name, choice, sparse_index
from marketplace.tables import Institution, Resource


class DeviceState(StrEnum):
    ACTIVE = "active"
    REVOKED = "revoked"


class Device(Base):
    """A meter or controller on a resource. Its key is its MQTT user name, client id and branch `d/{key}/`."""

    __tablename__ = "devices"

    id: Mapped[Id] = mapped_column(primary_key=True)
    key: Mapped[Code]
    resource_id: Mapped[Id] = mapped_column(ForeignKey(Resource.id))
    institution_id: Mapped[Id] = mapped_column(ForeignKey(Institution.id))
    name: Mapped[Name]
    secret_hash: Mapped[Line]
    """In the broker's own password format ($7$ PBKDF2-SHA512), so that the file can be written again from here."""
    login_number: Mapped[int] = mapped_column(default=1, server_default="1")
    """By which of its names it logs in with this secret (devices.rights.login_name)."""
    state: Mapped[DeviceState] = mapped_column(choice(DeviceState))
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    online: Mapped[bool | None]
    online_at: Mapped[datetime | None]
    last_message_at: Mapped[datetime | None]
    folded_at: Mapped[datetime | None]
    """Up to which receipt its messages are folded."""
    dirty_from: Mapped[datetime | None]
    """The earliest instant that new messages touch; None where nothing waits to be folded."""
    archived_until: Mapped[datetime | None]
    """What was received before lies in the archive: nothing is folded there any more."""
    birth_wanted_at: Mapped[datetime | None]
    """Since when a Sparkplug node is to be asked for a birth."""
    birth_asked_at: Mapped[datetime | None]
    access_version: Mapped[int] = mapped_column(default=1, server_default="1")
    """Grows by one with each change of whether and how it may connect: the sum of all tells the broker's keeper to look."""

    __table_args__ = (
        UniqueConstraint("key"),
        Index("ix_devices_resource", "resource_id"),
        sparse_index("ix_devices_birth", "birth_wanted_at"),  # whom to ask
    )


class OldSecret(Base):
    """The secret before the present one, of a device whose owner wanted both to count for a while."""

    __tablename__ = "old_secrets"

    device_id: Mapped[Id] = mapped_column(ForeignKey(Device.id), primary_key=True)
    secret_hash: Mapped[Line]
    login_number: Mapped[int] = mapped_column(default=1, server_default="1")
    """Both as in Device."""
    ends_at: Mapped[datetime]


class DeviceCertificate(Base):
    """A certificate by which a device may connect; several at once while one takes over from another."""

    __tablename__ = "device_certificates"

    serial: Mapped[Code] = mapped_column(primary_key=True)
    """Hexadecimal."""
    device_id: Mapped[Id] = mapped_column(ForeignKey(Device.id))
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_device_certificates_device", "device_id"),
        sparse_index("ix_device_certificates_revoked", "revoked_at"),  # the list that the broker reads
    )


class Thresholds(Base):
    """A device's profile from `valid_from` on. Rows are added, never changed."""

    __tablename__ = "thresholds"

    id: Mapped[Id] = mapped_column(primary_key=True)
    device_id: Mapped[Id] = mapped_column(ForeignKey(Device.id))
    valid_from: Mapped[datetime]
    profile: Mapped[Document]
    created_at: Mapped[datetime]
    created_by: Mapped[Id | None]

    __table_args__ = (UniqueConstraint("device_id", "valid_from"),)


class RawMessage(Base):
    """A message of a known device as it came. The digest makes a second delivery of the same one a no-op."""

    __tablename__ = "raw_messages"

    device_id: Mapped[Id] = mapped_column(ForeignKey(Device.id), primary_key=True)
    digest: Mapped[Code] = mapped_column(primary_key=True)
    received_at: Mapped[datetime]
    topic: Mapped[Line]
    payload: Mapped[bytes] = mapped_column(LargeBinary)
    retain: Mapped[bool]
    backlog: Mapped[bool]

    __table_args__ = (Index("ix_raw_messages_time", "device_id", "received_at"),)  # the fold reads one device in order


class RejectedMessage(Base):
    """A message that was turned away, with the reason; kept and counted, never dropped in silence."""

    __tablename__ = "rejected_messages"

    id: Mapped[Id] = mapped_column(primary_key=True)
    device_id: Mapped[Id | None]
    device_key: Mapped[Code]
    topic: Mapped[Line]
    payload: Mapped[bytes] = mapped_column(LargeBinary)
    """The first 1,024 bytes."""
    size: Mapped[int]
    reason: Mapped[Code]
    detail: Mapped[Line]
    received_at: Mapped[datetime]

    __table_args__ = (
        Index("ix_rejected_messages_device", "device_key", "received_at"),  # the health page
        Index("ix_rejected_messages_time", "received_at"),
    )


class RejectedCount(Base):
    """How many rejected messages were forgotten since; those of unknown devices together, under no key."""

    __tablename__ = "rejected_counts"

    device_key: Mapped[Code] = mapped_column(primary_key=True)
    reason: Mapped[Code] = mapped_column(primary_key=True)
    count: Mapped[int]


class UsageSession(Base):
    """One run of a device. Late data replaces sessions that nothing rests on yet; sealed ones stay."""

    __tablename__ = "usage_sessions"

    id: Mapped[Id] = mapped_column(primary_key=True)
    device_id: Mapped[Id] = mapped_column(ForeignKey(Device.id))
    resource_id: Mapped[Id] = mapped_column(ForeignKey(Resource.id))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime | None]
    until: Mapped[datetime]
    confirmed_s: Mapped[int]
    unverified_s: Mapped[int]
    energy_wh: Mapped[int]
    end_reason: Mapped[EndReason | None] = mapped_column(choice(EndReason))
    grade: Mapped[Grade] = mapped_column(choice(Grade))
    flags: Mapped[list[Any]]

    __table_args__ = (
        UniqueConstraint("device_id", "starts_at"),
        Index("ix_usage_sessions_resource", "resource_id", "starts_at"),
        Index(
            "ix_usage_sessions_open", "device_id", unique=True,
            postgresql_where=text("ends_at IS NULL"), sqlite_where=text("ends_at IS NULL"),
        ),  # one open session a device
    )  # fmt: skip


class StateSegment(Base):
    """A stretch of one device in one state."""

    __tablename__ = "state_segments"

    device_id: Mapped[Id] = mapped_column(ForeignKey(Device.id), primary_key=True)
    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    ends_at: Mapped[datetime]
    resource_id: Mapped[Id]
    state: Mapped[State] = mapped_column(choice(State))
    bridged: Mapped[bool]

    __table_args__ = (Index("ix_state_segments_resource", "resource_id", "starts_at", "ends_at"),)


class LatestSample(Base):
    """What a device said last, for live pages."""

    __tablename__ = "latest_samples"

    device_id: Mapped[Id] = mapped_column(ForeignKey(Device.id), primary_key=True)
    resource_id: Mapped[Id]
    at: Mapped[datetime]
    power_w: Mapped[int | None]
    """Watts, whole."""
    in_use_since: Mapped[datetime | None]
    stale_after_s: Mapped[int]
    power_series: Mapped[list[Any]]
    """The last hour's power, oldest first, at most 60 of [seconds before `at`, W]."""

    __table_args__ = (Index("ix_latest_samples_resource", "resource_id"),)


class ConfirmedUse(Base):
    """What a booking really used. Append only: a correction is a new row that points back to the one it replaces."""

    __tablename__ = "confirmed_uses"

    id: Mapped[Id] = mapped_column(primary_key=True)
    booking_id: Mapped[Id] = mapped_column(ForeignKey(Booking.id))
    number: Mapped[int]
    supersedes_id: Mapped[Id | None]
    verdict: Mapped[Verdict] = mapped_column(choice(Verdict))
    booked_s: Mapped[int]
    confirmed_s: Mapped[int]
    early_s: Mapped[int]
    overrun_s: Mapped[int]
    unverified_s: Mapped[int]
    fault_s: Mapped[int]
    attested_s: Mapped[int] = mapped_column(default=0, server_default="0")
    """Of what was confirmed, what rests on signatures of both sides and not on telemetry."""
    energy_wh: Mapped[int]
    grade: Mapped[Grade | None] = mapped_column(choice(Grade))
    pieces: Mapped[list[Any]]
    """[{"start", "end", "state"}], RFC 3339, in order, early start and overrun included."""
    created_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("booking_id", "number"),)


class IngestGap(Base):
    """Time in which the broker may have lost messages of its devices."""

    __tablename__ = "ingest_gaps"

    id: Mapped[Id] = mapped_column(primary_key=True)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    reason: Mapped[Line]


class Heartbeat(Base):
    """The last committed message that ingest sent to itself, proof that the whole way works; the last sign of who listens; and
    when the broker refused the last login of a worker."""

    __tablename__ = "heartbeats"

    name: Mapped[Code] = mapped_column(primary_key=True)
    at: Mapped[datetime]
