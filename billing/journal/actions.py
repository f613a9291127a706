"""Posting: an entry goes in once for its cause."""

from datetime import datetime

from sqlalchemy import insert
from sqlalchemy.orm import Session

from billing.ledger import Entry
from billing.tables import JournalEntry, JournalLeg
from booking.tables import Booking
from marketplace.ids import new_id
from marketplace.upsert import insert_new


def post(session: Session, entry: Entry, *, source_type: str, source_id: str, booking: Booking, now: datetime) -> None:
    """Write `entry` for its cause (kind, source); again changes nothing, and an entry of nothing is not written."""
    if not entry.legs:
        return
    row = {
        "id": new_id("jrn"),
        "kind": entry.kind,
        "source_type": source_type,
        "source_id": source_id,
        "booking_id": booking.id,
        "institution_id": booking.institution_id,
        "currency": entry.currency,
        "legs": len(entry.legs),
        "created_at": now,
    }
    session.flush()
    if insert_new(session, JournalEntry, [row], key="id"):
        legs = [{"entry_id": row["id"], "account": account, "amount_minor": amount} for account, amount in entry.legs]
        session.execute(insert(JournalLeg), legs)
