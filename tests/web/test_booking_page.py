"""A booking's page: what happened, in words; moved, handed over, exchanged, rated, declined with a reason."""

import re
from datetime import datetime, timedelta

import pytest

from booking import actions
from booking.rules.actions import RuleSet, set_rules
from booking.states import BookingState
from booking.tables import Approval
from marketplace import clock
from marketplace.people.actions import create_person
from marketplace.people.queries import find_person_by_email
from marketplace.permissions import Grant
from marketplace.roles import Role
from tests.web.desks import PASSWORD, Desk, error_beside
from tests.web.test_desk_outages import a_booking, day


def fields_of(start: datetime, hours: int = 2) -> dict[str, str]:
    return {"start": f"{start:%Y-%m-%dT%H:%M}", "end": f"{start + timedelta(hours=hours):%Y-%m-%dT%H:%M}"}


def a_firm_member(desk: Desk, name: str, like: str = "customer") -> None:
    """Someone of the customer's firm, or of a firm of their own."""
    with desk.app.state.sessions.begin() as session:
        known = find_person_by_email(session, f"{like}@example.com")
        assert known
        (firm,) = session.connection().exec_driver_sql(
            f"SELECT organisation_id FROM memberships WHERE person_id = '{known.id}'"
        ).one()  # fmt: skip
        grants = [Grant(Role.MEMBER, organisation_id=firm)]
        email = f"{name}@example.com"
        create_person(session, email=email, name=name, password=PASSWORD, grants=grants, actor_id=None, now=clock.now())


def by_request(desk: Desk) -> None:
    """The machine's bookings wait for a yes from now on."""
    with desk.app.state.sessions.begin() as session:
        rules = RuleSet(approval=Approval.REQUEST)
        set_rules(session, resource_id=desk.resource, rules=rules, actor_id=None, now=clock.now())


def test_a_booking_is_moved_on_its_page_and_tells_so(desk: Desk) -> None:
    reader, booking = desk.reader("customer"), a_booking(desk)
    answer = reader.post(f"/bookings/{booking}/move", version="1", **fields_of(day(13)))
    assert "The booking is moved." in answer.text
    assert re.search(r"Moved from [^<]*10:00–12:00 to [^<]*13:00–15:00", answer.text)
    assert "由 " in reader.get(f"/bookings/{booking}", "zh").text
    stale = reader.post(f"/bookings/{booking}/move", version="1", **fields_of(day(9)))
    assert stale.status_code == 412
    closed = reader.post(f"/bookings/{booking}/move", version="2", **fields_of(day(3)))
    assert closed.status_code == 409
    assert "outside the opening hours" in closed.text
    wrong = reader.post(f"/bookings/{booking}/move", version="2", start="soon", end="")
    assert wrong.status_code == 422
    assert "not a time" in error_beside(wrong.text, "start")


def test_a_move_onto_taken_time_says_what_is_taken_and_one_press_takes_what_is_free(desk: Desk) -> None:
    reader, booking = desk.reader("customer"), a_booking(desk)
    a_booking(desk, 14)
    refused = reader.post(f"/bookings/{booking}/move", version="1", **fields_of(day(13)))
    assert refused.status_code == 409
    assert re.search(r'<li data-taken="[^"]+">Taken: [^<]*14:00–15:00', refused.text)
    assert refused.text.count("That time is taken") <= 1
    ways = [
        form
        for form in re.findall(r"<form[^>]*>.*?</form>", refused.text, re.S)
        if f"/bookings/{booking}/move" in form and "start_turn" in form and "datetime-local" not in form
    ]
    assert len(ways) == 3
    fields = dict(re.findall(r'name="(version|start|end|start_turn|end_turn)" value="([^"]+)"', ways[0]))
    assert "The booking is moved." in reader.post(f"/bookings/{booking}/move", **fields).text


