"""How a booking is to repeat, as a form says it, and the recurrence rule that this is."""

import re
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from booking.recurrence import occurrences
from booking.tables import OnConflict
from marketplace.refusals import Invalid
from marketplace.slot import Slot

MOST_TIMES = 200
"""A form makes no more at once; the API takes up to a thousand."""
WORKDAYS = "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"
EVERY = ("FREQ=DAILY", WORKDAYS, "FREQ=WEEKLY", "FREQ=WEEKLY;INTERVAL=2", "FREQ=MONTHLY")
"""What is offered, without its end."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """As typed; nothing where the booking is to be one."""

    repeats: str = ""
    times: str = ""
    until: str = ""
    on_conflict: str = ""

    @property
    def asked(self) -> bool:
        return bool(self.repeats or self.times or self.until)

    @property
    def conflict(self) -> OnConflict:
        return OnConflict.SKIP if self.on_conflict == OnConflict.SKIP else OnConflict.REFUSE

    @property
    def fields(self) -> dict[str, str]:
        """What was typed, for an address; what is not said and what is left as it is are the same."""
        if not self.asked:
            return {}
        skips = OnConflict.SKIP.value if self.conflict is OnConflict.SKIP else ""
        typed = {"repeats": self.repeats, "times": self.times, "until": self.until, "on_conflict": skips}
        return {name: value for name, value in typed.items() if value}


ONCE = Repeat()


def rule_of(repeat: Repeat, first: Slot, zone: ZoneInfo) -> str:
    """The rule over the wall clock of `zone` that begins with `first`, whose occurrences are 2 to MOST_TIMES.

    >>> from datetime import datetime, UTC
    >>> friday = Slot(datetime(2026, 12, 3, 23, tzinfo=UTC), datetime(2026, 12, 4, 1, tzinfo=UTC))
    >>> rule_of(Repeat("FREQ=WEEKLY", times="8"), friday, ZoneInfo("Asia/Shanghai"))
    'FREQ=WEEKLY;COUNT=8'
    >>> rule_of(Repeat(WORKDAYS, until="2026-12-31"), friday, ZoneInfo("Asia/Shanghai"))
    'FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;UNTIL=20261231'

    Raises: Invalid, naming the field.
    """
    if repeat.repeats not in EVERY:
        raise Invalid(field="repeats", reason="choose one of the list")
    begins = first.start.astimezone(zone).date()
    if repeat.repeats == WORKDAYS and begins.weekday() > 4:
        raise Invalid(field="repeats", reason="the first day is at a weekend; go back and begin on a workday")
    rule = f"{repeat.repeats};{_end(repeat, begins)}"
    try:
        found = len(occurrences(rule, first, zone))
    except Invalid as refusal:
        raise Invalid(**{**refusal.values, "field": "until" if repeat.until else "times"}) from refusal
    if found < 2:
        raise Invalid(field="until", reason="comes before the first repetition; choose a later day")
    if found > MOST_TIMES:
        raise Invalid(field="until", reason="gives more than {longest} occurrences", longest=MOST_TIMES)
    return rule


def _end(repeat: Repeat, begins: date) -> str:
    """Raises: Invalid."""
    if bool(repeat.times) == bool(repeat.until):
        raise Invalid(field="times", reason="say either how many times or until which day")
    if repeat.times:
        if not re.fullmatch(r"\d{1,3}", repeat.times, re.ASCII) or not 2 <= int(repeat.times) <= MOST_TIMES:
            raise Invalid(field="times", reason="must be {low} to {high}", low=2, high=MOST_TIMES)
        return f"COUNT={int(repeat.times)}"
    try:
        until = date.fromisoformat(repeat.until)
    except ValueError as error:
        raise Invalid(field="until", reason="not a date such as 2026-03-10") from error
    if until <= begins:
        raise Invalid(field="until", reason="comes before the first repetition; choose a later day")
    return f"UNTIL={until:%Y%m%d}"
