"""What billing stores: policies, quotes, statements, the journal, payments, the calls to the provider and its events."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, UniqueConstraint, false, text
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, composite, mapped_column

from billing.journal.balancing import keep_balanced
from billing.ledger import Account, EntryKind
from billing.pricing import Outcome
from billing.settlement import Funding
from booking.tables import Booking
from devices.tables import ConfirmedUse
from marketplace.db import Base, Code, Document, Id, Line, Name, choice
from marketplace.forward import keep_forward
from marketplace.frozen import freeze
from marketplace.slot import Slot
from marketplace.tables import Institution, Resource


class StatementState(StrEnum):
    """`open` can be answered; `accepted` is being paid; `settled` is paid; `superseded` gave way to a newer version."""

    OPEN = "open"
    DISPUTED = "disputed"
    ACCEPTED = "accepted"
    SETTLED = "settled"
    SUPERSEDED = "superseded"


class PaymentState(StrEnum):
    """Forward only, in this order; the last two end it."""

    WANTED = "wanted"
    AUTHORISED = "authorised"
    CAPTURED = "captured"
    RELEASED = "released"
    FAILED = "failed"


class Operation(StrEnum):
    """What the provider is asked for; the last four are about a page or a card of the payer's."""

    HOLD = "hold"
    CAPTURE = "capture"
    RELEASE = "release"
    CHARGE = "charge"
    REFUND = "refund"
    TRANSFER = "transfer"
    KEEP = "keep"
    PAGE = "page"
    READ = "read"
    CLOSE = "close"


class CallState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    MISMATCH = "mismatch"


STATEMENT_MOVES = {
    StatementState.OPEN: (StatementState.DISPUTED, StatementState.ACCEPTED, StatementState.SUPERSEDED),
    StatementState.DISPUTED: (StatementState.ACCEPTED, StatementState.SUPERSEDED),
    StatementState.ACCEPTED: (StatementState.SETTLED,),
}
PAYMENT_MOVES = {
    PaymentState.WANTED: (PaymentState.AUTHORISED, PaymentState.CAPTURED, PaymentState.RELEASED, PaymentState.FAILED),
    PaymentState.AUTHORISED: (PaymentState.CAPTURED, PaymentState.RELEASED, PaymentState.FAILED),
}
CALL_MOVES = {
    CallState.WAITING: (CallState.DONE, CallState.FAILED, CallState.MISMATCH),
    CallState.DONE: (CallState.MISMATCH,),
    CallState.FAILED: (CallState.MISMATCH,),
}
"""From each state to the next ones; the database keeps to them."""


OPEN = text("done_at IS NULL")


class PolicyVersion(Base):
    """One version of a resource's policy. Rows never change."""

    __tablename__ = "policy_versions"

    id: Mapped[Id] = mapped_column(primary_key=True)
    resource_id: Mapped[Id] = mapped_column(ForeignKey(Resource.id))
    number: Mapped[int]
    document: Mapped[Document]
    digest: Mapped[Code]
    created_by: Mapped[Id | None]
    created_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("resource_id", "number"),)


class BookingQuote(Base):
    """The price and the policy a booking was accepted under, with the policy's hash. A moved booking gets another one."""

    __tablename__ = "booking_quotes"

    id: Mapped[Id] = mapped_column(primary_key=True)
    booking_id: Mapped[Id] = mapped_column(ForeignKey(Booking.id))
    number: Mapped[int]
    price_minor: Mapped[int]
    currency: Mapped[Code]
    quantity: Mapped[int]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    timezone: Mapped[Code]
    funding: Mapped[Funding] = mapped_column(choice(Funding))
    policy: Mapped[Document]
    policy_digest: Mapped[Code]
    price_class: Mapped[str | None] = mapped_column(String(40))
    """The customer class that the policy has prices of its own for; None: the list's, or nothing for one's own house."""
    assisted: Mapped[bool] = mapped_column(default=False, server_default=false())
    setup_s: Mapped[int] = mapped_column(default=0, server_default="0")
    cleanup_s: Mapped[int] = mapped_column(default=0, server_default="0")
    """What its claim keeps clear before and after the slot, where the policy bills that; else nothing."""
    quote_minor: Mapped[int]
    """At most, an added tax with it."""
    owed_minor: Mapped[int] = mapped_column(default=0, server_default="0")
    """What cancelling costs at least: the customer gave up an earlier time when cancelling it was no longer free."""
    created_at: Mapped[datetime]

    slot: Mapped[Slot] = composite(Slot, "starts_at", "ends_at")

    __table_args__ = (
        UniqueConstraint("booking_id", "number"),
        CheckConstraint("quote_minor >= 0", name="quote_not_negative"),
    )


