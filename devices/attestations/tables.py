"""What statements are stored in, and their documents: in the database, so that a backup and its proof hold them too."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from booking.tables import Booking
from devices.attestations.documents import DocumentKind
from devices.attestations.statements import Side
from marketplace.db import Base, Code, Id, Line, choice
from marketplace.frozen import freeze
from marketplace.tables import Person, Resource


class AttestationState(StrEnum):
    OPEN = "open"
    SIGNED = "signed"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


class AttestationDocument(Base):
    """A document by the digest of its bytes: the same one is stored once. Rows never change."""

    __tablename__ = "attestation_documents"

    digest: Mapped[Code] = mapped_column(primary_key=True)
    kind: Mapped[DocumentKind] = mapped_column(choice(DocumentKind))
    size: Mapped[int]
    content: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]


class Attestation(Base):
    """What one side states of a booking and the other side answers. Of those signed by both, the one of the highest number
    counts; the others stay."""

    __tablename__ = "attestations"

    id: Mapped[Id] = mapped_column(primary_key=True)
    booking_id: Mapped[Id] = mapped_column(ForeignKey(Booking.id))
    resource_id: Mapped[Id] = mapped_column(ForeignKey(Resource.id))
    number: Mapped[int]
    stretches: Mapped[list[Any]]
    """[{"start", "end"}], RFC 3339, in order; empty where it was not used at all."""
    note: Mapped[Line | None]
    document_digest: Mapped[Code] = mapped_column(ForeignKey(AttestationDocument.digest))
    side: Mapped[Side] = mapped_column(choice(Side))
    """For which side it was stated; the other one answers."""
    state: Mapped[AttestationState] = mapped_column(choice(AttestationState))
    stated_by: Mapped[Id] = mapped_column(ForeignKey(Person.id))
    stated_at: Mapped[datetime]
    answered_by: Mapped[Id | None] = mapped_column(ForeignKey(Person.id))
    answered_at: Mapped[datetime | None]
    reason: Mapped[Line | None]
    """Why it was declined."""

    __table_args__ = (
        UniqueConstraint("booking_id", "number"),
        CheckConstraint("(state = 'open') = (answered_at IS NULL)", name="answered_once"),
        CheckConstraint("state <> 'signed' OR answered_by <> stated_by", name="two_people"),
        Index(
            "ix_attestations_open",
            "booking_id",
            unique=True,
            postgresql_where=text("state = 'open'"),
            sqlite_where=text("state = 'open'"),
        ),  # one open statement a booking
        Index("ix_attestations_resource", "resource_id"),  # the evaluation
        Index("ix_attestations_document", "document_digest"),
    )


freeze(AttestationDocument.__table__, "attestation_documents")
