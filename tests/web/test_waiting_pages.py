"""Waiting lists in the browser without a window: joined from a refusal, answered from one's list, seen from the desk."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session, sessionmaker

from billing import queries as bills
from booking.waiting import actions as waiting
from marketplace import clock
from marketplace.people import queries as people
from marketplace.roles import Role
from marketplace.settings import Settings
from marketplace.slot import Slot
from marketplace.tables import Settlement
from tests.builders import a_member, a_resource, an_institution, an_organisation
from tests.mailbox import a_mailbox, text_of
from tests.web.desks import Desk, Reader
from tests.web.test_desk_outages import a_booking, day
from tests.web.test_repeating_page import units
from web import checkout
from web import waiting as web_waiting
from web.checkout import Order
from web.mail import Post
from web.running import audit
from web.worker import mail_once


def slot() -> dict[str, str]:
    return {"start": f"{day(10):%Y-%m-%dT%H:%M}", "end": f"{day(12):%Y-%m-%dT%H:%M}"}


def joined(desk: Desk, name: str = "manager") -> Reader:
    reader = desk.reader(name)
    answer = reader.post(f"/r/{desk.resource}/waiting", **slot())
    assert "You are in line." in answer.text
    return reader


def pressed(reader: Reader, button: str) -> str:
    """The page after a press of the first such button of one's list."""
    path = re.search(rf'action="/en(/waiting/\w+/{button})"', reader.get("/waiting").text)
    assert path, button
    return reader.post(path[1]).text


def freed(desk: Desk, booking: str) -> None:
    assert "is cancelled" in desk.reader("customer").post(f"/bookings/{booking}/cancel").text


def test_a_refused_time_offers_to_wait_for_it(desk: Desk) -> None:
    a_booking(desk)
    asked = {"start": day(10).isoformat(), "end": day(12).isoformat()}
    refused = desk.reader("manager").post(f"/r/{desk.resource}/bookings", **asked)
    link = re.search(rf'href="/en(/r/{desk.resource}/waiting\?start=[^"]+)"', refused.text)
    assert refused.status_code == 409
    assert link
    form = desk.reader("manager").get(link[1].replace("&amp;", "&")).text
    assert f'value="{day(10):%Y-%m-%dT%H:%M}"' in form
    assert desk.reader("manager").get(f"/r/{desk.resource}/waiting", "zh").text.count("加入候补") >= 2


def test_an_offer_is_accepted_from_the_list_and_leads_to_its_booking(desk: Desk) -> None:
    booking = a_booking(desk)
    reader = joined(desk)
    assert "place 1, since" in reader.get("/waiting").text
    freed(desk, booking)
    assert "Yours if you accept by" in reader.get("/waiting").text
    assert "Book for ¥0.00" in reader.get("/waiting").text  # for one's own house
    assert "请在" in reader.get("/waiting", "zh").text
    assert "您候补的时段已空出" in reader.get("/messages", "zh").text
    assert "Booked. The time is yours." in pressed(reader, "accept")
    assert "Booked" in reader.get("/waiting").text


def test_an_offer_is_declined_and_a_place_given_up(desk: Desk) -> None:
    booking = a_booking(desk)
    first, second = joined(desk), joined(desk, "technician")
    freed(desk, booking)
    assert "The offer passes to the next in line." in pressed(first, "decline")
    assert "Yours if you accept by" in second.get("/waiting").text
    joined(desk)
    assert "You have left the line." in pressed(first, "withdraw")


def test_an_offer_that_ran_out_is_told_above_the_list(desk: Desk) -> None:
    booking = a_booking(desk)
    reader = joined(desk)
    freed(desk, booking)
    path = re.search(r'action="/en(/waiting/\w+/accept)"', reader.get("/waiting").text)
    assert path
    with desk.app.state.sessions.begin() as session:
        waiting.lapse(session, now=clock.now() + timedelta(hours=2))
    late = reader.post(path[1])
    assert late.status_code == 409
    assert "The offer is over" in late.text
    assert "Offer ran out" in late.text
    assert "候补保留已结束" in reader.post(path[1], lang="zh").text


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"start": "soon"}, 422, "not a time"),
        ({"end": f"{day(9):%Y-%m-%dT%H:%M}"}, 422, "not after start"),
        ({"minutes": "600"}, 422, "does not fit between start and end"),
        ({"start": f"{day(14):%Y-%m-%dT%H:%M}", "end": f"{day(16):%Y-%m-%dT%H:%M}"}, 409, "That is free now"),
        ({"end": f"{day(10):%Y-%m-%dT%H}:15"}, 409, "Waiting would be in vain"),
    ],
)
def test_what_cannot_be_waited_for_is_told_and_kept(desk: Desk, changes: dict[str, str], status: int, said: str) -> None:
    a_booking(desk)
    answer = desk.reader("manager").post(f"/r/{desk.resource}/waiting", **{**slot(), **changes})
    assert (answer.status_code, said in answer.text) == (status, True)
    assert f'value="{({**slot(), **changes})["start"]}"' in answer.text


