"""The pages on which both sides state and sign what the meter did not see, and the house's queue of such uses."""

import re
from dataclasses import dataclass
from datetime import timedelta

import orjson
import pytest
from sqlalchemy import select

from booking import actions as bookings
from booking.tables import Booking
from devices import actions, queries
from devices.intake import actions as intake
from devices.readings import Envelope
from devices.registry.actions import register_device
from marketplace import clock, outbox
from marketplace.tables import Message, Person, Resource
from tests.builders import a_booking
from tests.devices.papers import PDF
from tests.web.desks import TOKEN, Desk, Reader, error_beside
from web.present import letters


@dataclass
class Settling:
    """A booking of the member's yesterday at ten in the morning for two hours, of which the meter saw nothing."""

    desk: Desk
    booking: str

    @property
    def path(self) -> str:
        return f"/bookings/{self.booking}/attestations"

    def send(self, reader: Reader, document: bytes = PDF, lang: str = "en", **fields: str) -> str:
        token = TOKEN.search(reader.client.get("/en/signin").text)
        assert token
        answer = reader.client.post(
            f"/{lang}{self.path}",
            data={"csrf": token[1], "used": "1", **fields},
            files={"document": ("page.html", document, "text/html")},
            headers={"origin": "http://testserver"},
        )
        return str(answer.text)

    def key(self) -> str:
        found = re.search(r"/attestations/(att_\w+)/", self.desk.reader("manager").get(self.path).text)
        assert found
        return found[1]


def local(minutes: int) -> str:
    """Minutes after ten, on the clock of the equipment, as a browser sends it."""
    return (START + timedelta(hours=8, minutes=minutes)).strftime("%Y-%m-%dT%H:%M")


START = clock.now().replace(hour=2, minute=0, second=0, microsecond=0) - timedelta(days=1)


@pytest.fixture
def settling(desk: Desk) -> Settling:
    with desk.database() as session:
        place = session.get_one(Resource, desk.resource)
        _, known = register_device(session, resource_id=place.id, name="表", profile={}, actor_id=None, now=START)
        member = session.scalars(select(Person).where(Person.email == "customer@example.com")).one()
        booked = a_booking(session, resource=place, person=member, start=START, hours=2)
        moments = [START + timedelta(minutes=one) for one in (*range(-60, 1), *range(120, 200))]
        told = [orjson.dumps({"ts": int(at.timestamp() * 1000), "p": 8.0, "e": 5.0}) for at in moments]
        intake.store(session, [Envelope(f"d/{known.key}/t", one, at) for one, at in zip(told, moments, strict=True)])
        now = START + timedelta(minutes=200)
        while actions.fold_devices(session, now=now):
            pass
        actions.confirm_uses(session, now=now)
        use = queries.use_of_booking(session, booked.id)
        assert use is not None
        bookings.conclude(session, booking_id=booked.id, outcome=queries.OUTCOMES[use.verdict], now=now)
        session.commit()
    return Settling(desk, booked.id)


def problems(desk: Desk, name: str = "manager", lang: str = "en") -> str:
    answer = desk.reader(name).get("/desk/problems", lang)
    assert answer.status_code == 200
    return str(answer.text)


def test_the_house_states_the_customer_signs_and_the_queue_empties(settling: Settling) -> None:
    desk = settling.desk
    manager, member = desk.reader("manager"), desk.reader("customer")
    assert "Nothing stated yet" in problems(desk)
    form = manager.get(settling.path).text
    assert f'name="start1" value="{local(0)}"' in form
    assert f'name="end1" value="{local(120)}"' in form
    told = settling.send(manager, start1=local(10), end1=local(70), note="第 12 页")
    assert "The other side is told" in told
    assert "Waits for the customer" in problems(desk)
    assert settling.path in member.get("/bookings").text
    assert "Sign or decline it." in member.get(f"/bookings/{settling.booking}").text
    page = member.get(settling.path).text
    assert "第 12 页" in page
    assert f"/attestations/{settling.key()}/sign" in page
    assert f"/attestations/{settling.key()}/sign" not in manager.get(settling.path).text
    assert member.client.get(f"/en/attestations/{settling.key()}/document").content == PDF
    signed = member.post(f"/attestations/{settling.key()}/sign")
    assert "Signed. The booking and its bill follow." in signed.text
    assert "Nothing waits for you" in problems(desk)
    assert settling.path not in member.get("/bookings").text
    late = member.post(f"/attestations/{settling.key()}/sign")
    assert (late.status_code, "not open any more" in late.text) == (409, True)
    record = desk.reader("operator").get("/operator/audit").text
    assert "Statement of use signed by the other side" in record


