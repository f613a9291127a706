"""Recomputes a pack and lists every difference from what it claims."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from evaluation.document import as_document
from evaluation.facts import Parameters
from evaluation.packs.cells import PackRefused, Problem
from evaluation.packs.columns import TABLES, Table
from evaluation.packs.computing import SCHEME_FILE, compute, scheme_of
from evaluation.packs.reading import read_run
from evaluation.packs.writing import RESULTS, Stamp, arrow_table, describe, digest, result_rows
from evaluation.schemes import MalformedScheme, UnknownScheme, load_scheme

MAX_DIFFERENCES = 200
"""Printed at most: a pack that differs in more places is simply another pack."""


def verify(directory: Path) -> list[str]:
    """One line per difference, none where the pack is what it says.

    Checks files against datapackage.json, Parquet against CSV, the scheme and its parameters against the shipped ones,
    metrics and scores against what the facts give, and datapackage.json itself against what describes these files. What
    cannot be read is a difference too.

    Raises: PackRefused where there is no datapackage.json.
    """
    package = directory / "datapackage.json"
    if not package.is_file():
        raise PackRefused([Problem("datapackage.json", None, None, "is missing; only a written pack can be verified")])
    found: dict[str, None] = {}
    for check in (_files, _inputs, _parquet, _scheme, _params, _results):
        for difference in _told(check, directory):
            found[difference] = None
            if len(found) >= MAX_DIFFERENCES:
                return list(found)
    return list(found) or list(_told(_description, directory))


def _told(check: Callable[[Path], Iterator[str]], directory: Path) -> Iterator[str]:
    """The differences, and what kept the check from going on."""
    try:
        yield from check(directory)
    except PackRefused as refusal:
        yield from (str(problem) for problem in refusal.problems)
    except UnknownScheme as refusal:
        yield f"run.json: scheme {refusal.values['name']} is not one that ships here, and {SCHEME_FILE} is another"
    except MalformedScheme as refusal:
        yield f"{SCHEME_FILE}: {refusal.values['problem']}"


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
    if not (isinstance(claimed, list) and all(isinstance(resource, dict) for resource in claimed)):
        yield "datapackage.json: resources is no list of objects"
        return
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
    plain = {path.name for path in directory.iterdir() if path.is_file() and not path.is_symlink()}
    return directory / name if name in plain else None


def _inputs(directory: Path) -> Iterator[str]:
    inputs = _read_json(directory / "run.json").get("inputs", {})
    if not isinstance(inputs, dict):
        yield "run.json: inputs is no object"
        return
    for name, claimed in inputs.items():
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
    except (
        ValueError,
        IndexError,
        OverflowError,
        OSError,
        csv.Error,
        pa.ArrowException,
    ):  # what neither can be read as is a difference
        return False


def _scheme(directory: Path) -> Iterator[str]:
    name = str(_read_json(directory / "run.json").get("scheme"))
    path = directory / SCHEME_FILE
    text = path.read_bytes() if path.is_file() else b""
    try:
        if load_scheme(name).source.encode() != text:
            yield f"{SCHEME_FILE}: differs from the published {name}"
    except UnknownScheme:
        yield f"run.json: scheme {name} is not one that ships here; {SCHEME_FILE} was taken as it is"


def _params(directory: Path) -> Iterator[str]:
    """A written pack takes its scheme's numbers; only `year_share` is the run's own, and the points depend on it."""
    run = read_run(directory)
    stated, published = scheme_of(directory, run), scheme_of(directory, replace(run, params={}, zone=None))
    for name in (field.name for field in fields(Parameters) if field.name != "year_share"):
        said, meant = getattr(stated.params, name), getattr(published.params, name)
        if said != meant:
            yield f"run.json: params.{name} is {said}, the scheme says {meant}"
    if stated.zone != published.zone:
        yield f"run.json: params.tz is {stated.zone.key}, the scheme says {published.zone.key}"


def _results(directory: Path) -> Iterator[str]:
    computed = result_rows(as_document(compute(directory)[0]))
    for name, keys in RESULTS.items():
        path = directory / f"{name}.csv"
        try:
            header, *claimed = _csv_rows(path) if path.is_file() else [list(keys)]
        except (ValueError, csv.Error) as error:
            yield f"{path.name}: cannot be read: {error}"
            continue
        if tuple(header) != keys:
            yield f"{path.name}: its header is not {','.join(keys)}"
        yield from _differences(name, len(keys) - 1, claimed, computed[name])


def _differences(name: str, width: int, claimed: Sequence[Sequence[str]], computed: Sequence[Sequence[str]]) -> Iterator[str]:
    said, found = _by_key(claimed, width), _by_key(computed, width)
    for key in sorted({*said, *found}):
        if said.get(key) != found.get(key):
            yield f"{name}.csv: {' '.join(key)} says {said.get(key, 'nothing')}, the facts give {found.get(key, 'nothing')}"
    if said == found and sorted(map(list, claimed)) != sorted(map(list, computed)):
        yield f"{name}.csv: has rows that repeat or contradict others, or with more or fewer cells than the header"


def _description(directory: Path) -> Iterator[str]:
    """Whatever datapackage.json says beside sizes and hashes: names, titles, types, the stamp that run.json holds."""
    run = _read_json(directory / "run.json")
    try:
        stamp = Stamp(datetime.fromisoformat(run["cut_off"]), str(run["code_version"]))
    except (KeyError, TypeError, ValueError):
        yield "run.json: cut_off or code_version is missing or cannot be read"
        return
    expected = describe(directory, scheme_of(directory, read_run(directory)), stamp)
    if (directory / "datapackage.json").read_bytes() != expected:
        yield "datapackage.json: differs from what describes these files"


def _by_key(rows: Sequence[Sequence[str]], width: int) -> Mapping[tuple[str, ...], str]:
    return {tuple(row[:width]): row[width] for row in rows if len(row) > width}
