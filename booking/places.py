"""Reads of a resource as admission needs it: its newest rules, and the parts that a use of it takes along.

A line and its stations: using the line takes every station whole, using a station takes that station alone. So the two stand
in each other's way through the station's claims, and sister stations do not. A part that resources share is taken by one unit,
so those that share a part of one unit exclude each other. An operator's time is claimed like a part, of whoever is free first.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import CTE, Boolean, ScalarSelect, bindparam, exists, literal, literal_column, select, update
from sqlalchemy.orm import Session, aliased

from booking.audience import Group, Welcome
from booking.availability import Hours, Opening
from booking.calendar_days import CALENDARS, NO_HOLIDAYS
from booking.competence import NO_ASSISTANCE, Assistance, Mode, Need
from booking.occupancy import Buffers
from booking.operators.tables import Operator
from booking.quotas import By, Members, Per, Quota, Unit
from booking.tables import Approval, Booking, RuleVersion, SharedPart
from booking.terms import OFFER_FOR, Rules
from marketplace.prepared import Question, Read, spread
from marketplace.refusals import NotFound
from marketplace.tables import ListingState, Resource

RULES: dict[str, Rules] = {}
"""Versions of rules that were read before, by id."""
MOST_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class Part:
    """What a use takes along: all units of a station, one of a shared part."""

    resource_id: str
    capacity: int
    needed: int


@dataclass(frozen=True, slots=True)
class Attendant:
    """An operator who may stand by, with their own hours."""

    resource_id: str
    zone: ZoneInfo
    hours: Opening


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
    attendants: tuple[Attendant, ...] = ()
    """In the order of their ids: the first one who is free is taken."""
    attended: bool = False
    """Whether one of them has to be free."""

    @property
    def stands_alone(self) -> bool:
        """Whether a use of it claims nothing else."""
        return not (self.parts or self.attendants)

    @property
    def claimed(self) -> tuple[str, ...]:
        """Every resource that a use of this one claims, or may claim: an operator's time is one."""
        with_it = [part.resource_id for part in self.parts] + [one.resource_id for one in self.attendants]
        return (self.resource_id, *with_it)

    def attended_for(self, *, wanted: bool) -> "Place":
        """The same for a booker who asked for assistance, or did not."""
        attended = self.rules.assistance.attends(wanted=wanted)
        return self if attended == self.attended else replace(self, attended=attended)


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
        quotas=tuple(_quota(one) for one in row.quotas),
        audience=tuple(_welcome(entry) for entry in row.audience),
        trusted=frozenset(row.trusted),
        decide_within=timedelta(hours=row.decide_within_h) if row.decide_within_h else None,
        offer_for=timedelta(minutes=row.offer_min) if row.offer_min else OFFER_FOR,
        check_in_grace=None if row.check_in_grace_min is None else timedelta(minutes=row.check_in_grace_min),
        overtime=None if row.overtime_min is None else timedelta(minutes=row.overtime_min),
        buffers_in_closed=row.buffers_in_closed,
        waive_own_buffers=row.waive_own_buffers,
        pooled=row.pooled,
        qualifications=tuple(Need(**need) for need in row.qualifications),
        assistance=_assistance(row.assistance),
    )


def _quota(one: Mapping[str, Any]) -> Quota:
    members = None
    if one["by"] == By.GROUP:
        group = Group(one["group"]) if one.get("group") else None
        organisations, persons = frozenset(one.get("organisation_ids", ())), frozenset(one.get("person_ids", ()))
        members = Members(one.get("name") or one["group"], group, organisations, persons)
    return Quota(one["limit"], Unit(one["unit"]), Per(one["per"]), By(one["by"]), members)


def _assistance(stored: Mapping[str, Any]) -> Assistance:
    if not stored:
        return NO_ASSISTANCE
    return Assistance(Mode(stored["mode"]), frozenset(stored["operators"]), stored["supervised_runs"])


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


def try_lock(resource_id: str) -> Question[Place | None]:
    """The place, its row ours now; None where somebody else has it or it takes parts along: those go in one order.

    Nobody is waited for. Where its rules ask for operators these are not locked.
    """

    def understand(session: Session, rows: Sequence[Sequence[Any]]) -> Place | None:
        return _understood(session, [resource_id], rows, lock=True, staff_too=False).get(resource_id)

    return Question(_trying(), {"id": resource_id}, understand)


def _only(found: dict[str, Place], resource_id: str) -> Place:
    if resource_id not in found:
        raise NotFound(kind="resource")
    return found[resource_id]


