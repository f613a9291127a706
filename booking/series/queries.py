"""Reads of series."""

from collections.abc import Collection, Sequence

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from booking.tables import Booking, MovedOccurrence, RuleVersion
from marketplace.slot import Slot
from marketplace.tables import Resource


def bookings_of(session: Session, series_id: str) -> Sequence[Booking]:
    """All of them, whatever their state, in order; as they are now."""
    found = select(Booking).where(Booking.series_id == series_id).order_by(Booking.starts_at, Booking.id)
    return session.scalars(found.execution_options(populate_existing=True)).all()


def moved_from(session: Session, series_id: str) -> dict[str, Slot]:
    """Where the series' rule has the occurrences that were moved alone, by booking."""
    rows = session.scalars(select(MovedOccurrence).where(MovedOccurrence.series_id == series_id))
    return {row.booking_id: row.slot for row in rows}


def waived_in(session: Session, institution_ids: Collection[str]) -> bool:
    """Whether any resource of these houses ever waived buffers: claims of its lines and parts may hang on each other then."""
    of_house = Resource.id.in_(select(RuleVersion.resource_id).where(RuleVersion.waive_own_buffers))
    return bool(session.scalar(select(exists().where(Resource.institution_id.in_(institution_ids), of_house))))
