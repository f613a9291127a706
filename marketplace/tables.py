"""What the marketplace stores: institutions, organisations, people, listings, audit, messages, job slots."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, composite, mapped_column

from marketplace.db import Base, Code, Document, Id, Line, LongText, Name, choice, sparse_index
from marketplace.frozen import freeze
from marketplace.money import Money
from marketplace.roles import Role


class InstitutionKind(StrEnum):
    UNIVERSITY = "university"
    INSTITUTE = "institute"
    ENTERPRISE = "enterprise"
    PLATFORM = "platform"


class Settlement(StrEnum):
    """How a firm's money reaches the institution (billing decides what each means)."""

    DIRECT = "direct"
    PLATFORM_COLLECTS = "platform_collects"


class CustomerClass(StrEnum):
    INTERNAL = "internal"
    ACADEMIC = "academic"
    INDUSTRY = "industry"
    PARTNER = "partner"


class ResourceKind(StrEnum):
    PILOT_LINE = "pilot_line"
    SMALL_LINE = "small_line"
    CONCEPT_CENTRE = "concept_centre"
    INSTRUMENT = "instrument"


class ListingState(StrEnum):
    DRAFT = "draft"
    PUBLISHED = "published"
    PAUSED = "paused"
    RETIRED = "retired"


class Institution(Base):
    """A legal entity that opens resources."""

    __tablename__ = "institutions"

    id: Mapped[Id] = mapped_column(primary_key=True)
    name: Mapped[Name]
    name_en: Mapped[Name | None]
    kind: Mapped[InstitutionKind] = mapped_column(choice(InstitutionKind))
    credit_code: Mapped[Code | None]
    district: Mapped[Name | None]
    timezone: Mapped[Code]
    settlement: Mapped[Settlement] = mapped_column(choice(Settlement), default=Settlement.DIRECT)
    bank_account: Mapped[Line | None]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("credit_code"),)


class Organisation(Base):
    """A legal entity that books: a firm, a research group of another house, or the institution's own staff."""

    __tablename__ = "organisations"

    id: Mapped[Id] = mapped_column(primary_key=True)
    name: Mapped[Name]
    credit_code: Mapped[Code | None]
    is_sme: Mapped[bool]
    customer_class: Mapped[CustomerClass] = mapped_column(choice(CustomerClass))
    institution_id: Mapped[Id | None] = mapped_column(ForeignKey("institutions.id"))
    """Set when this is a department of that institution: its use is internal there."""
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("credit_code"),)


class RelatedParty(Base):
    """An organisation that is related to an institution: its use is never counted as external."""

    __tablename__ = "related_parties"

    organisation_id: Mapped[Id] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    institution_id: Mapped[Id] = mapped_column(ForeignKey("institutions.id"), primary_key=True)
    reason: Mapped[Line]
    created_at: Mapped[datetime]


class Person(Base):
    __tablename__ = "people"

    id: Mapped[Id] = mapped_column(primary_key=True)
    email: Mapped[Name]
    name: Mapped[Name]
    locale: Mapped[Code] = mapped_column(default="zh")
    phone: Mapped[Code | None]
    password_hash: Mapped[Name | None]
    calendar_secret_hash: Mapped[Code | None]
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("email"),)


class Membership(Base):
    """A person's role: platform-wide where both scopes are empty, else in one institution or one organisation."""

    __tablename__ = "memberships"

    id: Mapped[Id] = mapped_column(primary_key=True)
    person_id: Mapped[Id] = mapped_column(ForeignKey("people.id"))
    role: Mapped[Role] = mapped_column(choice(Role))
    institution_id: Mapped[Id | None] = mapped_column(ForeignKey("institutions.id"))
    organisation_id: Mapped[Id | None] = mapped_column(ForeignKey("organisations.id"))
    created_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("institution_id IS NULL OR organisation_id IS NULL", name="one_scope"),
        Index("ix_memberships_person", "person_id"),  # every request loads its actor's roles
    )


class Resource(Base):
    """A listing: a line, centre or instrument with its list price. Rules live in booking, tariffs in billing."""

    __tablename__ = "resources"

    id: Mapped[Id] = mapped_column(primary_key=True)
    institution_id: Mapped[Id] = mapped_column(ForeignKey("institutions.id"))
    parent_id: Mapped[Id | None] = mapped_column(ForeignKey("resources.id"))
    kind: Mapped[ResourceKind] = mapped_column(choice(ResourceKind))
    name: Mapped[Name]
    name_en: Mapped[Name | None]
    summary: Mapped[LongText | None]
    summary_en: Mapped[LongText | None]
    tags: Mapped[list[Any]] = mapped_column(default=list)
    """[{"zh": ..., "en": ...}]: short facts on the card, shown whole, never queried."""
    icon: Mapped[Code | None]
    chain: Mapped[Code | None]
    district: Mapped[Name | None]
    address: Mapped[Line | None]
    timezone: Mapped[Code]
    capacity: Mapped[int] = mapped_column(default=1)
    price_minor: Mapped[int]
    currency: Mapped[Code]
    quota_hours: Mapped[int | None]
    """Rated machine hours a year (额定机时), for quota utilisation."""
    value_minor: Mapped[int | None]
    """Purchase value (原值), minor units of `currency`."""
    commissioned_on: Mapped[date | None]
    decommissioned_on: Mapped[date | None]
    state: Mapped[ListingState] = mapped_column(choice(ListingState), default=ListingState.DRAFT)
    listed_on: Mapped[date | None]
    """Local date of the first publication."""
    version: Mapped[int] = mapped_column(default=1)
    shape: Mapped[int] = mapped_column(default=0, server_default="0")
    """How often its rules, or what a use of it takes along, have changed: who waited for its row looks again where it differs."""
    created_at: Mapped[datetime]

    price: Mapped[Money] = composite(Money, "price_minor", "currency")

    __table_args__ = (
        CheckConstraint("capacity BETWEEN 1 AND 1000", name="capacity_range"),
        CheckConstraint("price_minor >= 0", name="price_not_negative"),
        Index("ix_resources_institution", "institution_id"),  # a publisher's desk
        sparse_index("ix_resources_parent", "parent_id"),  # a line's stations, at every booking
        Index("ix_resources_state", "state", "kind"),  # search and its facets
    )


