"""What the database knows of the archive: its files, and which day of which device lies in which."""

from datetime import date, datetime

from sqlalchemy import Date, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from devices.tables import Device
from marketplace.db import Base, Code, Id

_UNMOVED = text("moved_at IS NULL")


class ArchiveFile(Base):
    """A Parquet file with a day (UTC) of several devices. Its name holds the beginning of its digest, so it is never replaced."""

    __tablename__ = "archive_files"

    name: Mapped[Code] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(Date)
    devices: Mapped[int]
    messages: Mapped[int]
    size: Mapped[int]
    """Bytes."""
    digest: Mapped[Code]
    """SHA-256, hexadecimal."""
    written_at: Mapped[datetime]

    __table_args__ = (Index("ix_archive_files_day", "day"),)


class ArchivedDay(Base):
    """A device's sealed messages of a day in a file. Once `moved_at` is set the database has none of them but births."""

    __tablename__ = "archived_days"

    device_id: Mapped[Id] = mapped_column(ForeignKey(Device.id), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    file: Mapped[Code] = mapped_column(ForeignKey(ArchiveFile.name))
    messages: Mapped[int]
    births: Mapped[bool]
    """Whether a Sparkplug birth is among them."""
    moved_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_archived_days_file", "file"),
        Index("ix_archived_days_unmoved", "file", postgresql_where=_UNMOVED, sqlite_where=_UNMOVED),  # where to go on
    )
