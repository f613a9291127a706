"""Writes of what bookings have of entitlements: reserved with the quote, worked out for a statement, used when it is accepted.

Who changes an entitlement has locked it; several are locked in the order of their ids.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from billing.pricing import Line, LineCode
from billing.programmes import queries
from billing.programmes.choosing import Bases, Mode, Share, choose, conditional, spread
from billing.programmes.queries import Offered
from billing.programmes.tables import Entitlement, EntitlementUse, ProgrammeShare, ShareState
from billing.settlement import Funding
from billing.simulation import line_json
from billing.tables import Statement
from booking.tables import Booking
from devices.tables import ConfirmedUse
from marketplace.ids import new_id
from marketplace.money import Money, zero


@dataclass(frozen=True, slots=True)
class Wanted:
    """A booking that was just quoted, and what its quote is to be paid from."""

    booking: Booking
    bases: Bases


@dataclass(frozen=True, slots=True)
class Bill:
    """Of a booking, all versions together: what it costs, the platform's fee and the tax within."""

    charge: Money
    fee: Money
    tax: Money
    funding: Funding


@dataclass(frozen=True, slots=True)
class Part:
    """What an entitlement pays of a version: the difference to what was accepted before."""

    entitlement_id: str
    amount: Money
    conditional: Money
    base: Money


@dataclass(frozen=True, slots=True)
class Paid:
    """What programmes pay of a version that is drafted."""

    parts: Sequence[Part]
    deducted: Money
    before: Money
    """Deducted by the versions that were accepted before."""
    waiting: Money
    lines: Sequence[dict[str, Any]]
    """Of the statement: what each deducts from all of the bill."""


def reserve(session: Session, *, wanted: Sequence[Wanted]) -> None:
    """Reserve for bookings what their organisations' programmes pay of the quotes, in the place of what they held before."""
    firms = {one.booking.organisation_id for one in wanted if one.booking.organisation_id}
    offered = queries.lock_offered_to(session, firms)
    if not offered:
        return
    held = _own(session, [one.booking.id for one in wanted])
    rows = {one.entitlement.id: one.entitlement for one in offered}
    for own in held.values():
        _hold(rows[own.entitlement_id], own, 0)
    chosen: set[tuple[str, str]] = set()
    for one in wanted:
        start, currency = one.booking.starts_at, one.bases.service.currency
        usable = [offer for offer in offered if offer.entitlement.organisation_id == one.booking.organisation_id]
        for share in choose(one.bases, [offer.as_programme() for offer in usable if offer.covers(start, currency)]):
            key = share.programme.key
            own = held.get((one.booking.id, key)) or _new_use(session, one.booking.id, key)
            _hold(rows[key], own, share.amount.minor)
            chosen.add((one.booking.id, key))
    for name in held.keys() - chosen:
        session.delete(held[name])
    session.flush()


def _own(session: Session, booking_ids: Collection[str]) -> dict[tuple[str, str], EntitlementUse]:
    return {(row.booking_id, row.entitlement_id): row for row in queries.uses_of_bookings(session, booking_ids)}


def _new_use(session: Session, booking_id: str, entitlement_id: str) -> EntitlementUse:
    row = EntitlementUse(booking_id=booking_id, entitlement_id=entitlement_id, reserved_minor=0, used_minor=0, rejected_minor=0)
    session.add(row)
    return row


def _hold(entitlement: Entitlement, own: EntitlementUse, amount: int) -> None:
    entitlement.reserved_minor += amount - own.reserved_minor
    own.reserved_minor = amount


def release(session: Session, *, booking_ids: Collection[str]) -> None:
    """Give back what bookings that come to nothing have reserved."""
    held = [row for row in queries.uses_of_bookings(session, booking_ids) if row.reserved_minor]
    rows = {one.entitlement.id: one.entitlement for one in queries.lock_offered(session, {row.entitlement_id for row in held})}
    for own in held:
        _hold(rows[own.entitlement_id], own, 0)
    session.flush()


def work_out(session: Session, *, booking: Booking, use: ConfirmedUse | None, bill: Bill, bases: Bases) -> Paid:
    """What the booking's programmes pay of its bill; that much is reserved for it, as far as anything is left.

    Those that were chosen with the quote pay: what others have granted since then is for other bookings.
    """
    own = {row.entitlement_id: row for row in queries.uses_of_bookings(session, [booking.id])}
    nothing = zero(bill.charge.currency)
    if not own:
        return Paid((), nothing, nothing, nothing, ())
    offered = {one.entitlement.id: one for one in queries.lock_offered(session, own)}
    paying = [one.as_programme(own[key]) for key, one in offered.items() if _pays(one, use)]
    shares = {share.programme.key: share for share in choose(bases, paying)}
    said = _said(session, booking.id, bill.charge.currency)
    sums = {key: _sum(shares.get(key), said.get(key, (nothing, nothing))[0], own[key]) for key in offered}
    for key, one in offered.items():
        wanted = max(sums[key].minor - own[key].used_minor, own[key].reserved_minor)
        _hold(one.entitlement, own[key], wanted)
    session.flush()
    return _paid(offered, sums, said, bill, bases)


