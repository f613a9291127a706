"""Takes one row in by the actions that pages and the API use, so it gets the same verdict with the same reasons."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import ValidationError
from sqlalchemy.orm import Session

from billing.programmes import granting
from booking.external import actions as external
from booking.external import queries as calendars
from booking.operators import actions as operators
from booking.qualifications import actions as training
from booking.qualifications.actions import Named
from booking.series.actions import Gap
from booking.states import HOLDING
from booking.tables import OnConflict
from devices.registry import actions as registry
from devices.registry.actions import Credentials
from marketplace.catalogue import actions as catalogue
from marketplace.catalogue import queries as listings
from marketplace.imports import actions as imports
from marketplace.imports import queries as keys
from marketplace.people import actions as people
from marketplace.people import queries as known
from marketplace.people.text import clean
from marketplace.permissions import Actor, Grant
from marketplace.refusals import NotFound, Refusal
from marketplace.roles import Role
from marketplace.tables import CustomerClass, InstitutionKind, Settlement
from web import checkout, listing, retiring
from web.api import programmes
from web.api.bookings import order_of
from web.api.devices import profile_of
from web.api.marketplace import listing_of
from web.api.rules import read_further, read_rules
from web.api.series import gap_shape
from web.api.shapes import InstitutionIn, OrganisationIn, PersonIn
from web.refusals import malformed, problem
from web.transfer.files import Row
from web.transfer.kinds import (
    REFERENCES,
    SHAPES,
    BookingRow,
    DeviceRow,
    EntitlementRow,
    GrantRow,
    Kind,
    OperatorRow,
    ProgrammeRow,
    QualificationRow,
    ResourceRow,
    renamed,
)

LONGEST_KEY = 200


class Outcome(StrEnum):
    """What became of a row. `known`: an equal one was taken in before. `passed_over`: a booking that is over."""

    MADE = "made"
    KNOWN = "known"
    PASSED_OVER = "passed_over"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Verdict:
    line: int
    key: str | None
    outcome: Outcome
    object_id: str | None = None
    refusal: Refusal | None = None
    gaps: Sequence[Gap] = ()
    """Occurrences that a series skipped."""

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"line": self.line, "key": self.key, "verdict": self.outcome.value, "id": self.object_id}
        if self.gaps:
            found["skipped"] = [gap_shape(gap) for gap in self.gaps]
        if self.refusal is None:
            return found
        told = problem(self.refusal, str)
        return {**found, **{name: told[name] for name in told if name not in {"type", "title", "status"}}}

    def as_text(self) -> str:
        told = f"line {self.line}  {self.outcome.value}  {self.object_id or ''}".rstrip()
        if self.refusal is None:
            return "\n".join([told, *(_gap_as_text(gap) for gap in self.gaps)])
        body = self.as_json()
        reasons = [f"    {one['code']}: {one['detail']}" for one in body["reasons"]]
        spans = [(name, one) for name in ("conflicts", "alternatives") for one in body.get(name, ())]
        times = [f"    {name[:-1]}: {one['start']} to {one['end']}" for name, one in spans]
        return "\n".join([f"{told}  {self.refusal.code}", *reasons, *times])


def _gap_as_text(gap: Gap) -> str:
    shape = gap_shape(gap)
    why = [one["code"] for one in shape["reasons"]]
    taken = [f"taken {one['start']} to {one['end']}" for one in shape["conflicts"]]
    return f"    skipped: {shape['start']} to {shape['end']} ({', '.join([*why, *taken])})"


@dataclass(frozen=True, slots=True)
class Hand:
    """With what a row is taken in: on whose word, at what time, and how long a card payment may take."""

    session: Session
    actor: Actor
    now: datetime
    hold: timedelta
    handed: list[Credentials] = field(default_factory=list)
    """What is told once, of a row that makes such."""
    gaps: list[Gap] = field(default_factory=list)
    """What a series skipped, of a row that makes one."""


def take(hand: Hand, kind: Kind, row: Row) -> Verdict:
    """Take the row in, or say that it was taken in before. Raises: every refusal of the page and of the API."""
    key, digest, values = identity_of(row)
    if before := imports.find_taken(hand.session, kind=kind, key=key, digest=digest):
        return Verdict(row.line, key, Outcome.KNOWN, before)
    made = MAKERS[kind](hand, read(hand, kind, values))
    if made is None:
        return Verdict(row.line, key, Outcome.PASSED_OVER)
    imports.remember(hand.session, kind=kind, key=key, digest=digest, object_id=made, now=hand.now)
    return Verdict(row.line, key, Outcome.MADE, made, gaps=hand.gaps)


def identity_of(row: Row) -> tuple[str, str, dict[str, Any]]:
    """Its key, its own or that of its content; the digest of its values; and those. Raises: Malformed, Invalid."""
    if row.broken:
        raise row.broken
    values = {name: value for name, value in row.values.items() if name != "key"}
    written = json.dumps(values, sort_keys=True, default=str)
    digest = hashlib.sha256(written.encode()).hexdigest()
    return key_of(row) or f"row:{digest}", digest, values


def key_of(row: Row) -> str | None:
    """The row's own key. Raises: Invalid."""
    key = row.values.get("key")
    return clean(str(key), field="key", longest=LONGEST_KEY) if key not in (None, "") else None


