"""Values entered by hand for an evaluation: by evaluators, with evidence, seen by the institution."""

from datetime import timedelta

import httpx2
import pytest

from evaluation.periods import period_slot
from evaluation.schemes import DEFAULT, load_scheme
from marketplace import clock
from tests.web.desks import Desk, error_beside

EMPTY = "not entered"


def last_month() -> str:
    now = clock.now().astimezone(load_scheme(DEFAULT).zone)
    return f"{now.replace(day=1) - timedelta(days=1):%Y-%m}"


def enter(desk: Desk, who: str = "evaluator", **changes: str) -> httpx2.Response:
    said = {
        "period": last_month(),
        "indicator": "A1",
        "value": "4.5",
        "evidence": "管理办法 2026-7",
        "note": "现场核对",
        **changes,
    }
    return desk.reader(who).post(f"/evaluation/institutions/{desk.house}/entries", **said)


def test_an_entered_value_is_shown_with_evidence_and_name(desk: Desk) -> None:
    answer = enter(desk)
    assert "The value is entered" in answer.text
    address = f"/evaluation/institutions/{desk.house}/entries?period={last_month()}"
    for page in (answer.text, desk.reader("manager").get(address).text):
        assert "<b>4.5</b>" in page
        assert "管理办法 2026-7" in page
        assert "evaluator" in page
    other_month = desk.reader("manager").get(f"/evaluation/institutions/{desk.house}/entries?period=2025").text
    assert "管理办法" not in other_month


def test_a_newer_entry_counts_and_the_earlier_one_stays_readable(desk: Desk) -> None:
    enter(desk)
    page = enter(desk, value="３", evidence="复核记录").text
    assert "1 earlier entry" in page
    assert page.index("复核记录") < page.index("管理办法 2026-7")
    assert "<b>3</b>" in page


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"indicator": "B1"}, "indicator", "Choose what"),
        ({"value": "6.5"}, "value", "0 to 6 points"),
        ({"value": "-1"}, "value", "0 to 6 points"),
        ({"value": "1/3"}, "value", "two decimals"),
        ({"indicator": "falsification", "value": "0.5"}, "value", "1 if established"),
        ({"indicator": "staff_fte", "value": "many"}, "value", "a number from 0"),
        ({"evidence": " "}, "evidence", "Name the document"),
        ({"note": "x" * 1001}, "note", "Shorten it"),
    ],
)
def test_a_wrong_entry_is_told_beside_its_field(desk: Desk, changes: dict[str, str], field: str, said: str) -> None:
    answer = enter(desk, **changes)
    assert answer.status_code == 422
    assert said in error_beside(answer.text, field)
    kept = {"value": "4.5", "evidence": "管理办法 2026-7", **changes}
    assert f'value="{kept["value"]}"' in answer.text
    assert "The value is entered" not in answer.text


def test_the_form_opens_for_the_indicator_of_its_link(desk: Desk) -> None:
    page = desk.reader("evaluator").get(f"/evaluation/institutions/{desk.house}/entries?indicator=C7").text
    assert '<option value="C7" selected>' in page


@pytest.mark.parametrize(("who", "status"), [("manager", 403), ("technician", 404), ("stranger", 404), ("customer", 404)])
def test_only_evaluators_enter(desk: Desk, who: str, status: int) -> None:
    assert enter(desk, who).status_code == status
    page = desk.reader(who).get(f"/evaluation/institutions/{desk.house}/entries?period={last_month()}")
    assert page.status_code == (200 if who == "manager" else 404)
    assert "Enter the value" not in page.text


def test_what_is_no_period_or_no_institution_is_refused(desk: Desk) -> None:
    reader = desk.reader("evaluator")
    assert reader.get(f"/evaluation/institutions/{desk.house}/entries?period=soon").status_code == 422
    assert enter(desk, period="soon").status_code == 422
    assert reader.get("/evaluation/institutions/ins_none/entries").status_code == 404


def test_the_report_leads_to_the_entries(desk: Desk) -> None:
    report = desk.reader("manager").get(f"/evaluation/institutions/{desk.house}?period={last_month()}").text
    address = f"/evaluation/institutions/{desk.house}/entries?period={last_month()}"
    assert f'href="/en{address}"' in report
    assert desk.reader("manager").get(address).status_code == 200
    assert period_slot(load_scheme(DEFAULT), last_month()).end <= clock.now()
