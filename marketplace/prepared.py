"""Statements of the busiest paths: compiled once for each database and handed to its driver in the session's transaction.

There the mapping costs more than the database does. What is read comes as plain tuples. What is appended waits like the mapping's
own pending rows for the next flush, and then goes out in the order of the program, on PostgreSQL in one round trip.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Dialect, Insert, Select, Table, bindparam, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, ORMExecuteState, Session, SessionTransaction
from sqlalchemy.orm.attributes import instance_state

from marketplace import trips
from marketplace.compiled import Text, compiled, turn_back

Refusals = Mapping[str, Exception]
"""What to raise when a constraint, by its name, refuses the rows."""
MOST_AT_ONCE = 16
"""Rows that are written by one statement on PostgreSQL; more of them go out as one statement a table."""
OUTDATED = frozenset({"0A000", "26000"})
"""PostgreSQL's states of a prepared statement whose tables have changed since, or that is gone: another connection has none."""
_Row = TypeVar("_Row", bound=DeclarativeBase)
_T1 = TypeVar("_T1")
_T2 = TypeVar("_T2")
_T3 = TypeVar("_T3")
_Waiting = tuple["Append[Any]", Sequence[Mapping[str, Any]], Refusals]
_Call = tuple[str, Sequence[Sequence[Any]]]
"""SQL, and each of the values that it is carried out with."""


class _Prepared:
    def __init__(self) -> None:
        self._texts: dict[str, Text] = {}

    def text(self, session: Session) -> Text:
        dialect = session.get_bind().dialect
        if dialect.name not in self._texts:
            self._texts[dialect.name] = self._compile(dialect)
        return self._texts[dialect.name]

    def _compile(self, dialect: Dialect) -> Text:
        raise NotImplementedError


class Read(_Prepared):
    """A SELECT whose parameters are all `bindparam`s of one value."""

    def __init__(self, statement: Select[*tuple[Any, ...]]) -> None:
        super().__init__()
        self._statement = statement

    def rows(self, session: Session, **values: Any) -> list[Sequence[Any]]:
        """Raises: sqlalchemy's DBAPIError, as the mapping would."""
        return _read(session, [(self, values)])[0]

    def _compile(self, dialect: Dialect) -> Text:
        columns = enumerate(self._statement.selected_columns)
        turns = ((place, turn_back(column.type, dialect)) for place, column in columns)
        return compiled(self._statement, dialect, [(place, turn) for place, turn in turns if turn])


class Append(_Prepared, Generic[_Row]):
    """An INSERT of whole rows that nobody changes before they are written. With `once` those that are there already are left."""

    def __init__(self, kind: type[_Row], *, once: bool = False) -> None:
        super().__init__()
        assert isinstance(kind.__table__, Table)
        self._kind, self._table, self._once = kind, kind.__table__, once
        self._nothing = dict.fromkeys(column.key for column in self._table.columns)

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

    def add_objects(self, session: Session, rows: Sequence[Mapping[str, Any]]) -> list[_Row]:
        """The same; each row is an object of the session from now on, as if it had been read."""
        self.add(session, rows)
        return [self._as_read(session, row) for row in rows]

    def _as_read(self, session: Session, row: Mapping[str, Any]) -> _Row:
        """Past the mapping's setters, which note a change for each value, and past its search for what hangs on a new object."""
        found: _Row = self._kind.__mapper__.class_manager.new_instance()
        found.__dict__.update(self._nothing, **row)
        state = instance_state(found)
        state.key = self._kind.__mapper__.identity_key_from_instance(found)
        state.session_id = session.hash_key
        session.identity_map.add(state)
        return found

    def insert(self, dialect: Dialect, rows: Sequence[str] = ()) -> Insert:
        """The statement; with `rows` it takes as many, and the values of each begin with its name there."""
        inserts: Any = (postgresql if dialect.name == "postgresql" else sqlite).insert(self._table)
        statement: Insert = inserts.on_conflict_do_nothing() if self._once else inserts
        several = [
            {column.key: bindparam(f"{row}{column.key}", type_=column.type) for column in self._table.columns} for row in rows
        ]
        return statement.values(several) if several else statement

    def _compile(self, dialect: Dialect) -> Text:
        return compiled(self.insert(dialect), dialect, (), list(self._nothing))


