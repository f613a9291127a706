"""contract.md: whether the process lives, whether it is ready and what is missing, its figures, its own description."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from devices.tables import Heartbeat
from marketplace import clock, jobs
from marketplace.db import open_engine, open_sessions
from marketplace.settings import Settings
from tests.servers import free_port
from web.app import create_app
from web.migrate import migrate

DROP_GUARD = {
    "postgresql": ["ALTER TABLE claims DROP CONSTRAINT claims_no_overlap"],
    "sqlite": ["DROP TRIGGER claims_no_overlap_insert", "DROP TRIGGER claims_no_overlap_update"],
}
READY = {"ready": True, "database": True, "migrations": True, "guard": True, "worker": True}


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    """A database at the newest schema."""
    found = open_engine(empty_database_url)
    migrate(found)
    yield found
    found.dispose()


@pytest.fixture
def ready(empty_database_url: str) -> Callable[..., tuple[int, dict[str, Any]]]:
    """What a fresh process over the database says of itself."""

    def ask(**settings: Any) -> tuple[int, dict[str, Any]]:
        with TestClient(create_app(Settings(**{"database_url": empty_database_url, **settings}))) as asked:
            reply = asked.get("/readyz")
            return reply.status_code, reply.json()

    return ask


def ticked(engine: Engine, seconds_ago: float) -> None:
    with open_sessions(engine).begin() as session:
        at = clock.now() - timedelta(seconds=seconds_ago)
        jobs.claim(session, job="fold", due_at=at, now=at)
        jobs.finish(session, job="fold", due_at=at, now=at)


def heard(engine: Engine, seconds_ago: float, name: str = "ingest") -> None:
    with open_sessions(engine).begin() as session:
        session.merge(Heartbeat(name=name, at=clock.now() - timedelta(seconds=seconds_ago)))


def test_a_process_that_lives_says_so_without_its_database() -> None:
    with TestClient(create_app(Settings(database_url="sqlite:////nowhere/at/all.db"))) as asked:
        reply = asked.get("/healthz")
        assert (reply.status_code, reply.text) == (200, "ok\n")


def test_all_is_ready_when_the_worker_ticks(engine: Engine, ready: Callable[..., Any]) -> None:
    assert ready() == (503, {**READY, "ready": False, "worker": False})
    ticked(engine, 90)
    assert ready() == (503, {**READY, "ready": False, "worker": False})
    ticked(engine, 1)
    assert ready() == (200, READY)


def test_a_broker_counts_as_heard_while_its_heartbeat_is_fresh(engine: Engine, ready: Callable[..., Any]) -> None:
    ticked(engine, 1)
    broker = {"mqtt_url": "mqtt://ingest:x@127.0.0.1:1"}
    assert ready(**broker) == (503, {**READY, "ready": False, "broker": False})
    heard(engine, 60)
    assert ready(**broker) == (503, {**READY, "ready": False, "broker": False})
    heard(engine, 1)
    assert ready(**broker) == (200, {**READY, "broker": True})


def test_a_login_that_the_broker_refused_is_told_until_something_is_heard_by_it(
    engine: Engine, ready: Callable[..., Any]
) -> None:
    ticked(engine, 1)
    broker = {"mqtt_url": "mqtt://ingest:x@127.0.0.1:1"}
    heard(engine, 20, "refused")
    assert ready(**broker) == (503, {**READY, "ready": False, "broker": False, "broker_login": False})
    heard(engine, 25)
    assert ready(**broker) == (503, {**READY, "ready": False, "broker": True, "broker_login": False})
    assert ready() == (200, READY)
    heard(engine, 5)
    assert ready(**broker) == (200, {**READY, "broker": True})


def test_a_database_behind_its_migrations_is_not_ready(engine: Engine, ready: Callable[..., Any]) -> None:
    ticked(engine, 1)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    assert ready() == (503, {**READY, "ready": False, "migrations": False})


def test_a_database_without_its_guard_is_not_ready(engine: Engine, ready: Callable[..., Any]) -> None:
    ticked(engine, 1)
    with engine.begin() as connection:
        for statement in DROP_GUARD[engine.dialect.name]:
            connection.execute(text(statement))
    status, found = ready()
    assert (status, found["ready"], found["guard"], found["database"]) == (503, False, False, True)


def test_a_database_that_is_away_is_not_ready(database: str, ready: Callable[..., Any]) -> None:
    away = {"sqlite": "sqlite:////nowhere/at/all.db", "postgresql": f"postgresql://x@127.0.0.1:{free_port()}/x"}
    assert ready(database_url=away[database]) == (503, {"ready": False, "database": False})


def test_an_empty_database_is_not_ready(ready: Callable[..., Any]) -> None:
    status, found = ready()
    assert (status, found["ready"]) == (503, False)


def test_figures_are_given_in_the_way_prometheus_reads(client: TestClient) -> None:
    reply = client.get("/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain; version=")
    assert "process_resident_memory_bytes" in reply.text
    assert all(line.startswith("#") or len(line.rsplit(" ", 1)) == 2 for line in reply.text.splitlines())


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/api/openapi.json", "/api/docs"])
def test_every_answer_carries_the_headers_of_the_house(client: TestClient, path: str) -> None:
    reply = client.get(path)
    assert reply.status_code == 200
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]


def test_the_description_says_how_a_token_is_given(client: TestClient) -> None:
    document = client.get("/api/openapi.json").json()
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert document["paths"]["/api/v1/resources/{resource_id}/bookings"]["post"]["security"] == [{"token": []}]


def test_the_description_names_every_path_of_the_contract(client: TestClient) -> None:
    paths = client.get("/api/openapi.json").json()["paths"]
    named = {(method, path) for path, calls in paths.items() for method in calls}
    assert named >= {
        ("post", "/api/v1/institutions"),
        ("post", "/api/v1/organisations"),
        ("post", "/api/v1/people"),
        ("post", "/api/v1/resources"),
        ("get", "/api/v1/resources"),
        ("get", "/api/v1/resources/{resource_id}"),
        ("get", "/api/v1/resources/{resource_id}/availability"),
        ("post", "/api/v1/resources/{resource_id}/bookings"),
        ("get", "/api/v1/bookings/{booking_id}"),
        ("patch", "/api/v1/bookings/{booking_id}"),
        ("post", "/api/v1/resources/{resource_id}/outages"),
        ("post", "/api/v1/resources/{resource_id}/devices"),
        ("get", "/api/v1/resources/{resource_id}/status"),
        ("get", "/api/v1/resources/{resource_id}/live"),
        ("get", "/api/v1/resources/{resource_id}/sessions"),
        ("get", "/api/v1/bookings/{booking_id}/use"),
        ("get", "/api/v1/bookings/{booking_id}/statement"),
        ("post", "/api/v1/bookings/{booking_id}/statement/accept"),
        ("post", "/api/v1/bookings/{booking_id}/statement/dispute"),
        ("post", "/api/v1/price-simulations"),
        ("get", "/api/v1/evaluations"),
        ("get", "/api/v1/institutions/{institution_id}/metrics"),
        ("get", "/api/v1/evaluations/{revision_id}/pack"),
        ("post", "/api/v1/stripe/events"),
    }
    docs = client.get("/api/docs").text
    assert all(f"<code>{path}</code>" in docs for path in paths)