class ResourceWord(Base):
    """One search token of a listing with its weight: the inverted index both databases share."""

    __tablename__ = "resource_words"

    word: Mapped[Code] = mapped_column(primary_key=True)
    resource_id: Mapped[Id] = mapped_column(ForeignKey("resources.id"), primary_key=True)
    weight: Mapped[int]

    __table_args__ = (Index("ix_resource_words_resource", "resource_id"),)  # re-indexing one listing


class SignIn(Base):
    """A signed-in browser; only the hash of its secret is kept."""

    __tablename__ = "sign_ins"

    secret_hash: Mapped[Code] = mapped_column(primary_key=True)
    person_id: Mapped[Id] = mapped_column(ForeignKey("people.id"))
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    user_agent: Mapped[Name | None]
    __table_args__ = (Index("ix_sign_ins_person", "person_id"),)  # list and revoke


class ApiToken(Base):
    __tablename__ = "api_tokens"

    id: Mapped[Id] = mapped_column(primary_key=True)
    person_id: Mapped[Id] = mapped_column(ForeignKey("people.id"))
    label: Mapped[Name]
    secret_hash: Mapped[Code]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]

    __table_args__ = (UniqueConstraint("secret_hash"), Index("ix_api_tokens_person", "person_id"))


class Ticket(Base):
    """A one-time link sent to an address: an invitation or a password reset. Only its hash is kept."""

    __tablename__ = "tickets"

    secret_hash: Mapped[Code] = mapped_column(primary_key=True)
    purpose: Mapped[Code]
    email: Mapped[Name]
    role: Mapped[Role | None] = mapped_column(choice(Role))
    institution_id: Mapped[Id | None] = mapped_column(ForeignKey("institutions.id"))
    organisation_id: Mapped[Id | None] = mapped_column(ForeignKey("organisations.id"))
    invited_by: Mapped[Id | None] = mapped_column(ForeignKey("people.id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Attempt(Base):
    """Sign-in, reset and registration attempts in fixed windows, so that limits hold across processes."""

    __tablename__ = "attempts"

    subject: Mapped[Name] = mapped_column(primary_key=True)
    window_start: Mapped[datetime] = mapped_column(primary_key=True)
    count: Mapped[int]


class AuditEntry(Base):
    """Who changed what, with the values before and after. Rows are added, never changed (triggers)."""

    __tablename__ = "audit_entries"

    id: Mapped[Id] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    actor_id: Mapped[Id | None]
    institution_id: Mapped[Id | None]
    action: Mapped[Code]
    object_kind: Mapped[Code]
    object_id: Mapped[Id]
    before: Mapped[Document | None]
    after: Mapped[Document | None]

    __table_args__ = (Index("ix_audit_entries_object", "object_kind", "object_id", "at"),)  # an object's history


freeze(AuditEntry.__table__, AuditEntry.__tablename__)


class Message(Base):
    """A message to a person, queued in the transaction that caused it, sent by the worker, never twice."""

    __tablename__ = "messages"

    id: Mapped[Id] = mapped_column(primary_key=True)
    cause: Mapped[Name]
    """Unique: `booking:<id>:confirmed` makes the second attempt to queue a no-op."""
    person_id: Mapped[Id] = mapped_column(ForeignKey("people.id"))
    kind: Mapped[Code]
    data: Mapped[Document]
    run_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    sent_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    read_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("cause"),
        Index(  # the sender's claim
            "ix_messages_due", "run_at", postgresql_where=text("sent_at IS NULL"), sqlite_where=text("sent_at IS NULL")
        ),
        Index("ix_messages_person", "person_id", "created_at"),  # a person's inbox
        Index(  # the number beside one's name, on every page
            "ix_messages_unread", "person_id", postgresql_where=text("read_at IS NULL"), sqlite_where=text("read_at IS NULL")
        ),
    )


class JobSlot(Base):
    """One due slot of one timed job: whoever inserts the row runs it."""

    __tablename__ = "job_slots"

    job: Mapped[Code] = mapped_column(primary_key=True)
    due_at: Mapped[datetime] = mapped_column(primary_key=True)
    claimed_at: Mapped[datetime]
    done_at: Mapped[datetime | None]


class IdempotencyKey(Base):
    """A final answer kept under (principal, method, path, key), written with its effect."""

    __tablename__ = "idempotency_keys"

    principal: Mapped[Code] = mapped_column(primary_key=True)
    method: Mapped[Code] = mapped_column(primary_key=True)
    path: Mapped[Name] = mapped_column(primary_key=True)
    key: Mapped[Name] = mapped_column(primary_key=True)
    request_hash: Mapped[Code]
    status: Mapped[int]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
