"""Reads of a resource as admission needs it: its newest rules, and the parts that a use of it takes along.

A line and its stations: using the line takes every station whole, using a station takes that station alone. So the two stand
in each other's way through the station's claims, and sister stations do not.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import CTE, func, select
from sqlalchemy.orm import Session

from booking.audience import Group, Welcome
from booking.availability import Hours, Opening
from booking.calendar_days import CALENDARS, NO_HOLIDAYS
from booking.occupancy import Buffers
from booking.quotas import By, Per, Quota, Unit
from booking.tables import Approval, RuleVersion
from booking.terms import Rules
from marketplace.refusals import NotFound
from marketplace.tables import ListingState, Resource


@dataclass(frozen=True, slots=True)
class Part:
    """A station of a line: a use of the line takes all its units."""

    resource_id: str
    capacity: int


@dataclass(frozen=True, slots=True)
class Place:
    """What admission needs to know of a resource."""

    resource_id: str
    institution_id: str
    zone: ZoneInfo
    capacity: int
    state: ListingState
    rules_id: str
    rules: Rules
    parts: tuple[Part, ...] = ()

    @property
    def claimed(self) -> tuple[str, ...]:
        """Every resource that a use of this one claims."""
        return (self.resource_id, *(part.resource_id for part in self.parts))


def claimed_by(places: Iterable[Place]) -> set[str]:
    return {resource_id for place in places for resource_id in place.claimed}


def as_rules(row: RuleVersion) -> Rules:
    """The stored version as the value that decides."""
    return Rules(
        hours=_opening(row),
        step_min=row.step_min,
        min_min=row.min_min,
        max_min=row.max_min,
        notice_min=row.notice_min,
        horizon_days=row.horizon_days,
        buffers=Buffers(timedelta(minutes=row.setup_min), timedelta(minutes=row.cleaning_min), row.buffer_mode),
        by_request=row.approval is Approval.REQUEST,
        quotas=tuple(Quota(one["limit"], Unit(one["unit"]), Per(one["per"]), By(one["by"])) for one in row.quotas),
        audience=tuple(_welcome(entry) for entry in row.audience),
        trusted=frozenset(row.trusted),
        decide_within=timedelta(hours=row.decide_within_h) if row.decide_within_h else None,
        buffers_in_closed=row.buffers_in_closed,
        waive_own_buffers=row.waive_own_buffers,
    )


def _opening(row: RuleVersion) -> Opening:
    return Opening(
        weekly=tuple(Hours(span["weekday"], span["open_min"], span["close_min"]) for span in row.hours),
        exceptions={
            date.fromisoformat(one["date"]): tuple((span["open_min"], span["close_min"]) for span in one["hours"])
            for one in row.exceptions
        },
        holidays=CALENDARS[row.holidays] if row.holidays else NO_HOLIDAYS,
    )


def _welcome(entry: Mapping[str, Any]) -> Welcome:
    group, since = entry.get("group"), entry.get("since")
    return Welcome(
        group=Group(group) if group else None,
        organisation_id=entry.get("organisation_id"),
        since=date.fromisoformat(since) if since else None,
    )


def get_place(session: Session, resource_id: str) -> Place:
    """Raises: NotFound."""
    return _only(load_places(session, [resource_id]), resource_id)


def lock_place(session: Session, resource_id: str) -> Place:
    """The same with the rows of the resource and its parts locked until the transaction ends. Raises: NotFound."""
    return _only(lock_places(session, [resource_id]), resource_id)


def _only(found: dict[str, Place], resource_id: str) -> Place:
    if resource_id not in found:
        raise NotFound(kind="resource")
    return found[resource_id]


def load_places(session: Session, resource_ids: Collection[str]) -> dict[str, Place]:
    """By id; those that are not there are left out."""
    return _load(session, resource_ids, lock=False)


def lock_places(session: Session, resource_ids: Collection[str]) -> dict[str, Place]:
    """The same, locked in the order of their ids, parts included: whoever writes claims does this first, and all at once."""
    return _load(session, resource_ids, lock=True)


def _load(session: Session, resource_ids: Collection[str], *, lock: bool) -> dict[str, Place]:
    tree = _tree(resource_ids)
    newest = (
        select(func.max(RuleVersion.number)).where(RuleVersion.resource_id == Resource.id).correlate(Resource).scalar_subquery()
    )
    asked = (
        select(tree.c.root, Resource, RuleVersion)
        .join(Resource, Resource.id == tree.c.part)
        .outerjoin(RuleVersion, (RuleVersion.resource_id == Resource.id) & (RuleVersion.number == newest))
        .order_by(Resource.id)
    )
    roots: dict[str, tuple[Resource, RuleVersion]] = {}
    parts: dict[str, list[Part]] = defaultdict(list)
    for root, resource, version in session.execute(asked.with_for_update(of=Resource) if lock else asked):
        if root == resource.id and version:
            roots[root] = (resource, version)
        elif root != resource.id:
            parts[root].append(Part(resource.id, resource.capacity))
    return {root: _place(*row, tuple(parts[root])) for root, row in roots.items()}


def _tree(resource_ids: Collection[str]) -> CTE:
    """(root, part): each resource with itself and everything below it."""
    tree = (
        select(Resource.id.label("root"), Resource.id.label("part"))
        .where(Resource.id.in_(resource_ids))
        .cte("tree", recursive=True)
    )
    return tree.union(select(tree.c.root, Resource.id).join(Resource, Resource.parent_id == tree.c.part))


def _place(resource: Resource, version: RuleVersion, parts: tuple[Part, ...]) -> Place:
    return Place(
        resource_id=resource.id,
        institution_id=resource.institution_id,
        zone=ZoneInfo(resource.timezone),
        capacity=resource.capacity,
        state=resource.state,
        rules_id=version.id,
        rules=as_rules(version),
        parts=parts,
    )
