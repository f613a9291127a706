"""The forms beside an outage or an absence that was entered: it is over, ends earlier, or is withdrawn."""

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from booking.outages.actions import record_outage
from booking.tables import Outage
from marketplace import clock
from marketplace.slot import Slot
from marketplace.tables import Resource
from tests.web.desks import Desk, Reader, error_beside

ZONE = ZoneInfo("Asia/Shanghai")
SHANGHAI_HOUR = timedelta(hours=1)


def hour(later: float) -> datetime:
    """So many hours from the full hour that it is."""
    return clock.now().replace(minute=0, second=0, microsecond=0) + later * SHANGHAI_HOUR


def typed(at: datetime) -> str:
    return f"{at.astimezone(ZONE):%Y-%m-%dT%H:%M}"


def entered(desk: Desk, first: float, last: float, zone: str = "") -> str:
    """The id of an outage of the machine, entered when it began or long before."""
    with desk.app.state.sessions.begin() as session:
        if zone:
            session.get_one(Resource, desk.resource).timezone = zone
        now, slot = min(clock.now(), hour(first)), Slot(hour(first), hour(last))
        row = record_outage(
            session, resource_id=desk.resource, slot=slot, planned=True, reason="季度保养", actor_id="per_1", now=now
        )
        return row.id


def page(desk: Desk) -> str:
    return f"/desk/resources/{desk.resource}/outages"


def stored(desk: Desk, outage: str) -> Slot | None:
    with desk.app.state.sessions() as session:
        row = session.get(Outage, outage)
        return row.slot if row else None


def test_what_is_on_is_said_to_be_over_and_lies_in_the_past_then(desk: Desk) -> None:
    outage, reader = entered(desk, -3, 40), desk.reader("technician")
    shown = reader.get(page(desk)).text
    assert "It is over now" in shown
    assert "Withdraw it" not in shown
    done = reader.post(f"{page(desk)}/{outage}/end")
    assert "It ends earlier; the time behind that is free again." in done.text
    assert "made shorter" in done.text
    slot = stored(desk, outage)
    assert slot
    assert slot.start == hour(-3)
    assert slot.end <= clock.now() + timedelta(minutes=1)
    history = desk.reader("operator").get("/operator/audit").text
    assert "Outage ended earlier" in history


def test_what_is_to_come_is_withdrawn(desk: Desk) -> None:
    outage, reader = entered(desk, 5, 40), desk.reader("manager")
    shown = reader.get(page(desk)).text
    assert "Withdraw it" in shown
    assert "It is over now" not in shown
    done = reader.post(f"{page(desk)}/{outage}/withdraw")
    assert "It is withdrawn; its time is free again." in done.text
    assert "None. The equipment can be booked" in done.text
    assert stored(desk, outage) is None
    assert reader.post(f"{page(desk)}/{outage}/withdraw").status_code == 404


def test_an_earlier_end_is_typed_by_the_machines_clock(desk: Desk) -> None:
    outage, reader = entered(desk, 5, 40), desk.reader("manager")
    assert f'name="until_{outage}" value="{typed(hour(40))}"' in re.sub(r' id="[^"]*"', "", reader.get(page(desk)).text)
    done = reader.post(f"{page(desk)}/{outage}/end", **{f"until_{outage}": typed(hour(9))})
    assert "It ends earlier" in done.text
    assert stored(desk, outage) == Slot(hour(5), hour(9))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "no date and time"),
        ("soon", "no date and time"),
        (typed(hour(40)), "enter another outage"),
        (typed(hour(90)), "enter another outage"),
        (typed(hour(-1)), "past stays as it was recorded"),
        (typed(hour(4)), "after start"),
    ],
    ids=["nothing", "word", "same", "longer", "past", "before it begins"],
)
def test_a_wrong_end_is_told_at_its_field_and_the_form_is_kept(desk: Desk, said: str, why: str) -> None:
    outage, reader = entered(desk, 5, 40), desk.reader("manager")
    answer = reader.post(f"{page(desk)}/{outage}/end", **{f"until_{outage}": said})
    assert answer.status_code == 422
    assert why in error_beside(answer.text, f"until_{outage}")
    assert f'value="{said}"' in answer.text
    assert '<details class="confirm" open' in answer.text
    assert stored(desk, outage) == Slot(hour(5), hour(40))


