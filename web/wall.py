"""What a date and time typed by the wall clock of a place may mean."""

from collections.abc import Mapping, Sequence
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime
from zoneinfo import ZoneInfo

from marketplace.refusals import Invalid
from marketplace.slot import EmptySlot, Slot

EARLIEST, LATEST = 2000, 2100
"""The years that may be asked for: a place's clock cannot be counted on at the ends of the calendar."""
SKIPPED = "never comes, as the clocks are put forward over it; choose one before or after"


def is_near(day: date) -> bool:
    """Whether a day or an instant lies in those years.

    >>> [is_near(date(year, 1, 1)) for year in (1, 2000, 2100)]
    [False, True, False]
    """
    return EARLIEST <= day.year < LATEST


def moments(typed: str, zone: ZoneInfo) -> Sequence[datetime]:
    """The instants, in order: none for what is no local time or is skipped, two where the clocks are put back over it.

    >>> berlin = ZoneInfo("Europe/Berlin")
    >>> [[f"{at:%H:%M}" for at in moments(f"2026-10-25T{clock}", berlin)] for clock in ("01:30", "02:30")]
    [['23:30'], ['00:30', '01:30']]
    >>> moments("2026-03-29T02:30", berlin), moments("tomorrow", berlin)
    ([], [])
    """
    try:
        local = datetime.fromisoformat(typed)
        found = {local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
        real = [at for at in found if at.astimezone(zone).replace(tzinfo=None, fold=0) == local]
    except (ValueError, OverflowError):
        return []
    return sorted(real) if local.tzinfo is None and MINYEAR < local.year < MAXYEAR else []


def turn_of(name: str) -> str:
    """The field that says which is meant where the time of `name` comes twice."""
    return f"{name}_turn"


def comes_twice(values: Mapping[str, str], name: str, zone: ZoneInfo) -> bool:
    """Whether the time of `name` comes twice and nothing says which is meant."""
    found = moments(values.get(name, "").strip(), zone)
    return len(found) > 1 and values.get(turn_of(name), "") not in {at.isoformat() for at in found}


def is_skipped(typed: str, zone: ZoneInfo) -> bool:
    """Whether it is a local time that never comes, as the clocks are put forward over it.

    >>> [is_skipped(f"2026-03-29T{clock}", ZoneInfo("Europe/Berlin")) for clock in ("01:59", "02:30", "x")]
    [False, True, False]
    """
    try:
        local = datetime.fromisoformat(typed)
    except ValueError:
        return False
    return local.tzinfo is None and is_near(local) and not moments(typed, zone)


def find_moment(values: Mapping[str, str], name: str, zone: ZoneInfo) -> datetime | None:
    """The instant of a field, of two the one that was chosen; None where there is none, or none was."""
    found = moments(values.get(name, "").strip(), zone)
    if len(found) > 1:
        return next((at for at in found if at.isoformat() == values.get(turn_of(name), "")), None)
    return next(iter(found), None)


def read_slot(values: Mapping[str, str], zone: ZoneInfo) -> Slot:
    """From `start` to `end`. Raises: Invalid (no such time, one that comes twice without a word which, not after start)."""
    found = []
    for name in ("start", "end"):
        if comes_twice(values, name, zone):
            raise Invalid(field=name, reason="comes twice, as the clocks are put back; say which is meant")
        at = find_moment(values, name, zone)
        if at is None:
            skipped = is_skipped(values.get(name, "").strip(), zone)
            raise Invalid(field=name, reason=SKIPPED if skipped else "not a time")
        found.append(at)
    try:
        return Slot(*found)
    except (EmptySlot, OverflowError) as error:
        raise Invalid(field="end", reason="not after start") from error
