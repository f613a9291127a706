"""What a payer does on a page of the provider's for a payment, and what was given back of it."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from billing.providers.base import Purpose, RefundState
from billing.tables import Payment
from marketplace.db import Base, Id, Line, LongText, Name, choice


class Page(Base):
    """Where the payer of a payment pays, has an amount held, keeps a card or answers their bank; one of each payment at most."""

    __tablename__ = "payment_pages"

    payment_id: Mapped[Id] = mapped_column(ForeignKey(Payment.id), primary_key=True)
    purpose: Mapped[Purpose] = mapped_column(choice(Purpose))
    object_id: Mapped[Name | None]
    """The provider's own id of the page or of the card being kept; a bank's question has none beside its payment's."""
    url: Mapped[LongText | None]
    """While somebody can do something there."""
    ends_at: Mapped[datetime | None]
    kept_at: Mapped[datetime | None]
    """Since when a card is kept for the hold that its time will bring."""
    created_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("object_id"),
        Index("ix_payment_pages_ends_at", "ends_at"),  # what has ended and nothing was heard of
    )


class Refund(Base):
    """A refund as it was last read at the provider, under the provider's own id."""

    __tablename__ = "refunds"

    id: Mapped[Name] = mapped_column(primary_key=True)
    payment_id: Mapped[Id] = mapped_column(ForeignKey(Payment.id))
    call_key: Mapped[Name | None]
    """Of the call that asked for it."""
    amount_minor: Mapped[int]
    state: Mapped[RefundState] = mapped_column(choice(RefundState))
    failure: Mapped[Line | None]
    arrived_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    """When it came back or was cancelled."""
    created_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        Index("ix_refunds_payment", "payment_id"),  # what was given back of a payment
    )