def load_places(session: Session, resource_ids: Collection[str]) -> dict[str, Place]:
    """By id; those that are not there are left out."""
    return _load(session, resource_ids, lock=False)


def lock_places(session: Session, resource_ids: Collection[str]) -> dict[str, Place]:
    """The same, locked in the order of their ids, parts included: whoever writes claims does this first, and all at once.

    Rows that only refer to a resource, such as a note of a refusal, do not wait for it.
    """
    return _load(session, resource_ids, lock=True)


def lock_places_of(session: Session, booking_ids: Collection[str]) -> None:
    """Lock the resources of several bookings that one transaction is about to change, wherever they have been moved meanwhile."""
    of_them = select(Booking.resource_id).where(Booking.id.in_(booking_ids)).distinct()
    locked: set[str] = set()
    while not (found := set(session.scalars(of_them))) <= locked:
        locked |= found
        lock_places(session, locked)


class _Row(NamedTuple):
    """A resource in the tree below `root`, with its newest rules."""

    root: str
    shared: bool
    seen: int
    """Its shape when the statement began, 0 of a shared part."""
    shape: int
    """And once its row was had."""
    id: str
    institution_id: str
    timezone: str
    capacity: int
    state: ListingState
    rules_id: str | None


def _load(session: Session, resource_ids: Collection[str], *, lock: bool) -> dict[str, Place]:
    return places_asked(resource_ids, lock=lock).ask(session) if resource_ids else {}


def places_asked(resource_ids: Collection[str], *, lock: bool = False) -> Question[dict[str, Place]]:
    """`load_places` or `lock_places` of some, to be asked with something else."""
    ids = spread(resource_ids)

    def understand(session: Session, rows: Sequence[Sequence[Any]]) -> dict[str, Place]:
        return _understood(session, resource_ids, rows, lock=lock)

    return Question(_reading(len(ids), lock=lock), ids, understand)


def _understood(
    session: Session, resource_ids: Collection[str], rows: Sequence[Sequence[Any]], *, lock: bool, staff_too: bool = True
) -> dict[str, Place]:
    """Who waited for a row reads again if its rules or parts changed meanwhile: the statement knew what was when it began."""
    found = [_Row(*row) for row in rows]
    if lock and any(row.shape != row.seen for row in found if not row.shared):
        return _load(session, resource_ids, lock=True)
    return _with_attendants(session, _places(session, found), lock=lock and staff_too)


def _places(session: Session, rows: Sequence[_Row]) -> dict[str, Place]:
    rules = rules_of_versions(session, {row.rules_id for row in rows if row.root == row.id and row.rules_id})
    parts: dict[str, dict[str, Part]] = defaultdict(dict)
    for row in rows:
        if row.root != row.id:
            parts[row.root].setdefault(row.id, Part(row.id, row.capacity, 1 if row.shared else row.capacity))
    return {
        row.id: Place(
            resource_id=row.id,
            institution_id=row.institution_id,
            zone=ZoneInfo(row.timezone),
            capacity=row.capacity,
            state=row.state,
            rules_id=row.rules_id,
            rules=rules[row.rules_id],
            parts=tuple(sorted(parts[row.id].values(), key=_id)),
        )
        for row in rows
        if row.root == row.id and row.rules_id
    }


def _id(part: Part) -> str:
    return part.resource_id


def rules_of_versions(session: Session, version_ids: Collection[str]) -> Mapping[str, Rules]:
    """By id of their version, which never changes."""
    known = {one: RULES[one] for one in version_ids if one in RULES}
    if len(known) < len(version_ids):
        rows = session.scalars(select(RuleVersion).where(RuleVersion.id.in_(set(version_ids) - known.keys())))
        known |= {row.id: as_rules(row) for row in rows}
        if len(RULES) > MOST_KNOWN:
            RULES.clear()
        RULES.update(known)
    return known


@lru_cache(maxsize=64)
def _reading(count: int, *, lock: bool) -> Read:
    """Of `count` resources, `id0` and on, and everything below them, locked in the order of their ids.

    Without a lock in no order: SQLite would walk all resources to keep one.
    """
    tree = _tree([bindparam(f"id{number}") for number in range(count)])
    asked = select(tree.c.root, tree.c.shared, tree.c.seen, Resource.shape, Resource.id, Resource.institution_id)
    asked = asked.add_columns(Resource.timezone, Resource.capacity, Resource.state, _newest())
    asked = asked.join(Resource, Resource.id == tree.c.part)
    return Read(asked.order_by(Resource.id).with_for_update(of=Resource, key_share=True) if lock else asked)


