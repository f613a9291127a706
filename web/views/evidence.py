"""The seals of evidence, for everybody."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class SealRow:
    number: int
    day: date
    records: int
    """Devices' days in it."""
    digest: str
    root: str
    signature: str
    sealed_at: datetime


@dataclass(frozen=True, slots=True)
class EvidenceView:
    """GET /{lang}/evidence: newest first."""

    seals: Sequence[SealRow]
    key: str | None
    """The public key of the newest seal, hexadecimal."""
    older: int | None
    """Before which number the next page begins."""
