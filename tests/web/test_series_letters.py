"""Letters about a series carry one calendar with an entry for each occurrence, which follows and leaves as those do."""

from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage

import pytest
from sqlalchemy.orm import Session, sessionmaker

from booking import queries as booking
from booking.series.edits import Change
from booking.tables import Approval, OnConflict
from marketplace import clock
from marketplace.roles import Role
from marketplace.settings import Settings
from marketplace.tables import Resource
from tests.builders import a_member, a_resource, a_rule_version, an_organisation
from tests.mailbox import a_mailbox, calendar_of, events_of, text_of
from tests.web.test_letters import HOUR, SLOT, START, Firm
from web import checkout, repeating
from web.checkout import Order
from web.mail import Post
from web.present import series_letters


@pytest.fixture
def firm(committed_db: sessionmaker[Session]) -> Iterator[Firm]:
    with a_mailbox() as box:
        post = Post(Settings(smtp_url=box.url, base_url="https://pilot.example/"))  # type: ignore[arg-type]
        made = Firm(committed_db, box, post)
        with committed_db.begin() as session:
            made.member = a_member(session, Role.MEMBER, organisation=an_organisation(session)).id
            made.resource = a_resource(session, name_en="Spray dryer", address="成都市天府大道1号").id
        yield made


def a_series(firm: Firm, rrule: str = "FREQ=DAILY;COUNT=4") -> str:
    with firm.sessions.begin() as session:
        made, _ = checkout.book_series(
            session,
            actor=firm.actor(session),
            order=Order(firm.resource, SLOT),
            rrule=rrule,
            on_conflict=OnConflict.SKIP,
            now=clock.now(),
        )
        return made.series.id


def ids(firm: Firm, series: str) -> list[str]:
    with firm.sessions() as session:
        return [f"{row.id}@pilotbench" for row in booking.bookings_of_series_for(session, firm.actor(session), series)]


def entries(mail: EmailMessage) -> list[dict[str, str]]:
    (part,) = mail.iter_attachments()
    assert part["Content-Type"].params["method"] == "PUBLISH"
    content = calendar_of(mail) or b""
    assert b"METHOD:PUBLISH\r\n" in content
    return events_of(content)


def test_a_series_that_was_booked_comes_as_one_calendar_without_its_gaps(firm: Firm) -> None:
    firm.booked(SLOT.shift(24 * HOUR))
    firm.letters()
    series = a_series(firm)
    (mail,) = firm.letters()
    found = entries(mail)
    assert [one["DTSTART"] for one in found] == [f"{START + days * 24 * HOUR:%Y%m%dT%H%M%SZ}" for days in (0, 2, 3)]
    assert [one["UID"] for one in found] == ids(firm, series)
    assert {(one["SEQUENCE"], one["STATUS"]) for one in found} == {("1", "CONFIRMED")}
    assert {one["ORGANIZER"] for one in found} == {"mailto:pilotbench@localhost"}
    assert "ATTENDEE" not in found[0]
    assert "日历：" not in text_of(mail)


def test_an_edit_moves_the_same_entries(firm: Firm) -> None:
    series = a_series(firm)
    (before,) = firm.letters()
    with firm.sessions.begin() as session:
        change = Change(None, SLOT.shift(3 * HOUR), None, OnConflict.REFUSE)
        repeating.edit_series(session, actor=firm.actor(session), series_id=series, version=1, change=change, now=clock.now())
    (mail,) = firm.letters()
    was, new = entries(before), entries(mail)
    assert [one["UID"] for one in new] == [one["UID"] for one in was]
    assert new[0]["DTSTART"] == f"{START + 3 * HOUR:%Y%m%dT%H%M%SZ}"
    assert all(int(now["SEQUENCE"]) > int(then["SEQUENCE"]) for now, then in zip(new, was, strict=True))


def test_what_was_cancelled_leaves_the_calendar_and_only_that(firm: Firm) -> None:
    series = a_series(firm)
    firm.letters()
    for since, days in ((START + timedelta(days=2), (2, 3)), (None, (0, 1))):
        with firm.sessions.begin() as session:
            repeating.cancel_series(session, actor=firm.actor(session), series_id=series, since=since, now=clock.now())
        (mail,) = firm.letters()
        found = entries(mail)
        assert [one["DTSTART"] for one in found] == [f"{START + day * 24 * HOUR:%Y%m%dT%H%M%SZ}" for day in days]
        assert {(one["SEQUENCE"], one["STATUS"]) for one in found} == {("2", "CANCELLED")}


def test_a_series_that_waits_for_the_publisher_enters_no_calendar(firm: Firm) -> None:
    with firm.sessions.begin() as session:
        a_rule_version(session, session.get_one(Resource, firm.resource), number=2, approval=Approval.REQUEST)
    a_series(firm)
    (mail,) = firm.letters()
    assert calendar_of(mail) is None


def test_of_a_very_long_series_the_letter_says_where_the_rest_is(firm: Firm) -> None:
    firm.speaks("en")
    a_series(firm, f"FREQ=DAILY;COUNT={series_letters.MOST + 5}")
    (mail,) = firm.letters()
    assert len(entries(mail)) == series_letters.MOST
    assert "Calendar: the first 300 of 305 are attached; the page below has all" in text_of(mail).splitlines()
