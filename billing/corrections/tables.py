"""What an institution has paid back by bank of what a correction left the firm to get."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from billing.tables import Statement
from booking.tables import Booking
from marketplace.db import Base, Code, Id, Name
from marketplace.frozen import freeze
from marketplace.tables import Institution


class PaidBack(Base):
    """One transfer from the institution to the firm, by its bank serial; entered once. Rows never change."""

    __tablename__ = "paid_back"

    id: Mapped[Id] = mapped_column(primary_key=True)
    booking_id: Mapped[Id] = mapped_column(ForeignKey(Booking.id))
    institution_id: Mapped[Id] = mapped_column(ForeignKey(Institution.id))
    statement_id: Mapped[Id] = mapped_column(ForeignKey(Statement.id))
    """The newest accepted version then."""
    amount_minor: Mapped[int]
    currency: Mapped[Code]
    serial: Mapped[Name]
    recorded_by: Mapped[Id]
    created_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("institution_id", "serial"),
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        Index("ix_paid_back_booking", "booking_id"),
    )


freeze(PaidBack.__table__, PaidBack.__tablename__)
