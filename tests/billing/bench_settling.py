"""Statements settled a second, by card and with a share for the institution, beside what bare inserts of their journal reach.

From the silence that accepts them to the last transfer: the job, the outbox, the real client of Stripe with the stand-in in this
process, the journal. What one costs among 10,000 is held against what one costs among 2,500.
"""

import gc
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session, sessionmaker

from billing import actions
from billing.payments import payouts
from billing.providers.stand_in import giving, paying
from billing.providers.stand_in.shop import Shop
from billing.providers.stripe_connect import StripeConnect
from billing.quotes import actions as quoting
from billing.tables import BookingQuote, JournalEntry, JournalLeg, Payment, ProviderCall, Statement, StatementState
from booking.states import BookingState
from booking.tables import Booking
from devices.discrepancies.tables import SealedStretch
from devices.matching import Verdict
from devices.tables import ConfirmedUse
from marketplace import clock
from marketplace.db import Base, open_engine, open_sessions
from marketplace.ids import new_id
from marketplace.tables import Settlement
from tests import servers
from tests.bench.frame import BenchRow, Better
from tests.billing.in_process import stand_in
from tests.builders import a_booking, a_resource, an_institution, an_organisation
from web.schema import METADATA
from web.worker import pay_once

MARKS = (2_500, 5_000, 10_000)
"""So many statements a ledger has in the end."""

BATCH = 50
"""So many are accepted, paid and paid out at once. Rates are of the middle batch, costs of the quickest."""

BATCHES = 7
"""Of each mark. All other statements are copies of one that was settled."""

LIMIT = 500
"""Of so many statements the journal is inserted bare."""

BLOCK = 1000
KINDS = (Booking, BookingQuote, Payment, ProviderCall, ConfirmedUse, Statement, JournalEntry, JournalLeg, SealedStretch)
"""What is stored of a booking, in the order of their keys."""

Patterns = list[tuple[type[Base], dict[str, Any]]]
Names = dict[str, str]
ENTRIES = 4
ROWS = ENTRIES + 9
"""Of the journal, for each: charge, capture, fee and transfer with their legs."""

ENTRY = "INSERT INTO journal_entries (id, kind, source_type, source_id, currency, legs, created_at) VALUES ({})"
LEG = "INSERT INTO journal_legs (entry_id, account, amount_minor) VALUES ({})"


def rows() -> Iterator[BenchRow]:
    """On SQLite and on PostgreSQL."""
    with tempfile.TemporaryDirectory() as folder:
        yield from measure([f"sqlite:///{folder}/{mark}.db" for mark in MARKS], "SQLite")
        with servers.postgres(Path(folder) / "pilotbench-postgres-bench", durable=True) as url:
            yield from measure([create_database(url, f"settling{mark}") for mark in MARKS], "PostgreSQL")


