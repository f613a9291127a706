"""Statements of the busiest paths: compiled once for each database and handed to its driver in the session's transaction.

There the mapping costs more than the database does. What is read comes as plain tuples. What is appended waits like the mapping's
own pending rows for the next flush, and then goes out in the order of the program, on PostgreSQL in one round trip.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Dialect, Executable, Select, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, Session, SessionTransaction, make_transient_to_detached
from sqlalchemy.orm.attributes import set_committed_value

Refusals = Mapping[str, Exception]
"""What to raise when a constraint, by its name, refuses the rows."""
_Turn = Callable[[Any], Any] | None


@dataclass(frozen=True, slots=True)
class _Text:
    """A statement in one database's SQL, with how its values are turned on the way in and out."""

    sql: str
    order: Sequence[str] | None
    """The names of the values in their places, where the driver takes them by place."""
    binds: Mapping[str, tuple[_Turn, Any]]
    """How each value is turned, and what it is where none is given."""
    results: Sequence[_Turn]

    def values(self, given: Mapping[str, Any]) -> Any:
        turned = {}
        for name, (turn, own) in self.binds.items():
            value = given.get(name, own)
            turned[name] = turn(value) if turn else value
        return [turned[name] for name in self.order] if self.order is not None else turned

    def read(self, row: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(turn(value) if turn else value for turn, value in zip(self.results, row, strict=True))


class _Prepared:
    def __init__(self) -> None:
        self._texts: dict[str, _Text] = {}

    def text(self, session: Session) -> _Text:
        dialect = session.get_bind().dialect
        if dialect.name not in self._texts:
            self._texts[dialect.name] = self._compile(dialect)
        return self._texts[dialect.name]

    def _compile(self, dialect: Dialect) -> _Text:
        raise NotImplementedError


class Read(_Prepared):
    """A SELECT whose parameters are all `bindparam`s of one value."""

    def __init__(self, statement: Select[*tuple[Any, ...]]) -> None:
        super().__init__()
        self._statement = statement

    def rows(self, session: Session, **values: Any) -> list[tuple[Any, ...]]:
        """Raises: sqlalchemy's DBAPIError, as the mapping would."""
        return read_together(session, (self, values))[0]

    def _compile(self, dialect: Dialect) -> _Text:
        results = [
            column.type.dialect_impl(dialect).result_processor(dialect, None) for column in self._statement.selected_columns
        ]
        return _compiled(self._statement, dialect, results)


class Append(_Prepared):
    """An INSERT of whole rows that nobody changes before they are written. With `once` those that are there already are left."""

    def __init__(self, table: type[DeclarativeBase], *, once: bool = False) -> None:
        super().__init__()
        assert isinstance(table.__table__, Table)
        self._table, self._once = table.__table__, once

    def add(self, session: Session, rows: Sequence[Mapping[str, Any]], *, refused: Refusals | None = None) -> None:
        """Write the rows (values by column, absent ones NULL) at the next flush."""
        if session.new:
            session.flush()
        if not session.in_transaction():
            session.begin()
        if isinstance(session, Appending):
            session.waiting.append((self, rows, refused or {}))
        else:
            _write(session, [(self, rows, refused or {})])

    def add_objects(self, session: Session, rows: Sequence[DeclarativeBase]) -> None:
        """The same with new objects of the table's class, which belong to the session from now on as if they had been read."""
        values = [{column.key: getattr(row, column.key) for column in self._table.columns} for row in rows]
        self.add(session, values)
        for row, known in zip(rows, values, strict=True):
            make_transient_to_detached(row)
            for name in known.keys() - row.__dict__.keys():  # or what nobody has set would be read back
                set_committed_value(row, name, known[name])
        session.add_all(rows)

    def _compile(self, dialect: Dialect) -> _Text:
        statement = (postgresql if dialect.name == "postgresql" else sqlite).insert(self._table)
        names = [column.key for column in self._table.columns]
        return _compiled(statement.on_conflict_do_nothing() if self._once else statement, dialect, (), names)


def _compiled(statement: Executable, dialect: Dialect, results: Sequence[_Turn], names: list[str] | None = None) -> _Text:
    made: Any = statement.compile(dialect=dialect, column_keys=names)  # type: ignore[attr-defined]
    own = {name: None if bind.required else bind.value for name, bind in made.binds.items()}
    binds = {name: (bind.type.dialect_impl(dialect).bind_processor(dialect), own[name]) for name, bind in made.binds.items()}
    return _Text(made.string, made.positiontup, binds, results)


class Appending(Session):
    """A session that keeps appended rows until it flushes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiting: list[tuple[Append, Sequence[Mapping[str, Any]], Refusals]] = []

    def flush(self, objects: Sequence[Any] | None = None) -> None:
        self.write_waiting()
        super().flush(objects)

    def write_waiting(self) -> None:
        """Raises: what the rows' constraints are to raise, DBAPIError."""
        rows, self.waiting = self.waiting, []
        if rows:
            _write(self, rows)

    def expunge_all(self) -> None:
        self.waiting = []
        super().expunge_all()


@event.listens_for(Appending, "before_commit")
def _before_commit(session: Appending) -> None:
    session.write_waiting()


@event.listens_for(Appending, "after_soft_rollback")
def _after_rollback(session: Appending, _previous: SessionTransaction) -> None:
    session.waiting = []


def spread(values: Iterable[str]) -> dict[str, str]:
    """The values under the names `id0`, `id1` and on; the last is repeated to the next power of two, so that few statements do.

    >>> spread(["a", "b", "c"])
    {'id0': 'a', 'id1': 'b', 'id2': 'c', 'id3': 'c'}
    """
    given = list(values)
    places = 1 << max(len(given) - 1, 0).bit_length()
    return {f"id{number}": value for number, value in enumerate(given + given[-1:] * (places - len(given)))}


def read_together(session: Session, *asked: tuple[Read, Mapping[str, Any]]) -> list[list[tuple[Any, ...]]]:
    """The rows of each, asked one after the other: on PostgreSQL in one round trip, each seeing what was committed before it."""
    if session.new or (isinstance(session, Appending) and session.waiting):
        session.flush()
    texts = [(read.text(session), values) for read, values in asked]
    answers = [cursor.fetchall() for cursor in _run(session, [(text.sql, text.values(values), False) for text, values in texts])]
    return [[text.read(row) for row in rows] for (text, _), rows in zip(texts, answers, strict=True)]


def _write(session: Session, waiting: Iterable[tuple[Append, Sequence[Mapping[str, Any]], Refusals]]) -> None:
    calls: list[tuple[str, Any, bool]] = []
    refusals: dict[str, Exception] = {}
    for append, rows, refused in waiting:
        text = append.text(session)
        values = [text.values(row) for row in rows]
        calls.append((text.sql, values[0] if len(values) == 1 else values, len(values) != 1))
        refusals |= refused
    try:
        _run(session, calls)
    except IntegrityError as error:
        for constraint, refusal in refusals.items():
            if constraint in str(error.orig):
                raise refusal from error
        raise


def _run(session: Session, calls: Sequence[tuple[str, Any, bool]]) -> list[Any]:
    """Hand (SQL, values, many) to the driver; its cursors, with what was answered.

    Raises: DBAPIError, after telling the pool of a connection that is lost.
    """
    connection = session.connection()
    raw: Any = connection.connection
    driver = connection.dialect.loaded_dbapi
    cursors = []
    try:
        with _one_trip(raw.driver_connection, len(calls)):
            for sql, values, many in calls:
                cursor = raw.cursor()
                cursors.append(cursor)
                (cursor.executemany if many else cursor.execute)(sql, values)
        return cursors
    except driver.Error as error:
        wrapped = DBAPIError.instance(calls[0][0], None, error, driver.Error, dialect=connection.dialect)
        if connection.dialect.is_disconnect(error, raw.driver_connection, None):
            connection.invalidate(error)
            connection.engine.dispose()  # the pool's others were lost with it
        raise wrapped from error


def _one_trip(connection: Any, statements: int) -> AbstractContextManager[Any]:
    """psycopg's pipeline: statements go out without waiting for the answers to those before, BEGIN included."""
    if not isinstance(connection, psycopg.Connection):
        return nullcontext()
    begins = not connection.autocommit and connection.info.transaction_status is TransactionStatus.IDLE
    return connection.pipeline() if statements + begins > 1 else nullcontext()