def read(hand: Hand, kind: Kind, values: Mapping[str, Any]) -> Any:
    """The row in its shape, with ids where it named keys. Raises: Malformed."""
    found = {name: value for name, value in values.items() if value is not None}
    for name, other in REFERENCES.items():
        if isinstance(found.get(name), str) and len(found[name]) <= LONGEST_KEY:
            found[name] = keys.id_of(hand.session, other, found[name])
    try:
        return SHAPES[kind].model_validate(found)
    except ValidationError as error:
        raise malformed(error.errors()) from error


def _institution(hand: Hand, row: InstitutionIn) -> str:
    told = row.model_dump(exclude={"kind", "settlement"})
    house = people.House(**told, kind=InstitutionKind(row.kind), settlement=Settlement(row.settlement))
    return people.create_institution(hand.session, house=house, actor_id=hand.actor.known_id, now=hand.now).id


def _organisation(hand: Hand, row: OrganisationIn) -> str:
    firm = people.Firm(**row.model_dump(exclude={"customer_class"}), customer_class=CustomerClass(row.customer_class))
    return people.create_organisation(hand.session, firm=firm, actor_id=hand.actor.known_id, now=hand.now).id


def _person(hand: Hand, row: PersonIn) -> str:
    """An account without a password: whoever reads its mail sets one."""
    grants = [
        Grant(
            Role(one.role),
            keys.id_of(hand.session, Kind.INSTITUTIONS, one.institution_id) if one.institution_id else None,
            keys.id_of(hand.session, Kind.ORGANISATIONS, one.organisation_id) if one.organisation_id else None,
        )
        for one in row.memberships
    ]
    return people.create_person(
        hand.session,
        email=row.email,
        name=row.name,
        locale="en" if row.locale == "en" else "zh",
        grants=grants,
        actor_id=hand.actor.known_id,
        now=hand.now,
    ).id


def _qualification(hand: Hand, row: QualificationRow) -> str:
    levels = [Named(one.name, one.name_en) for one in row.levels]
    kind, who, now = Named(row.name, row.name_en), hand.actor.known_id, hand.now
    return training.define(hand.session, institution_id=row.institution_id, kind=kind, levels=levels, actor_id=who, now=now).id


def _grant(hand: Hand, row: GrantRow) -> str | None:
    if row.valid_until and training.is_over(hand.session, row.qualification_id, row.valid_until, hand.now):
        return None
    return training.grant(hand.session, **row.model_dump(), anyone=True, actor_id=hand.actor.known_id, now=hand.now).id


def _operator(hand: Hand, row: OperatorRow) -> str:
    hours = [span.minutes() for span in row.hours]
    return operators.add_operator(
        hand.session,
        institution_id=row.institution_id,
        person_id=row.person_id,
        hours=hours,
        actor_id=hand.actor.known_id,
        now=hand.now,
    ).id


