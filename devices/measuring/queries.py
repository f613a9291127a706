"""Reads of measurements of thresholds."""

from sqlalchemy.orm import Session

from devices.measuring.tables import Measurement


def find_measurement(session: Session, device_id: str) -> Measurement | None:
    """The last one, whether it goes on, is over or is saved."""
    return session.get(Measurement, device_id)
