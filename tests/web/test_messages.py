"""The pages of messages: the list, the number beside one's name, marking read, and how one wants to be told."""

import pytest
from sqlalchemy.orm import Session

from marketplace import clock, outbox
from marketplace.inbox import queries
from marketplace.people.queries import find_person_by_email
from marketplace.topics import Delivery, Topic
from tests.web.desks import Desk, error_beside
from web.present import messages

WAYS = {"bookings": "digest", "reminders": "app", "statements": "at_once", "decisions": "at_once"}
FACTS = {"start": "2026-03-10T01:00:00+00:00", "end": "2026-03-10T03:00:00+00:00"}


def person_of(session: Session, name: str) -> str:
    person = find_person_by_email(session, f"{name}@example.com")
    assert person
    return person.id


def told(desk: Desk, name: str, count: int = 1, kind: str = "booking_confirmed") -> None:
    with desk.app.state.sessions.begin() as session:
        data = {"booking_id": "bk_1", "resource_id": desk.resource, **FACTS}
        for number in range(count):
            person_id, cause = person_of(session, name), f"{name}:{kind}:{number}"
            outbox.queue(session, person_id=person_id, kind=kind, data=data, cause=cause, now=clock.now())


def test_the_list_says_what_and_when_and_the_header_how_many(desk: Desk) -> None:
    told(desk, "customer", 2)
    reader = desk.reader("customer")
    page = reader.get("/messages", "zh").text
    assert page.count("离心喷雾干燥机 · 3月10日 周二 09:00–11:00") == 2
    assert "预约已确认" in page
    assert '2<span class="unseen"> 条未读</span>' in reader.get("/account", "zh").text
    assert "Your booking is confirmed" in reader.get("/messages").text


def test_all_are_marked_as_read_at_once_and_nobody_elses(desk: Desk) -> None:
    told(desk, "customer", 3)
    told(desk, "stranger")
    answer = desk.reader("customer").post("/messages/read")
    assert "All messages are marked as read." in answer.text
    assert "Mark all as read" not in answer.text
    with desk.app.state.readers() as session:
        assert [queries.count_unread(session, person_of(session, name)) for name in ("customer", "stranger")] == [0, 1]


def test_opening_a_message_leads_on_and_marks_it_read(desk: Desk) -> None:
    told(desk, "customer")
    with desk.app.state.readers() as session:
        (row,) = queries.messages_of(session, person_of(session, "customer"))
    reader = desk.reader("customer")
    answer = reader.client.get(f"/en/messages/{row.id}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/en/bookings/bk_1")
    assert "unread" not in reader.get("/messages").text
    assert desk.reader("stranger").get(f"/messages/{row.id}").status_code == 404


def test_a_long_list_is_shown_in_pages(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "PAGE", 2)
    told(desk, "customer", 3)
    reader = desk.reader("customer")
    first = reader.get("/messages").text
    assert first.count('class="unread"') == 2
    following = first.split('href="/en/messages?cursor=')[1].split('"')[0]
    second = reader.get(f"/messages?cursor={following}").text
    assert second.count('class="unread"') == 1
    assert reader.get("/messages?cursor=msg_none").status_code == 404


def test_nobody_reads_messages_without_signing_in(desk: Desk) -> None:
    desk.reader("customer").client.cookies.clear()
    for path in ("/messages", "/account/messages"):
        answer = desk.reader("customer").client.get(f"/en{path}", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/en/signin?next=/en{path}")


def test_a_choice_is_kept_and_shown_again(desk: Desk) -> None:
    reader = desk.reader("customer")
    answer = reader.post("/account/messages", timezone="Europe/Berlin", **WAYS)
    assert "Saved." in answer.text
    assert 'value="Europe/Berlin"' in answer.text
    with desk.app.state.readers() as session:
        person_id = person_of(session, "customer")
        assert queries.choices_of(session, person_id) == {Topic(topic): Delivery(way) for topic, way in WAYS.items()}
        assert queries.zone_of(session, person_id).key == "Europe/Berlin"
    assert '<option value="digest" selected>汇总到每日邮件</option>' in reader.get("/account/messages", "zh").text


def test_a_wrong_zone_and_a_wrong_way_are_told_and_change_nothing(desk: Desk) -> None:
    reader = desk.reader("customer")
    answer = reader.post("/account/messages", timezone="Mars/Base", **WAYS)
    assert answer.status_code == 422
    assert error_beside(answer.text, "timezone")
    assert 'value="Mars/Base"' in answer.text
    assert reader.post("/account/messages", timezone="Asia/Shanghai", **{**WAYS, "bookings": "pigeon"}).status_code == 422
    with desk.app.state.readers() as session:
        assert set(queries.choices_of(session, person_of(session, "customer")).values()) == {Delivery.AT_ONCE}
