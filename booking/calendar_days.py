"""Public holidays as data: the days off, and the weekends on which is worked instead. One file a country in booking/holidays."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from importlib import resources


@dataclass(frozen=True, slots=True)
class Holidays:
    """Days that are off, and working days by the weekday that each replaces."""

    off: frozenset[date] = frozenset()
    working: Mapping[date, date] = field(default_factory=dict)

    def opens_like(self, day: date) -> date | None:
        """The date whose weekday `day` opens as; None where it is off.

        >>> CALENDARS["CN"].opens_like(date(2026, 10, 10)).strftime("%A")
        'Wednesday'
        """
        return None if day in self.off else self.working.get(day, day)


def read_holidays(text: str) -> Holidays:
    """Of a TOML file: a table a year with `off` (first to last day) and `working` (date and the one it replaces)."""
    off: set[date] = set()
    working: dict[date, date] = {}
    for year in tomllib.loads(text).values():
        for span in year["off"]:
            off.update(span["from"] + timedelta(days=n) for n in range((span["to"] - span["from"]).days + 1))
        working.update((day["date"], day["replaces"]) for day in year["working"])
    return Holidays(frozenset(off), working)


NO_HOLIDAYS = Holidays()
CALENDARS: Mapping[str, Holidays] = {
    file.name.removesuffix(".toml"): read_holidays(file.read_text(encoding="utf-8"))
    for file in (resources.files("booking") / "holidays").iterdir()
    if file.name.endswith(".toml")
}
"""By country code."""
