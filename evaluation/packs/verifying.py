"""Recomputes a pack and lists every difference from what it claims."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq

from evaluation.document import as_document
from evaluation.packs.cells import PackRefused, Problem
from evaluation.packs.columns import TABLES, Table
from evaluation.packs.computing import SCHEME_FILE, compute
from evaluation.packs.writing import RESULTS, arrow_table, digest, result_rows
from evaluation.schemes import UnknownScheme, load_scheme

MAX_DIFFERENCES = 200
"""Printed at most: a pack that differs in more places is simply another pack."""


def verify(directory: Path) -> list[str]:
    """One line per difference, none where the pack is what it says. Checks files against datapackage.json, Parquet against
    CSV, the scheme against the shipped one, and metrics and scores against what the facts give.

    Raises: PackRefused where the pack cannot be read at all.
    """
    package = directory / "datapackage.json"
    if not package.is_file():
        raise PackRefused([Problem("datapackage.json", None, None, "is missing; only a written pack can be verified")])
    found: list[str] = []
    for check in (_files, _inputs, _parquet, _scheme, _results):
        for difference in check(directory):
            found.append(difference)
            if len(found) >= MAX_DIFFERENCES:
                return found
    return found


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = orjson.loads(path.read_bytes())
        if not isinstance(data, dict):
            raise ValueError("no object")
    except (OSError, ValueError) as error:
        raise PackRefused([Problem(path.name, None, None, f"cannot be read: {error}")]) from error
    return data


def _files(directory: Path) -> Iterator[str]:
    claimed = _read_json(directory / "datapackage.json").get("resources", [])
    for resource in claimed:
        path = _inside(directory, str(resource.get("path", "")))
        if path is None:
            yield f"datapackage.json: {resource.get('path')!r} is no file of this pack"
        elif path.stat().st_size != resource.get("bytes") or digest(path) != resource.get("hash"):
            yield f"{path.name}: differs from the size or hash in datapackage.json"
    names = {str(resource.get("path")) for resource in claimed}
    wanted = {table.file for table in TABLES} | {f"{name}.csv" for name in RESULTS} | {SCHEME_FILE, "run.json"}
    for name in sorted(wanted - names):
        yield f"datapackage.json: does not list {name}"


def _inside(directory: Path, name: str) -> Path | None:
    """Only plain names: a pack from outside must not make us read elsewhere."""
    path = directory / name
    return path if name and Path(name).name == name and path.is_file() and not path.is_symlink() else None


def _inputs(directory: Path) -> Iterator[str]:
    for name, claimed in _read_json(directory / "run.json").get("inputs", {}).items():
        path = _inside(directory, name)
        if path is None or digest(path) != claimed:
            yield f"run.json: {name} is not the input that was evaluated"


def _parquet(directory: Path) -> Iterator[str]:
    for table in TABLES:
        path = directory / f"{table.name}.parquet"
        if not path.is_file() or not (directory / table.file).is_file():
            yield f"{table.name}: the table is missing as Parquet or as CSV"
        elif not _agree(directory / table.file, path, table):
            yield f"{path.name}: its rows differ from {table.file}"


def _csv_rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.reader(stream))


def _agree(text: Path, parquet: Path, table: Table) -> bool:
    try:
        written = pq.read_table(parquet)
        return bool(written.equals(arrow_table(table, _csv_rows(text)[1:])))
    except (ValueError, IndexError, OSError):  # what neither can be read as is a difference
        return False


def _scheme(directory: Path) -> Iterator[str]:
    name = str(_read_json(directory / "run.json").get("scheme"))
    text = (directory / SCHEME_FILE).read_text(encoding="utf-8") if (directory / SCHEME_FILE).is_file() else ""
    try:
        if load_scheme(name).source != text:
            yield f"{SCHEME_FILE}: differs from the published {name}"
    except UnknownScheme:
        yield f"run.json: scheme {name} is not one that ships here; {SCHEME_FILE} was taken as it is"


def _results(directory: Path) -> Iterator[str]:
    computed = result_rows(as_document(compute(directory)[0]))
    for name, keys in RESULTS.items():
        path = directory / f"{name}.csv"
        claimed = _csv_rows(path)[1:] if path.is_file() else []
        yield from _differences(name, len(keys) - 1, claimed, computed[name])


def _differences(name: str, width: int, claimed: Sequence[Sequence[str]], computed: Sequence[Sequence[str]]) -> Iterator[str]:
    said, found = _by_key(claimed, width), _by_key(computed, width)
    for key in sorted({*said, *found}):
        if said.get(key) != found.get(key):
            yield f"{name}.csv: {' '.join(key)} says {said.get(key, 'nothing')}, the facts give {found.get(key, 'nothing')}"


def _by_key(rows: Sequence[Sequence[str]], width: int) -> Mapping[tuple[str, ...], str]:
    return {tuple(row[:width]): row[width] for row in rows if len(row) > width}
