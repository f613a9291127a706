"""The only reader of the time. Everything else is handed `now`."""

from datetime import UTC, datetime


def now() -> datetime:
    return datetime.now(UTC)
