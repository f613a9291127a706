"""What is stored of the provider's account, of what differs from the ledger, of closed days and of runs of the checks."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from billing.reconciling.matching import FindingKind
from marketplace.db import Base, Code, Document, Id, Line, Name, choice
from marketplace.frozen import freeze


class Answered(StrEnum):
    """What came of asking the provider in a run of the checks."""

    NOT_SET_UP = "not_set_up"
    ANSWERED = "answered"
    AWAY = "away"


class ProviderMovement(Base):
    """A balance transaction of the provider, as it is there. Rows never change."""

    __tablename__ = "provider_movements"

    id: Mapped[Name] = mapped_column(primary_key=True)
    """The provider's own."""
    kind: Mapped[Code]
    source_id: Mapped[Name | None]
    about: Mapped[Name | None]
    """The payment, or the charge, that it belongs to."""
    amount_minor: Mapped[int]
    fee_minor: Mapped[int]
    currency: Mapped[Code]
    created_at: Mapped[datetime]
    """By the provider's clock."""
    seen_at: Mapped[datetime]

    __table_args__ = (Index("ix_provider_movements_created", "created_at"),)  # from where on the next run reads


class Finding(Base):
    """A difference between ledger and provider, until it is gone or a person has resolved it with a reason."""

    __tablename__ = "findings"

    id: Mapped[Id] = mapped_column(primary_key=True)
    kind: Mapped[FindingKind] = mapped_column(choice(FindingKind))
    subject: Mapped[Name]
    """The provider's id of a movement or an object, or `{payment}:{part}`."""
    booking_id: Mapped[Id | None]
    currency: Mapped[Code]
    theirs_minor: Mapped[int]
    ours_minor: Mapped[int]
    found_at: Mapped[datetime]
    gone_at: Mapped[datetime | None]
    """A later run did not find it any more."""
    resolved_at: Mapped[datetime | None]
    resolved_by: Mapped[Id | None]
    reason: Mapped[Line | None]

    __table_args__ = (UniqueConstraint("kind", "subject", "currency", "theirs_minor", "ours_minor", name="uq_findings_once"),)


class DayClose(Base):
    """The journal of one local day, closed: totals by account and currency, and a digest that the next one contains."""

    __tablename__ = "day_closes"

    day: Mapped[date] = mapped_column(primary_key=True)
    zone: Mapped[Code]
    entries: Mapped[int]
    totals: Mapped[list[Any]]
    """[{"account", "currency", "day_minor", "balance_minor"}], shown whole, never queried."""
    entries_digest: Mapped[Code]
    """Of every entry of the day with its legs."""
    previous: Mapped[Code]
    """The digest of the day before; empty on the first."""
    digest: Mapped[Code]
    closed_at: Mapped[datetime]


class CheckRun(Base):
    """One run of every check: asked for, and done by a worker."""

    __tablename__ = "check_runs"

    id: Mapped[Id] = mapped_column(primary_key=True)
    cause: Mapped[Name]
    """`night:{local day}`, or the run's own id where a person asked."""
    asked_by: Mapped[Id | None]
    asked_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    provider: Mapped[Answered | None] = mapped_column(choice(Answered))
    results: Mapped[Document | None]
    """{"checks": [{"name", "count", "found": [the first of them]}]}, shown whole, never queried."""

    __table_args__ = (
        UniqueConstraint("cause"),
        Index("ix_check_runs_done", "done_at"),  # what waits, and the last one
    )


for frozen in (ProviderMovement, DayClose):
    freeze(frozen.__table__, frozen.__tablename__)
