"""The operator drafts, simulates, publishes and grants; the firm sees what is left, before a booking and on its bill."""

import re
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import actions
from billing.claims import actions as claims
from billing.programmes.choosing import Base
from billing.programmes.tables import Entitlement, FundingProgramme
from billing.quotes import actions as quoting
from billing.settlement import Funding
from booking.tables import Booking
from marketplace import clock
from marketplace.people.queries import find_person_by_email
from marketplace.tables import Organisation, Resource, Settlement
from tests.billing.test_card_flow import a_use
from tests.builders import a_booking, a_programme, a_resource, an_entitlement, an_institution
from tests.web.desks import Desk, error_beside
from tests.web.test_desk_outages import day

NOW = clock.now()
FORM = {
    "name": "成都市创新券",
    "payer": "成都市科技局",
    "kind": "voucher",
    "mode": "deduct",
    "base": "service",
    "currency": "CNY",
    "starts_on": f"{NOW.year}-01-01",
    "rate_1": "50",
    "booking_cap_1": "200.00",
    "year_cap_1": "10,000",
    "rate_2": "30 %",
}


def firm_of(session: Session) -> Organisation:
    return session.scalars(select(Organisation)).one()


def a_bill(
    session: Session, desk: Desk, *, minutes: int = 97, funding: Funding = Funding.BANK, place: Resource | None = None
) -> str:
    """Two hours of a machine, the desk's at 540.00 that were used two days ago; the bill was accepted. The booking's id."""
    firm, start = firm_of(session), NOW.replace(microsecond=0) - timedelta(days=2)
    place, who = place or session.get_one(Resource, desk.resource), find_person_by_email(session, "customer@example.com")
    booking = a_booking(session, resource=place, organisation=firm, person=who, start=start)
    quoting.quote_bookings(session, bookings=[booking], organisation=firm, funding=funding, now=start - timedelta(days=1))
    run = {"start": start.isoformat(), "end": (start + timedelta(minutes=minutes)).isoformat(), "state": "RUN"}
    a_use(session, booking, minutes=minutes, pieces=[run], created_at=start + timedelta(hours=3))
    [statement_id] = actions.draft_statements(session, now=start + timedelta(hours=3))
    actions.accept_statement(session, statement_id=statement_id, actor_id="per_1", now=start + timedelta(hours=4))
    return booking.id


def entitled(desk: Desk, minor: int = 20000) -> None:
    with desk.database() as session, session.begin():
        programme = a_programme(session, years=["0.5"], starts_on=NOW.date().replace(month=1, day=1) - timedelta(days=40))
        an_entitlement(session, programme, firm_of(session), minor, reference="CXQ-0007", year=1)
        programme.starts_on = NOW.date() - timedelta(days=100)
        session.scalars(select(Entitlement)).one().expires_at = NOW + timedelta(days=200)


def test_a_programme_is_drafted_with_its_years_simulated_published_and_granted(desk: Desk) -> None:
    with desk.database() as session, session.begin():
        a_bill(session, desk)
        firm = firm_of(session).name
    reader = desk.reader("operator")
    made = reader.post("/operator/programmes", **FORM)
    assert (made.status_code, "The programme is drafted" in made.text) == (200, True)
    assert all(word in made.text for word in ("50 %", "30 %", "200.00", "10,000.00", "Draft"))
    with desk.database() as session:
        programme_id = session.scalars(select(FundingProgramme)).one().id
    here = f"/operator/programmes/{programme_id}"
    found = reader.get(f"{here}?simulate=1").text
    assert re.search(rf"{firm}</th><td class=\"num\">1</td>.*945\.00</td>.*200\.00</td>", found)
    assert re.search(rf"{firm}</th><td class=\"num\">1</td>.*945\.00</td>.*283\.50</td>", reader.get(f"{here}?simulate=2").text)
    assert reader.get(f"{here}?simulate=3").status_code == 404
    assert "Published" in reader.post(f"{here}/publish").text
    again = reader.post(f"{here}/publish")
    assert (again.status_code, "It is published already" in again.text) == (409, True)
    wrong = reader.post(f"{here}/grants", organisation="没有这家", year="1", amount="100")
    assert (wrong.status_code, "no single firm has this name" in error_beside(wrong.text, "organisation")) == (422, True)
    much = reader.post(f"{here}/grants", organisation=firm, year="1", amount="10000.01")
    assert error_beside(much.text, "amount") == "Amount: is more than anybody may be granted for this year."
    given = reader.post(f"{here}/grants", organisation=firm, year="1", amount="800", reference="CXQ-0007")
    assert (given.status_code, "CXQ-0007" in given.text, "800.00" in given.text) == (200, True, True)
    assert "Year" in reader.post(f"{here}/years", number="3", rate="10").text
    changed = reader.post(f"{here}/years", number="1", rate="10")
    assert (changed.status_code, "what it says of this year stays" in changed.text) == (409, True)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"rate_1": "150"}, "rate_1"),
        ({"rate_1": "half"}, "rate_1"),
        ({"rate_1": "1e9999999"}, "rate_1"),
        ({"booking_cap_1": "1e999999"}, "booking_cap_1"),
        ({"year_cap_1": "1" * 41}, "year_cap_1"),
        ({"starts_on": "soon"}, "starts_on"),
        ({"name": ""}, "name"),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_nothing_is_kept(desk: Desk, changes: dict[str, str], field: str) -> None:
    answer = desk.reader("operator").post("/operator/programmes", **{**FORM, **changes})
    assert answer.status_code == 422
    assert error_beside(answer.text, field)
    with desk.database() as session:
        assert session.scalars(select(FundingProgramme)).all() == []


