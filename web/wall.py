"""What a date and time typed by the wall clock of a place may mean."""

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo


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
    return sorted(real) if local.tzinfo is None else []
