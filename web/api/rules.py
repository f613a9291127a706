"""A resource's rules as the JSON API takes and gives them; booking.rules keeps and judges them."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic.fields import FieldInfo

from booking.occupancy import Gap
from booking.rules.actions import Further, RuleSet
from booking.rules.checks import BOUNDS, FURTHEST_DAYS
from booking.tables import Approval, RuleVersion
from web.api import shapes
from web.api.shapes import Day, Flag, Shape, SpanIn, Text, Whole


def _between(name: str) -> FieldInfo:
    """The field's bounds, as the rules have them."""
    low, high = BOUNDS[name]
    found: FieldInfo = Field(ge=low, le=high)
    return found


class QuotaIn(Shape):
    """At most `limit` bookings or hours a local day, week or month, for each person or organisation, or a group together.

    A group is one of the audience's, or organisations and people under a name.
    """

    limit: Annotated[Whole, Field(ge=1, le=100_000)]
    unit: Literal["count", "hours"]
    per: Literal["day", "week", "month"]
    by: Literal["person", "organisation", "group"]
    group: Literal["own", "academic", "industry", "partner"] | None = None
    name: Text | None = None
    organisation_ids: Annotated[Sequence[Text], Field(max_length=500)] = ()
    person_ids: Annotated[Sequence[Text], Field(max_length=500)] = ()

    @model_validator(mode="after")
    def _names_its_group(self) -> Self:
        members = bool(self.organisation_ids or self.person_ids)
        if self.by != "group" and (self.group or self.name or members):
            raise ValueError("a group goes with by group")
        if self.by == "group" and (bool(self.group) == members or bool(self.name) != members):
            raise ValueError("names either a group of the audience, or members under a name")
        return self

    def stored(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_defaults=True)


class ExceptionIn(Shape):
    """What holds on one local date instead of its weekday's hours; no hours close it."""

    date: Day
    hours: Annotated[Sequence[SpanIn], Field(max_length=24)]

    def stored(self) -> dict[str, Any]:
        return {"date": self.date.isoformat(), "hours": [span.minutes() for span in self.hours]}


class WelcomeIn(Shape):
    """A group or a named organisation that may book, for uses that begin on the local day `since` or later."""

    group: Literal["own", "academic", "industry", "partner"] | None = None
    organisation_id: Text | None = None
    since: Day | None = None

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.group is None) == (self.organisation_id is None):
            raise ValueError("names either a group or an organisation")
        return self

    def stored(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_none=True)


class NeedIn(Shape):
    """A qualification that a booker must hold at the start of a use, at this level or a higher one."""

    qualification_id: Text
    level: Annotated[Whole, Field(ge=1, le=10)] = 1
    unless_assisted: Flag = False


class AssistanceIn(Shape):
    """Whether one of these operators stands by, any of the house's where none is named, and for how many runs at first."""

    mode: Literal["none", "optional", "required"] = "none"
    operators: Annotated[Sequence[Text], Field(max_length=200)] = ()
    supervised_runs: Annotated[Whole, Field(ge=0, le=20)] = 0

    @model_validator(mode="after")
    def _has_someone(self) -> Self:
        if self.mode == "none" and (self.operators or self.supervised_runs):
            raise ValueError("operators and supervised runs go with mode optional or required")
        return self

    def stored(self) -> dict[str, Any]:
        if self.mode == "none":
            return {}
        return {**self.model_dump(), "operators": list(dict.fromkeys(self.operators))}


