"""Two clients with one key that put each other out, as the broker tells."""

from bisect import bisect_left
from datetime import timedelta

from devices.flags.days import Day, Found, Kind
from marketplace.slot import Slot

TAKEN_MINUTES, TAKEN_WITHIN = 20, timedelta(hours=1)
MOST_ADDRESSES = 5


def takeovers(day: Day) -> Found | None:
    """In 20 minutes of an hour. One client alone takes itself over where its connection was lost unnoticed: now and then."""
    times = sorted(one.at for one in day.taken_over)
    densest = max(((bisect_left(times, at + TAKEN_WITHIN) - place, place) for place, at in enumerate(times)), default=(0, 0))
    count, first = densest
    if count < TAKEN_MINUTES:
        return None
    addresses = sorted({one.address for one in day.taken_over if one.address})
    told = {"minutes": len(times), "most_in_an_hour": count, "addresses": addresses[:MOST_ADDRESSES]}
    return Found(Kind.TAKEOVERS, Slot(times[first], times[first + count - 1]), told)
