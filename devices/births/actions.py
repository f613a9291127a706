"""Writes about births: a node that said what it had not introduced is asked to introduce itself, once in a while."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from devices.codecs import sparkplug
from devices.readings import Command
from devices.tables import Device, RawMessage

COOL_DOWN = timedelta(seconds=60)
"""A node is not asked again within this: it may be about to answer."""

MOST = 100


def take_wanted(session: Session, *, now: datetime) -> Sequence[Command]:
    """What to tell the nodes whose births are wanted; they count as asked from here on. One asker at a time has a node."""
    rested = or_(Device.birth_asked_at.is_(None), Device.birth_asked_at <= now - COOL_DOWN)
    wanted = select(Device).where(Device.birth_wanted_at.is_not(None), rested).limit(MOST).with_for_update(skip_locked=True)
    found = []
    for device in session.scalars(wanted).all():
        device.birth_wanted_at, device.birth_asked_at = None, now
        last = select(RawMessage.topic).where(RawMessage.device_id == device.id).order_by(RawMessage.received_at.desc()).limit(1)
        topic = session.scalar(last)
        if topic and (command := sparkplug.rebirth(topic, now)):
            found.append(command)
    session.flush()
    return found
