"""Figures of the database for a monitor, gathered when it asks."""

from datetime import datetime

from prometheus_client import Gauge
from sqlalchemy.orm import Session

from billing.reconciling import queries

OUTBOX_AGE = Gauge("pilotbench_outbox_age_seconds", "Age of the oldest call that waits for the payment provider")
WEBHOOK_LAG = Gauge("pilotbench_webhook_lag_seconds", "Age of the oldest event of the payment provider that is not applied")
QUARANTINE = Gauge("pilotbench_events_put_aside", "Events of the payment provider about objects of which nothing is known")
DIFFERENCE = Gauge(
    "pilotbench_reconciliation_difference_minor",
    "How much more there is at the payment provider than in the ledger, unresolved, in minor units",
    ["currency"],
)
CHECKED_AGE = Gauge("pilotbench_checks_age_seconds", "Since every check was last run; -1 if never")


def gather(session: Session, *, now: datetime) -> None:
    """Set every figure to what it is now."""
    found = queries.figures(session)
    OUTBOX_AGE.set(_age(found.oldest_call, now))
    WEBHOOK_LAG.set(_age(found.oldest_event, now))
    QUARANTINE.set(found.put_aside)
    DIFFERENCE.clear()
    for amount in found.differences:
        DIFFERENCE.labels(amount.currency).set(amount.minor)
    CHECKED_AGE.set(_age(found.last_run, now) if found.last_run else -1)


def _age(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0
