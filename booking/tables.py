"""What booking stores: versions of a resource's rules, the one occupancy ledger, bookings, outages, refused requests."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import DDL, CheckConstraint, ForeignKey, Index, String, UniqueConstraint, event, false, text, true
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlalchemy.orm import Mapped, composite, mapped_column

from booking.occupancy import Gap
from booking.states import BookingState
from marketplace.db import Base, Code, Document, Id, Line, choice, sparse_index
from marketplace.slot import Slot
from marketplace.tables import Institution, Organisation, Person, Resource


class Approval(StrEnum):
    INSTANT = "instant"
    REQUEST = "request"


class Category(StrEnum):
    """Whose use it is, for the evaluation."""

    EXT = "ext"
    INT = "int"
    SELF = "self"
    TEACH = "teach"


class ClaimKind(StrEnum):
    BOOKING = "booking"
    HOLD = "hold"
    REQUEST = "request"
    OUTAGE = "outage"
    EXTERNAL = "external"
    OFFER = "offer"


class RuleVersion(Base):
    """One version of a resource's rules; bookings keep the one they were accepted under. Rows never change."""

    __tablename__ = "rule_versions"

    id: Mapped[Id] = mapped_column(primary_key=True)
    resource_id: Mapped[Id] = mapped_column(ForeignKey(Resource.id))
    number: Mapped[int]
    hours: Mapped[list[Any]]
    """[{"weekday": 0-6, "open_min": 540, "close_min": 1020}], minutes of the local day; empty = always open."""
    step_min: Mapped[int]
    min_min: Mapped[int]
    max_min: Mapped[int]
    notice_min: Mapped[int]
    horizon_days: Mapped[int]
    setup_min: Mapped[int]
    cleaning_min: Mapped[int]
    buffer_mode: Mapped[Gap] = mapped_column(choice(Gap))
    approval: Mapped[Approval] = mapped_column(choice(Approval))
    created_at: Mapped[datetime]
    exceptions: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    """[{"date": "2026-10-01", "hours": [{"open_min": 540, "close_min": 720}]}]: what holds on that local date instead."""
    holidays: Mapped[str | None] = mapped_column(String(8))
    """The country (booking.calendar_days) whose public holidays are closed."""
    quotas: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    """[{"limit": 8, "unit": "count" | "hours", "per": "day" | "week" | "month", "by": "person" | "organisation" | "group"}].

    Of a group: "group" as in `audience`, or "name", "organisation_ids" and "person_ids".
    """
    audience: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    """[{"group": "own" | "academic" | "industry" | "partner"} | {"organisation_id"}, each with "since"?]; empty = everyone."""
    trusted: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    """Ids of the organisations whose bookings stand at once where others ask."""
    decide_within_h: Mapped[int | None]
    """A request that nobody has answered by then is over."""
    offer_min: Mapped[int | None]
    """How long an offer to someone in the waiting list stands; an hour where none is given."""
    check_in_grace_min: Mapped[int | None]
    """How long after the start one may still check in; to the end where none is given."""
    overtime_min: Mapped[int | None]
    """How long an unbroken run past the end belongs to the booking; an hour where none is given."""
    buffers_in_closed: Mapped[bool] = mapped_column(default=True, server_default=true())
    waive_own_buffers: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Between back-to-back bookings of one organisation nobody cleans down or sets up."""
    pooled: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Units are alike and counted: claims change units to make room for others."""
    qualifications: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    """[{"qualification_id", "level", "unless_assisted"}]: what a booker must hold at the start of a use."""
    assistance: Mapped[Document] = mapped_column(default=dict, server_default="{}")
    """{"mode": "optional" | "required", "operators": [id], "supervised_runs": 2}; empty = nobody stands by."""

    __table_args__ = (UniqueConstraint("resource_id", "number"),)


class SharedPart(Base):
    """A use of the resource takes one unit of the part along, such as a pump that two lines share."""

    __tablename__ = "shared_parts"

    resource_id: Mapped[Id] = mapped_column(ForeignKey(Resource.id), primary_key=True)
    part_id: Mapped[Id] = mapped_column(ForeignKey(Resource.id), primary_key=True)

    __table_args__ = (
        CheckConstraint("resource_id <> part_id", name="not_itself"),
        Index("ix_shared_parts_part", "part_id"),  # who shares it, when it changes
    )


class OnConflict(StrEnum):
    """What a series does with an occurrence that cannot be had."""

    REFUSE = "refuse"
    SKIP = "skip"


