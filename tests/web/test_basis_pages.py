"""What a bill and a unit's figures rest on, on their pages and over JSON."""

from datetime import timedelta
from pathlib import Path

from devices.evidence import queries as evidence
from devices.evidence.actions import SETTLED, seal_due
from devices.evidence.keys import read_signer
from marketplace import clock
from marketplace.people import queries as people
from marketplace.people.actions import create_token
from tests.devices.test_actions import DAY
from tests.web.desks import Desk
from tests.web.test_discrepancy_pages import a_bridged_run

SIGNER = read_signer("7a" * 32, Path("nowhere"))
SEALED_BY = DAY.replace(hour=0, minute=0) + timedelta(days=1) + SETTLED


def a_bill(desk: Desk) -> tuple[str, str]:
    """The booking with its statement, and a token of the customer."""
    with desk.database() as session:
        booking = a_bridged_run(session, desk).booking.id
        customer = people.find_person_by_email(session, "customer@example.com")
        assert customer
        token = create_token(session, person_id=customer.id, label="tests", now=clock.now())
        session.commit()
    return booking, token


def test_a_bill_names_the_sealed_records_that_its_minutes_rest_on(desk: Desk) -> None:
    booking, token = a_bill(desk)
    reader, bearer = desk.reader("customer"), {"authorization": f"Bearer {token}"}

    def asked(what: str) -> dict[str, object]:
        found: dict[str, object] = reader.client.get(f"/api/v1/bookings/{booking}/{what}", headers=bearer).json()["evidence"]
        return found

    before = asked("statement")
    assert (before["sealed"], before["from"]) == (False, DAY.date().isoformat())
    assert "not sealed yet" in reader.get(f"/bookings/{booking}/statement").text
    assert "尚未封存" in reader.get(f"/bookings/{booking}/statement", "zh").text
    with desk.database() as session:
        while seal_due(session, signer=SIGNER, now=SEALED_BY):
            session.commit()
        [row] = evidence.records_of(session, 1)
        [seal] = evidence.seals(session)
        digest = evidence.signed(seal).seal.digest()
    found = asked("statement")
    assert found == asked("use")
    assert (found["sealed"], found["complete"]) == (True, True)
    assert found["check"] == f"pilotbench verify-evidence DIR --key {SIGNER.key}"
    assert found["messages"] == [f"/api/v1/resources/{desk.resource}/evidence?from={row.day}&to={row.day}"]
    [day] = found["days"]  # type: ignore[misc]
    assert (day["day"], day["device_id"]) == (row.day.isoformat(), row.device_id)  # type: ignore[index]
    [record] = day["records"]  # type: ignore[index]
    assert (record["root"], record["leaves"], record["seal"], record["seal_digest"]) == (row.root, row.count, 1, digest)
    assert 0 < record["first_leaf"] < record["first_leaf"] + record["leaves_in_use"] < row.count
    page = reader.get(f"/bookings/{booking}/statement").text
    for text in (row.root, f"{record['first_leaf'] + 1} to ", f" of {row.count}", "/en/evidence?before=2", str(found["check"])):
        assert text in page, text


def test_a_units_figures_name_the_seals_and_the_commands_that_check_them(desk: Desk) -> None:
    a_bill(desk)
    unit = f"/evaluation/units/{desk.resource}?period=2026-03"
    assert "none yet" in desk.reader("evaluator").get(unit).text
    with desk.database() as session:
        while seal_due(session, signer=SIGNER, now=SEALED_BY):
            session.commit()
    page = desk.reader("evaluator").get(unit).text
    for text in ("What these figures rest on", "/en/evidence?before=2", f"--key {SIGNER.key}"):
        assert text in page, text
    command = f"pilotbench evidence {desk.resource} --from 2026-02-28 --to 2026-03-31 --out DIR"
    assert command in page
    assert command in desk.reader("evaluator").get(f"/evaluation/institutions/{desk.house}.csv?period=2026-03", "zh").text
