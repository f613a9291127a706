"""Reads that a resource's rules are judged by."""

from collections.abc import Collection, Sequence

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from booking.audience import Customer, Group
from booking.quotas import Members, Use
from booking.states import HOLDING, BookingState
from booking.tables import Booking, Claim
from booking.waiving import Beside
from marketplace.refusals import NotFound
from marketplace.slot import Slot
from marketplace.tables import CustomerClass, Organisation, Resource

COUNTED = HOLDING | {BookingState.COMPLETED, BookingState.NO_SHOW, BookingState.UNVERIFIABLE}
"""What quotas count: all but what was cancelled, refused, has expired, or failed through the provider."""
CLASSES = {
    CustomerClass.ACADEMIC: Group.ACADEMIC,
    CustomerClass.INDUSTRY: Group.INDUSTRY,
    CustomerClass.PARTNER: Group.PARTNER,
}
"""A department is internal to its own house only, so elsewhere that class is none."""


def customer_of(session: Session, organisation_id: str | None, *, institution_id: str) -> Customer:
    """As a resource of that institution sees it. Raises: NotFound."""
    if organisation_id is None:
        return Customer(None, Group.OWN)
    firm = session.get(Organisation, organisation_id)
    if firm is None:
        raise NotFound(kind="organisation")
    if firm.institution_id == institution_id:
        return Customer(firm.id, Group.OWN)
    return Customer(firm.id, CLASSES.get(firm.customer_class))


def known_organisations(session: Session, organisation_ids: Collection[str]) -> set[str]:
    """Which of them there are."""
    return set(session.scalars(select(Organisation.id).where(Organisation.id.in_(organisation_ids))))


def customers_of(session: Session, institution_id: str, *, limit: int) -> Sequence[str]:
    """Ids of the organisations that have booked with the house, the latest first."""
    latest = func.max(Booking.id)
    asked = select(Booking.organisation_id).where(Booking.institution_id == institution_id)
    asked = asked.where(Booking.organisation_id.is_not(None)).group_by(Booking.organisation_id).order_by(latest.desc())
    return [one for one in session.scalars(asked.limit(limit)) if one]


def uses_of(
    session: Session,
    resource_id: str,
    customer: Use,
    *,
    within: Slot,
    ignoring: Collection[str] = (),
    groups: Collection[Members] = (),
) -> list[Use]:
    """What the person, the organisation and the `groups` of `customer` have of the resource inside `within`.

    The bookings `ignoring` are left out. Current only while the resource's row is locked.
    """
    if groups:
        return _uses_of_groups(session, resource_id, customer, within, ignoring, groups)
    theirs = or_(Booking.person_id == customer.person_id, Booking.organisation_id.is_not_distinct_from(customer.organisation_id))
    found = select(Booking.starts_at, Booking.ends_at, Booking.person_id, Booking.organisation_id, Booking.quantity).where(
        Booking.resource_id == resource_id,
        Booking.state.in_(COUNTED),
        Booking.starts_at < within.end,
        Booking.ends_at > within.start,
        Booking.id.not_in(ignoring),
        theirs,
    )
    return [Use(Slot(start, end), person, firm, quantity) for start, end, person, firm, quantity in session.execute(found)]


def _uses_of_groups(
    session: Session,
    resource_id: str,
    customer: Use,
    within: Slot,
    ignoring: Collection[str],
    groups: Collection[Members],
) -> list[Use]:
    """All of the resource that any of them has, with the group of its organisation."""
    house = select(Resource.institution_id).where(Resource.id == resource_id).scalar_subquery()
    columns = (Booking.starts_at, Booking.ends_at, Booking.person_id, Booking.organisation_id, Booking.quantity)
    found = (
        select(*columns, Organisation.customer_class, Organisation.institution_id == house)
        .outerjoin(Organisation, Organisation.id == Booking.organisation_id)
        .where(Booking.resource_id == resource_id, Booking.state.in_(COUNTED), Booking.id.not_in(ignoring))
        .where(Booking.starts_at < within.end, Booking.ends_at > within.start)
    )
    uses = []
    for start, end, person, firm, quantity, kind, own in session.execute(found):
        group = Group.OWN if firm is None or own else CLASSES.get(kind)
        uses.append(Use(Slot(start, end), person, firm, quantity, group))
    return [
        use
        for use in uses
        if use.person_id == customer.person_id
        or use.organisation_id == customer.organisation_id
        or any(one.hold(use) for one in groups)
    ]


def beside(
    session: Session, resource_ids: Collection[str], slot: Slot, organisation_id: str | None, *, ignoring: Collection[str] = ()
) -> Beside:
    """The organisation's bookings that hold time of the resources and touch `slot`, the bookings `ignoring` left out."""
    holding = select(Claim.booking_id).where(Claim.active, Claim.resource_id.in_(resource_ids))
    found = session.execute(
        select(Booking.id, Booking.ends_at).where(
            or_(Booking.ends_at == slot.start, Booking.starts_at == slot.end),
            Booking.organisation_id.is_not_distinct_from(organisation_id),
            Booking.id.not_in(ignoring),
            Booking.id.in_(holding.where(Claim.starts_at <= slot.end, Claim.ends_at >= slot.start)),
        )
    ).all()
    return Beside(
        before={booking_id for booking_id, end in found if end == slot.start},
        after={booking_id for booking_id, end in found if end != slot.start},
    )
