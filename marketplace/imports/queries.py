"""Reads of keys."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from marketplace.imports.tables import ImportedRow


def find_row(session: Session, kind: str, key: str) -> ImportedRow | None:
    return session.get(ImportedRow, (kind, key))


def id_of(session: Session, kind: str, key: str) -> str:
    """What the key stands for; an id of this database stands for itself."""
    row = find_row(session, kind, key)
    return row.object_id if row else key


def keys_of(session: Session, kind: str, object_ids: Collection[str]) -> dict[str, str]:
    """The key of each, the first where it has several; things that no file brought keep their id."""
    asked = select(ImportedRow.object_id, ImportedRow.key).where(ImportedRow.kind == kind, ImportedRow.object_id.in_(object_ids))
    found = {one: one for one in object_ids}
    for object_id, key in session.execute(asked.order_by(ImportedRow.created_at.desc(), ImportedRow.key.desc())):
        found[object_id] = key
    return found
