"""Writes of which meter includes which; what calls them puts it on the device's record."""

from datetime import datetime

from sqlalchemy.orm import Session

from devices.submeters.queries import inclusions_of, possible_mains
from devices.submeters.tables import Submeter
from devices.tables import Device
from marketplace.refusals import Invalid
from marketplace.tables import Institution


def include(session: Session, *, device: Device, measured_by: str | None, actor_id: str | None, now: datetime) -> bool:
    """From now on `measured_by` includes what the device measures, or no other does; whether that is new. One at a time of an
    institution, for two at once could close a circle. Raises: Invalid."""
    session.get(Institution, device.institution_id, with_for_update={"key_share": True})
    if inclusions_of(session, [device.id]).of(device.id, at=now) == measured_by:
        return False
    if measured_by is not None:
        _check(session, device, measured_by, now)
    session.merge(Submeter(device_id=device.id, valid_from=now, measured_by=measured_by, created_by=actor_id))
    session.flush()
    return True


def _check(session: Session, device: Device, measured_by: str, now: datetime) -> None:
    others = {one.id for one in possible_mains(session, device.resource_id) if one.institution_id == device.institution_id}
    if measured_by not in others - {device.id}:
        raise Invalid(field="measured_by", reason="is no other meter of this equipment or of its line")
    if device.id in inclusions_of(session, [measured_by]).above(measured_by, at=now):
        raise Invalid(field="measured_by", reason="is a part of what this one measures")
