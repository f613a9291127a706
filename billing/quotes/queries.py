"""Reads of what a resource costs, by which policy, how its money goes, and for whom it would be booked."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from billing import policy as policies
from billing import pricing, queries
from billing.tables import PolicyVersion
from booking.tables import Booking
from marketplace.money import Money, zero
from marketplace.prepared import Question, Read
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
    return offer_for(resource_id, organisation_id).ask(session)


def offer_for(resource_id: str, organisation_id: str | None) -> Question[Offer]:
    """What `get_offer` asks. Raises, once it is answered: NotFound."""
    return Question(OFFERS, {"resource": resource_id, "organisation": organisation_id}, _as_offer)


def _as_offer(_session: Session, rows: Sequence[Sequence[Any]]) -> Offer:
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


def class_of(organisation: Buyer | Organisation | None, institution_id: str) -> CustomerClass | None:
    """As which class it buys there: a department is internal to its own house only, elsewhere it is none."""
    if organisation is None:
        return None
    if organisation.institution_id == institution_id:
        return CustomerClass.INTERNAL
    return None if organisation.customer_class is CustomerClass.INTERNAL else organisation.customer_class


def hourly(
    listed: Money, house: str, prices: Mapping[str, int], buyer: Buyer | Organisation | None, *, own_house: bool = False
) -> tuple[Money, str | None]:
    """An hour's price there as a booking freezes it, and the class whose own price that is; one's own house pays nothing."""
    if own_house:
        return zero(listed.currency), None
    return pricing.price_for(listed, prices, class_of(buyer, house))


def is_as_agreed(session: Session, booking: Booking, offer: Offer) -> bool:
    """Whether the offer's buyer would pay no more for the booking's time than was agreed, under the same terms of use."""
    agreed, document = queries.find_quote(session, booking.id), snapshot_of(session, offer.policy_id).document
    if agreed is None:
        return False
    price, _ = hourly(offer.price, offer.institution_id, document.get("class_prices", {}), offer.buyer)
    asked = pricing.quote(price, booking.slot, booking.quantity)
    cheap = asked.currency == agreed.currency and asked.minor <= agreed.quote_minor
    return cheap and _without_prices(document) == _without_prices(agreed.policy)


def _without_prices(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "class_prices"}


def price_of(
    session: Session, resource: Resource, buyer: Buyer | Organisation | None, *, own_house: bool = False
) -> tuple[Money, str | None]:
    """What an hour would cost them (None: somebody who is not known), and the class whose own price that is."""
    offer = get_offer(session, resource.id)
    prices = snapshot_of(session, offer.policy_id).document.get("class_prices", {})
    return hourly(offer.price, offer.institution_id, prices, buyer, own_house=own_house)


def class_prices_of(session: Session, resource_id: str) -> dict[str, Money]:
    """By class, those that differ from the list price."""
    offer = get_offer(session, resource_id)
    prices = snapshot_of(session, offer.policy_id).document.get("class_prices", {})
    return {kind: Money(minor, offer.price.currency) for kind, minor in prices.items()}


def prices_by_class(session: Session, resource_ids: Collection[str]) -> dict[str, Mapping[str, int]]:
    """By resource, prices per hour by class, minor units; those whose classes all pay the list price are left out."""
    newest = _NEWEST.order_by(PolicyVersion.number.desc()).limit(1).scalar_subquery()
    asked = select(Resource.id, PolicyVersion.document).join(PolicyVersion, PolicyVersion.id == newest)
    rows = session.execute(asked.where(Resource.id.in_(resource_ids))) if resource_ids else ()
    return {key: policy["class_prices"] for key, policy in rows if policy.get("class_prices")}
