"""Reads of programmes, of what organisations were granted, and of what their bookings hold of it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from billing.programmes.choosing import Bases, Mode, Programme, choose
from billing.programmes.tables import Entitlement, EntitlementUse, FundingProgramme, ProgrammeShare, ProgrammeYear, ShareState
from billing.programmes.years import year_of
from billing.tables import Statement
from marketplace.money import Money
from marketplace.refusals import NotFound

COUNTING = (ShareState.OWED, ShareState.CLAIMED, ShareState.PAID)
"""Of accepted versions, what was rejected left out."""
Rows = tuple[Entitlement, FundingProgramme, ProgrammeYear]


@dataclass(frozen=True, slots=True)
class Offered:
    """An entitlement with its programme and the rule of its year."""

    entitlement: Entitlement
    programme: FundingProgramme
    year: ProgrammeYear

    def covers(self, start: datetime, currency: str) -> bool:
        """Whether it pays for a slot that starts then."""
        number = year_of(start, self.programme.starts_on, ZoneInfo(self.programme.timezone))
        in_time = number == self.entitlement.year and start < self.entitlement.expires_at
        return in_time and currency == self.programme.currency

    def left(self, own: EntitlementUse | None = None) -> Money:
        """Neither used nor reserved; what one booking has of it itself counts as left for that one."""
        row = self.entitlement
        mine = own.reserved_minor + own.used_minor if own else 0
        return Money(row.granted_minor - row.reserved_minor - row.used_minor + mine, self.programme.currency)

    def as_programme(self, own: EntitlementUse | None = None) -> Programme:
        cap, currency = self.year.booking_cap_minor, self.programme.currency
        return Programme(
            kind=self.programme.kind,
            rate=Fraction(self.year.rate),
            remaining=self.left(own),
            expires_at=self.entitlement.expires_at,
            stack=self.programme.stack,
            cap=None if cap is None else Money(cap, currency),
            base=self.programme.base,
            mode=self.programme.mode,
            key=self.entitlement.id,
        )


def list_programmes(session: Session) -> Sequence[FundingProgramme]:
    """Newest first."""
    return session.scalars(select(FundingProgramme).order_by(FundingProgramme.id.desc()).limit(500)).all()


def get_programme(session: Session, programme_id: str) -> FundingProgramme:
    """Raises: NotFound."""
    if row := session.get(FundingProgramme, programme_id):
        return row
    raise NotFound(kind="programme")


def lock_programme(session: Session, programme_id: str) -> FundingProgramme:
    """The same, locked until the transaction ends. Raises: NotFound."""
    found = select(FundingProgramme).where(FundingProgramme.id == programme_id).with_for_update()
    if row := session.scalars(found.execution_options(populate_existing=True)).one_or_none():
        return row
    raise NotFound(kind="programme")


def years_of(session: Session, programme_id: str) -> Sequence[ProgrammeYear]:
    found = select(ProgrammeYear).where(ProgrammeYear.programme_id == programme_id)
    return session.scalars(found.order_by(ProgrammeYear.number)).all()


def entitlements_of(session: Session, programme_id: str) -> Sequence[Entitlement]:
    """Newest first."""
    return session.scalars(_newest_of(programme_id)).all()


def entitlements_of_own(session: Session, programme_id: str, organisation_ids: Collection[str]) -> Sequence[Entitlement]:
    """Those of the organisations, newest first."""
    return session.scalars(_newest_of(programme_id).where(Entitlement.organisation_id.in_(organisation_ids))).all()


def _newest_of(programme_id: str) -> Select[Entitlement]:
    found = select(Entitlement).where(Entitlement.programme_id == programme_id)
    return found.order_by(Entitlement.id.desc()).limit(1000)


def _offered() -> Select[*Rows]:
    rule = (ProgrammeYear.programme_id == Entitlement.programme_id) & (ProgrammeYear.number == Entitlement.year)
    found = select(Entitlement, FundingProgramme, ProgrammeYear).join(ProgrammeYear, rule)
    return found.join(FundingProgramme, FundingProgramme.id == Entitlement.programme_id).order_by(Entitlement.id)


def offered_to(session: Session, organisation_ids: Collection[str]) -> list[Offered]:
    """What published programmes have granted them, of all years."""
    granted = Entitlement.organisation_id.in_(organisation_ids), FundingProgramme.published_at.is_not(None)
    return [Offered(*row) for row in session.execute(_offered().where(*granted))] if organisation_ids else []


def lock_offered_to(session: Session, organisation_ids: Collection[str]) -> list[Offered]:
    """The same; the entitlements as they are now and locked, in one order whoever asks."""
    granted = Entitlement.organisation_id.in_(organisation_ids), FundingProgramme.published_at.is_not(None)
    return _locked(session, _offered().where(*granted)) if organisation_ids else []


def lock_offered(session: Session, entitlement_ids: Collection[str]) -> list[Offered]:
    """The same of those that are named."""
    return _locked(session, _offered().where(Entitlement.id.in_(entitlement_ids))) if entitlement_ids else []


def _locked(session: Session, found: Select[*Rows]) -> list[Offered]:
    session.flush()
    locked = found.with_for_update(of=Entitlement).execution_options(populate_existing=True)
    return [Offered(*row) for row in session.execute(locked)]


def uses_of_bookings(session: Session, booking_ids: Collection[str]) -> Sequence[EntitlementUse]:
    """In one order of their entitlements."""
    found = select(EntitlementUse).where(EntitlementUse.booking_id.in_(booking_ids))
    newest = found.order_by(EntitlementUse.entitlement_id, EntitlementUse.booking_id).execution_options(populate_existing=True)
    return session.scalars(newest).all()


def shares_of_statement(session: Session, statement_id: str) -> Sequence[ProgrammeShare]:
    found = select(ProgrammeShare).where(ProgrammeShare.statement_id == statement_id)
    return session.scalars(found.order_by(ProgrammeShare.entitlement_id)).all()


def shares_of_booking(session: Session, booking_id: str) -> Sequence[ProgrammeShare]:
    """Of all versions that were accepted, without what was rejected."""
    found = select(ProgrammeShare).where(ProgrammeShare.booking_id == booking_id, ProgrammeShare.state.in_(COUNTING))
    return session.scalars(found.order_by(ProgrammeShare.id)).all()


def paid_shares(session: Session) -> list[tuple[ProgrammeShare, Statement]]:
    """Those whose payment is in the journal: the programme has paid, and not the firm."""
    found = select(ProgrammeShare, Statement).join(Statement, Statement.id == ProgrammeShare.statement_id)
    deducting = found.join(Entitlement, Entitlement.id == ProgrammeShare.entitlement_id).join(
        FundingProgramme, FundingProgramme.id == Entitlement.programme_id
    )
    paid = ProgrammeShare.state == ShareState.PAID, FundingProgramme.mode == Mode.DEDUCT
    return [(share, statement) for share, statement in session.execute(deducting.where(*paid))]


def offered_by_ids(session: Session, entitlement_ids: Collection[str]) -> dict[str, Offered]:
    if not entitlement_ids:
        return {}
    rows = session.execute(_offered().where(Entitlement.id.in_(entitlement_ids)))
    return {row[0].id: Offered(*row) for row in rows}


def granted_of_year(session: Session, programme_id: str) -> dict[int, int]:
    """By year, what all organisations were granted, minor units."""
    found = select(Entitlement.year, func.sum(Entitlement.granted_minor)).where(Entitlement.programme_id == programme_id)
    return {year: int(amount) for year, amount in session.execute(found.group_by(Entitlement.year))}


def largest_grant(session: Session, programme_id: str, year: int) -> int:
    """What a single organisation was granted of the year at most, minor units."""
    of_year = Entitlement.programme_id == programme_id, Entitlement.year == year
    return session.scalar(select(func.max(Entitlement.granted_minor)).where(*of_year)) or 0


def foreseen(session: Session, organisation_id: str | None, start: datetime, bases: Bases) -> list[tuple[Offered, Money]]:
    """What a booking that starts then would reserve of the organisation's programmes."""
    offered = offered_to(session, [organisation_id]) if organisation_id else []
    usable = {one.entitlement.id: one for one in offered if one.covers(start, bases.service.currency)}
    shares = choose(bases, [one.as_programme() for one in usable.values()])
    return [(usable[share.programme.key], share.amount) for share in shares]


def parts_of_booking(session: Session, booking_id: str) -> list[tuple[Offered, EntitlementUse]]:
    """What a booking has of each programme that it was quoted with."""
    own = uses_of_bookings(session, [booking_id])
    found = offered_by_ids(session, {row.entitlement_id for row in own})
    return [(found[row.entitlement_id], row) for row in own]


def entitlements_of_organisations(session: Session, organisation_ids: Collection[str]) -> list[Offered]:
    """Of published programmes, the newest grant first."""
    return sorted(offered_to(session, organisation_ids), key=lambda one: one.entitlement.id, reverse=True)


def last_shares(session: Session, entitlement_ids: Collection[str], *, limit: int = 200) -> Sequence[ProgrammeShare]:
    """What accepted bills took of them, the newest first, with what was rejected."""
    found = select(ProgrammeShare).where(
        ProgrammeShare.entitlement_id.in_(entitlement_ids), ProgrammeShare.state != ShareState.DRAFTED
    )
    return session.scalars(found.where(ProgrammeShare.amount_minor != 0).order_by(ProgrammeShare.id.desc()).limit(limit)).all()
