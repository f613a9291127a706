"""Ratings and lost requests over JSON: who may say and read what."""

from typing import Any

import pytest

from booking import actions
from booking.states import BookingState
from marketplace import clock
from tests.web.api.world import World, fields, refused, span, tomorrow


def fulfilled(world: World, booking: dict[str, Any]) -> None:
    """As the devices would have it."""
    with world.client.app.state.sessions.begin() as session:  # type: ignore[attr-defined]
        actions.conclude(session, booking_id=booking["id"], outcome=BookingState.COMPLETED, now=clock.now())


def test_a_use_is_rated_by_its_customer_and_shown_as_an_average(world: World) -> None:
    booking = world.a_booking()
    path = f"/bookings/{booking['id']}/rating"

    def rate(token: str | None, **body: Any) -> Any:
        return world.ask("PUT", path, token=token, json={"stars": 4, **body})

    refused(rate(world.member), 409, "wrong_state")
    fulfilled(world, booking)
    refused(world.get(path, world.member), 404)
    refused(rate(world.manager), 403, "not_allowed")
    refused(rate(world.a_person()), 404)
    refused(rate(None), 401)
    assert rate(world.member, comment="温度稳定").json()["stars"] == 4
    assert rate(world.member, stars=5).json()["comment"] is None
    assert world.get(path, world.manager).json()["stars"] == 5
    assert world.get(f"/resources/{world.resource}/rating").json() == {"average": "5.0", "count": 1}
    told = world.get(f"/resources/{world.resource}/ratings", world.manager).json()
    assert [one["booking_id"] for one in told["items"]] == [booking["id"]]
    refused(world.get(f"/resources/{world.resource}/ratings", world.member), 403)
    refused(world.get(f"/resources/{world.resource}/ratings"), 401)


@pytest.mark.parametrize(
    "body", [{"stars": 0}, {"stars": 6}, {"stars": "4"}, {"stars": 4.5}, {}, {"stars": 4, "comment": "x" * 1001}]
)
def test_a_malformed_rating_is_refused(world: World, body: dict[str, Any]) -> None:
    booking = world.a_booking()
    told = refused(world.ask("PUT", f"/bookings/{booking['id']}/rating", token=world.member, json=body), 422, "malformed")
    assert fields(told) & {"stars", "comment"}


def test_nobody_has_rated_it_yet(world: World) -> None:
    assert world.get(f"/resources/{world.resource}/rating").json() == {"average": None, "count": 0}
    refused(world.get("/resources/res_of_nobody/rating"), 404)


def test_the_publisher_reads_what_came_to_nothing_and_why(world: World) -> None:
    resource = world.a_resource(rules={"approval": "request", "max_min": 120})
    path = f"/resources/{resource}/bookings"
    one, two, three = (world.made(path, world.member, span(tomorrow(hour))) for hour in (1, 5, 9))
    refused(world.post(path, world.member, json=span(tomorrow(12), 3)), 409)
    body = {"reason": "本周检修", "grounds": "out_of_scope"}
    assert world.post(f"/bookings/{one['id']}/refuse", world.manager, json=body).json()["state"] == "refused"
    assert world.post(f"/bookings/{two['id']}/refuse", world.manager).json()["state"] == "refused"
    assert world.post(f"/bookings/{three['id']}/cancel", world.member, json={"reason": "改期"}).json()["state"] == "cancelled"
    for address in (f"/resources/{resource}/requests", f"/institutions/{world.institution}/requests"):
        found = world.get(address, world.manager).json()["items"]
        assert sorted((row["outcome"], row["codes"], row["reason"]) for row in found if row["reason"]) == [
            ("declined", ["out_of_scope"], "本周检修"),
            ("withdrawn", ["withdrawn"], "改期"),
        ]
        assert sorted(row["outcome"] for row in found) == ["declined", "declined", "turned_away", "withdrawn"]
        page = world.get(address, world.manager, params={"limit": 3}).json()
        assert (len(page["items"]), page["next_cursor"]) == (3, "3")
        refused(world.get(address), 401)
    refused(world.get(f"/resources/{resource}/requests", world.member), 403)
    refused(world.get(f"/institutions/{world.institution}/requests", world.member), 404)
    finance = world.a_person("finance", institution_id=world.institution)
    refused(world.get(f"/institutions/{world.institution}/requests", finance), 403)
    refused(world.post(f"/bookings/{three['id']}/refuse", world.manager, json={"grounds": "mood"}), 422, "malformed")
