"""Whom a resource takes bookings of, and for uses from which day on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from zoneinfo import ZoneInfo

from booking.entitled import PUBLISHER
from marketplace.refusals import Reason
from marketplace.slot import Slot


class Group(StrEnum):
    """Own staff and departments of the house, or an organisation's class."""

    OWN = "own"
    ACADEMIC = "academic"
    INDUSTRY = "industry"
    PARTNER = "partner"


@dataclass(frozen=True, slots=True)
class Welcome:
    """One entry of the list: a group or a named organisation, with the first local day of its uses if there is one."""

    group: Group | None = None
    organisation_id: str | None = None
    since: date | None = None


@dataclass(frozen=True, slots=True)
class Customer:
    """Who asks: staff without an organisation are their house's own. An organisation may be of no group."""

    organisation_id: str | None
    group: Group | None


def welcome_from(audience: Sequence[Welcome], customer: Customer) -> date | None:
    """The first local day on which a use of theirs may begin, `date.min` without a limit; None if they are not meant at all.

    Nobody is kept out by an empty list.
    """
    if not audience:
        return date.min
    return min((entry.since or date.min for entry in audience if _means(entry, customer)), default=None)


def reasons(audience: Sequence[Welcome], customer: Customer, slot: Slot, zone: ZoneInfo) -> list[Reason]:
    """Why `customer` may not have `slot`; empty where it may. Named organisations are not told to others."""
    since = welcome_from(audience, customer)
    if since is None:
        return [Reason("not_in_audience", {"groups": sorted({entry.group for entry in audience if entry.group})}, PUBLISHER)]
    if slot.start.astimezone(zone).date() < since:
        return [Reason("before_audience_since", {"since": since.isoformat()}, PUBLISHER)]
    return []


def _means(entry: Welcome, customer: Customer) -> bool:
    if entry.organisation_id is not None:
        return entry.organisation_id == customer.organisation_id
    return entry.group is not None and entry.group is customer.group
