"""Reads of listings, as a stranger, a customer or the publisher may see them."""

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from marketplace.ids import OPERATOR
from marketplace.permissions import Actor
from marketplace.refusals import NotFound
from marketplace.tables import ListingState, Resource

OPEN_STATES = (ListingState.PUBLISHED, ListingState.PAUSED)
"""What a stranger may see; paused ones take no bookings."""


def get_resource(session: Session, resource_id: str) -> Resource:
    """For timers and the other floors. Raises: NotFound."""
    if row := session.get(Resource, resource_id):
        return row
    raise NotFound(kind="resource")


def get_visible(session: Session, actor: Actor, resource_id: str) -> Resource:
    """Raises: NotFound (also for drafts and retired ones of others)."""
    if row := session.scalars(select(Resource).where(Resource.id == resource_id, visible_to(actor))).one_or_none():
        return row
    raise NotFound(kind="resource")


def visible(session: Session, actor: Actor, resource_ids: Collection[str]) -> Sequence[Resource]:
    """Those of them that the actor may know of."""
    return session.scalars(select(Resource).where(Resource.id.in_(resource_ids), visible_to(actor))).all()


LISTABLE = ~Resource.id.startswith(f"{OPERATOR}_", autoescape=True)
"""An operator's time is claimed like a machine's, but nobody lists or edits it as one."""


def visible_to(actor: Actor) -> ColumnElement[bool]:
    """The condition under which `actor` may know of a listing."""
    if actor.is_operator or actor.is_evaluator:
        return LISTABLE
    return LISTABLE & or_(Resource.state.in_(OPEN_STATES), Resource.institution_id.in_(actor.institutions()))


def may_see(actor: Actor, *, state: ListingState, institution_id: str) -> bool:
    """The same of one listing that was read already."""
    return actor.is_operator or actor.is_evaluator or state in OPEN_STATES or institution_id in actor.institutions()


def resources_of(session: Session, institution_ids: Collection[str]) -> Sequence[Resource]:
    """Everything those institutions have listed or drafted, by name."""
    mine = select(Resource).where(Resource.institution_id.in_(institution_ids), LISTABLE).order_by(Resource.name)
    return session.scalars(mine).all()


def resources(session: Session, resource_ids: Collection[str]) -> Sequence[Resource]:
    return session.scalars(select(Resource).where(Resource.id.in_(resource_ids))).all()


def children_of(session: Session, resource_id: str) -> Sequence[Resource]:
    return session.scalars(select(Resource).where(Resource.parent_id == resource_id).order_by(Resource.name)).all()


def count_published(session: Session) -> int:
    return session.scalar(select(func.count()).where(Resource.state == ListingState.PUBLISHED)) or 0
