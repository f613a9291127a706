"""`INSERT ... ON CONFLICT DO NOTHING` in the dialect at hand."""

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from marketplace.db import Base


def insert_new(session: Session, table: type[Base], rows: list[dict[str, Any]], *, key: str) -> set[Any]:
    """Insert those of `rows` that no constraint refuses; returns the values of column `key` of the inserted ones."""
    if not rows:
        return set()
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).on_conflict_do_nothing().returning(getattr(table, key))
    return set(session.scalars(statement, rows))
