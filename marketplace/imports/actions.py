"""Writes of keys."""

from datetime import datetime

from sqlalchemy.orm import Session

from marketplace.idempotency import KeyReused
from marketplace.imports import queries
from marketplace.imports.tables import ImportedRow


def find_taken(session: Session, *, kind: str, key: str, digest: str) -> str | None:
    """What an equal row has become before; None where there was none. Raises: KeyReused (another row had the key)."""
    row = queries.find_row(session, kind, key)
    if row is None:
        return None
    if row.digest != digest:
        raise KeyReused(key=key)
    return row.object_id


def remember(session: Session, *, kind: str, key: str, digest: str, object_id: str, now: datetime) -> None:
    session.add(ImportedRow(kind=kind, key=key, digest=digest, object_id=object_id, created_at=now))
    session.flush()