class _Together(_Prepared):
    """Rows of several tables in one statement, as (table, how many); keys between them are checked at its end."""

    def __init__(self, parts: Sequence[tuple[Append[Any], int]]) -> None:
        super().__init__()
        self._parts = parts
        self._cells: list[tuple[int, int, str]] = []

    def call(self, session: Session, rows: Sequence[Sequence[Mapping[str, Any]]]) -> _Call:
        """With the rows of each part."""
        text = self.text(session)
        self._cells = self._cells or [_cell(name) for name in text.places]
        found = [rows[part][number].get(column) for part, number, column in self._cells]
        for place, turn in text.turns:
            found[place] = turn(found[place])
        return text.sql, [found]

    def _compile(self, dialect: Dialect) -> Text:
        *first, last = (
            append.insert(dialect, [_row_name(part, number) for number in range(rows)])
            for part, (append, rows) in enumerate(self._parts)
        )
        return compiled(last.add_cte(*(insert.cte(f"part_{part}") for part, insert in enumerate(first))), dialect, ())


def _row_name(part: int, number: int) -> str:
    return f"{part}_{number}_"


def _cell(name: str) -> tuple[int, int, str]:
    """The part, the row in it and the column that `_row_name` stands before."""
    part, number, column = name.split("_", 2)
    return int(part), int(number), column


@lru_cache(maxsize=256)
def _together(parts: tuple[tuple[Append[Any], int], ...]) -> _Together:
    return _Together(parts)


class Appending(Session):
    """A session that keeps appended rows until it flushes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiting: list[_Waiting] = []
        self.starts_over = False
        self._doubt: Question[None] | None = None

    def confirm(self, asked: "Question[None]") -> None:
        """Ask it with the next trip to the database; nothing is written before `understand` has let it pass.

        The trip raises what `understand` raises.
        """
        self._doubt = asked

    def take_doubt(self) -> "Question[None] | None":
        doubt, self._doubt = self._doubt, None
        return doubt

    def settle(self) -> None:
        """Ask now what was to be asked with the next trip."""
        if self._doubt:
            _ask(self, [])

    def flush(self, objects: Sequence[Any] | None = None) -> None:
        self.settle()
        self.write_waiting()
        self.begin_again()
        super().flush(objects)

    def write_waiting(self, *, last: bool = False) -> None:
        """With `last` the transaction is committed with them. Raises: what the rows' constraints are to raise, DBAPIError."""
        rows, self.waiting = self.waiting, []
        if rows:
            _write(self, rows, last=last)

    def is_last(self) -> bool:
        """Whether nothing but the waiting rows is to be written before the whole transaction ends."""
        return not (self.in_nested_transaction() or self.new or self.deleted or self.dirty)

    def begin_again(self) -> None:
        """What `start_over` has put off."""
        if self.starts_over:
            _run(self, [])

    def is_in_one_transaction(self) -> bool:
        """Whether PostgreSQL has begun one for the session, and no savepoint in it."""
        if not self.in_transaction() or self.in_nested_transaction():
            return False
        raw = self.connection().connection.driver_connection
        return isinstance(raw, psycopg.Connection) and raw.info.transaction_status is TransactionStatus.INTRANS

    def expunge_all(self) -> None:
        self.waiting = []
        super().expunge_all()

    def close(self) -> None:
        """Whoever goes on with the session begins anew."""
        self._doubt = None
        super().close()
        self.starts_over = False


@event.listens_for(Appending, "before_commit")
def _before_commit(session: Appending) -> None:
    session.settle()
    session.write_waiting(last=session.is_last())
    session.begin_again()


@event.listens_for(Appending, "do_orm_execute")
def _before_execute(state: ORMExecuteState) -> None:
    state.session.settle()  # type: ignore[attr-defined]
    state.session.begin_again()  # type: ignore[attr-defined]


@event.listens_for(Appending, "after_soft_rollback")
def _after_rollback(session: Appending, _previous: SessionTransaction) -> None:
    session.waiting, session.starts_over = [], False


def start_over(session: Session) -> None:
    """Roll back and go on in a new transaction: on PostgreSQL with the round trip of the next statement from here."""
    if isinstance(session, Appending) and session.is_in_one_transaction():
        session.expunge_all()
        session.starts_over = True
    else:
        session.rollback()


def spread(values: Iterable[str]) -> dict[str, str]:
    """The values under the names `id0`, `id1` and on; the last is repeated to the next power of two, so that few statements do.

    >>> spread(["a", "b", "c"])
    {'id0': 'a', 'id1': 'b', 'id2': 'c', 'id3': 'c'}
    """
    given = list(values)
    places = 1 << max(len(given) - 1, 0).bit_length()
    return {f"id{number}": value for number, value in enumerate(given + given[-1:] * (places - len(given)))}


@dataclass(frozen=True, slots=True)
class Question(Generic[_T1]):
    """A read with its values, and what its rows mean."""

    read: Read
    values: Mapping[str, Any]
    understand: Callable[[Session, Sequence[Sequence[Any]]], _T1]

    def ask(self, session: Session) -> _T1:
        return self.understand(session, _read(session, [(self.read, self.values)])[0])


