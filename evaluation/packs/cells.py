"""Reads one CSV table of a pack strictly: every problem with file, line, column and what to do; nothing half-read."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluation.packs.columns import BadCell, Table
from marketplace.refusals import Refusal

MAX_BYTES = 4 << 30
"""Of one file: a year of 10,000 units has 20 million segments of about 100 bytes."""
MAX_ROWS = 30_000_000
MAX_PROBLEMS = 20
"""Shown at once: a person mends the first ones and tries again."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong and what to do; `line` counts from 1 with the header, None where the whole file is meant."""

    file: str
    line: int | None
    column: str | None
    text: str

    def __str__(self) -> str:
        place = self.file + (f", line {self.line}" if self.line else "") + (f", column {self.column}" if self.column else "")
        return f"{place}: {self.text}"


class PackRefused(Refusal):
    """A pack cannot be read. `problems` has every reason found, at most `MAX_PROBLEMS`."""

    code = "pack_refused"

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems=[str(problem) for problem in problems])
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


@dataclass(slots=True)
class Problems:
    """Collects problems and stops the reading when there are enough of them."""

    found: list[Problem] = field(default_factory=list)

    def add(self, file: str, line: int | None, column: str | None, text: str) -> None:
        self.found.append(Problem(file, line, column, text))
        if len(self.found) >= MAX_PROBLEMS:
            raise PackRefused(self.found)

    def refuse_if_any(self) -> None:
        if self.found:
            raise PackRefused(self.found)


Row = tuple[int, list[Any]]
"""A line number and one value per column of the table, None where the cell is empty or the column absent."""


def rows(directory: Path, table: Table, problems: Problems) -> Iterator[Row]:
    """The rows of `table`, none where the file is absent; bad rows are left out and noted in `problems`."""
    path = directory / table.file
    if not path.is_file():
        if path.exists() or path.is_symlink():
            problems.add(table.file, None, None, "is no file; put the table itself there")
        return
    if path.stat().st_size > MAX_BYTES:
        problems.add(table.file, None, None, f"is larger than {MAX_BYTES >> 30} GiB; split the pack by organisation")
        return
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            yield from _parsed(csv.reader(stream, strict=True), table, problems)
    except UnicodeDecodeError as error:
        problems.add(table.file, None, None, f"is not UTF-8 (byte {error.start}); save it as CSV UTF-8")
    except csv.Error as error:
        problems.add(table.file, None, None, f"is no CSV: {error}; save it again as CSV UTF-8")
    except OSError as error:
        problems.add(table.file, None, None, f"cannot be read: {error.strerror}")


def _parsed(reader: Iterator[list[str]], table: Table, problems: Problems) -> Iterator[Row]:
    header = next(reader, None)
    if header is None:
        problems.add(table.file, 1, None, f"is empty; the first line names the columns: {','.join(table.names)}")
        return
    places = _places(header, table, problems)
    if places is None:
        return
    plan = [(at, column.parse) for column, at in zip(table.columns, places, strict=True)]
    needed = [at for column, at in zip(table.columns, places, strict=True) if column.required]
    width = len(header)
    for number, cells in enumerate(reader, 2):
        if len(cells) != width or number > MAX_ROWS:
            if not cells:
                continue
            if number > MAX_ROWS:
                problems.add(table.file, number, None, f"has more than {MAX_ROWS} rows; split the pack by organisation")
                return
            text = f"has {len(cells)} cells where the header has {width}; check commas and quotes"
            problems.add(table.file, number, None, text)
            continue
        cells.append("")  # what a column that the header lacks holds
        try:
            values = [parse(cells[at]) if cells[at] else None for at, parse in plan]
        except BadCell:
            values = None
        if values is None or "" in map(cells.__getitem__, needed):
            _explain(number, cells, table, places, problems)
        else:
            yield number, values


def _explain(number: int, cells: Sequence[str], table: Table, places: Sequence[int], problems: Problems) -> None:
    """Read a row that failed once more, cell by cell, and note the first that is at fault."""
    for column, at in zip(table.columns, places, strict=True):
        if not cells[at]:
            if column.required:
                problems.add(table.file, number, column.name, "is empty; every row needs it")
                return
            continue
        try:
            column.parse(cells[at])
        except BadCell as error:
            problems.add(table.file, number, column.name, str(error))
            return


def _places(header: Sequence[str], table: Table, problems: Problems) -> list[int] | None:
    """Where each column stands in a row, absent ones just behind its end; None when the header itself is wrong."""
    names = [name.strip() for name in header]
    wrong = [name for name in names if name not in table.names]
    missing = [column.name for column in table.columns if column.required and column.name not in names]
    for name in wrong:
        problems.add(
            table.file, 1, name, f"is no column of this table; remove it or rename it to one of {', '.join(table.names)}"
        )
    for name in missing:
        problems.add(table.file, 1, name, "is missing from the header; add the column")
    if len(set(names)) != len(names):
        problems.add(table.file, 1, None, "names a column twice; keep one")
    if wrong or missing or len(set(names)) != len(names):
        return None
    return [names.index(name) if name in names else len(names) for name in table.names]
