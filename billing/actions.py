"""Writes of policies, quotes and statements: load, decide, write."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from billing import ledger, pricing, queries, recount, settlement
from billing import policy as policies
from billing.corrections import queries as corrections
from billing.corrections.actions import seal_use
from billing.corrections.limits import not_charged
from billing.journal.actions import post
from billing.payments import actions as payments
from billing.pricing import Charge, Line, LineCode, Outcome, Piece, UseState
from billing.programmes import actions as programmes
from billing.programmes.actions import Bill
from billing.quotes.queries import frozen_prices
from billing.settlement import Funding
from billing.simulation import line_json, with_tax
from billing.tables import BankReceipt, BookingQuote, PolicyVersion, Statement, StatementState
from billing.tariffs.choosing import PriceList
from billing.telling import tell, tell_corrected
from booking.queries import bookings_of_resource, get_booking
from booking.states import BookingState
from booking.tables import Booking
from devices.discrepancies.queries import lock_devices
from devices.tables import ConfirmedUse
from marketplace import audit
from marketplace.catalogue.queries import get_resource
from marketplace.db import refused_by
from marketplace.ids import new_id
from marketplace.money import Money
from marketplace.refusals import Invalid, NotFound, Refusal, WrongState
from marketplace.slot import Slot
from marketplace.tables import Institution, Settlement

TAKEN_UP = frozenset({BookingState.CONFIRMED, BookingState.COMPLETED, BookingState.NO_SHOW})


class ReceivedBefore(Refusal):
    """This bank serial was entered already. `serial` is it."""

    code = "received_before"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A bank transfer as the institution's statement shows it."""

    serial: str
    amount: Money
    received_on: date


def set_policy(session: Session, *, resource_id: str, policy: Mapping[str, Any], actor_id: str, now: datetime) -> PolicyVersion:
    """Store the next version of a resource's policy; {} is the default one. Raises: Invalid."""
    document = policies.as_json(policies.parse(policy))
    before = queries.find_policy_version(session, resource_id)
    digest = policies.fingerprint(document)
    if before is not None and before.digest == digest:
        return before
    row = PolicyVersion(
        id=new_id("pol"),
        resource_id=resource_id,
        number=before.number + 1 if before else 1,
        document=document,
        digest=digest,
        created_by=actor_id,
        created_at=now,
    )
    session.add(row)
    session.flush()
    audit.record(
        session,
        actor_id=actor_id,
        action="set_policy",
        object_kind="resource",
        object_id=resource_id,
        institution_id=get_resource(session, resource_id).institution_id,
        before=before.document if before else None,
        after=document,
        now=now,
    )
    return row


def takes_cards(session: Session, *, institution_id: str) -> bool:
    """Whether the platform collects for the institution. Raises: NotFound."""
    row = session.get(Institution, institution_id)
    if row is None:
        raise NotFound(kind="institution")
    return row.settlement is Settlement.PLATFORM_COLLECTS


def charge_at_once(session: Session, *, booking: Booking, charge: Charge, now: datetime) -> Statement:
    """A statement of what no use is measured for, accepted as it is drafted. Raises: NotFound."""
    statement = _draft(session, booking, queries.quote_to_settle(session, booking), None, charge, now)
    _accept(session, statement, None, now)
    return statement


def draft_statements(session: Session, *, now: datetime) -> list[str]:
    """Draft a statement for each confirmed use that has none; returns their ids.

    A later word on the use replaces an unaccepted version, and adds a correcting one to an accepted version. A correction that
    raises nothing stands at once: nobody has to accept what costs nothing more.
    """
    uses = queries.uses_to_bill(session)
    corrected = queries.accepted_before(session, [use.booking_id for use in uses])
    lock_devices(session, set(corrected.values()))
    queries.lock_unanswered(session, [use.booking_id for use in uses])  # who answers one waits for us before its entitlement
    drafted = []
    for use in uses:
        booking = get_booking(session, use.booking_id)
        quote = queries.quote_of_booking(session, use.booking_id)
        queries.lock_newest(session, booking.id)
        if booking.id not in corrected and queries.accepted_statement(session, booking.id):
            continue  # accepted since we asked: the next run corrects it, with its devices locked
        statement = _draft(session, booking, quote, use, charge_of(quote, use, _rebooked(session, booking, quote.slot)), now)
        if booking.id in corrected:
            tell_corrected(session, booking, statement, now)
        else:
            tell(session, booking, statement, "statement_ready", now)
        if booking.id in corrected and statement.firm_minor <= 0:
            _accept(session, statement, None, now)
        drafted.append(statement.id)
    return drafted