@lru_cache(maxsize=1)
def _trying() -> Read:
    """Of one resource without parts. What it was when the statement began is told by the row that is not locked."""
    below, shared, seen = aliased(Resource), SharedPart, aliased(Resource)
    no_parts = ~exists().where(below.parent_id == Resource.id), ~exists().where(shared.resource_id == Resource.id)
    asked = select(Resource.id, literal_column("false", Boolean()), seen.shape, Resource.shape)
    asked = asked.add_columns(
        Resource.id, Resource.institution_id, Resource.timezone, Resource.capacity, Resource.state, _newest()
    )
    asked = asked.join(seen, seen.id == Resource.id).where(Resource.id == bindparam("id"), *no_parts)
    return Read(asked.with_for_update(of=Resource, key_share=True, skip_locked=True))


def _newest() -> ScalarSelect[str]:
    """The id of a resource's newest version."""
    versions = select(RuleVersion.id).where(RuleVersion.resource_id == Resource.id).correlate(Resource)
    return versions.order_by(RuleVersion.number.desc()).limit(1).scalar_subquery()


def _with_attendants(session: Session, places: dict[str, Place], *, lock: bool) -> dict[str, Place]:
    """The operators of those whose rules ask for some, locked after all resources, in the order of their ids too."""
    houses = {place.institution_id for place in places.values() if place.rules.assistance is not NO_ASSISTANCE}
    staff = _staff(session, houses, lock=lock) if houses else {}
    return {key: _attended(place, staff.get(place.institution_id, ())) for key, place in places.items()}


def _staff(session: Session, houses: Collection[str], *, lock: bool) -> dict[str, list[Attendant]]:
    """By institution, those who have not left."""
    asked = (
        select(Operator.institution_id, Resource.id, Resource.timezone, RuleVersion)
        .join(Resource, Resource.id == Operator.id)
        .join(RuleVersion, RuleVersion.id == _newest())
        .where(Operator.institution_id.in_(houses), Operator.left_at.is_(None))
        .order_by(Resource.id)
    )
    staff: dict[str, list[Attendant]] = defaultdict(list)
    if lock:
        session.execute(asked.with_for_update(of=Resource, key_share=True)).all()
    for house, operator_id, zone, version in session.execute(asked):
        staff[house].append(Attendant(operator_id, ZoneInfo(zone), _opening(version)))
    return staff


def _attended(place: Place, staff: Iterable[Attendant]) -> Place:
    assistance = place.rules.assistance
    if assistance is NO_ASSISTANCE:
        return place
    return replace(place, attendants=_pool(staff, assistance), attended=assistance.mode is Mode.REQUIRED)


def _pool(staff: Iterable[Attendant], assistance: Assistance) -> tuple[Attendant, ...]:
    return tuple(one for one in staff if not assistance.operators or one.resource_id in assistance.operators)


def attendants_of(session: Session, institution_id: str, assistance: Assistance) -> tuple[Attendant, ...]:
    """Whom rules that are not stored yet would ask."""
    if assistance is NO_ASSISTANCE:
        return ()
    return _pool(_staff(session, [institution_id], lock=False).get(institution_id, ()), assistance)


def _tree(resource_ids: Collection[Any]) -> CTE:
    """(root, part, seen, shared): each resource with itself, everything below it, and what one of those shares."""
    tree = (
        select(Resource.id.label("root"), Resource.id.label("part"), Resource.shape.label("seen"))
        .where(Resource.id.in_(resource_ids))
        .cte("tree", recursive=True)
    )
    below = select(tree.c.root, Resource.id, Resource.shape).join(Resource, Resource.parent_id == tree.c.part)
    tree = tree.union(below)
    whole = select(tree.c.root, tree.c.part, tree.c.seen, literal(False).label("shared"))
    shares = select(tree.c.root, SharedPart.part_id, literal(0), literal(True))
    return whole.union(shares.join(SharedPart, SharedPart.resource_id == tree.c.part)).cte("taken_along")


def note_change(session: Session, resource_ids: Collection[str]) -> None:
    """Their rules or parts change with this transaction: bookings that wait for their rows are to look again."""
    session.execute(update(Resource).where(Resource.id.in_(resource_ids)).values(shape=Resource.shape + 1))
