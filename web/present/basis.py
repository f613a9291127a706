"""What a bill rests on, as its page shows it."""

from sqlalchemy.orm import Session

from booking.tables import Booking
from devices.evidence.resting import DayOfMeter, basis_of_use, check_command
from devices.tables import ConfirmedUse
from web.views.statement import Basis, SealedRow

MOST = 31


def basis(session: Session, row: Booking, use: ConfirmedUse | None) -> Basis | None:
    """None where no use was decided, or nothing measured it."""
    found = basis_of_use(session, row, use) if use else None
    if found is None or not found.days:
        return None
    rows = [shown for one in found.days for shown in _rows(one)]
    return Basis(rows[:MOST], len(rows) - len(rows[:MOST]), check_command(found.signing_key))


def _rows(one: DayOfMeter) -> list[SealedRow]:
    if not one.records:
        return [SealedRow(one.day, one.name)]
    return [
        SealedRow(one.day, one.name, record.root, record.count, record.first, record.within, record.seal)
        for record in one.records
    ]
