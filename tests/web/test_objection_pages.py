"""A statement's page: the firm objects to a line, the institution answers it, the firm reads the answer in the next version."""

from datetime import timedelta
from decimal import Decimal

import pypdfium2
import pytest

from billing import actions as billing
from billing import queries as bills
from billing.quotes import actions as quotes
from devices.matching import Verdict
from marketplace import clock
from marketplace.people import queries as people
from marketplace.tables import Organisation, Resource
from tests.billing.test_card_flow import a_use
from tests.builders import a_booking
from tests.web.desks import Desk
from web import papers
from web.refusals import status_of

START = clock.now().replace(microsecond=0) - timedelta(hours=20)
WHY, ANSWER = "最后半小时是设备自检", "自检十分钟，其余是使用"


@pytest.fixture
def page(desk: Desk) -> str:
    """The path of a statement over two hours and half an hour of overtime."""
    with desk.database() as session:
        customer = people.find_person_by_email(session, "customer@example.com")
        assert customer
        [firm] = (session.get_one(Organisation, one) for one in people.get_actor(session, customer.id).organisations)
        place = session.get_one(Resource, desk.resource)
        made = a_booking(session, resource=place, organisation=firm, person=customer, start=START, hours=2)
        quotes.quote_booking(session, booking=made, organisation=firm, payment_method=None, now=START - timedelta(days=3))
        run = {"start": START.isoformat(), "end": (START + timedelta(minutes=150)).isoformat(), "state": "RUN"}
        a_use(session, made, minutes=120, overrun_s=1800, pieces=[run], verdict=Verdict.FULFILLED)
        billing.draft_statements(session, now=clock.now())
        session.commit()
        return f"/bookings/{made.id}/statement"


def test_a_line_is_objected_to_and_answered_on_the_page(desk: Desk, page: str) -> None:
    firm, house = desk.reader("customer"), desk.reader("finance")
    assert "Overtime" in firm.get(page).text
    assert "Answer the objection" not in house.get(page).text
    told = firm.post(f"{page}/dispute", version="1", reason="", line_0="", line_1=WHY)
    assert told.status_code == 200
    assert WHY in house.get(page).text
    assert "Answer the objection" in house.get(page).text
    assert "Answer the objection" not in firm.get(page).text
    wrong = house.post(f"{page}/resolve", version="1", amount_1="很多", answer_1=ANSWER)
    assert (wrong.status_code, 'value="很多"' in wrong.text, 'id="e-amount_1"' in wrong.text) == (422, True, True)
    dearer = house.post(f"{page}/resolve", version="1", amount_1="99999", answer_1=ANSWER)
    assert (dearer.status_code, 'id="e-amount_1"' in dearer.text) == (422, True)
    done = house.post(f"{page}/resolve", version="1", amount_1="0", answer_1=ANSWER)
    assert (done.status_code, "Your answer has been sent" in done.text) == (200, True)
    shown = firm.get(page).text
    assert shown.count(ANSWER) == 1
    assert "(Overtime)" in shown
    with desk.database() as session:
        made = bills.statement_of_booking(session, page.split("/")[2])
        assert made is not None
        assert (made.number, made.state.value, made.lines[-1]["of_line"]) == (2, "open", 1)


def test_an_objection_to_the_whole_is_answered_by_one_amount(desk: Desk, page: str) -> None:
    firm, house = desk.reader("customer"), desk.reader("finance")
    nothing = firm.post(f"{page}/dispute", version="1", reason=" ")
    assert (nothing.status_code, 'id="e-reason"' in nothing.text) == (422, True)
    firm.post(f"{page}/dispute", version="1", reason=WHY)
    assert 'name="charge"' in house.get(page).text
    assert firm.post(f"{page}/resolve", version="1", charge="1").status_code == 403
    assert house.post(f"{page}/resolve", version="1", charge="1.00").status_code == 200
    assert "1.00" in firm.get(page).text


def test_a_statement_is_had_as_pdf_and_as_sheet(desk: Desk, page: str) -> None:
    firm = desk.reader("customer")
    made = firm.get(f"{page}.pdf", lang="zh")
    assert (made.status_code, made.headers["content-type"], made.content[:5]) == (200, "application/pdf", b"%PDF-")
    with pypdfium2.PdfDocument(made.content) as document:
        said = document[0].get_textpage().get_text_range()
    assert all(one in said for one in ("用机结算单", "超时", "¥1,485.00", "PB-"))
    sheet = firm.get(f"{page}.csv")
    number, line, minutes, hour, amount, currency = sheet.text.splitlines()[2].split(",")
    assert (number.startswith("PB-"), line, minutes, currency) == (True, "overtime", "30", "CNY")
    assert Decimal(amount) == Decimal(hour) * 3 / 4
    assert desk.reader("stranger").get(f"{page}.pdf").status_code == 404
    month = firm.get("/bills.pdf")
    assert (month.status_code, month.content[:5]) == (200, b"%PDF-")


def test_what_cannot_be_laid_out_is_told(desk: Desk) -> None:
    with pytest.raises(papers.NoPaper):
        papers.pdf("<b>" * 20_000)
    assert status_of(papers.NoPaper()) == 503
    fetched = papers.pdf('<p>x<img src="file:///etc/hostname"></p>')
    assert fetched[:5] == b"%PDF-"
