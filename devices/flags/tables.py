"""What the open questions are stored in. A flag is closed with a word of why, and stays."""

from datetime import date, datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from devices.flags.days import Kind
from devices.tables import Device
from marketplace.db import Base, Document, Id, Line, choice


class DeviceFlag(Base):
    __tablename__ = "device_flags"

    id: Mapped[Id] = mapped_column(primary_key=True)
    device_id: Mapped[Id] = mapped_column(ForeignKey(Device.id))
    resource_id: Mapped[Id]
    kind: Mapped[Kind] = mapped_column(choice(Kind))
    day: Mapped[date]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    evidence: Mapped[Document]
    raised_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[Id | None]
    comment: Mapped[Line | None]

    __table_args__ = (
        UniqueConstraint("device_id", "day", "kind"),
        Index("ix_device_flags_resource", "resource_id", "day"),
        Index("ix_device_flags_closed", "closed_at", "day"),  # what is open, and what was closed last
    )


class FlagLook(Base):
    """Up to which day (UTC) a device was looked at."""

    __tablename__ = "flag_looks"

    device_id: Mapped[Id] = mapped_column(ForeignKey(Device.id), primary_key=True)
    until: Mapped[date]
