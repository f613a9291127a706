"""What the JSON API takes and gives: contract.md's names, checked by pydantic, extra fields refused."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Depends, Query
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    model_validator,
)

from marketplace.money import Money
from marketplace.slot import Slot
from web.wall import EARLIEST, LATEST, is_near

MOST = 200
"""Rows of a page at most."""

Row = TypeVar("Row")

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _clean(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    if any(unicodedata.category(char) in {"Cc", "Cs", "Cn"} and char not in "\n\t" for char in text):
        raise ValueError("holds control characters")
    return text


def _written(value: object) -> object:
    """Numbers of seconds and other spellings are refused before they are read as times."""
    if isinstance(value, datetime) or (isinstance(value, str) and RFC_3339.fullmatch(value)):
        return value
    raise ValueError("not a time with offset such as 2026-03-10T09:00:00+08:00")


def _sane(instant: datetime) -> datetime:
    if not is_near(instant):
        raise ValueError(f"lies outside {EARLIEST} to {LATEST}")
    return instant


def _dated(value: object) -> object:
    """A calendar date as text; numbers and times are no dates."""
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII) and EARLIEST <= int(value[:4]) < LATEST:
        return value
    raise ValueError("not a date such as 2026-10-01")


Text = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), AfterValidator(_clean)]
Prose = Annotated[str, StringConstraints(max_length=5000), AfterValidator(_clean)]
Instant = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_sane)]
Day = Annotated[date, BeforeValidator(_dated)]
Whole = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]
Minor = Annotated[Whole, Field(ge=0, le=10**13)]
Currency = Literal["CNY", "EUR", "USD", "GBP", "HKD", "CHF", "SGD", "JPY", "KRW", "KWD"]
Email = Annotated[str, StringConstraints(pattern=r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+$", max_length=200, to_lower=True)]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class MoneyIn(Shape):
    minor: Minor
    currency: Currency

    def value(self) -> Money:
        return Money(self.minor, self.currency)


def money(amount: Money) -> dict[str, Any]:
    return {"minor": amount.minor, "currency": amount.currency}


def instant(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def slot(value: Slot) -> dict[str, str]:
    return {"start": value.start.isoformat(), "end": value.end.isoformat()}


class SpanIn(Shape):
    """Open from and to, by the wall clock of the resource."""

    open: Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
    close: Annotated[str, StringConstraints(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")]

    def minutes(self) -> dict[str, int]:
        return {"open_min": _minutes(self.open), "close_min": _minutes(self.close)}


class HoursIn(SpanIn):
    weekday: Annotated[Whole, Field(ge=0, le=6)]

    def minutes(self) -> dict[str, int]:
        return {"weekday": self.weekday, **SpanIn.minutes(self)}


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def hours(spans: Sequence[Mapping[str, int]]) -> list[dict[str, Any]]:
    """Stored opening times as they are given: of a weekday where one is named."""
    given = [{"open": _clock(s["open_min"]), "close": _clock(s["close_min"])} for s in spans]
    return [{"weekday": s["weekday"], **told} if "weekday" in s else dict(told) for s, told in zip(spans, given, strict=True)]


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


class InstitutionIn(Shape):
    name: Text
    name_en: Text | None = None
    kind: Literal["university", "institute", "enterprise", "platform"]
    district: Text | None = None
    timezone: Text
    credit_code: Text | None = None
    settlement: Literal["direct", "platform_collects"] = "direct"
    bank_account: Text | None = None


class OrganisationIn(Shape):
    name: Text
    credit_code: Text | None = None
    is_sme: Flag
    customer_class: Literal["internal", "academic", "industry", "partner"]
    institution_id: Text | None = None


class MembershipIn(Shape):
    organisation_id: Text | None = None
    institution_id: Text | None = None
    role: Literal["operator", "evaluator", "manager", "technician", "finance", "member"]


class PersonIn(Shape):
    email: Email
    name: Text
    locale: Literal["zh", "en", "zh-CN"] | None = None
    memberships: Annotated[list[MembershipIn], Field(max_length=50)] = []


class OverrideIn(Shape):
    """Why the publisher sets its own rules aside this time."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=1000, strip_whitespace=True), AfterValidator(_clean)]


class BookingIn(Shape):
    start: Instant
    end: Instant
    organisation_id: Text | None = None
    quantity: Annotated[Whole, Field(ge=1, le=1000)] = 1
    purpose: Annotated[str, StringConstraints(max_length=1000), AfterValidator(_clean)] | None = None
    funding: Literal["bank", "card", "wallet"] | None = None
    payment_method: Text | None = None
    override: OverrideIn | None = None
    assisted: Flag = False
    """Somebody of the house is to stand by."""


class PartIn(Shape):
    resource_id: Text
    start: Instant
    end: Instant
    quantity: Annotated[Whole, Field(ge=1, le=1000)] = 1
    assisted: Flag = False


class WaitIn(Shape):
    """A window and how long a use in it is to be; without a length exactly the window."""

    start: Instant
    end: Instant
    minutes: Annotated[Whole, Field(ge=1, le=44640)] | None = None
    hours: Annotated[float, Field(gt=0, le=744, allow_inf_nan=False, strict=True)] | None = None
    quantity: Annotated[Whole, Field(ge=1, le=1000)] = 1
    organisation_id: Text | None = None
    purpose: Annotated[str, StringConstraints(max_length=1000), AfterValidator(_clean)] | None = None
    assisted: Flag = False


