"""CSV for spreadsheets in Chinese: UTF-8 with BOM, CRLF, one row an institution or a unit."""

import csv
import io
from collections.abc import Iterable, Sequence

from devices.evidence.resting import export_command
from evaluation.exports.cells import safe
from evaluation.exports.headings import EVIDENCE, HEADINGS, heading
from evaluation.exports.report import Cell, Report, UnitRow

BOM = "\ufeff"


def institutions_csv(report: Report) -> bytes:
    """机构编号, 机构, total, grade, points of each indicator, figures."""
    codes = [indicator.code for indicator in report.scheme.indicators]
    names = [f"{indicator.code} {indicator.name_zh}" for indicator in report.scheme.indicators]
    header = ["机构编号", "机构", "总分", "等级", "否决项", *names, *(heading(code) for code in HEADINGS)]
    rows = (
        [row.id, row.name, row.total, row.grade, " ".join(row.gates), *(row.points.get(code) for code in codes),
         *(row.metrics.get(code) for code in HEADINGS)]
        for row in report.institutions
    )  # fmt: skip
    return _csv(header, rows)


def units_csv(report: Report) -> bytes:
    """设备编号, 设备, 机构编号, figures and what writes the messages that they rest on."""
    header = ["设备编号", "设备", "机构编号", *(heading(code) for code in HEADINGS), EVIDENCE]
    return _csv(header, [unit_cells(row, report) for row in report.units])


def unit_cells(row: UnitRow, report: Report) -> list[Cell]:
    figures = (row.metrics.get(code) for code in HEADINGS)
    return [row.id, row.name, row.institution_id, *figures, export_command(row.id, report.within)]


def _csv(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(header)
    writer.writerows([_text(value) for value in row] for row in rows)
    return (BOM + stream.getvalue()).encode()


def _text(value: Cell) -> str:
    return "" if value is None else safe(str(value))
