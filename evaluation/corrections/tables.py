"""Which revision answers which discrepancy. Rows never change."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from devices.discrepancies.tables import Discrepancy
from evaluation.tables import Revision
from marketplace.db import Base, Id
from marketplace.frozen import freeze


class DiscrepancyAnswer(Base):
    """A revision whose figures are with the discrepancy: a further one, or the same as before where no figure changed."""

    __tablename__ = "discrepancy_answers"

    discrepancy_id: Mapped[Id] = mapped_column(ForeignKey(Discrepancy.id), primary_key=True)
    revision_id: Mapped[Id] = mapped_column(ForeignKey(Revision.id), primary_key=True)
    answered_at: Mapped[datetime]

    __table_args__ = (Index("ix_discrepancy_answers_revision", "revision_id"),)


freeze(DiscrepancyAnswer.__table__, DiscrepancyAnswer.__tablename__)
