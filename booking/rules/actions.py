"""Writes of a resource's rules: each change is a new version, accepted bookings keep theirs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from booking import queries
from booking.external.due import read_anew
from booking.occupancy import Gap
from booking.operators import queries as operators
from booking.places import note_change
from booking.qualifications import queries as qualifications
from booking.rules import checks
from booking.rules import queries as rules_queries
from booking.tables import Approval, RuleVersion
from marketplace import audit
from marketplace.catalogue.queries import get_resource
from marketplace.ids import new_id
from marketplace.people import queries as people
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
    check_in_grace_min: int | None = None
    overtime_min: int | None = None
    buffers_in_closed: bool = True
    waive_own_buffers: bool = False
    pooled: bool = False
    qualifications: Sequence[dict[str, Any]] = ()
    assistance: dict[str, Any] = field(default_factory=dict)


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
    place = get_resource(session, resource_id)
    check_rules(session, institution_id=place.institution_id, rules=rules, further=further)
    note_change(session, [resource_id])
    versions = queries.rule_versions_of(session, resource_id)
    row = version_of(rules, further or (versions[-1] if versions else Further()))
    checks.check_pool(row.buffer_mode, pooled=row.pooled, waived=row.waive_own_buffers)
    row.id, row.resource_id, row.number, row.created_at = new_id("rul"), resource_id, len(versions) + 1, now
    session.add(row)
    session.flush()
    if versions and row.horizon_days > versions[-1].horizon_days:
        read_anew(session, resource_id, now=now)
    audit.record(
        session,
        actor_id=actor_id,
        action="set_rules",
        object_kind="resource",
        object_id=resource_id,
        institution_id=place.institution_id,
        before={"number": versions[-1].number} if versions else None,
        after={**_values(rules), **_values(further or row), "number": row.number},
        now=now,
    )
    return row


def check_rules(session: Session, *, institution_id: str, rules: RuleSet, further: Further | None) -> None:
    """What must hold before they are stored, or tried on the past. Raises: Invalid."""
    _check_rules(rules)
    if further:
        _check_further(session, institution_id, further)
        checks.check_pool(rules.buffer_mode, pooled=further.pooled, waived=further.waive_own_buffers)


def version_of(rules: RuleSet, further: Further | RuleVersion) -> RuleVersion:
    """The row that would be stored, without its place among the versions."""
    return RuleVersion(**{**_values(rules), **_values(further)})


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
        "horizon_days": (1, checks.FURTHEST_DAYS),
        "setup_min": (0, 1440),
        "cleaning_min": (0, 1440),
    }
    for name, (low, high) in bounds.items():
        checks.require_between(f"rules.{name}", getattr(rules, name), low, high)
    if rules.min_min > rules.max_min:
        raise Invalid(field="rules.min_min", reason="is longer than the longest booking")
    if -(-rules.min_min // rules.step_min) * rules.step_min > rules.max_min:
        raise Invalid(field="rules.max_min", reason="allows no length in whole steps, so nothing could be booked")
    checks.check_spans(rules.hours)


def _check_further(session: Session, institution_id: str, further: Further) -> None:
    checks.check_exceptions(further.exceptions)
    checks.check_holidays(further.holidays)
    checks.check_quotas(further.quotas)
    for name, (low, high) in checks.BOUNDS.items():
        if (value := getattr(further, name)) is not None:
            checks.require_between(f"rules.{name}", value, low, high)
    named = {entry["organisation_id"] for entry in further.audience if entry.get("organisation_id")}
    grouped = {one for quota in further.quotas for one in quota.get("organisation_ids", ())}
    people_named = {one for quota in further.quotas for one in quota.get("person_ids", ())}
    if len(people.names_of(session, people_named)) < len(people_named):
        raise Invalid(field="rules.quotas", reason="names a person without an account")
    lists = (("rules.audience", named), ("rules.trusted", set(further.trusted)), ("rules.quotas", grouped))
    for where, ids in lists:
        checks.require_few(where, list(ids), checks.MOST_NAMED)
        if ids - rules_queries.known_organisations(session, ids):
            raise Invalid(field=where, reason="names an organisation that is not registered")
    _check_needs(session, institution_id, further.qualifications)
    _check_assistance(session, institution_id, further)


def _check_needs(session: Session, institution_id: str, needs: Sequence[dict[str, Any]]) -> None:
    checks.require_few("rules.qualifications", needs, checks.MOST_NEEDS)
    known = qualifications.qualifications(session, {need["qualification_id"] for need in needs})
    if len({need["qualification_id"] for need in needs}) < len(needs):
        raise Invalid(field="rules.qualifications", reason="names a qualification twice")
    for need in needs:
        kind = known.get(need["qualification_id"])
        if kind is None or kind.institution_id != institution_id:
            raise Invalid(field="rules.qualifications", reason="names a qualification that the institution does not have")
        checks.require_between("rules.qualifications", need["level"], 1, len(kind.levels))


def _check_assistance(session: Session, institution_id: str, further: Further) -> None:
    if not further.assistance:
        return
    named = set(further.assistance["operators"])
    checks.require_few("rules.assistance", list(named), checks.MOST_NAMED)
    checks.require_between("rules.assistance", further.assistance["supervised_runs"], 0, checks.MOST_RUNS)
    if named - operators.known_operators(session, institution_id, named):
        raise Invalid(field="rules.assistance", reason="names an operator that the institution does not have")
