"""Reads of which meter includes which."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from booking.lines.queries import lines_above
from devices.submeters.inclusion import Inclusions
from devices.submeters.tables import Submeter
from devices.tables import Device


def inclusions_of(session: Session, device_ids: Collection[str]) -> Inclusions:
    """Of these meters and of all that ever included them, in one query."""
    row = (Submeter.device_id, Submeter.valid_from, Submeter.measured_by)
    found = select(*row).where(Submeter.device_id.in_(device_ids)).cte("inclusions", recursive=True)
    above = select(*row).join(found, found.c.measured_by == Submeter.device_id)
    every = found.union(above)  # each is met once, so it ends
    return Inclusions((one, since, other) for one, since, other in session.execute(select(every)))


def mains_of(session: Session, devices: Collection[Device], *, at: datetime) -> dict[str, Device]:
    """By id the meter that includes each of them then; no entry where none does."""
    inclusions = inclusions_of(session, [row.id for row in devices])
    named = {row.id: main for row in devices if (main := inclusions.of(row.id, at=at))}
    mains = {row.id: row for row in session.scalars(select(Device).where(Device.id.in_(set(named.values()))))}
    return {device_id: mains[main] for device_id, main in named.items()}


def last_mains(session: Session, devices: Collection[Device]) -> dict[str, Device]:
    """By id the meter that was said last to include each of them."""
    return mains_of(session, devices, at=datetime.max.replace(tzinfo=UTC))


def submeters_of(session: Session, device_id: str, *, at: datetime) -> list[Device]:
    """Those that it includes directly then, oldest first."""
    ever = select(Submeter.device_id).where(Submeter.measured_by == device_id)
    rows = session.scalars(select(Device).where(Device.id.in_(ever)).order_by(Device.created_at, Device.id)).all()
    inclusions = inclusions_of(session, [row.id for row in rows])
    return [row for row in rows if inclusions.of(row.id, at=at) == device_id]


def possible_mains(session: Session, resource_id: str) -> Sequence[Device]:
    """What may include a meter of the resource: the meters of it and of the lines above it, the nearest first."""
    places = [resource_id, *lines_above(session, resource_id)]
    rows = session.scalars(select(Device).where(Device.resource_id.in_(places)).order_by(Device.created_at, Device.id)).all()
    return sorted(rows, key=lambda row: places.index(row.resource_id))
