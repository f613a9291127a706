"""PostgreSQL ends our connections (a restart, a failover): one request may fail, the next ones have connections that live."""

import contextlib
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Engine, literal, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from marketplace import db
from marketplace.db import open_engine
from marketplace.prepared import Read

pytestmark = pytest.mark.servers
ONE = Read(select(literal(1).label("one")))


@pytest.fixture
def pooled(postgres_url: str) -> Iterator[Engine]:
    engine = open_engine(postgres_url + "?application_name=pilotbench_lost")
    yield engine
    engine.dispose()


def asked(engine: Engine) -> list[tuple[int]]:
    with Session(engine) as session:
        return ONE.rows(session)


def end_all(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pilotbench_lost'")


def test_one_in_steady_use_fails_once_and_takes_the_pools_others_along(pooled: Engine, postgres_url: str) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(3):
            ONE.rows(held.enter_context(Session(pooled)))
    end_all(postgres_url)
    with pytest.raises(OperationalError):
        asked(pooled)
    assert [asked(pooled) for _ in range(4)] == [[(1,)]] * 4


def test_one_that_has_rested_is_replaced_unseen(pooled: Engine, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(pooled) == [(1,)]
    end_all(postgres_url)
    monkeypatch.setattr(db, "RESTED_S", 0.0)
    assert asked(pooled) == [(1,)]
