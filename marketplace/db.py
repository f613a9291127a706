"""One mapping for SQLite and PostgreSQL: types, constraints' names, engines, and how each begins a transaction."""

import math
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any

import orjson
import psycopg
from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    Engine,
    Enum,
    Index,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    create_engine,
    event,
    text,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, IntegrityError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from marketplace.prepared import Appending
from marketplace.refusals import Refusal
from marketplace.turns import Turns

BUSY_TIMEOUT_S = 15
LOCK_TIMEOUT_S = 3
POOL_SIZE = 18
"""Connections of one process: more than it has threads that handle requests, some of which end a transaction beside them."""
RESTED_S = 1.0
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "recursive_triggers=ON",  # else REPLACE would delete a frozen row unseen
    f"busy_timeout={BUSY_TIMEOUT_S * 1000}",
    "temp_store=MEMORY",  # what a savepoint would put back: beyond 64 KB it goes to a file, which took a quarter of each row
    "wal_autocheckpoint=4000",  # pages: 16 MB, so that a page which many bookings touch is copied back once for them all
)
WRITTEN = len("2026-03-10 09:00:00.000000")
"""Characters of an instant as we write it to SQLite."""


class NaiveDatetime(ValueError):
    """A datetime without a zone was handed to the database."""


class Utc(TypeDecorator[datetime]):
    """An aware instant; stored as timestamptz on PostgreSQL, as sortable UTC text on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any]:
        """Raises, with a value: NaiveDatetime."""
        return _to_text if dialect.name == "sqlite" else _to_utc

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:
        """PostgreSQL's come in UTC, the time zone of each connection that `open_engine` makes."""
        return _from_text if dialect.name == "sqlite" else None


def _to_utc(value: datetime | None) -> datetime | None:
    return value if value is None or value.tzinfo is UTC else _in_utc(value)


def _in_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise NaiveDatetime(str(value))
    return value.astimezone(UTC)


def _to_text(value: datetime | None) -> str | None:
    if value is None:
        return None
    return _written(value if value.tzinfo is UTC else _in_utc(value))


@lru_cache(maxsize=256)
def _written(utc: datetime) -> str:
    """One transaction writes the same few instants into many rows. Zones other than UTC would find each other's hour here."""
    return utc.isoformat(" ", "microseconds")[:WRITTEN]


def _from_text(value: str | None) -> datetime | None:
    if value is None:
        return None
    if len(value) == WRITTEN:
        return datetime.fromisoformat(value + "+00:00")
    found = datetime.fromisoformat(value)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


Id = Annotated[str, mapped_column(String(40))]
Code = Annotated[str, mapped_column(String(80))]
Name = Annotated[str, mapped_column(String(200))]
Line = Annotated[str, mapped_column(String(1000))]
LongText = Annotated[str, mapped_column(Text)]
Document = Annotated[dict[str, Any], mapped_column(JSON)]
"""A snapshot that is stored and read whole, never queried."""


