"""Writes a pack: facts as CSV and Parquet, metrics, scores, the scheme's text, run.json, and datapackage.json over all."""

import csv
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from evaluation.document import as_document
from evaluation.facts import Facts, Parameters, UnitFacts
from evaluation.packs import columns
from evaluation.packs.columns import SCHEMA_TYPES, TABLES, Column, Table
from evaluation.packs.computing import SCHEME_FILE, compute
from evaluation.scoring import Scheme
from evaluation.spans import Span

RESULTS = {"metrics": ("scope", "id", "metric", "value"), "scores": ("org_id", "indicator", "points")}
MEDIA = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet", "toml": "application/toml", "json": "application/json"}


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a pack says of itself: up to when facts were taken, and by which version of the code they are computed."""

    cut_off: datetime
    code_version: str


Rows = Mapping[str, Sequence[Sequence[str]]]
"""Text cells by table name, in the documented columns."""


def write_facts_pack(
    directory: Path, *, facts: Facts, scheme: Scheme, stamp: Stamp, evidence: Mapping[tuple[str, str], str] | None = None
) -> dict[str, Any]:
    """Write the pack into `directory` (made if missing) and return its evaluation as the documented JSON.

    Instants are written in the scheme's zone. The same facts give the same bytes.
    """
    rows = fact_rows(facts, scheme.zone, evidence or {})
    return write_rows_pack(directory, rows=rows, period=facts.period, scheme=scheme, stamp=stamp)


def write_rows_pack(directory: Path, *, rows: Rows, period: Span, scheme: Scheme, stamp: Stamp) -> dict[str, Any]:
    """The same from rows that were kept as text, such as those of a frozen revision."""
    directory.mkdir(parents=True, exist_ok=True)
    for table in TABLES:
        _write_csv(directory / table.file, table.names, rows[table.name])
        pq.write_table(arrow_table(table, rows[table.name]), directory / f"{table.name}.parquet", compression="zstd")
    (directory / SCHEME_FILE).write_text(scheme.source, encoding="utf-8")
    inputs = {table.file: digest(directory / table.file) for table in TABLES} | {SCHEME_FILE: digest(directory / SCHEME_FILE)}
    (directory / "run.json").write_bytes(_json(_run(period, scheme, stamp, inputs)))
    document = as_document(compute(directory)[0])  # from the written files, as any reader will
    for name, names in RESULTS.items():
        _write_csv(directory / f"{name}.csv", names, result_rows(document)[name])
    (directory / "datapackage.json").write_bytes(describe(directory, scheme, stamp))
    return document


def digest(path: Path) -> str:
    """`sha256:` and the hash of a file's bytes."""
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def result_rows(document: Mapping[str, Any]) -> dict[str, list[list[str]]]:
    """The results as rows: figures, exact seconds, ledger and bookings in `metrics`, points and grades in `scores`."""
    metrics: list[list[str]] = []
    for unit_id, unit in document["units"].items():
        metrics += _figure_rows("unit", unit_id, unit)
        metrics += [["seconds", unit_id, code, _cell(value)] for code, value in unit["seconds"].items()]
    for unit_id, ledger in document["ledger"].items():
        metrics += [["ledger", unit_id, state, str(count)] for state, count in ledger.items()]
    for booking_id, booking in document["bookings"].items():
        metrics += [["booking", booking_id, code, _cell(value)] for code, value in booking.items() if code != "flags"]
    for org_id, organisation in document["organisations"].items():
        metrics += _figure_rows("organisation", org_id, organisation)
    scores: list[list[str]] = []
    for org_id, score in document["scores"].items():
        scores += [[org_id, code, points] for code, points in score["indicators"].items()]
        scores += [
            [org_id, "total", score["total"]],
            [org_id, "grade", score["grade"]],
            [org_id, "gates", " ".join(score["gates"])],
        ]
    return {"metrics": metrics, "scores": scores}


def _figure_rows(scope: str, key: str, found: Mapping[str, Any]) -> list[list[str]]:
    return [[scope, key, code, _cell(value)] for code, value in found.items() if not isinstance(value, (dict, list))]


def fact_rows(facts: Facts, zone: ZoneInfo, evidence: Mapping[tuple[str, str], str]) -> dict[str, list[list[str]]]:
    """Every fact as text cells in the documented columns, ordered so that equal facts give equal files."""
    rows: dict[str, list[list[Any]]] = {table.name: [] for table in TABLES}
    for one in facts.units:
        _unit_rows(one, rows)
    for org_id, values in sorted(facts.manual.items()):
        rows["organisation"] += [[org_id, name, _number(value)] for name, value in sorted(values.items())]
    rows["organisation"] += [[org_id, f"{name}.evidence", text] for (org_id, name), text in sorted(evidence.items())]
    return {table.name: [_texts(table, row, zone) for row in rows[table.name]] for table in TABLES}


def _unit_rows(one: UnitFacts, rows: Mapping[str, list[list[Any]]]) -> None:
    u = one.unit
    rows["units"].append(
        [
            u.id,
            u.name,
            u.owner_org,
            u.kind,
            u.capacity,
            u.zone.key,
            u.quota_hours,
            u.listed_from,
            u.decommissioned_on,
            u.value_minor,
        ]
    )
    rows["calendar"] += [[u.id, *span] for span in sorted(one.calendar)]
    rows["downtime"] += [[u.id, *row] for row in sorted(one.downtime, key=lambda row: (row.start, row.end, row.kind))]
    rows["bookings"] += [
        [b.id, u.id, b.start, b.end, b.qty, b.status, b.user_org, b.user_person, b.category, b.purpose, int(b.related_party),
         b.submitted_at, b.decided_at, b.cancelled_at, b.fee_minor, b.refund_minor, b.rating, int(b.sme)]
        for b in sorted(one.bookings, key=lambda b: (b.start, b.id))
    ]  # fmt: skip
    rows["segments"] += [[u.id, s.meter_id, s.start, s.end, s.state] for s in sorted(one.segments)]
    rows["attestations"] += [
        [u.id, a.booking_id, a.start, a.end, int(a.provider_signed), int(a.user_signed)]
        for a in sorted(one.attestations, key=lambda a: (a.start, a.end, a.booking_id or ""))
    ]
    rows["requests"] += [
        [r.id, u.id, r.user_org, r.submitted_at, r.answered_at, r.outcome]
        for r in sorted(one.requests, key=lambda r: (r.submitted_at, r.id))
    ]


