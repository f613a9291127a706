"""Workbooks and CSV that people open: headings, safe cells, ids, small cells."""

import csv
import io
from datetime import UTC, datetime
from typing import Any

import openpyxl
import pytest
from sqlalchemy.orm import Session

from devices.segments import State
from evaluation import actions
from evaluation.exports.csv import BOM, institutions_csv, units_csv
from evaluation.exports.headings import FORMULAS_EN, HEADINGS, formula
from evaluation.exports.queries import report_of_period, report_of_window
from evaluation.exports.report import Report, for_public
from evaluation.exports.xlsx import workbook
from marketplace.refusals import NotFound
from marketplace.slot import Slot
from tests.builders import an_institution, an_organisation
from tests.evaluation.test_queries import DAY, a_line, booked, seen

NOW = datetime(2026, 4, 20, tzinfo=UTC)


def a_report(db: Session, firms: int = 1, name: str = "天府基地") -> Report:
    house = an_institution(db, name=name)
    line = a_line(db, institution=house, name='=HYPERLINK("http://x")')
    for n in range(firms):
        booked(db, line, f"{9 + n}:00", 1, organisation=an_organisation(db))
    seen(db, line, *[(State.RUN, "09:00", f"{9 + firms}:00")][:firms])
    return report_of_window(db, within=DAY, now=NOW, institution_ids=[house.id])


def sheets(report: Report) -> dict[str, list[tuple[Any, ...]]]:
    book = openpyxl.load_workbook(io.BytesIO(workbook(report)))
    return {sheet.title: list(sheet.iter_rows(values_only=True)) for sheet in book.worksheets}


def table(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode().removeprefix(BOM))))


def test_the_first_sheet_states_period_formula_coverage_and_hash(db: Session) -> None:
    report = a_report(db)
    found = sheets(report)
    assert next(iter(found)) == "说明"
    about = dict(found["说明"])
    assert about["评价周期"] == "2026-03-10 00:00 至 2026-03-11 00:00（Asia/Shanghai）"
    assert about["输入数据 SHA-256"] == report.inputs_hash
    assert about["遥测覆盖率"] == 1
    assert about["公式：共享率"] == "对外服务机时 / 有效工作机时"


def test_there_is_a_sheet_for_each_indicator_with_ids_down_to_bookings(db: Session) -> None:
    report = a_report(db)
    found = sheets(report)
    assert {f"{one.code} {one.name_zh}" for one in report.scheme.indicators} < set(found)
    assert found["C2 共享率"][0] == ("层级", "编号", "名称", "机构编号", "共享率", "得分（满分 8）")
    assert [row[1] for row in found["C2 共享率"][1:]] == [report.institutions[0].id, report.units[0].id]
    assert found["预约"][1][:2] == (report.bookings[0].id, report.units[0].id)
    assert found["预约"][1][4:] == ("对外", "已履约", 3600)


def test_no_cell_is_taken_for_a_formula(db: Session) -> None:
    report = a_report(db, name="@SUM(A1)")
    names = [row[1] for row in sheets(report)["设备"][1:]]
    assert names == ['\'=HYPERLINK("http://x")']
    assert table(institutions_csv(report))[0]["机构"] == "'@SUM(A1)"


def test_csv_opens_in_a_chinese_spreadsheet(db: Session) -> None:
    report = a_report(db, firms=2)
    data = institutions_csv(report)
    assert data.startswith(b"\xef\xbb\xbf")
    assert table(data)[0]["有效工作机时"] == "2.00"
    assert table(units_csv(report))[0]["外部单位数"] == "2"


@pytest.mark.parametrize(("firms", "shown"), [(0, "0"), (1, "<3"), (2, "<3"), (3, "3")])
def test_the_public_sees_no_cell_of_one_or_two_firms(db: Session, firms: int, shown: str) -> None:
    report = for_public(a_report(db, firms))
    for data in (institutions_csv(report), units_csv(report)):
        row = table(data)[0]
        assert row["外部单位数"] == shown
        assert (row["对外服务收入（分）"] == "<3") is (shown == "<3")
        assert row["有效工作机时"] == f"{firms}.00"
    assert (table(institutions_csv(report))[0]["C2 共享率"] == "<3") is (shown == "<3")
    assert not report.bookings
    assert "预约" not in sheets(report)


def test_a_published_period_is_exported_from_its_revisions(db: Session) -> None:
    report = a_report(db)
    with pytest.raises(NotFound):
        report_of_period(db, period="2026-03")
    revision = actions.publish(db, institution_id=report.institutions[0].id, period="2026-03", actor_id=None, now=NOW)
    found = report_of_period(db, period="2026-03")
    assert (found.institutions[0].total, found.within) == (revision.total, Slot(revision.period_from, revision.period_to))
    assert sheets(found)["汇总"][1][0] == revision.institution_id


def test_every_figure_has_its_formula_in_both_languages() -> None:
    assert set(FORMULAS_EN) == set(HEADINGS)
    assert all(formula(code, english=True) and formula(code, english=False) for code in HEADINGS)
    assert not any(ord(sign) > 0x2FFF for text in FORMULAS_EN.values() for sign in text)
