"""What a request may bring: writes from our own pages alone, bodies within the limit of their address."""

import pytest

from booking.external.lines import LARGEST
from tests.web.desks import TOKEN, Desk
from tests.web.test_desk_external import file, sent
from web.security import BODY_LIMIT, FILE_LIMIT


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"origin": "http://testserver"}, 200),
        ({"origin": "http://testserver", "sec-fetch-site": "same-origin"}, 200),
        ({"origin": "null", "sec-fetch-site": "same-origin"}, 200),
        ({}, 200),
        ({"origin": "null"}, 403),
        ({"origin": "null", "sec-fetch-site": "cross-site"}, 403),
        ({"origin": "http://testserver", "sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://elsewhere.example.com"}, 403),
    ],
)
def test_a_browser_writes_for_our_own_pages_alone(desk: Desk, headers: dict[str, str], code: int) -> None:
    client = desk.reader("customer").client
    token = TOKEN.search(client.get("/en/signin").text)
    assert token
    page = client.post("/en/account/messages", data={"csrf": token[1]}, headers=headers)
    assert page.status_code == code or (code == 200 and page.status_code not in {403, 500}), page.text
    program = client.post("/api/v1/waiting/none/decline", headers=headers)
    assert (program.status_code, program.json()["code"]) == ((404, "not_found") if code == 200 else (403, "forged_request"))


def test_a_body_over_the_limit_is_told_in_words_and_saves_nothing(desk: Desk) -> None:
    client = desk.reader("manager").client
    path = f"/desk/resources/{desk.resource}"
    for lang, said in (("en", "larger than 1 MiB. Nothing was saved"), ("zh", "请求超过 1 MiB。未做任何保存")):
        page = client.post(f"/{lang}{path}", data={"name": "x" * BODY_LIMIT}, headers={"origin": "http://testserver"})
        assert (page.status_code, page.headers["content-type"]) == (413, "text/html; charset=utf-8")
        assert said in page.text
    program = client.post("/api/v1/bookings", content=b" " * (BODY_LIMIT + 1))
    assert (program.status_code, program.json()["title"]) == (413, "The request is too large")
    assert program.headers["content-type"] == "application/problem+json"
    for length in ("-1", "many"):
        answer = client.post("/api/v1/bookings", content=b"", headers={"content-length": length})
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_calendar_as_large_as_one_may_be_is_read_from_a_form_and_from_a_program(desk: Desk) -> None:
    reader, page = desk.reader("manager"), f"/desk/resources/{desk.resource}/external"
    short = file(9, 11).replace("SUMMARY:Geheim", "DESCRIPTION:" + "中" * 600_000 + "x")
    text, more = (short.replace("x", "x" * (LARGEST - len(short.encode()) + 1 + over)) for over in (0, 1))
    assert (len(text.encode()), len(more.encode())) == (LARGEST, LARGEST + 1)
    assert "busy times to come: 1" in sent(reader, page, text, name="Teaching").text
    path, headers = f"/api/v1/resources/{desk.resource}/external-calendars", {"origin": "http://testserver"}
    assert reader.client.post(path, json={"name": "A", "ics": text}, headers=headers).status_code == 201
    larger = reader.client.post(path, json={"name": "B", "ics": more}, headers=headers)
    assert (larger.status_code, larger.json()["reasons"][0]["reason"]) == (422, "too_large")
    largest = reader.client.post(path, json={"name": "C", "ics": "x" * FILE_LIMIT}, headers=headers)
    assert (largest.status_code, "8 MiB" in largest.json()["detail"]) == (413, True)
