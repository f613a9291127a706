"""What messages are about and how a person wants to be told: decided by the kind of a message, never by who sends it."""

from datetime import datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo


class Topic(StrEnum):
    BOOKINGS = "bookings"
    REMINDERS = "reminders"
    STATEMENTS = "statements"
    DECISIONS = "decisions"


class Delivery(StrEnum):
    """Every message is in the app too; this is about the letter."""

    AT_ONCE = "at_once"
    DIGEST = "digest"
    APP = "app"


DIGEST = "digest"
"""The kind of the daily letter itself; it lists what is in the inbox and is not there."""

DIGEST_AT = time(8)
"""When the daily letter comes, on the reader's clock."""

READERS_ZONE = "Asia/Shanghai"
"""Of readers who have not named theirs."""


AT_ONCE = frozenset({"waiting_offered", "booking_delayed", "booking_absent", "customer_absent"})


def topic_of(kind: str) -> Topic | None:
    """What a reader may choose for messages of `kind`; None for those that are always sent at once.

    >>> topic_of("statement_reminder").value, topic_of("request_to_decide").value, topic_of("password_reset")
    ('reminders', 'decisions', None)

    An offer from a waiting list stands for an hour or so, who is next is about to come, and who has not come may still: none of
    these waits for a daily letter.
    """
    if kind == "request_to_decide":
        return Topic.DECISIONS
    if kind.endswith("_reminder"):
        return Topic.REMINDERS
    if kind.startswith("statement_"):
        return Topic.STATEMENTS
    if kind in AT_ONCE:
        return None
    told = ("booking_", "bundle_", "series_", "swap_", "customer_", "waiting_", "qualification_", "calendar_", "attestation_")
    return Topic.BOOKINGS if kind.startswith(told) else None


def next_digest(now: datetime, zone: ZoneInfo) -> datetime:
    """The first 08:00 on the wall clock of `zone` after `now`.

    >>> from datetime import UTC
    >>> next_digest(datetime(2026, 3, 10, 0, 0, tzinfo=UTC), ZoneInfo("Asia/Shanghai")).astimezone(UTC).isoformat()
    '2026-03-11T00:00:00+00:00'
    """
    local = now.astimezone(zone)
    today = datetime.combine(local.date(), DIGEST_AT, zone)
    return today if today > now else datetime.combine(local.date() + timedelta(days=1), DIGEST_AT, zone)
