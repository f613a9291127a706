"""Calendars behind secret addresses: who is named in them, how they are renewed, and that they are sent once."""

import re
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from sqlalchemy import update

from booking import actions as booking
from booking.actions import CancelledBy
from booking.admission import Wish
from booking.outages import actions as outages
from booking.outages import ending
from booking.tables import Booking, Category
from marketplace import clock
from marketplace.people import queries as people
from marketplace.slot import Slot
from tests.builders import a_resource, an_organisation
from tests.mailbox import events_of
from tests.web.desks import Desk

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = clock.now().astimezone(UTC).replace(minute=0, second=0, microsecond=0)
FIRM, PURPOSE = "蓉城保密材料有限公司", "机密配方试制, 第二批"
LINK = re.compile(r'<code class="secret">(?:http://[^/]+)?(/calendar/[^<]+)</code>')


def start_of(days: int) -> datetime:
    """Nine in the morning in Beijing, so many days ahead."""
    return (NOW + days * DAY).replace(hour=1)


def booked(desk: Desk, resource_id: str, days: int = 8) -> str:
    """The id of a booking of the customer's firm."""
    with desk.app.state.sessions.begin() as session:
        person = people.find_person_by_email(session, "customer@example.com")
        assert person
        firm = an_organisation(session, name=FIRM)
        slot = Slot(start_of(days), start_of(days) + 2 * HOUR)
        wish = Wish(resource_id, slot, person.id, firm.id, Category.EXT, purpose=PURPOSE)
        return booking.book(session, wish=wish, now=clock.now()).id


def cancelled(desk: Desk, booking_id: str) -> None:
    with desk.app.state.sessions.begin() as session:
        booking.cancel(session, booking_id=booking_id, by=CancelledBy.CUSTOMER, actor_id="per_1", now=clock.now())


def an_instrument(desk: Desk, **values: str) -> str:
    with desk.app.state.sessions.begin() as session:
        house = people.get_institution(session, desk.house)
        return a_resource(session, institution=house, **values).id  # type: ignore[arg-type]


def link_of(answer: httpx2.Response) -> str:
    assert answer.status_code == 201, answer.text
    found = LINK.search(answer.text)
    assert found
    return found[1].replace("&amp;", "&")


def own_link(desk: Desk, name: str = "customer") -> str:
    return link_of(desk.reader(name).post("/account/calendar"))


def resource_link(desk: Desk, resource_id: str, lang: str = "zh") -> str:
    return link_of(desk.reader("manager").post(f"/desk/resources/{resource_id}/calendar", lang=lang))


def fetched(desk: Desk, link: str) -> list[dict[str, str]]:
    """The events as a calendar program reads them, without any cookie."""
    desk.reader("stranger").client.cookies.clear()
    answer = desk.reader("stranger").client.get(link)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/calendar; charset=utf-8")
    assert b"METHOD:" not in answer.content
    return events_of(answer.content)


def test_a_person_subscribes_to_their_own_bookings(desk: Desk) -> None:
    resource = an_instrument(desk, address="高新区1号")
    mine = booked(desk, resource)
    link = own_link(desk)
    (event,) = fetched(desk, link)
    assert (event["UID"], event["SEQUENCE"], event["STATUS"]) == (f"{mine}@pilotbench", "1", "CONFIRMED")
    assert event["DTSTART"] == f"{start_of(8):%Y%m%dT%H%M%SZ}"
    assert event["SUMMARY"] == "X射线衍射仪"
    assert event["LOCATION"] == "天府合成生物中试基地, 高新区1号"
    assert event["URL"].endswith(f"/zh/bookings/{mine}")
    assert fetched(desk, own_link(desk, "manager")) == []


def test_a_move_keeps_the_entry_and_raises_its_sequence(desk: Desk) -> None:
    mine = booked(desk, an_instrument(desk))
    link = own_link(desk)
    with desk.app.state.sessions.begin() as session:
        slot = Slot(start_of(9), start_of(9) + HOUR)
        booking.move(session, booking_id=mine, slot=slot, version=1, actor_id="per_1", now=clock.now())
    (event,) = fetched(desk, link)
    assert (event["UID"], event["SEQUENCE"]) == (f"{mine}@pilotbench", "2")
    assert event["DTSTART"] == f"{start_of(9):%Y%m%dT%H%M%SZ}"


@pytest.mark.parametrize(("days", "told"), [(29, True), (31, False)])
def test_what_was_cancelled_is_told_of_for_thirty_days(desk: Desk, days: int, told: bool) -> None:
    mine = booked(desk, an_instrument(desk))
    cancelled(desk, mine)
    with desk.app.state.sessions.begin() as session:
        session.execute(update(Booking).values(cancelled_at=clock.now() - days * DAY))
    events = fetched(desk, own_link(desk))
    assert [event["STATUS"] for event in events] == (["CANCELLED"] if told else [])


