"""One resource that many want at once: who can only hear no does not stand in line for its row."""

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session, sessionmaker

from booking.admission import SlotRefused
from booking.lines.actions import share
from booking.places import get_place, lock_place, try_lock
from booking.tables import Booking
from marketplace.people import queries as people
from marketplace.permissions import Actor
from marketplace.refusals import NotFound
from marketplace.roles import Role
from marketplace.slot import Slot
from tests.builders import a_member, a_resource, an_organisation
from web import checkout
from web.checkout import Order

NOW = datetime(2027, 3, 1, tzinfo=UTC)
SLOT = Slot(NOW + timedelta(days=7, hours=2), NOW + timedelta(days=7, hours=4))
LATER = Slot(SLOT.end, SLOT.end + timedelta(hours=2))
AT_ONCE_S = 1.5
"""Half of what a statement waits for a row at most."""


@dataclass
class Market:
    """A customer, a machine, a machine with a part, and that part."""

    store: sessionmaker[Session]
    firm: Actor
    machine: str
    rig: str
    pump: str

    def book(self, at: str, slot: Slot) -> Booking:
        with self.store.begin() as session:
            return self.book_in(session, at, slot)

    def book_in(self, session: Session, at: str, slot: Slot) -> Booking:
        return checkout.book(session, actor=self.firm, order=Order(at, slot), now=NOW, hold=timedelta(minutes=10), seek=False)[0]


@pytest.fixture
def market(committed_db: sessionmaker[Session]) -> Market:
    with committed_db.begin() as session:
        machine, rig = a_resource(session), a_resource(session)
        pump = a_resource(session, institution_id=rig.institution_id)
        share(session, resource_id=rig.id, part_ids=[pump.id], actor_id="per_x", now=NOW)
        firm = people.get_actor(session, a_member(session, Role.MEMBER, organisation=an_organisation(session)).id)
        return Market(committed_db, firm, machine.id, rig.id, pump.id)


@pytest.fixture
def rows(market: Market) -> Market:
    with market.store() as session:
        if session.get_bind().dialect.name != "postgresql":
            pytest.skip("SQLite has one writer: nobody waits for a row")
    return market


def waits(market: Market, at: str, slot: Slot) -> bool:
    """Whether a booking of `slot` waits as long as somebody else has the row of `at`; in the end it is made."""
    made: list[str] = []
    with market.store.begin() as session:
        lock_place(session, at)
        thread = threading.Thread(target=lambda: made.append(market.book(at, slot).id))
        thread.start()
        thread.join(AT_ONCE_S / 2)
        waited = not made
    thread.join()
    assert made
    return waited


def test_a_no_is_heard_at_once_while_somebody_else_has_the_row(rows: Market) -> None:
    for at in (rows.machine, rows.rig):
        rows.book(at, SLOT)
        with rows.store.begin() as session:
            lock_place(session, at)
            began = time.monotonic()
            with pytest.raises(SlotRefused) as refused:
                rows.book(at, SLOT)
            assert time.monotonic() - began < AT_ONCE_S
        assert [reason.code for reason in refused.value.reasons] == ["slot_taken"]


def test_a_slot_that_may_be_free_is_waited_for(rows: Market) -> None:
    assert waits(rows, rows.machine, LATER)
    assert waits(rows, rows.rig, LATER)


def test_who_waited_is_refused_what_was_taken_meanwhile(rows: Market) -> None:
    refused: list[list[str]] = []

    def ask() -> None:
        try:
            rows.book(rows.machine, SLOT)
        except SlotRefused as refusal:
            refused.append([reason.code for reason in refusal.reasons])

    with rows.store.begin() as session:
        rows.book_in(session, rows.machine, SLOT)
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(AT_ONCE_S / 2)
        assert thread.is_alive()
    thread.join()
    assert refused == [["slot_taken"]]


def test_a_row_is_tried_only_where_it_is_the_only_one(market: Market) -> None:
    """The rows of a resource and its parts are locked in one order."""
    with market.store.begin() as session:
        for alone in (market.machine, market.pump):
            assert try_lock(alone).ask(session) == get_place(session, alone)
        assert try_lock(market.rig).ask(session) is None
        assert try_lock("res_none").ask(session) is None
        assert get_place(session, market.rig).claimed == (market.rig, market.pump)
        with pytest.raises(NotFound):
            market.book_in(session, "res_none", SLOT)
