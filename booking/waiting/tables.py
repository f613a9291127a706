"""What is stored of waiting lists."""

from datetime import datetime, timedelta

from sqlalchemy import CheckConstraint, ForeignKey, Index, false
from sqlalchemy.orm import Mapped, composite, mapped_column

from booking.tables import Category
from booking.waiting.line import WaitingState
from marketplace.db import Base, Id, Line, choice
from marketplace.slot import Slot
from marketplace.tables import Institution, Organisation, Person, Resource


class WaitingEntry(Base):
    """Someone's place in the line of a resource; the order is that of joining. While it is offered its claims are active."""

    __tablename__ = "waiting_entries"

    id: Mapped[Id] = mapped_column(primary_key=True)
    resource_id: Mapped[Id] = mapped_column(ForeignKey(Resource.id))
    institution_id: Mapped[Id] = mapped_column(ForeignKey(Institution.id))
    organisation_id: Mapped[Id | None] = mapped_column(ForeignKey(Organisation.id))
    person_id: Mapped[Id] = mapped_column(ForeignKey(Person.id))
    starts_at: Mapped[datetime]
    """Of the window in which the use may lie."""
    ends_at: Mapped[datetime]
    length_min: Mapped[int]
    """Of the use; as long as the window where exactly that time is wanted."""
    quantity: Mapped[int]
    category: Mapped[Category] = mapped_column(choice(Category))
    purpose: Mapped[Line | None]
    assisted: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Somebody of the house is to stand by."""
    state: Mapped[WaitingState] = mapped_column(choice(WaitingState))
    joined_at: Mapped[datetime]
    looked_at: Mapped[datetime]
    """When the worker last looked whether something is free for it."""
    offer_starts_at: Mapped[datetime | None]
    offer_ends_at: Mapped[datetime | None]
    offered_at: Mapped[datetime | None]
    offered_until: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    booking_id: Mapped[Id | None]
    """What the accepted offer became."""

    window: Mapped[Slot] = composite(Slot, "starts_at", "ends_at")

    __table_args__ = (
        CheckConstraint("starts_at < ends_at", name="window_not_empty"),
        CheckConstraint("quantity >= 1", name="quantity_positive"),
        CheckConstraint("length_min >= 1", name="length_positive"),
        CheckConstraint(
            "state <> 'offered' OR (offered_at < offered_until AND offer_starts_at < offer_ends_at)", name="offer_complete"
        ),
        CheckConstraint("state <> 'booked' OR booking_id IS NOT NULL", name="booked_is_known"),
        Index("ix_waiting_entries_line", "resource_id", "state", "joined_at"),  # who is next
        Index("ix_waiting_entries_person", "person_id", "joined_at"),  # my places
        Index("ix_waiting_entries_due", "state", "offered_until"),  # the worker's "which offers have lapsed"
    )

    @property
    def length(self) -> timedelta:
        return timedelta(minutes=self.length_min)

    @property
    def offer(self) -> Slot | None:
        """The time that is or was offered."""
        if self.offer_starts_at is None or self.offer_ends_at is None:
            return None
        return Slot(self.offer_starts_at, self.offer_ends_at)
