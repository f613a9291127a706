"""The workbook of an evaluation: what it rests on, the summary, one sheet an indicator, units and bookings with their ids."""

import io
import re
from collections.abc import Sequence
from datetime import datetime

import xlsxwriter

from evaluation.exports.cells import NUMBER, safe
from evaluation.exports.csv import unit_cells
from evaluation.exports.headings import EVIDENCE, HEADINGS, STATUS, heading
from evaluation.exports.report import Cell, Report
from evaluation.scoring import Indicator

USES = {"ext": "对外", "int": "内部共享", "self": "自用", "teach": "教学"}
SHEET_NAME = 31
"""Characters a sheet's name may have."""
WIDTH = 16


class _Book:
    """A workbook under construction; every cell goes through `write`, which decides between number and safe text."""

    def __init__(self, created: datetime) -> None:
        self.stream = io.BytesIO()
        self.book = xlsxwriter.Workbook(self.stream, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
        self.book.set_properties({"title": "开放共享评价", "created": created.replace(tzinfo=None)})
        self.bold = self.book.add_format({"bold": True, "bottom": 1})

    def sheet(self, name: str, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """A table with a frozen first row."""
        sheet = self.book.add_worksheet(re.sub(r"[\[\]:*?/\\']", " ", name)[:SHEET_NAME])
        for at, text in enumerate(header):
            sheet.write_string(0, at, safe(text), self.bold)
        for line, row in enumerate(rows, 1):
            for at, value in enumerate(row):
                _write(sheet, line, at, value)
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, max(len(header) - 1, 0), WIDTH)

    def bytes(self) -> bytes:
        self.book.close()
        return self.stream.getvalue()


def _write(sheet: xlsxwriter.worksheet.Worksheet, line: int, at: int, value: Cell) -> None:
    if value is None:
        sheet.write_blank(line, at, None)
    elif isinstance(value, int) or (NUMBER.fullmatch(value) and len(value) <= 15):
        sheet.write_number(line, at, float(value))
    else:
        sheet.write_string(line, at, safe(value))


def workbook(report: Report) -> bytes:
    """The XLSX file. Hours and ratios are numbers; ids lead back to the page of the unit or booking."""
    book = _Book(report.cut_off)
    _about(book, report)
    _summary(book, report)
    for indicator in report.scheme.indicators:
        _indicator(book, report, indicator)
    book.sheet(
        "设备",
        ["设备编号", "设备", "机构编号", *(heading(code) for code in HEADINGS), EVIDENCE],
        [unit_cells(row, report) for row in report.units],
    )
    if report.bookings:
        _bookings(book, report)
    return book.bytes()


def _about(book: _Book, report: Report) -> None:
    """Period, coverage, hash, and each figure's formula: what a reader needs before the first number."""
    zone = report.scheme.zone
    start, end, cut = (at.astimezone(zone) for at in (report.within.start, report.within.end, report.cut_off))
    rows: list[list[Cell]] = [
        ["评价周期", f"{start:%Y-%m-%d %H:%M} 至 {end:%Y-%m-%d %H:%M}（{zone.key}）"],
        ["评价方案", f"{report.scheme.id}-{report.scheme.version} {report.scheme.title_zh}"],
        ["依据", report.scheme.legal_ref],
        ["遥测覆盖率", report.coverage],
        ["数据截止", f"{cut:%Y-%m-%d %H:%M}"],
        ["程序版本", report.code_version],
        ["输入数据 SHA-256", report.inputs_hash],
        ["机构数", len(report.institutions)],
        ["设备数", len(report.units)],
        ["说明", "机时按遥测确认，不按预约；比率为总和之比；仅在输出时四舍五入一次。空格表示不适用，<3 表示涉及不足三家单位。"],
    ]
    rows += [[f"公式：{name}", formula] for name, formula in HEADINGS.values()]
    book.sheet("说明", ["项目", "内容"], rows)


def _summary(book: _Book, report: Report) -> None:
    indicators = report.scheme.indicators
    header = ["机构编号", "机构", "总分", "等级", "否决项", *(f"{one.code} {one.name_zh}（{one.weight}）" for one in indicators)]
    rows = [
        [row.id, row.name, row.total, row.grade, " ".join(row.gates), *(row.points.get(one.code) for one in indicators)]
        for row in report.institutions
    ]
    book.sheet("汇总", header, rows)


def _indicator(book: _Book, report: Report, indicator: Indicator) -> None:
    """Institutions with figure and points, then the units the figure comes from."""
    rows: list[list[Cell]] = [
        ["机构", row.id, row.name, row.id, row.metrics.get(indicator.metric), row.points.get(indicator.code)]
        for row in report.institutions
    ]
    rows += [
        ["设备", row.id, row.name, row.institution_id, row.metrics.get(indicator.metric), None]
        for row in report.units
        if indicator.metric in row.metrics
    ]
    figure = heading(indicator.metric) if not indicator.entered else "人工评分"
    header = ["层级", "编号", "名称", "机构编号", figure, f"得分（满分 {indicator.weight}）"]
    book.sheet(f"{indicator.code} {indicator.name_zh}", header, rows)


def _bookings(book: _Book, report: Report) -> None:
    zone = report.scheme.zone
    header = ["预约编号", "设备编号", "开始", "结束", "类别", "状态", "有效秒数"]
    rows: list[list[Cell]] = [
        [row.id, row.unit_id, f"{row.start.astimezone(zone):%Y-%m-%d %H:%M}", f"{row.end.astimezone(zone):%Y-%m-%d %H:%M}",
         USES.get(row.category, row.category), STATUS.get(row.status, row.status), row.eff_s]
        for row in report.bookings
    ]  # fmt: skip
    book.sheet("预约", header, rows)
