"""What an institution trains people for, and who holds it."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.db import Base, Id, Name
from marketplace.tables import Institution, Person


class Qualification(Base):
    """A kind of training of one institution. Levels never change: grants and rules name them by number."""

    __tablename__ = "qualifications"

    id: Mapped[Id] = mapped_column(primary_key=True)
    institution_id: Mapped[Id] = mapped_column(ForeignKey(Institution.id))
    name: Mapped[Name]
    name_en: Mapped[Name | None]
    levels: Mapped[list[Any]]
    """[{"name", "name_en"}], the lowest first; level 1 is the first of them."""
    created_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("institution_id", "name"),)


class QualificationGrant(Base):
    """Someone's qualification until it expires or is revoked. A higher or longer one is another row."""

    __tablename__ = "qualification_grants"

    id: Mapped[Id] = mapped_column(primary_key=True)
    qualification_id: Mapped[Id] = mapped_column(ForeignKey("qualifications.id"))
    person_id: Mapped[Id] = mapped_column(ForeignKey(Person.id))
    level: Mapped[int]
    expires_at: Mapped[datetime | None]
    granted_at: Mapped[datetime]
    granted_by: Mapped[Id]
    revoked_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("level >= 1", name="level_positive"),
        Index("ix_qualification_grants_person", "person_id", "qualification_id"),  # at every booking that asks for one
        Index("ix_qualification_grants_kind", "qualification_id", "granted_at"),  # the publisher's list
    )
