"""People of a small world who open the desk's pages in a browser without a window, and who may open which."""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache

import httpx2
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from marketplace import clock
from marketplace.db import open_engine, open_sessions
from marketplace.people.actions import create_person
from marketplace.permissions import Grant
from marketplace.roles import Role
from marketplace.settings import Settings
from tests import builders
from web.app import connect, create_app

PASSWORD = "a long password"
TOKEN = re.compile(r'name="csrf" value="([^"]+)"')
BROKER = "mqtt://ingest:x@broker.example:1883"
LISTING = {"name": "离心喷雾干燥机", "kind": "small_line", "price": "540", "hours": "workdays", "district": "新津区"}


@dataclass(frozen=True)
class Reader:
    """A signed-in browser without a window."""

    client: TestClient

    def get(self, path: str, lang: str = "en") -> httpx2.Response:
        answer: httpx2.Response = self.client.get(f"/{lang}{path}")  # type: ignore[assignment]
        return answer

    def post(self, path: str, *, lang: str = "en", **fields: str) -> httpx2.Response:
        """What the page answers after its redirect."""
        token = TOKEN.search(self.client.get("/en/signin").text)
        assert token
        answer: httpx2.Response = self.client.post(  # type: ignore[assignment]
            f"/{lang}{path}", data={"csrf": token[1], **fields}, headers={"origin": "http://testserver"}
        )
        return answer


@dataclass
class Desk:
    """An institution with one listed machine, and everybody who may or may not work on it."""

    app: FastAPI
    house: str
    opened: ExitStack
    readers: dict[str, Reader] = field(default_factory=dict)
    resource: str = ""

    @property
    def settings(self) -> Settings:
        settings: Settings = self.app.state.settings
        return settings

    @contextmanager
    def database(self) -> Iterator[Session]:
        """A session on the desk's own database, for what no page does or shows."""
        engine = open_engine(self.settings.database_url)
        try:
            with open_sessions(engine)() as session:
                yield session
        finally:
            engine.dispose()

    def reader(self, name: str) -> Reader:
        """Signed in once, then kept."""
        if name not in self.readers:
            self.readers[name] = Reader(self.opened.enter_context(TestClient(self.app)))
            answer = self.readers[name].post("/signin", email=f"{name}@example.com", password=PASSWORD, next="/account")
            assert answer.status_code == 200, answer.text
        return self.readers[name]

    def list_machine(self) -> str:
        """The id of a machine that five fields have listed."""
        answer = self.reader("manager").post("/desk/new", institution_id=self.house, **LISTING)
        found = re.search(r"/desk/resources/(\w+)/devices", str(answer.url))
        assert found, answer.text
        return found[1]


def an_app(settings: Settings) -> FastAPI:
    """The application of this test process, now over the test's own database: its first request costs more than a test."""
    app = _app()
    connect(app, settings)
    return app


@cache
def _app() -> FastAPI:
    return create_app(Settings(database_url="sqlite://"))


@contextmanager
def a_desk(database_url: str, **settings: str) -> Iterator[Desk]:
    """A house with a manager, a technician and a finance person; another house's manager; a firm; operator, evaluator."""
    engine = open_engine(database_url)
    with open_sessions(engine)() as session:
        house = builders.an_institution(session).id
        other = builders.an_institution(session, name="别家", name_en="Another house").id
        firm = builders.an_organisation(session).id
        roles: Mapping[str, Grant] = {
            "manager": Grant(Role.MANAGER, institution_id=house),
            "technician": Grant(Role.TECHNICIAN, institution_id=house),
            "finance": Grant(Role.FINANCE, institution_id=house),
            "stranger": Grant(Role.MANAGER, institution_id=other),
            "customer": Grant(Role.MEMBER, organisation_id=firm),
            "operator": Grant(Role.OPERATOR),
            "evaluator": Grant(Role.EVALUATOR),
        }
        for name, grant in roles.items():
            email = f"{name}@example.com"
            create_person(session, email=email, name=name, password=PASSWORD, grants=[grant], actor_id=None, now=clock.now())
        session.commit()
    engine.dispose()
    with ExitStack() as opened:
        desk = Desk(an_app(Settings(database_url=database_url, mqtt_url=BROKER, **settings)), house, opened)  # type: ignore[arg-type]
        desk.resource = desk.list_machine()
        yield desk


def error_beside(page: str, field: str) -> str:
    """What is written at the field that is wrong; empty where nothing is."""
    assert (f'aria-describedby="e-{field} ' in page) == (f'id="e-{field}"' in page)
    found = re.search(rf'id="e-{field}">([^<]+)<', page)
    return found[1] if found else ""
