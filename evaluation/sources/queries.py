"""Reads units, calendars, downtime, bookings, segments, attestations, fees and requests of the floors below as facts."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from sqlalchemy import and_, select
from sqlalchemy.orm import Session, aliased

from booking.availability import open_slots
from booking.lines.queries import lines_above, tree_of
from booking.places import as_rules
from booking.ratings.queries import stars_of
from booking.requests.tables import Grounds, RequestEnd
from booking.states import BookingState
from booking.tables import Booking, RefusedRequest, RuleVersion
from booking.tables import Outage as OutageRow
from devices.attestations.queries import stated_of_resources
from devices.attestations.statements import Side
from devices.discrepancies.queries import standing, with_discrepancies
from devices.segments import Segment as Measured
from devices.segments import State
from devices.tables import StateSegment
from evaluation.facts import (
    Attestation,
    Downtime,
    Facts,
    Outage,
    Outcome,
    Request,
    Reservation,
    Segment,
    Status,
    Telemetry,
    Unit,
    UnitFacts,
    Use,
)
from evaluation.periods import as_span, for_period
from evaluation.scoring import Scheme
from evaluation.sources.fees import fees_of_bookings
from evaluation.sources.parts import Whole
from evaluation.spans import Span
from marketplace.slot import Slot
from marketplace.tables import Institution, ListingState, Organisation, RelatedParty, Resource

MARGIN = timedelta(days=1)
"""Facts reach this far beyond the period, so that runs and bookings across its ends are seen whole."""

NEVER_STOOD = frozenset({BookingState.HELD, BookingState.REQUESTED, BookingState.EXPIRED, BookingState.REFUSED})


@dataclass(frozen=True, slots=True)
class Gathered:
    """Bookings and requests by resource, of many resources at once."""

    bookings: Mapping[str, Sequence[Reservation]]
    requests: Mapping[str, Sequence[Request]]


def facts_of(
    session: Session,
    scheme: Scheme,
    *,
    within: Slot,
    institution_ids: Collection[str] | None = None,
    manual: Mapping[str, Mapping[str, Fraction]] | None = None,
) -> Facts:
    """All facts of the reporting units of `institution_ids` (None: of all) in the period `within`."""
    resources = reporting_units(session, institution_ids)
    return Facts(as_span(within), _unit_facts(session, scheme, resources, within), manual or {})


def facts_of_unit(session: Session, scheme: Scheme, resource_id: str, *, within: Slot) -> Facts:
    """The facts of one resource, reporting unit or not."""
    resources = session.scalars(select(Resource).where(Resource.id == resource_id)).all()
    return Facts(as_span(within), _unit_facts(session, scheme, resources, within))


def reporting_units(session: Session, institution_ids: Collection[str] | None = None) -> Sequence[Resource]:
    """Everything that was ever published; a module of a line that reports is not a unit of its own but counts with its line."""
    found = select(Resource).where(Resource.state != ListingState.DRAFT).order_by(Resource.institution_id, Resource.id)
    if institution_ids is not None:
        found = found.where(Resource.institution_id.in_(institution_ids))
    rows = session.scalars(found).all()
    ids = {row.id for row in rows}
    return [row for row in rows if row.parent_id not in ids]


def _unit_facts(session: Session, scheme: Scheme, resources: Sequence[Resource], within: Slot) -> list[UnitFacts]:
    reach = within.widen(MARGIN, MARGIN)
    wholes = wholes_of(session, resources)
    every = [part_id for whole in wholes.values() for part_id in whole.ids]
    gathered = bookings_and_requests(
        session, [*every, *(line for whole in wholes.values() for line in whole.lines)], within=reach
    )
    downtime = downtime_of(session, list(wholes), within=reach)
    calendars = calendars_of(session, resources, within=reach)
    takers = {
        part_id: [one for user in whole.users_of(part_id) for one in gathered.bookings.get(user, ())]
        for whole in wholes.values()
        for part_id in whole.ids
    }
    segments = segments_of(session, every, takers, within=reach)
    attestations = attestations_of(session, list(gathered.bookings), gathered.bookings, within=reach)
    quota_share = for_period(scheme, within).params.year_share
    found = []
    for row in resources:
        whole = wholes[row.id]
        capacity, bookings = whole.bookings(gathered.bookings)
        found.append(
            UnitFacts(
                unit=replace(_unit(row, quota_share), capacity=capacity),
                calendar=calendars[row.id],
                downtime=downtime.get(row.id, ()),
                bookings=bookings,
                segments=[one for part_id in whole.ids for one in segments.get(part_id, ())],
                attestations=sorted(one for place in (*whole.ids, *whole.lines) for one in attestations.get(place, ())),
                requests=[one for part_id in whole.ids for one in gathered.requests.get(part_id, ())],
            )
        )
    return found


def wholes_of(session: Session, resources: Sequence[Resource]) -> dict[str, Whole]:
    """Each unit with its parts; a listing below one that was never published reports itself and is no part."""
    tree, line = tree_of([row.id for row in resources]), aliased(Resource)
    asked = select(tree.c.root, tree.c.part, tree.c.parent, Resource.capacity, Resource.state, line.state)
    asked = asked.join(Resource, Resource.id == tree.c.part).outerjoin(line, line.id == Resource.parent_id)
    parents: dict[str, dict[str, str]] = defaultdict(dict)
    capacity: dict[str, dict[str, int]] = defaultdict(dict)
    for root, part, parent, units, state, above in session.execute(asked.order_by(tree.c.root, tree.c.part)):
        capacity[root][part] = units
        reports_itself = state is not ListingState.DRAFT and above is ListingState.DRAFT
        if part != root and not reports_itself:
            parents[root][part] = parent
    return {
        row.id: Whole(
            row.id,
            _reached(row.id, parents[row.id]),
            capacity[row.id],
            lines_above(session, row.id) if row.parent_id else (),
        )
        for row in resources
    }


def _reached(unit_id: str, parents: Mapping[str, str]) -> dict[str, str]:
    """Those that still hang on the unit."""
    found, more = dict[str, str](), {unit_id}
    while more:
        below = {part: parent for part, parent in parents.items() if parent in more and part not in found}
        found, more = found | below, set(below)
    return found


def _unit(row: Resource, quota_share: Fraction) -> Unit:
    """The yearly quota becomes that of the period by days."""
    return Unit(
        id=row.id,
        name=row.name,
        owner_org=row.institution_id,
        kind=row.kind.value,
        capacity=row.capacity,
        zone=ZoneInfo(row.timezone),
        quota_hours=row.quota_hours * quota_share if row.quota_hours is not None else None,
        listed_from=row.listed_on or row.commissioned_on,
        decommissioned_on=row.decommissioned_on,
        value_minor=row.value_minor,
    )


def calendars_of(session: Session, resources: Sequence[Resource], *, within: Slot) -> dict[str, list[Span]]:
    """Open time by resource: each version of the hours holds from its creation to the next one's, the first from ever."""
    versions: dict[str, list[RuleVersion]] = defaultdict(list)
    rows = select(RuleVersion).where(RuleVersion.resource_id.in_([row.id for row in resources])).order_by(RuleVersion.number)
    for version in session.scalars(rows):
        versions[version.resource_id].append(version)
    return {row.id: _calendar(versions[row.id], ZoneInfo(row.timezone), within) for row in resources}


