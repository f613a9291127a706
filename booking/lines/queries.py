"""Reads of lines, of shared parts, and of the bookings of those that a part is taken along with."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import CTE, Select, select
from sqlalchemy.orm import Session

from booking.states import HOLDING
from booking.tables import Booking, SharedPart
from marketplace.tables import ListingState, Resource

STANDING = frozenset({ListingState.PUBLISHED, ListingState.PAUSED})
"""Of a part that is there: neither still being set up nor gone."""


@dataclass(frozen=True, slots=True)
class Kin:
    """A resource with the lines above it, the nearest first, and everything below it."""

    resource_id: str
    above: tuple[str, ...]
    below: Mapping[str, str]
    """Each of them with what it is directly a part of."""
    standing: frozenset[str]
    """The resource itself and those below it that are there now."""

    @property
    def parts(self) -> tuple[str, ...]:
        return (self.resource_id, *self.below)

    @property
    def every(self) -> tuple[str, ...]:
        return (*self.parts, *self.above)

    def way_up(self, part_id: str) -> list[str]:
        """What lies between the part and the resource, which is the last; empty for the resource itself."""
        found: list[str] = []
        while part_id != self.resource_id and (part_id := self.below[part_id]) not in found:
            found.append(part_id)
        return found

    def users_of(self, part_id: str) -> set[str]:
        """Those whose bookings use the part, or a part of it: itself, what is above it and what is below it."""
        under = {one for one in self.below if part_id in self.way_up(one)}
        return {part_id, *self.way_up(part_id), *self.above, *under}


def tree_of(resource_ids: Collection[str] | Select[Any]) -> CTE:
    """(root, part, parent): each resource with itself and everything below it. Each is met once, so it ends."""
    tree = select(Resource.id.label("root"), Resource.id.label("part"), Resource.parent_id.label("parent"))
    found = tree.where(Resource.id.in_(resource_ids)).cte("tree_of", recursive=True)
    below = select(found.c.root, Resource.id, Resource.parent_id).join(Resource, Resource.parent_id == found.c.part)
    return found.union(below)


def kin_of(session: Session, resource_id: str) -> Kin:
    """In a query for what is below it, and one for each line above it."""
    tree = tree_of([resource_id])
    rows = session.execute(select(tree.c.part, tree.c.parent, Resource.state).join(Resource, Resource.id == tree.c.part))
    found = {part: (parent, state) for part, parent, state in rows}
    below = {part: parent for part, (parent, _) in sorted(found.items()) if part != resource_id}
    standing = {part for part, (_, state) in found.items() if state in STANDING} | {resource_id}
    return Kin(resource_id, tuple(lines_above(session, resource_id)), below, frozenset(standing))


def parts_of(session: Session, resource_ids: Collection[str]) -> dict[str, list[str]]:
    """Each resource with itself and everything below it, whether it is still there or not."""
    tree, found = tree_of(resource_ids), {one: list[str]() for one in resource_ids}
    for root, part in session.execute(select(tree.c.root, tree.c.part).order_by(tree.c.root, tree.c.part)):
        found[root].append(part)
    return found


def standing_parts(session: Session, resource_ids: Collection[str]) -> dict[str, set[str]]:
    """Of each resource itself and everything below it that is there now, in one query."""
    tree = tree_of(resource_ids)
    asked = select(tree.c.root, tree.c.part).join(Resource, Resource.id == tree.c.part).where(Resource.state.in_(STANDING))
    found: dict[str, set[str]] = defaultdict(set)
    for root, part in session.execute(asked):
        found[root].add(part)
    return {one: {one, *found[one]} for one in resource_ids}


def lines_above(session: Session, resource_id: str) -> list[str]:
    """The line it is a station of, the line that is a part of, and so on; empty for what stands alone."""
    found: list[str] = []
    above = session.scalar(select(Resource.parent_id).where(Resource.id == resource_id))
    while above is not None and above not in found:
        found.append(above)
        above = session.scalar(select(Resource.parent_id).where(Resource.id == above))
    return found


def sharers_of(session: Session, part_id: str) -> list[str]:
    """Those that take one unit of the part along, in the order of their ids, and the lines above them."""
    own = session.scalars(select(SharedPart.resource_id).where(SharedPart.part_id == part_id).order_by(SharedPart.resource_id))
    return list(dict.fromkeys(one for sharer in own.all() for one in (sharer, *lines_above(session, sharer))))


def shared_by(session: Session, resource_id: str) -> list[str]:
    """The parts that a use of the resource takes one unit of, in the order of their ids."""
    own = select(SharedPart.part_id).where(SharedPart.resource_id == resource_id).order_by(SharedPart.part_id)
    return list(session.scalars(own))


def bookings_of_lines(session: Session, resource_ids: Collection[str], *, after: datetime) -> Sequence[Booking]:
    """What holds their claims and ends after `after`."""
    asked = select(Booking).where(Booking.resource_id.in_(resource_ids), Booking.state.in_(HOLDING), Booking.ends_at > after)
    return session.scalars(asked.order_by(Booking.starts_at)).all()
