"""`INSERT ... ON CONFLICT DO NOTHING` in the dialect at hand."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from marketplace.compiled import Text, compiled
from marketplace.db import Base


def insert_new(session: Session, table: type[Base], rows: list[dict[str, Any]], *, key: str) -> set[Any]:
    """Insert those of `rows` that no constraint refuses; returns the values of column `key` of the inserted ones."""
    if not rows:
        return set()
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).on_conflict_do_nothing().returning(getattr(table, key))
    return set(session.scalars(statement, rows))


def insert_many_new(session: Session, table: type[Base], rows: Sequence[Mapping[str, Any]], *, key: str) -> set[Any]:
    """Thousands of rows (absent values NULL); left are those whose primary key, of texts, is there. `key` is one of its columns.

    Of rows with the same primary key the first counts. One statement on PostgreSQL, which takes an array a column; on SQLite a
    look and a statement that is prepared once. Through the mapping it takes five times as long.
    """
    if not rows:
        return set()
    connection = session.connection()
    many = _many(table, connection.dialect)
    own: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for row in rows:
        own.setdefault(tuple(row[name] for name in many.primary), row)
    if connection.dialect.name == "postgresql":
        columns = zip(*(many.text.values(row) for row in own.values()), strict=True)
        return set(connection.exec_driver_sql(many.insert.format(key=key), tuple(map(list, columns))).scalars())
    there = {tuple(one) for one in connection.exec_driver_sql(many.look, (orjson.dumps(list(own)).decode(),))}
    new = [row for name, row in own.items() if name not in there]
    if new:
        connection.exec_driver_sql(many.insert, [tuple(many.text.values(row)) for row in new])
    return {row[key] for row in new}


class _Many(NamedTuple):
    text: Text
    """How values are turned on the way in."""
    primary: Sequence[str]
    """The columns of the primary key, all texts."""
    look: str
    """Of a list of primary keys as JSON those that are there."""
    insert: str


@lru_cache(maxsize=64)
def _many(mapped: type[Base], dialect: Dialect) -> _Many:
    table = mapped.__table__
    assert isinstance(table, Table)
    names = [column.key for column in table.columns]
    text = compiled(table.insert(), dialect, (), names)
    primary = [column.key for column in table.primary_key]
    listed, own = ", ".join(names), ", ".join(primary)
    if dialect.name == "postgresql":
        arrays = ", ".join(f"%b::{column.type.compile(dialect)}[]" for column in table.columns)
        added = f"SELECT * FROM unnest({arrays}) ON CONFLICT ({own}) DO NOTHING RETURNING {{key}}"
        return _Many(text, primary, "", f"INSERT INTO {table.name} ({listed}) {added}")
    same = " AND ".join(f"{table.name}.{name} = json_extract(value, '$[{place}]')" for place, name in enumerate(primary))
    there = ", ".join(f"{table.name}.{name}" for name in primary)
    look = f"SELECT {there} FROM json_each(?) JOIN {table.name} ON {same}"
    places = ", ".join("?" * len(names))
    return _Many(text, primary, look, f"INSERT INTO {table.name} ({listed}) VALUES ({places}) ON CONFLICT ({own}) DO NOTHING")
