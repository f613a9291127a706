"""What is stored of cancellation fees that may be given back."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from billing.tables import Statement
from booking.tables import Booking
from marketplace.db import Base, Code, Id, Name


class FeeCredit(Base):
    """What of a cancellation's fee is given back: decided once, when its time is over and all who took it are billed."""

    __tablename__ = "fee_credits"

    booking_id: Mapped[Id] = mapped_column(ForeignKey(Booking.id), primary_key=True)
    """The cancelled one, or a request that came to nothing after a time had been given up late for it."""
    fee_minor: Mapped[int]
    """Of this slot; what a cancelled booking owed beyond it for a time given up before is not given back."""
    currency: Mapped[Code]
    ends_at: Mapped[datetime]
    """Of the slot that was cancelled or given up."""
    whole_s: Mapped[int]
    """Of that slot, counted once for each unit."""
    resold_s: Mapped[int] = mapped_column(default=0)
    credit_minor: Mapped[int] = mapped_column(default=0)
    correction_id: Mapped[Id | None] = mapped_column(ForeignKey(Statement.id))
    """The statement that gives it back."""
    decided_at: Mapped[datetime | None]
    returned_minor: Mapped[int] = mapped_column(default=0)
    """What the institution has paid back itself, where it was paid by bank."""
    returned_serial: Mapped[Name | None]
    returned_by: Mapped[Id | None]
    returned_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("credit_minor BETWEEN 0 AND fee_minor", name="credit_at_most_fee"),
        CheckConstraint("resold_s BETWEEN 0 AND whole_s", name="resold_at_most_whole"),
        CheckConstraint("returned_minor BETWEEN 0 AND credit_minor", name="returned_at_most_credit"),
        Index("ix_fee_credits_due", "decided_at", "ends_at"),  # the worker's "what is not decided yet"
    )
