"""Late readings on pages and over JSON: who reads them, what they rest on and led to, and what the bill says of them."""

from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

import orjson
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import actions as billing
from billing import queries as bills
from booking import actions as bookings
from devices import actions as devices
from devices import queries as equipment
from devices.discrepancies.actions import seal
from devices.discrepancies.tables import Cause, Discrepancy
from devices.intake import actions as intake
from devices.readings import Envelope
from devices.registry.actions import register_device, set_thresholds
from devices.tables import Device
from evaluation import actions as evaluation
from marketplace import clock
from marketplace.people import queries as people
from marketplace.slot import Slot
from marketplace.tables import Message, Organisation, Resource
from tests.billing.test_discrepancies import quoted
from tests.builders import a_booking
from tests.devices.test_actions import DAY, minute
from tests.devices.test_discrepancies import Line
from tests.web.desks import Desk
from web.present import letters

CLOSED = DAY + timedelta(days=30)
LATE = (CLOSED - DAY) // timedelta(minutes=1) + 600


@dataclass(frozen=True)
class Found:
    booking: str
    record: str


def a_bridged_run(session: Session, desk: Desk) -> Line:
    """Accepted at 450.00, of which a silence of a quarter of an hour is proven by the counter alone; then published."""
    customer = people.find_person_by_email(session, "customer@example.com")
    assert customer
    [firm] = people.get_actor(session, customer.id).organisations
    place = session.get_one(Resource, desk.resource)
    place.price_minor, place.listed_on = 30000, DAY.date()
    device, known = register_device(session, resource_id=place.id, name="主电源", profile={}, actor_id=None, now=DAY)
    profile = {"backfill": 40 * 86400}
    set_thresholds(session, device_id=device.id, profile=profile, actor_id="x", now=DAY + timedelta(seconds=1))
    made = a_booking(session, resource=place, organisation=session.get_one(Organisation, firm), person=customer, start=minute(60))
    line = quoted(Line(session, made, known.key, device.id))
    for start, end, power in ((0, 65, 8), (65, 91, 350), (105, 150, 350), (150, 250, 8)):
        line.hear(start, end, power)
    devices.confirm_uses(session, now=minute(250))
    for booking_id, outcome in equipment.verdicts_to_conclude(session):
        bookings.conclude(session, booking_id=booking_id, outcome=outcome, now=minute(251))
    [statement_id] = billing.draft_statements(session, now=minute(260))
    billing.accept_statement(session, statement_id=statement_id, actor_id=customer.id, now=minute(261))
    evaluation.publish(session, institution_id=desk.house, period="2026-03", actor_id=None, now=CLOSED)
    return line


@pytest.fixture
def found(desk: Desk) -> Found:
    """Late messages say that it had stood still."""
    with desk.database() as session:
        line = a_bridged_run(session, desk)
        line.hear(91, 105, 8, at=LATE)
        billing.draft_statements(session, now=minute(LATE + 1))
        evaluation.answer_discrepancies(session, now=minute(LATE + 90))
        [record] = session.scalars(select(Discrepancy)).all()
        session.commit()
        return Found(line.booking.id, record.id)


def test_the_institution_sees_what_differs_what_rests_on_it_and_what_it_led_to(desk: Desk, found: Found) -> None:
    page = desk.reader("manager").get("/desk/discrepancies").text
    assert f'id="{found.record}"' in page
    for text in ("85 min · 850 Wh", "71 min", "Bill, version 1", "Bill, version 2", "−¥75.00", "Evaluation 2026-03, revision 2"):
        assert text in page, text
    assert "/desk/devices/" in page
    assert "第 2 修订版" in desk.reader("manager").get("/desk/discrepancies", "zh").text


def test_the_bookings_page_lists_the_runs_that_its_use_rests_on(desk: Desk, found: Found) -> None:
    page = desk.reader("customer").get(f"/bookings/{found.booking}").text
    assert "85 min" not in page
    for text in ("26 min", "45 min"):
        assert text in page, text
    assert page.count("The equipment stopped") == 2


def test_every_list_of_runs_has_each_once_as_it_counts_now(desk: Desk) -> None:
    """The sealed row of 85 minutes stays in the database; what is listed and added up are 26 and 45."""
    begin = clock.now().replace(second=0, microsecond=0) - timedelta(hours=20)
    with desk.database() as session:
        place = session.get_one(Resource, desk.resource)
        device, known = register_device(
            session, resource_id=place.id, name="主电源", profile={"backfill": 86400.0}, actor_id=None, now=begin
        )

        def hear(start: int, end: int, power: float, late_h: float = 0.0) -> None:
            came = [(begin + timedelta(minutes=at), {"p": power, "e": at * 10}) for at in range(start, end)]
            told = [(at, orjson.dumps({"ts": round(at.timestamp() * 1000), **body})) for at, body in came]
            late = timedelta(seconds=1, hours=late_h)
            intake.store(session, [Envelope(f"d/{known.key}/t", body, at + late) for at, body in told])
            while devices.fold_devices(session, now=came[-1][0] + late):
                pass

        for start, end, power in ((0, 65, 8), (65, 91, 350), (105, 150, 350), (150, 250, 8)):
            hear(start, end, power)
        stretch = Slot(begin + timedelta(minutes=60), begin + timedelta(minutes=180))
        seal(session, cause=Cause.STATEMENT, cause_id="st_1", stretches={place.id: stretch}, now=begin + timedelta(hours=5))
        hear(91, 105, 8, late_h=6)
        assert [run.confirmed_s for run in equipment.sessions_alone(session, place.id, within=stretch)] == [85 * 60]
        session.commit()
    year = f"{begin.astimezone(ZoneInfo('Asia/Shanghai')):%Y}"
    pages = {
        "desk": desk.reader("manager").get("/desk").text,
        "meter": desk.reader("manager").get(f"/desk/devices/{device.id}").text,
        "unit": desk.reader("evaluator").get(f"/evaluation/units/{place.id}?period={year}").text,
        "use": desk.reader("manager").get("/desk/use").text,
    }
    assert '<td class="num">1.2</td>' in pages["desk"]
    for name in ("meter", "unit", "use"):
        assert "85 min" not in pages[name], name
        assert [pages[name].count(f"{minutes} min") for minutes in (26, 45)] == [1, 1], name