def test_where_there_are_several_one_waits_for_as_many_as_one_wants(desk: Desk) -> None:
    form, manager = f"/r/{desk.resource}/waiting", desk.reader("manager")
    assert 'name="quantity"' not in manager.get(form).text, "nobody is asked how many where there is one"
    units(desk, 3)
    booking = booked(desk, "2")
    refused = manager.post(f"/r/{desk.resource}/bookings", start=day(10).isoformat(), end=day(12).isoformat(), quantity="2")
    link = re.search(rf'href="/en({form}\?[^"]+)"', refused.text)
    assert link
    assert "quantity=2" in link[1]
    assert re.search(r'name="quantity"[^>]* value="2"', manager.get(link[1].replace("&amp;", "&")).text)
    assert "must be 1 to 1000" in manager.post(form, **slot(), quantity="0").text
    assert "a whole number is needed" in manager.post(form, **slot(), quantity="two").text
    assert "Only 3 can be booked at a time." in manager.post(form, **slot(), quantity="4").text
    assert "That is free now" in manager.post(form, **slot(), quantity="1").text
    assert "You are in line." in manager.post(form, **slot(), quantity="2").text
    assert "10:00–12:00 × 2" in manager.get("/waiting").text
    assert "10:00–12:00 × 2" in manager.get(f"/desk/resources/{desk.resource}/waiting").text
    freed(desk, booking)
    assert "<dt>How many</dt><dd>2</dd>" in pressed(manager, "accept")


def booked(desk: Desk, quantity: str) -> str:
    answer = desk.reader("customer").post(
        f"/r/{desk.resource}/bookings", start=day(10).isoformat(), end=day(12).isoformat(), quantity=quantity
    )
    found = re.search(r"/bookings/(\w+)\?done=booked", str(answer.url))
    assert found, answer.text
    return found[1]


def test_the_desk_sees_the_line_and_strangers_do_not(desk: Desk) -> None:
    a_booking(desk)
    joined(desk)
    path = f"/desk/resources/{desk.resource}/waiting"
    page = desk.reader("manager").get(path)
    assert "In order of joining" in page.text
    assert "an offer stands for 1 h" in page.text
    assert desk.reader("technician").get(path).status_code == 200
    assert [desk.reader(name).get(path).status_code for name in ("stranger", "customer", "finance")] == [404, 404, 403]
    other = re.search(r'action="/en(/waiting/\w+/)withdraw"', desk.reader("manager").get("/waiting").text)
    assert other
    for step in ("accept", "decline", "withdraw"):
        assert desk.reader("customer").post(other[1] + step).status_code == 404


def test_who_is_not_signed_in_is_led_there(desk: Desk) -> None:
    client = desk.reader("customer").client
    client.cookies.clear()
    for path in ("/waiting", f"/r/{desk.resource}/waiting"):
        answer = client.get(f"/en{path}", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/en/signin?next=/en{path}")


def test_an_offer_taken_up_by_card_is_held_and_passes_on_where_it_is_not_paid(db: Session) -> None:
    now, start = clock.now(), clock.now().replace(minute=0, second=0, microsecond=0) + timedelta(days=3)
    house = an_institution(db, settlement=Settlement.PLATFORM_COLLECTS)
    order = Order(a_resource(db, institution=house).id, Slot(start, start + timedelta(hours=2)))
    first, second, third = (
        people.get_actor(db, a_member(db, Role.MEMBER, organisation=an_organisation(db)).id) for _ in range(3)
    )
    paying = replace(order, payment_method="pm_card_visa")
    booking, _ = checkout.book(db, actor=first, order=paying, now=now, hold=timedelta(minutes=10))
    one, two = (web_waiting.join(db, actor=actor, order=order, length=None, now=now) for actor in (second, third))
    checkout.expire(db, booking_id=booking.id, now=now + timedelta(minutes=10))
    assert (one.state.value, two.state.value) == ("offered", "waiting")
    _, made, quote = web_waiting.accept(
        db, actor=second, entry_id=one.id, payment_method="pm_card_visa", now=now, hold=timedelta(minutes=10)
    )
    assert (made.state.value, made.hold_until, quote.minor) == ("held", now + timedelta(minutes=10), 60000)
    assert [call.operation.value for call in bills.calls_of(db, made.id)] == ["hold"]
    checkout.expire(db, booking_id=made.id, now=now + timedelta(minutes=10))
    assert (one.state.value, two.state.value) == ("booked", "offered")
    assert audit(db) == []


def test_a_letter_says_what_is_offered_and_until_when(committed_db: sessionmaker[Session]) -> None:
    start = (clock.now() + timedelta(days=10)).replace(hour=1, minute=0, second=0, microsecond=0)
    with a_mailbox() as box, committed_db.begin() as session:
        now = clock.now()
        resource = a_resource(session, name="冻干机", name_en="Freeze dryer")
        firm = an_organisation(session)
        member = people.get_actor(session, a_member(session, Role.MEMBER, organisation=firm).id)
        order = Order(resource.id, Slot(start, start + timedelta(hours=2)))
        booking, _ = checkout.book(session, actor=member, order=order, now=now, hold=timedelta(minutes=10))
        web_waiting.join(session, actor=member, order=order, length=None, now=now)
        checkout.cancel(session, actor=member, booking_id=booking.id, now=now)
        session.commit()
        post = Post(Settings(smtp_url=box.url, base_url="https://pilot.example/"))  # type: ignore[arg-type]
        while mail_once(post, committed_db):
            pass
        (mail,) = [one for one in box.take() if one["Subject"].startswith("您候补的时段已空出")]
    assert "设备：冻干机" in text_of(mail)
    assert "09:00–11:00（北京时间, UTC+8）" in text_of(mail)
    assert "答复：请于 " in text_of(mail)
    assert "打开查看：https://pilot.example/zh/waiting" in text_of(mail)
