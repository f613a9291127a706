"""What a bill and a use rest on, over JSON: the sealed records of their meters' days."""

from typing import Any

from sqlalchemy.orm import Session

from booking.tables import Booking
from devices.evidence.resting import Basis, DayOfMeter, Leaves, basis_of_use, check_command
from devices.tables import ConfirmedUse


def evidence_of(db: Session, row: Booking, use: ConfirmedUse | None) -> dict[str, Any] | None:
    """None where no use was decided, or nothing measured it."""
    found = basis_of_use(db, row, use) if use else None
    return _basis(found) if found and found.days else None


def _basis(found: Basis) -> dict[str, Any]:
    places = dict.fromkeys(one.resource_id for one in found.days)
    return {
        "from": found.first.isoformat(),
        "to": found.last.isoformat(),
        "sealed": all(one.records for one in found.days),
        "complete": found.complete,
        "days": [_day(one) for one in found.days],
        "messages": [f"/api/v1/resources/{place}/evidence?from={found.first}&to={found.last}" for place in places],
        "check": check_command(found.signing_key),
    }


def _day(one: DayOfMeter) -> dict[str, Any]:
    return {
        "day": one.day.isoformat(),
        "device_id": one.device_id,
        "device_key": one.key,
        "resource_id": one.resource_id,
        "records": [_record(record) for record in one.records],
    }


def _record(one: Leaves) -> dict[str, Any]:
    return {
        "number": one.number,
        "root": one.root,
        "leaves": one.count,
        "first_leaf": one.first,
        "leaves_in_use": one.within,
        "seal": one.seal,
        "seal_digest": one.seal_digest,
    }
