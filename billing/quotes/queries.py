"""Reads of what a resource costs, by which policy, how its money goes, and for whom it would be booked."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, timedelta, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import and_, bindparam, exists, func, select
from sqlalchemy.orm import Session

from billing import policy as policies
from billing import pricing, queries
from billing.policy import Policy
from billing.programmes.tables import Entitlement
from billing.tables import BookingQuote, PolicyVersion
from billing.tariffs.choosing import PriceList
from booking.occupancy import Buffers
from booking.places import get_place
from booking.tables import Booking, Claim
from booking.terms import NO_BUFFERS
from marketplace.money import Money, zero
from marketplace.prepared import Question, Read
from marketplace.refusals import NotFound
from marketplace.tables import CustomerClass, Institution, ListingState, Organisation, Resource, Settlement

_NEWEST = select(PolicyVersion.id).where(PolicyVersion.resource_id == Resource.id).correlate(Resource)
OFFERS = Read(
    select(Resource.id, Resource.institution_id, Resource.state, Resource.timezone, Resource.price_minor, Resource.currency)
    .add_columns(Institution.settlement, PolicyVersion.id)
    .add_columns(Organisation.id, Organisation.institution_id, Organisation.customer_class)
    .add_columns(exists().where(Entitlement.organisation_id == Organisation.id))
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
    entitled: bool = True
    """Whether a programme may have granted them something."""


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
    """A policy, and as JSON, whole, with its fingerprint."""

    policy: Policy
    document: Mapping[str, Any]
    digest: str


@dataclass(frozen=True, slots=True)
class Terms:
    """By which policy a resource is priced, and whose wall clock its windows are of."""

    policy: Policy = policies.DEFAULT
    zone: tzinfo = UTC


PLAIN = Terms()
"""Of a resource where everybody pays the list price at any hour."""


@dataclass(frozen=True, slots=True)
class Use:
    """What of a booking beside its time decides the price."""

    assisted: bool = False
    buffers: Buffers = NO_BUFFERS


ALONE = Use()


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
    firm = Buyer(buyer[0], buyer[1], buyer[2], bool(buyer[3])) if buyer[0] else None
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


def _snapshot(policy: Policy) -> Snapshot:
    document = policies.as_json(policy)
    return Snapshot(policy, document, policies.fingerprint(document))


def snapshot_for(session: Session, offer: Offer, *, own_house: bool) -> Snapshot:
    """What a booking there freezes; one's own house is under the same terms of use, without prices."""
    found = snapshot_of(session, offer.policy_id)
    return _snapshot(policies.without_prices(found.policy)) if own_house and _names_prices(found.policy) else found


def _names_prices(policy: Policy) -> bool:
    return bool(policy.class_prices or policy.tariff)


def class_of(organisation: Buyer | Organisation | None, institution_id: str) -> CustomerClass | None:
    """As which class it buys there: a department is internal to its own house only, elsewhere it is none."""
    if organisation is None:
        return None
    if organisation.institution_id == institution_id:
        return CustomerClass.INTERNAL
    return None if organisation.customer_class is CustomerClass.INTERNAL else organisation.customer_class


def price_list(
    listed: Money, house: str, terms: Terms, buyer: Buyer | Organisation | None, use: Use = ALONE, *, own_house: bool = False
) -> tuple[PriceList, str | None]:
    """What time there costs them, and the class that has prices of its own if they buy as one; one's own house pays nothing."""
    policy = policies.without_prices(terms.policy) if own_house else terms.policy
    kind = None if own_house else class_of(buyer, house)
    named = {one for one, _ in policy.class_prices} | {rule.customer_class for rule in policy.tariff}
    found = policies.price_list(
        policy,
        zero(listed.currency) if own_house else listed,
        customer_class=kind,
        assisted=use.assisted,
        zone=terms.zone,
        buffers=(use.buffers.setup, use.buffers.cleaning),
    )
    return found, kind if kind in named else None


def frozen_prices(quote: BookingQuote, terms: Policy) -> PriceList:
    """What time costs a booking by its quote: `terms` are the policy that is frozen with it."""
    hour, buffers = Money(quote.price_minor, quote.currency), (quote.setup_s, quote.cleanup_s)
    before, after = (timedelta(seconds=one) for one in buffers)
    use = Use(quote.assisted, Buffers(before, after))
    return accepted_prices(terms, hour, quote.price_class, quote.timezone, use)


