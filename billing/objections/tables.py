"""What is stored of objections."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from billing.tables import Statement
from marketplace.db import Base, Id, Line


class Objection(Base):
    """To one line of a disputed version; the version that follows says what became of it."""

    __tablename__ = "statement_objections"

    statement_id: Mapped[Id] = mapped_column(ForeignKey(Statement.id), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    """Its place among the statement's lines, from 0."""
    reason: Mapped[Line]
    amount_minor: Mapped[int | None]
    """What the line comes to by the institution's answer; None where it has not answered this line by itself."""
    answer: Mapped[Line | None]
    answered_by: Mapped[Id | None]
    answered_at: Mapped[datetime | None]

    __table_args__ = (CheckConstraint("line >= 0", name="line_from_zero"),)
