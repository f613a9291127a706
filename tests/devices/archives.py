"""An archive that is filled step by step, and devices with long sealed days to fill it with."""

from contextlib import closing, suppress
from datetime import date, datetime, timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from devices import actions
from devices.archive.files import Archive
from devices.archive.moving import Archiving
from devices.evidence.keys import read_signer
from devices.intake import actions as intake
from devices.readings import Envelope
from devices.tables import Device, RawMessage
from tests.devices.evidences import DAY, at, message, sealed

SIGNER = read_signer("7a" * 32, Path("nowhere"))
KEEP = timedelta(days=14)
LATER = 30
"""By then days 0 and 1 are old, and sealed for long."""


def day(number: int) -> date:
    return DAY + timedelta(days=number)


def archiving(folder: Path) -> Archiving:
    return Archiving(Archive(folder), KEEP)


def worked(db: Session, device: Device, number: int) -> None:
    """A message a minute from eight to eleven, folded; in use from nine to ten."""
    minutes = range(480, 661)
    intake.store(db, [message(device, at(number, one), 350.0 if 540 <= one < 600 else 8.0) for one in minutes])
    actions.fold_devices(db, now=at(number, 700))


def seal(db: Session, *, until: int) -> None:
    while sealed(db, SIGNER, until=until):
        pass


def go(db: Session, folder: Path, *, now: datetime | None = None, most: int = 10**6, lost: bool = False) -> bool:
    """Carry out `most` steps, each in a transaction of its own, the last one of which may get `lost`; whether that was all."""
    with closing(archiving(folder).steps()) as steps, suppress(StopIteration):
        step = next(steps)
        for taken in range(1, most + 1):
            with db.begin_nested() as transaction:
                done = step(db, now=now or at(LATER, 0))
                if taken == most and lost:
                    transaction.rollback()
                    db.expire_all()
            if taken == most:
                return False
            step = steps.send(done)
    return True


def raw(db: Session, device: Device) -> list[Envelope]:
    """What the database has, in order of receipt."""
    columns = (RawMessage.topic, RawMessage.payload, RawMessage.received_at, RawMessage.retain, RawMessage.backlog)
    rows = db.execute(select(*columns).where(RawMessage.device_id == device.id).order_by(RawMessage.received_at))
    return [Envelope(*row) for row in rows]