class Statement(Base):
    """One version of what a booking costs: its lines, minutes and evidence, and who has answered."""

    __tablename__ = "statements"

    id: Mapped[Id] = mapped_column(primary_key=True)
    booking_id: Mapped[Id] = mapped_column(ForeignKey(Booking.id))
    institution_id: Mapped[Id] = mapped_column(ForeignKey(Institution.id))
    organisation_id: Mapped[Id | None]
    number: Mapped[int]
    quote_id: Mapped[Id] = mapped_column(ForeignKey("booking_quotes.id"))
    use_id: Mapped[Id | None] = mapped_column(ForeignKey(ConfirmedUse.id))
    """The confirmed use it was drafted from; none for a cancellation."""
    outcome: Mapped[Outcome] = mapped_column(choice(Outcome))
    state: Mapped[StatementState] = mapped_column(choice(StatementState))
    funding: Mapped[Funding] = mapped_column(choice(Funding))
    lines: Mapped[list[Any]]
    """[{"code", "minutes"?, "amount": {"minor", "currency"}}], shown whole, never queried."""
    currency: Mapped[Code]
    charge_minor: Mapped[int]
    """What this version adds to what earlier accepted ones charged; negative where they charged too much."""
    fee_minor: Mapped[int]
    tax_minor: Mapped[int] = mapped_column(default=0, server_default="0")
    """Contained in the charge."""
    programme_minor: Mapped[int] = mapped_column(default=0, server_default="0")
    """What of the charge programmes deduct from the firm's bill."""
    conditional_minor: Mapped[int] = mapped_column(default=0, server_default="0")
    """What of the institution's share waits for them to pay."""
    booked_s: Mapped[int]
    logged_s: Mapped[int]
    """Everything the equipment logged as run for this booking: early, inside and overrun."""
    confirmed_s: Mapped[int]
    billed_s: Mapped[int]
    """Billed minutes inside the slot, as seconds."""
    due_at: Mapped[datetime]
    """Silence until then accepts."""
    dispute_reason: Mapped[Line | None]
    disputed_at: Mapped[datetime | None]
    accepted_at: Mapped[datetime | None]
    accepted_by: Mapped[Id | None]
    """Nobody where silence accepted."""
    settled_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    @hybrid_property
    def firm_minor(self) -> int:
        """What of the charge the firm pays itself."""
        return self.charge_minor - self.programme_minor

    __table_args__ = (
        UniqueConstraint("booking_id", "number"),
        Index("ix_statements_due", "state", "due_at"),  # the worker's silence accepts
        Index("ix_statements_institution", "institution_id", "created_at"),  # a finance desk
        Index("ix_statements_organisation", "organisation_id", "created_at"),  # a firm's bills
    )


class JournalEntry(Base):
    """One balanced entry. Its cause makes a second posting impossible; triggers refuse to change or delete it."""

    __tablename__ = "journal_entries"

    id: Mapped[Id] = mapped_column(primary_key=True)
    kind: Mapped[EntryKind] = mapped_column(choice(EntryKind))
    source_type: Mapped[Code]
    source_id: Mapped[Name]
    booking_id: Mapped[Id | None] = mapped_column(ForeignKey(Booking.id))
    institution_id: Mapped[Id | None]
    currency: Mapped[Code]
    legs: Mapped[int] = mapped_column(default=2, server_default="2")
    """How many it has."""
    created_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("kind", "source_type", "source_id"),
        Index("ix_journal_entries_booking", "booking_id"),  # a booking's journal
        Index("ix_journal_entries_created", "created_at"),  # a day's, when it is closed
    )


class JournalLeg(Base):
    """A signed amount on one account, debit positive."""

    __tablename__ = "journal_legs"

    entry_id: Mapped[Id] = mapped_column(ForeignKey("journal_entries.id"), primary_key=True)
    account: Mapped[Account] = mapped_column(choice(Account), primary_key=True)
    amount_minor: Mapped[int]

    __table_args__ = (CheckConstraint("amount_minor <> 0", name="amount_not_zero"),)


