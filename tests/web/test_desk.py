"""The publisher's desk and the operator's pages through their forms, over both databases."""

import re
from collections.abc import Callable, Iterator

import pytest
from fastapi.testclient import TestClient

from marketplace import clock
from marketplace.db import open_engine, open_sessions
from marketplace.people.actions import create_person
from marketplace.permissions import Grant
from marketplace.roles import Role
from marketplace.settings import Settings
from marketplace.tables import Institution
from tests import builders
from tests.web.desks import PASSWORD, Reader, an_app


@pytest.fixture
def house(database_url: str) -> Institution:
    """An institution with a manager, a technician and a finance person; another house's manager; the operator."""
    engine = open_engine(database_url)
    with open_sessions(engine)() as session:
        row = builders.an_institution(session)
        other = builders.an_institution(session, name="别家")
        people = {
            "manager": Grant(Role.MANAGER, institution_id=row.id),
            "technician": Grant(Role.TECHNICIAN, institution_id=row.id),
            "finance": Grant(Role.FINANCE, institution_id=row.id),
            "stranger": Grant(Role.MANAGER, institution_id=other.id),
            "operator": Grant(Role.OPERATOR),
        }
        for name, grant in people.items():
            create_person(
                session, email=f"{name}@example.com", name=name, password=PASSWORD, grants=[grant], actor_id=None, now=clock.now()
            )
        session.commit()
        session.refresh(row)
        session.expunge(row)
    engine.dispose()
    return row


@pytest.fixture
def signed_in(database_url: str, house: Institution) -> Iterator[Callable[[str], Reader]]:
    app = an_app(Settings(database_url=database_url, mqtt_url="mqtt://ingest:x@broker.example:1883"))
    opened = []

    def open_for(name: str) -> Reader:
        client = TestClient(app)
        client.__enter__()
        opened.append(client)
        reader = Reader(client)
        answer = reader.post("/signin", email=f"{name}@example.com", password=PASSWORD, next="/account")
        assert answer.status_code == 200, answer.text
        return reader

    yield open_for
    for client in opened:
        client.__exit__(None, None, None)


def a_listing(reader: Reader, house: Institution) -> str:
    """The id of a machine that five fields have listed."""
    fields = {"name": "离心喷雾干燥机", "kind": "small_line", "price": "540", "hours": "daily", "district": "新津区"}
    answer = reader.post("/desk/new", institution_id=house.id, **fields)
    assert answer.status_code == 200
    found = re.search(r"/desk/resources/(\w+)/devices", str(answer.url))
    assert found
    return found[1]


def test_five_fields_list_a_machine_that_is_found_at_once(signed_in: Callable[[str], Reader], house: Institution) -> None:
    reader = signed_in("manager")
    resource = a_listing(reader, house)
    assert f"/r/{resource}" in reader.get("/search?q=喷雾").text
    assert resource in reader.get("/desk").text


def test_a_price_that_is_none_keeps_what_was_typed(signed_in: Callable[[str], Reader], house: Institution) -> None:
    answer = signed_in("manager").post(
        "/desk/new", institution_id=house.id, name="冻干机", kind="instrument", price="much", hours="daily"
    )
    assert answer.status_code == 422
    assert 'value="冻干机"' in answer.text
    assert 'aria-invalid="true"' in answer.text


def test_a_secret_is_shown_once_with_the_plugs_command(signed_in: Callable[[str], Reader], house: Institution) -> None:
    reader = signed_in("manager")
    resource = a_listing(reader, house)
    shown = reader.post(f"/desk/resources/{resource}/devices", name="主电源", family="tasmota")
    assert shown.status_code == 201
    found = re.search(r"Backlog MqttHost broker\.example; MqttPort 1883; MqttUser (\w+); MqttPassword (\S+);", shown.text)
    assert found
    later = reader.get(f"/desk/resources/{resource}/devices").text
    assert found[1] in later
    assert found[2] not in later


def test_who_read_an_older_version_is_told_and_nothing_is_lost(signed_in: Callable[[str], Reader], house: Institution) -> None:
    reader = signed_in("manager")
    resource = a_listing(reader, house)
    page = reader.get(f"/desk/resources/{resource}").text
    version = re.findall(r'name="version" value="(\d+)"', page)[0]
    fields = {"kind": "small_line", "price": "600", "capacity": "1"}
    saved = reader.post(f"/desk/resources/{resource}", version=version, name="喷雾干燥机一", **fields)
    assert saved.status_code == 200
    stale = reader.post(f"/desk/resources/{resource}", version=version, name="喷雾干燥机二", **fields)
    assert stale.status_code == 412
    assert "喷雾干燥机二" in stale.text
    assert "喷雾干燥机二" not in reader.get(f"/r/{resource}").text


def test_a_paused_machine_takes_no_bookings_until_it_is_published(signed_in: Callable[[str], Reader], house: Institution) -> None:
    reader = signed_in("manager")
    resource = a_listing(reader, house)
    assert "Paused" in reader.post(f"/desk/resources/{resource}/pause").text
    assert "takes no bookings at present" in reader.get(f"/r/{resource}").text
    assert reader.post(f"/desk/resources/{resource}/publish").status_code == 200
    assert reader.post(f"/desk/resources/{resource}/publish").status_code == 409


@pytest.mark.parametrize(
    ("who", "path", "status"),
    [
        ("manager", "/desk/use", 200),
        ("manager", "/desk/income", 200),
        ("manager", "/evaluation", 200),
        ("technician", "/desk", 200),
        ("technician", "/desk/income", 403),
        ("finance", "/desk/income", 200),
        ("finance", "/desk/new", 403),
        ("manager", "/operator", 404),
        ("operator", "/operator", 200),
        ("operator", "/operator/institutions", 200),
        ("operator", "/operator/audit", 200),
        ("operator", "/evaluation", 200),
    ],
)
def test_each_role_opens_its_own_pages(
    signed_in: Callable[[str], Reader], house: Institution, who: str, path: str, status: int
) -> None:
    assert signed_in(who).get(path).status_code == status


def test_another_institutions_manager_knows_nothing_of_it(signed_in: Callable[[str], Reader], house: Institution) -> None:
    resource = a_listing(signed_in("manager"), house)
    reader = signed_in("stranger")
    ours = (f"/desk?institution={house.id}", f"/desk/resources/{resource}", f"/desk/resources/{resource}/devices")
    figures = (f"/evaluation/institutions/{house.id}", f"/evaluation/units/{resource}")
    assert [reader.get(path).status_code for path in (*ours, *figures)] == [404] * 5
    assert reader.post(f"/desk/resources/{resource}/retire").status_code == 404


def test_the_operator_invites_an_institutions_first_manager(signed_in: Callable[[str], Reader], house: Institution) -> None:
    reader = signed_in("operator")
    fields = {"name": "川西研究院", "kind": "institute", "manager_email": "first@example.com"}
    made = reader.post("/operator/institutions", **fields)
    assert made.status_code == 201
    link = re.search(r"/en(/invitations/[\w-]+)", made.text)
    assert link
    reader.post("/signout")
    joined = reader.post(link[1], name="首任", password=PASSWORD)
    assert joined.status_code == 200
    assert "川西研究院" in joined.text
