"""Writes of a resource's rules: each change is a new version, accepted bookings keep theirs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from booking import queries
from booking.occupancy import Gap
from booking.places import get_place
from booking.rules import checks
from booking.rules import queries as rules_queries
from booking.tables import Approval, RuleVersion
from marketplace import audit
from marketplace.ids import new_id
from marketplace.refusals import Invalid


@dataclass(frozen=True, slots=True)
class Further:
    """The rules beyond times and lengths, in the form in which booking.tables.RuleVersion keeps them."""

    exceptions: Sequence[dict[str, Any]] = ()
    holidays: str | None = None
    quotas: Sequence[dict[str, Any]] = ()
    audience: Sequence[dict[str, Any]] = ()
    trusted: Sequence[str] = ()
    decide_within_h: int | None = None
    offer_min: int | None = None
    buffers_in_closed: bool = True
    waive_own_buffers: bool = False


@dataclass(frozen=True, slots=True)
class RuleSet:
    """What a publisher sets at once; stored as one version. Minutes unless the name says otherwise."""

    hours: Sequence[dict[str, int]] = ()
    step_min: int = 1
    min_min: int = 1
    max_min: int = 31 * 24 * 60
    notice_min: int = 0
    horizon_days: int = 365
    setup_min: int = 0
    cleaning_min: int = 0
    buffer_mode: Gap = Gap.SUM
    approval: Approval = Approval.INSTANT


def set_rules(
    session: Session, *, resource_id: str, rules: RuleSet, further: Further | None = None, actor_id: str | None, now: datetime
) -> RuleVersion:
    """Store the next version of the rules; accepted bookings keep theirs. No `further` keeps what the version before says.

    Raises: Invalid.
    """
    _check_rules(rules)
    if further:
        _check_further(session, further)
    versions = queries.rule_versions_of(session, resource_id)
    values = {**_values(rules), **_values(further or (versions[-1] if versions else Further()))}
    row = RuleVersion(**values, id=new_id("rul"), resource_id=resource_id, number=len(versions) + 1, created_at=now)
    session.add(row)
    session.flush()
    place = get_place(session, resource_id)
    audit.record(
        session,
        actor_id=actor_id,
        action="set_rules",
        object_kind="resource",
        object_id=resource_id,
        institution_id=place.institution_id,
        before={"number": versions[-1].number} if versions else None,
        after={**values, "number": row.number},
        now=now,
    )
    return row


def _values(rules: RuleSet | Further | RuleVersion) -> dict[str, Any]:
    """The columns of a version; of a row those beyond times and lengths."""
    names = Further.__slots__ if isinstance(rules, RuleVersion) else rules.__slots__
    found = {name: getattr(rules, name) for name in names}
    return {name: list(value) if isinstance(value, tuple | list) else value for name, value in found.items()}


def _check_rules(rules: RuleSet) -> None:
    bounds = {
        "step_min": (1, 1440),
        "min_min": (1, 44640),
        "max_min": (1, 44640),
        "notice_min": (0, 525600),
        "horizon_days": (1, 730),
        "setup_min": (0, 1440),
        "cleaning_min": (0, 1440),
    }
    for name, (low, high) in bounds.items():
        checks.require_between(f"rules.{name}", getattr(rules, name), low, high)
    if rules.min_min > rules.max_min:
        raise Invalid(field="rules.min_min", reason="is longer than the longest booking")
    checks.check_spans(rules.hours)


def _check_further(session: Session, further: Further) -> None:
    checks.check_exceptions(further.exceptions)
    checks.check_holidays(further.holidays)
    checks.check_quotas(further.quotas)
    if further.decide_within_h is not None:
        checks.require_between("rules.decide_within_h", further.decide_within_h, 1, 8784)
    if further.offer_min is not None:
        checks.require_between("rules.offer_min", further.offer_min, 5, 2880)
    named = {entry["organisation_id"] for entry in further.audience if entry.get("organisation_id")}
    for field, ids in (("rules.audience", named), ("rules.trusted", set(further.trusted))):
        checks.require_few(field, list(ids), checks.MOST_NAMED)
        if ids - rules_queries.known_organisations(session, ids):
            raise Invalid(field=field, reason="names an organisation that is not registered")