@pytest.mark.parametrize(("since", "until"), [("0001-01-01", "2026-01-01"), ("2026-01-01", "9999-12-31")])
def test_days_and_years_far_off_are_refused(desk: Desk, since: str, until: str) -> None:
    entitled(desk)
    with desk.database() as session:
        here = f"/operator/programmes/{session.scalars(select(FundingProgramme)).one().id}"
    reader = desk.reader("operator")
    assert reader.get(f"{here}?simulate={10**30}").status_code == 404
    assert reader.post(f"{here}/claims", **{"from": since, "until": until}).status_code == 422
    much = reader.post(f"{here}/grants", organisation="蓉创新材料有限公司", year="1", amount="1e999999")
    assert (much.status_code, bool(error_beside(much.text, "amount"))) == (422, True)


@pytest.mark.parametrize("who", ["manager", "customer", "evaluator"])
def test_for_others_the_operators_pages_are_not_there(desk: Desk, who: str) -> None:
    reader = desk.reader(who)
    assert reader.get("/operator/programmes").status_code == 404
    assert reader.post("/operator/programmes", **FORM).status_code == 404
    assert reader.get("/operator/programmes/prg_1").status_code == 404


def test_the_firm_sees_what_is_left_and_what_a_booking_would_take_of_it(desk: Desk) -> None:
    entitled(desk)
    customer = desk.reader("customer")
    assert "CXQ-0007" in customer.get("/vouchers").text
    query = urlencode({"start": day(10).isoformat(), "end": day(12).isoformat()})
    page = customer.get(f"/r/{desk.resource}/review?{query}").text
    assert all(
        word in page for word in ("中试服务退坡补贴", "Deducted from the bill", "−¥200.00", "Of it you pay at most", "¥880.00")
    )
    times = {"start": day(10).isoformat(), "end": day(12).isoformat()}
    customer.post(f"/r/{desk.resource}/bookings", reviewed="1", key="k", shown="", **times)
    with desk.database() as session:
        booking_id = session.scalars(select(Booking.id)).one()
    assert "¥200.00 reserved" in customer.get(f"/bookings/{booking_id}").text
    assert "<b>¥0.00</b>" in customer.get("/vouchers").text


def test_the_firm_sees_what_its_share_is_of(desk: Desk) -> None:
    entitled(desk)
    customer = desk.reader("customer")
    assert "50 % of the service" in customer.get("/vouchers").text
    with desk.database() as session, session.begin():
        session.scalars(select(FundingProgramme)).one().base = Base.USAGE
    assert "50 % of confirmed use" in customer.get("/vouchers").text


def test_the_bill_tells_the_programme_and_asks_the_firm_for_the_rest(desk: Desk) -> None:
    entitled(desk)
    with desk.database() as session, session.begin():
        booking_id = a_bill(session, desk)
    page = desk.reader("customer").get(f"/bookings/{booking_id}/statement").text
    assert all(word in page for word in ("中试服务退坡补贴", "−¥200.00", "¥745.00", "to be claimed"))
    months = {f"{at:%Y-%m}" for at in (NOW - timedelta(days=2), NOW)}  # whichever it was issued in by the reader's calendar
    assert any("¥745.00" in desk.reader("customer").get(f"/bills?month={month}").text for month in months)
    income = desk.reader("finance").get("/desk/income").text
    assert "+ ¥200.00 of programmes" in income
    used = desk.reader("customer").get("/vouchers").text
    assert (booking_id in used, "to be claimed" in used) == (True, True)