@pytest.mark.parametrize(
    ("reader", "path", "status"),
    [
        ("manager", "/desk/discrepancies", 200),
        ("technician", "/desk/discrepancies", 200),
        ("finance", "/desk/discrepancies", 200),
        ("stranger", "/desk/discrepancies?institution={house}", 404),
        ("customer", "/desk/discrepancies?institution={house}", 404),
        ("evaluator", "/evaluation/discrepancies", 200),
        ("operator", "/evaluation/discrepancies?institution={house}", 200),
        ("manager", "/evaluation/discrepancies", 404),
    ],
)
def test_who_reads_them(desk: Desk, found: Found, reader: str, path: str, status: int) -> None:
    answer = desk.reader(reader).get(path.format(house=desk.house))
    assert answer.status_code == status
    assert (found.record in answer.text) == (status == 200)
    assert ("−¥75.00" in answer.text) == (status == 200 and reader != "evaluator")


def test_the_bill_says_why_it_was_corrected_and_finance_enters_what_is_paid_back(desk: Desk, found: Found) -> None:
    with desk.database() as session:
        receipts = bills.statements_of_booking(session, found.booking)
        assert [row.charge_minor for row in receipts] == [45000, -7500]
    page = desk.reader("customer").get(f"/bookings/{found.booking}/statement").text
    assert "Why it was corrected" in page
    assert "/desk/discrepancies" not in page
    assert f"/desk/discrepancies?institution={desk.house}#{found.record}" in desk.reader("finance").get(
        f"/bookings/{found.booking}/statement"
    ).text.replace("&amp;", "&")


def test_what_was_paid_too_much_is_marked_as_paid_back_once(desk: Desk) -> None:
    with desk.database() as session:
        line = a_bridged_run(session, desk)
        statement = bills.statement_of_booking(session, line.booking.id)
        assert statement
        amount = bills.balance_of(session, bills.Account.AR, booking_id=line.booking.id)
        assert amount == 45000
        session.commit()
        booking_id, key = line.booking.id, session.get_one(Device, line.device_id).key
    reader = desk.reader("finance")
    reader.post(f"/bookings/{booking_id}/statement/received", amount="450", reference="CMB-1", version="1")
    with desk.database() as session:
        again = Line(session, session.get_one(type(line.booking), booking_id), key, line.device_id)
        again.hear(91, 105, 8, at=LATE)
        billing.draft_statements(session, now=minute(LATE + 1))
        session.commit()
    assert "To be paid back to the firm" in reader.get(f"/bookings/{booking_id}/statement").text
    answer = reader.post(f"/bookings/{booking_id}/statement/returned", reference="CMB-9", version="2")
    assert "Mark ¥75.00 as paid back" not in answer.text
    with desk.database() as session:
        assert bills.balance_of(session, bills.Account.AR, booking_id=booking_id) == 0
    second = reader.post(f"/bookings/{booking_id}/statement/returned", reference="CMB-9", version="2")
    assert second.status_code == 409


def test_both_sides_have_a_letter_that_says_why(desk: Desk, found: Found) -> None:
    with desk.database() as session:
        rows = session.scalars(select(Message).where(Message.kind == "statement_corrected")).all()
        assert len(rows) == 3
        letter = letters.letter(session, rows[0], base_url="https://x.example", organiser="o@x.example", now=minute(LATE + 2))
    assert found.booking in letter.text
    assert "75.00" in letter.text


def test_the_figures_page_leads_to_what_a_revision_is_with(desk: Desk, found: Found) -> None:
    page = desk.reader("evaluator").get(f"/evaluation/institutions/{desk.house}?period=2026-03").text
    assert "Late readings of meters" in page
    assert "1 late reading<" in page
    assert f"/evaluation/discrepancies?institution={desk.house}" in page


def test_they_are_read_over_json(desk: Desk, found: Found) -> None:
    client = desk.reader("manager").client
    [row] = client.get(f"/api/v1/resources/{desk.resource}/discrepancies").json()["items"]
    assert (row["id"], row["was"]["run_s"], row["would_be"]["run_s"], row["messages"]["count"]) == (found.record, 5100, 4260, 14)
    assert {one["cause"] for one in row["rests_on"]} == {"statement", "evaluation"}
    assert [one["number"] for one in row["revisions"]] == [2]
    assert desk.reader("customer").client.get(f"/api/v1/resources/{desk.resource}/discrepancies").status_code == 403
