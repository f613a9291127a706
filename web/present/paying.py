"""The payment of a booking: each step of its money, what is open, and what its payer can do."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from billing import queries as bills
from billing import settlement
from billing.ledger import Account
from billing.payments import queries as payments
from billing.payments.due import HOLD_AHEAD
from billing.payments.owing import what_is_open
from billing.payments.tables import Page, Refund
from billing.providers.base import RefundState
from billing.tables import BookingQuote, CallState, Operation, Payment, PaymentState
from booking.states import BookingState
from booking.tables import Booking
from marketplace.catalogue import queries as catalogue
from marketplace.money import Money
from marketplace.permissions import Actor
from marketplace.refusals import Refusal
from web.i18n import translator
from web.present import names
from web.reasons import sentence
from web.views.frame import Lang
from web.views.paying import Move, OpenPage, PaymentView

MOST_LOOKS = 150
"""A page that waits looks again every two seconds, for five minutes."""
REFUND_CODES = {
    RefundState.PENDING: "refund_pending",
    RefundState.SUCCEEDED: "refund_arrived",
    RefundState.FAILED: "refund_failed",
    RefundState.CANCELLED: "refund_failed",
}


def view(
    session: Session, row: Booking, *, actor: Actor, lang: Lang, now: datetime, looks: int = 0, refusal: Refusal | None = None
) -> PaymentView:
    """Raises: NotFound (it has no price)."""
    place, quote = catalogue.get_resource(session, row.resource_id), bills.quote_of_booking(session, row.id)
    found = what_is_open(session, booking=row, now=now)
    owed, transit, stuck = (_balance(session, row, quote, one) for one in (Account.AR, Account.RIT, Account.SUS))
    charging = any(call.state is CallState.WAITING for call in bills.calls_of(session, row.id))
    page = open_page(session, row.id, now)
    customer = row.person_id == actor.person_id or row.organisation_id in actor.organisations
    waits = charging or page is not None or row.state is BookingState.HELD
    return PaymentView(
        booking_id=row.id,
        resource=names.name_of(place, lang),
        slot=row.slot,
        zone=place.timezone,
        state=row.state.value,
        funding=quote.funding.value,
        quote=Money(quote.quote_minor, quote.currency),
        hold_until=row.hold_until if row.state is BookingState.HELD else None,
        moves=moves(session, row),
        owed=owed,
        back=-transit,
        stuck=-stuck,
        page=page if customer else None,
        need=found.need.value if found else None,
        need_amount=found.amount if found else None,
        too_little=owed.minor > 0 and not settlement.capturable(owed, owed),
        charging=charging,
        can_pay=customer and found is not None,
        statement_url=f"/{lang.value}/bookings/{row.id}/statement" if bills.statement_of_booking(session, row.id) else None,
        polls=waits and looks < MOST_LOOKS,
        looks=looks,
        refusal=sentence(refusal.code, refusal.values, translator(lang)) if refusal else None,
    )


def _balance(session: Session, row: Booking, quote: BookingQuote, account: Account) -> Money:
    return Money(bills.balance_of(session, account, booking_id=row.id), quote.currency)


def open_page(session: Session, booking_id: str, now: datetime) -> OpenPage | None:
    """The newest page on which something can be done."""
    for payment in reversed(bills.payments_of(session, booking_id)):
        page = payments.find_page(session, payment.id)
        if page and page.url and payment.state is PaymentState.WANTED and (page.ends_at is None or page.ends_at > now):
            by_bank = not payments.asked_for(session, payment.id, Operation.PAGE)
            what = "bank" if by_bank else page.purpose.value
            return OpenPage(page.url, what, Money(payment.wanted_minor, payment.currency), page.ends_at)
    return None


def moves(session: Session, row: Booking) -> Sequence[Move]:
    """In the order of the payments, each with what was given back of it."""
    taken = payments.captured_at(session, row.id)
    found: list[Move] = []
    for payment in bills.payments_of(session, row.id):
        page = payments.find_page(session, payment.id)
        if payment.state is PaymentState.FAILED:
            ended = payments.asked_for(session, payment.id, Operation.PAGE) and not (page and page.kept_at)
            wanted = Money(payment.wanted_minor, payment.currency)
            found.append(Move("page_ended" if ended else "refused", wanted, payment.created_at))
        else:
            found += _of_payment(payment, page, taken.get(payment.id), row)
        found += [_of_refund(refund, payment.currency) for refund in payments.refunds_of(session, payment.id)]
        found += _asked_back(session, payment)
    return found


def _of_payment(payment: Payment, page: Page | None, taken_at: datetime | None, row: Booking) -> Iterator[Move]:
    wanted, captured = Money(payment.wanted_minor, payment.currency), Money(payment.captured_minor, payment.currency)
    match payment.state:
        case PaymentState.WANTED if page and page.kept_at:
            yield Move("card_kept", wanted, page.kept_at, row.starts_at - HOLD_AHEAD)
        case PaymentState.WANTED:
            yield Move("page_open" if page and page.url else "asked", wanted, payment.created_at, page.ends_at if page else None)
        case PaymentState.AUTHORISED:
            yield Move("held", Money(payment.authorised_minor, payment.currency), payment.created_at, payment.capture_before)
        case PaymentState.CAPTURED:
            yield Move("prepaid" if payment.prepaid else "taken", captured, taken_at)
            if payment.authorised_minor > payment.captured_minor:
                yield Move("released", Money(payment.authorised_minor, payment.currency) - captured, taken_at)
        case PaymentState.RELEASED:
            yield Move("forgotten" if page and page.kept_at and not payment.authorised_minor else "released", wanted, None)


def _of_refund(refund: Refund, currency: str) -> Move:
    at = refund.ended_at or refund.arrived_at or refund.created_at
    return Move(REFUND_CODES[refund.state], Money(refund.amount_minor, currency), at)


def _asked_back(session: Session, payment: Payment) -> Iterator[Move]:
    """Refunds that the provider has not answered yet, or has refused."""
    for call in bills.calls_of(session, payment.booking_id):
        amount = Money(int(call.parameters.get("amount", 0)), payment.currency)
        if call.payment_id == payment.id and call.operation is Operation.REFUND and call.state is not CallState.DONE:
            yield Move("refund_pending" if call.state is CallState.WAITING else "refund_failed", amount, call.created_at)
