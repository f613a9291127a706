"""What a closed day says, and the digest that chains it to the day before."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

GRACE = timedelta(hours=1)
"""So long after its end a day is closed: who began before midnight has committed by then."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg of an entry, with what makes the entry the only one."""

    entry_id: str
    cause: str
    currency: str
    account: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Total:
    """Of one account and currency: what the day moved, and what it came to in the end."""

    account: str
    currency: str
    day_minor: int
    balance_minor: int


@dataclass(frozen=True, slots=True)
class Closed:
    """A day as it is closed."""

    entries: int
    totals: Sequence[Total]
    entries_digest: str
    digest: str


def span(day: date, zone: str) -> tuple[datetime, datetime]:
    """From its local midnight to the next.

    >>> span(date(2026, 3, 10), "Asia/Shanghai")[0].isoformat()
    '2026-03-09T16:00:00+00:00'
    """
    first, last = (datetime.combine(one, time.min, ZoneInfo(zone)) for one in (day, day + timedelta(days=1)))
    return first.astimezone(UTC), last.astimezone(UTC)


def last_to_close(now: datetime, zone: str) -> date:
    """The newest day whose end is far enough behind.

    >>> last_to_close(datetime(2026, 3, 10, 16, 30, tzinfo=UTC), "Asia/Shanghai").isoformat()
    '2026-03-09'
    """
    return (now - GRACE).astimezone(ZoneInfo(zone)).date() - timedelta(days=1)


def close(day: date, zone: str, legs: Iterable[Leg], before: Mapping[tuple[str, str], int], previous: str) -> Closed:
    """Totals and digests of a day; `before` are the balances by account and currency of the day before."""
    moved: dict[tuple[str, str], int] = defaultdict(int)
    lines = set()
    entries = set()
    for leg in legs:
        moved[leg.account, leg.currency] += leg.amount_minor
        entries.add(leg.entry_id)
        lines.add((leg.entry_id, leg.cause, leg.currency, leg.account, leg.amount_minor))
    totals = [
        Total(account, currency, moved[account, currency], before.get((account, currency), 0) + moved[account, currency])
        for account, currency in sorted({*moved, *before})
    ]
    of_entries = _digest(sorted(lines))
    said = [day.isoformat(), zone, len(entries), [[t.account, t.currency, t.day_minor, t.balance_minor] for t in totals]]
    return Closed(len(entries), totals, of_entries, _digest([*said, of_entries, previous]))


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, separators=(",", ":")).encode()).hexdigest()
