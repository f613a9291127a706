"""Who works for an institution: seen by its staff, invited by its managers, the link shown once and mailed."""

import re

import pytest
from sqlalchemy import select

from marketplace.db import open_engine, open_sessions
from marketplace.tables import Message
from tests.web.desks import PASSWORD, Desk, Reader, a_desk, error_beside

LINK = re.compile(r"/en(/invitations/[\w-]+)")
SMTP = "smtp://mail.example:25"


def invite(reader: Reader, desk: Desk, email: str, role: str = "technician") -> str:
    """The page after an invitation."""
    answer = reader.post("/desk/members", owner_id=desk.house, email=email, role=role)
    assert answer.status_code == 201, answer.text
    return answer.text


def test_an_invited_person_joins_with_the_role(desk: Desk) -> None:
    manager = desk.reader("manager")
    page = invite(manager, desk, "New@Example.com")
    link = LINK.search(page)
    assert link
    assert "new@example.com" in page
    assert link[1] not in manager.get("/desk/members").text
    joined = desk.reader("customer")
    joined.post("/signout")
    assert joined.post(link[1], name="新同事", password=PASSWORD).status_code == 200
    listed = manager.get("/desk/members").text
    assert "新同事" in listed
    assert 'id="open"' not in listed
    assert joined.get(f"/desk/resources/{desk.resource}/devices").status_code == 200
    assert joined.get("/desk/income").status_code == 403


@pytest.mark.parametrize(
    ("email", "role", "field", "said"),
    [
        ("nobody", "technician", "email", "no e-mail address"),
        ("manager@example.com", "manager", "email", "has that role already"),
        ("new@example.com", "operator", "role", "one of the roles"),
        ("new@example.com", "member", "role", "one of the roles"),
    ],
)
def test_an_invitation_that_cannot_be_is_told_beside_its_field(desk: Desk, email: str, role: str, field: str, said: str) -> None:
    answer = desk.reader("manager").post("/desk/members", owner_id=desk.house, email=email, role=role)
    assert answer.status_code == 422
    assert said in error_beside(answer.text, field)
    assert f'value="{email}"' in answer.text
    assert not LINK.search(answer.text)


def test_a_known_address_is_mailed_too(database_url: str) -> None:
    with a_desk(database_url, smtp_url=SMTP) as desk:
        assert "It was mailed too if" in invite(desk.reader("manager"), desk, "customer@example.com", "finance")
        assert "It was mailed too if" in invite(desk.reader("manager"), desk, "unknown@example.com", "finance")
    assert mailed(database_url) == ["invitation"]


def test_without_a_mail_server_the_link_is_for_the_manager_to_send(desk: Desk) -> None:
    assert "Send it to the person" in invite(desk.reader("manager"), desk, "customer@example.com", "finance")
    assert mailed(desk.settings.database_url) == []


def mailed(database_url: str) -> list[str]:
    engine = open_engine(database_url)
    with open_sessions(engine)() as session:
        found = list(session.scalars(select(Message.kind)))
    engine.dispose()
    return found


def test_staff_see_their_colleagues_and_only_managers_invite(desk: Desk) -> None:
    page = desk.reader("technician").get("/desk/members").text
    assert "finance@example.com" in page
    assert "stranger@example.com" not in page
    assert "Invite someone" not in page
    answer = desk.reader("technician").post("/desk/members", owner_id=desk.house, email="new@example.com", role="manager")
    assert answer.status_code == 403


@pytest.mark.parametrize("who", ["stranger", "customer", "evaluator"])
def test_others_do_not_know_who_works_there(desk: Desk, who: str) -> None:
    reader = desk.reader(who)
    assert reader.get(f"/desk/members?institution={desk.house}").status_code == 404
    answer = reader.post("/desk/members", owner_id=desk.house, email="new@example.com", role="manager")
    assert answer.status_code == 404


def test_the_desks_menu_leads_nobody_to_a_closed_door(desk: Desk) -> None:
    for who in ("manager", "technician", "finance", "operator"):
        page = desk.reader(who).get(f"/desk?institution={desk.house}").text
        menu = re.findall(r'href="/en(/desk[\w/]*\?institution=\w+)"', page)
        assert f"/desk/members?institution={desk.house}" in menu
        assert [path for path in menu if desk.reader(who).get(path).status_code != 200] == []
        machines = re.findall(r'href="/en(/(?:desk/resources|r)/[\w/]+)"', page)
        assert [path for path in machines if desk.reader(who).get(path).status_code != 200] == []


def test_the_navigation_leads_nobody_to_a_closed_door(desk: Desk) -> None:
    for who in ("manager", "technician", "finance", "operator", "stranger"):
        reader = desk.reader(who)
        areas = re.findall(r'<nav class="menu-links".*?</nav>', reader.get("/search").text, re.DOTALL)[0]
        paths = re.findall(r'href="/en(/\w+)"', areas)
        assert [path for path in paths if reader.get(path).status_code != 200] == [], who


def test_only_those_who_may_open_the_machines_page_are_led_there_from_its_listing(desk: Desk) -> None:
    led = {
        who: "Edit this listing" in desk.reader(who).get(f"/r/{desk.resource}").text
        for who in ("manager", "technician", "finance")
    }
    assert led == {"manager": True, "technician": True, "finance": False}


def test_what_waits_is_told_to_those_who_can_answer_it(desk: Desk) -> None:
    told = {
        who: 'class="todo-list"' in desk.reader(who).get(f"/desk?institution={desk.house}").text
        for who in ("manager", "technician", "finance")
    }
    assert told == {"manager": True, "technician": True, "finance": False}, (
        "a machine without meter waits for who minds the meters"
    )
