"""Fixtures: the two databases, a real broker, a real browser. Everything started here is stopped here."""

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from playwright.sync_api import Browser, sync_playwright
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from marketplace.db import open_engine, open_sessions
from marketplace.ids import new_id
from marketplace.people import secrets
from marketplace.prepared import Appending
from tests import servers
from tests.product import Product
from tests.product import product as a_product
from web.schema import METADATA

DATABASES = ("sqlite", "postgresql")
CHROMIUM = "/usr/bin/chromium"
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--font-render-hinting=none",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # two busy cores prove nothing
settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--databases", choices=[*DATABASES, "both"], default="both", help="which databases to run on")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database" in metafunc.fixturenames:
        wanted = metafunc.config.getoption("--databases")
        kinds = DATABASES if wanted == "both" else (wanted,)
        metafunc.parametrize("database", kinds, scope="session")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """One private PostgreSQL for the whole run, shared by parallel workers."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    with servers.postgres(Path(tempfile.gettempdir()) / f"pilotbench-postgres-{run}") as url:
        yield url


@pytest.fixture(scope="session")
def database() -> str:
    """Which database this test runs on; parametrized by --databases."""
    raise NotImplementedError


@pytest.fixture(scope="session")
def engine(database: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine on a database with every floor's tables, kept for the session."""
    url = new_database(database, request, tmp_path_factory.mktemp("db"))
    engine = open_engine(url)
    METADATA.create_all(engine)
    yield engine
    engine.dispose()


def new_database(kind: str, request: pytest.FixtureRequest, folder: Path, *, like: str | None = None) -> str:
    """The URL of an empty database, or of a copy of one that nobody has open."""
    if kind == "sqlite":
        if like:
            shutil.copyfile(like.removeprefix("sqlite:///"), folder / "pilotbench.db")
        return f"sqlite:///{folder}/pilotbench.db"
    server: str = request.getfixturevalue("postgres_url")
    name = new_id("t")
    template = like.rsplit("/", 1)[1] if like else "template1"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return server.rsplit("/", 1)[0] + f"/{name}"


@pytest.fixture
def db(engine: Engine) -> Iterator[Session]:
    """A session whose work is rolled back after the test; what it commits ends in a savepoint."""
    with engine.connect() as connection:
        outer = connection.begin()
        session = Appending(connection, join_transaction_mode="create_savepoint", expire_on_commit=False)
        yield session
        session.close()
        outer.rollback()


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """argon2 with its least work, or half the run is password hashes; the product's own processes keep the real one."""
    with pytest.MonkeyPatch.context() as patch:
        quick = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
        patch.setattr(secrets, "_HASHER", quick)
        yield


@pytest.fixture(scope="module", autouse=True)
def swept() -> Iterator[None]:
    """What is left of one file of tests is not searched for garbage again in the next; at the end that was half of the time."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def with_tables(database: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database with all tables and no rows; it is copied, never opened."""
    url = new_database(database, request, tmp_path_factory.mktemp("tables"))
    engine = open_engine(url)
    METADATA.create_all(engine)
    engine.dispose()  # the last to close a SQLite database also empties its write-ahead log
    return url


@pytest.fixture
def empty_database_url(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh, private database without tables, for migrations and the product's own processes."""
    return new_database(database, request, tmp_path)


@pytest.fixture
def database_url(database: str, with_tables: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh, private database with all tables, for tests with several processes."""
    return new_database(database, request, tmp_path, like=with_tables)


@pytest.fixture
def committed_db(database_url: str) -> Iterator[sessionmaker[Session]]:
    """Sessions on a fresh, private database, for tests that commit or use threads."""
    engine = open_engine(database_url)
    yield open_sessions(engine)
    engine.dispose()


@pytest.fixture
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Broker]:
    """A private, real Mosquitto that remembers nothing of other tests."""
    with servers.mosquitto(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, headless, that resolves no name but this machine's own; open a context per test."""
    if not Path(CHROMIUM).exists():
        raise servers.MissingServer("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def shared_product(
    database: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Product, servers.Broker]]:
    """The same, one for all tests of a file: a start takes as long as most of them. Each makes what it needs for itself."""
    url = new_database(database, request, tmp_path_factory.mktemp("shared"))
    with servers.mosquitto(tmp_path_factory.mktemp("broker")) as running:
        settings = {"mqtt_url": running.url, "mqtt_dir": str(running.folder)}
        with a_product(tmp_path_factory.mktemp("product"), url, **settings) as made:
            yield made, running


@pytest.fixture
def product(empty_database_url: str, broker: servers.Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The product over each database with a broker of its own, migrated; `start()` it, talk to `base_url`, `kill()` it."""
    settings = {"mqtt_url": broker.url, "mqtt_dir": str(broker.folder)}
    with a_product(tmp_path_factory.mktemp("product"), empty_database_url, **settings) as made:
        yield made