class Base(DeclarativeBase):
    """Every table of the product, with named constraints and lengths that SQLite keeps too."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: Utc, int: BigInteger, dict[str, Any]: JSON, list[Any]: JSON}  # noqa: RUF012

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if isinstance(getattr(cls, "__table__", None), Table):
            _keep_texts(cls.__table__)  # type: ignore[arg-type]


def _keep_texts(table: Table) -> None:
    """Checks of what a text may be; PostgreSQL keeps lengths by itself.

    There a check is read from its words whenever rows are written, so that a long one costs more than the row (migration 0021).
    """
    for column in table.columns:
        if isinstance(column.type, Enum):
            allowed = column.type.enums
            listed, packed = ", ".join(f"'{one}'" for one in allowed), ",".join(allowed)
            name = column.type.name
            table.append_constraint(_check(f"{column.name} IN ({listed})", name, "sqlite"))
            table.append_constraint(_check(f"{column.name} = ANY ('{{{packed}}}')", name, "postgresql"))
        elif isinstance(column.type, String) and (column.type.length or 0) > 40:
            table.append_constraint(_check(f"length({column.name}) <= {column.type.length}", f"{column.name}_length", "sqlite"))


def _check(condition: str, name: str | None, dialect: str) -> CheckConstraint:
    return CheckConstraint(condition, name=name).ddl_if(dialect=dialect)


def sparse_index(name: str, column: str) -> Index:
    """Of the rows that have a value in `column`; the many that have none cost it nothing."""
    given = text(f"{column} IS NOT NULL")
    return Index(name, column, postgresql_where=given, sqlite_where=given)


def choice(kind: type[StrEnum]) -> Enum:
    """A column of `kind` stored by value with a CHECK, the same on both databases."""
    return Enum(
        kind,
        native_enum=False,
        create_constraint=False,
        values_callable=lambda members: [member.value for member in members],
        name=kind.__name__.lower(),
        length=40,
    )


class BadAddress(Refusal):
    """The address of the database is none, or that of another kind of database."""

    code = "bad_database_url"


def open_engine(url: str) -> Engine:
    """An engine for `sqlite:///...` or `postgresql://...`, set up as reliability.md measured. Raises: BadAddress."""
    if url.startswith("postgresql://"):
        url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    try:
        engine = create_engine(url, json_serializer=_dump, json_deserializer=orjson.loads, hide_parameters=True, **_pool(url))
    except (ArgumentError, ImportError, ValueError) as error:
        raise BadAddress from error
    if engine.dialect.name not in {"sqlite", "postgresql"}:
        raise BadAddress
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        _let_writers_queue(engine)
        _mark_savepoints(engine.dialect)
    else:
        event.listen(engine, "checkin", _note_use)
        event.listen(engine, "checkout", _check_rested)
    return engine


def _pool(url: str) -> dict[str, Any]:
    """All connections stay open once they were: opening one costs as much as ten bookings. The last one used goes first."""
    pool = {"poolclass": QueuePool, "pool_size": POOL_SIZE, "max_overflow": 0, "pool_use_lifo": True}
    if url.startswith("sqlite"):
        return {**pool, "connect_args": {"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}}
    options = f"-c lock_timeout={LOCK_TIMEOUT_S}s -c timezone=UTC"
    arguments = {"options": options, "prepare_threshold": None}  # it would forget the statements of `trips` with its own
    return {**pool, "isolation_level": "READ COMMITTED", "connect_args": arguments}


def _note_use(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info["used_at"] = time.monotonic()


def _check_rested(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
    """Ask a connection that has rested whether it still lives; one in steady use costs no round trip for it."""
    if time.monotonic() - record.info.get("used_at", math.inf) < RESTED_S:
        return
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except psycopg.OperationalError as error:
        raise DisconnectionError from error  # the pool opens another


def _dump(value: object) -> str:
    return orjson.dumps(value).decode()


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy's begin event decides, not the driver
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _let_writers_queue(engine: Engine) -> None:
    """SQLite's own wait is for whoever happens to look when the lock is free; among eight writers some wait for many seconds."""
    turns = Turns()

    def begin(connection: Any) -> None:
        if connection.get_execution_options().get("reads_only"):
            _execute(connection, "BEGIN")
            return
        record = connection.connection.record_info
        record["has_turn"] = record.get("has_turn") or turns.take(BUSY_TIMEOUT_S)
        _execute(connection, "BEGIN IMMEDIATE")

    def checkin(_connection: object, record: ConnectionPoolEntry) -> None:
        if (record.record_info or {}).pop("has_turn", None):
            turns.give_back()

    event.listen(engine, "begin", begin)
    event.listen(engine, "checkin", checkin)


def _mark_savepoints(dialect: Dialect) -> None:
    """By the driver: compiled as statements they take longer than what lies between them."""
    dialect.do_savepoint = lambda connection, name: _execute(connection, f"SAVEPOINT {name}")  # type: ignore[method-assign]
    dialect.do_release_savepoint = lambda connection, name: _execute(connection, f"RELEASE {name}")  # type: ignore[method-assign]
    dialect.do_rollback_to_savepoint = lambda connection, name: _execute(connection, f"ROLLBACK TO {name}")  # type: ignore[method-assign]


def _execute(connection: Any, statement: str) -> None:
    """Past the events of SQLAlchemy, which cost more than to begin. Raises: DBAPIError."""
    try:
        connection.connection.driver_connection.execute(statement)
    except sqlite3.Error as error:
        raise DBAPIError.instance(statement, None, error, sqlite3.Error, dialect=connection.dialect) from error


def open_sessions(engine: Engine) -> sessionmaker[Session]:
    """Sessions that write: on SQLite each holds the one write lock from its first statement."""
    return sessionmaker(engine, class_=Appending, expire_on_commit=False)


def has_one_writer(engine: Engine) -> bool:
    """Whether a transaction that writes keeps all others from writing, from its first statement on."""
    return engine.dialect.name == "sqlite"


def open_readers(engine: Engine) -> sessionmaker[Session]:
    """Sessions for pages and queries that change nothing; on SQLite they never wait for a writer.

    On PostgreSQL each statement stands alone: READ COMMITTED promises no more, and it saves the trips of BEGIN and COMMIT.
    """
    level = {} if engine.dialect.name == "sqlite" else {"isolation_level": "AUTOCOMMIT"}
    return sessionmaker(engine.execution_options(reads_only=True, **level), expire_on_commit=False)


def open_snapshots(engine: Engine) -> sessionmaker[Session]:
    """Sessions that change nothing and read one moment, however long they take; on SQLite no writer waits for them."""
    level = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    return sessionmaker(engine.execution_options(reads_only=True, **level), expire_on_commit=False)


TRANSIENT = frozenset({"40001", "40P01", "55P03"})
"""PostgreSQL's states for a lost race, a deadlock and a lock not had in time: nothing was done, asking again may succeed."""


def lost_a_lock(error: SQLAlchemyError) -> bool:
    """Whether the same transaction may be tried again at once."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in TRANSIENT


@contextmanager
def refused_by(constraint: str, refusal: Exception) -> Iterator[None]:
    """Turn the database's refusal by `constraint` (its name) into `refusal`; any other one passes through."""
    try:
        yield
    except IntegrityError as error:
        if constraint in str(error.orig):
            raise refusal from error
        raise
