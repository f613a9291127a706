"""What a time will cost, on a page: the very amounts that quote and bill come to; and the running meter of a use."""

import re
from datetime import timedelta
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from billing import running
from billing.quotes import actions as quotes
from booking.states import BookingState
from booking.tables import Booking
from devices.actions import fold_devices
from devices.intake import actions as intake
from marketplace import clock
from marketplace.people import queries as people
from marketplace.tables import Organisation, Resource
from tests.builders import a_booking, a_programme, a_resource, an_entitlement, an_organisation
from tests.devices.test_actions import a_device, minute, telemetry
from tests.web.desks import Desk
from tests.web.test_desk_outages import day

AMOUNT = re.compile(r"<b>¥([0-9,.]+)</b>")


def amounts(page: str) -> list[str]:
    return AMOUNT.findall(page[page.index("What comes of it") :])


def asked(desk: Desk, **more: str) -> str:
    typed = {"start": day(10).isoformat(), "end": day(12).isoformat(), **more}
    answer = desk.reader("customer").get(f"/r/{desk.resource}/cost?{urlencode(typed)}")
    assert answer.status_code == 200
    return answer.text


def test_each_way_that_a_time_may_go_has_its_bill(desk: Desk) -> None:
    """Two hours at 540.00 by the default policy: overtime at one and a half, half of the quote for nobody or a late word."""
    page = asked(desk)
    whole, three_quarters, half, over, missed, now, *limits, last = amounts(page)
    assert (whole, three_quarters, half) == ("1,080.00", "810.00", "540.00")
    assert (over, missed) == ("1,485.00", "540.00")
    assert (now, last) == ("0.00", "540.00")
    assert limits == ["0.00", "270.00"]


def test_minutes_of_ones_own_come_first_and_are_billed_as_they_would_be(desk: Desk) -> None:
    first, *_ = amounts(asked(desk, minutes="97"))
    assert first == "945.00"  # 105 minutes


def test_a_form_without_a_time_asks_for_one_and_a_wrong_one_says_why(desk: Desk) -> None:
    reader = desk.reader("customer")
    empty = reader.get(f"/r/{desk.resource}/cost")
    assert (empty.status_code, "What comes of it" in empty.text) == (200, False)
    wrong = {"start": "2026-12-10T10:00", "end": "2026-12-10T09:00"}
    answer = reader.get(f"/r/{desk.resource}/cost?{urlencode(wrong)}")
    assert (answer.status_code, 'id="e-end"' in answer.text) == (422, True)
    typed = {"start": "2026-12-10T10:00", "end": "2026-12-10T12:00", "minutes": "viel"}
    answer = reader.get(f"/r/{desk.resource}/cost?{urlencode(typed)}")
    assert (answer.status_code, 'id="e-minutes"' in answer.text) == (422, True)
    for odd in ("start=2026-13-40T99:99&end=x", "start=%00&end=1", "minutes=" + "9" * 500 + "&start=1&end=2"):
        assert reader.get(f"/r/{desk.resource}/cost?{odd}").status_code in (200, 422)


def in_use(session: Session, resource: Resource, firm: Organisation) -> tuple[Booking, str]:
    """Booked from minute 60 to 180 at 300.00 an hour; a meter."""
    _, known = a_device(session, resource)
    made = a_booking(session, resource=resource, organisation=firm, start=minute(60), hours=2)
    quotes.quote_booking(session, booking=made, organisation=firm, payment_method=None, now=minute(0))
    return made, known.key


def test_the_meter_tells_what_a_use_has_come_to_and_falls_silent_with_the_bill(db: Session) -> None:
    resource = a_resource(db)
    made, key = in_use(db, resource, an_organisation(db))
    assert running.read_meter(db, made, now=minute(59)) is None
    found = running.read_meter(db, made, now=minute(61))
    assert found is not None
    assert (found.charge, found.amount.minor) == (None, 0)
    intake.store(db, telemetry(key, 60, 121, 350))
    fold_devices(db, now=minute(121) + timedelta(seconds=1))
    found = running.read_meter(db, made, now=minute(121))
    assert found is not None
    assert (found.confirmed_s, found.overrun_s) == (3600, 0)
    assert (found.amount.minor, found.quoted.minor) == (30000, 60000)
    made.state = BookingState.CANCELLED
    assert running.read_meter(db, made, now=minute(122)) is None


def test_the_meter_stands_on_the_bookings_page_and_is_drawn_anew(desk: Desk) -> None:
    with desk.database() as session:
        customer = people.find_person_by_email(session, "customer@example.com")
        assert customer
        [firm] = (session.get_one(Organisation, one) for one in people.get_actor(session, customer.id).organisations)
        place, begun = session.get_one(Resource, desk.resource), clock.now().replace(second=0, microsecond=0) - timedelta(hours=1)
        made = a_booking(session, resource=place, organisation=firm, person=customer, start=begun, hours=2)
        quotes.quote_booking(session, booking=made, organisation=firm, payment_method=None, now=begun)
        session.commit()
        path = f"/bookings/{made.id}"
    page, part = desk.reader("customer").get(path).text, desk.reader("customer").get(f"{path}/meter")
    assert "The meter is running" in page
    assert (part.status_code, "<html" in part.text, "¥1,080.00" in part.text) == (200, False, True)
    assert desk.reader("stranger").get(f"{path}/meter").status_code == 404


def test_what_a_voucher_pays_is_not_the_firms(desk: Desk) -> None:
    with desk.database() as session:
        customer = people.find_person_by_email(session, "customer@example.com")
        assert customer
        [firm] = (session.get_one(Organisation, one) for one in people.get_actor(session, customer.id).organisations)
        started = (day(10) - timedelta(days=30)).date()
        an_entitlement(session, a_programme(session, years=["0.5"], starts_on=started), firm, 20_000)
        session.commit()
    whole, *_ = amounts(asked(desk))
    assert whole == "880.00"


def test_a_time_that_comes_twice_is_asked_about(desk: Desk) -> None:
    with desk.database() as session:
        session.get_one(Resource, desk.resource).timezone = "Europe/Berlin"
        session.commit()
    reader, typed = desk.reader("customer"), {"start": "2026-10-25T02:30", "end": "2026-10-25T06:00"}
    asked = reader.get(f"/r/{desk.resource}/cost?{urlencode(typed)}")
    assert (asked.status_code, "comes twice" in asked.text) == (422, True)
    _, second = re.findall(r'<option value="([^"]+)">the (?:first|second) time', asked.text)
    found = reader.get(f"/r/{desk.resource}/cost?{urlencode({**typed, 'start_turn': second})}")
    assert (found.status_code, amounts(found.text)[0]) == (200, "1,890.00")
