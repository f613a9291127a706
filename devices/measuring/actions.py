"""Writes of measurements of thresholds: when each half began, and that what followed from them is in force."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from devices import queries as devices
from devices.measuring import queries
from devices.measuring.tables import Measurement
from devices.registry import actions as registry
from marketplace.refusals import WrongState


def begin_idle(session: Session, *, device_id: str, now: datetime) -> Measurement:
    """The machine idles from now on; what was measured before is forgotten. Raises: NotFound."""
    devices.lock_device(session, device_id)
    row = queries.find_measurement(session, device_id)
    if row is None:
        row = Measurement(device_id=device_id)
        session.add(row)
    row.idle_at, row.run_at, row.saved_at = now, None, None
    session.flush()
    return row


def begin_run(session: Session, *, device_id: str, now: datetime) -> Measurement:
    """The machine works from now on. Raises: NotFound, WrongState (nothing was measured while it idled)."""
    devices.lock_device(session, device_id)
    row = queries.find_measurement(session, device_id)
    if row is None or row.saved_at is not None:
        raise WrongState(state="not_measured", move="measure_run")
    row.run_at = now
    session.flush()
    return row


def save(session: Session, *, device_id: str, profile: Mapping[str, Any], actor_id: str, now: datetime) -> None:
    """The thresholds that a person agreed to hold from now on. Raises: NotFound, Invalid."""
    registry.set_thresholds(session, device_id=device_id, profile=profile, actor_id=actor_id, now=now)
    if row := queries.find_measurement(session, device_id):
        row.saved_at = now
        session.flush()