def _resource(hand: Hand, row: ResourceRow) -> str:
    def ids(kind: Kind, named: Sequence[str]) -> list[str]:
        return [keys.id_of(hand.session, kind, one) for one in named]

    further = read_further(row.rules)
    told = replace(listing_of(row), address=row.address, icon=row.icon, tags=[{"zh": one.zh, "en": one.en} for one in row.tags])
    made = listing.draft_resource(
        hand.session,
        institution_id=row.institution_id,
        listing=told,
        rules_set=read_rules(row.rules, hours=row.hours, step_min=row.step_min),
        further=replace(further, **renamed(asdict(further), ids)),
        policy=row.policy,
        shares=ids(Kind.RESOURCES, row.shares),
        actor_id=hand.actor.known_id,
        now=hand.now,
    )
    if row.state != "draft":
        catalogue.publish(hand.session, resource_id=made.id, actor_id=hand.actor.known_id, now=hand.now)
    if row.state == "paused":
        catalogue.pause(hand.session, resource_id=made.id, actor_id=hand.actor.known_id, now=hand.now)
    if row.state == "retired":
        retiring.retire(hand.session, actor=hand.actor, resource_id=made.id, plan=None, now=hand.now)
    return made.id


def _device(hand: Hand, row: DeviceRow) -> str:
    made, known = registry.register_device(
        hand.session,
        resource_id=row.resource_id,
        name=row.name,
        profile=profile_of(row),
        measured_by=row.measured_by,
        actor_id=hand.actor.known_id,
        now=hand.now,
    )
    hand.handed.append(known)
    return made.id


def _booking(hand: Hand, row: BookingRow) -> str | None:
    """For the person that the row names, as if they had sent it themselves."""
    if row.state and row.state not in HOLDING:
        return None
    order = order_of(row.resource_id, row)
    person = known.find_person_by_email(hand.session, row.person)
    if person is None:
        raise NotFound(kind="person")
    actor = known.get_actor(hand.session, person.id)
    if row.rrule:
        on_conflict = OnConflict(row.on_conflict)
        series, _ = checkout.book_series(
            hand.session, actor=actor, order=order, rrule=row.rrule, on_conflict=on_conflict, now=hand.now
        )
        hand.gaps.extend(series.gaps)
        return series.series.id
    made, _ = checkout.book(hand.session, actor=actor, order=order, now=hand.now, hold=hand.hold)
    return made.id


def _programme(hand: Hand, row: ProgrammeRow) -> str:
    who = hand.actor.known_id
    made = programmes.make_programme(hand.session, row, who, hand.now)
    if row.published:
        granting.publish(hand.session, programme_id=made.id, actor_id=who, now=hand.now)
    return made.id


def _entitlement(hand: Hand, row: EntitlementRow) -> str:
    who, now = hand.actor.known_id, hand.now
    return granting.grant(hand.session, programme_id=row.programme_id, given=row.value(), actor_id=who, now=now).id


MAKERS: Mapping[Kind, Callable[[Hand, Any], str | None]] = {
    Kind.INSTITUTIONS: _institution,
    Kind.ORGANISATIONS: _organisation,
    Kind.PEOPLE: _person,
    Kind.QUALIFICATIONS: _qualification,
    Kind.GRANTS: _grant,
    Kind.OPERATORS: _operator,
    Kind.RESOURCES: _resource,
    Kind.DEVICES: _device,
    Kind.BOOKINGS: _booking,
    Kind.PROGRAMMES: _programme,
    Kind.ENTITLEMENTS: _entitlement,
}


def take_calendar(hand: Hand, *, resource: str, name: str, body: bytes) -> Verdict:
    """A calendar file of a resource's busy time; another of the same name takes the place of the one before.

    Raises: NotFound, Invalid, Unreadable.
    """
    place = listings.get_resource(hand.session, keys.id_of(hand.session, Kind.RESOURCES, resource))
    who, now = hand.actor.known_id, hand.now
    named = [row for row in calendars.calendars_of(hand.session, place.id) if row.name == name and row.url is None]
    if named and named[0].body == body:
        return Verdict(1, name, Outcome.KNOWN, named[0].id)
    if named:
        made = external.replace_file(hand.session, calendar_id=named[0].id, body=body, actor_id=who, now=now)
    else:
        source = external.Source(body=body)
        made = external.connect(hand.session, resource_id=place.id, name=name, source=source, actor_id=who, now=now)
    return Verdict(1, name, Outcome.MADE, made.id)
