"""A device with some days of messages, folded and sealed."""

from datetime import date, datetime, timedelta
from itertools import pairwise

import orjson
from sqlalchemy.orm import Session

from devices import actions
from devices.evidence.actions import SETTLED, seal_due
from devices.evidence.keys import Signer
from devices.evidence.records import bounds
from devices.intake import actions as intake
from devices.readings import Envelope
from devices.registry.actions import register_device
from devices.tables import Device
from marketplace.tables import Resource
from tests.builders import a_resource

DAY = date(2026, 3, 10)
DAYS = 4


def at(day: int, minute: float) -> datetime:
    return bounds(DAY)[0] + timedelta(days=day, minutes=minute)


def a_device(db: Session, resource: Resource | None = None) -> Device:
    place = resource or a_resource(db)
    return register_device(db, resource_id=place.id, name="plug", profile={}, actor_id=None, now=at(0, 0))[0]


def message(device: Device, when: datetime, power: float, received: datetime | None = None) -> Envelope:
    body = {"ts": int(when.timestamp() * 1000), "p": power, "e": (when - at(0, 0)).total_seconds() / 10}
    return Envelope(f"d/{device.key}/t", orjson.dumps(body), received or when + timedelta(seconds=1))


def used(day: int, minute: int) -> bool:
    """From 9 to 10 in the morning, and over each midnight."""
    return 540 <= minute < 600 or minute >= 1410 or (day > 0 and minute < 30)


def heard(db: Session, device: Device, *, days: int = DAYS) -> None:
    """A message a minute, folded every six hours."""
    for day in range(days):
        bounds_of_parts = [0, 360, 720, 1080, 1440]
        for first, last in pairwise(bounds_of_parts):
            told = [message(device, at(day, minute), 350.0 if used(day, minute) else 8.0) for minute in range(first, last)]
            intake.store(db, told)
            actions.fold_devices(db, now=at(day, last))
    db.flush()


def sealed(db: Session, signer: Signer, *, until: int) -> int:
    """What is sealed once day `until` has begun; how often there was something to do."""
    return seal_due(db, signer=signer, now=at(until, 0) + SETTLED)