def test_the_calendar_of_a_resource_names_no_firm_no_person_and_no_purpose(desk: Desk) -> None:
    resource = an_instrument(desk)
    mine = booked(desk, resource)
    link = resource_link(desk, resource)
    text = desk.reader("stranger").client.get(link).text
    (event,) = events_of(text.encode())
    assert (event["UID"], event["SUMMARY"]) == (f"{mine}@pilotbench", "已预约")
    assert event["URL"].endswith(f"/zh/r/{resource}")
    plain = text.replace("\r\n ", "")
    assert not any(word in plain for word in (FIRM, "保密", "customer", "机密", "/bookings/"))
    assert fetched(desk, resource_link(desk, resource, "en"))[0]["SUMMARY"] == "Booked"


def test_outages_and_what_lies_in_a_lines_way_are_there_too(desk: Desk) -> None:
    line = an_instrument(desk, name="中试线", kind="pilot_line")
    station = an_instrument(desk, name="反应釜", parent_id=line)
    booked(desk, station)
    with desk.app.state.sessions.begin() as session:
        slot = Slot(start_of(20), start_of(20) + HOUR)
        outages.record_outage(
            session, resource_id=line, slot=slot, planned=True, reason="保密检修", actor_id="per_1", now=clock.now()
        )
    assert {event["SUMMARY"] for event in fetched(desk, resource_link(desk, line))} == {"已预约 · 反应釜", "检修中"}
    assert {event["SUMMARY"] for event in fetched(desk, resource_link(desk, station))} == {"已预约", "检修中 · 中试线"}


def test_an_outage_that_ends_earlier_is_a_newer_entry_and_a_withdrawn_one_is_gone(desk: Desk) -> None:
    machine = an_instrument(desk)
    slot, sooner = Slot(start_of(20), start_of(20) + 4 * HOUR), start_of(20) + HOUR
    with desk.app.state.sessions.begin() as session:
        row = outages.record_outage(
            session, resource_id=machine, slot=slot, planned=True, reason="检修", actor_id="per_1", now=clock.now()
        )
        outage = row.id
    link = resource_link(desk, machine)
    (before,) = fetched(desk, link)
    with desk.app.state.sessions.begin() as session:
        ending.end_outage(session, outage_id=outage, end=sooner, actor_id="per_1", now=clock.now())
    (after,) = fetched(desk, link)
    assert before["UID"] == after["UID"]
    assert (before["SEQUENCE"], after["SEQUENCE"]) == ("0", "1")
    assert before["DTSTART"] == after["DTSTART"]
    assert after["DTEND"] == f"{sooner:%Y%m%dT%H%M%SZ}" != before["DTEND"]
    with desk.app.state.sessions.begin() as session:
        ending.withdraw_outage(session, outage_id=outage, actor_id="per_1", now=clock.now())
    assert fetched(desk, link) == []


def test_a_new_address_ends_the_one_before(desk: Desk) -> None:
    first = own_link(desk)
    second = own_link(desk)
    client = desk.reader("stranger").client
    assert client.get(first).status_code == 404
    assert client.get(second).status_code == 200
    assert client.get("/calendar/guessed.ics").status_code == 404
    page = desk.reader("customer").get("/account/calendar").text
    assert "An address has existed since" in page
    assert "/calendar/" not in page.replace("/account/calendar", "")


def test_the_calendar_of_a_disabled_account_is_gone(desk: Desk) -> None:
    link = own_link(desk)
    with desk.app.state.sessions.begin() as session:
        person = people.find_person_by_email(session, "customer@example.com")
        assert person
        person.disabled_at = clock.now()
    assert desk.reader("stranger").client.get(link).status_code == 404


def test_an_unchanged_calendar_is_not_sent_again(desk: Desk) -> None:
    mine = booked(desk, an_instrument(desk))
    link, client = own_link(desk), desk.reader("stranger").client
    first = client.get(link)
    tag = first.headers["etag"]
    asked = client.head(link)
    assert (asked.status_code, asked.headers["etag"]) == (200, tag)
    for known in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
        again = client.get(link, headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    cancelled(desk, mine)
    changed = client.get(link, headers={"if-none-match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


@pytest.mark.parametrize(("name", "status"), [("technician", 200), ("finance", 403), ("stranger", 404), ("customer", 404)])
def test_only_those_who_run_a_resource_make_its_address(desk: Desk, name: str, status: int) -> None:
    path = f"/desk/resources/{desk.resource}/calendar"
    assert desk.reader(name).get(path).status_code == status
    assert desk.reader(name).post(path).status_code == (201 if status == 200 else status)
