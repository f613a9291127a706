"""Rows of CSV, JSON and JSON lines: read one at a time, written one at a time."""

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TextIO

from evaluation.exports.cells import RISKY
from marketplace.refusals import Reason, Refusal
from web.refusals import Malformed

LARGEST_LIST = 64 << 20
"""Bytes of a JSON list, which is read whole; JSON lines and CSV may be as long as they like."""
LONGEST_LINE = 1 << 20
APOSTROPHE = "'"
UNDECODED = re.compile("[\udc80-\udcff]")
"""What `surrogateescape` makes of bytes that are not UTF-8."""
Turns = Mapping[str, Callable[[str], Any]]


class UnreadableFile(Refusal):
    """Nothing of the file was read. `file`, `reason`."""

    code = "file_unreadable"


class Format(StrEnum):
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True)
class Row:
    """A row with the number of its line (of a JSON list: its place), or why it could not be read."""

    line: int
    values: Mapping[str, Any]
    broken: Malformed | None = None


def format_of(path: Path) -> Format:
    """By the file's ending. Raises: UnreadableFile."""
    ending = path.suffix.lower().lstrip(".")
    known = {"ndjson": Format.JSONL, **{one.value: one for one in Format}}
    if ending not in known:
        raise UnreadableFile(file=str(path), reason="its name ends in neither .csv, .json nor .jsonl; say --format")
    return known[ending]


def rows(path: Path, form: Format, turns: Turns) -> Iterator[Row]:
    """`turns` makes values of a table's cells, by column. Raises: UnreadableFile (not there, not text, no list, no header)."""
    if not path.is_file():
        raise UnreadableFile(file=str(path), reason="there is no such file")
    with path.open(encoding="utf-8-sig", newline="", errors="surrogateescape") as file:  # what is not UTF-8 is refused in its row
        if form is Format.CSV:
            yield from _from_csv(path, file, turns)
        else:
            yield from (_from_list(path, file) if form is Format.JSON else _from_lines(file))


def _from_csv(path: Path, file: TextIO, turns: Turns) -> Iterator[Row]:
    reader = csv.reader(file, strict=True)
    header = [name.strip() for name in _cells(reader) or []]
    if any(map(UNDECODED.search, header)):
        raise UnreadableFile(file=str(path), reason="it is not UTF-8; save it as UTF-8")
    if not any(header) or len(set(header)) < len(header):
        raise UnreadableFile(file=str(path), reason="its first line must name each column once")
    while (cells := _cells(reader)) is not None:
        if isinstance(cells, str):
            yield Row(reader.line_num, {}, _broken("row", f"is not CSV: {cells}"))
        elif any(cells):
            yield _of_cells(reader.line_num, header, cells, turns)


def _cells(reader: Iterator[list[str]]) -> list[str] | str | None:
    """The next row, what is wrong with it, or None at the end."""
    try:
        return next(reader, None)
    except csv.Error as error:
        return str(error)


def _of_cells(line: int, header: Sequence[str], cells: Sequence[str], turns: Turns) -> Row:
    if len(cells) > len(header):
        return Row(line, {}, _broken("row", "has more cells than the header has columns"))
    if any(map(UNDECODED.search, cells)):
        return Row(line, {}, NOT_UTF_8)
    told = {name: _bare(cell) for name, cell in zip(header, cells, strict=False) if cell != ""}
    return Row(line, {name: turns[name](cell) if name in turns else cell for name, cell in told.items()})


def _from_lines(file: TextIO) -> Iterator[Row]:
    number = 0
    while text := file.readline(LONGEST_LINE):
        number += 1
        if len(text) == LONGEST_LINE and not text.endswith("\n"):
            while (rest := file.readline(LONGEST_LINE)) and not rest.endswith("\n"):
                pass
            yield Row(number, {}, _broken("row", "is longer than 1 MiB"))
        elif text.strip():
            yield _of_json(number, text)


def _of_json(number: int, text: str) -> Row:
    try:
        return _object(number, json.loads(text, parse_int=_whole))
    except (ValueError, RecursionError):
        return Row(number, {}, _broken("row", "is not JSON"))


class _TooLong:
    """In the place of a whole number that Python refuses to read."""


def _whole(digits: str) -> int | _TooLong:
    return _TooLong() if len(digits) > sys.get_int_max_str_digits() > 0 else int(digits)


def _object(number: int, value: Any) -> Row:
    if not isinstance(value, dict):
        return Row(number, {}, _broken("row", "is no JSON object"))
    inside: list[Any] = [value]
    while inside:
        match inside.pop():
            case dict() as found:
                inside += [*found, *found.values()]
            case list() as found:
                inside += found
            case str() as text if UNDECODED.search(text):
                return Row(number, {}, NOT_UTF_8)
            case _TooLong():
                return Row(number, {}, _broken("row", "holds a number with more digits than any that can be kept"))
    return Row(number, value)


def _from_list(path: Path, file: TextIO) -> Iterator[Row]:
    if path.stat().st_size > LARGEST_LIST:
        raise UnreadableFile(file=str(path), reason="it is larger than 64 MiB; use JSON lines")
    try:
        found = json.loads(file.read(), parse_int=_whole)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UnreadableFile(file=str(path), reason=f"it is not JSON: {str(error)[:100]}") from error
    if not isinstance(found, list):
        raise UnreadableFile(file=str(path), reason="it is no list of objects")
    for number, value in enumerate(found, 1):
        yield _object(number, value)


def _broken(field: str, reason: str) -> Malformed:
    return Malformed([Reason("field", {"field": field, "reason": reason})])


NOT_UTF_8 = _broken("row", "is not UTF-8; save the file as UTF-8")


def written(found: Iterable[Mapping[str, Any]], columns: Sequence[str], form: Format) -> Iterator[str]:
    """The file in pieces."""
    if form is Format.JSONL:
        yield from (f"{_json(row)}\n" for row in found)
    elif form is Format.JSON:
        before = "[\n"
        for row in found:
            yield f"{before}{_json(row)}"
            before = ",\n"
        yield "[]\n" if before == "[\n" else "\n]\n"
    else:
        yield from _as_csv(found, columns)


def _as_csv(found: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Iterator[str]:
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerow(columns)
    for row in found:
        writer.writerow([_cell(row.get(name)) for name in columns])
        yield sheet.getvalue()
        sheet.seek(0)
        sheet.truncate()
    yield sheet.getvalue()


def _cell(value: Any) -> str:
    """Text as it is, with an apostrophe before what a spreadsheet would run; everything else as JSON."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return _json(value)
    return guarded(value)


def guarded(text: str) -> str:
    """Text that no spreadsheet runs."""
    return f"{APOSTROPHE}{text}" if text.lstrip(APOSTROPHE).startswith(RISKY) else text


def _bare(cell: str) -> str:
    """
    >>> _bare(_cell("=1+1")), _bare(_cell("'=1")), _bare("'s Hertogenbosch")
    ('=1+1', "'=1", "'s Hertogenbosch")
    """
    guarded = cell.startswith(APOSTROPHE) and cell.lstrip(APOSTROPHE).startswith(RISKY)
    return cell[1:] if guarded else cell


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
