"""Tables as files: CSV in UTF-8 with the mark by which spreadsheets know it."""

import csv
import io
from collections.abc import Iterable, Sequence

from fastapi import Response


def csv_file(name: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """To be kept as `name`; what people typed has gone through `evaluation.exports.cells.safe`."""
    sheet = io.StringIO()
    writer = csv.writer(sheet)
    writer.writerow(head)
    writer.writerows(rows)
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response("\ufeff" + sheet.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)
