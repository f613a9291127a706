"""A series on its page: edited, divided, its gaps tried again, cancelled; and nothing for those it does not belong to."""

import re
import time
from datetime import datetime, timedelta

from sqlalchemy import func, select

from booking.states import BookingState
from booking.tables import Booking, Claim, OnConflict
from marketplace import clock
from marketplace.people.queries import find_person_by_email, get_actor
from marketplace.slot import Slot
from marketplace.tables import AuditEntry, Message, Resource
from tests.builders import a_rule_version
from tests.web.desks import Desk, error_beside
from tests.web.test_desk_outages import day
from web import checkout, repeating
from web.running import audit


def a_series(desk: Desk, count: int = 4, who: str = "customer", start: datetime | None = None) -> str:
    """Weekly from that Wednesday, 10:00 to 12:00."""
    first = start or day(10)
    with desk.app.state.sessions.begin() as session:
        person = find_person_by_email(session, f"{who}@example.com")
        assert person
        order = checkout.Order(desk.resource, Slot(first, first + timedelta(hours=2)))
        made, _ = checkout.book_series(
            session,
            actor=get_actor(session, person.id),
            order=order,
            rrule=f"FREQ=WEEKLY;COUNT={count}",
            on_conflict=OnConflict.SKIP,
            now=clock.now(),
        )
    return made.series.id


def asked(first: int, last: int, **changes: str) -> dict[str, str]:
    said = {"version": "1", "start": f"{day(first):%Y-%m-%dT%H:%M}", "end": f"{day(last):%Y-%m-%dT%H:%M}"}
    return {**said, "since": "", "repeats": "same", "on_conflict": "refuse", **changes}


def test_a_series_is_told_in_words_and_edited(desk: Desk) -> None:
    reader, series = desk.reader("customer"), a_series(desk)
    page = reader.get(f"/series/{series}").text
    assert "Every week · 4 times" in page
    assert page.count("10:00–12:00") >= 4
    assert "每周 · 共 4 次" in reader.get(f"/series/{series}", "zh").text
    answer = reader.post(f"/series/{series}/edit", **asked(13, 16))
    assert "The series is changed." in answer.text
    assert answer.text.count("13:00–16:00") >= 4
    stale = reader.post(f"/series/{series}/edit", **asked(9, 10))
    assert stale.status_code == 412
    assert "It was changed since you opened it" in stale.text


def test_this_and_the_following_go_to_a_page_of_their_own(desk: Desk) -> None:
    reader, series = desk.reader("customer"), a_series(desk)
    third = re.findall(r'<option value="(bk_\w+)"', reader.get(f"/series/{series}").text)[2]
    at = day(14) + timedelta(weeks=2)
    moved = asked(14, 15, since=third, start=f"{at:%Y-%m-%dT%H:%M}", end=f"{at + timedelta(hours=1):%Y-%m-%dT%H:%M}")
    answer = reader.post(f"/series/{series}/edit", **moved)
    assert f"/series/{series}" not in str(answer.url)
    assert "This is the later part of a series" in answer.text
    assert "2 times" in reader.get(f"/series/{series}").text
    assert "One of a series" in reader.get(f"/bookings/{third}").text


def test_what_stands_in_the_way_is_told_and_nothing_changes(desk: Desk) -> None:
    reader, series = desk.reader("customer"), a_series(desk)
    a_series(desk, 1, start=day(14) + timedelta(weeks=1))
    answer = reader.post(f"/series/{series}/edit", **asked(14, 16))
    assert answer.status_code == 409
    assert "That time is taken." in answer.text
    assert "Every week · 4 times" in answer.text
    answer = reader.post(f"/series/{series}/edit", **asked(14, 16, on_conflict="skip"))
    assert "Times that could not be had" in answer.text
    assert answer.text.count("Try again") == 1
    gap = re.search(r'name="start" value="([^"]+Z)"', answer.text)
    assert gap
    refused = reader.post(f"/series/{series}/gaps", start=gap[1])
    assert refused.status_code == 409
    assert "slot_taken" not in refused.text


