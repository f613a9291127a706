"""The application over each database, asked in process; and a world of its own for each test."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from marketplace import clock
from marketplace.db import open_engine, open_sessions
from marketplace.ids import new_id
from marketplace.people.actions import create_person, create_token
from marketplace.permissions import Grant
from marketplace.roles import Role
from marketplace.settings import Settings
from tests.builders import an_institution, an_organisation
from tests.conftest import new_database
from tests.web.api.world import World
from web.app import create_app
from web.schema import METADATA

WEBHOOK_SECRET = "whsec_of_the_tests"


@pytest.fixture(scope="session")
def api_url(database: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database that all tests of the API share; each makes its own world in it."""
    url = new_database(database, request, tmp_path_factory.mktemp("api"))
    engine = open_engine(url)
    METADATA.create_all(engine)
    engine.dispose()
    return url


@pytest.fixture(scope="session")
def client(api_url: str) -> Iterator[TestClient]:
    """The application; what it raises unexpectedly is answered with 500, as in a server."""
    settings = Settings(database_url=api_url, stripe_webhook_secrets=WEBHOOK_SECRET)
    with TestClient(create_app(settings), raise_server_exceptions=False) as asked:
        yield asked


@pytest.fixture(scope="session")
def operator(api_url: str) -> str:
    """The first operator's API token."""
    engine = open_engine(api_url)
    now = clock.now()
    with open_sessions(engine).begin() as session:
        email, grants = f"{new_id('op')}@example.com", [Grant(Role.OPERATOR)]
        person = create_person(session, email=email, name="平台运营", grants=grants, actor_id=None, now=now)
        token = create_token(session, person_id=person.id, label="tests", now=now)
    engine.dispose()
    return token


@pytest.fixture
def world(client: TestClient, operator: str) -> World:
    """The same as `a_world` makes over HTTP, at a third of its price: most tests of the API begin with one."""
    world = World(client, operator)
    with client.app.state.sessions.begin() as session:  # type: ignore[attr-defined]
        house, firm = an_institution(session), an_organisation(session)
        world.institution, world.organisation = house.id, firm.id
        world.manager = _a_token(session, Grant(Role.MANAGER, institution_id=house.id))
        world.member = _a_token(session, Grant(Role.MEMBER, organisation_id=firm.id))
    world.resource = world.a_resource()
    return world


def _a_token(session: Session, grant: Grant) -> str:
    now = clock.now()
    person = create_person(session, email=f"{new_id('p')}@example.com", name="陈静", grants=[grant], actor_id=None, now=now)
    return create_token(session, person_id=person.id, label="tests", now=now)
