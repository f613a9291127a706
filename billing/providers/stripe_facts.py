"""What Stripe's objects and errors mean: facts and troubles."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import stripe

from billing.providers.base import (
    Broken,
    CheckoutFact,
    CheckoutState,
    Declined,
    MadeFact,
    MethodFact,
    MovementFact,
    NoAnswer,
    PaymentFact,
    RefundFact,
    RefundState,
    Rejected,
    SetupFact,
    SetupState,
)
from billing.tables import PaymentState

PAYMENT_STATES = {
    "requires_capture": PaymentState.AUTHORISED,
    "succeeded": PaymentState.CAPTURED,
    "canceled": PaymentState.RELEASED,
}
HOLDING = (PaymentState.AUTHORISED, PaymentState.CAPTURED)
REFUND_STATES = {
    "pending": RefundState.PENDING,
    "requires_action": RefundState.PENDING,
    "succeeded": RefundState.SUCCEEDED,
    "failed": RefundState.FAILED,
    "canceled": RefundState.CANCELLED,
}
SETUP_STATES = {
    "succeeded": SetupState.SUCCEEDED,
    "requires_action": SetupState.NEEDS_PAYER,
    "requires_payment_method": SetupState.NEEDS_METHOD,
    "requires_confirmation": SetupState.NEEDS_METHOD,
    "processing": SetupState.PROCESSING,
    "canceled": SetupState.CANCELLED,
}


def payment_of(intent: stripe.PaymentIntent, refunds: Iterable[stripe.Refund]) -> PaymentFact:
    """A payment with all refunds of its charge. Raises: Declined, where it waits for its payer; NoAnswer, for its bank."""
    state = PAYMENT_STATES.get(intent.status)
    if state is None:
        raise _no_payment(intent)
    charge = intent.latest_charge if isinstance(intent.latest_charge, stripe.Charge) else None
    booked = charge.balance_transaction if charge else None
    card = getattr(charge.payment_method_details, "card", None) if charge else None  # a wallet has none
    ends = getattr(card, "capture_before", None)
    given_back = tuple(refund_of(refund) for refund in refunds)
    return PaymentFact(
        object_id=intent.id,
        state=state,
        authorised_minor=intent.amount,
        captured_minor=intent.amount_received,
        refunded_minor=sum(one.amount_minor for one in given_back if one.state is RefundState.SUCCEEDED),
        fee_minor=booked.fee if isinstance(booked, stripe.BalanceTransaction) else 0,
        charge_id=charge.id if charge else None,
        customer_id=_id(intent.customer),
        method_id=_id(intent.payment_method),
        capture_before=datetime.fromtimestamp(ends, UTC) if ends else None,
        refunds=given_back,
        made_by=_made_by(intent.metadata),
    )


def _no_payment(intent: stripe.PaymentIntent) -> Declined | NoAnswer:
    if intent.status == "processing":
        return NoAnswer("the payer's bank has not answered yet")
    error = intent.last_payment_error
    code = getattr(error, "code", None) if intent.status == "requires_payment_method" else None
    return Declined(code or intent.status, intent.id, _page(intent))


def _page(intent: stripe.PaymentIntent | stripe.SetupIntent) -> str | None:
    redirect = getattr(intent.next_action, "redirect_to_url", None)
    return redirect.url if redirect else None


def _id(thing: Any) -> str | None:
    """The id of an object that may have been expanded."""
    return thing if thing is None or isinstance(thing, str) else str(thing.id)


def _made_by(metadata: Any) -> str | None:
    return metadata["key"] if metadata and "key" in metadata else None


def refund_of(refund: stripe.Refund) -> RefundFact:
    """The account has lost its amount once it was booked, and has it again once its failure was."""
    gone = refund.balance_transaction and not getattr(refund, "failure_balance_transaction", None)
    return RefundFact(
        object_id=refund.id,
        payment_id=_id(refund.payment_intent),
        state=REFUND_STATES[refund.status or "pending"],
        amount_minor=refund.amount,
        booked_minor=refund.amount if gone else 0,
        made_by=_made_by(refund.metadata),
        failure=getattr(refund, "failure_reason", None),
    )


def setup_of(intent: stripe.SetupIntent) -> SetupFact:
    method = intent.payment_method
    return SetupFact(
        object_id=intent.id,
        state=SETUP_STATES[intent.status],
        customer_id=_id(intent.customer),
        method=method_of(method) if isinstance(method, stripe.PaymentMethod) else None,
        page=_page(intent),
        declined=getattr(intent.last_setup_error, "code", None),
        made_by=_made_by(intent.metadata),
    )


def method_of(method: stripe.PaymentMethod) -> MethodFact:
    card = getattr(method, "card", None)
    return MethodFact(method.id, method.type, card.brand if card else "", card.last4 if card else "")


def checkout_of(session: stripe.checkout.Session) -> CheckoutFact:
    return CheckoutFact(
        object_id=session.id,
        state=CheckoutState(session.status or "open"),
        paid=session.payment_status == "paid",
        payment_id=_id(session.payment_intent),
        setup_id=_id(session.setup_intent),
        customer_id=_id(session.customer),
        page=session.url,
        expires_at=datetime.fromtimestamp(session.expires_at, UTC),
    )


def movement_of(booked: stripe.BalanceTransaction) -> MovementFact:
    """With its source brought along."""
    source: Any = booked.source
    about = None if source is None or isinstance(source, str) else _about(source)
    return MovementFact(
        object_id=booked.id,
        kind=booked.type,
        source_id=_id(source),
        about=about,
        amount_minor=booked.amount,
        fee_minor=booked.fee,
        currency=booked.currency.upper(),
        created_at=datetime.fromtimestamp(booked.created, UTC),
    )


def _about(source: Any) -> str | None:
    return _id(getattr(source, "payment_intent", None) or getattr(source, "source_transaction", None))


def made_of(thing: stripe.PaymentIntent | stripe.Transfer) -> MadeFact | None:
    """None where it is under no key of ours."""
    metadata = thing.metadata
    if not metadata or "key" not in metadata:
        return None
    holds = PAYMENT_STATES.get(thing.status) in HOLDING if isinstance(thing, stripe.PaymentIntent) else True
    return MadeFact(thing.id, metadata["key"], thing.amount, thing.currency.upper(), holds)


@contextmanager
def troubles() -> Iterator[None]:
    """Stripe's errors as the four troubles."""
    try:
        yield
    except stripe.CardError as error:
        raise _declined(error) from error
    except stripe.APIConnectionError as error:
        raise NoAnswer(str(error)) from error
    except (stripe.InvalidRequestError, stripe.IdempotencyError) as error:
        raise Rejected(str(error)) from error
    except stripe.StripeError as error:
        if error.http_status == 409:  # a twin is under way: what came of it is not known
            raise NoAnswer(str(error)) from error
        raise Broken(str(error)) from error


def _declined(error: stripe.CardError) -> Declined:
    said: Any = error.json_body
    about = said.get("error", {}) if isinstance(said, dict) else {}
    left = about.get("payment_intent") or about.get("setup_intent") or {}
    return Declined(error.code or "card_declined", left.get("id"))
