"""Outages of a machine through their form: entered after seeing which bookings they meet, never before."""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from booking.outages import plans
from booking.outages.actions import affected_by
from booking.outages.plans import Proposal, Step
from booking.rules.actions import RuleSet, set_rules
from booking.tables import Booking, Outage
from marketplace import clock
from marketplace.slot import Slot
from marketplace.tables import Resource
from tests.builders import a_resource, an_institution
from tests.web.desks import Desk, error_beside

ZONE = ZoneInfo("Asia/Shanghai")


def day(hour: int, days: int = 10) -> datetime:
    """An hour of a Wednesday to come, as the machine's wall clock has it."""
    local = (clock.now() + timedelta(days=days)).astimezone(ZONE)
    local += timedelta(days=(2 - local.weekday()) % 7)
    return local.replace(hour=hour, minute=0, second=0, microsecond=0)


def asked(first: int = 9, last: int = 12, **changes: str) -> dict[str, str]:
    said = {"start": f"{day(first):%Y-%m-%dT%H:%M}", "end": f"{day(last):%Y-%m-%dT%H:%M}"}
    return {**said, "kind": "planned", "reason": "季度保养", **changes}


def a_booking(desk: Desk, hour: int = 10) -> str:
    """The id of a customer's booking on that Wednesday."""
    slot = {"start": day(hour).isoformat(), "end": day(hour + 2).isoformat()}
    made = desk.reader("customer").post(f"/r/{desk.resource}/bookings", **slot)
    found = re.search(r"/bookings/(bkg_\w+|\w+)\?", str(made.url))
    assert found, made.text
    return found[1]


def test_an_outage_is_entered_listed_and_closes_the_calendar(desk: Desk) -> None:
    reader = desk.reader("technician")
    address = f"/desk/resources/{desk.resource}/outages"
    assert "None. The equipment can be booked" in reader.get(address).text
    answer = reader.post(address, **asked())
    assert "The outage is entered" in answer.text
    assert "季度保养" in answer.text
    assert "entered by technician" in answer.text
    assert ">planned<" in answer.text
    week = desk.reader("customer").get(f"/r/{desk.resource}?week={day(9):%Y-%m-%d}").text
    assert "cell-outage" in week


def test_what_began_already_is_unplanned(desk: Desk) -> None:
    local = clock.now().astimezone(ZONE)
    span = {"start": f"{local - timedelta(hours=1):%Y-%m-%dT%H:%M}", "end": f"{local + timedelta(hours=3):%Y-%m-%dT%H:%M}"}
    answer = desk.reader("manager").post(f"/desk/resources/{desk.resource}/outages", **asked(**span))
    assert ">unplanned<" in answer.text
    assert ">on now<" in answer.text


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"start": "soon"}, "start", "no date and time"),
        ({"end": ""}, "end", "no date and time"),
        ({"end": "2999-12-31T23:59"}, "end", "two years"),
        ({"end": "2026-01-01T00:00", "start": "2026-01-02T00:00"}, "end", "ends before"),
        ({"reason": "  "}, "reason", "1 to 1,000"),
        ({"reason": "x" * 1001}, "reason", "1 to 1,000"),
    ],
)
def test_a_wrong_outage_is_told_beside_its_field(desk: Desk, changes: dict[str, str], field: str, said: str) -> None:
    answer = desk.reader("manager").post(f"/desk/resources/{desk.resource}/outages", **asked(**changes))
    assert answer.status_code == 422
    assert said in error_beside(answer.text, field)
    assert "None. The equipment can be booked" in answer.text
    kept = asked(**changes)
    assert all(f'value="{kept[name]}"' in answer.text for name in ("start", "end"))


def test_bookings_in_the_way_are_shown_before_anything_is_stored(desk: Desk) -> None:
    booking = a_booking(desk)
    reader = desk.reader("manager")
    address = f"/desk/resources/{desk.resource}/outages"
    shown = reader.post(address, **asked())
    assert shown.status_code == 409
    assert f"/bookings/{booking}" in shown.text
    assert "1 booking lies in this time" in shown.text
    assert "None. The equipment can be booked" in reader.get(address).text
    blind = reader.post(address, **asked(plan="cancel", seen=""))
    assert blind.status_code == 409
    kept = reader.post(address, **asked(plan="keep", seen=booking))
    assert kept.status_code == 200
    assert "Confirmed" in desk.reader("customer").get(f"/bookings/{booking}").text


