"""What can be taken in and given out, and how each column of a table is read."""

import json
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from booking.states import BookingState
from web.api import shapes
from web.api.devices import DeviceIn
from web.api.operators import OperatorIn
from web.api.programmes import GrantIn as EntitlementIn
from web.api.programmes import ProgrammeIn
from web.api.qualifications import GrantIn, QualificationIn
from web.api.resources import ResourceIn
from web.api.shapes import BookingIn, Email, InstitutionIn, OrganisationIn, PersonIn, RRule, Text


class Kind(StrEnum):
    """Of rows; in this order each finds what it names."""

    INSTITUTIONS = "institutions"
    ORGANISATIONS = "organisations"
    PEOPLE = "people"
    QUALIFICATIONS = "qualifications"
    GRANTS = "grants"
    OPERATORS = "operators"
    RESOURCES = "resources"
    DEVICES = "devices"
    PROGRAMMES = "programmes"
    ENTITLEMENTS = "entitlements"
    BOOKINGS = "bookings"


ICS = "ics"
"""Not rows but one calendar: the busy time of a resource that is kept elsewhere."""


class TagIn(shapes.Shape):
    zh: Text
    en: Text


class QualificationRow(QualificationIn):
    """The API's kind of qualification, and whose it is."""

    institution_id: Text


class GrantRow(GrantIn):
    """The API's grant, and of what. One that is over is passed over."""

    qualification_id: Text


class OperatorRow(OperatorIn):
    """The API's operator, and of which institution."""

    institution_id: Text


class ResourceRow(ResourceIn):
    """The API's listing, with what only pages and the state would add."""

    address: Annotated[str, Field(max_length=1000)] | None = None
    icon: Annotated[str, Field(max_length=80)] | None = None
    tags: Annotated[Sequence[TagIn], Field(max_length=20)] = ()
    state: Literal["draft", "published", "paused", "retired"] = "published"


class DeviceRow(DeviceIn):
    """The API's device, and on what. Key and secret are made, not taken in."""

    resource_id: Text


class BookingRow(BookingIn):
    """The API's booking, or with `rrule` its series, for whom and of what. A booking that is over is passed over."""

    resource_id: Text
    person: Email
    state: BookingState | None = None
    rrule: RRule | None = None
    on_conflict: Literal["refuse", "skip"] = "refuse"
    together: Text | None = None
    """The name of a bundle: rows of one name, which follow one another, are all made or none."""


class ProgrammeRow(ProgrammeIn):
    """The API's programme with its years; published where it is."""

    published: shapes.Flag = False


class EntitlementRow(EntitlementIn):
    """The API's grant, and of which programme. One whose last day is over is taken in too: its bills may be corrected."""

    programme_id: Text


SHAPES: Mapping[Kind, type[shapes.Shape]] = {
    Kind.INSTITUTIONS: InstitutionIn,
    Kind.ORGANISATIONS: OrganisationIn,
    Kind.PEOPLE: PersonIn,
    Kind.QUALIFICATIONS: QualificationRow,
    Kind.GRANTS: GrantRow,
    Kind.OPERATORS: OperatorRow,
    Kind.RESOURCES: ResourceRow,
    Kind.DEVICES: DeviceRow,
    Kind.PROGRAMMES: ProgrammeRow,
    Kind.ENTITLEMENTS: EntitlementRow,
    Kind.BOOKINGS: BookingRow,
}
COLUMNS: Mapping[Kind, tuple[str, ...]] = {
    Kind.INSTITUTIONS: (
        *("key", "name", "name_en", "kind", "district", "timezone", "credit_code", "settlement", "bank_account"),
    ),
    Kind.ORGANISATIONS: ("key", "name", "credit_code", "is_sme", "customer_class", "institution_id"),
    Kind.PEOPLE: ("key", "email", "name", "locale", "memberships"),
    Kind.QUALIFICATIONS: ("key", "institution_id", "name", "name_en", "levels"),
    Kind.GRANTS: ("key", "qualification_id", "email", "level", "valid_until"),
    Kind.OPERATORS: ("key", "institution_id", "person_id", "hours"),
    Kind.RESOURCES: (
        *("key", "institution_id", "parent_id", "kind", "name", "name_en", "summary", "summary_en", "tags", "icon", "timezone"),
        *("district", "address", "chain", "capacity", "step_min", "hours", "price_per_hour", "quota_hours", "value"),
        *("commissioned_on", "shares", "rules", "policy", "state"),
    ),
    Kind.DEVICES: ("key", "resource_id", "name", "profile", "thresholds", "measured_by"),
    Kind.BOOKINGS: (
        "key",
        "resource_id",
        "person",
        "organisation_id",
        "start",
        "end",
        "quantity",
        "purpose",
        "assisted",
        "together",
        "state",
    ),
    Kind.PROGRAMMES: (
        *("key", "name", "name_en", "payer", "kind", "mode", "base", "stack", "currency", "timezone", "starts_on"),
        *("evidence_required", "years", "published"),
    ),
    Kind.ENTITLEMENTS: ("key", "programme_id", "organisation_id", "year", "amount", "valid_until", "reference"),
}
"""In the order of an export."""