class AcceptIn(Shape):
    payment_method: Text | None = None


class BundleIn(Shape):
    parts: Annotated[list[PartIn], Field(min_length=1, max_length=20)]
    organisation_id: Text | None = None
    purpose: Annotated[str, StringConstraints(max_length=1000), AfterValidator(_clean)] | None = None
    payment_method: Text | None = None


RRule = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(_clean)]


class SeriesIn(BookingIn):
    rrule: RRule
    on_conflict: Literal["refuse", "skip"] = "refuse"


class CancelSeriesIn(Shape):
    from_: Annotated[Instant | None, Field(alias="from")] = None
    """Occurrences that start before it stay."""


class EditSeriesIn(Shape):
    """`scope` all: everything that has not begun; this_and_following: from the booking `from` on."""

    scope: Literal["this_and_following", "all"]
    from_: Annotated[Text | None, Field(alias="from")] = None
    start: Instant
    """Of the first occurrence that changes."""
    end: Instant
    rrule: RRule | None = None
    on_conflict: Literal["refuse", "skip"] = "refuse"
    override: OverrideIn | None = None

    @model_validator(mode="after")
    def _from_goes_with_following(self) -> "EditSeriesIn":
        if (self.scope == "this_and_following") != (self.from_ is not None):
            raise ValueError("this_and_following needs from, all goes without")
        return self

    @property
    def since(self) -> str | None:
        return self.from_


class GapsIn(Shape):
    starts: Annotated[list[Instant], Field(min_length=1, max_length=1000)] | None = None
    """The gaps that begin then; without it all that lie ahead."""


Reason = Annotated[str, StringConstraints(max_length=1000), AfterValidator(_clean)]


class RefusalIn(Shape):
    """Why a request is declined."""

    reason: Reason | None = None
    grounds: Literal["declined_capacity", "out_of_scope"] = "declined_capacity"


class CancelIn(Shape):
    reason: Reason | None = None
    """Of a request that is taken back."""


class RatingIn(Shape):
    stars: Annotated[Whole, Field(ge=1, le=5)]
    comment: Reason | None = None


class HandOverIn(Shape):
    """The colleague, by id or by e-mail."""

    person_id: Text | None = None
    email: Email | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> "HandOverIn":
        if (self.person_id is None) == (self.email is None):
            raise ValueError("give either person_id or email")
        return self


class SwapIn(Shape):
    with_booking_id: Text


class MoveIn(Shape):
    start: Instant
    end: Instant
    resource_id: Text | None = None
    override: OverrideIn | None = None


class StepIn(Shape):
    action: Literal["keep", "shift", "move", "cancel"]
    start: Instant | None = None
    end: Instant | None = None
    resource_id: Text | None = None


class PlanIn(StepIn):
    """What becomes of one booking that an outage meets."""

    booking_id: Text


class ProposedIn(Shape):
    """The same as a dry run told it."""

    booking_id: Text
    start: Instant | None = None
    end: Instant | None = None
    proposal: StepIn


class OutageIn(Shape):
    start: Instant
    end: Instant
    planned: Flag
    reason: Text
    plan: Literal["keep", "cancel", "proposed"] | Annotated[list[PlanIn | ProposedIn], Field(max_length=1000)] | None = None


class CalendarIn(Shape):
    """A calendar kept elsewhere: an address that is read again and again, or a file's text."""

    name: Text
    url: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = None
    ics: Annotated[str, StringConstraints(min_length=1, max_length=2_000_000)] | None = None


class CalendarFileIn(Shape):
    ics: Annotated[str, StringConstraints(min_length=1, max_length=2_000_000)]


class RelatedIn(Shape):
    institution_id: Text
    reason: Text


class ThresholdsIn(Shape):
    """Powers in W, spans in seconds; what is left out stays."""

    p_on: float | None = None
    p_off: float | None = None
    p_idle: float | None = None
    rated_w: float | None = None
    min_on: float | None = None
    min_off: float | None = None
    stale_after: float | None = None
    max_gap: float | None = None


class ReturnIn(Shape):
    serial: Text


class ReceiptIn(Shape):
    serial: Text
    amount: MoneyIn
    received_on: str | None = None


class Window:
    """`?limit=&cursor=` of a list whose cursor is the number of rows before it."""

    def __init__(
        self, limit: Annotated[int, Query(ge=1, le=MOST)] = 100, cursor: Annotated[int, Query(ge=0, le=10**9)] = 0
    ) -> None:
        self.limit, self.cursor = limit, cursor

    @property
    def asked(self) -> dict[str, int]:
        """What to ask the database for: one row more than is shown tells whether there are more."""
        return {"limit": self.limit + 1, "offset": self.cursor}

    def listed(self, rows: Sequence[Row], shape: Callable[[Row], Any]) -> dict[str, Any]:
        more = len(rows) > self.limit
        items = [shape(row) for row in rows[: self.limit]]
        return {"items": items, "next_cursor": str(self.cursor + self.limit) if more else None}


Page = Annotated[Window, Depends()]