def test_a_claim_is_made_looked_through_and_partly_rejected(desk: Desk) -> None:
    entitled(desk, 1_000_000)
    with desk.database() as session, session.begin():
        first, second = a_bill(session, desk), a_bill(session, desk)
        here = f"/operator/programmes/{session.scalars(select(FundingProgramme)).one().id}"
    reader = desk.reader("operator")
    assert "¥945.00 not claimed yet" in reader.get(here).text
    period = {"from": (NOW - timedelta(days=9)).date().isoformat(), "until": (NOW + timedelta(days=1)).date().isoformat()}
    none = reader.post(f"{here}/claims", **{**period, "until": period["from"]})
    assert (none.status_code, "still to be claimed" in none.text) == (409, True)
    made = reader.post(f"{here}/claims", **period)
    assert "The claim is made" in made.text
    claim = re.search(r"/claims/(\w+)/pack", made.text)
    assert claim
    page = f"{here}/claims/{claim[1]}"
    assert reader.get(f"{page}/pack").content[:2] == b"PK"
    wrong = reader.post(f"{page}/paid", serial="", received_on="2026-04-20")
    assert (wrong.status_code, bool(error_beside(wrong.text, "serial"))) == (422, True)
    some = reader.post(f"{page}/rejected", reason="合同缺失", booking=second)
    assert all(word in some.text for word in ("The firms are told", "合同缺失", "rejected"))
    paid = reader.post(f"{page}/paid", serial="CZ-0001", received_on="2026-04-20")
    assert all(word in paid.text for word in ("CZ-0001", "¥472.50"))
    gone = reader.post(f"{page}/rejected", reason="太晚")
    assert (gone.status_code, "answered already" in gone.text) == (409, True)
    customer = desk.reader("customer")
    assert "A programme has refused its part of your bill" in customer.get("/messages").text
    assert "rejected" in customer.get("/vouchers").text
    assert "¥472.50" in customer.get(f"/bookings/{second}/statement").text
    assert "paid" in customer.get(f"/bookings/{first}/statement").text


def test_what_a_programme_paid_to_the_platform_is_passed_on_to_the_institution(desk: Desk) -> None:
    entitled(desk, 20000)
    with desk.database() as session, session.begin():
        a_bill(session, desk, funding=Funding.CARD)
        here = f"/operator/programmes/{session.scalars(select(FundingProgramme)).one().id}"
    reader = desk.reader("operator")
    period = {"from": (NOW - timedelta(days=9)).date().isoformat(), "until": (NOW + timedelta(days=1)).date().isoformat()}
    claim = re.search(r"/claims/(\w+)/pack", reader.post(f"{here}/claims", **period).text)
    assert claim
    page = reader.post(f"{here}/claims/{claim[1]}/paid", serial="CZ-1", received_on="2026-04-20").text
    assert all(word in page for word in ("To be passed on to institutions", "Enter as passed on", "¥200.00"))
    passed = reader.post(f"{here}/claims/{claim[1]}/passed", institution_id=desk.house, serial="PB-1")
    assert ("PB-1" in passed.text, "Enter as passed on" in passed.text) == (True, False)
    again = reader.post(f"{here}/claims/{claim[1]}/passed", institution_id=desk.house, serial="PB-2")
    assert (again.status_code, "Nothing of this claim is to be passed on" in again.text) == (409, True)


def test_what_was_passed_on_too_much_is_told_and_not_passed_on(desk: Desk) -> None:
    entitled(desk, 1_000_000)
    with desk.database() as session, session.begin():
        booking_id = a_bill(session, desk, minutes=120, funding=Funding.CARD)
        programme_id = session.scalars(select(FundingProgramme)).one().id
        names = {"programme_id": programme_id, "actor_id": "per_1", "now": NOW}
        first = claims.claim(session, since=NOW - timedelta(days=9), until=NOW, **names)
        claims.pay(session, claim_id=first.id, serial="CZ-1", received_on=NOW.date(), **names)
        claims.pass_on(session, claim_id=first.id, institution_id=desk.house, serial="PB-1", **names)
        booking = session.get_one(Booking, booking_id)
        run = {
            "start": booking.starts_at.isoformat(),
            "end": (booking.starts_at + timedelta(hours=1)).isoformat(),
            "state": "RUN",
        }
        a_use(session, booking, minutes=60, number=2, pieces=[run], created_at=NOW - timedelta(hours=1))
        actions.draft_statements(session, now=NOW - timedelta(hours=1))
        other = a_resource(session, institution=an_institution(session, settlement=Settlement.PLATFORM_COLLECTS))
        a_bill(session, desk, minutes=120, funding=Funding.CARD, place=other)
        second = claims.claim(session, since=NOW - timedelta(days=9), until=NOW, **names)
        claims.pay(session, claim_id=second.id, serial="CZ-2", received_on=NOW.date(), **names)
    page = desk.reader("operator").get(f"/operator/programmes/{programme_id}/claims/{second.id}").text
    assert (page.count("Set off against what it gets by other claims"), page.count("Enter as passed on")) == (1, 1)
