"""What evidence stores. Rows are added and never change; digests outlive the messages."""

from datetime import date, datetime

from sqlalchemy import Date, ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from devices.tables import Device
from marketplace.db import Base, Code, Id, Line
from marketplace.frozen import freeze


class EvidenceSeal(Base):
    """The seal of one day over all devices, signed and tied to the one before. Written after its records."""

    __tablename__ = "evidence_seals"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    day: Mapped[date] = mapped_column(Date)
    previous: Mapped[Code]
    records: Mapped[int]
    root: Mapped[Code]
    key: Mapped[Code]
    signature: Mapped[Line]
    sealed_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("day"),)


class EvidenceDay(Base):
    """A device's day under one root, with the hash of each leaf in its order. `seal` is the number of the seal it goes into."""

    __tablename__ = "evidence_days"

    device_id: Mapped[Id] = mapped_column(ForeignKey(Device.id), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seal: Mapped[int]
    count: Mapped[int]
    total: Mapped[int]
    root: Mapped[Code]
    thresholds: Mapped[Code]
    leaves: Mapped[bytes] = mapped_column(LargeBinary)
    """32 bytes each."""

    __table_args__ = (Index("ix_evidence_days_seal", "seal"),)


for sealed in (EvidenceSeal, EvidenceDay):
    freeze(sealed.__table__, sealed.__tablename__)
