"""Writes of listings: draft, edit, publish, pause, retire; each change audited and searchable at once."""

from dataclasses import asdict, dataclass, field, fields
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from marketplace import audit
from marketplace.catalogue import queries, search
from marketplace.ids import is_operator, new_id
from marketplace.money import Money
from marketplace.people import queries as people
from marketplace.people.actions import check_zone
from marketplace.people.text import clean
from marketplace.refusals import Invalid, NotFound, Stale, WrongState
from marketplace.tables import ListingState, Resource, ResourceKind

MOVES = {
    "publish": (frozenset({ListingState.DRAFT, ListingState.PAUSED}), ListingState.PUBLISHED),
    "pause": (frozenset({ListingState.PUBLISHED}), ListingState.PAUSED),
    "retire": (frozenset({ListingState.DRAFT, ListingState.PUBLISHED, ListingState.PAUSED}), ListingState.RETIRED),
}
"""From which states each step leads where; a retired listing stays retired, its past stays."""
DAY, INSTANT = timedelta(days=1), timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Listing:
    """What a publisher says of a resource. `price` is per hour, `value` the purchase value, `quota_hours` a year's."""

    kind: ResourceKind
    name: str
    timezone: str
    price: Money
    name_en: str | None = None
    summary: str | None = None
    summary_en: str | None = None
    tags: list[dict[str, str]] = field(default_factory=list)
    icon: str | None = None
    chain: str | None = None
    district: str | None = None
    address: str | None = None
    capacity: int = 1
    parent_id: str | None = None
    quota_hours: int | None = None
    value_minor: int | None = None
    commissioned_on: date | None = None


def list_resource(session: Session, *, institution_id: str, listing: Listing, actor_id: str | None, now: datetime) -> Resource:
    """A new draft. Raises: NotFound (the institution or the parent), Invalid."""
    people.get_institution(session, institution_id)
    row = Resource(
        id=new_id("res"),
        institution_id=institution_id,
        state=ListingState.DRAFT,
        version=1,
        created_at=now,
        **_columns(session, institution_id, listing),
    )
    session.add(row)
    session.flush()
    search.index_resource(session, row)
    _audit(session, row, "list", None, actor_id, now)
    return row


def _columns(session: Session, institution_id: str, listing: Listing, own_id: str | None = None) -> dict[str, Any]:
    check_zone(listing.timezone)
    if listing.parent_id:
        _check_parent(session, listing.parent_id, institution_id, own_id)
    if not 1 <= listing.capacity <= 1000:
        raise Invalid(field="capacity", reason="must be 1 to 1000")
    if listing.price.minor < 0:
        raise Invalid(field="price_per_hour", reason="must not be negative")
    values = {**asdict(listing), "price_minor": listing.price.minor, "currency": listing.price.currency}
    del values["price"]
    values["name"] = clean(listing.name, field="name")
    values["name_en"] = clean(listing.name_en, field="name_en") if listing.name_en else None
    return values


def _check_parent(session: Session, parent_id: str, institution_id: str, own_id: str | None) -> None:
    """Raises: NotFound, Invalid (another institution's, or a part of the listing `own_id` itself)."""
    if is_operator(parent_id):
        raise NotFound(kind="resource")
    if queries.get_resource(session, parent_id).institution_id != institution_id:
        raise Invalid(field="parent_id", reason="belongs to another institution")
    above: str | None = parent_id
    while above is not None:
        if above == own_id:
            raise Invalid(field="parent_id", reason="is a part of this machine itself")
        above = queries.get_resource(session, above).parent_id


def edit_resource(
    session: Session, *, resource_id: str, listing: Listing, version: int, actor_id: str, now: datetime
) -> Resource:
    """Replace what is said of it. Raises: NotFound, Invalid, Stale."""
    row = queries.get_resource(session, resource_id)
    session.refresh(row, with_for_update=True)
    if row.version != version:
        raise Stale(version=row.version)
    before = _facts(row)
    if listing.capacity < row.capacity:
        raise Invalid(field="capacity", reason="can only grow: booked units would be lost")
    for name, value in _columns(session, row.institution_id, listing, row.id).items():
        setattr(row, name, value)
    row.version += 1
    session.flush()
    search.index_resource(session, row)
    _audit(session, row, "edit", before, actor_id, now)
    return row


def publish(session: Session, *, resource_id: str, actor_id: str | None, now: datetime) -> Resource:
    """Open it to everyone. Raises: NotFound, WrongState."""
    row = _step(session, resource_id, "publish", actor_id, now)
    if row.listed_on is None:
        row.listed_on = now.astimezone(ZoneInfo(row.timezone)).date()
        session.flush()
    return row


def pause(session: Session, *, resource_id: str, actor_id: str, now: datetime) -> Resource:
    """Take no new bookings; those made stand. Raises: NotFound, WrongState."""
    return _step(session, resource_id, "pause", actor_id, now)


def retire(session: Session, *, resource_id: str, actor_id: str, last_use: datetime | None = None, now: datetime) -> Resource:
    """Close it for good; all figures stay. It is out of service from today, or from the day after its last use.

    Raises: NotFound, WrongState.
    """
    row = _step(session, resource_id, "retire", actor_id, now)
    zone = ZoneInfo(row.timezone)
    today = now.astimezone(zone).date()
    row.decommissioned_on = max(today, (last_use - INSTANT).astimezone(zone).date() + DAY) if last_use else today
    session.flush()
    return row


def _step(session: Session, resource_id: str, step: str, actor_id: str | None, now: datetime) -> Resource:
    row = queries.get_resource(session, resource_id)
    session.refresh(row, with_for_update={"key_share": True})
    sources, target = MOVES[step]
    if row.state not in sources:
        raise WrongState(state=row.state.value, move=step)
    before = _facts(row)
    row.state = target
    row.version += 1
    session.flush()
    _audit(session, row, step, before, actor_id, now)
    return row


PLAIN = tuple(one.name for one in fields(Listing) if one.name not in {"kind", "price", "commissioned_on"})
"""Columns that the audit holds as they are."""


def _facts(row: Resource) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in PLAIN},
        "kind": row.kind.value,
        "state": row.state.value,
        "price_minor": row.price_minor,
        "currency": row.currency,
        "commissioned_on": row.commissioned_on.isoformat() if row.commissioned_on else None,
        "version": row.version,
    }


def _audit(
    session: Session, row: Resource, action: str, before: dict[str, Any] | None, actor_id: str | None, now: datetime
) -> None:
    audit.record(
        session,
        actor_id=actor_id,
        action=action,
        object_kind="resource",
        object_id=row.id,
        institution_id=row.institution_id,
        before=before,
        after=_facts(row),
        now=now,
    )