def test_the_publishers_rules_are_set_aside_for_an_edit_with_a_reason_by_who_may(desk: Desk) -> None:
    series = a_series(desk)
    late = asked(17, 19)
    answer = desk.reader("customer").post(f"/series/{series}/edit", **late)
    assert answer.status_code == 409
    assert "Set the rules aside" not in answer.text
    assert desk.reader("customer").post(f"/series/{series}/edit", **late, override="x").status_code == 403
    manager = desk.reader("manager")
    answer = manager.post(f"/series/{series}/edit", **late)
    assert answer.status_code == 409
    assert "Set the rules aside this once" in answer.text
    blank = manager.post(f"/series/{series}/edit", **late, override=" ", aside="1")
    assert blank.status_code == 422
    assert "say in 1 to 1,000 characters why" in error_beside(blank.text, "override")
    assert f'value="{late["start"]}"' in blank.text
    answer = manager.post(f"/series/{series}/edit", **late, override="客户批次", aside="1")
    assert "The series is changed." in answer.text
    assert answer.text.count("17:00–19:00") >= 4
    booking = re.findall(r"/bookings/(bk_\w+)", answer.text)[0]
    assert "Rules set aside: 客户批次" in manager.get(f"/bookings/{booking}").text
    assert "客户批次" not in desk.reader("customer").get(f"/bookings/{booking}").text
    a_series(desk, 1, start=day(14) + timedelta(weeks=1))
    taken = manager.post(f"/series/{series}/edit", **{**late, **asked(14, 19), "version": "2"})
    assert "Set the rules aside" not in taken.text, "others' time is nobody's to set aside"


def test_wrong_fields_are_told_beside_them(desk: Desk) -> None:
    reader, series = desk.reader("customer"), a_series(desk)
    page = reader.post(f"/series/{series}/edit", **asked(14, 16, start="soon"))
    assert page.status_code == 422
    assert "no date and time" in error_beside(page.text, "start")
    page = reader.post(f"/series/{series}/edit", **asked(14, 16, repeats="FREQ=WEEKLY", count="0"))
    assert "1 to 1000" in error_beside(page.text, "count")
    page = reader.post(f"/series/{series}/edit", **asked(14, 16, repeats="FREQ=WEEKLY", count="6"))
    assert "Every week · 6 times" in page.text


def test_this_and_the_following_are_cancelled(desk: Desk) -> None:
    reader, series = desk.reader("customer"), a_series(desk)
    third = re.findall(r'<option value="(bk_\w+)"', reader.get(f"/series/{series}").text)[2]
    answer = reader.post(f"/series/{series}/cancel", since=third)
    assert answer.text.count(">Cancelled<") == 2
    assert "are cancelled" in reader.get("/messages").text
    assert answer.text.count("<option") > 2
    reader.post(f"/series/{series}/cancel", since="")
    assert reader.post(f"/series/{series}/cancel", since="").status_code == 409


def test_strangers_find_no_series_and_technicians_only_look(desk: Desk) -> None:
    series = a_series(desk)
    assert desk.reader("stranger").get(f"/series/{series}").status_code == 404
    for path in ("edit", "gaps", "cancel"):
        assert desk.reader("stranger").post(f"/series/{series}/{path}", **asked(9, 10)).status_code == 404
        told = asked(9, 10) if path == "edit" else {}
        assert desk.reader("technician").post(f"/series/{series}/{path}", **told).status_code == 403
    assert "Change the series</button>" not in desk.reader("technician").get(f"/series/{series}").text
    assert "Change the series</button>" in desk.reader("manager").get(f"/series/{series}").text


def test_a_thousand_occurrences_are_cancelled_in_two_seconds_and_told_once(desk: Desk) -> None:
    with desk.app.state.sessions.begin() as session:
        everyday = [{"weekday": number, "open_min": 0, "close_min": 1440} for number in range(7)]
        place = session.get_one(Resource, desk.resource)
        a_rule_version(session, place, number=9, hours=everyday, horizon_days=1100)
        person = find_person_by_email(session, "customer@example.com")
        assert person
        actor, order = get_actor(session, person.id), checkout.Order(desk.resource, Slot(day(10), day(12)))
        rule, now = "FREQ=DAILY;COUNT=1000", clock.now()
        made, _ = checkout.book_series(session, actor=actor, order=order, rrule=rule, on_conflict=OnConflict.REFUSE, now=now)
        series_id = made.series.id
    with desk.app.state.sessions() as session:
        started = time.process_time()
        ended = repeating.cancel_series(session, actor=actor, series_id=series_id, since=None, now=now)
        session.commit()
        took = time.process_time() - started
        assert len(ended) == 1000
        assert {row.state for row, _ in ended} == {BookingState.CANCELLED}
        assert not any(fee for _, fee in ended)
        assert session.scalar(select(func.count()).select_from(Claim).where(Claim.active)) == 0
        assert session.scalar(select(func.count()).where(AuditEntry.action == "cancel")) == 1000
        assert session.scalar(select(func.count()).where(Message.kind == "series_cancelled")) == 1
        assert session.scalar(select(func.count()).where(Booking.cancelled_by == actor.person_id)) == 1000
        assert audit(session) == []
    assert took < 2, took