def test_bookings_in_the_way_may_be_cancelled_free_of_charge(desk: Desk) -> None:
    booking = a_booking(desk)
    seen = {"plan": "cancel", "seen": f"{booking} "}
    assert desk.reader("technician").post(f"/desk/resources/{desk.resource}/outages", **asked(**seen)).status_code == 200
    page = desk.reader("customer").get(f"/bookings/{booking}").text
    assert "Cancelled" in page
    assert "Confirmed" not in page


@pytest.mark.parametrize(("who", "status"), [("finance", 403), ("stranger", 404), ("customer", 404), ("evaluator", 404)])
def test_only_those_who_mind_the_machine_take_it_out_of_use(desk: Desk, who: str, status: int) -> None:
    address = f"/desk/resources/{desk.resource}/outages"
    reader = desk.reader(who)
    assert reader.get(address).status_code == status
    assert reader.post(address, **asked()).status_code == status
    assert "None. The equipment can be booked" in desk.reader("manager").get(address).text


def test_what_is_proposed_is_carried_out_as_it_was_shown(desk: Desk) -> None:
    booking = a_booking(desk)
    reader, address = desk.reader("technician"), f"/desk/resources/{desk.resource}/outages"
    page = reader.post(address, **asked()).text
    assert "proposed: shift to" in page
    found = re.search(r'name="proposed" value="([^"]+)"', page)
    assert found
    other = found[1].replace(":shift:", ":cancel:")
    assert reader.post(address, **asked(plan="proposed", seen=booking, proposed=other)).status_code == 409
    assert reader.post(address, **asked(plan="proposed", seen=booking, proposed=found[1])).status_code == 200
    assert "Confirmed" in desk.reader("customer").get(f"/bookings/{booking}").text
    again = reader.get(address).text
    assert "1 booking lies" not in again


def test_a_plan_that_cannot_be_carried_out_is_told_in_the_form_with_what_was_typed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking = a_booking(desk)
    reader, address = desk.reader("manager"), f"/desk/resources/{desk.resource}/outages"
    taken = Slot(day(13), day(15))

    def outdated(session: Session, *, resource_id: str, slot: Slot, **_: object) -> list[Proposal]:
        return [Proposal(row, Step.SHIFT, slot=taken) for row in affected_by(session, resource_id=resource_id, slot=slot)]

    a_booking(desk, 13)
    monkeypatch.setattr(plans, "propose", outdated)
    found = re.search(r'name="proposed" value="([^"]+)"', reader.post(address, **asked()).text)
    assert found
    answer = reader.post(address, **asked(plan="proposed", seen=booking, proposed=found[1]))
    assert answer.status_code == 409
    assert "Nothing was saved yet" in answer.text
    assert "That time is taken." in error_beside(answer.text, "plan")
    assert f'value="{asked()["start"]}"' in answer.text
    assert 'value="季度保养"' in answer.text
    assert re.search(r'value="proposed" selected', answer.text)
    assert "None. The equipment can be booked" in reader.get(address).text


def test_a_booking_that_goes_to_another_institution_is_shown_with_its_name(desk: Desk) -> None:
    booking = a_booking(desk)
    with desk.database() as session:
        machine = session.get_one(Resource, desk.resource)
        set_rules(session, resource_id=machine.id, rules=RuleSet(horizon_days=30), actor_id=None, now=clock.now())
        other = an_institution(session, name="成都分析测试中心", name_en="Chengdu Analysis Centre")
        like = {"kind": machine.kind, "chain": machine.chain, "tags": machine.tags, "price_minor": machine.price_minor}
        there = a_resource(session, institution=other, name="离心喷雾干燥机", name_en="Spray dryer B", **like)
        session.commit()
        there_id = there.id
    closed = {"start": f"{day(9):%Y-%m-%dT%H:%M}", "end": f"{day(9, 60):%Y-%m-%dT%H:%M}"}
    local = (clock.now() + timedelta(hours=1)).astimezone(ZONE)
    closed["start"] = f"{local:%Y-%m-%dT%H:%M}"
    reader, address = desk.reader("manager"), f"/desk/resources/{desk.resource}/outages"
    page = reader.post(address, **asked(**closed)).text
    assert "same time on Spray dryer B of Chengdu Analysis Centre, booked there for no more than was agreed" in page
    found = re.search(r'name="proposed" value="([^"]+)"', page)
    assert found
    done = reader.post(address, **asked(**closed, plan="proposed", seen=booking, proposed=found[1]))
    assert "The outage is entered" in done.text
    customer = desk.reader("customer")
    assert "Cancelled" in customer.get(f"/bookings/{booking}").text
    assert "Spray dryer B" in customer.get("/bookings").text
    assert "Your booking goes to another institution" in customer.get("/messages").text
    with desk.database() as session:
        assert session.scalar(select(Booking.state).where(Booking.resource_id == there_id)) == "confirmed"


