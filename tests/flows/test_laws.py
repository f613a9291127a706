"""A crowd does everything at once that may be done to bookings, and the laws of the ledger hold at every look and at the end.

Each run names its seed. `LAWS_SEED=7 LAWS_THREADS=1 LAWS_OPERATIONS=5000 pytest tests/flows/test_laws.py` does the same 5,000
operations in the same order every time; with several threads each does its own the same way, only their meeting differs. The
long run, some minutes for each database: `LAWS_OPERATIONS=20000 pytest tests/flows/test_laws.py -o faulthandler_timeout=0`.
"""

import os
import threading
import traceback
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from booking import queries
from booking.outages.actions import record_outage
from booking.states import BookingState
from marketplace.db import lost_a_lock
from marketplace.refusals import Refusal
from marketplace.slot import Slot
from tests.flows import oracle
from tests.flows.crowd import Visitor
from tests.flows.town import LOCK_LOST, START, Town, a_town
from web import checkout
from web.checkout import Order
from web.running import audit

OPERATIONS = int(os.environ.get("LAWS_OPERATIONS", "1200"))
THREADS = int(os.environ.get("LAWS_THREADS", "4"))
SEED = os.environ.get("LAWS_SEED", "1")
LOOKS = 10
"""How often everything is checked on the way."""
MOST_FAULTS = 20
ALWAYS_SEEN = {
    "book",
    "bundle",
    "together",
    "repeat",
    "move",
    "cancel",
    "decide",
    "expire",
    "attend",
    "outage",
    "listed",
    "slot_taken",
}
ALWAYS_SEEN |= {"wait", "answer", "look", "elsewhere"}
"""A run in which one of these never came to pass proves nothing."""


class Run:
    """The crowd over one database; what goes wrong is kept with the operation that did."""

    def __init__(self, sessions: sessionmaker[Session], readers: sessionmaker[Session], town: Town, seed: str) -> None:
        self.sessions, self.readers, self.town, self.seed = sessions, readers, town, seed
        self.faults: list[str] = []

    def visit(self, number: int) -> None:
        visitor = Visitor(self.town, f"{self.seed}:{number}")
        while self.town.operations < OPERATIONS and len(self.faults) < MOST_FAULTS:
            at = self.town.tick()
            name, operation = visitor.choose()
            try:
                with self.sessions.begin() as session:
                    changed = operation(session)
                self.town.keep(name, changed)
            except Refusal as refusal:
                self.town.refuse(name, refusal)
            except Exception as error:
                if isinstance(error, DBAPIError) and lost_a_lock(error):
                    self.town.lose()
                else:
                    told = traceback.format_exc(limit=-6)
                    self.faults.append(f"seed {self.seed}, visitor {number}, operation {at}, {name}:\n{told}")
            if at % max(1, OPERATIONS // LOOKS) == 0:
                self.look(at)

    def look(self, at: int) -> None:
        """Every law over one snapshot."""
        with self.readers() as session:
            self.faults += [f"seed {self.seed}, after {at} operations: {fault}" for fault in oracle.broken(oracle.read(session))]

    def all(self) -> None:
        threads = [threading.Thread(target=self.visit, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def reckon(self) -> list[str]:
        """What is wrong at the end: the laws, the record of changes, and what we were told of against what is stored."""
        with self.readers() as session:
            ledger = oracle.read(session)
            stored = {row.id: row.version for row in ledger.bookings.values()}
            found = [*oracle.broken(ledger), *oracle.unrecorded(session), *oracle.half_series(session), *audit(session)]
            found += oracle.deadlocks(session)
        lost = [f"{one} was told as {version}" for one, version in self.town.versions.items() if stored.get(one) != version]
        return [*found, *lost, *(f"{one} was told to nobody" for one in stored.keys() - self.town.versions.keys())]


@pytest.fixture
def run(committed_db: sessionmaker[Session]) -> Run:
    engine = committed_db.kw["bind"]
    snapshot = {"reads_only": True} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with committed_db.begin() as session:
        town = a_town(session)
    return Run(committed_db, sessionmaker(engine.execution_options(**snapshot)), town, SEED)


def test_whatever_a_crowd_does_the_laws_hold(run: Run) -> None:
    run.all()
    assert run.faults == [], "\n".join(run.faults[:MOST_FAULTS])
    assert run.reckon() == []
    assert run.town.done[LOCK_LOST] <= OPERATIONS / 100, run.town.done
    assert seen(run.town.done) >= ALWAYS_SEEN, run.town.done


def seen(done: Counter[str]) -> set[str]:
    return {name for name, count in done.items() if count}


def test_the_oracle_sees_each_law_broken(run: Run) -> None:
    """The control: of a true ledger with one thing falsified the law that is about it tells, and of the true one none does."""
    with run.sessions.begin() as session:
        visitor = Visitor(run.town, "control")
        slot = Slot(START + timedelta(hours=2), START + timedelta(hours=4))
        later = slot.shift(timedelta(hours=2, minutes=30))
        for name, when in (("swing", slot), ("swing", later), ("line", slot)):
            order = Order(run.town.machines[name], when)
            booked, _ = checkout.book(session, actor=visitor.firm(), order=order, now=START, hold=timedelta(minutes=5))
        closed = record_outage(
            session, resource_id=run.town.machines["plain"], slot=slot, planned=True, reason="保养", actor_id="per", now=START
        )
        ledger = oracle.read(session)
        twice = [*ledger.claims, *ledger.claims]
        stations = [claim for claim in ledger.claims if claim.resource_id == booked.resource_id]
        outage = [claim for claim in ledger.claims if claim.outage_id != closed.id]
        assert oracle.broken(ledger) == []
        assert oracle.unrecorded(session) == []
        assert laws(replace(ledger, claims=twice)) == {"overlapping", "misheld"}
        assert laws(replace(ledger, claims=stations)) == {"misheld", "open_outages"}
        assert laws(replace(ledger, claims=outage)) == {"open_outages"}
        row = ledger.rules[queries.rules_of(session, run.town.machines["swing"]).id]
        row.cleaning_min += 5
        assert laws(ledger) == {"unbuffered", "misheld"}
        row.cleaning_min -= 5
        booked.quantity, booked.version = 2, 2
        assert laws(ledger) == {"overbooked", "misheld"}
        assert len(oracle.unrecorded(session)) == 1
        booked.quantity, booked.state = 1, BookingState.CANCELLED
        assert laws(ledger) == {"still_held"}
        session.rollback()


def laws(ledger: oracle.Ledger) -> set[str]:
    return {fault.split(":")[0] for fault in oracle.broken(ledger)}