def _texts(table: Table, row: Sequence[Any], zone: ZoneInfo) -> list[str]:
    return [_text(column, value, zone) for column, value in zip(table.columns, row, strict=True)]


def _text(column: Column, value: Any, zone: ZoneInfo) -> str:
    if value is None:
        return ""
    if column.parse is columns.instant:
        return datetime.fromtimestamp(value, UTC).astimezone(zone).isoformat()
    return _number(value) if isinstance(value, Fraction) else str(value)


def _number(value: Fraction) -> str:
    """A terminating decimal exactly; anything else to nine digits, which readers take as the fact."""
    scaled = value * 10**9
    digits = f"{abs(round(scaled)):010d}"
    text = f"{'-' if value < 0 else ''}{digits[:-9]}.{digits[-9:]}"
    return text.rstrip("0").rstrip(".")


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def _write_csv(path: Path, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        plain, quoted = (csv.writer(stream, lineterminator="\n", quoting=how) for how in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
        plain.writerow(names)
        for row in rows:
            (quoted if "\r" in "".join(row) else plain).writerow(row)  # a bare one would end the line for readers


def arrow_table(table: Table, rows: Sequence[Sequence[str]]) -> Any:
    """Typed columns (instants in UTC), the same rows in the same order."""
    return pa.table(
        {
            column.name: pa.array([_typed(column, row[at]) for row in rows], _arrow(column))
            for at, column in enumerate(table.columns)
        }
    )


def _arrow(column: Column) -> Any:
    kinds = {
        "datetime": pa.timestamp("ms", "UTC"),
        "date": pa.date32(),
        "integer": pa.int64(),
        "number": pa.string(),
        "string": pa.string(),
    }
    return kinds[SCHEMA_TYPES[column.parse.__name__]]


def _typed(column: Column, text: str) -> Any:
    if not text:
        return None
    kind = SCHEMA_TYPES[column.parse.__name__]
    if kind == "datetime":
        return datetime.fromisoformat(text)
    if kind == "date":
        return date.fromisoformat(text)
    return int(text) if kind == "integer" else text


def _run(period: Span, scheme: Scheme, stamp: Stamp, inputs: Mapping[str, str]) -> dict[str, Any]:
    start, end = (datetime.fromtimestamp(at, UTC).astimezone(scheme.zone).isoformat() for at in period)
    params = {f.name: _param(getattr(scheme.params, f.name)) for f in fields(Parameters)}
    return {
        "period_from": start,
        "period_to": end,
        "scheme": f"{scheme.id}-{scheme.version}",
        "params": params,
        "cut_off": stamp.cut_off.astimezone(UTC).isoformat(),
        "code_version": stamp.code_version,
        "inputs": dict(inputs),
    }


def _param(value: int | Fraction) -> int | str:
    return value if isinstance(value, int) else str(value)


def describe(directory: Path, scheme: Scheme, stamp: Stamp) -> bytes:
    """The text of datapackage.json for the files that lie in `directory`."""
    resources = [*_fact_resources(directory), *_result_resources(directory)]
    for name in (SCHEME_FILE, "run.json"):
        resources.append(_resource(directory, name.replace(".", "-"), name))
    package = {
        "profile": "data-package",
        "name": f"pilotbench-{scheme.id}-{scheme.version}".lower(),
        "title": scheme.title_zh,
        "version": stamp.code_version,
        "created": stamp.cut_off.astimezone(UTC).isoformat(),
        "resources": resources,
    }
    return _json(package)


def _fact_resources(directory: Path) -> Iterator[dict[str, Any]]:
    for table in TABLES:
        schema = {"fields": [_field(column) for column in table.columns], "missingValues": [""]}
        yield {**_resource(directory, table.name, table.file), "profile": "tabular-data-resource", "schema": schema}
        yield _resource(directory, f"{table.name}-parquet", f"{table.name}.parquet")


def _result_resources(directory: Path) -> Iterator[dict[str, Any]]:
    for name, names in RESULTS.items():
        schema = {"fields": [{"name": column, "type": "string"} for column in names], "missingValues": [""]}
        yield {**_resource(directory, name, f"{name}.csv"), "profile": "tabular-data-resource", "schema": schema}


def _field(column: Column) -> dict[str, Any]:
    constraints: dict[str, Any] = {"required": True} if column.required else {}
    if values := column.parse.__dict__.get("values"):
        constraints["enum"] = values
    found: dict[str, Any] = {"name": column.name, "type": SCHEMA_TYPES[column.parse.__name__]}
    return {**found, "constraints": constraints} if constraints else found


def _resource(directory: Path, name: str, file: str) -> dict[str, Any]:
    path = directory / file
    suffix = path.suffix.removeprefix(".")
    return {
        "name": name.lower(),
        "path": file,
        "format": suffix,
        "mediatype": MEDIA[suffix],
        "bytes": path.stat().st_size,
        "hash": digest(path),
    }


def _json(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n"