def accepted_prices(terms: Policy, hour: Money, price_class: str | None, timezone: str, use: Use) -> PriceList:
    """What a quote makes of its price and its policy for a use; the price is its class's own already."""
    return policies.price_list(
        replace(terms, class_prices=()) if terms.class_prices else terms,
        hour,
        customer_class=price_class,
        assisted=use.assisted,
        zone=ZoneInfo(timezone),
        buffers=(use.buffers.setup, use.buffers.cleaning),
    )


def buffers_of(session: Session, bookings: Collection[Booking]) -> dict[str, Buffers]:
    """By booking, what its claims keep clear before and after its slot; those that claim nothing are left out."""
    asked = select(Claim.booking_id, func.min(Claim.starts_at), func.max(Claim.ends_at)).join(
        Booking, and_(Booking.id == Claim.booking_id, Booking.resource_id == Claim.resource_id)
    )
    mine = {one.id: one for one in bookings}
    rows = session.execute(asked.where(Claim.booking_id.in_(mine), Claim.active).group_by(Claim.booking_id))
    return {key: Buffers(mine[key].starts_at - start, end - mine[key].ends_at) for key, start, end in rows if key}


def is_as_agreed(session: Session, booking: Booking, offer: Offer) -> bool:
    """Whether the offer's buyer would pay no more for the booking's time than was agreed, under the same terms of use."""
    agreed, found = queries.find_quote(session, booking.id), snapshot_of(session, offer.policy_id)
    if agreed is None:
        return False
    use, policy = Use(booking.assisted), found.policy
    if policy.tariff or policy.setup_billed or policy.cleanup_billed:
        rules = get_place(session, offer.resource_id).rules
        use = Use(rules.assistance.attends(wanted=booking.assisted), rules.buffers)
    prices, _ = price_list(offer.price, offer.institution_id, Terms(found.policy, ZoneInfo(offer.timezone)), offer.buyer, use)
    asked = pricing.quote(prices, booking.slot, booking.quantity)
    cheap = asked.currency == agreed.currency and asked.minor <= agreed.quote_minor
    return cheap and _without_prices(found.document) == _without_prices(agreed.policy)


def _without_prices(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in policies.PRICES}


def prices_for(
    session: Session, resource: Resource, buyer: Buyer | Organisation | None, use: Use = ALONE, *, own_house: bool = False
) -> tuple[PriceList, str | None]:
    """What time would cost them there (None: somebody who is not known), and the class that has prices of its own."""
    offer = get_offer(session, resource.id)
    terms = Terms(snapshot_of(session, offer.policy_id).policy, ZoneInfo(offer.timezone))
    return price_list(offer.price, offer.institution_id, terms, buyer, use, own_house=own_house)


def class_prices_of(session: Session, resource_id: str) -> dict[str, Money]:
    """By class, those that differ from the list price."""
    offer = get_offer(session, resource_id)
    prices = snapshot_of(session, offer.policy_id).policy.class_prices
    return {kind: Money(minor, offer.price.currency) for kind, minor in prices}


def terms_of(session: Session, resource_ids: Collection[str]) -> dict[str, Terms]:
    """By resource; those without a policy of their own are left out, they are `PLAIN`."""
    newest = _NEWEST.order_by(PolicyVersion.number.desc()).limit(1).scalar_subquery()
    asked = select(Resource.id, Resource.timezone, PolicyVersion.id).join(PolicyVersion, PolicyVersion.id == newest)
    rows = session.execute(asked.where(Resource.id.in_(resource_ids))).all() if resource_ids else []
    known = _snapshots_of(session, {policy_id for *_, policy_id in rows})
    return {key: Terms(known[policy_id].policy, ZoneInfo(zone)) for key, zone, policy_id in rows}


def _snapshots_of(session: Session, policy_ids: Collection[str]) -> Mapping[str, Snapshot]:
    """By version, which never changes; read at once where they are not known."""
    if missing := set(policy_ids) - SNAPSHOTS.keys():
        rows = session.execute(select(PolicyVersion.id, PolicyVersion.document).where(PolicyVersion.id.in_(missing)))
        if len(SNAPSHOTS) > MOST_KNOWN:
            SNAPSHOTS.clear()
        SNAPSHOTS.update((key, _snapshot(policies.parse(document))) for key, document in rows)
    return {key: snapshot_of(session, key) for key in policy_ids}