def test_a_booking_goes_to_a_colleague(desk: Desk) -> None:
    a_firm_member(desk, "colleague")
    reader, booking = desk.reader("customer"), a_booking(desk)
    person = re.search(r'<option value="(per_\w+)">colleague</option>', reader.get(f"/bookings/{booking}").text)
    assert person
    answer = reader.post(f"/bookings/{booking}/hand-over", person_id=person[1])
    assert "Handed over. Your colleague is told." in answer.text
    assert "Handed over to colleague" in answer.text
    assert "Hand it over" not in answer.text
    assert "is yours now" in desk.reader("colleague").get("/messages").text
    refused = desk.reader("manager").post(f"/bookings/{booking}/hand-over", email="stranger@example.com")
    assert refused.status_code == 422
    assert "Nobody with an account" in error_beside(refused.text, "email")


def test_two_firms_exchange_by_number(desk: Desk) -> None:
    reader, booking = desk.reader("customer"), a_booking(desk)
    with desk.app.state.sessions.begin() as session:
        connection = session.connection()
        connection.exec_driver_sql(
            "INSERT INTO organisations (id, name, is_sme, customer_class, version, created_at)"
            " SELECT 'org_rival', '另一家', is_sme, customer_class, 1, created_at FROM organisations LIMIT 1"
        )
        grants = [Grant(Role.MEMBER, organisation_id="org_rival")]
        email = "rival@example.com"
        create_person(session, email=email, name="rival", password=PASSWORD, grants=grants, actor_id=None, now=clock.now())
    rival = desk.reader("rival")
    made = rival.post(f"/r/{desk.resource}/bookings", start=day(13).isoformat(), end=day(16).isoformat())
    other = re.search(r"/bookings/(bk_\w+)", str(made.url))
    assert other
    unknown = reader.post(f"/bookings/{booking}/swap", with_booking_id="bk_of_nobody")
    assert "no booking of that number" in error_beside(unknown.text, "with_booking_id")
    answer = reader.post(f"/bookings/{booking}/swap", with_booking_id=other[1])
    assert "Proposed. The other side is told." in answer.text
    assert other[1] in answer.text
    for lang in ("en", "zh"):
        for address in (f"/bookings/{booking}", "/messages"):
            assert "13:00–16:00" not in reader.get(address, lang).text
    page = rival.get(f"/bookings/{other[1]}").text
    assert "Someone would exchange times with you" in page
    assert "10:00–12:00" in page
    assert "customer</" not in page
    swap = re.search(r"/swaps/(swp_\w+)/accept", page)
    assert swap
    assert desk.reader("stranger").post(f"/swaps/{swap[1]}/accept").status_code == 404
    assert reader.post(f"/swaps/{swap[1]}/accept").status_code == 403
    done = rival.post(f"/swaps/{swap[1]}/accept")
    assert "have exchanged their times" in done.text
    assert "13:00–16:00" in reader.get(f"/bookings/{booking}").text


def test_a_fulfilled_use_is_rated_and_shown_on_the_listing(desk: Desk) -> None:
    reader, booking = desk.reader("customer"), a_booking(desk)
    assert "How was it?" not in reader.get(f"/bookings/{booking}").text
    with desk.app.state.sessions.begin() as session:
        actions.conclude(session, booking_id=booking, outcome=BookingState.COMPLETED, now=clock.now())
    answer = reader.post(f"/bookings/{booking}/rating", stars="4", comment="温度稳定")
    assert "Your rating is saved" in answer.text
    assert "Rated 4 of 5" in answer.text
    assert "Use confirmed by the equipment" in answer.text
    assert reader.post(f"/bookings/{booking}/rating", stars="9").status_code == 422
    assert "4.0 of 5, 1 rating" in reader.get(f"/r/{desk.resource}").text
    assert "温度稳定" not in reader.get(f"/r/{desk.resource}").text
    assert "温度稳定" in desk.reader("manager").get(f"/r/{desk.resource}").text
    assert desk.reader("manager").post(f"/bookings/{booking}/rating", stars="1").status_code == 403