def _calendar(versions: Sequence[RuleVersion], zone: ZoneInfo, within: Slot) -> list[Span]:
    spans: list[Span] = []
    for at, version in enumerate(versions):
        since = within.start if at == 0 else max(within.start, version.created_at)
        until = min(within.end, versions[at + 1].created_at) if at + 1 < len(versions) else within.end
        if since < until:
            spans += [as_span(slot) for slot in open_slots(as_rules(version).hours, zone, Slot(since, until))]
    return spans


def downtime_of(session: Session, resource_ids: Collection[str], *, within: Slot) -> dict[str, list[Outage]]:
    rows = session.scalars(
        select(OutageRow)
        .where(OutageRow.resource_id.in_(resource_ids), OutageRow.starts_at < within.end, OutageRow.ends_at > within.start)
        .order_by(OutageRow.starts_at, OutageRow.id)
    )
    found: dict[str, list[Outage]] = defaultdict(list)
    for row in rows:
        start, end = _seconds(row.starts_at), _seconds(row.ends_at)
        if start < end:
            kind = Downtime.PLANNED if row.planned else Downtime.UNPLANNED
            found[row.resource_id].append(Outage(start, end, kind, _seconds(row.recorded_at)))
    return found


def segments_of(
    session: Session, resource_ids: Collection[str], bookings: Mapping[str, Sequence[Reservation]], *, within: Slot
) -> dict[str, list[Segment]]:
    """What each device on a resource saw, as all of its messages come to. A silence that the energy counter bridges is RUN if one
    booking holds all of it."""
    found: dict[str, list[Segment]] = defaultdict(list)
    for resource_id, device_id, slot, state, bridged in _seen(session, resource_ids, within):
        start, end = _seconds(slot[0]), _seconds(slot[1])
        proven = bridged and any(b.stands and b.start <= start and end <= b.end for b in bookings.get(resource_id, ()))
        if start < end:
            found[resource_id].append(Segment(start, end, Telemetry.RUN if proven else Telemetry(state.value), device_id))
    return found