def _pays(one: Offered, use: ConfirmedUse | None) -> bool:
    return not (one.programme.evidence_required and use and use.attested_s)


def _sum(share: Share | None, said: Money, own: EntitlementUse) -> Money:
    """Of all versions together; once something was rejected no more than before."""
    amount = share.amount if share else zero(said.currency)
    return min(amount, said) if own.rejected_minor else amount


def _said(session: Session, booking_id: str, currency: str) -> dict[str, tuple[Money, Money]]:
    """By entitlement, what accepted versions say it pays, and what of that is conditional."""
    found: dict[str, tuple[Money, Money]] = {}
    for row in queries.shares_of_booking(session, booking_id):
        amount, waiting = found.get(row.entitlement_id, (zero(currency), zero(currency)))
        parts = Money(row.amount_minor, currency), Money(row.conditional_minor, currency)
        found[row.entitlement_id] = (amount + parts[0], waiting + parts[1])
    return found


def _paid(
    offered: Mapping[str, Offered],
    sums: Mapping[str, Money],
    said: Mapping[str, tuple[Money, Money]],
    bill: Bill,
    bases: Bases,
) -> Paid:
    nothing = zero(bill.charge.currency)
    deducting = [key for key, one in offered.items() if one.programme.mode is Mode.DEDUCT]
    deducted = sum((sums[key] for key in deducting), nothing)
    direct = bill.funding is Funding.BANK  # there the programme pays the institution itself
    waiting = deducted if direct else conditional(bill.charge, bill.fee, deducted, bill.tax)
    conditions = dict(zip(deducting, spread(waiting, [sums[key] for key in deducting]), strict=True))
    parts = []
    for key, one in offered.items():
        before = said.get(key, (nothing, nothing))
        base = bases.of(one.programme.base)
        parts.append(Part(key, sums[key] - before[0], conditions.get(key, nothing) - before[1], base))
    lines = [_line(offered[key], sums[key]) for key in deducting if sums[key]]
    added = [part for part in parts if part.entitlement_id in conditions]
    earlier = sum((said[key][0] for key in deducting if key in said), nothing)
    held = sum((part.conditional for part in added), nothing)
    return Paid(parts, sum((part.amount for part in added), nothing), earlier, held, lines)


def _line(one: Offered, amount: Money) -> dict[str, Any]:
    programme = one.programme
    named = {"programme_id": programme.id, "name": programme.name, "name_en": programme.name_en}
    return {**line_json(Line(LineCode.PROGRAMME, -amount)), **named}


def bases_of_version(session: Session, statement: Statement) -> Bases:
    """What its programmes' shares were taken of; nothing where it has none."""
    found = [row.base_minor for row in queries.shares_of_statement(session, statement.id)]
    return Bases(Money(max(found, default=0), statement.currency), Money(min(found, default=0), statement.currency))


def store(session: Session, *, statement: Statement, paid: Paid) -> None:
    """Keep which programmes pay a version that was just written."""
    for part in paid.parts:
        row = ProgrammeShare(
            id=new_id("shr"),
            statement_id=statement.id,
            booking_id=statement.booking_id,
            entitlement_id=part.entitlement_id,
            amount_minor=part.amount.minor,
            conditional_minor=part.conditional.minor,
            base_minor=part.base.minor,
            state=ShareState.DRAFTED,
        )
        session.add(row)
    if paid.parts:
        session.flush()


def consume(session: Session, *, statement: Statement) -> None:
    """Use what an accepted version says, and give back what the booking had reserved beyond it."""
    own = {row.entitlement_id: row for row in queries.uses_of_bookings(session, [statement.booking_id])}
    if not own:
        return
    rows = {one.entitlement.id: one.entitlement for one in queries.lock_offered(session, own)}
    for row in own.values():
        _hold(rows[row.entitlement_id], row, 0)
    for share in queries.shares_of_statement(session, statement.id):
        use_more(rows[share.entitlement_id], own[share.entitlement_id], share.amount_minor)
        share.state = ShareState.OWED
    session.flush()


def use_more(entitlement: Entitlement, own: EntitlementUse, amount: int) -> None:
    """Less where it is negative."""
    entitlement.used_minor += amount
    own.used_minor += amount