def ask_both(session: Session, first: Question[_T1], second: Question[_T2]) -> tuple[_T1, _T2]:
    """Asked one after the other: on PostgreSQL in one round trip, each seeing what was committed before it."""
    one, two = _read(session, [(question.read, question.values) for question in (first, second)])
    return first.understand(session, one), second.understand(session, two)


def ask_together(session: Session, first: Question[_T1], second: Question[_T2], third: Question[_T3]) -> tuple[_T1, _T2, _T3]:
    """The same of three."""
    one, two, three = _read(session, [(question.read, question.values) for question in (first, second, third)])
    return first.understand(session, one), second.understand(session, two), third.understand(session, three)


def _read(session: Session, asked: Sequence[tuple[Read, Mapping[str, Any]]]) -> list[list[Sequence[Any]]]:
    if session.new or (isinstance(session, Appending) and session.waiting):
        session.flush()
    return _ask(session, asked)


def _ask(session: Session, asked: Sequence[tuple[Read, Mapping[str, Any]]]) -> list[list[Sequence[Any]]]:
    """With what is to be confirmed before them."""
    doubt = session.take_doubt() if isinstance(session, Appending) else None
    texts = [(read.text(session), values) for read, values in ([(doubt.read, doubt.values), *asked] if doubt else asked)]
    answers = _run(session, [(text.sql, [text.values(values)]) for text, values in texts])
    found = [[text.read(row) for row in rows] for (text, _), rows in zip(texts, answers, strict=True)]
    if doubt is None:
        return found
    doubt.understand(session, found[0])
    return found[1:]


def _write(session: Session, waiting: Sequence[_Waiting], *, last: bool = False) -> None:
    refusals: dict[str, Exception] = {}
    for _, _, refused in waiting:
        refusals |= refused
    try:
        _run(session, _calls(session, [(append, rows) for append, rows, _ in waiting if rows]), last=last)
    except IntegrityError as error:
        for constraint, refusal in refusals.items():
            if constraint in str(error.orig):
                raise refusal from error
        raise


def _calls(session: Session, parts: Sequence[tuple[Append[Any], Sequence[Mapping[str, Any]]]]) -> list[_Call]:
    """Few rows of several tables as one statement where the database can, else a statement a table."""
    if len(parts) > 1 and sum(len(rows) for _, rows in parts) <= MOST_AT_ONCE and session.get_bind().dialect.name == "postgresql":
        together = _together(tuple((append, len(rows)) for append, rows in parts))
        return [together.call(session, [rows for _, rows in parts])]
    texts = ((append.text(session), rows) for append, rows in parts)
    return [(text.sql, [text.values(row) for row in rows]) for text, rows in texts]


def _run(session: Session, calls: Sequence[_Call], *, last: bool = False) -> list[trips.Rows]:
    """Hand them to the driver; what each answers, with each of its values.

    With `last` PostgreSQL commits in the same trip, and the session's own commit finds nothing to do.

    Raises: DBAPIError, after telling the pool of a connection that is lost.
    """
    connection = session.connection()
    raw, driver = connection.connection, connection.dialect.loaded_dbapi
    anew = isinstance(session, Appending) and session.starts_over
    before: list[_Call] = [("ROLLBACK", [()]), (trips.BEGIN[0], [()])] if anew else []
    try:
        if not isinstance(raw.driver_connection, psycopg.Connection):
            cursor = raw.cursor()
            return [rows for sql, values in calls for rows in _executed(cursor, sql, values)]
        asked = [*before, *calls, *([("COMMIT", [()])] if last else [])]
        statements = [(sql, each) for sql, values in asked for each in values]
        found = trips.carry(raw.driver_connection, statements, raw.info.setdefault("trips", {}))[len(before) :]
    except driver.Error as error:
        if anew and getattr(error, "sqlstate", None):  # told by the server, which has begun anew by then
            session.starts_over = False  # type: ignore[attr-defined]
        wrapped = DBAPIError.instance([*calls, *before][0][0], None, error, driver.Error, dialect=connection.dialect)
        if connection.dialect.is_disconnect(error, raw.driver_connection, None):
            connection.invalidate(error)
            connection.engine.dispose()  # the pool's others were lost with it
        elif getattr(error, "sqlstate", None) in OUTDATED:
            connection.invalidate(error)
        raise wrapped from error
    if anew:
        session.starts_over = False  # type: ignore[attr-defined]
    return found


def _executed(cursor: Any, sql: str, values: Sequence[Sequence[Any]]) -> list[trips.Rows]:
    if len(values) > 1:
        cursor.executemany(sql, values)
        return []
    cursor.execute(sql, values[0])
    return [cursor.fetchall() if cursor.description else []]
