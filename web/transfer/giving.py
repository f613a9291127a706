"""Gives rows out in the form in which they are taken in: things are named by the keys of their file, else by their ids.

Passwords, tokens and secret addresses are in none of them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson
from sqlalchemy import func, literal, select, tuple_
from sqlalchemy.orm import Session

from billing import queries as bills
from billing.programmes import queries as funded
from billing.programmes.tables import Entitlement, FundingProgramme
from booking import queries as booking
from booking.lines.queries import shared_by
from booking.operators.tables import Operator
from booking.qualifications import queries as training
from booking.qualifications.tables import Qualification, QualificationGrant
from booking.tables import Booking, SharedPart
from devices import queries as devices
from devices.submeters import queries as submeters
from devices.submeters.tables import Submeter
from devices.tables import Device, DeviceState
from marketplace.catalogue.queries import LISTABLE
from marketplace.imports import queries as keys
from marketplace.people import queries as people
from marketplace.tables import Institution, Membership, Organisation, Person, Resource
from web.api import programmes, shapes
from web.api.rules import told
from web.present.programmes import last_day
from web.transfer.kinds import COLUMNS, Kind, renamed

AT_ONCE = 200
Table = Any
"""One of the tables whose rows are given out."""
Keys = Mapping[str, str]


ACTIVE, BEHIND = Device.state == DeviceState.ACTIVE, Device.id.in_(select(Submeter.device_id))
BUNDLED = Booking.bundle_id.is_not(None)
SHARES = Resource.id.in_(select(SharedPart.resource_id))
WHICH: Mapping[Kind, Sequence[Any]] = {
    Kind.PEOPLE: (Person.disabled_at.is_(None),),
    Kind.GRANTS: (QualificationGrant.revoked_at.is_(None),),
    Kind.OPERATORS: (Operator.left_at.is_(None),),
    Kind.DEVICES: (ACTIVE & ~BEHIND, ACTIVE & BEHIND),
    Kind.BOOKINGS: (Booking.bundle_id.is_(None), BUNDLED),
    Kind.RESOURCES: (
        Resource.parent_id.is_(None) & LISTABLE & ~SHARES,
        Resource.parent_id.is_(None) & LISTABLE & SHARES,
        Resource.parent_id.is_not(None),
    ),
}
"""Which rows of a kind are given out, one part after the other: what others name comes before them."""


def give(session: Session, kind: Kind) -> Iterator[Mapping[str, Any]]:
    """Every row of a kind, oldest first, a few at a time; bookings made together after all others, one after another."""
    table, shape = SOURCES[kind]
    for which in WHICH.get(kind, (table.id != "",)):
        yield from _batches(session, kind, table, shape, which)


def _batches(session: Session, kind: Kind, table: Table, shape: "Shaped", which: Any) -> Iterator[Mapping[str, Any]]:
    order = (table.bundle_id, table.id) if which is BUNDLED else (table.id,)
    last = [literal("") for _ in order]
    while True:
        further = select(table).where(which, tuple_(*order) > tuple_(*last))
        found = session.scalars(further.order_by(*order).limit(AT_ONCE)).all()
        own = keys.keys_of(session, kind, [row.id for row in found])
        for row, told_of in zip(found, shape(session, found), strict=True):
            yield {"key": own[row.id], **told_of}
        if len(found) < AT_ONCE:
            return
        last = [literal(getattr(found[-1], column.key)) for column in order]
        session.expunge_all()


def _institutions(_session: Session, rows: Sequence[Institution]) -> Iterable[dict[str, Any]]:
    for row in rows:
        yield {
            "name": row.name,
            "name_en": row.name_en,
            "kind": row.kind.value,
            "district": row.district,
            "timezone": row.timezone,
            "credit_code": row.credit_code,
            "settlement": row.settlement.value,
            "bank_account": row.bank_account,
        }


def _organisations(session: Session, rows: Sequence[Organisation]) -> Iterable[dict[str, Any]]:
    houses = _keys(session, Kind.INSTITUTIONS, (row.institution_id for row in rows))
    for row in rows:
        yield {
            "name": row.name,
            "credit_code": row.credit_code,
            "is_sme": row.is_sme,
            "customer_class": row.customer_class.value,
            "institution_id": _named(houses, row.institution_id),
        }


def _people(session: Session, rows: Sequence[Person]) -> Iterable[dict[str, Any]]:
    held = {row.id: people.memberships_of(session, row.id) for row in rows}
    flat = [one for memberships in held.values() for one in memberships]
    houses = _keys(session, Kind.INSTITUTIONS, (one.institution_id for one in flat))
    firms = _keys(session, Kind.ORGANISATIONS, (one.organisation_id for one in flat))
    for row in rows:
        memberships = sorted(held[row.id], key=lambda one: one.id)
        yield {
            "email": row.email,
            "name": row.name,
            "locale": row.locale,
            "memberships": [_membership(one, houses, firms) for one in memberships],
        }


def _membership(row: Membership, houses: Keys, firms: Keys) -> dict[str, str]:
    found = {"role": row.role.value}
    if row.institution_id:
        found["institution_id"] = houses[row.institution_id]
    if row.organisation_id:
        found["organisation_id"] = firms[row.organisation_id]
    return found


def _resources(session: Session, rows: Sequence[Resource]) -> Iterable[dict[str, Any]]:
    houses = _keys(session, Kind.INSTITUTIONS, (row.institution_id for row in rows))
    lines = _keys(session, Kind.RESOURCES, (row.parent_id for row in rows))
    shared = {row.id: shared_by(session, row.id) for row in rows}
    parts = _keys(session, Kind.RESOURCES, (one for ids in shared.values() for one in ids))
    for row in rows:
        version = booking.rules_of(session, row.id)
        policy = bills.find_policy_version(session, row.id)
        yield {
            "institution_id": houses[row.institution_id],
            "parent_id": _named(lines, row.parent_id),
            "kind": row.kind.value,
            **{name: getattr(row, name) for name in ("name", "name_en", "summary", "summary_en", "tags", "icon", "timezone")},
            **{name: getattr(row, name) for name in ("district", "address", "chain", "capacity", "quota_hours")},
            "step_min": version.step_min,
            "hours": shapes.hours(version.hours),
            "price_per_hour": shapes.money(row.price),
            "value": {"minor": row.value_minor, "currency": row.currency} if row.value_minor is not None else None,
            "commissioned_on": row.commissioned_on.isoformat() if row.commissioned_on else None,
            "shares": [parts[one] for one in shared[row.id]],
            "rules": _rules(session, told(version)),
            "policy": policy.document if policy else None,
            "state": row.state.value,
        }


def _rules(session: Session, rules: dict[str, Any]) -> dict[str, Any]:
    def named(kind: Kind, ids: Sequence[str]) -> list[str]:
        found = _keys(session, kind, ids)
        return [found[one] for one in ids]

    return {**rules, **renamed(rules, named)}


def _qualifications(session: Session, rows: Sequence[Qualification]) -> Iterable[dict[str, Any]]:
    houses = _keys(session, Kind.INSTITUTIONS, (row.institution_id for row in rows))
    for row in rows:
        yield {"institution_id": houses[row.institution_id], "name": row.name, "name_en": row.name_en, "levels": row.levels}


def _grants(session: Session, rows: Sequence[QualificationGrant]) -> Iterable[dict[str, Any]]:
    """Also those that are over, for the record."""
    kinds = _keys(session, Kind.QUALIFICATIONS, (row.qualification_id for row in rows))
    addresses = _addresses(session, (row.person_id for row in rows))
    last_days = training.last_days(session, rows)
    for row in rows:
        yield {
            "qualification_id": kinds[row.qualification_id],
            "email": addresses[row.person_id],
            "level": row.level,
            "valid_until": last_days[row.id],
        }


def _operators(session: Session, rows: Sequence[Operator]) -> Iterable[dict[str, Any]]:
    houses = _keys(session, Kind.INSTITUTIONS, (row.institution_id for row in rows))
    persons = _keys(session, Kind.PEOPLE, (row.person_id for row in rows))
    for row in rows:
        hours = shapes.hours(booking.rules_of(session, row.id).hours)
        yield {"institution_id": houses[row.institution_id], "person_id": persons[row.person_id], "hours": hours}


def _devices(session: Session, rows: Sequence[Device]) -> Iterable[dict[str, Any]]:
    """With the thresholds and the main meter that came last; whoever takes them in makes keys and secrets of their own."""
    places = _keys(session, Kind.RESOURCES, (row.resource_id for row in rows))
    mains = submeters.last_mains(session, rows)
    named = _keys(session, Kind.DEVICES, (row.id for row in mains.values()))
    for row in rows:
        profile = devices.profiles_of(session, row.id).every[-1]
        numbers = {name: value for name, value in asdict(profile).items() if isinstance(value, float | int)}
        yield {
            "resource_id": places[row.resource_id],
            "name": row.name,
            "profile": orjson.loads(profile.mapping) if profile.mapping else profile.family,
            "thresholds": numbers,
            "measured_by": named[main.id] if (main := mains.get(row.id)) and main.state is DeviceState.ACTIVE else None,
        }


def _bookings(session: Session, rows: Sequence[Booking]) -> Iterable[dict[str, Any]]:
    places = _keys(session, Kind.RESOURCES, (row.resource_id for row in rows))
    firms = _keys(session, Kind.ORGANISATIONS, (row.organisation_id for row in rows))
    addresses = _addresses(session, (row.person_id for row in rows))
    bundles = _bundles(session, (row.bundle_id for row in rows))
    for row in rows:
        yield {
            "resource_id": places[row.resource_id],
            "person": addresses[row.person_id],
            "organisation_id": _named(firms, row.organisation_id),
            **shapes.slot(row.slot),
            "quantity": row.quantity,
            "purpose": row.purpose,
            "assisted": row.assisted,
            **({"together": bundles[row.bundle_id]} if row.bundle_id else {}),
            "state": row.state.value,
        }


def _programmes(session: Session, rows: Sequence[FundingProgramme]) -> Iterable[dict[str, Any]]:
    for row in rows:
        shape = programmes.shape(session, row)
        kept = {name: value for name, value in shape.items() if name in COLUMNS[Kind.PROGRAMMES]}
        yield {**kept, "published": row.published_at is not None}


def _entitlements(session: Session, rows: Sequence[Entitlement]) -> Iterable[dict[str, Any]]:
    """What was granted; what of it is reserved and used is told by bookings and bills."""
    found = _keys(session, Kind.PROGRAMMES, (row.programme_id for row in rows))
    firms = _keys(session, Kind.ORGANISATIONS, (row.organisation_id for row in rows))
    for row in rows:
        programme = funded.get_programme(session, row.programme_id)
        yield {
            "programme_id": found[row.programme_id],
            "organisation_id": firms[row.organisation_id],
            "year": row.year,
            "amount": {"minor": row.granted_minor, "currency": programme.currency},
            "valid_until": last_day(row, programme).isoformat(),
            "reference": row.reference,
        }


def _bundles(session: Session, ids: Iterable[str | None]) -> dict[str, str]:
    """What each bundle is called: by its first booking, so that it is called the same wherever it is taken in."""
    firsts = select(Booking.bundle_id, func.min(Booking.id)).where(Booking.bundle_id.in_({one for one in ids if one}))
    found = {bundle: first for bundle, first in session.execute(firsts.group_by(Booking.bundle_id)) if bundle}
    named = _keys(session, Kind.BOOKINGS, found.values())
    return {bundle: named[first] for bundle, first in found.items()}


def _addresses(session: Session, ids: Iterable[str]) -> dict[str, str]:
    asked = select(Person.id, Person.email).where(Person.id.in_(set(ids)))
    return {person_id: email for person_id, email in session.execute(asked)}  # noqa: C416


def _keys(session: Session, kind: Kind, ids: Iterable[str | None]) -> Keys:
    return keys.keys_of(session, kind, {one for one in ids if one is not None})


def _named(found: Keys, object_id: str | None) -> str | None:
    return found[object_id] if object_id is not None else None


Shaped = Callable[[Session, Any], Iterable[dict[str, Any]]]
SOURCES: Mapping[Kind, tuple[Table, Shaped]] = {
    Kind.INSTITUTIONS: (Institution, _institutions),
    Kind.ORGANISATIONS: (Organisation, _organisations),
    Kind.PEOPLE: (Person, _people),
    Kind.QUALIFICATIONS: (Qualification, _qualifications),
    Kind.GRANTS: (QualificationGrant, _grants),
    Kind.OPERATORS: (Operator, _operators),
    Kind.RESOURCES: (Resource, _resources),
    Kind.DEVICES: (Device, _devices),
    Kind.BOOKINGS: (Booking, _bookings),
    Kind.PROGRAMMES: (FundingProgramme, _programmes),
    Kind.ENTITLEMENTS: (Entitlement, _entitlements),
}
