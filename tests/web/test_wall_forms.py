"""Every form that takes a date and an hour: a time that the clocks skip is refused, of one that comes twice is asked."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import select

from booking.operators.tables import Operator
from booking.tables import Booking, Outage
from booking.waiting.tables import WaitingEntry
from marketplace.tables import Institution, Resource
from tests.web.desks import Desk, Reader
from tests.web.test_desk_outages import a_booking, sunday
from tests.web.test_series_page import a_series

TEMPLATES = Path(__file__).parents[2] / "web" / "templates"
BERLIN = "Europe/Berlin"
Posts = Callable[..., httpx2.Response]


@dataclass(frozen=True)
class Typed:
    """A form: its template, who fills it in, and how it is sent."""

    template: str
    who: str
    opened: Callable[[Desk, Reader], Posts]


def _timeline(desk: Desk, reader: Reader) -> Posts:
    fixed = {"institution": desk.house, "booking": a_booking(desk), "version": "1", "resource": desk.resource}
    return lambda **fields: reader.post("/desk/timeline/move", **fixed, **fields)


def _trial(desk: Desk, reader: Reader) -> Posts:
    fixed = {"institution": desk.house, "booking": a_booking(desk)}

    def tried(**fields: str) -> httpx2.Response:
        asked = httpx2.QueryParams({**fixed, **fields})
        return reader.get(f"/desk/timeline/move?{asked}")

    return tried


def _move(desk: Desk, reader: Reader) -> Posts:
    booking = a_booking(desk)
    return lambda **fields: reader.post(f"/bookings/{booking}/move", version="1", **fields)


def _series(desk: Desk, reader: Reader) -> Posts:
    series = a_series(desk)
    fixed = {"version": "1", "since": "", "repeats": "same", "on_conflict": "refuse"}
    return lambda **fields: reader.post(f"/series/{series}/edit", **fixed, **fields)


def _outage(desk: Desk, reader: Reader) -> Posts:
    fixed = {"kind": "planned", "reason": "季度保养"}
    return lambda **fields: reader.post(f"/desk/resources/{desk.resource}/outages", **fixed, **fields)


def _waiting(desk: Desk, reader: Reader) -> Posts:
    return lambda **fields: reader.post(f"/r/{desk.resource}/waiting", **fields)


def _absence(desk: Desk, reader: Reader) -> Posts:
    page = reader.get(f"/desk/operators?institution={desk.house}").text
    person = re.findall(r'<option value="(per_\w+)"', page)[0]
    reader.post("/desk/operators", institution_id=desk.house, person_id=person, hours="workdays")
    with desk.app.state.sessions() as session:
        operator = session.scalars(select(Operator.id)).one()
    return lambda **fields: reader.post(f"/desk/operators/{operator}/absences", reason="培训", **fields)


FORMS = {
    "timeline": Typed("_move_card.html", "manager", _timeline),
    "trial": Typed("_move_card.html", "manager", _trial),
    "move": Typed("_booking_changes.html", "customer", _move),
    "series": Typed("series.html", "customer", _series),
    "outage": Typed("outages.html", "manager", _outage),
    "waiting": Typed("waiting_join.html", "customer", _waiting),
    "absence": Typed("operator_hours.html", "manager", _absence),
}
BY_REACH = "attestations"
"""A statement lies within reach of its booking, by which one of two times is taken; five stretches are not asked about."""
BY_ITSELF = {"_outage_changes.html", "_together.html", "cost.html"}
"""One end, one start, or nothing that is stored: test_outage_changes, test_together_page, test_costs ask the same."""
STORED = (Booking, Outage, WaitingEntry)


def starts(desk: Desk) -> list[datetime]:
    with desk.app.state.sessions() as session:
        return sorted(at for table in STORED for at in session.scalars(select(table.starts_at)))


def opened(desk: Desk, form: Typed) -> Posts:
    posts = form.opened(desk, desk.reader(form.who))
    with desk.app.state.sessions.begin() as session:
        session.get_one(Resource, desk.resource).timezone = BERLIN
        session.get_one(Institution, desk.house).timezone = BERLIN
    return posts


def test_these_are_all_the_forms_of_the_wall_clock() -> None:
    found = {path.name for path in TEMPLATES.rglob("*.html") if "datetime-local" in path.read_text()}
    assert found == {form.template for form in FORMS.values()} | {f"{BY_REACH}.html"} | BY_ITSELF


@pytest.mark.parametrize("name", FORMS)
def test_a_time_that_comes_twice_is_asked_about_and_one_that_is_skipped_refused(desk: Desk, name: str) -> None:
    posts = opened(desk, FORMS[name])
    before = starts(desk)
    span = {"start": f"{sunday(10)}T02:30", "end": f"{sunday(10)}T06:00"}
    asked = posts(**span)
    assert asked.status_code == (200 if name == "trial" else 422)
    assert "comes twice" in asked.text
    first, second = re.findall(r'<option value="([^"]+)">the (?:first|second) time', asked.text)
    assert datetime.fromisoformat(second) - datetime.fromisoformat(first) == timedelta(hours=1)
    assert 'name="start_turn"' in asked.text
    assert 'name="end_turn"' not in asked.text
    assert "comes twice" in posts(**span, start_turn=f"{sunday(10)}T09:00:00+00:00").text
    chosen = posts(**span, start_turn=second)
    assert "comes twice" not in chosen.text
    if name in {"outage", "absence"}:
        assert datetime.fromisoformat(second) in starts(desk)
    elif name != "waiting":
        assert starts(desk) == before
    if name == "trial":
        assert datetime.fromisoformat(second).strftime("%Y-%m-%dT%H:%M") in chosen.text
    skipped = posts(start=f"{sunday(3)}T02:30", end=f"{sunday(3)}T06:00")
    assert skipped.status_code == (200 if name == "trial" else 422)
    assert re.search("clocks are put forward over", skipped.text)


def test_no_page_reads_a_wall_time_by_itself() -> None:
    """Else it would take one of two without asking."""
    reading = re.compile(r"\bmoments\(|\.replace\([^)]*tzinfo=|fold=")
    pages = [path for folder in ("pages", "views") for path in (TEMPLATES.parent / folder).glob("*.py")]
    assert pages
    assert [path.name for path in pages if reading.search(path.read_text())] == [f"{BY_REACH}.py"]


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_a_day_at_an_end_of_the_calendar_is_no_day(desk: Desk, day: str) -> None:
    reader = desk.reader("customer")
    for address in (f"/r/{desk.resource}?day=", f"/r/{desk.resource}?week=", "/search?day=", "/chains?q=x&hours=1&day="):
        assert reader.get(address + day).status_code == 200, address
    times = {"start": f"{day}T10:00", "end": f"{day}T11:00", "length": ""}
    refused = reader.post(f"/r/{desk.resource}/waiting", **times)
    assert refused.status_code == 422
    assert f'value="{day}T10:00"' in refused.text