class RulesIn(Shape):
    """`rules` of a resource; what is left out has its default."""

    min_min: Annotated[Whole, Field(ge=1, le=44640)] | None = None
    max_min: Annotated[Whole, Field(ge=1, le=44640)] | None = None
    notice_min: Annotated[Whole, Field(ge=0, le=525600)] | None = None
    horizon_days: Annotated[Whole, Field(ge=1, le=FURTHEST_DAYS)] | None = None
    setup_min: Annotated[Whole, Field(ge=0, le=1440)] | None = None
    cleaning_min: Annotated[Whole, Field(ge=0, le=1440)] | None = None
    buffer_mode: Literal["sum", "max"] | None = None
    buffers_in_closed: Flag = True
    waive_own_buffers: Flag = False
    capacity_mode: Literal["places", "pool"] = "places"
    approval: Literal["instant", "request", "trusted"] | None = None
    trusted: Annotated[Sequence[Text], Field(max_length=500)] = ()
    decide_within_h: Annotated[Whole, _between("decide_within_h")] | None = None
    offer_min: Annotated[Whole, _between("offer_min")] | None = None
    check_in_grace_min: Annotated[Whole, _between("check_in_grace_min")] | None = None
    overtime_min: Annotated[Whole, _between("overtime_min")] | None = None
    audience: Annotated[Sequence[WelcomeIn], Field(max_length=500)] = ()
    exceptions: Annotated[Sequence[ExceptionIn], Field(max_length=800)] = ()
    holidays: Literal["CN"] | None = None
    quotas: Annotated[Sequence[QuotaIn], Field(max_length=20)] = ()
    qualifications: Annotated[Sequence[NeedIn], Field(max_length=10)] = ()
    assistance: AssistanceIn = AssistanceIn()

    @model_validator(mode="after")
    def _trusts_someone(self) -> Self:
        if (self.approval == "trusted") != bool(self.trusted):
            raise ValueError("approval trusted goes with a list of trusted organisations")
        return self

    @property
    def numbers(self) -> dict[str, int]:
        """The lengths that were given, by name."""
        return self.model_dump(exclude_none=True, include=set(NUMBERS))


MEMBERS = ("organisation_ids", "person_ids")
NUMBERS = ("min_min", "max_min", "notice_min", "horizon_days", "setup_min", "cleaning_min")


def read_rules(rules: RulesIn, *, hours: Sequence[shapes.HoursIn], step_min: int) -> RuleSet:
    """Times and lengths of the version to store."""
    return RuleSet(
        hours=[span.minutes() for span in hours],
        step_min=step_min,
        **rules.numbers,
        buffer_mode=Gap(rules.buffer_mode or "sum"),
        approval=Approval.INSTANT if rules.approval in {None, "instant"} else Approval.REQUEST,
    )


def read_further(rules: RulesIn) -> Further:
    """The rest of it."""
    return Further(
        exceptions=[one.stored() for one in rules.exceptions],
        holidays=rules.holidays,
        quotas=[quota.stored() for quota in rules.quotas],
        audience=[entry.stored() for entry in rules.audience],
        trusted=list(dict.fromkeys(rules.trusted)),
        decide_within_h=rules.decide_within_h,
        offer_min=rules.offer_min,
        check_in_grace_min=rules.check_in_grace_min,
        overtime_min=rules.overtime_min,
        buffers_in_closed=rules.buffers_in_closed,
        waive_own_buffers=rules.waive_own_buffers,
        pooled=rules.capacity_mode == "pool",
        qualifications=[need.model_dump() for need in rules.qualifications],
        assistance=rules.assistance.stored(),
    )


def told(version: RuleVersion) -> dict[str, Any]:
    """`rules` of an answer, in the form in which they are given."""
    trusted = version.trusted if version.approval is Approval.REQUEST else []
    return {
        **{name: getattr(version, name) for name in NUMBERS},
        "buffer_mode": version.buffer_mode.value,
        "buffers_in_closed": version.buffers_in_closed,
        "waive_own_buffers": version.waive_own_buffers,
        "capacity_mode": "pool" if version.pooled else "places",
        "approval": "trusted" if trusted else version.approval.value,
        "trusted": trusted,
        "decide_within_h": version.decide_within_h,
        "offer_min": version.offer_min,
        "check_in_grace_min": version.check_in_grace_min,
        "overtime_min": version.overtime_min,
        "audience": version.audience,
        "exceptions": [{"date": one["date"], "hours": shapes.hours(one["hours"])} for one in version.exceptions],
        "holidays": version.holidays,
        "quotas": version.quotas,
        "qualifications": version.qualifications,
        "assistance": version.assistance or AssistanceIn().model_dump(),
    }


def told_to_others(version: RuleVersion) -> dict[str, Any]:
    """The same for those who are not the publisher: neither customers nor staff are named."""
    audience = [entry if "group" in entry else {**entry, "organisation_id": None} for entry in version.audience]
    quotas = [{key: value for key, value in one.items() if key not in MEMBERS} for one in version.quotas]
    found = {**told(version), "quotas": quotas}
    return {**found, "trusted": [], "audience": audience, "assistance": {**found["assistance"], "operators": []}}
