"""What a measurement of thresholds is stored in: when its two halves began. What was drawn then is in the messages."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from devices.tables import Device
from marketplace.db import Base, Id


class Measurement(Base):
    """A meter's last one; one that is begun anew takes its place."""

    __tablename__ = "threshold_measurements"

    device_id: Mapped[Id] = mapped_column(ForeignKey(Device.id), primary_key=True)
    idle_at: Mapped[datetime]
    run_at: Mapped[datetime | None]
    saved_at: Mapped[datetime | None]
