"""Asking for time of a resource in tests: in hours of one day, alone or many at once."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session, sessionmaker

from booking import actions, queries
from booking.admission import SlotRefused, Wish, decide
from booking.places import Place
from booking.tables import Booking, Category
from marketplace.slot import Slot
from marketplace.tables import Resource
from tests.builders import a_person, an_organisation

NOW = datetime(2026, 3, 9, 1, tzinfo=UTC)
DAY = datetime(2026, 3, 10, tzinfo=UTC)


def hours(start: float, end: float) -> Slot:
    return Slot(DAY + timedelta(hours=start), DAY + timedelta(hours=end))


def booked(db: Session, resource: Resource, slot: Slot) -> Booking:
    wish = Wish(resource.id, slot, a_person(db).id, an_organisation(db).id, Category.EXT)
    return actions.book(db, wish=wish, now=NOW)


def grants(db: Session, place: Place, wish: Wish, *, now: datetime) -> bool:
    """Whether admission would say yes, by the claims as they stand."""
    claims = queries.taken(db, place.claimed, within=wish.slot)
    return not decide(db, place, wish, claims, now=now).reasons


def refusal(db: Session, resource: Resource, slot: Slot) -> SlotRefused:
    with pytest.raises(SlotRefused) as caught:
        booked(db, resource, slot)
    return caught.value


def granted_at_once(sessions: sessionmaker[Session], resource_ids: Sequence[str], slot: Slot) -> list[str]:
    """Everybody asks for one of the resources in the same moment: those that were granted, in no order."""
    with sessions.begin() as session:
        who, firm = a_person(session).id, an_organisation(session).id
    granted: list[str] = []
    gate = threading.Barrier(len(resource_ids))

    def ask(resource_id: str) -> None:
        gate.wait()
        try:
            with sessions.begin() as session:
                actions.book(session, wish=Wish(resource_id, slot, who, firm, Category.EXT), now=NOW)
            granted.append(resource_id)
        except SlotRefused:
            pass

    threads = [threading.Thread(target=ask, args=(one,)) for one in resource_ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return granted
