"""Why requests came to nothing."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from booking.tables import Booking
from marketplace.db import Base, Id, Line, choice


class Grounds(StrEnum):
    """What ended a request: no room for it, it does not suit the equipment, or its customer took it back."""

    DECLINED_CAPACITY = "declined_capacity"
    OUT_OF_SCOPE = "out_of_scope"
    WITHDRAWN = "withdrawn"


class RequestEnd(Base):
    """Who ended a request, on which grounds and why. One that nobody answered has none."""

    __tablename__ = "request_ends"

    booking_id: Mapped[Id] = mapped_column(ForeignKey(Booking.id), primary_key=True)
    grounds: Mapped[Grounds] = mapped_column(choice(Grounds))
    reason: Mapped[Line | None]
    ended_by: Mapped[Id]
    ended_at: Mapped[datetime]
