"""The secret addresses of calendars."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.db import Base, Code, Id


class CalendarFeed(Base):
    """A calendar behind a secret address, a person's or a resource's; only the hash of the secret is kept."""

    __tablename__ = "calendar_feeds"

    secret_hash: Mapped[Code] = mapped_column(primary_key=True)
    person_id: Mapped[Id | None] = mapped_column(ForeignKey("people.id"))
    resource_id: Mapped[Id | None] = mapped_column(ForeignKey("resources.id"))
    created_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("person_id"),
        UniqueConstraint("resource_id"),
        CheckConstraint("(person_id IS NULL) <> (resource_id IS NULL)", name="one_owner"),
    )