def _rebooked(session: Session, booking: Booking, quoted: Slot) -> list[Slot]:
    """Time of the quoted slot that others use, which they can only after it was let go."""
    if get_resource(session, booking.resource_id).capacity > 1:
        return []
    around = bookings_of_resource(session, booking.resource_id, within=quoted)
    return [other.slot for other in around if other.id != booking.id and other.state in TAKEN_UP]


def charge_of(
    quote: BookingQuote,
    use: ConfirmedUse,
    rebooked: Sequence[Slot] = (),
    terms: policies.Policy | None = None,
    prices: PriceList | None = None,
) -> Charge:
    """What a confirmed use costs under the booking's own prices and policy, or by other `terms` and `prices` than its own."""
    pieces = [
        Piece(Slot(datetime.fromisoformat(piece["start"]), datetime.fromisoformat(piece["end"])), UseState(piece["state"]))
        for piece in use.pieces
    ]
    terms = terms or policies.parse(quote.policy)
    prices, verdict = prices or frozen_prices(quote, terms), Outcome(use.verdict.value)
    found = pricing.charge_for_use(prices, quote.slot, pieces, terms, quantity=quote.quantity, rebooked=rebooked, verdict=verdict)
    return pricing.missed_at_least(found, Money(quote.owed_minor, quote.currency), terms.tax)


def _draft(
    session: Session, booking: Booking, quote: BookingQuote, use: ConfirmedUse | None, charge: Charge, now: datetime
) -> Statement:
    terms = policies.parse(quote.policy)
    before = queries.lock_newest(session, booking.id)  # who accepts it at this moment is waited for
    charged, taken = (Money(minor, quote.currency) for minor in queries.accepted_sums(session, booking.id))
    over = not_charged(charge.amount, corrections.ceiling(session, booking, quote, use))
    owed = charge.amount + over.amount if over else charge.amount
    bill = bill_of(quote, terms, owed)
    bases = pricing.bases_of(charge, terms.tax).at_most(bill.charge - bill.tax)
    paid = programmes.work_out(session, booking=booking, use=use, bill=bill, bases=bases)
    lines = [line_json(line) for line in (*charge.lines, *([over] if over else []))]
    if accepted := queries.accepted_statement(session, booking.id):
        found = corrections.named(session, booking, since=accepted.created_at) if use else []
        because = {"discrepancies": found} if found else {}
        earlier = Line(LineCode.CORRECTION, paid.before - charged)
        lines += [{**line_json(earlier), **because}] if charged or because else []
    if before is not None and before.state not in queries.PAYING:
        before.state = StatementState.SUPERSEDED
    row = Statement(
        id=new_id("stm"),
        booking_id=booking.id,
        institution_id=booking.institution_id,
        organisation_id=booking.organisation_id,
        number=before.number + 1 if before else 1,
        quote_id=quote.id,
        use_id=use.id if use else None,
        outcome=charge.outcome,
        state=StatementState.OPEN,
        funding=quote.funding,
        lines=[*with_tax(lines, bill.tax), *paid.lines],
        currency=quote.currency,
        charge_minor=(owed - charged).minor,
        fee_minor=(bill.fee - taken).minor,
        tax_minor=bill.tax.minor - queries.accepted_tax(session, booking.id),
        programme_minor=paid.deducted.minor,
        conditional_minor=paid.waiting.minor,
        booked_s=quote.slot.seconds,
        logged_s=use.early_s + use.confirmed_s + use.overrun_s if use else 0,
        confirmed_s=use.confirmed_s if use else 0,
        billed_s=int(charge.billable_min * 60),
        due_at=now + timedelta(hours=terms.dispute_hours),
        created_at=now,
    )
    session.add(row)
    session.flush()
    programmes.store(session, statement=row, paid=paid)
    return row


def bill_of(quote: BookingQuote, terms: policies.Policy, owed: Money) -> Bill:
    """What is owed for a booking in all, with the platform's fee and the tax in it."""
    tax = terms.tax.within(owed)
    return Bill(owed, settlement.platform_fee(owed - tax, terms.fee_rate), tax, quote.funding)


def accept_statement(session: Session, *, statement_id: str, actor_id: str, now: datetime) -> Statement:
    """The firm agrees: post it and take the money. Raises: NotFound, WrongState."""
    lock_devices(session, [get_booking(session, queries.get_statement(session, statement_id).booking_id).resource_id])
    statement = queries.lock_statement(session, statement_id)
    if statement.state not in {StatementState.OPEN, StatementState.DISPUTED}:
        raise WrongState(state=statement.state.value, move="accept")
    _accept(session, statement, actor_id, now)
    return statement


