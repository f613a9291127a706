"""What was taken in from a file, by the key that the file gives it."""

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.db import Base, Code, Id, Name


class ImportedRow(Base):
    """A row of a file and what it became. Rows never change."""

    __tablename__ = "imported_rows"

    kind: Mapped[Code] = mapped_column(primary_key=True)
    key: Mapped[Name] = mapped_column(primary_key=True)
    digest: Mapped[Code]
    """Of the row's values: under the same key another row is refused."""
    object_id: Mapped[Id]
    created_at: Mapped[datetime]

    __table_args__ = (Index("ix_imported_rows_object", "kind", "object_id"),)  # exports name things as their file did
