"""Trips to PostgreSQL: each statement's own answer, the first failure told, and nothing left over on the connection."""

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from psycopg.types.json import Json

from marketplace import trips
from marketplace.trips import carry

NOW = datetime(2026, 3, 10, 3, tzinfo=UTC)
pytestmark = pytest.mark.servers
DIVIDED = "SELECT 6 / $1::BIGINT"


@pytest.fixture
def connection(postgres_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_url, options="-c timezone=UTC", prepare_threshold=None) as made:
        made.execute("CREATE TEMPORARY TABLE kept (number BIGINT PRIMARY KEY, word VARCHAR)")
        made.commit()
        yield made


def is_open(connection: psycopg.Connection) -> bool:
    return connection.info.transaction_status == TransactionStatus.INTRANS


def test_each_statement_answers_with_its_own_rows(connection: psycopg.Connection) -> None:
    names: trips.Names = {}
    for number in (1, 2):  # prepared, and once more by its name
        found = carry(
            connection,
            [
                ("INSERT INTO kept VALUES ($1, $2)", (number, "中试 'quoted' \\ %s")),
                ("SELECT word, $2, $3, $4::JSON FROM kept WHERE number = $1", (number, NOW, number == 1, Json({"a": [1]}))),
                ("SELECT number FROM kept WHERE number > $1 ORDER BY number", (0,)),
            ],
            names,
        )
        assert found[:2] == [(), [("中试 'quoted' \\ %s", NOW, number == 1, {"a": [1]})]]
        assert found[2] == [(one,) for one in range(1, number + 1)]
    assert (is_open(connection), len(names)) == (True, 4)


def test_a_later_value_may_be_larger_than_the_first_or_given_at_last(connection: psycopg.Connection) -> None:
    names: trips.Names = {}
    found = [carry(connection, [("SELECT $1", (value,))], names) for value in (1, 70_000, 1 << 40)]
    assert found == [[[(1,)]], [[(70_000,)]], [[(1 << 40,)]]]
    found = [carry(connection, [("SELECT $1::BIGINT", (value,))], names) for value in (None, 5)]
    assert found == [[[(None,)]], [[(5,)]]]


def test_the_first_failure_is_told_and_what_comes_after_it_is_not_done(connection: psycopg.Connection) -> None:
    names: trips.Names = {}
    with pytest.raises(psycopg.errors.DivisionByZero, match="division by zero"):
        carry(connection, [("SELECT 1", ()), (DIVIDED, (0,)), ("INSERT INTO kept VALUES (1)", ()), ("COMMIT", ())], names)
    assert connection.info.transaction_status == TransactionStatus.INERROR
    connection.rollback()
    after = carry(connection, [(DIVIDED, (2,)), ("INSERT INTO kept VALUES (2)", ()), ("SELECT number FROM kept", ())], names)
    assert after == [[(3,)], (), [(2,)]]


def test_a_statement_that_is_none_fails_alone(connection: psycopg.Connection) -> None:
    names: trips.Names = {}
    for _ in range(2):
        with pytest.raises(psycopg.errors.SyntaxError) as told:
            carry(connection, [("SELECT 1", ()), ("SELEKT", ()), ("SELECT 2", ())], names)
        assert told.value.sqlstate == "42601"
        connection.rollback()
    assert carry(connection, [("SELECT 2", ()), ("SELECT 1", ())], names) == [[(2,)], [(1,)]]


def test_a_value_that_cannot_be_sent_sends_nothing(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.DataError):
        carry(connection, [("INSERT INTO kept VALUES (1)", ()), ("SELECT $1::VARCHAR", ("a\0b",))], {})
    assert connection.info.transaction_status == TransactionStatus.IDLE
    assert carry(connection, [("SELECT count(*) FROM kept", ())], {}) == [[(0,)]]


def test_much_in_both_directions_does_not_wait_for_itself(connection: psycopg.Connection) -> None:
    """More than both sockets hold: who only sent would wait for a server that waits until its answers are read."""
    word = "x" * 20_000
    found = carry(connection, [("SELECT $1::VARCHAR", (word,))] * 1_500, {})
    assert found == [[(word,)]] * 1_500


def test_an_answer_that_cannot_be_read_leaves_the_connection_usable(connection: psycopg.Connection) -> None:
    names: trips.Names = {}
    with pytest.raises(psycopg.DataError):
        carry(connection, [("SELECT 'infinity'::TIMESTAMPTZ", ()), ("SELECT 1", ())], names)
    assert carry(connection, [("SELECT 1", ()), ("SELECT 2", ()), ("SELECT 3", ())], names) == [[(1,)], [(2,)], [(3,)]]


def test_what_streams_is_refused_and_nothing_waits_for_it(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.Error):
        carry(connection, [("COPY (SELECT 1) TO STDOUT", ())], {})


def test_who_commits_by_itself_gets_no_transaction(connection: psycopg.Connection) -> None:
    connection.autocommit = True
    assert carry(connection, [("SELECT 1", ())], {}) == [[(1,)]]
    assert connection.info.transaction_status == TransactionStatus.IDLE


def test_only_so_many_statements_are_kept(connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trips, "MOST_PREPARED", 3)
    names: trips.Names = {}
    for _ in range(2):
        found = carry(connection, [(f"SELECT {number} + $1", (number,)) for number in range(6)], names)
        assert found == [[(2 * number,)] for number in range(6)]
    kept = connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
    assert (len(names), kept) == (3, (3,))


def test_a_connection_that_is_lost_on_the_way_is_closed(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.OperationalError):
        carry(connection, [("SELECT pg_terminate_backend(pg_backend_pid())", ()), ("SELECT 1", ())], {})
    assert connection.closed