def accept_silent(session: Session, *, now: datetime) -> list[str]:
    """Accept the open statements whose time to dispute is over; returns their ids."""
    places = queries.places_of_silent(session, now=now)
    lock_devices(session, set(places.values()))
    silent = [row for row in queries.lock_silent(session, now=now) if row.id in places]
    for row in silent:
        _accept(session, row, None, now)
    return [row.id for row in silent]


def _accept(session: Session, statement: Statement, actor_id: str | None, now: datetime) -> None:
    statement.state, statement.accepted_at, statement.accepted_by = StatementState.ACCEPTED, now, actor_id
    session.flush()
    booking = get_booking(session, statement.booking_id)
    programmes.consume(session, statement=statement)
    post(session, recount.of_statement(statement), source_type="statement", source_id=statement.id, booking=booking, now=now)
    seal_use(session, statement, booking, now)
    payments.collect(session, statement=statement, now=now)
    note(session, statement, "accept_statement", actor_id, now)


def next_version(old: Statement, charge: Money, fee: Money, due_at: datetime, now: datetime) -> Statement:
    """Of a statement, for another reason than another use; its lines are still to be said."""
    return Statement(
        id=new_id("stm"),
        booking_id=old.booking_id,
        institution_id=old.institution_id,
        organisation_id=old.organisation_id,
        number=old.number + 1,
        quote_id=old.quote_id,
        use_id=old.use_id,
        outcome=old.outcome,
        state=StatementState.OPEN,
        funding=old.funding,
        currency=old.currency,
        charge_minor=charge.minor,
        fee_minor=fee.minor,
        booked_s=old.booked_s,
        logged_s=old.logged_s,
        confirmed_s=old.confirmed_s,
        billed_s=old.billed_s,
        due_at=due_at,
        created_at=now,
    )


def fall_back(
    session: Session, *, booking: Booking, last: Statement, back: tuple[Money, Money], line: Mapping[str, Any], now: datetime
) -> Statement:
    """A version that stands at once: what a programme refused to pay, and what of it was conditional, is the firm's (`back`)."""
    nothing = Money(0, last.currency)
    row = next_version(last, nothing, nothing, now, now)
    row.use_id, row.lines = None, [dict(line)]
    row.programme_minor, row.conditional_minor = (-one.minor for one in back)
    session.add(row)
    session.flush()
    _accept(session, row, None, now)
    return row


def mark_received(session: Session, *, statement_id: str, receipt: Receipt, actor_id: str, now: datetime) -> BankReceipt:
    """Finance has seen the firm's transfer, by its bank serial; parts may come one after the other.

    Raises: NotFound, WrongState, Invalid, ReceivedBefore.
    """
    statement = queries.lock_statement(session, statement_id)
    if statement.state is not StatementState.ACCEPTED:
        raise WrongState(state=statement.state.value, move="receive")
    _check_receipt(session, statement, receipt)
    row = BankReceipt(
        id=new_id("rec"),
        institution_id=statement.institution_id,
        statement_id=statement.id,
        serial=receipt.serial.strip(),
        amount_minor=receipt.amount.minor,
        currency=receipt.amount.currency,
        received_on=receipt.received_on,
        recorded_by=actor_id,
        created_at=now,
    )
    with refused_by("serial", ReceivedBefore(serial=row.serial)), session.begin_nested():
        session.add(row)
    booking = get_booking(session, statement.booking_id)
    entry = ledger.direct_paid(receipt.amount) if statement.funding is Funding.BANK else ledger.bank_received(receipt.amount)
    post(session, entry, source_type="bank_receipt", source_id=row.id, booking=booking, now=now)
    note(session, statement, "mark_received", actor_id, now)
    payments.settle_if_paid(session, booking=booking, now=now)
    return row


def _check_receipt(session: Session, statement: Statement, receipt: Receipt) -> None:
    left = payments.still_owed(session, booking_id=statement.booking_id, currency=statement.currency).minor
    if not 1 <= len(receipt.serial.strip()) <= 200:
        raise Invalid(field="serial", reason="give the bank's serial number")
    if receipt.amount.currency != statement.currency or not 0 < receipt.amount.minor <= left:
        raise Invalid(field="amount", reason="must be more than nothing and at most what is still owed")


def note(session: Session, statement: Statement, action: str, actor_id: str | None, now: datetime) -> None:
    """Record what was done with a statement."""
    audit.record(
        session,
        actor_id=actor_id,
        action=action,
        object_kind="statement",
        object_id=statement.id,
        institution_id=statement.institution_id,
        before=None,
        after={"state": statement.state.value, "charge_minor": statement.charge_minor, "number": statement.number},
        now=now,
    )