Seen = tuple[str, str, tuple[datetime, datetime], State, bool]
"""Resource, device, from and to, state, and whether it is a silence that the counter proves to be run."""


def _seen(session: Session, resource_ids: Collection[str], within: Slot) -> Iterable[Seen]:
    """By resource, device and time; meters with discrepancies are read again with them."""
    row, differing = StateSegment, {(one.resource_id, one.device_id) for one in standing(session, resource_ids, within)}
    rows = session.execute(
        select(row.resource_id, row.device_id, row.starts_at, row.ends_at, row.state, row.bridged)
        .where(row.resource_id.in_(resource_ids), row.starts_at < within.end, row.ends_at > within.start)
        .order_by(row.resource_id, row.device_id, row.starts_at)
    )
    stored = ((one[0], one[1], (one[2], one[3]), one[4], one[5]) for one in rows)
    if not differing:
        return stored
    meters: dict[tuple[str, str], list[Measured]] = {key: [] for key in differing}
    others: list[Seen] = []
    for one in stored:
        if one[:2] in meters:
            meters[one[:2]].append(Measured(Slot(*one[2]), one[3], one[4]))
        else:
            others.append(one)
    known = with_discrepancies(session, meters, resource_ids, within)
    corrected = [
        (*key, (piece.slot.start, piece.slot.end), piece.state, piece.bridged)
        for key, pieces in known.items()
        for piece in pieces
    ]
    return sorted([*others, *corrected], key=lambda one: one[:3])


def attestations_of(
    session: Session, resource_ids: Collection[str], bookings: Mapping[str, Sequence[Reservation]], *, within: Slot
) -> dict[str, list[Attestation]]:
    """The stretches of use that both sides signed, and those that one side stated and the other has not answered."""
    found: dict[str, list[Attestation]] = defaultdict(list)
    for resource_id, many in stated_of_resources(session, resource_ids, within=within).items():
        known = {booking.id for booking in bookings.get(resource_id, ())}
        for one in many:
            by_provider, by_user = one.signed or one.side is Side.PROVIDER, one.signed or one.side is Side.USER
            for slot in one.statement.stretches if one.booking_id in known else ():
                start, end = _seconds(slot.start), _seconds(slot.end)
                found[resource_id].append(Attestation(start, end, one.booking_id, by_provider, by_user))
    return {resource_id: sorted(many) for resource_id, many in found.items()}


def bookings_and_requests(session: Session, resource_ids: Collection[str], *, within: Slot) -> Gathered:
    """Bookings that touch `within`; requests made in it. Verdicts are left to the scheme's own rules."""
    rows = session.execute(
        select(Booking, Organisation, RelatedParty.institution_id, Institution.credit_code)
        .join(Institution, Institution.id == Booking.institution_id)
        .outerjoin(Organisation, Organisation.id == Booking.organisation_id)
        .outerjoin(
            RelatedParty,
            and_(RelatedParty.organisation_id == Booking.organisation_id, RelatedParty.institution_id == Booking.institution_id),
        )
        .where(Booking.resource_id.in_(resource_ids), Booking.starts_at < within.end, Booking.ends_at > within.start)
        .order_by(Booking.starts_at, Booking.id)
    ).all()
    ids = [booking.id for booking, *_ in rows]
    fees, stars = fees_of_bookings(session, ids), stars_of(session, ids)
    bookings: dict[str, list[Reservation]] = defaultdict(list)
    for booking, organisation, related_to, owner_code in rows:
        if booking.state in NEVER_STOOD or booking.decided_at is None:
            continue
        own = _is_owner(organisation, booking.institution_id, owner_code)
        bookings[booking.resource_id].append(
            _reservation(
                booking, organisation, fees.get(booking.id), stars.get(booking.id), _Relation(own, related_to is not None)
            )
        )
    return Gathered(bookings, _requests(session, resource_ids, within))


