"""Reads of what a resource costs, by which policy, how its money goes, and for whom it would be booked."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from billing import policy as policies
from billing.tables import PolicyVersion
from marketplace.money import Money
from marketplace.prepared import Read
from marketplace.refusals import NotFound
from marketplace.tables import CustomerClass, Institution, ListingState, Organisation, Resource, Settlement

_NEWEST = select(PolicyVersion.id).where(PolicyVersion.resource_id == Resource.id).correlate(Resource)
OFFERS = Read(
    select(Resource.id, Resource.institution_id, Resource.state, Resource.timezone, Resource.price_minor, Resource.currency)
    .add_columns(Institution.settlement, PolicyVersion.id)
    .add_columns(Organisation.id, Organisation.institution_id, Organisation.customer_class)
    .join(Institution, Institution.id == Resource.institution_id)
    .outerjoin(PolicyVersion, PolicyVersion.id == _NEWEST.order_by(PolicyVersion.number.desc()).limit(1).scalar_subquery())
    .outerjoin(Organisation, Organisation.id == bindparam("organisation"))
    .where(Resource.id == bindparam("resource"))
)


@dataclass(frozen=True, slots=True)
class Buyer:
    """The organisation that would pay. `institution_id` is whose department it is, if it is one."""

    id: str
    institution_id: str | None
    customer_class: CustomerClass


@dataclass(frozen=True, slots=True)
class Offer:
    """A resource as an order sees it."""

    resource_id: str
    institution_id: str
    state: ListingState
    timezone: str
    price: Money
    """An hour of one unit."""
    settlement: Settlement
    policy_id: str | None
    """The newest version of its policy; None where the default holds."""
    buyer: Buyer | None

    @property
    def takes_cards(self) -> bool:
        """Whether the platform collects for the institution."""
        return self.settlement is Settlement.PLATFORM_COLLECTS


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A policy as JSON, whole, with its fingerprint."""

    document: Mapping[str, Any]
    digest: str


def get_offer(session: Session, resource_id: str, organisation_id: str | None = None) -> Offer:
    """To the organisation named, if there is one of that id. Raises: NotFound (the resource)."""
    rows = OFFERS.rows(session, resource=resource_id, organisation=organisation_id)
    if not rows:
        raise NotFound(kind="resource")
    found, house, state, timezone, price, currency, settlement, policy_id, *buyer = rows[0]
    firm = Buyer(*buyer) if buyer[0] else None
    return Offer(found, house, state, timezone, Money(price, currency), settlement, policy_id, firm)


def snapshot_of(session: Session, policy_id: str | None) -> Snapshot:
    """Of a version, which never changes, or of the default policy."""
    if policy_id is None:
        return _default()
    if policy_id not in SNAPSHOTS:
        if len(SNAPSHOTS) > MOST_KNOWN:
            SNAPSHOTS.clear()
        SNAPSHOTS[policy_id] = _snapshot(policies.parse(session.get_one(PolicyVersion, policy_id).document))
    return SNAPSHOTS[policy_id]


SNAPSHOTS: dict[str, Snapshot] = {}
"""Versions that were read before, by id."""
MOST_KNOWN = 10_000


@lru_cache(maxsize=1)
def _default() -> Snapshot:
    return _snapshot(policies.DEFAULT)


def _snapshot(policy: policies.Policy) -> Snapshot:
    document = policies.as_json(policy)
    return Snapshot(document, policies.fingerprint(document))
