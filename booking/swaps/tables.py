"""Proposals to exchange two bookings."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from booking.tables import Booking
from marketplace.db import Base, Id, choice
from marketplace.tables import Person


class SwapState(StrEnum):
    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class Swap(Base):
    """The holder of `booking_id` would exchange places with `with_booking_id`; the versions are those it was proposed with."""

    __tablename__ = "swaps"

    id: Mapped[Id] = mapped_column(primary_key=True)
    booking_id: Mapped[Id] = mapped_column(ForeignKey(Booking.id))
    with_booking_id: Mapped[Id] = mapped_column(ForeignKey(Booking.id))
    version: Mapped[int]
    with_version: Mapped[int]
    state: Mapped[SwapState] = mapped_column(choice(SwapState))
    proposed_by: Mapped[Id] = mapped_column(ForeignKey(Person.id))
    proposed_at: Mapped[datetime]
    answer_by: Mapped[datetime]
    answered_by: Mapped[Id | None]
    answered_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("booking_id <> with_booking_id", name="two_bookings"),
        CheckConstraint("(state = 'proposed') = (answered_at IS NULL)", name="answered_once"),
        Index(
            "ix_swaps_open",
            "booking_id",
            unique=True,
            postgresql_where=text("state = 'proposed'"),
            sqlite_where=text("state = 'proposed'"),
        ),  # one open proposal a booking
        Index("ix_swaps_with", "with_booking_id"),  # what waits for a booking's holder
        Index("ix_swaps_due", "state", "answer_by"),  # the worker's deadlines
    )
