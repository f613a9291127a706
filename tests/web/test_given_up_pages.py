"""A late move on a machine by request: what it may cost is told before it, while the answer is open, and when it is no."""

import re
from collections.abc import Callable

import pytest

from billing import actions as billing
from booking.tables import Booking
from marketplace import clock
from marketplace.tables import Message
from tests.web.desks import Desk
from tests.web.test_booking_page import by_request, fields_of
from tests.web.test_desk_outages import a_booking, day
from tests.web.test_series_page import a_series
from web import checkout
from web.present.letters import letter
from web.timers import expire_holds

FEE = "¥540.00"
"""Half of two hours at 540.00."""


def approved(desk: Desk) -> str:
    """A customer's booking that costs half when it is cancelled, approved."""
    by_request(desk)
    with desk.app.state.sessions.begin() as session:
        tiers = {"cancel_tiers": [{"hours": "2400", "rate": "0"}, {"hours": "0", "rate": "0.5"}]}
        billing.set_policy(session, resource_id=desk.resource, policy=tiers, actor_id="per_house", now=clock.now())
    booking = a_booking(desk)
    assert "The booking is approved" in desk.reader("manager").post(f"/bookings/{booking}/approve", version="1").text
    return booking


def moved(desk: Desk, booking: str) -> None:
    version = re.findall(r'name="version" value="(\d+)"', desk.reader("customer").get(f"/bookings/{booking}").text)[0]
    answer = desk.reader("customer").post(f"/bookings/{booking}/move", version=version, **fields_of(day(13)))
    assert "Moved. The institution must agree to the new time." in answer.text, answer.text


def decline(desk: Desk, booking: str) -> None:
    desk.reader("manager").post(f"/bookings/{booking}/refuse", reason="本周检修", grounds="out_of_scope")


def lapse(desk: Desk, booking: str) -> None:
    with desk.app.state.sessions.begin() as session:
        checkout.expire(session, booking_id=booking, now=session.get_one(Booking, booking).answer_by)


def test_what_a_no_would_cost_is_told_before_the_move_and_to_the_house(desk: Desk) -> None:
    booking, customer = approved(desk), desk.reader("customer")
    told = f"If it declines or does not answer, {FEE} is charged for the time you give up."
    assert told in customer.get(f"/bookings/{booking}").text
    assert f"将为您放弃的原时段收取 {FEE}" in customer.get(f"/bookings/{booking}", "zh").text
    assert told not in desk.reader("manager").get(f"/bookings/{booking}").text
    moved(desk, booking)
    page = customer.get(f"/bookings/{booking}").text
    assert f"If it declines or does not answer, {FEE} is charged for" in page
    assert f"the customer pays {FEE} for the time given up late" in desk.reader("manager").get("/desk/requests").text


@pytest.mark.parametrize(("ends", "said"), [(decline, "was declined"), (lapse, "expired before it was confirmed")])
def test_what_a_no_costs_is_told_on_the_page_in_the_message_and_on_the_statement(
    desk: Desk, ends: Callable[[Desk, str], None], said: str
) -> None:
    booking, customer = approved(desk), desk.reader("customer")
    before = re.findall(r"<h1>[^<]*</h1><p>([^<]*?) ·", customer.get(f"/bookings/{booking}").text)[0]
    moved(desk, booking)
    ends(desk, booking)
    page = customer.get(f"/bookings/{booking}").text
    assert f"{FEE} is charged for {before}" in page
    assert f"{FEE} is charged for the time given up for it." in page
    assert ("本周检修" in page) == (ends is decline)
    assert f"已为因此放弃的时段收取 {FEE}" in customer.get(f"/bookings/{booking}", "zh").text
    inbox = customer.get("/messages").text
    assert said in inbox
    assert f"fee {FEE}" in inbox
    statement = customer.get(f"/bookings/{booking}/statement").text
    assert FEE in statement
    assert f"费用 {FEE}" in customer.get("/messages", "zh").text
    assert re.search(rf"(费用：|Fee: ){FEE}", letter_of(desk, {decline: "booking_refused", lapse: "booking_expired"}[ends]))


def letter_of(desk: Desk, kind: str) -> str:
    with desk.app.state.sessions.begin() as session:
        message = session.query(Message).where(Message.kind == kind).one()
        return letter(session, message, base_url="https://x.org", organiser="x@x.org", now=clock.now()).text


def test_a_series_on_a_machine_by_request_says_what_another_time_may_cost(desk: Desk) -> None:
    series = a_series(desk)
    told = "The institution must agree to other times."
    assert told not in desk.reader("customer").get(f"/series/{series}").text
    by_request(desk)
    assert told in desk.reader("customer").get(f"/series/{series}").text
    assert told not in desk.reader("manager").get(f"/series/{series}").text


def test_a_first_request_that_is_declined_costs_nothing_and_says_nothing(desk: Desk) -> None:
    by_request(desk)
    booking, customer = a_booking(desk), desk.reader("customer")
    decline(desk, booking)
    with desk.app.state.sessions.begin() as session:
        expire_holds(session, clock.now())
    assert "is charged for" not in customer.get(f"/bookings/{booking}").text
    assert "fee ¥" not in customer.get("/messages").text
    assert "for the time given up late" not in desk.reader("manager").get("/desk/requests").text