class BookingSeries(Base):
    """What was asked for as a repetition, as it was last edited; its bookings stand alone once they are granted."""

    __tablename__ = "booking_series"

    id: Mapped[Id] = mapped_column(primary_key=True)
    resource_id: Mapped[Id] = mapped_column(ForeignKey(Resource.id))
    institution_id: Mapped[Id] = mapped_column(ForeignKey(Institution.id))
    organisation_id: Mapped[Id | None] = mapped_column(ForeignKey(Organisation.id))
    person_id: Mapped[Id] = mapped_column(ForeignKey(Person.id))
    starts_at: Mapped[datetime]
    """Of the first occurrence; the others keep its wall-clock times."""
    ends_at: Mapped[datetime]
    rrule: Mapped[Line]
    on_conflict: Mapped[OnConflict] = mapped_column(choice(OnConflict))
    gaps: Mapped[list[Any]]
    """[{"start", "end", "reasons": [code]}], the occurrences that could not be had and are still wanted."""
    created_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1, server_default=text("1"))
    split_from: Mapped[Id | None]
    """The series whose later part this one is, since an edit of "this and following"."""

    slot: Mapped[Slot] = composite(Slot, "starts_at", "ends_at")

    __table_args__ = (
        CheckConstraint("starts_at < ends_at", name="slot_not_empty"),
        Index("ix_booking_series_person", "person_id"),
    )


