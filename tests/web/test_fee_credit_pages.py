"""A fee that goes back, on the statement's page: what was given back, what is to be paid back, and recording that it was."""

from datetime import date, timedelta

import pytest
from sqlalchemy.orm import Session

from billing import actions as billing
from billing import queries as bills
from billing.actions import Receipt
from billing.quotes import actions as quotes
from billing.resale import actions as resale
from booking import actions as booking
from booking.admission import Wish
from booking.states import BookingState
from booking.tables import Booking, Category
from marketplace import clock
from marketplace.money import Money
from marketplace.people import queries as people
from marketplace.slot import Slot
from tests.billing.test_card_flow import a_use
from tests.builders import a_person, an_organisation
from tests.web.desks import Desk
from tests.web.test_desk_outages import day
from web import checkout
from web.checkout import Order

SLOT = Slot(day(10), day(12))


def cancelled_late(session: Session, desk: Desk) -> str:
    """A customer's booking, its fee paid by bank."""
    person = people.find_person_by_email(session, "customer@example.com")
    assert person
    actor, late = people.get_actor(session, person.id), SLOT.start - timedelta(hours=30)
    order = Order(desk.resource, SLOT)
    made, _ = checkout.book(session, actor=actor, order=order, now=clock.now(), hold=timedelta(minutes=10))
    checkout.cancel(session, actor=actor, booking_id=made.id, now=late)
    fee = bills.statement_of_booking(session, made.id)
    assert fee
    receipt = Receipt("CMB-1", Money(fee.charge_minor, fee.currency), date(2026, 3, 9))
    billing.mark_received(session, statement_id=fee.id, receipt=receipt, actor_id=person.id, now=late)
    return made.id


def used_by_another(session: Session, desk: Desk) -> Booking:
    firm = an_organisation(session)
    wish = Wish(desk.resource, Slot(SLOT.start, SLOT.start + timedelta(hours=1)), a_person(session).id, firm.id, Category.EXT)
    made = booking.book(session, wish=wish, now=clock.now())
    quotes.quote_booking(session, booking=made, organisation=firm, payment_method=None, now=clock.now())
    made.state = BookingState.COMPLETED
    run = {"start": made.starts_at.isoformat(), "end": made.ends_at.isoformat(), "state": "RUN"}
    a_use(session, made, minutes=60, booked_s=3600, pieces=[run])
    for statement_id in billing.draft_statements(session, now=SLOT.end):
        billing.accept_statement(session, statement_id=statement_id, actor_id=made.person_id, now=SLOT.end)
    return made


@pytest.fixture
def credited(desk: Desk) -> str:
    with desk.app.state.sessions.begin() as session:
        booking_id = cancelled_late(session, desk)
        used_by_another(session, desk)
        assert resale.decide_due(session, now=SLOT.end) == [booking_id]
    return booking_id


def test_the_customer_sees_what_goes_back_and_is_told(desk: Desk, credited: str) -> None:
    reader = desk.reader("customer")
    page = reader.get(f"/bookings/{credited}/statement").text
    assert "Given back: taken by others" in page
    assert "To be paid back to you</span><b>¥135.00" in page
    assert "Paid so far</span><span>¥270.00" in page
    assert "statement/returned" not in page
    assert '<td class="num">¥135.00</td>' in reader.get("/bookings").text
    assert "Part of your cancellation fee is given back" in reader.get("/messages").text
    assert "已按比例退还取消费" in reader.get("/messages", "zh").text


def test_finance_records_that_it_was_paid_back_and_nobody_else_does(desk: Desk, credited: str) -> None:
    path = f"/bookings/{credited}/statement"
    assert "Mark ¥135.00 as paid back" in desk.reader("finance").get(path).text
    for name, status in (("stranger", 404), ("customer", 403), ("technician", 403)):
        assert desk.reader(name).post(f"{path}/returned", version="2", reference="CMB-7").status_code == status
    assert desk.reader("finance").post(f"{path}/returned", version="1", reference="CMB-7").status_code == 412
    assert desk.reader("finance").post(f"{path}/returned", version="2", reference="").status_code == 422
    done = desk.reader("finance").post(f"{path}/returned", version="2", reference="CMB-7")
    assert "The payment back is recorded." in done.text
    assert "statement/returned" not in done.text
    assert desk.reader("finance").post(f"{path}/returned", version="2", reference="CMB-8").status_code == 409
