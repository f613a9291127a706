"""What is stored of programmes: their rules by year, what organisations were granted, and what of it bookings hold and used."""

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from billing.programmes.choosing import Base as ShareBase
from billing.programmes.choosing import Mode, ProgrammeKind
from billing.tables import Statement
from booking.tables import Booking
from marketplace.db import Base, Code, Id, Name, choice
from marketplace.forward import keep_forward
from marketplace.tables import Organisation


class ShareState(StrEnum):
    """`drafted` is of a version that nobody accepted; `owed` waits for a claim, `claimed` for the programme's answer.

    Of a claim that was rejected what earlier ones were paid too much is owed again.
    """

    DRAFTED = "drafted"
    OWED = "owed"
    CLAIMED = "claimed"
    PAID = "paid"
    REJECTED = "rejected"


SHARE_MOVES = {
    ShareState.DRAFTED: (ShareState.OWED,),
    ShareState.OWED: (ShareState.CLAIMED,),
    ShareState.CLAIMED: (ShareState.OWED, ShareState.PAID, ShareState.REJECTED),
}


class FundingProgramme(Base):
    """A payer and how it pays. Until it is published nothing of it counts; from then on its years that are there stay."""

    __tablename__ = "programmes"

    id: Mapped[Id] = mapped_column(primary_key=True)
    name: Mapped[Name]
    name_en: Mapped[Name | None]
    payer: Mapped[Name]
    kind: Mapped[ProgrammeKind] = mapped_column(choice(ProgrammeKind))
    mode: Mapped[Mode] = mapped_column(choice(Mode))
    base: Mapped[ShareBase] = mapped_column(choice(ShareBase))
    stack: Mapped[str | None] = mapped_column(String(80))
    """Programmes of one group add up; one without a group excludes every other."""
    currency: Mapped[Code]
    timezone: Mapped[Code]
    starts_on: Mapped[date]
    """The first day of its first year, on the calendar of its zone."""
    evidence_required: Mapped[bool] = mapped_column(default=False, server_default=false())
    """It pays nothing for use that rests on signatures."""
    created_by: Mapped[Id]
    created_at: Mapped[datetime]
    published_at: Mapped[datetime | None]


class ProgrammeYear(Base):
    """The rule of one year of a programme."""

    __tablename__ = "programme_years"

    programme_id: Mapped[Id] = mapped_column(ForeignKey("programmes.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    rate: Mapped[Code]
    """A decimal string."""
    booking_cap_minor: Mapped[int | None]
    """Of one booking it pays no more."""
    year_cap_minor: Mapped[int | None]
    """Nobody is granted more for this year."""

    __table_args__ = (
        CheckConstraint("number >= 1", name="number_from_one"),
        CheckConstraint("booking_cap_minor >= 0 AND year_cap_minor >= 0", name="caps_not_negative"),
    )


class Entitlement(Base):
    """What an organisation was granted for a year, and what of it is reserved for bookings and used."""

    __tablename__ = "entitlements"

    id: Mapped[Id] = mapped_column(primary_key=True)
    programme_id: Mapped[Id] = mapped_column(ForeignKey("programmes.id"))
    organisation_id: Mapped[Id] = mapped_column(ForeignKey(Organisation.id))
    year: Mapped[int]
    granted_minor: Mapped[int]
    reserved_minor: Mapped[int] = mapped_column(default=0, server_default="0")
    used_minor: Mapped[int] = mapped_column(default=0, server_default="0")
    expires_at: Mapped[datetime]
    """It pays for slots that start before; at the latest the end of its year."""
    reference: Mapped[Name | None]
    """The number of the voucher or of the contract."""
    granted_by: Mapped[Id]
    granted_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("programme_id", "organisation_id", "year"),
        CheckConstraint("reserved_minor + used_minor <= granted_minor", name="use_at_most_granted"),
        CheckConstraint("reserved_minor >= 0 AND used_minor >= 0", name="use_not_negative"),
        Index("ix_entitlements_organisation", "organisation_id"),  # each order of theirs asks for them
    )


class EntitlementUse(Base):
    """What one booking holds of an entitlement, and what it used."""

    __tablename__ = "entitlement_uses"

    booking_id: Mapped[Id] = mapped_column(ForeignKey(Booking.id), primary_key=True)
    entitlement_id: Mapped[Id] = mapped_column(ForeignKey("entitlements.id"), primary_key=True)
    reserved_minor: Mapped[int] = mapped_column(default=0, server_default="0")
    used_minor: Mapped[int] = mapped_column(default=0, server_default="0")
    rejected_minor: Mapped[int] = mapped_column(default=0, server_default="0")
    """What the programme refused to pay; after that it is asked for no more than it pays already."""

    __table_args__ = (
        CheckConstraint("reserved_minor >= 0 AND used_minor >= 0", name="parts_not_negative"),
        Index("ix_entitlement_uses_entitlement", "entitlement_id"),  # what is left of it, booking by booking
    )


class ProgrammeShare(Base):
    """What an entitlement pays of one version of a statement: the difference to what earlier accepted versions said."""

    __tablename__ = "programme_shares"

    id: Mapped[Id] = mapped_column(primary_key=True)
    statement_id: Mapped[Id] = mapped_column(ForeignKey(Statement.id))
    booking_id: Mapped[Id] = mapped_column(ForeignKey(Booking.id))
    entitlement_id: Mapped[Id] = mapped_column(ForeignKey("entitlements.id"))
    amount_minor: Mapped[int]
    conditional_minor: Mapped[int]
    """What of it goes to the institution once the programme has paid; nothing where the firm is reimbursed."""
    base_minor: Mapped[int]
    """What all of this booking's share was taken of."""
    state: Mapped[ShareState] = mapped_column(choice(ShareState))
    passed_on_at: Mapped[datetime | None]
    """When the platform handed what the programme had paid for it on to the institution."""

    __table_args__ = (
        UniqueConstraint("statement_id", "entitlement_id"),
        Index("ix_programme_shares_booking", "booking_id"),  # what a further version differs from
        Index("ix_programme_shares_entitlement", "entitlement_id", "state"),  # what can be claimed
    )


keep_forward(ProgrammeShare.__table__, "programme_shares", SHARE_MOVES)