def test_a_chinese_reader_is_told_what_cannot_be_with_the_times_of_the_machine(settling: Settling) -> None:
    manager = settling.desk.reader("manager")
    told = settling.send(manager, lang="zh", start1=local(100), end1=local(140))
    assert "电表记录为待机或关机" in told
    assert f"12:{0:02d}" in told
    assert f'value="{local(100)}"' in told
    assert "不是 PDF、PNG 或 JPEG 文件" in settling.send(manager, document=b"<html>", lang="zh", start1=local(10), end1=local(70))
    empty = settling.send(manager, document=b"", lang="zh", start1=local(10), end1=local(70))
    assert error_beside(empty, "document").startswith("文件：")
    assert "请填写使用时段" in settling.send(manager, lang="zh")


def test_not_used_is_stated_by_the_customer_and_declined_with_a_reason(settling: Settling) -> None:
    desk = settling.desk
    manager, member = desk.reader("manager"), desk.reader("customer")
    settling.send(member, used="0")
    assert "Waits for your signature" in problems(desk)
    empty = manager.post(f"/attestations/{settling.key()}/decline", reason="")
    assert empty.status_code == 422
    manager.post(f"/attestations/{settling.key()}/decline", reason="有运行记录")
    page = problems(desk)
    assert "Declined" in page
    assert "有运行记录" in page
    settling.send(member, used="0")
    withdrawn = member.post(f"/attestations/{settling.key()}/withdraw")
    assert "The statement is withdrawn." in withdrawn.text


def test_only_both_sides_operators_and_evaluators_open_it(settling: Settling) -> None:
    desk = settling.desk
    settling.send(desk.reader("manager"), start1=local(10), end1=local(70))
    document = f"/attestations/{settling.key()}/document"
    for name in ("manager", "technician", "customer", "operator", "evaluator"):
        assert [desk.reader(name).get(path).status_code for path in (settling.path, document)] == [200, 200], name
    for name in ("finance", "stranger"):
        assert [desk.reader(name).get(path).status_code for path in (settling.path, document)] == [404, 404], name
    assert desk.reader("finance").get("/desk/problems").status_code == 403
    assert desk.reader("customer").get("/desk/problems").status_code == 404
    assert desk.reader("operator").post(f"/attestations/{settling.key()}/sign").status_code == 403


def test_the_letter_tells_what_is_stated(settling: Settling) -> None:
    settling.send(settling.desk.reader("manager"), start1=local(10), end1=local(70), note="第 12 页")
    with settling.desk.database() as session:
        message = session.scalars(select(Message).where(Message.kind == "attestation_waiting")).one()
        letter = letters.letter(session, message, base_url="https://pilot.example", organiser="x@example.com", now=clock.now())
        assert outbox.get_message(session, message.id).person_id == session.get_one(Booking, settling.booking).person_id
    assert letter.subject.startswith("有一份使用说明待您答复")
    assert "10:10–11:10" in letter.text
    assert "第 12 页" in letter.text
    assert f"https://pilot.example/zh{settling.path}" in letter.text


def test_the_inbox_leads_to_the_statement(settling: Settling) -> None:
    settling.send(settling.desk.reader("manager"), start1=local(10), end1=local(70))
    customer = settling.desk.reader("customer")
    inbox = customer.get("/messages").text
    assert "A statement of use waits for your answer" in inbox
    [opened] = re.findall(r'(?:href|action)="/en(/messages/msg_\w+[^"]*)"', inbox)
    assert settling.path in str(customer.get(opened).url)