@dataclass(frozen=True, slots=True)
class _Relation:
    """How the user stands to the owner."""

    own: bool
    related: bool


def _is_owner(organisation: Organisation | None, institution_id: str, owner_code: str | None) -> bool:
    if organisation is None:
        return False
    same_code = organisation.credit_code is not None and organisation.credit_code == owner_code
    return same_code or organisation.institution_id == institution_id


def _reservation(
    row: Booking, user: Organisation | None, fee: tuple[int, int] | None, stars: int | None, relation: _Relation
) -> Reservation:
    return Reservation(
        id=row.id,
        start=_seconds(row.starts_at),
        end=_seconds(row.ends_at),
        category=Use(row.category.value),
        qty=row.quantity,
        status=Status.CANCELLED if row.state is BookingState.CANCELLED else None,
        user_org=row.institution_id if relation.own else row.organisation_id,
        user_person=row.person_id,
        purpose=row.purpose,
        related_party=relation.related,
        submitted_at=_seconds(row.submitted_at),
        decided_at=_optional(row.decided_at),
        cancelled_at=_optional(row.cancelled_at),
        fee_minor=fee[0] if fee else None,
        refund_minor=fee[1] if fee else None,
        rating=Fraction(stars) if stars is not None else None,
        sme=user.is_sme if user else False,
    )


def _requests(session: Session, resource_ids: Collection[str], within: Slot) -> dict[str, list[Request]]:
    asked = session.execute(
        select(Booking, RequestEnd)
        .outerjoin(RequestEnd, RequestEnd.booking_id == Booking.id)
        .where(Booking.resource_id.in_(resource_ids), Booking.submitted_at >= within.start, Booking.submitted_at < within.end)
    )
    refused = session.scalars(
        select(RefusedRequest).where(
            RefusedRequest.resource_id.in_(resource_ids),
            RefusedRequest.submitted_at >= within.start,
            RefusedRequest.submitted_at < within.end,
        )
    )
    found: dict[str, list[Request]] = defaultdict(list)
    for resource_id, request in (*_from_bookings((row, end) for row, end in asked), *_from_refusals(refused)):
        found[resource_id].append(request)
    return found


def _from_bookings(rows: Iterable[tuple[Booking, RequestEnd | None]]) -> Iterable[tuple[str, Request]]:
    for row, end in rows:
        if row.state is not BookingState.HELD:
            declined = end.ended_at if end and row.state is BookingState.REFUSED else None
            answered, submitted = _optional(row.decided_at or declined), _seconds(row.submitted_at)
            yield row.resource_id, Request(row.id, row.organisation_id, submitted, answered, _outcome(row, end))


def _outcome(row: Booking, end: RequestEnd | None) -> Outcome:
    """A hold that ran out or a request taken back was the user's; a request nobody answered was the provider's."""
    if row.state is BookingState.REFUSED:
        out_of_scope = end is not None and end.grounds is Grounds.OUT_OF_SCOPE
        return Outcome.OUT_OF_SCOPE if out_of_scope else Outcome.DECLINED_CAPACITY
    if row.decided_at is not None:
        return Outcome.ACCEPTED
    if row.state is BookingState.REQUESTED or (row.state is BookingState.EXPIRED and row.hold_until is None):
        return Outcome.UNANSWERED
    return Outcome.WITHDRAWN


def _from_refusals(rows: Iterable[RefusedRequest]) -> Iterable[tuple[str, Request]]:
    """Turned away at once, so answered at once."""
    for row in rows:
        at = _seconds(row.submitted_at)
        yield row.resource_id, Request(row.id, row.organisation_id or row.person_id, at, at, Outcome(row.outcome))


def _seconds(instant: datetime) -> int:
    return int(instant.timestamp())


def _optional(instant: datetime | None) -> int | None:
    return None if instant is None else _seconds(instant)
