"""With which day a person's weeks begin."""

from enum import StrEnum

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.db import Base, Id, choice


class FirstDay(StrEnum):
    MONDAY = "monday"
    SUNDAY = "sunday"

    @property
    def weekday(self) -> int:
        """0 = Monday."""
        return 0 if self is FirstDay.MONDAY else 6


class ReadersWeek(Base):
    """A person's own choice; as their browser's region has it where there is no row."""

    __tablename__ = "readers_weeks"

    person_id: Mapped[Id] = mapped_column(ForeignKey("people.id"), primary_key=True)
    first_day: Mapped[FirstDay] = mapped_column(choice(FirstDay))
