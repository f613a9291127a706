"""Years of a programme: counted from its first day, on the calendar of its zone."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

MOST_YEARS = 20


def year_of(start: datetime, starts_on: date, zone: ZoneInfo) -> int:
    """In which year of the programme a slot that starts then lies, 1 for the first; 0 or less before it.

    >>> new_year = datetime.fromisoformat("2027-01-01T00:00:00+08:00")
    >>> eve = datetime.fromisoformat("2026-12-31T23:30:00+08:00")
    >>> [year_of(at, date(2026, 1, 1), ZoneInfo("Asia/Shanghai")) for at in (eve, new_year)]
    [1, 2]
    """
    day = start.astimezone(zone).date()
    return day.year - starts_on.year + (1 if (day.month, day.day) >= (starts_on.month, starts_on.day) else 0)


def first_day(number: int, starts_on: date) -> date:
    """Of a year of the programme; one that begins on a leap day begins on March 1 in other years.

    >>> [str(first_day(number, date(2028, 2, 29))) for number in (1, 2)]
    ['2028-02-29', '2029-03-01']
    """
    try:
        return starts_on.replace(year=starts_on.year + number - 1)
    except ValueError:
        return date(starts_on.year + number - 1, 3, 1)
