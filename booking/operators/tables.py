"""The staff who may stand by at a use."""

from datetime import datetime

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.db import Base, Id
from marketplace.tables import Institution, Person, Resource


class Operator(Base):
    """A member of an institution's staff as something whose time is claimed: its row among the resources is never listed."""

    __tablename__ = "operators"

    id: Mapped[Id] = mapped_column(ForeignKey(Resource.id), primary_key=True)
    """Of the resource whose claims are the operator's time; its rules are their hours, its outages their absences."""
    institution_id: Mapped[Id] = mapped_column(ForeignKey(Institution.id))
    person_id: Mapped[Id] = mapped_column(ForeignKey(Person.id))
    since: Mapped[datetime]
    left_at: Mapped[datetime | None]

    __table_args__ = (UniqueConstraint("institution_id", "person_id"),)
