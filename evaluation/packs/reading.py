"""Reads a pack of facts from a directory: run.json and units.csv are required, the other tables may be absent."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from evaluation.facts import Attestation, Facts, Outage, Request, Reservation, Segment, Unit, UnitFacts
from evaluation.packs import columns
from evaluation.packs.cells import PackRefused, Problem, Problems, rows
from evaluation.packs.columns import BadCell, Table, instant
from evaluation.spans import Span

MARGIN_S = 86400
"""Facts reach this far beyond the period, and open ends end there."""
MAX_PERIOD_S = 1100 * 86400
"""Three years: longer than any assessment cycle."""
EARLIEST_S, LATEST_S = -(70 * 366 * 86400), 8000 * 365 * 86400
"""Periods lie between about 1900 and 9960, so that no local date near them leaves the calendar."""
MAX_RUN_BYTES = 10 << 20


@dataclass(frozen=True, slots=True)
class Run:
    """What run.json says: the period in seconds, the scheme's name, parameters and zone that differ from the scheme's."""

    period: Span
    scheme: str | None
    params: dict[str, Any]
    zone: ZoneInfo | None


def read_run(directory: Path) -> Run:
    """Raises: PackRefused."""
    path = directory / "run.json"
    if not path.is_file():
        raise PackRefused([Problem("run.json", None, None, f"is missing in {directory.name or directory}; a pack needs it")])
    try:
        if path.stat().st_size > MAX_RUN_BYTES:
            raise ValueError(f"is larger than {MAX_RUN_BYTES} bytes")
        data = orjson.loads(path.read_bytes())
        if not isinstance(data, dict):
            raise ValueError("must be a JSON object")
    except ValueError as error:
        raise PackRefused([Problem("run.json", None, None, f"cannot be read: {error}; write a JSON object")]) from error
    return _run(data)


def _run(data: dict[str, Any]) -> Run:
    problems = Problems()
    ends: list[int] = []
    for name in ("period_from", "period_to"):
        try:
            ends.append(instant(data[name]))
        except (KeyError, TypeError):
            problems.add("run.json", None, name, "is missing; write an instant such as 2026-01-01T00:00:00+08:00")
        except BadCell as error:
            problems.add("run.json", None, name, str(error))
    if len(ends) == 2 and not 0 < ends[1] - ends[0] <= MAX_PERIOD_S:
        problems.add("run.json", None, "period_to", "must lie after period_from, by at most 1,100 days")
    if any(not EARLIEST_S <= end <= LATEST_S for end in ends):
        problems.add("run.json", None, "period_from", "and period_to must lie between 1900 and 9900")
    scheme, params = data.get("scheme"), data.get("params") or {}
    if scheme is not None and not isinstance(scheme, str):
        problems.add("run.json", None, "scheme", "must be text, such as WPC-OPEN-2026.1")
    if not isinstance(params, dict):
        problems.add("run.json", None, "params", 'must be an object, such as {"merge_gap_s": 600}')
    zone = _zone(params, problems) if isinstance(params, dict) else None
    problems.refuse_if_any()
    others = {name: value for name, value in params.items() if name != "tz"}
    return Run((ends[0], ends[1]), scheme, others, zone)


def _zone(params: dict[str, Any], problems: Problems) -> ZoneInfo | None:
    try:
        return columns.zone(str(params["tz"])) if "tz" in params else None
    except BadCell as error:
        problems.add("run.json", None, "params.tz", str(error))
        return None


def read_facts(directory: Path, period: Span, zone: ZoneInfo) -> tuple[Facts, dict[tuple[str, str], str]]:
    """All facts, and the evidence references of organisation.csv by (organisation, indicator).

    Units without a zone of their own are in `zone`.
    Raises: PackRefused with every problem found; either the whole pack is read or nothing.
    """
    if not (directory / columns.UNITS.file).is_file():
        raise PackRefused([Problem("units.csv", None, None, "is missing; a pack needs it")])
    reader = _Reader(directory, period, zone)
    units = reader.units()
    calendar = reader.calendar()
    downtime = reader.downtime()
    bookings = reader.bookings()
    segments = reader.segments()
    attestations = reader.attestations({b.id: unit_id for unit_id, many in bookings.items() for b in many})
    requests = reader.requests()
    manual, evidence = reader.manual({unit.owner_org for unit in units})
    reader.problems.refuse_if_any()
    found = tuple(
        UnitFacts(
            unit=unit,
            calendar=calendar[unit.id],
            downtime=downtime[unit.id],
            bookings=bookings[unit.id],
            segments=segments[unit.id],
            attestations=attestations[unit.id],
            requests=requests[unit.id],
        )
        for unit in units
    )
    return Facts(period, found, manual), evidence


class _Reader:
    """Reads table after table, with the units known so far and the problems found so far."""

    def __init__(self, directory: Path, period: Span, zone: ZoneInfo) -> None:
        self.directory = directory
        self.zone = zone
        self.begin, self.finish = period[0] - MARGIN_S, period[1] + MARGIN_S
        self.problems = Problems()
        self.capacity: dict[str, int] = {}

    def _rows(self, table: Table) -> Any:
        return rows(self.directory, table, self.problems)

    def _knows(self, table: Table, line: int, unit_id: str) -> bool:
        if unit_id in self.capacity:
            return True
        self.problems.add(table.file, line, "unit_id", f"{unit_id!r} is not in units.csv; add it there or correct the id")
        return False

    def _ordered(self, table: Table, line: int, start: int, end: int) -> bool:
        if start < end:
            return True
        self.problems.add(table.file, line, "end", "does not lie after start; swap or correct them")
        return False

    def _once(self, table: Table, line: int, key: str, fact: object, seen: dict[str, object]) -> bool:
        """Whether `fact` is new: a row that repeats another word for word says nothing more, one that contradicts it is wrong."""
        before = seen.setdefault(key, fact)
        if before is not fact and before != fact:
            self.problems.add(table.file, line, table.columns[0].name, f"{key!r} stands twice and differs; keep one row")
        return before is fact

    def units(self) -> list[Unit]:
        found: list[Unit] = []
        seen: dict[str, object] = {}
        for line, (key, name, owner, kind, capacity, tz, quota, listed, gone, value) in self._rows(columns.UNITS):
            if capacity is not None and not 1 <= capacity <= 1000:
                self.problems.add("units.csv", line, "capacity", "must be between 1 and 1000")
            if quota is not None and quota < 0:
                self.problems.add("units.csv", line, "quota_hours", "must not be negative; leave it empty if there is none")
            unit = Unit(key, name or key, owner, kind or "", capacity or 1, tz or self.zone, quota, listed, gone, value)
            if self._once(columns.UNITS, line, key, unit, seen):
                self.capacity[key] = unit.capacity
                found.append(unit)
        return found

    def calendar(self) -> dict[str, list[Span]]:
        found: dict[str, list[Span]] = defaultdict(list)
        for line, (unit_id, start, end) in self._rows(columns.CALENDAR):
            span = (self.begin if start is None else start, self.finish if end is None else end)
            if self._knows(columns.CALENDAR, line, unit_id) and self._ordered(columns.CALENDAR, line, *span):
                found[unit_id].append(span)
        return found

    def downtime(self) -> dict[str, list[Outage]]:
        found: dict[str, list[Outage]] = defaultdict(list)
        for line, (unit_id, start, end, kind, recorded_at) in self._rows(columns.DOWNTIME):
            until = max(self.finish, start + 1) if end is None else end
            if self._knows(columns.DOWNTIME, line, unit_id) and self._ordered(columns.DOWNTIME, line, start, until):
                found[unit_id].append(Outage(start, until, kind, recorded_at))
        return found

    def bookings(self) -> dict[str, list[Reservation]]:
        found: dict[str, list[Reservation]] = defaultdict(list)
        seen: dict[str, object] = {}
        table = columns.BOOKINGS
        for line, (key, unit_id, start, end, qty, status, org, person, use, purpose, related, submitted, decided, cancelled, fee,
                   refund, rating, sme) in self._rows(table):  # fmt: skip
            if not (self._knows(table, line, unit_id) and self._ordered(table, line, start, end)):
                continue
            if qty is not None and not 1 <= qty <= self.capacity[unit_id]:
                self.problems.add(table.file, line, "qty", f"must be between 1 and the unit's capacity {self.capacity[unit_id]}")
            booking = Reservation(key, start, end, use, qty or 1, columns.STATUSES.get(status), org, person, purpose,
                                  bool(related), submitted, decided, cancelled, fee, refund, rating, bool(sme))  # fmt: skip
            if self._once(table, line, key, (unit_id, booking), seen):
                found[unit_id].append(booking)
        return found

    def segments(self) -> dict[str, list[Segment]]:
        found: dict[str, list[Segment]] = {unit_id: [] for unit_id in self.capacity}
        table = columns.SEGMENTS
        for line, (unit_id, meter_id, start, end, state) in self._rows(table):
            first, last = self.begin if start is None else start, self.finish if end is None else end
            if first < last and unit_id in found:
                found[unit_id].append(Segment(first, last, state, meter_id or ""))
            elif end is not None or unit_id not in found:  # else still open, and begun after everything the pack speaks of
                _ = self._knows(table, line, unit_id) and self._ordered(table, line, first, last)
        return found

    def attestations(self, unit_of: Mapping[str, str]) -> dict[str, list[Attestation]]:
        found: dict[str, list[Attestation]] = defaultdict(list)
        table = columns.ATTESTATIONS
        for line, (unit_id, booking_id, start, end, provider, user) in self._rows(table):
            if booking_id is not None and unit_of.get(booking_id) != unit_id:
                self.problems.add(table.file, line, "booking_id", f"{booking_id!r} is no booking of this unit; correct the id")
            if self._knows(table, line, unit_id) and self._ordered(table, line, start, end):
                found[unit_id].append(Attestation(start, end, booking_id, bool(provider), bool(user)))
        return found

    def requests(self) -> dict[str, list[Request]]:
        found: dict[str, list[Request]] = defaultdict(list)
        seen: dict[str, object] = {}
        for line, (key, unit_id, org, submitted, answered, outcome) in self._rows(columns.REQUESTS):
            request = Request(key, org, submitted, answered, outcome)
            if self._knows(columns.REQUESTS, line, unit_id) and self._once(columns.REQUESTS, line, key, (unit_id, request), seen):
                found[unit_id].append(request)
        return found

    def manual(self, owners: set[str]) -> tuple[dict[str, dict[str, Fraction]], dict[tuple[str, str], str]]:
        """Values by organisation and indicator. A row `A1.evidence` refers to what supports A1."""
        values: dict[str, dict[str, Fraction]] = defaultdict(dict)
        evidence: dict[tuple[str, str], str] = {}
        for line, (org_id, indicator, text) in self._rows(columns.ORGANISATION):
            if org_id not in owners:
                self.problems.add("organisation.csv", line, "org_id", f"{org_id!r} owns no unit in units.csv; correct the id")
            elif indicator.endswith(".evidence"):
                evidence[org_id, indicator.removesuffix(".evidence")] = text or ""
            elif text is not None:
                self._enter(line, indicator, text, values[org_id])
        return values, evidence

    def _enter(self, line: int, indicator: str, text: str, values: dict[str, Fraction]) -> None:
        try:
            value = columns.number(text)
        except BadCell as error:
            self.problems.add("organisation.csv", line, "value", str(error))
            return
        if values.setdefault(indicator, value) != value:
            self.problems.add("organisation.csv", line, "indicator", f"{indicator!r} stands twice and differs; keep one row")