class Booking(Base):
    """Someone's right to a resource for a slot; `quantity` units of it."""

    __tablename__ = "bookings"

    id: Mapped[Id] = mapped_column(primary_key=True)
    resource_id: Mapped[Id] = mapped_column(ForeignKey(Resource.id))
    institution_id: Mapped[Id] = mapped_column(ForeignKey(Institution.id))
    organisation_id: Mapped[Id | None] = mapped_column(ForeignKey(Organisation.id))
    person_id: Mapped[Id] = mapped_column(ForeignKey(Person.id))
    rules_id: Mapped[Id] = mapped_column(ForeignKey("rule_versions.id"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    quantity: Mapped[int]
    category: Mapped[Category] = mapped_column(choice(Category))
    purpose: Mapped[Line | None]
    bundle_id: Mapped[Id | None]
    """Shared by bookings that were granted together, all or none."""
    series_id: Mapped[Id | None]
    """Of the series it was granted with."""
    state: Mapped[BookingState] = mapped_column(choice(BookingState))
    hold_until: Mapped[datetime | None]
    """When a held booking expires."""
    submitted_at: Mapped[datetime]
    decide_by: Mapped[datetime | None]
    """When a request is over that nobody has answered; without one it is at its start."""
    decided_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    cancelled_by: Mapped[Id | None]
    cancelled_by_provider: Mapped[bool] = mapped_column(default=False)
    concluded_at: Mapped[datetime | None]
    checked_in_at: Mapped[datetime | None]
    """When someone said they were there; a word, the devices decide."""
    finished_at: Mapped[datetime | None]
    """When it was ended before its time; `ends_at` is that minute then."""
    assisted: Mapped[bool] = mapped_column(default=False, server_default=false())
    """An operator stands by: its claims hold the time of one."""
    version: Mapped[int] = mapped_column(default=1)

    slot: Mapped[Slot] = composite(Slot, "starts_at", "ends_at")

    __table_args__ = (
        CheckConstraint("starts_at < ends_at", name="slot_not_empty"),
        CheckConstraint("quantity >= 1", name="quantity_positive"),
        Index("ix_bookings_resource", "resource_id", "starts_at"),  # the evaluation, the publisher's desk
        Index("ix_bookings_person", "person_id", "starts_at"),  # my bookings
        Index("ix_bookings_organisation", "organisation_id", "starts_at"),  # a firm's bookings
        sparse_index("ix_bookings_bundle", "bundle_id"),  # the other parts of a bundle
        sparse_index("ix_bookings_series", "series_id"),  # this and the following ones
        Index("ix_bookings_starting", "state", "starts_at"),  # the worker's reminders, and what is not concluded yet
    )

    @property
    def answer_by(self) -> datetime:
        """From when on a request is over: its deadline, at the latest its start."""
        return min(self.decide_by or self.starts_at, self.starts_at)

    def is_over(self, now: datetime) -> bool:
        """Whether the time to pay or to answer is over, whether a timer has seen it or not."""
        unpaid = self.state is BookingState.HELD and self.hold_until is not None and self.hold_until <= now
        return unpaid or (self.state is BookingState.REQUESTED and self.answer_by <= now)


class MovedOccurrence(Base):
    """A booking that was moved alone and stays in its series: where the series' rule has it."""

    __tablename__ = "moved_occurrences"

    booking_id: Mapped[Id] = mapped_column(ForeignKey("bookings.id"), primary_key=True)
    series_id: Mapped[Id] = mapped_column(ForeignKey("booking_series.id"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]

    slot: Mapped[Slot] = composite(Slot, "starts_at", "ends_at")

    __table_args__ = (
        CheckConstraint("starts_at < ends_at", name="slot_not_empty"),
        Index("ix_moved_occurrences_series", "series_id"),  # the occurrences of one series
    )


OWNERS = ("booking_id", "outage_id", "external_id", "waiting_id")
ONE_OWNER = " + ".join(f"CASE WHEN {name} IS NULL THEN 0 ELSE 1 END" for name in OWNERS) + " = 1"


class Claim(Base):
    """One row of the occupancy ledger: `unit` of `resource_id` is taken for the range, buffers included.

    `lane` lets buffers be shared: in mode `sum` a claim is [start - setup, end + cleaning) in lane 0. In mode `max` it is
    [start - setup, end) in lane 0 and [start, end + cleaning) in lane 1, so two neighbours keep the larger gap only.
    """

    __tablename__ = "claims"

    id: Mapped[Id] = mapped_column(primary_key=True)
    institution_id: Mapped[Id] = mapped_column(ForeignKey(Institution.id))
    resource_id: Mapped[Id] = mapped_column(ForeignKey(Resource.id))
    unit: Mapped[int]
    lane: Mapped[int]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    kind: Mapped[ClaimKind] = mapped_column(choice(ClaimKind))
    booking_id: Mapped[Id | None] = mapped_column(ForeignKey("bookings.id"))
    outage_id: Mapped[Id | None] = mapped_column(ForeignKey("outages.id"))
    external_id: Mapped[Id | None] = mapped_column(ForeignKey("external_busy.id"))
    waiting_id: Mapped[Id | None]
    """Of the place in a waiting list that the time is offered to."""
    active: Mapped[bool]

    slot: Mapped[Slot] = composite(Slot, "starts_at", "ends_at")

    __table_args__ = (
        CheckConstraint("starts_at < ends_at", name="slot_not_empty"),
        CheckConstraint(ONE_OWNER, name="one_owner").ddl_if(dialect="sqlite"),
        CheckConstraint(f"num_nonnulls({', '.join(OWNERS)}) = 1", name="one_owner").ddl_if(dialect="postgresql"),
        Index("ix_claims_owner", "booking_id"),  # release, move, conclude
        sparse_index("ix_claims_outage", "outage_id"),
        sparse_index("ix_claims_external", "external_id"),  # a calendar that changed
        sparse_index("ix_claims_waiting", "waiting_id"),
        Index(
            "ix_claims_free_time",
            "resource_id",
            "ends_at",
            "starts_at",
            "unit",
            "lane",
            "booking_id",
            "outage_id",
            "external_id",
            "waiting_id",
            postgresql_where=text("active"),
            sqlite_where=text("active = 1"),  # as queries write it: SQLite compares conditions by their words
        ),  # free time of many resources without a look at the table; what is over is not looked at
        ExcludeConstraint(
            ("resource_id", "="),
            ("unit", "="),
            ("lane", "="),
            (text("tstzrange(starts_at, ends_at, '[)')"), "&&"),
            name="claims_no_overlap",
            where=text("active"),
            using="gist",
        ).ddl_if(dialect="postgresql"),
    )


class Outage(Base):
    """Time a resource cannot be used. Planned only if it was recorded before it began."""

    __tablename__ = "outages"

    id: Mapped[Id] = mapped_column(primary_key=True)
    resource_id: Mapped[Id] = mapped_column(ForeignKey(Resource.id))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    planned: Mapped[bool]
    reason: Mapped[Line]
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[Id | None]
    ended_at: Mapped[datetime | None]
    """When it was said last that it ends before its time; `ends_at` is the end that was said then."""

    slot: Mapped[Slot] = composite(Slot, "starts_at", "ends_at")

    __table_args__ = (Index("ix_outages_resource", "resource_id", "starts_at"),)


class RefusedRequest(Base):
    """A request that was turned away, kept with its reasons: the demand the figures must know of."""

    __tablename__ = "refused_requests"

    id: Mapped[Id] = mapped_column(primary_key=True)
    resource_id: Mapped[Id] = mapped_column(ForeignKey(Resource.id))
    organisation_id: Mapped[Id | None]
    person_id: Mapped[Id | None]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    outcome: Mapped[Code]
    """`declined_capacity` where only a conflict stood in the way, else `out_of_scope`."""
    reasons: Mapped[Document]
    submitted_at: Mapped[datetime]

    __table_args__ = (Index("ix_refused_requests_resource", "resource_id", "submitted_at"),)


SQLITE_GUARD = """
CREATE TRIGGER claims_no_overlap_{verb} BEFORE {event} ON claims WHEN NEW.active
BEGIN
  SELECT RAISE(ABORT, 'claims_no_overlap') WHERE EXISTS (
    SELECT 1 FROM claims
    WHERE resource_id = NEW.resource_id AND unit = NEW.unit AND lane = NEW.lane AND active = 1 AND id <> NEW.id
      AND starts_at < NEW.ends_at AND ends_at > NEW.starts_at);
END
"""
"""The same promise on SQLite, under BEGIN IMMEDIATE."""

event.listen(
    Claim.__table__,
    "before_create",
    DDL("CREATE EXTENSION IF NOT EXISTS btree_gist").execute_if(dialect="postgresql"),  # type: ignore[no-untyped-call]
)
for verb, happening in (("insert", "INSERT"), ("update", "UPDATE")):
    event.listen(
        Claim.__table__,
        "after_create",
        DDL(SQLITE_GUARD.format(verb=verb, event=happening)).execute_if(dialect="sqlite"),  # type: ignore[no-untyped-call]
    )
