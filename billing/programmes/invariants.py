"""What must always hold of programmes' money, worked out again from what is stored."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, and_, exists, func, literal, or_, select, union_all

from billing.ledger import Account
from billing.programmes.choosing import Mode
from billing.programmes.queries import COUNTING
from billing.programmes.tables import Entitlement, EntitlementUse, FundingProgramme, ProgrammeShare, ShareState
from billing.tables import JournalEntry, JournalLeg, Statement, StatementState
from booking.states import BookingState
from booking.tables import Booking

ENDED = (BookingState.CANCELLED, BookingState.REFUSED, BookingState.EXPIRED)
AWAITED = (ShareState.OWED, ShareState.CLAIMED)


def of_programmes() -> Mapping[str, Select[Any]]:
    """By name, what finds the rows that break it."""
    return {
        "a_closed_booking_reserves_nothing": _reserved_after(),
        "use_at_most_granted": select(Entitlement.id).where(
            Entitlement.reserved_minor + Entitlement.used_minor > Entitlement.granted_minor
        ),
        "entitlements_are_what_bookings_have_of_them": _off_sums(),
        "used_is_what_accepted_statements_say": _off_shares(),
        "programmes_owe_what_waits_for_them": _off_account(Account.VR, ProgrammeShare.amount_minor, 1),
        "conditional_is_what_waits_for_programmes": _off_account(Account.IPC, ProgrammeShare.conditional_minor, -1),
    }


def _reserved_after() -> Select[Any]:
    """Of a booking that came to nothing, or of which every statement that counts is settled."""
    of_it = Statement.booking_id == EntitlementUse.booking_id
    waiting = exists().where(of_it, Statement.state.not_in([StatementState.SETTLED, StatementState.SUPERSEDED]))
    settled = exists().where(of_it, Statement.state == StatementState.SETTLED)
    held = select(EntitlementUse.booking_id).join(Booking, Booking.id == EntitlementUse.booking_id)
    return held.where(EntitlementUse.reserved_minor > 0, or_(Booking.state.in_(ENDED), and_(settled, ~waiting)))


def _off_sums() -> Select[Any]:
    held, used = func.coalesce(func.sum(EntitlementUse.reserved_minor), 0), func.coalesce(func.sum(EntitlementUse.used_minor), 0)
    return (
        select(Entitlement.id)
        .outerjoin(EntitlementUse, EntitlementUse.entitlement_id == Entitlement.id)
        .group_by(Entitlement.id, Entitlement.reserved_minor, Entitlement.used_minor)
        .having(or_(held != Entitlement.reserved_minor, used != Entitlement.used_minor))
    )


def _off_shares() -> Select[Any]:
    """What was rejected is given back."""
    counts = and_(
        ProgrammeShare.booking_id == EntitlementUse.booking_id,
        ProgrammeShare.entitlement_id == EntitlementUse.entitlement_id,
        ProgrammeShare.state.in_(COUNTING),
    )
    said = func.coalesce(func.sum(ProgrammeShare.amount_minor), 0)
    return (
        select(EntitlementUse.booking_id)
        .outerjoin(ProgrammeShare, counts)
        .group_by(EntitlementUse.booking_id, EntitlementUse.entitlement_id, EntitlementUse.used_minor)
        .having(said != EntitlementUse.used_minor)
    )


def _off_account(account: Account, amount: Any, sign: int) -> Select[Any]:
    """Bookings of which the account says something else than the shares that wait for a programme."""
    posted = select(JournalEntry.booking_id.label("booking_id"), JournalLeg.amount_minor.label("minor")).where(
        JournalLeg.entry_id == JournalEntry.id, JournalLeg.account == account
    )
    waits = (
        select(ProgrammeShare.booking_id.label("booking_id"), (amount * literal(-sign)).label("minor"))
        .join(Entitlement, Entitlement.id == ProgrammeShare.entitlement_id)
        .join(FundingProgramme, FundingProgramme.id == Entitlement.programme_id)
        .where(FundingProgramme.mode == Mode.DEDUCT, ProgrammeShare.state.in_(AWAITED))
    )
    both = union_all(posted, waits).subquery()
    return select(both.c.booking_id).group_by(both.c.booking_id).having(func.sum(both.c.minor) != 0)
