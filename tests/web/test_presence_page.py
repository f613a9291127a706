"""Check-in on a booking's page: until when, what is said where nobody came, and the house that frees the rest."""

from datetime import timedelta

from booking.tables import Booking
from devices.absences.actions import tell
from devices.registry.actions import register_device
from devices.segments import State
from devices.tables import LatestSample, StateSegment
from marketplace import clock
from marketplace.people.queries import find_person_by_email
from marketplace.tables import Membership, Organisation, Resource
from tests.builders import a_booking, a_rule_version
from tests.web.desks import Desk

BEGAN = timedelta(minutes=40)


def running(desk: Desk, state: State = State.IDLE) -> str:
    """A customer's booking that began forty minutes ago, to be checked in to within twenty; a meter sees the state."""
    now = clock.now().replace(second=0, microsecond=0)
    with desk.app.state.sessions.begin() as session:
        place, person = session.get_one(Resource, desk.resource), find_person_by_email(session, "customer@example.com")
        assert person
        [firm_id] = session.query(Membership.organisation_id).where(Membership.person_id == person.id).one()
        a_rule_version(session, place, number=9, check_in_grace_min=20)
        firm = session.get_one(Organisation, firm_id)
        made = a_booking(session, resource=place, organisation=firm, person=person, start=now - BEGAN)
        meter, _ = register_device(session, resource_id=place.id, name="plug", profile={}, actor_id=None, now=now - BEGAN)
        about = {"device_id": meter.id, "resource_id": place.id}
        session.add(StateSegment(**about, starts_at=now - 2 * BEGAN, ends_at=clock.now(), state=state, bridged=False))
        since = now - BEGAN if state is State.RUN else None
        told = {"at": clock.now(), "power_w": 3, "in_use_since": since, "stale_after_s": 180, "power_series": []}
        session.add(LatestSample(**about, **told))
        session.flush()
        tell(session, now=clock.now())
        return made.id


def moved_to(desk: Desk, booking: str, start: timedelta) -> None:
    with desk.app.state.sessions.begin() as session:
        row = session.get_one(Booking, booking)
        row.slot = row.slot.shift(start)


def test_who_is_late_reads_that_nobody_came_and_the_house_may_free_the_rest(desk: Desk) -> None:
    booking = running(desk)
    customer, technician = desk.reader("customer"), desk.reader("technician")
    page = customer.get(f"/bookings/{booking}").text
    assert "the equipment has stood idle since the start" in page
    assert "We are here" not in page
    assert "Free the rest" not in page
    assert "尚无人签到" in customer.get(f"/bookings/{booking}", "zh").text
    late = customer.post(f"/bookings/{booking}/check-in")
    assert late.status_code == 409
    assert "The time to check in is over" in late.text
    assert "Nobody has checked in to your booking" in customer.get("/messages").text
    assert "Nobody has come to a booking so far" in technician.get("/messages").text
    assert "至今无人到场" in technician.get("/messages", "zh").text
    assert "Free the rest" in technician.get(f"/bookings/{booking}").text
    freed = technician.post(f"/bookings/{booking}/finish")
    assert "the rest of the time is free again" in freed.text
    assert "Free the rest" not in freed.text
    assert "Your booking was ended before its time" in customer.get("/messages").text


def test_nothing_is_said_of_who_is_at_work_without_having_checked_in(desk: Desk) -> None:
    booking = running(desk, State.RUN)
    for name in ("customer", "technician"):
        page = desk.reader(name).get(f"/bookings/{booking}").text
        assert "has stood idle" not in page
        assert "Free the rest" not in page
    assert "Nobody has" not in desk.reader("customer").get("/messages").text


def test_until_when_to_check_in_is_told_beside_the_button(desk: Desk) -> None:
    booking = running(desk)
    moved_to(desk, booking, timedelta(minutes=30))
    page = desk.reader("customer").get(f"/bookings/{booking}").text
    assert "Check in by " in page
    assert "has stood idle" not in page
    assert "Checked in." in desk.reader("customer").post(f"/bookings/{booking}/check-in").text
