"""The facts an evaluation rests on, as values: units, open time, downtime, bookings, segments, attestations, requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple
from zoneinfo import ZoneInfo

from booking.availability import local_midnight
from evaluation.spans import Span


class Use(StrEnum):
    """Whose use a booking is: external, internal-shared, the owner's own, teaching."""

    EXT = "ext"
    INT = "int"
    SELF = "self"
    TEACH = "teach"


class Status(StrEnum):
    """What became of a booking. `conflict`: another one held all its time and nothing was done in it."""

    FULFILLED = "fulfilled"
    NO_SHOW = "no_show"
    PROVIDER_FAILED = "provider_failed"
    UNVERIFIABLE = "unverifiable"
    CANCELLED = "cancelled"
    CONFLICT = "conflict"


class Telemetry(StrEnum):
    RUN = "RUN"
    IDLE = "IDLE"
    OFF = "OFF"
    FAULT = "FAULT"
    UNKNOWN = "UNKNOWN"


class Downtime(StrEnum):
    PLANNED = "planned"
    UNPLANNED = "unplanned"


class Outcome(StrEnum):
    """How a request for time ended."""

    ACCEPTED = "accepted"
    DECLINED_CAPACITY = "declined_capacity"
    OUT_OF_SCOPE = "out_of_scope"
    WITHDRAWN = "withdrawn"
    UNANSWERED = "unanswered"


ALWAYS, NEVER = date(2, 1, 1), date(9998, 12, 31)
"""Further out a local midnight may lie outside what a datetime can hold."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A reporting unit: one asset or declared pilot line. `quota_hours` is for the whole period."""

    id: str
    name: str
    owner_org: str
    kind: str = ""
    capacity: int = 1
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Asia/Shanghai"))
    quota_hours: Fraction | None = None
    listed_from: date | None = None
    decommissioned_on: date | None = None
    value_minor: int | None = None

    def in_service(self, period: Span) -> Span:
        """The part of `period` from the listing day's local midnight to the decommissioning day's; may be empty."""
        start, end = period
        if self.listed_from:
            start = max(start, self._begin_of(self.listed_from))
        if self.decommissioned_on:
            end = min(end, self._begin_of(self.decommissioned_on))
        return start, max(start, end)

    def _begin_of(self, day: date) -> int:
        """In seconds; days at the ends of the calendar, which stand for always and never, are moved inside it."""
        return int(local_midnight(min(max(day, ALWAYS), NEVER), self.zone).timestamp())


class Outage(NamedTuple):
    """Time a unit was down; `recorded_at` is None where nobody wrote when it was entered."""

    start: int
    end: int
    kind: Downtime
    recorded_at: int | None


class Segment(NamedTuple):
    """One stretch of one meter in one state."""

    start: int
    end: int
    state: Telemetry
    meter_id: str


class Attestation(NamedTuple):
    """A statement that the unit was used, for where no telemetry exists."""

    start: int
    end: int
    booking_id: str | None
    provider_signed: bool
    user_signed: bool


@dataclass(frozen=True, slots=True)
class Reservation:
    """A booking as the evaluation sees it; `status` None is left to the rules."""

    id: str
    start: int
    end: int
    category: Use
    qty: int = 1
    status: Status | None = None
    user_org: str | None = None
    user_person: str | None = None
    purpose: str | None = None
    related_party: bool = False
    submitted_at: int | None = None
    decided_at: int | None = None
    cancelled_at: int | None = None
    fee_minor: int | None = None
    refund_minor: int | None = None
    rating: Fraction | None = None
    sme: bool = False

    @property
    def stands(self) -> bool:
        """Not cancelled; where no status is given, the moment of cancelling says so."""
        return self.status is not Status.CANCELLED and (self.status is not None or self.cancelled_at is None)

    @property
    def span(self) -> Span:
        return self.start, self.end


@dataclass(frozen=True, slots=True)
class Request:
    id: str
    user_org: str | None
    submitted_at: int
    answered_at: int | None
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """Everything known of one unit; reaches at least one day beyond the period on both sides."""

    unit: Unit
    calendar: Sequence[Span] = ()
    downtime: Sequence[Outage] = ()
    bookings: Sequence[Reservation] = ()
    segments: Sequence[Segment] = ()
    attestations: Sequence[Attestation] = ()
    requests: Sequence[Request] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """All units of a period, and per organisation the values only people can give."""

    period: Span
    units: Sequence[UnitFacts]
    manual: Mapping[str, Mapping[str, Fraction]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parameters:
    """The numbers of the rules; a scheme version fixes them."""

    max_silence_s: int = 180
    merge_gap_s: int = 600
    min_run_s: int = 120
    prep_max_s: int = 1800
    post_max_s: int = 1800
    early_grace_s: int = 900
    overrun_max_s: int = 3600
    cov_min: Fraction = Fraction(9, 10)
    attested_cap: Fraction = Fraction(1, 10)
    late_cancel_s: int = 86400
    sla_working_days: int = 3
    same_request_s: int = 7 * 86400
    served_within_s: int = 30 * 86400
    open_share_min: Fraction = Fraction(1, 2)
    rating_weight: int = 10
    rating_prior: Fraction = Fraction(4)
    year_share: Fraction = Fraction(1)
    """The period as a share of the scheme's year: yearly targets of indicators shrink with it."""
