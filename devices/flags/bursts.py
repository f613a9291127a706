"""Use that rises just before a period that is evaluated ends, and that nobody outside had booked."""

from collections.abc import Sequence
from datetime import timedelta

from devices.flags.days import Day, Found, Kind
from marketplace.slot import Slot

LAST_DAYS, DAYS_BEFORE = 14, 84
"""The last fortnight, beside the twelve weeks before it."""
SEEN_DAYS = 56
TIMES_USUAL, TIMES_BUSIEST, MORE_H = 2.0, 1.5, 28.0
"""More hours: two a day."""


def burst(day: Day) -> Found | None:
    """The last fortnight brought twice the usual use, half as much again as the busiest fortnight of the twelve weeks before,
    and two hours a day more than that. Without eight weeks that were seen nobody knows what is usual."""
    if day.ended is None:
        return None
    last, before = day.ended.hours[:LAST_DAYS], day.ended.hours[LAST_DAYS : LAST_DAYS + DAYS_BEFORE]
    known = [one for one in before if one is not None]
    if len(known) < SEEN_DAYS:
        return None
    used, usual = sum(one for one in last if one is not None), sum(known) / len(known) * LAST_DAYS
    busiest = max(_fortnight(before[place : place + LAST_DAYS]) for place in range(len(before) - LAST_DAYS + 1))
    if used < usual * TIMES_USUAL or used < busiest * TIMES_BUSIEST or used < busiest + MORE_H:
        return None
    told = {"hours": round(used, 1), "usual_h": round(usual, 1), "busiest_h": round(busiest, 1), "days_before": len(known)}
    return Found(Kind.BURST, Slot(day.ended.at - timedelta(days=LAST_DAYS), day.ended.at), told)


def _fortnight(days: Sequence[float | None]) -> float:
    """Its hours, what was not seen taken as the rest of it; 0 where less than half was seen."""
    known = [one for one in days if one is not None]
    return sum(known) / len(known) * len(days) if len(known) * 2 >= len(days) else 0.0
