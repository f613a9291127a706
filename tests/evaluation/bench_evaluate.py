"""How long a pack takes beside the barest sweep over the same files. Part of `make bench`."""

import csv
import random
import tempfile
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from evaluation.packs import evaluate_pack
from evaluation.spans import intersect, length, union
from tests.bench.frame import BenchRow, Better
from tests.evaluation.packdirs import a_pack

UNITS = 60
DAYS = 365
SEGMENTS_A_DAY = 6
YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def write_year(directory: Path, units: int) -> int:
    """A year of facts: about 2,190 segments, 260 bookings and 365 open stretches per unit. Returns the number of intervals."""
    chance = random.Random(20260101)
    calendar, bookings, segments = [], [], []
    for n in range(units):
        for day in range(DAYS):
            morning = YEAR + timedelta(days=day, hours=1)
            calendar.append({"unit_id": f"u{n}", "start": morning.isoformat(), "end": (morning + timedelta(hours=8)).isoformat()})
            if day % 7 < 5:
                span = {"start": morning.isoformat(), "end": (morning + timedelta(hours=chance.randint(1, 8))).isoformat()}
                user = {"category": chance.choice(["ext", "int", "self"]), "user_org": f"f{chance.randint(0, 50)}"}
                bookings.append({"booking_id": f"b{n}-{day}", "unit_id": f"u{n}", **span, **user})
            cuts = sorted(chance.sample(range(86400), SEGMENTS_A_DAY - 1))
            for start, stop in zip([0, *cuts], [*cuts, 86400], strict=True):
                midnight = YEAR + timedelta(days=day)
                segments.append({"unit_id": f"u{n}", "meter_id": "m", "start": (midnight + timedelta(seconds=start)).isoformat(),
                                 "end": (midnight + timedelta(seconds=stop)).isoformat(),
                                 "state": chance.choice(["RUN", "RUN", "IDLE", "OFF", "UNKNOWN"])})  # fmt: skip
    rows = [{"unit_id": f"u{n}", "owner_org": f"o{n % 10}", "quota_hours": 1400} for n in range(units)]
    a_pack(directory, start="2026-01-01T00:00:00+00:00", end="2027-01-01T00:00:00+00:00", units=rows, calendar=calendar,
           bookings=bookings, segments=segments)  # fmt: skip
    return len(calendar) + len(bookings) + len(segments)


def bare_plan(directory: Path) -> int:
    """Seconds of RUN inside bookings: read, parse, sort, one sweep per unit; no rules, no checks."""
    found: dict[str, dict[str, list[tuple[int, int]]]] = {}
    for name in ("segments", "bookings", "calendar"):
        by_unit = found[name] = defaultdict(list)
        with (directory / f"{name}.csv").open(newline="") as stream:
            for row in csv.DictReader(stream):
                if name != "segments" or row["state"] == "RUN":
                    ends = (int(datetime.fromisoformat(row[end]).timestamp()) for end in ("start", "end"))
                    by_unit[row["unit_id"]].append((next(ends), next(ends)))
    return sum(length(intersect(union(runs), union(found["bookings"][unit]))) for unit, runs in found["segments"].items())


def rows() -> list[BenchRow]:
    """One year of facts, recomputed in full."""
    with tempfile.TemporaryDirectory() as folder:
        intervals = write_year(Path(folder), UNITS)
        started = time.perf_counter()
        bare_plan(Path(folder))
        bare_s = time.perf_counter() - started
        started = time.perf_counter()
        evaluate_pack(Path(folder))
        ours_s = time.perf_counter() - started
    name = f"evaluate a pack, {UNITS} units, {intervals:,} intervals"
    return [BenchRow(name, "bare sweep", limit=bare_s, ours=ours_s, unit="s", floor=2, aim=1.25, better=Better.LOWER)]
