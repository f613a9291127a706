"""What is sealed and since when, and what late messages would have made of it. Rows never change."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from devices.tables import Device
from marketplace.db import Base, Code, Document, Id, choice
from marketplace.frozen import freeze
from marketplace.tables import Resource


class Cause(StrEnum):
    """What rests on a sealed stretch."""

    STATEMENT = "statement"
    EVALUATION = "evaluation"


class SealedStretch(Base):
    """A stretch of a resource on which an accepted statement or a published revision rests. Stretches may overlap."""

    __tablename__ = "sealed_stretches"

    resource_id: Mapped[Id] = mapped_column(ForeignKey(Resource.id), primary_key=True)
    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    cause_id: Mapped[Id] = mapped_column(primary_key=True)
    """The statement or the revision."""
    ends_at: Mapped[datetime]
    cause: Mapped[Cause] = mapped_column(choice(Cause))
    sealed_at: Mapped[datetime]
    sessions: Mapped[list[Any]]
    """Ids of the sessions that lay within it."""
    digest: Mapped[Code | None]
    """SHA-256 over these sessions and the states of the stretch; None where it was sealed before digests were taken."""

    __table_args__ = (
        Index("ix_sealed_stretches_end", "resource_id", "ends_at"),  # a fold asks for the last ones
        Index("ix_sealed_stretches_cause", "cause_id"),
    )


class Discrepancy(Base):
    """What a device's messages come to on a day (UTC), against what is sealed of it. Of a day the last number stands."""

    __tablename__ = "discrepancies"

    id: Mapped[Id] = mapped_column(primary_key=True)
    device_id: Mapped[Id] = mapped_column(ForeignKey(Device.id))
    resource_id: Mapped[Id] = mapped_column(ForeignKey(Resource.id))
    day: Mapped[date]
    number: Mapped[int]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    """From the first difference to the last."""
    differs: Mapped[bool]
    """False where later messages have made up for what an earlier record said."""
    was: Mapped[Document]
    """{"segments": [[start, end, state, bridged]], "sessions": [{...}]} as they are stored."""
    would_be: Mapped[Document]
    """The same as all messages come to, with `sealed`: [[start, end]], the parts of the stretch of which it speaks."""
    was_s: Mapped[int]
    would_be_s: Mapped[int]
    """Seconds of run."""
    was_wh: Mapped[int]
    would_be_wh: Mapped[int]
    messages: Mapped[Document]
    """{"count", "first", "last", "digests": [...]} of what came after the seal."""
    rests_on: Mapped[list[Any]]
    """[{"cause", "id"}]: what the stretch is sealed by."""
    found_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("device_id", "day", "number"),
        CheckConstraint("ends_at > starts_at", name="not_empty"),
        Index("ix_discrepancies_resource", "resource_id", "ends_at"),  # what a use or a figure reads beside what is stored
        Index("ix_discrepancies_found", "found_at"),  # the lists, newest first
    )


freeze(SealedStretch.__table__, SealedStretch.__tablename__)
freeze(Discrepancy.__table__, Discrepancy.__tablename__)
