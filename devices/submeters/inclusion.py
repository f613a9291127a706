"""Which meter measures what others measure too, and what their runs come to together."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from devices.discrepancies.comparing import Figures


class Inclusions:
    """From (device, since when, by which other its measuring is included or None), in any order; nothing counts before it."""

    def __init__(self, rows: Iterable[tuple[str, datetime, str | None]] = ()) -> None:
        self._dated: dict[str, list[tuple[datetime, str | None]]] = defaultdict(list)
        for device_id, since, measured_by in sorted(rows, key=lambda row: row[:2]):
            self._dated[device_id].append((since, measured_by))

    def of(self, device_id: str, *, at: datetime) -> str | None:
        """The meter that includes it then."""
        known = (measured_by for since, measured_by in reversed(self._dated.get(device_id, ())) if since <= at)
        return next(known, None)

    def above(self, device_id: str, *, at: datetime) -> list[str]:
        """Every meter that includes it then, the nearest first.

        >>> noon = datetime(2026, 3, 10, 12)
        >>> Inclusions([("plug", noon, "board"), ("board", noon, "main")]).above("plug", at=noon)
        ['board', 'main']
        """
        found: list[str] = []
        one = self.of(device_id, at=at)
        while one is not None and one not in found:
            found.append(one)
            one = self.of(one, at=at)
        return found

    def counted(self, device_ids: Collection[str], *, at: datetime) -> set[str]:
        """Of meters that all tell something then those that are added: the ones that no other of them includes."""
        return {one for one in device_ids if not any(other in device_ids for other in self.above(one, at=at))}


def energy_of(runs: Sequence[tuple[str, Figures]], inclusions: Inclusions) -> int:
    """Wh of runs of several meters, without what two of them counted: a run adds nothing where another touches it in time whose
    meter includes its own, by what held as it began."""
    found = 0
    for device_id, run in runs:
        above = inclusions.above(device_id, at=run.starts_at)
        found += 0 if above and any(other in above and _touch(run, one) for other, one in runs) else run.energy_wh
    return found


def _touch(one: Figures, other: Figures) -> bool:
    return one.starts_at <= other.until and other.starts_at <= one.until
