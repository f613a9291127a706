"""What was booked together moves as one from a booking's page: looked at with its price first, then made."""

import re
from datetime import datetime, timedelta

import pytest

from booking.rules.actions import RuleSet, set_rules
from booking.tables import Approval, Booking
from marketplace import clock
from marketplace.people.queries import find_person_by_email, get_actor
from marketplace.slot import Slot
from marketplace.tables import Resource
from tests.web.desks import Desk, error_beside
from tests.web.test_booking_page import a_firm_member
from tests.web.test_desk_outages import ZONE, day, sunday
from web import checkout
from web.checkout import Order

HOUR = timedelta(hours=1)


def two(desk: Desk, start: datetime | None = None) -> list[str]:
    """A run of an hour on the machine, and one of another right after it; both are always open where a start is given."""
    other = desk.list_machine()
    if start:
        rule(desk, other)
        rule(desk, desk.resource)
    with desk.app.state.sessions.begin() as session:
        customer = find_person_by_email(session, "customer@example.com")
        assert customer
        first = Slot(start or day(10), (start or day(10)) + HOUR)
        slots = [first, first.shift(HOUR)]
        orders = [Order(one, slot) for one, slot in zip((desk.resource, other), slots, strict=True)]
        actor = get_actor(session, customer.id)
        return [row.id for row, _ in checkout.book_bundle(session, actor=actor, orders=orders, now=clock.now(), hold=HOUR)]


def rule(desk: Desk, resource: str, **values: Approval) -> None:
    with desk.app.state.sessions.begin() as session:
        set_rules(session, resource_id=resource, rules=RuleSet(**values), actor_id=None, now=clock.now())


def at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M}"


def fields_of(page: str) -> dict[str, str]:
    """What the button that makes the move would send."""
    form = re.search(r'<form method="post" action="[^"]*/move-together">(.*?)</form>', page, re.DOTALL)
    assert form, page
    sent = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[1]))
    del sent["csrf"]
    return sent


def test_it_is_looked_at_with_its_price_before_it_is_moved(desk: Desk) -> None:
    one, other = two(desk)
    reader = desk.reader("customer")
    page = reader.get(f"/bookings/{one}").text
    assert "Move all 2" in page
    assert re.search(f'name="all_start"[^>]* value="{at(day(10))}"', page)
    look = reader.get(f"/bookings/{one}/move-together?all_start={at(day(13))}")
    assert look.status_code == 200
    assert "It fits. Nothing is moved yet." in look.text
    assert re.search(r"13:00–14:00.*14:00–15:00", look.text, re.DOTALL)
    assert "The price stays at ¥1,080.00 at most." in look.text
    assert "10:00–11:00" in reader.get(f"/bookings/{one}").text
    done = reader.post(f"/bookings/{one}/move-together", **fields_of(look.text))
    assert "All of it is moved." in done.text
    assert "14:00–15:00" in reader.get(f"/bookings/{other}").text
    assert re.search(r"Moved from [^<]*10:00–11:00 to [^<]*13:00–14:00", reader.get(f"/bookings/{one}").text)
    stale = reader.post(f"/bookings/{one}/move-together", **fields_of(look.text))
    assert stale.status_code == 412
    assert "已全部改期" in reader.get(f"/bookings/{one}?done=moved_together", "zh").text


def test_the_others_go_along_from_whichever_page_it_is_asked(desk: Desk) -> None:
    one, other = two(desk)
    reader = desk.reader("customer")
    look = reader.get(f"/bookings/{other}/move-together?all_start={at(day(15))}")
    reader.post(f"/bookings/{other}/move-together", **fields_of(look.text))
    assert "14:00–15:00" in reader.get(f"/bookings/{one}").text


def test_what_stands_in_the_way_is_told_by_part_with_shifts_that_fit(desk: Desk) -> None:
    one, _ = two(desk)
    a_firm_member(desk, "colleague")
    desk.reader("colleague").post(f"/r/{desk.resource}/bookings", start=day(13).isoformat(), end=day(14).isoformat())
    reader = desk.reader("customer")
    look = reader.get(f"/bookings/{one}/move-together?all_start={at(day(13))}")
    assert look.status_code == 409
    assert re.search(r"离心喷雾干燥机: Taken: [^<]*13:00–14:00", look.text)
    way = re.search(r'class="alternatives"><a href="/en(/bookings/\w+/move-together\?all_start=[^"]+)"', look.text)
    assert way
    again = reader.get(way[1].replace("&amp;", "&"))
    assert "It fits. Nothing is moved yet." in again.text
    assert reader.post(f"/bookings/{one}/move-together", **fields_of(again.text)).status_code == 200
    closed = reader.get(f"/bookings/{one}/move-together?all_start={at(day(3))}")
    assert closed.status_code == 409
    assert "It lies outside the opening hours." in closed.text


@pytest.mark.parametrize("typed", ["", "soon"])
def test_what_is_no_time_is_said_beside_its_field(desk: Desk, typed: str) -> None:
    one, _ = two(desk)
    answer = desk.reader("customer").get(f"/bookings/{one}/move-together?all_start={typed}")
    assert answer.status_code == 422
    assert "no date and time" in error_beside(answer.text, "all_start")


def test_the_fee_of_a_late_move_and_a_new_yes_are_told_before(desk: Desk) -> None:
    soon = (clock.now() + 3 * HOUR).astimezone(ZONE).replace(minute=0, second=0, microsecond=0)
    one, _ = two(desk, soon)
    rule(desk, desk.resource, approval=Approval.REQUEST)
    reader = desk.reader("customer")
    look = reader.get(f"/bookings/{one}/move-together?all_start={at(day(13))}").text
    assert "it must agree to the new time" in look
    assert re.search(r"Cancelling all costs ¥[\d.,]+ now, and no less after a move", look)
    done = reader.post(f"/bookings/{one}/move-together", **fields_of(look))
    assert "An institution must agree to the new time." in done.text


def test_whoever_may_not_move_all_of_it_is_not_offered_it(desk: Desk) -> None:
    one, _ = two(desk)
    assert "Move all" not in desk.reader("technician").get(f"/bookings/{one}").text
    assert desk.reader("stranger").get(f"/bookings/{one}/move-together?all_start={at(day(13))}").status_code == 404
    assert desk.reader("technician").get(f"/bookings/{one}/move-together?all_start={at(day(13))}").status_code == 403
    made = desk.reader("customer").post(f"/r/{desk.resource}/bookings", start=day(15).isoformat(), end=day(16).isoformat())
    alone = re.search(r"/bookings/(bk_\w+)", str(made.url))
    assert alone
    assert desk.reader("customer").get(f"/bookings/{alone[1]}/move-together?all_start={at(day(13))}").status_code == 404


def test_a_start_that_the_clocks_skip_or_repeat_is_told_or_asked_about(desk: Desk) -> None:
    one, other = two(desk)
    with desk.app.state.sessions.begin() as session:
        for booking in (one, other):
            session.get_one(Resource, session.get_one(Booking, booking).resource_id).timezone = "Europe/Berlin"
    reader = desk.reader("customer")
    asked = reader.get(f"/bookings/{one}/move-together?all_start={sunday(10)}T02:30")
    assert asked.status_code == 422
    assert "comes twice" in asked.text
    assert 'name="all_start_turn"' in asked.text
    skipped = reader.get(f"/bookings/{one}/move-together?all_start={sunday(3)}T02:30")
    assert skipped.status_code == 422
    assert error_beside(skipped.text, "all_start")
