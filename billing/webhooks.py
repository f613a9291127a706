"""Webhooks: verified on the raw body, kept by event id, applied later by reading the object again; forward only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
import stripe
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from billing import queries
from billing.payments.applying import PayerFact, apply_fact
from billing.payments.queries import payment_of_call, payment_of_page
from billing.providers.base import Declined, Notice, PaymentFact, Provider, Rejected, SetupFact, Trouble
from billing.providers.stripe_connect import notice_of
from billing.tables import Payment, ProviderEvent
from marketplace.refusals import NotFound, Refusal
from marketplace.upsert import insert_new

LARGEST = 256 * 1024
TOLERANCE = timedelta(seconds=300)
"""How far the sender's clock may be off, either way."""

LEASE = timedelta(minutes=5)
QUARANTINE = timedelta(hours=24)
"""An event about an object that is not ours by then is put aside."""

READ = ("pi_", "seti_", "cs_")
"""What of the provider's is read again; others are recorded by the calls that made them."""

RETRY = timedelta(minutes=10)


class BadSignature(Refusal):
    """Not from the provider, too old, too far ahead or too large. `reason` says which."""

    code = "bad_signature"


class NoSecret(ValueError):
    """Webhooks cannot be received without a secret: anybody could send them."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """An event taken out of the inbox."""

    event_id: str
    object_id: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read of the object of an event."""

    event_id: str
    fact: PayerFact | None
    answered: bool = True
    """Whether the provider has told anything: without a fact that it has no such object, or that the event is of none of ours."""
    nothing_new: bool = False
    """The payment waits for its payer or was declined: its call hears of that itself."""


def read_secrets(setting: str) -> tuple[str, ...]:
    """Secrets separated by commas, newest first. Raises: NoSecret."""
    secrets = tuple(part.strip() for part in setting.split(",") if part.strip())
    if not secrets:
        raise NoSecret("no webhook secret is set")
    return secrets


def verify(body: bytes, header: str, secrets: Sequence[str], *, now: datetime) -> Notice:
    """The event in a raw body that one of the secrets has signed. Raises: BadSignature, NoSecret."""
    if not secrets or not all(secrets):
        raise NoSecret("no webhook secret is set")
    if len(body) > LARGEST:
        raise BadSignature(reason="too_large")
    stamps = [part[2:] for part in header.split(",") if part.startswith("t=")]
    if len(stamps) != 1 or not stamps[0].isdecimal() or len(stamps[0]) > 12:
        raise BadSignature(reason="malformed")
    if abs(now.timestamp() - int(stamps[0])) > TOLERANCE.total_seconds():
        raise BadSignature(reason="clock")
    try:
        text = body.decode()
        if not any(_signed(text, header, secret) for secret in secrets):
            raise BadSignature(reason="signature")
        return notice_of(orjson.loads(body), body)
    except (UnicodeDecodeError, orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise BadSignature(reason="malformed") from None


def _signed(text: str, header: str, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(text, header, secret, tolerance=None))
    except stripe.SignatureVerificationError:
        return False


def accept(session: Session, notice: Notice, *, now: datetime) -> bool:
    """Keep an event; False if it was here before."""
    row: dict[str, Any] = {
        "id": notice.id,
        "kind": notice.kind,
        "object_id": notice.object_id,
        "account": notice.account,
        "body": notice.body,
        "received_at": now,
        "run_at": now,
        "attempts": 0,
    }
    session.flush()
    return bool(insert_new(session, ProviderEvent, [row], key="id"))


def claim(session: Session, *, now: datetime) -> Claimed | None:
    """Lease the next event; commit before reading its object."""
    free = or_(ProviderEvent.lease_until.is_(None), ProviderEvent.lease_until <= now, ProviderEvent.lease_until > now + LEASE)
    due = (
        select(ProviderEvent)
        .where(ProviderEvent.done_at.is_(None), ProviderEvent.quarantined_at.is_(None), ProviderEvent.run_at <= now, free)
        .order_by(ProviderEvent.run_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = session.scalars(due).one_or_none()
    if row is None:
        return None
    row.lease_until, row.attempts = now + LEASE, row.attempts + 1
    session.flush()
    return Claimed(row.id, row.object_id)


def read(claimed: Claimed, provider: Provider) -> Seen:
    """The event's payment, page or card as the provider has it now, with no transaction open."""
    if not claimed.object_id.startswith(READ):
        return Seen(claimed.event_id, None)
    try:
        return Seen(claimed.event_id, _read(claimed.object_id, provider))
    except Declined:
        return Seen(claimed.event_id, None, nothing_new=True)
    except Rejected:
        return Seen(claimed.event_id, None)
    except Trouble:
        return Seen(claimed.event_id, None, answered=False)


def _read(object_id: str, provider: Provider) -> PayerFact:
    if object_id.startswith("pi_"):
        return provider.read_payment(object_id)
    return provider.read_setup(object_id) if object_id.startswith("seti_") else provider.read_page(object_id)


def record(session: Session, seen: Seen, *, now: datetime) -> None:
    """Move the payment forward to what was read. An unknown object is tried again, and put aside after 24 hours.

    What is ours, and everything while the provider cannot be read, is never put aside.
    """
    event = session.get_one(ProviderEvent, seen.event_id)
    event.lease_until = None
    payment = _payment_of(session, event.object_id, seen.fact)
    if payment is not None and seen.fact is not None:
        apply_fact(session, payment=payment, fact=seen.fact, now=now)
        event.done_at = now
    elif not event.object_id.startswith(READ) or seen.nothing_new:
        event.done_at = now  # transfers and the like are recorded by the call that made them
    elif payment is None and seen.answered and now - event.received_at >= QUARANTINE:
        event.quarantined_at = now
    else:
        event.run_at = now + RETRY
    session.flush()


def _payment_of(session: Session, object_id: str, fact: PayerFact | None) -> Payment | None:
    """By its id or its page's; what was made on a page is known by the mark of the call that asked for the page."""
    found = queries.find_payment(session, object_id) or payment_of_page(session, object_id)
    key = fact.made_by if isinstance(fact, PaymentFact | SetupFact) else None
    return found or (payment_of_call(session, key) if key else None)


def look_again(session: Session, *, event_id: str, now: datetime) -> None:
    """Read the object of an event that was put aside once more. Raises: NotFound."""
    event = session.get(ProviderEvent, event_id)
    if event is None or event.quarantined_at is None:
        raise NotFound(kind="event")
    event.quarantined_at, event.run_at = None, now
    session.flush()
