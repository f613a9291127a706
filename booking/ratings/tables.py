"""Ratings."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from booking.tables import Booking
from marketplace.db import Base, Id, Line
from marketplace.tables import Person, Resource


class Rating(Base):
    """One of a fulfilled use, by the customer's side; the text is for the publisher alone."""

    __tablename__ = "ratings"

    booking_id: Mapped[Id] = mapped_column(ForeignKey(Booking.id), primary_key=True)
    resource_id: Mapped[Id] = mapped_column(ForeignKey(Resource.id))
    stars: Mapped[int]
    comment: Mapped[Line | None]
    rated_by: Mapped[Id] = mapped_column(ForeignKey(Person.id))
    rated_at: Mapped[datetime]
    edited_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("stars BETWEEN 1 AND 5", name="stars_one_to_five"),
        Index("ix_ratings_resource", "resource_id", "rated_at"),  # the average of a listing, the publisher's list
    )
