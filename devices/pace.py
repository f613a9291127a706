"""How many messages a second are taken from one device, so that one gone wild fills no disk and keeps nobody waiting.

A bucket of tokens a device, in the memory of the one process that listens: begun anew, it is generous again. A message is judged
within the transaction that stores it and counts once that is committed, for a batch that could not be stored is tried again.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

import structlog

log = structlog.get_logger()

A_SECOND = 100
"""The fastest meters tell ten values a second. At 100 one device is a tenth of what a worker on a small machine takes."""

BURST = 60_000
"""At once: ten minutes at the full pace, or what a device kept in sixteen hours at one a second if its messages have no time of
their own, and so do not show that it kept them."""

MOST = 10_000
"""Devices whose buckets are kept, some 200 bytes each; forgotten are the full ones first, which a new one equals."""

LOGGED_EVERY = timedelta(minutes=1)


class Bucket(NamedTuple):
    left: float
    at: datetime

    def later(self, at: datetime) -> "Bucket":
        """Filled up; a clock that was set back takes nothing away."""
        return Bucket(min(BURST, self.left + max(0.0, (at - self.at).total_seconds()) * A_SECOND), at)


class Pace:
    """Of every device, by its key."""

    def __init__(self) -> None:
        self._settled: dict[str, Bucket] = {}
        self._drafted: dict[str, Bucket] = {}
        self._logged: dict[str, datetime] = {}

    def begin(self) -> None:
        """A transaction: what was judged since `settle` was rolled back, and is judged again."""
        self._drafted = {}

    def admits(self, key: str, at: datetime) -> bool:
        """Whether there is a token for a message that was received then; it is taken."""
        bucket = (self._drafted.get(key) or self._settled.get(key) or Bucket(BURST, at)).later(at)
        admitted = bucket.left >= 1
        self._drafted[key] = bucket._replace(left=bucket.left - admitted)
        if not admitted and at - self._logged.get(key, at - LOGGED_EVERY) >= LOGGED_EVERY:
            self._logged[key] = at
            log.warning("device_too_fast", device=key, a_second=A_SECOND, burst=BURST)
        return admitted

    def settle(self) -> None:
        """What was judged is committed."""
        self._settled |= self._drafted
        self._drafted = {}
        if len(self._settled) > MOST:
            now = max(bucket.at for bucket in self._settled.values())
            left = {key: bucket.later(now).left for key, bucket in self._settled.items()}
            emptiest = sorted((key for key in left if left[key] < BURST), key=lambda key: left[key])[:MOST]
            self._settled = {key: self._settled[key] for key in emptiest}
            self._logged = {key: at for key, at in self._logged.items() if key in self._settled}

    @property
    def known(self) -> int:
        """Devices whose buckets are kept."""
        return len(self._settled)