def test_a_request_is_declined_with_a_reason_and_kept(desk: Desk) -> None:
    by_request(desk)
    manager, booking = desk.reader("manager"), a_booking(desk)
    without = manager.post(f"/bookings/{booking}/refuse", reason=" ")
    assert without.status_code == 422
    assert "say why" in error_beside(without.text, "reason")
    manager.post(f"/bookings/{booking}/refuse", reason="本周检修", grounds="out_of_scope")
    told = desk.reader("customer").get(f"/bookings/{booking}").text
    assert "本周检修" in told
    house = re.search(r"<dt>Institution</dt><dd>([^<]+)", told)
    assert house
    assert f"· {house[1]}" in told
    page = manager.get(f"/desk/demand?institution={desk.house}").text
    assert "does not suit the equipment" in page
    assert "本周检修" in page
    assert desk.reader("finance").get("/desk/demand").status_code == 403
    assert desk.reader("stranger").get(f"/desk/demand?institution={desk.house}").status_code == 404
    assert desk.reader("customer").get("/desk/demand").status_code == 404


def test_what_is_withdrawn_keeps_its_reason(desk: Desk) -> None:
    by_request(desk)
    reader, booking = desk.reader("customer"), a_booking(desk)
    answer = reader.post(f"/bookings/{booking}/cancel", reason="已在别处完成")
    assert "已在别处完成" in answer.text
    assert "Withdrawn" in desk.reader("manager").get("/desk/demand").text


def test_strangers_change_nothing(desk: Desk) -> None:
    booking = a_booking(desk)
    for path in ("move", "hand-over", "swap", "rating"):
        assert desk.reader("stranger").post(f"/bookings/{booking}/{path}").status_code == 404
    technician = desk.reader("technician")
    assert technician.post(f"/bookings/{booking}/move", version="1", **fields_of(day(13))).status_code == 403
    assert technician.post(f"/bookings/{booking}/hand-over", email="customer@example.com").status_code == 403
    assert "Change this booking" not in technician.get(f"/bookings/{booking}").text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"start": ""}, "开始：须为带时区的时间"),
        ({"quantity": "0"}, "设备数：不能小于 1"),
        ({"quantity": "abc"}, "设备数：须为整数"),
        ({"purpose": "a\x00b"}, "用途：含有控制字符"),
        ({"organisation_id": "x" * 500}, "最多 200 个字符"),
    ],
)
def test_what_cannot_be_read_is_told_in_chinese_throughout(desk: Desk, fields: dict[str, str], said: str) -> None:
    slot = {"start": day(13).isoformat(), "end": day(14).isoformat()}
    answer = desk.reader("customer").post(f"/r/{desk.resource}/bookings", lang="zh", **{**slot, **fields})
    assert said in answer.text
    assert "Input should" not in answer.text


def test_what_was_booked_together_is_seen_and_cancelled_together(desk: Desk) -> None:
    one, other = a_booking(desk), a_booking(desk, 14)
    with desk.app.state.sessions.begin() as session:
        session.connection().exec_driver_sql(f"UPDATE bookings SET bundle_id = 'bun_1' WHERE id IN ('{one}', '{other}')")
    reader = desk.reader("customer")
    page = reader.get(f"/bookings/{one}").text
    assert "Booked together" in page
    assert f"/bookings/{other}" in page
    assert "Cancel all 2" in page
    assert "取消全部 2 个预约" in reader.get(f"/bookings/{one}", "zh").text
    assert reader.post(f"/bookings/{one}/cancel-together").status_code == 200
    assert [reader.get(f"/bookings/{each}").text.count("Cancel all") for each in (one, other)] == [0, 0]
    assert desk.reader("manager").post(f"/bookings/{other}/cancel-together").status_code == 409
