"""Calendars that are kept elsewhere, and the busy time that they say of a resource."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, composite, mapped_column

from marketplace.db import Base, Code, Id, Line, Name
from marketplace.slot import Slot
from marketplace.tables import Institution, Person, Resource


class ExternalCalendar(Base):
    """An address that the worker reads again and again, or a file that was handed in; what it said last stays."""

    __tablename__ = "external_calendars"

    id: Mapped[Id] = mapped_column(primary_key=True)
    resource_id: Mapped[Id] = mapped_column(ForeignKey(Resource.id))
    institution_id: Mapped[Id] = mapped_column(ForeignKey(Institution.id))
    name: Mapped[Name]
    url: Mapped[Line | None]
    """Whoever knows it may read the calendar, so it is shown in part only. A file has none."""
    body: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    """The last file that could be read: as days go by, its rules reach further."""
    etag: Mapped[Name | None]
    modified: Mapped[Name | None]
    created_at: Mapped[datetime]
    created_by: Mapped[Id] = mapped_column(ForeignKey(Person.id))
    run_at: Mapped[datetime]
    """When it is read next."""
    lease_until: Mapped[datetime | None]
    tried_at: Mapped[datetime | None]
    read_at: Mapped[datetime | None]
    """When it was read last without an error."""
    error: Mapped[Code | None]
    """What went wrong since; None while all is well."""
    error_status: Mapped[int | None]
    entries: Mapped[int] = mapped_column(default=0)
    notes: Mapped[list[Any]] = mapped_column(default=list)
    """[{"code", "value"}]: what could not be taken as it stands."""
    failures: Mapped[int] = mapped_column(default=0)

    __table_args__ = (
        CheckConstraint("url IS NOT NULL OR body IS NOT NULL", name="address_or_file"),
        Index("ix_external_calendars_resource", "resource_id"),  # the publisher's page, the conflicts
        Index("ix_external_calendars_due", "run_at"),  # the worker's claim
    )


class ExternalBusy(Base):
    """A stretch that a calendar calls busy. Its claims are what was left of it beside bookings and outages."""

    __tablename__ = "external_busy"

    id: Mapped[Id] = mapped_column(primary_key=True)
    calendar_id: Mapped[Id] = mapped_column(ForeignKey(ExternalCalendar.id))
    resource_id: Mapped[Id] = mapped_column(ForeignKey(Resource.id))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]

    slot: Mapped[Slot] = composite(Slot, "starts_at", "ends_at")

    __table_args__ = (
        CheckConstraint("starts_at < ends_at", name="slot_not_empty"),
        UniqueConstraint("calendar_id", "starts_at", name="uq_external_busy_start"),
        Index("ix_external_busy_resource", "resource_id", "starts_at"),  # time that a booking leaves, conflicts
    )
