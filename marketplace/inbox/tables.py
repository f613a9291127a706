"""How people want to be told, what waits for their daily letter, and what was looked at for a reminder."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.db import Base, Code, Id, choice
from marketplace.topics import Delivery, Topic


class MessageChoice(Base):
    """How a person wants letters about one topic; at once where there is no row."""

    __tablename__ = "message_choices"

    person_id: Mapped[Id] = mapped_column(ForeignKey("people.id"), primary_key=True)
    topic: Mapped[Topic] = mapped_column(choice(Topic), primary_key=True)
    delivery: Mapped[Delivery] = mapped_column(choice(Delivery))


class ReadersZone(Base):
    """On whose clock a person's daily letter comes; the platform's where there is no row."""

    __tablename__ = "readers_zones"

    person_id: Mapped[Id] = mapped_column(ForeignKey("people.id"), primary_key=True)
    timezone: Mapped[Code]


class DigestEntry(Base):
    """A message that waits for its reader's daily letter; the row goes when the letter is queued."""

    __tablename__ = "digest_entries"

    message_id: Mapped[Id] = mapped_column(ForeignKey("messages.id"), primary_key=True)
    person_id: Mapped[Id]
    due_at: Mapped[datetime]

    __table_args__ = (Index("ix_digest_entries_due", "due_at"),)  # the worker's daily letters


class Reminder(Base):
    """That a coming event was looked at for a reminder, told or not: a booking's start, the end of a statement's silence."""

    __tablename__ = "reminders"

    subject_id: Mapped[Id] = mapped_column(primary_key=True)
    event_at: Mapped[datetime] = mapped_column(primary_key=True)
    noted_at: Mapped[datetime]