class Payment(Base):
    """One payment at the provider; what we last read of it."""

    __tablename__ = "payments"

    id: Mapped[Id] = mapped_column(primary_key=True)
    booking_id: Mapped[Id] = mapped_column(ForeignKey(Booking.id))
    number: Mapped[int]
    object_id: Mapped[Name | None]
    """The provider's own id, once it answered."""
    customer_id: Mapped[Name | None]
    method_id: Mapped[Name | None]
    charge_id: Mapped[Name | None]
    state: Mapped[PaymentState] = mapped_column(choice(PaymentState))
    currency: Mapped[Code]
    wanted_minor: Mapped[int]
    authorised_minor: Mapped[int] = mapped_column(default=0)
    captured_minor: Mapped[int] = mapped_column(default=0)
    refunded_minor: Mapped[int] = mapped_column(default=0)
    """What is with the payer now."""
    returned_minor: Mapped[int] = mapped_column(default=0, server_default="0")
    """What had arrived there and came back."""
    transferred_minor: Mapped[int] = mapped_column(default=0)
    fee_minor: Mapped[int] = mapped_column(default=0)
    prepaid: Mapped[bool] = mapped_column(default=False)
    """Captured before the statement was accepted: paid when booking, or because the hold would have ended."""
    capture_before: Mapped[datetime | None]
    created_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("booking_id", "number"),
        UniqueConstraint("object_id"),
        CheckConstraint("captured_minor <= authorised_minor", name="captured_at_most_authorised"),
        CheckConstraint("refunded_minor <= captured_minor", name="refunded_at_most_captured"),
        Index("ix_payments_state", "state", "capture_before"),  # holds to confirm, holds about to end
    )


class ProviderCall(Base):
    """An intention with all its parameters and its key, committed before the provider is called."""

    __tablename__ = "provider_calls"

    id: Mapped[Id] = mapped_column(primary_key=True)
    key: Mapped[Name]
    """`{booking}:{operation}:{seq}`; the provider sees it with the generation."""
    booking_id: Mapped[Id] = mapped_column(ForeignKey(Booking.id))
    payment_id: Mapped[Id] = mapped_column(ForeignKey("payments.id"))
    seq: Mapped[int]
    """Calls of one booking go out one after the other, in this order."""
    operation: Mapped[Operation] = mapped_column(choice(Operation))
    parameters: Mapped[Document]
    state: Mapped[CallState] = mapped_column(choice(CallState))
    run_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    generation: Mapped[int] = mapped_column(default=1)
    first_called_at: Mapped[datetime | None]
    last_error: Mapped[Line | None]
    created_at: Mapped[datetime]
    done_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("key"),
        UniqueConstraint("booking_id", "seq"),
        Index("ix_provider_calls_due", "state", "run_at", "seq"),  # the worker's claim, which never walks past what is done
        Index("ix_provider_calls_payment", "payment_id"),  # what was asked of a payment already
    )


class ProviderEvent(Base):
    """A webhook as it came, verified; the worker reads the object again and moves its state forward."""

    __tablename__ = "provider_events"

    id: Mapped[Name] = mapped_column(primary_key=True)
    kind: Mapped[Code]
    object_id: Mapped[Name]
    account: Mapped[Name | None]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[datetime]
    run_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    done_at: Mapped[datetime | None]
    quarantined_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_provider_events_due", "run_at", postgresql_where=OPEN, sqlite_where=OPEN),)  # the worker's claim


class PayoutAccount(Base):
    """Where an institution's share goes when the platform collects: its account at the provider."""

    __tablename__ = "payout_accounts"

    institution_id: Mapped[Id] = mapped_column(ForeignKey(Institution.id), primary_key=True)
    account_id: Mapped[Name]
    created_at: Mapped[datetime]


class BankReceipt(Base):
    """A bank transfer somebody of the institution's finance has seen, by its serial number; entered once."""

    __tablename__ = "bank_receipts"

    id: Mapped[Id] = mapped_column(primary_key=True)
    institution_id: Mapped[Id] = mapped_column(ForeignKey(Institution.id))
    statement_id: Mapped[Id] = mapped_column(ForeignKey("statements.id"))
    serial: Mapped[Name]
    amount_minor: Mapped[int]
    currency: Mapped[Code]
    received_on: Mapped[date]
    recorded_by: Mapped[Id]
    created_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("institution_id", "serial"),
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        Index("ix_bank_receipts_statement", "statement_id"),
    )


keep_balanced(JournalLeg.__table__)
keep_forward(Statement.__table__, "statements", STATEMENT_MOVES)
keep_forward(Payment.__table__, "payments", PAYMENT_MOVES)
keep_forward(ProviderCall.__table__, "provider_calls", CALL_MOVES)
for frozen in (PolicyVersion, BookingQuote, JournalEntry, JournalLeg, BankReceipt):
    freeze(frozen.__table__, frozen.__tablename__)