def create_database(url: str, name: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{url.rsplit('/', 1)[0]}/{name}"


class Ledger:
    """A database with so many statements that are settled, and a provider that knows them."""

    def __init__(self, url: str, mark: int) -> None:
        self.url, self.seconds = url, list[float]()
        self.engine = open_engine(url)
        METADATA.create_all(self.engine)
        self.sessions = open_sessions(self.engine)
        self._state, self.provider = stand_in()
        a_used_booking(self.sessions, self.provider)
        with self.sessions() as session:
            self._used = patterns(session)
        settle(self.sessions, self.provider)
        with self.sessions.begin() as session:
            settled = patterns(session)
            multiply(session, settled, mark - BATCHES * BATCH - 1, paid(self._state.shop, settled))
        with self.engine.begin() as connection:
            connection.exec_driver_sql("ANALYZE")  # as the database does by itself within a minute

    def add_batch(self) -> None:
        """Settle a batch, and note the seconds that it takes."""
        with self.sessions.begin() as session:
            multiply(session, self._used, BATCH, held(self._state.shop, self._used))
        began = time.perf_counter()
        settle(self.sessions, self.provider)
        self.seconds.append(time.perf_counter() - began)

    @property
    def rate(self) -> float:
        """Statements a second."""
        return BATCH / median(self.seconds)

    @property
    def cost_ms(self) -> float:
        """Of one statement in the quickest batch: what others do on the machine is no cost of ours."""
        return min(self.seconds) / BATCH * 1000


def measure(urls: Sequence[str], database: str) -> Iterator[BenchRow]:
    """Statements a second, rows of the journal a second, and how the cost of one grows; the ledgers take turns."""
    ledgers = [Ledger(url, mark) for url, mark in zip(urls, MARKS, strict=True)]
    gc.collect()
    gc.freeze()  # as a worker does when it begins; the stand-in's own things are none of its
    for _ in range(BATCHES):
        for ledger in ledgers:
            ledger.add_batch()
    small, *_, large = ledgers
    check(large.sessions)
    limit = bare(large.url, large.sessions)
    for ledger in ledgers:
        ledger.engine.dispose()
    what = f"statements settled, with {MARKS[-1]:,} in the ledger; {database}"
    yield BenchRow(what, "their journal alone, a commit each", limit, large.rate, "1/s", 0.01, 0.02)
    yield BenchRow(f"rows of their journal; {database}", "the same", limit * ROWS, large.rate * ROWS, "1/s", 0.01, 0.02)
    for mark, ledger in zip(MARKS[1:], ledgers[1:], strict=True):
        name, alone = f"one of {mark:,} statements; {database}", f"one of {MARKS[0]:,}"
        yield BenchRow(name, alone, small.cost_ms, ledger.cost_ms, "ms", 1.15, 1.05, Better.LOWER)


def settle(sessions: sessionmaker[Session], provider: StripeConnect) -> None:
    """All that is open, as a worker does it."""
    accepted = True
    while accepted:
        with sessions.begin() as session:
            accepted = bool(actions.accept_silent(session, now=clock.now()))
        while pay_once(provider, sessions):
            pass


def count(session: Session, kind: type[Base]) -> int:
    return session.scalar(select(func.count()).select_from(kind)) or 0


def check(sessions: sessionmaker[Session]) -> None:
    """Nothing was left out on the way."""
    with sessions() as session:
        assert count(session, Statement) == MARKS[-1]
        assert (count(session, JournalEntry), count(session, JournalLeg)) == (MARKS[-1] * ENTRIES, MARKS[-1] * (ROWS - ENTRIES))
        assert set(session.scalars(select(Statement.state).distinct())) == {StatementState.SETTLED}


def a_used_booking(sessions: sessionmaker[Session], provider: StripeConnect) -> None:
    """Held by card, used and drafted, open and silent until now."""
    start = clock.now() - timedelta(days=5)
    with sessions.begin() as session:
        house, firm = an_institution(session, settlement=Settlement.PLATFORM_COLLECTS), an_organisation(session)
        place = a_resource(session, institution=house)
        booking = a_booking(session, resource=place, organisation=firm, start=start, state=BookingState.COMPLETED)
        payouts.set_payout_account(session, institution_id=house.id, account_id="acct_test", actor_id=None, now=start)
        quoting.quote_booking(session, booking=booking, organisation=firm, payment_method="pm_card_visa", now=start)
        session.add(a_use(booking))
        session.flush()
        actions.draft_statements(session, now=start)
    while pay_once(provider, sessions):
        pass


def a_use(booking: Booking) -> ConfirmedUse:
    """Ninety-seven of 120 minutes."""
    end = booking.starts_at + timedelta(minutes=97)
    return ConfirmedUse(
        id=new_id("use"),
        booking_id=booking.id,
        number=1,
        verdict=Verdict.FULFILLED,
        booked_s=7200,
        confirmed_s=97 * 60,
        early_s=0,
        overrun_s=0,
        unverified_s=0,
        fault_s=0,
        energy_wh=0,
        pieces=[{"start": booking.starts_at.isoformat(), "end": end.isoformat(), "state": "RUN"}],
        created_at=end,
    )


def patterns(session: Session) -> Patterns:
    """All that is stored of the one booking there is."""
    found: Patterns = []
    for kind in KINDS:
        rows_ = session.scalars(select(kind))
        found += [(kind, {column.key: getattr(row, column.key) for column in kind.__table__.columns}) for row in rows_]
    return found


def multiply(session: Session, pattern: Patterns, number: int, orders: Callable[[], Names]) -> None:
    """So many copies under names of their own, each with objects of its own at the provider."""
    names = [row["id"] for _, row in pattern if "id" in row]
    booking = names[0]
    for first in range(0, number, BLOCK):
        copies: dict[type[Base], list[dict[str, Any]]] = {kind: [] for kind, _ in pattern}
        for _ in range(first, min(first + BLOCK, number)):
            new = {name: new_id(name.split("_")[0]) for name in names} | orders()
            for kind, row in pattern:
                copies[kind].append({key: renamed(value, new, booking) for key, value in row.items()})
        for kind, rows_ in copies.items():
            session.execute(insert(kind), rows_)


def renamed(value: Any, new: Names, booking: str) -> Any:
    """A name's new one; also in the key of a call."""
    if type(value) is not str:
        return value
    return new[value] if value in new else value.replace(booking, new[booking])


def held(shop: Shop, pattern: Patterns) -> Callable[[], Names]:
    """Makes what the provider has of a held payment, and names it."""
    payment = next(row for kind, row in pattern if kind is Payment)
    intent = shop.get("payment_intent", payment["object_id"])
    order = {name: intent[name] for name in ("amount", "currency", "customer", "payment_method", "capture_method")}

    def again() -> Names:
        made = paying.create(shop, {**order, "confirm": True})
        return {intent["id"]: made["id"], intent["latest_charge"]: made["latest_charge"]}

    return again


def paid(shop: Shop, pattern: Patterns) -> Callable[[], Names]:
    """Makes what the provider has of one that was captured and paid out."""
    again = held(shop, pattern)
    payment = next(row for kind, row in pattern if kind is Payment)
    transfer = {"amount": payment["transferred_minor"], "currency": payment["currency"].lower(), "destination": "acct_test"}

    def and_take() -> Names:
        new = again()
        paying.capture(
            shop, shop.get("payment_intent", new[payment["object_id"]]), {"amount_to_capture": payment["captured_minor"]}
        )
        giving.transfer(shop, {**transfer, "source_transaction": new[payment["charge_id"]]})
        return new

    return and_take


def bare(url: str, sessions: sessionmaker[Session]) -> float:
    """Statements a second of which the driver alone writes the journal again, in the product's own tables."""
    with sessions() as session:
        entries = session.scalars(select(JournalEntry).limit(LIMIT * ENTRIES)).all()
        found = session.scalars(select(JournalLeg).where(JournalLeg.entry_id.in_([entry.id for entry in entries])))
        legs: dict[str, list[tuple[str, str, int]]] = {entry.id: [] for entry in entries}
        for leg in found:
            legs[leg.entry_id].append((f"x{leg.entry_id}", leg.account.value, leg.amount_minor))
        values = [(f"x{e.id}", e.kind.value, "bench", e.id, e.currency, e.legs, str(e.created_at)) for e in entries]
    with closing(driver(url)) as connection:
        cursor, mark = connection.cursor(), "?" if url.startswith("sqlite") else "%s"
        began = time.perf_counter()
        for first in range(0, len(values), ENTRIES):
            cursor.execute("BEGIN")
            some = values[first : first + ENTRIES]
            cursor.executemany(ENTRY.format(", ".join([mark] * 7)), some)
            cursor.executemany(LEG.format(", ".join([mark] * 3)), [leg for row in some for leg in legs[row[3]]])
            cursor.execute("COMMIT")
        return LIMIT / (time.perf_counter() - began)


def driver(url: str) -> Any:
    """A connection of the driver's own that commits when it is told."""
    if not url.startswith("sqlite"):
        return psycopg.connect(url, autocommit=True)
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    connection.execute("PRAGMA synchronous=FULL")
    return connection