def in_berlin(desk: Desk) -> None:
    with desk.app.state.sessions.begin() as session:
        session.get_one(Resource, desk.resource).timezone = "Europe/Berlin"


def sunday(month: int) -> date:
    """The last Sunday of a month to come: the clocks go forward in March and back in October."""
    today = clock.now().date()
    year = today.year + (today >= date(today.year, month, 20))
    return next(found for n in range(31, 24, -1) if (found := date(year, month, n)).weekday() == 6)


def test_a_time_that_the_clocks_skip_is_told_beside_its_field(desk: Desk) -> None:
    in_berlin(desk)
    span = {"start": f"{sunday(3)}T02:30", "end": f"{sunday(3)}T06:00"}
    answer = desk.reader("manager").post(f"/desk/resources/{desk.resource}/outages", **asked(**span))
    assert answer.status_code == 422
    assert "clocks are put forward over this time" in error_beside(answer.text, "start")


def test_of_a_time_that_comes_twice_the_person_is_asked_which_is_meant(desk: Desk) -> None:
    in_berlin(desk)
    reader, address = desk.reader("manager"), f"/desk/resources/{desk.resource}/outages"
    span = {"start": f"{sunday(10)}T02:30", "end": f"{sunday(10)}T06:00"}
    answer = reader.post(address, **asked(**span))
    assert answer.status_code == 422
    assert "comes twice" in error_beside(answer.text, "start")
    first, second = re.findall(r'<option value="([^"]+)">the (?:first|second) time', answer.text)
    assert datetime.fromisoformat(second) - datetime.fromisoformat(first) == timedelta(hours=1)
    assert "UTC+0100" in answer.text
    other = reader.post(address, **asked(**span, start_turn=f"{sunday(10)}T09:00:00+00:00"))
    assert other.status_code == 422
    assert "The outage is entered" in reader.post(address, **asked(**span, start_turn=second)).text
    with desk.app.state.sessions() as session:
        row = session.scalars(select(Outage)).one()
        assert row.starts_at == datetime.fromisoformat(second)
        assert (row.ends_at - row.starts_at) == timedelta(hours=3, minutes=30)


@pytest.mark.parametrize("month", [3, 10])
def test_the_week_of_a_clock_change_is_shown_and_booked_over_night(desk: Desk, month: int) -> None:
    in_berlin(desk)
    day, zone = sunday(month), ZoneInfo("Europe/Berlin")
    everyday = [{"weekday": number, "open_min": 0, "close_min": 1440} for number in range(7)]
    with desk.app.state.sessions.begin() as session:
        rules = RuleSet(hours=everyday, step_min=30, horizon_days=730)
        set_rules(session, resource_id=desk.resource, rules=rules, actor_id=None, now=clock.now())
    reader = desk.reader("customer")
    shown = reader.get(f"/r/{desk.resource}?week={day - timedelta(days=6)}")
    assert shown.status_code == 200
    night = [datetime(day.year, day.month, day.day, 6, tzinfo=zone)]
    night.insert(0, datetime.combine(day - timedelta(days=1), datetime.min.time(), zone).replace(hour=22))
    start, end = (at.astimezone(UTC).isoformat() for at in night)
    made = reader.post(f"/r/{desk.resource}/bookings", start=start, end=end)
    assert made.status_code == 200
    assert "/bookings/bk" in str(made.url)
    assert "22:00" in made.text
    assert "06:00" in made.text
    busy = reader.get(f"/r/{desk.resource}?week={day - timedelta(days=6)}").text
    assert "cell-mine" in busy
