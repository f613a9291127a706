"""A publisher's answers to requests: what the decision needs, several at once, and who comes second."""

import re

from tests.web.desks import Desk, Reader
from tests.web.test_desk_outages import day

MARK = re.compile(r'name="approve" value="(\w+:\d+)"')


def by_request(desk: Desk) -> str:
    """The desk's machine from now on takes requests; the page of them."""
    manager = desk.reader("manager")
    address = f"/desk/resources/{desk.resource}"
    version = re.findall(r'name="version" value="(\d+)"', manager.get(address).text)[0]
    fields = {"kind": "small_line", "name": "喷雾干燥机", "price": "540", "capacity": "1", "approval": "request"}
    assert manager.post(address, version=version, **fields).status_code == 200
    return f"/desk/requests?institution={desk.house}"


def request(desk: Desk, first: int, last: int, purpose: str = "") -> str:
    slot = {"start": day(first).isoformat(), "end": day(last).isoformat()}
    made = desk.reader("customer").post(f"/r/{desk.resource}/bookings", purpose=purpose, **slot)
    found = re.search(r"/bookings/(\w+)\?done=requested", str(made.url))
    assert found, made.text
    return found[1]


def answer(desk: Desk, reader: Reader, **fields: str) -> tuple[int, str]:
    reply = reader.post("/desk/requests", institution=desk.house, **fields)
    return reply.status_code, reply.text


def test_a_request_is_shown_with_what_its_answer_needs(desk: Desk) -> None:
    address = by_request(desk)
    request(desk, 9, 11, purpose="小试放大")
    request(desk, 13, 15)
    page = desk.reader("manager").get(address).text
    assert len(MARK.findall(page)) == 2
    assert "小试放大" in page
    assert "¥1,080.00" in page
    assert "2 h between" in page
    assert re.search(r"\d+ d \d+ h left</time>\s+· until its start", page)
    assert "/desk/requests?institution=" in desk.reader("manager").get(f"/desk?institution={desk.house}").text


def test_several_are_answered_at_once_with_a_verdict_each(desk: Desk) -> None:
    address = by_request(desk)
    first, second = request(desk, 9, 11), request(desk, 13, 15)
    manager = desk.reader("manager")
    marks = dict(mark.split(":") for mark in MARK.findall(manager.get(address).text))
    desk.reader("customer").post(f"/bookings/{second}/cancel")
    both = {"answer": "approve", "booking": [f"{one}:{marks[one]}" for one in (first, second)]}
    status, page = answer(desk, manager, **both)  # type: ignore[arg-type]
    assert status == 200
    assert "Approved; the customer is told." in page
    assert "It was withdrawn at" in page
    assert "Nothing waits for you" in page
    assert "Confirmed" in desk.reader("customer").get(f"/bookings/{first}").text


def test_who_answers_second_is_told_who_was_first(desk: Desk) -> None:
    address = by_request(desk)
    booking = request(desk, 9, 11)
    manager, operator = desk.reader("manager"), desk.reader("operator")
    [mark] = MARK.findall(operator.get(address).text)
    assert answer(desk, manager, approve=mark)[0] == 200
    status, page = answer(desk, operator, refuse=mark)
    assert status == 409
    assert re.search(r"manager approved it at .*\. Your answer changed nothing\.", page)
    assert "Confirmed" in desk.reader("customer").get(f"/bookings/{booking}").text


def test_who_declines_says_why_and_the_customer_reads_it(desk: Desk) -> None:
    address = by_request(desk)
    booking = request(desk, 9, 11)
    manager = desk.reader("manager")
    [mark] = MARK.findall(manager.get(address).text)
    status, page = answer(desk, manager, refuse=mark)
    assert (status, "Not declined: say why, the customer reads it." in page) == (409, True)
    assert answer(desk, manager, refuse=mark, **{f"reason-{booking}": "We clean the reactor that day."})[0] == 200
    assert "We clean the reactor that day." in desk.reader("customer").get(f"/bookings/{booking}").text


def test_only_who_decides_answers_and_only_for_their_own_house(desk: Desk) -> None:
    address = by_request(desk)
    mark = f"{request(desk, 9, 11)}:1"
    reached = {who: desk.reader(who).get(address).status_code for who in ("technician", "finance", "stranger", "customer")}
    assert reached == {"technician": 403, "finance": 403, "stranger": 404, "customer": 404}
    assert answer(desk, desk.reader("technician"), approve=mark)[0] == 403
    stranger = desk.reader("stranger")
    assert answer(desk, stranger, approve=mark)[0] == 404
    assert stranger.post("/desk/requests", approve=mark).status_code == 404
    assert stranger.get("/desk/requests").status_code == 200


def test_an_answer_without_a_request_or_of_no_kind_changes_nothing(desk: Desk) -> None:
    by_request(desk)
    manager = desk.reader("manager")
    assert answer(desk, manager, answer="approve")[0] == 422
    assert answer(desk, manager, answer="maybe", booking="bk_1:1")[0] == 422
    assert answer(desk, manager, approve="bk_1:x")[0] == 422
    assert answer(desk, manager, approve="bk_1:1")[0] == 404
