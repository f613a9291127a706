"""Which meter measures part of what another one does."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from devices.tables import Device
from marketplace.db import Base, Id


class Submeter(Base):
    """From `valid_from` on another meter includes all that the device measures. Rows are added, never changed."""

    __tablename__ = "submeters"

    device_id: Mapped[Id] = mapped_column(ForeignKey(Device.id), primary_key=True)
    valid_from: Mapped[datetime] = mapped_column(primary_key=True)
    measured_by: Mapped[Id | None] = mapped_column(ForeignKey(Device.id))
    """None: no other one any more."""
    created_by: Mapped[Id | None]

    __table_args__ = (
        CheckConstraint("measured_by <> device_id", name="not_itself"),
        Index("ix_submeters_measured_by", "measured_by"),  # those below a meter
    )
