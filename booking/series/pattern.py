"""What becomes of a recurrence rule when a series is cut or its occurrences are shifted on the wall clock."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from booking.recurrence import WEEKDAYS, Skipped, occurrences
from marketplace.refusals import Invalid
from marketplace.slot import Slot


def wall(place: Slot | Skipped, zone: ZoneInfo) -> datetime:
    """When an occurrence begins on the wall clock of `zone`."""
    return place.start if isinstance(place, Skipped) else place.start.astimezone(zone).replace(tzinfo=None)


def with_count(text: str, count: int) -> str:
    """The rule with an end after `count` occurrences.

    >>> with_count("FREQ=WEEKLY;UNTIL=20270401;BYDAY=MO", 3)
    'FREQ=WEEKLY;BYDAY=MO;COUNT=3'
    """
    kept = [part for part in _parts(text) if not part.startswith(("COUNT=", "UNTIL="))]
    return ";".join([*kept, f"COUNT={count}"])


def shifted(text: str, days: int) -> str:
    """The rule with its plain weekdays `days` later, as a weekly series has them that moves to other days.

    >>> shifted("FREQ=WEEKLY;BYDAY=MO,SU;COUNT=4", 1)
    'FREQ=WEEKLY;BYDAY=TU,MO;COUNT=4'
    """
    if "FREQ=WEEKLY" not in _parts(text):
        return text
    return ";".join(_later(part, days) if part.startswith("BYDAY=") else part for part in _parts(text))


def _later(part: str, days: int) -> str:
    named = part.removeprefix("BYDAY=").split(",")
    return "BYDAY=" + ",".join(WEEKDAYS[(WEEKDAYS.index(day) + days) % 7] for day in named)


def _parts(text: str) -> list[str]:
    return [part for part in text.strip().upper().removeprefix("RRULE:").split(";") if part]


def following(text: str, places: Sequence[Slot | Skipped], first: Slot, zone: ZoneInfo) -> tuple[str, list[Slot | Skipped]]:
    """The rule and the slots of `places`, the end of a series of the rule `text`, when its first becomes `first`.

    All are shifted by the same time on the wall clock and last as long as `first` does.
    Raises: Invalid (on other days no rule of the same kind says that).
    """
    shift = wall(first, zone) - wall(places[0], zone)
    wanted = [wall(place, zone) + shift for place in places]
    days = (wanted[0].date() - wall(places[0], zone).date()) // timedelta(days=1)
    rule = with_count(shifted(text, days), len(places))
    found = _try(rule, first, zone)
    if [wall(place, zone) for place in found] != wanted:
        raise Invalid(field="rrule", reason="other days need a rule of their own")
    return rule, found


def _try(rule: str, first: Slot, zone: ZoneInfo) -> list[Slot | Skipped]:
    try:
        return occurrences(rule, first, zone)
    except Invalid:
        return []
