"""What is stored of claims: which shares each holds, how the programme answered, what was passed on to institutions."""

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from billing.programmes.tables import FundingProgramme, ProgrammeShare
from marketplace.db import Base, Code, Id, Line, Name, choice
from marketplace.forward import keep_forward
from marketplace.frozen import freeze
from marketplace.tables import Institution


class ClaimState(StrEnum):
    SUBMITTED = "submitted"
    PAID = "paid"
    REJECTED = "rejected"


class ProgrammeClaim(Base):
    """What a programme is asked to pay for the statements that were accepted in `[period_from, period_to)`."""

    __tablename__ = "programme_claims"

    id: Mapped[Id] = mapped_column(primary_key=True)
    programme_id: Mapped[Id] = mapped_column(ForeignKey(FundingProgramme.id))
    number: Mapped[int]
    period_from: Mapped[datetime]
    period_to: Mapped[datetime]
    state: Mapped[ClaimState] = mapped_column(choice(ClaimState))
    currency: Mapped[Code]
    amount_minor: Mapped[int]
    """Asked for."""
    paid_minor: Mapped[int] = mapped_column(default=0, server_default="0")
    serial: Mapped[Name | None]
    """Of the programme's bank transfer; entered once."""
    received_on: Mapped[date | None]
    created_by: Mapped[Id]
    created_at: Mapped[datetime]
    decided_by: Mapped[Id | None]
    decided_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("programme_id", "number"),
        UniqueConstraint("programme_id", "serial"),
        CheckConstraint("paid_minor <= amount_minor", name="paid_at_most_asked"),
    )


class ClaimLine(Base):
    """A share in a claim; a share is in one at a time."""

    __tablename__ = "programme_claim_lines"

    share_id: Mapped[Id] = mapped_column(ForeignKey(ProgrammeShare.id), primary_key=True)
    claim_id: Mapped[Id] = mapped_column(ForeignKey("programme_claims.id"))
    reason: Mapped[Line | None]
    """Why the programme rejected it."""

    __table_args__ = (Index("ix_programme_claim_lines_claim", "claim_id"),)


class PassedOn(Base):
    """The transfer by which the platform passed a paid claim's money on to an institution. Rows never change."""

    __tablename__ = "programme_payouts"

    id: Mapped[Id] = mapped_column(primary_key=True)
    claim_id: Mapped[Id] = mapped_column(ForeignKey("programme_claims.id"))
    institution_id: Mapped[Id] = mapped_column(ForeignKey(Institution.id))
    amount_minor: Mapped[int]
    currency: Mapped[Code]
    serial: Mapped[Name]
    recorded_by: Mapped[Id]
    created_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("claim_id", "institution_id"),)


CLAIM_MOVES = {ClaimState.SUBMITTED: (ClaimState.PAID, ClaimState.REJECTED)}
keep_forward(ProgrammeClaim.__table__, "programme_claims", CLAIM_MOVES)
freeze(PassedOn.__table__, PassedOn.__tablename__)
