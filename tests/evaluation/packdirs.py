"""Packs of facts on disk for tests: rows as text, in the documented columns."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from evaluation.packs.columns import TABLES

COLUMNS = {table.name: table.names for table in TABLES}


def a_pack(
    directory: Path, *, start: str, end: str, params: Mapping[str, Any] | None = None, **tables: Sequence[Mapping[str, Any]]
) -> Path:
    """Write run.json and one CSV per table given; missing cells stay empty."""
    directory.mkdir(parents=True, exist_ok=True)
    run: dict[str, Any] = {"period_from": start, "period_to": end, "scheme": "WPC-OPEN-2026.1"}
    if params is not None:
        run["params"] = dict(params)
    (directory / "run.json").write_text(json.dumps(run), encoding="utf-8")
    for name, rows in tables.items():
        lines = [",".join(COLUMNS[name])]
        lines += [",".join(str(row.get(column, "")) for column in COLUMNS[name]) for row in rows]
        (directory / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return directory


class Day:
    """One local day as a pack: `at("09:00")` is an instant of it, `at("27:00")` one of the next day."""

    def __init__(self, day: str = "2026-03-10", zone: str = "Asia/Shanghai") -> None:
        self.day, self.zone, self.tz = date.fromisoformat(day), ZoneInfo(zone), zone

    def at(self, clock: str) -> str:
        hours, minutes, *seconds = (int(part) for part in clock.split(":"))
        day = self.day + timedelta(days=hours // 24)
        instant = datetime(day.year, day.month, day.day, hours % 24, minutes, *seconds, tzinfo=self.zone)
        return instant.isoformat()

    def unit(self, **more: Any) -> dict[str, Any]:
        return {"unit_id": "u1", "name": "line", "owner_org": "o1", "kind": "pilot_line", "capacity": 1, "tz": self.tz, **more}

    def open(self, start: str = "09:00", end: str = "17:00") -> dict[str, Any]:
        return {"unit_id": "u1", "start": self.at(start), "end": self.at(end)}

    def segment(self, state: str, start: str, end: str, meter: str = "m1") -> dict[str, Any]:
        return {"unit_id": "u1", "meter_id": meter, "start": self.at(start), "end": self.at(end), "state": state}

    def booking(self, key: str, start: str, end: str, category: str = "ext", **more: Any) -> dict[str, Any]:
        return {"booking_id": key, "unit_id": "u1", "start": self.at(start), "end": self.at(end), "qty": 1, "category": category,
                "user_org": f"firm-{key}", "user_person": f"person-{key}", "related_party": 0, **more}  # fmt: skip

    def down(self, kind: str, start: str, end: str, recorded: str = "") -> dict[str, Any]:
        return {"unit_id": "u1", "start": self.at(start), "end": self.at(end), "kind": kind,
                "recorded_at": self.at(recorded) if recorded else ""}  # fmt: skip

    def signed(self, key: str, start: str, end: str, provider: int = 1, user: int = 1) -> dict[str, Any]:
        return {"unit_id": "u1", "booking_id": key, "start": self.at(start), "end": self.at(end),
                "provider_signed": provider, "user_signed": user}  # fmt: skip

    def filled(self, telemetry: Sequence[tuple[str, str, str]], silence: Sequence[tuple[str, str]] = ()) -> list[dict[str, Any]]:
        """Segments of the whole day and a day around it: as told, OFF elsewhere, nothing where there is silence."""
        minutes = dict.fromkeys(range(-1440, 2880), "OFF")
        for state, start, end in telemetry:
            minutes |= dict.fromkeys(range(_minute(start), _minute(end)), state)
        for start, end in silence:
            minutes |= dict.fromkeys(range(_minute(start), _minute(end)), "")
        found: list[dict[str, Any]] = []
        since = -1440
        for minute in range(-1439, 2881):
            if minute == 2880 or minutes[minute] != minutes[since]:
                if minutes[since]:
                    found.append({"unit_id": "u1", "meter_id": "m1", "start": self._instant(since), "end": self._instant(minute),
                                  "state": minutes[since]})  # fmt: skip
                since = minute
        return found

    def _instant(self, minute: int) -> str:
        midnight = datetime(self.day.year, self.day.month, self.day.day, tzinfo=self.zone)
        return (midnight + timedelta(minutes=minute)).isoformat()

    def pack(self, directory: Path, **tables: Any) -> Path:
        tables.setdefault("units", [self.unit()])
        tables.setdefault("calendar", [self.open()])
        return a_pack(directory, start=self.at("00:00"), end=self.at("24:00"), **tables)


def _minute(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)