def _whole(cell: str) -> object:
    return int(cell) if cell.isascii() and cell.isdigit() and len(cell) < 16 else cell


def _flag(cell: str) -> object:
    return {"true": True, "false": False}.get(cell.lower(), cell)


def _nested(cell: str) -> object:
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell


TURNS: Mapping[str, Callable[[str], Any]] = {
    **dict.fromkeys(("quantity", "capacity", "step_min", "quota_hours", "level", "year"), _whole),
    **dict.fromkeys(("is_sme", "assisted", "evidence_required", "published"), _flag),
    **dict.fromkeys(("memberships", "levels", "tags", "hours", "price_per_hour", "value", "profile", "thresholds"), _nested),
    **dict.fromkeys(("shares", "rules", "policy", "override", "years", "amount"), _nested),
}
"""How the cells of a table become numbers, yes and no, and JSON; what is none stays text, and is refused by its column's name."""

REFERENCES: Mapping[str, Kind] = {
    "institution_id": Kind.INSTITUTIONS,
    "organisation_id": Kind.ORGANISATIONS,
    "person_id": Kind.PEOPLE,
    "qualification_id": Kind.QUALIFICATIONS,
    "parent_id": Kind.RESOURCES,
    "measured_by": Kind.DEVICES,
    "resource_id": Kind.RESOURCES,
    "programme_id": Kind.PROGRAMMES,
}
"""Columns that name another thing, by the key that its own file gave it or by its id."""
MEMBERS = {"organisation_ids": Kind.ORGANISATIONS, "person_ids": Kind.PEOPLE}
"""Fields of a quota that name members, and of what kind those are."""


def renamed(rules: Mapping[str, Any], turn: Callable[[Kind, Sequence[str]], Sequence[str]]) -> dict[str, Any]:
    """Those fields of `rules` that name other things, ids turned into keys or keys into ids."""

    def one_in(entry: Mapping[str, Any], name: str, kind: Kind) -> dict[str, Any]:
        return {**entry, name: turn(kind, [entry[name]])[0]} if name in entry else dict(entry)

    def all_in(entry: Mapping[str, Any], named: Mapping[str, Kind]) -> dict[str, Any]:
        return {**entry, **{name: list(turn(kind, entry[name])) for name, kind in named.items() if entry.get(name)}}

    return {
        "audience": [one_in(entry, "organisation_id", Kind.ORGANISATIONS) for entry in rules["audience"]],
        "trusted": list(turn(Kind.ORGANISATIONS, rules["trusted"])),
        "quotas": [all_in(quota, MEMBERS) for quota in rules["quotas"]],
        "qualifications": [one_in(need, "qualification_id", Kind.QUALIFICATIONS) for need in rules["qualifications"]],
        "assistance": all_in(rules["assistance"], {"operators": Kind.OPERATORS}),
    }