def test_what_cannot_be_done_any_more_is_told_on_the_page(desk: Desk) -> None:
    on, coming, reader = entered(desk, -3, 4), entered(desk, 5, 40), desk.reader("manager")
    late = reader.post(f"{page(desk)}/{on}/withdraw", lang="zh")
    assert (late.status_code, "已经开始，过去的部分须留作记录" in late.text) == (409, True)
    soon = reader.post(f"{page(desk)}/{coming}/end")
    assert (soon.status_code, "It has not begun, so it cannot be over" in soon.text) == (409, True)
    assert (stored(desk, on), stored(desk, coming)) == (Slot(hour(-3), hour(4)), Slot(hour(5), hour(40)))


@pytest.mark.parametrize(("who", "status"), [("finance", 403), ("stranger", 404), ("customer", 404), ("evaluator", 404)])
def test_only_those_who_mind_the_machine_change_it(desk: Desk, who: str, status: int) -> None:
    outage = entered(desk, 5, 40)
    for step in ("end", "withdraw"):
        assert desk.reader(who).post(f"{page(desk)}/{outage}/{step}").status_code == status
    assert stored(desk, outage) == Slot(hour(5), hour(40))
    if who == "finance":
        assert "Ends earlier" not in desk.reader(who).get(page(desk)).text


def test_an_outage_is_changed_on_its_own_machines_page_only(desk: Desk) -> None:
    outage, other = entered(desk, 5, 40), desk.list_machine()
    assert desk.reader("manager").post(f"/desk/resources/{other}/outages/{outage}/withdraw").status_code == 404
    assert stored(desk, outage) == Slot(hour(5), hour(40))


def test_an_end_that_comes_twice_is_asked_about(desk: Desk) -> None:
    days = (clock.now() + timedelta(days=more) for more in range(400))
    last = next(day for day in days if day.month == 10 and day.weekday() == 6 and day.day > 24)
    name, reader = "until_", desk.reader("manager")
    outage = entered(desk, 5, 24 * 500, zone="Europe/Berlin")
    name += outage
    twice = {name: f"{last:%Y-%m-%d}T02:30"}
    asked = reader.post(f"{page(desk)}/{outage}/end", **twice)
    assert asked.status_code == 422
    assert "comes twice" in error_beside(asked.text, name)
    _, second = re.findall(r'<option value="([^"]+)">the (?:first|second) time', asked.text)
    assert "It ends earlier" in reader.post(f"{page(desk)}/{outage}/end", **twice, **{f"{name}_turn": second}).text
    slot = stored(desk, outage)
    assert slot
    assert slot.end == datetime.fromisoformat(second)


def an_absence(desk: Desk, reader: Reader) -> tuple[str, str]:
    """The page of an operator, and the id of an absence to come."""
    people = reader.get(f"/desk/operators?institution={desk.house}").text
    person = re.findall(r'<option value="(per_\w+)"', people)[0]
    reader.post("/desk/operators", institution_id=desk.house, person_id=person, hours="always")
    (operator,) = set(re.findall(r"/desk/operators/(opr_\w+)", reader.get(f"/desk/operators?institution={desk.house}").text))
    away = {"start": typed(hour(5)), "end": typed(hour(40)), "reason": "培训"}
    shown = reader.post(f"/desk/operators/{operator}/absences", **away).text
    (outage,) = set(re.findall(r"absences/(out_\w+)/withdraw", shown))
    return f"/desk/operators/{operator}", outage


def test_an_absence_ends_earlier_or_is_withdrawn_on_the_operators_page(desk: Desk) -> None:
    reader = desk.reader("manager")
    home, outage = an_absence(desk, reader)
    wrong = reader.post(f"{home}/absences/{outage}/end", **{f"until_{outage}": typed(hour(41))})
    assert wrong.status_code == 422
    assert "enter another outage" in error_beside(wrong.text, f"until_{outage}")
    assert "It ends earlier" in reader.post(f"{home}/absences/{outage}/end", **{f"until_{outage}": typed(hour(9))}).text
    assert stored(desk, outage) == Slot(hour(5), hour(9))
    assert desk.reader("stranger").post(f"{home}/absences/{outage}/withdraw").status_code == 404
    gone = reader.post(f"{home}/absences/{outage}/withdraw")
    assert "It is withdrawn" in gone.text
    assert stored(desk, outage) is None
