"""Writes of a resource's rules: each change is a new version, accepted bookings keep theirs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from booking import queries
from booking.occupancy import Gap
from booking.places import get_place
from booking.tables import Approval, RuleVersion
from marketplace import audit
from marketplace.ids import new_id
from marketplace.refusals import Invalid


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


def set_rules(session: Session, *, resource_id: str, rules: RuleSet, actor_id: str | None, now: datetime) -> RuleVersion:
    """Store the next version of the rules; accepted bookings keep theirs. Raises: Invalid."""
    _check_rules(rules)
    versions = queries.rule_versions_of(session, resource_id)
    values: dict[str, Any] = {name: getattr(rules, name) for name in RuleSet.__slots__}
    row = RuleVersion(
        **{**values, "hours": list(rules.hours)},
        id=new_id("rul"),
        resource_id=resource_id,
        number=len(versions) + 1,
        created_at=now,
    )
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
        after={**values, "hours": list(rules.hours), "number": row.number},
        now=now,
    )
    return row


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
        if not low <= getattr(rules, name) <= high:
            raise Invalid(field=f"rules.{name}", reason="must be {low} to {high}", low=low, high=high)
    if rules.min_min > rules.max_min:
        raise Invalid(field="rules.min_min", reason="is longer than the longest booking")
    for span in rules.hours:
        if not (0 <= span["weekday"] <= 6 and 0 <= span["open_min"] < span["close_min"] <= 1440):
            raise Invalid(field="hours", reason="each interval must close after it opens")
