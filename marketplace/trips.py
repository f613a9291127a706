"""Several statements to PostgreSQL and their answers in one round trip, each way in one piece, by libpq's pipeline.

psycopg's own pipeline waits at the socket for every statement: a trip of five wakes both sides five times (decision 0021).
"""

from collections.abc import Sequence
from select import POLLIN, POLLOUT, poll
from typing import Any

import psycopg
from psycopg import abc, adapt
from psycopg.adapt import PyFormat
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult

Statement = tuple[str, Sequence[Any]]
"""SQL with $1, $2 and on, and their values."""
Rows = Sequence[Sequence[Any]]
Names = dict[str, bytes]
"""How a connection calls the statements that it has prepared."""
_Dumped = tuple[str, Sequence[Any] | None, Sequence[int]]
"""SQL, its values as text, and their types by number."""
_Sent = Sequence[tuple[str, bytes | None]]
"""What is to be answered, in its order: SQL, with the name under which it is prepared or None where it is carried out."""

BEGIN: Statement = ("BEGIN ISOLATION LEVEL READ COMMITTED", ())
NARROWER, WIDEST = frozenset(psycopg.postgres.types[name].oid for name in ("int2", "int4")), psycopg.postgres.types["int8"].oid
STREAMS = frozenset({ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH})
MOST_PREPARED = 500
"""Statements that a connection keeps by name; later ones are read anew each time."""


def carry(connection: psycopg.Connection[Any], statements: Sequence[Statement], names: Names) -> list[Rows]:
    """What each statement answers. The first one begins a transaction where the connection is to be in one and is not.

    `names` belongs to the connection and is added to. Raises: psycopg.Error of the first that failed, where those behind it
    have not been carried out, or of a connection that is lost; it is closed then.
    """
    pgconn, transformer = connection.pgconn, adapt.Transformer(connection)
    begins = not connection.autocommit and pgconn.transaction_status == TransactionStatus.IDLE
    ready = [_dumped(transformer, *statement) for statement in ([BEGIN, *statements] if begins else statements)]
    try:
        pgconn.enter_pipeline_mode()
        sent = _send(pgconn, ready, names)
        answers = _answers(pgconn)
        pgconn.exit_pipeline_mode()
    except BaseException:
        connection.close()  # nobody could tell any more which answer is to what
        raise
    return _understood(transformer, sent, answers, names)[begins:]


def _dumped(transformer: abc.Transformer, sql: str, values: Sequence[Any]) -> _Dumped:
    """Whole numbers as the widest ones: psycopg would take the type that the first of them needs, and the next may need more."""
    if not values:
        return sql, None, ()
    texts = transformer.dump_sequence(values, [PyFormat.TEXT] * len(values))
    return sql, texts, [WIDEST if kind in NARROWER else kind for kind in transformer.types or ()]


def _send(pgconn: PGconn, ready: Sequence[_Dumped], names: Names) -> _Sent:
    """Into libpq's own buffer, which goes out as one."""
    sent: list[tuple[str, bytes | None]] = []
    new: Names = {}
    for sql, values, types in ready:
        name = names.get(sql) or new.get(sql)
        if name is None and len(names) + len(new) < MOST_PREPARED:
            name = new[sql] = b"trip_%d" % (len(names) + len(new))
            pgconn.send_prepare(name, sql.encode(), types)
            sent.append((sql, name))
        if name is None:
            pgconn.send_query_params(sql.encode(), values, types)
        else:
            pgconn.send_query_prepared(name, values)
        sent.append((sql, None))
    pgconn.pipeline_sync()
    return sent


def _answers(pgconn: PGconn) -> list[PGresult]:
    """All up to the end of the trip. Raises: psycopg.OperationalError."""
    waiting = poll()
    waiting.register(pgconn.socket, POLLIN | POLLOUT)
    while pgconn.flush():
        if any(event & ~POLLOUT for _, event in waiting.poll()):
            pgconn.consume_input()
    waiting.modify(pgconn.socket, POLLIN)
    found: list[PGresult] = []
    while True:
        while pgconn.is_busy():
            waiting.poll()
            pgconn.consume_input()
        answer = pgconn.get_result()
        if answer is not None and answer.status == ExecStatus.PIPELINE_SYNC:
            return found
        if answer is not None and answer.status in STREAMS:
            raise psycopg.NotSupportedError("COPY goes another way")
        if answer is not None:  # None ends what one statement answers
            found.append(answer)
        elif pgconn.status != ConnStatus.OK:
            raise psycopg.OperationalError("the connection was lost while answers were to come")


def _understood(transformer: abc.Transformer, sent: _Sent, answers: Sequence[PGresult], names: Names) -> list[Rows]:
    failed = next((answer for answer in answers if answer.status == ExecStatus.FATAL_ERROR), None)
    for (sql, name), answer in zip(sent, answers, strict=True):  # before a row is read, which may fail: the server has them
        if name is not None and answer.status == ExecStatus.COMMAND_OK:
            names[sql] = name
    if failed is not None:
        raise error_from_result(failed)
    rows: list[Rows] = []
    for (_, name), answer in zip(sent, answers, strict=True):
        if name is None and answer.status == ExecStatus.TUPLES_OK:
            transformer.set_pgresult(answer)
            rows.append(transformer.load_rows(0, answer.ntuples, tuple))
        elif name is None:
            rows.append(())
    return rows
