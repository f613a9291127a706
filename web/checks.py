"""Every invariant of every floor, by name, and what breaks it; and the ledger held against the provider's own books."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from billing import invariants
from billing.providers.base import Provider
from billing.reconciling.actions import Books, ask_provider, compare
from billing.reconciling.queries import LONG_AGO
from billing.reconciling.tables import Answered
from booking import invariants as claims
from booking.external import invariants as elsewhere
from booking.operators.queries import unattended
from booking.waiting import invariants as waiting
from devices.archive import invariants as archived
from devices.archive.files import Archive
from devices.discrepancies import invariants as sealed
from devices.evidence import invariants as evidence
from evaluation.corrections import invariants as revisions

MOST_KEPT = 100
"""Of what breaks one invariant, in a run that is kept."""


@dataclass(frozen=True, slots=True)
class Checking:
    """What the checks ask beside the database: the provider, and the archive of messages."""

    provider: Provider | None
    archive: Archive | None


ROOMS: Mapping[str, Callable[[Session], Iterable[str]]] = {
    "calendars_elsewhere_are_kept_clear": elsewhere.violations,
    "places_in_line_hold_what_was_offered": waiting.violations,
    "assisted_bookings_have_an_operator": unattended,
    "evidence_is_as_it_was_sealed": evidence.violations,
    "sealed_time_is_as_it_was": sealed.violations,
    "published_figures_rest_on_sealed_time": revisions.violations,
}


def results(session: Session, archive: Archive | None, *, since: datetime | None = None) -> list[dict[str, Any]]:
    """Of each invariant its name, how much breaks it and the first of that, as a run keeps it; those of money first."""
    found = {**invariants.checked(session), **rooms(session, archive, since)}
    return [{"name": name, "count": len(at), "found": at[:MOST_KEPT]} for name, at in found.items()]


def rooms(session: Session, archive: Archive | None, since: datetime | None) -> dict[str, list[str]]:
    """By name, what breaks an invariant that is none of money; `since` is told by booking.invariants."""
    found = {"units_are_held_once": claims.violations(session, since=since)}
    found |= {name: list(room(session)) for name, room in ROOMS.items()}
    if archive:
        found["the_archive_is_whole"] = list(archived.violations(session, archive))
    return found


def whole_books(provider: Provider | None, *, now: datetime) -> tuple[Answered, Books]:
    """All that the provider has, read with no transaction open."""
    return ask_provider(provider, since=LONG_AGO, now=now)


def compared(session: Session, books: tuple[Answered, Books], *, now: datetime) -> list[str]:
    """What the provider's books and the ledger do not agree on, a sentence each; nothing where no provider is set up."""
    answered, read = books
    if answered is Answered.AWAY:
        return [f"{invariants.DIFFERING}: the provider did not answer"]
    found = compare(session, read, now=now) if answered is Answered.ANSWERED else ()
    return [f"{one.kind}: {one.subject} {one.theirs_minor} against {one.ours_minor} {one.currency}" for one in found]
