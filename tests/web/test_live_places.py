"""Where equipment is named, its live state stands beside it, and one stream keeps it true."""

import re
from datetime import timedelta
from urllib.parse import quote

import httpx2
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.quotes import actions as quotes
from devices import actions
from devices.intake import actions as intake
from devices.readings import Envelope
from devices.registry.actions import register_device
from marketplace import clock
from marketplace.catalogue import queries as catalogue
from marketplace.tables import Organisation, Person
from tests import builders
from tests.booking.test_finding import statements
from tests.web.api.test_api_live import WAIT_S, events, serving
from tests.web.desks import Desk
from tests.web.test_approvals import by_request, request
from tests.web.test_desk_outages import day
from tests.web.test_desk_retiring import address as retiring
from tests.web.test_desk_retiring import shown as shown_ahead
from tests.web.test_review import review
from tests.web.test_series_page import a_series
from tests.web.test_waiting_pages import joined
from web import live
from web.present import approvals
from web.views.frame import Lang


def at_work(desk: Desk) -> str:
    """The desk's machine has a meter, which is answered with, and runs."""
    now = clock.now()
    with desk.database() as session:
        device, _ = register_device(session, resource_id=desk.resource, name="表", profile={}, actor_id=None, now=now)
        told = [Envelope(f"d/{device.key}/t", b'{"p": 900}', now - timedelta(seconds=30 * n)) for n in range(10)]
        intake.store(session, told[::-1])
        while actions.fold_devices(session, now=now):
            pass
        session.commit()
        return device.id


def booked(desk: Desk, hours: int) -> str:
    """The customer's booking from so many hours from now on."""
    with desk.database() as session:
        person = session.scalars(select(Person).where(Person.email == "customer@example.com")).one()
        firm = session.scalars(select(Organisation)).first()
        place = catalogue.get_resource(session, desk.resource)
        start = clock.now() + timedelta(hours=hours)
        row = builders.a_booking(session, resource=place, organisation=firm, person=person, start=start)
        quotes.quote_booking(session, booking=row, organisation=firm, payment_method=None, now=clock.now())
        session.commit()
        return row.id


def shown(page: str, resource: str) -> tuple[bool, bool]:
    """Whether the badge is there and says that it runs, and whether the page's stream watches it."""
    badge = re.search(rf'class="badge is-in_use" data-live="{resource}"', page)
    stream = re.search(rf'data-live-url="/\w+/live\?ids=[^"]*{resource}', page)
    words = re.search(rf'id="live-data">[^<]*{resource}', page)
    return badge is not None, (stream or words) is not None


@pytest.mark.parametrize(
    ("who", "path"),
    [
        ("customer", "/search"),
        ("customer", "/r/{resource}"),
        ("customer", "/bookings"),
        ("customer", "/bookings/{booking}"),
        ("customer", "/chains?q=%E5%96%B7%E9%9B%BE&kind=&hours=1&gap_min=&gap_max="),
        ("manager", "/desk"),
        ("manager", "/desk/timeline"),
        ("manager", "/desk/resources/{resource}/devices"),
    ],
)
def test_the_live_state_stands_beside_the_equipment(desk: Desk, who: str, path: str) -> None:
    at_work(desk)
    address = path.format(resource=desk.resource, booking=booked(desk, 24))
    for lang in ("en", "zh"):
        assert shown(desk.reader(who).get(address, lang=lang).text, desk.resource) == (True, True)


def test_what_is_over_shows_none(desk: Desk) -> None:
    at_work(desk)
    over = booked(desk, -24)
    assert "data-live=" not in desk.reader("customer").get(f"/bookings/{over}").text
    assert "data-live=" not in desk.reader("customer").get("/bookings").text


def coming(desk: Desk) -> dict[str, str]:
    """Addresses of pages that need something ahead: a series, a place in a line, a request."""
    series = a_series(desk)
    joined(desk)
    by_request(desk)
    request(desk, 14, 16)
    part = quote(f"{desk.resource}~{day(12).isoformat()}~{day(13).isoformat()}")
    return {
        "series": f"/series/{series}",
        "review": review(desk),
        "chain": f"/chains/review?part={part}",
    }


def test_the_live_state_stands_where_something_is_about_to_be_booked_decided_or_changed(desk: Desk) -> None:
    at_work(desk)
    made = coming(desk)
    machine = f"/desk/resources/{desk.resource}"
    line = f"/r/{desk.resource}/waiting"
    unit = f"/evaluation/units/{desk.resource}"
    pages = {
        "customer": [made["series"], made["review"], made["chain"], line],
        "manager": ["/waiting", f"{machine}/waiting", machine, f"{machine}/outages", f"{machine}/rules", f"{machine}/external"],
        "operator": [f"/desk/requests?institution={desk.house}"],
        "evaluator": [unit],
    }
    for who, addresses in pages.items():
        for address in addresses:
            for lang in ("en", "zh"):
                page = desk.reader(who).get(address, lang=lang).text
                assert shown(page, desk.resource) == (True, True), address
                assert re.search(r'src="[^"]+/live-\w+\.js"', page), address
    assert "data-live=" not in desk.reader("evaluator").get(f"{unit}?period=2020-01").text


def test_what_its_stream_would_not_tell_is_not_shown(desk: Desk) -> None:
    at_work(desk)
    series = a_series(desk)
    joined(desk, "customer")
    ahead = shown_ahead(desk.reader("manager").post(retiring(desk)).text)
    assert desk.reader("manager").post(retiring(desk), plan="keep", **ahead).status_code == 200
    for address in (f"/series/{series}", "/waiting"):
        page = desk.reader("customer").get(address)
        assert (page.status_code, desk.resource in page.text) == (200, True)
        assert "data-live=" not in page.text


def test_each_of_several_meters_is_told_of_by_itself_and_only_to_who_minds_them(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LOOK_S", 0.05)
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.1)
    running = at_work(desk)
    with desk.database() as session:
        silent, _ = register_device(session, resource_id=desk.resource, name="表", profile={}, actor_id=None, now=clock.now())
        session.commit()
        path = f"/en/live?ids={desk.resource}&meters={running},{silent.id}"
    told: dict[str, dict[str, str]] = {}
    with serving(desk.app) as address:
        for who in ("technician", "customer"):
            told[who] = first_look(f"{address}{path}", dict(desk.reader(who).client.cookies))
    assert told["technician"] == {desk.resource: "in_use", running: "in_use", silent.id: "never"}
    assert told["customer"] == {desk.resource: "in_use"}


def first_look(url: str, cookies: dict[str, str]) -> dict[str, str]:
    """The states that the stream tells before it falls quiet."""
    found: dict[str, str] = {}
    with httpx2.Client(timeout=WAIT_S, cookies=cookies) as browser, browser.stream("GET", url) as answer:
        for name, body in events(answer.iter_lines()):
            if name == "still-here":
                return found
            found[body["id"]] = body["state"]
    return found


def test_a_list_of_many_costs_no_more_queries_than_one_of_few(db: Session) -> None:
    house, person = builders.an_institution(db), builders.a_person(db)
    places = [builders.a_resource(db, institution=house) for _ in range(5)]
    rows = [builders.a_booking(db, resource=place, person=person) for place in places]
    now, counts = clock.now(), []
    for some in (rows[:2], rows):
        with statements(db) as seen:
            found = approvals.rows(db, some, Lang.EN, now=now)
        assert [one.live and one.live.state for one in found] == ["no_sensor"] * len(some)
        counts.append(len(seen))
    assert counts[0] == counts[1]
