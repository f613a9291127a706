"""Whatever happens on the way, the money ends the same: a random story with noise, and the same story told again without.

Noise is what the network and crashes do: calls that are lost before or after they were carried out, faults that are replayed,
workers that die before they commit, events in any order and as often as they like. After every step every invariant of the ledger
holds; at the end it equals the provider's account, and each booking's journal is the one of the quiet story. Where people were
quicker than the calls, its balances are: a correction that comes before the capture makes one call where otherwise two are made.

`BILLING_LAWS_EXAMPLES=500 pytest tests/flows/test_billing_laws.py -o faulthandler_timeout=0` is the long run.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from billing import actions, cancelling, invariants, outbox, queries, webhooks
from billing.ledger import Account, Entry
from billing.objections import actions as objections
from billing.payments import due, payouts
from billing.providers.stand_in.answering import Fault
from billing.providers.stripe_connect import notice_of
from billing.quotes import actions as quoting
from billing.reconciling import actions as reconciling
from billing.resale import actions as resale
from billing.tables import CallState, Payment, PaymentState, ProviderCall, Statement, StatementState
from booking.states import BookingState
from booking.tables import Booking
from devices.matching import Verdict
from devices.tables import ConfirmedUse
from marketplace.db import open_engine, open_sessions
from marketplace.ids import new_id
from marketplace.money import Money
from marketplace.refusals import Refusal
from marketplace.tables import Settlement
from tests.billing.in_process import stand_in
from tests.billing.test_card_flow import BEFORE
from tests.builders import a_booking, a_resource, an_institution, an_organisation
from tests.conftest import new_database

LONG = os.environ.get("BILLING_LAWS_EXAMPLES")
EXAMPLES = int(LONG or "5")
"""The short run tells the same stories each time, and does not look for a shorter one that fails: its time is bounded."""

STEPS = 20
BOOKED = 2
"""Bookings of a story."""

MOST_WAITS = 2
AHEAD = timedelta(hours=12)
"""From the booking to its slot: nothing that noise delays comes near a step of the cancellation fees."""

POLICIES = (
    {},
    {"basis": "booked"},
    {"basis": "max", "grace_min": 30},
    {"unused_rate": "0.5", "fee_rate": "0.1"},
    {"minimum_min": 60, "overtime_mult": "2"},
)


class Verb(StrEnum):
    BOOK = "book"
    USE = "use"
    ACCEPT = "accept"
    DISPUTE = "dispute"
    RESOLVE = "resolve"
    CANCEL = "cancel"
    WAIT = "wait"


@dataclass(frozen=True)
class Act:
    """Something a person or the clock does: to which booking, and how much of it."""

    verb: Verb
    booking: int = 0
    amount: int = 0


class Trouble(StrEnum):
    """What becomes of a call."""

    NONE = ""
    ANSWER_LOST = "answer_lost"
    SAVED_500 = "saved_500"
    DIES_BEFORE = "dies_before"
    DIES_AFTER = "dies_after"
    TOLD_TWICE = "told_twice"


TOLD = {Trouble.DIES_AFTER: 0, Trouble.TOLD_TWICE: 2}
"""How often what came of a call is recorded, where not once."""

Sums = dict[tuple[str, Account], int]


@dataclass
class Market:
    """A database and a provider with one clock, and the bookings of the story that is told."""

    engine: Engine
    bookings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sessions = open_sessions(self.engine)
        self.now = BEFORE
        self.state, self.provider = stand_in(lambda: self.now)

    def do(self, act: Act) -> None:
        """A refusal is an answer, too."""
        done: dict[Verb, Callable[[Session, Act], object]] = {
            Verb.BOOK: self._book,
            Verb.USE: self._use,
            Verb.ACCEPT: self._accept,
            Verb.DISPUTE: self._dispute,
            Verb.RESOLVE: self._resolve,
            Verb.CANCEL: self._cancel,
        }
        if act.verb is Verb.WAIT:
            self.wait(timedelta(hours=act.amount))
            return
        with suppress(Refusal), self.sessions.begin() as session:
            done[act.verb](session, act)

    def _book(self, session: Session, act: Act) -> None:
        house = an_institution(session, settlement=Settlement.PLATFORM_COLLECTS)
        firm, resource = an_organisation(session), a_resource(session, institution=house)
        policy = POLICIES[act.amount % len(POLICIES)]
        if policy:
            actions.set_policy(session, resource_id=resource.id, policy=policy, actor_id="per_1", now=self.now)
        start = self.now + AHEAD
        booking = a_booking(session, resource=resource, organisation=firm, start=start, state=BookingState.CONFIRMED)
        payouts.set_payout_account(session, institution_id=house.id, account_id="acct_test", actor_id=None, now=self.now)
        quoting.quote_booking(session, booking=booking, organisation=firm, payment_method="pm_card_visa", now=self.now)
        self.bookings.append(booking.id)

    def _use(self, session: Session, act: Act) -> None:
        """Also a later word on it: the next number."""
        booking = session.get_one(Booking, self.bookings[act.booking])
        if booking.state is BookingState.CANCELLED:
            return
        number = session.scalar(select(func.count()).where(ConfirmedUse.booking_id == booking.id)) or 0
        session.add(a_use(booking, number + 1, act.amount, self))
        session.flush()
        actions.draft_statements(session, now=self.now)

    def _statement(self, session: Session, act: Act) -> Statement:
        """Raises: NotFound."""
        newest = queries.statement_of_booking(session, self.bookings[act.booking])
        return newest or queries.get_statement(session, "stm_none")

    def _accept(self, session: Session, act: Act) -> None:
        actions.accept_statement(session, statement_id=self._statement(session, act).id, actor_id="per_1", now=self.now)

    def _dispute(self, session: Session, act: Act) -> None:
        statement = self._statement(session, act)
        objections.dispute_statement(session, statement_id=statement.id, reason="too long", actor_id="per_1", now=self.now)

    def _resolve(self, session: Session, act: Act) -> None:
        statement = self._statement(session, act)
        charge = Money(max(0, statement.charge_minor) * act.amount // 200 // 100 * 100, statement.currency)
        objections.resolve_dispute(session, statement_id=statement.id, charge=charge, actor_id="per_2", now=self.now)

    def _cancel(self, session: Session, act: Act) -> None:
        booking = session.get_one(Booking, self.bookings[act.booking])
        if booking.state is BookingState.CANCELLED or queries.statement_of_booking(session, booking.id):
            return
        booking.state, booking.cancelled_at = BookingState.CANCELLED, self.now
        cancelling.settle_cancellation(session, booking=booking, free=act.amount % 2 == 0, now=self.now)

    def wait(self, hours: timedelta) -> None:
        """Time in which every call gets through and the clock's own work is done: holds guarded, silence accepting."""
        until = self.now + hours
        self.settle()
        while (guard := self._next_guard()) is not None and guard <= until:
            self.now = max(self.now, guard)
            with self.sessions.begin() as session:
                due.guard_holds(session, now=self.now)
            self.settle()
        self.now = max(self.now, until)
        for job in (actions.accept_silent, resale.decide_due, due.pay_out_due, due.charge_again):
            with self.sessions.begin() as session:
                job(session, now=self.now)
            self.settle()

    def _next_guard(self) -> object:
        asked = select(ProviderCall.payment_id).where(ProviderCall.operation.in_(["capture", "release"]))
        held = select(func.min(Payment.capture_before)).where(Payment.state == PaymentState.AUTHORISED, Payment.id.not_in(asked))
        with self.sessions() as session:
            ends = session.scalar(held)
        return ends - due.HOLD_GUARD + timedelta(hours=1) if ends else None

    def pay(self, trouble: Trouble = Trouble.NONE) -> bool:
        """One call to the provider and what becomes of it; whether one was due."""
        with self.sessions.begin() as session:
            asked = outbox.claim(session, now=self.now)
        if asked is None:
            return False
        if trouble is Trouble.DIES_BEFORE:
            return True
        if trouble in {Trouble.ANSWER_LOST, Trouble.SAVED_500}:
            self.state.faults.append(Fault(trouble.value))
        outcome = outbox.call(asked, self.provider)
        self.state.faults.clear()
        for _ in range(TOLD.get(trouble, 1)):
            with self.sessions.begin() as session:
                outbox.record(session, outcome, now=self.now)
        return True

    def settle(self, troubles: Sequence[Trouble] = ()) -> None:
        """Until no call waits, however long it has to wait for its turn; first of all with these troubles."""
        noise = iter(troubles)
        while True:
            while self.pay(next(noise, Trouble.NONE)):
                pass
            with self.sessions() as session:
                waiting = select(func.max(func.coalesce(ProviderCall.lease_until, ProviderCall.run_at)))
                later = session.scalar(waiting.where(ProviderCall.state == CallState.WAITING))
            if later is None:
                return
            self.now = max(self.now, later) + timedelta(seconds=1)

    def deliver(self, places: list[int]) -> None:
        """Webhooks of the events at these places, counted from the newest."""
        events = self.state.shop.events
        for place in places:
            if place < len(events):
                with self.sessions.begin() as session:
                    webhooks.accept(session, notice_of(events[-1 - place], b"{}"), now=self.now)

    def hear(self) -> bool:
        with self.sessions.begin() as session:
            claimed = webhooks.claim(session, now=self.now)
        if claimed is None:
            return False
        seen = webhooks.read(claimed, self.provider)
        with self.sessions.begin() as session:
            webhooks.record(session, seen, now=self.now)
        return True

    def finish(self) -> None:
        """All that is under way comes to its end."""
        self.wait(timedelta(hours=80))
        while self.hear():
            pass
        self.wait(timedelta(hours=200))
        self.deliver(list(range(len(self.state.shop.events))))
        while self.hear():
            pass
        self.wait(timedelta(hours=2))

    def waits(self) -> bool:
        with self.sessions() as session:
            return bool(session.scalar(select(func.count()).where(ProviderCall.state == CallState.WAITING)))

    def journals(self, told: Callable[[list[Entry]], Sums]) -> list[Sums]:
        """Of each booking."""
        with self.sessions() as session:
            return [told(queries.journal_of_booking(session, booking_id)) for booking_id in self.bookings]


def entries(journal: list[Entry]) -> Sums:
    """By kind and account; one refund may be told in two entries."""
    found: Sums = defaultdict(int)
    for entry in journal:
        for account, amount in entry.legs:
            found[entry.kind, account] += amount
    return found


def balances(journal: list[Entry]) -> Sums:
    """By account; what the provider keeps of each charge is counted as if it were still there."""
    found: Sums = defaultdict(int)
    for entry in journal:
        for account, amount in entry.legs:
            found["", Account.PSP if account is Account.PFE else account] += amount
    return {place: amount for place, amount in found.items() if amount}


def a_use(booking: Booking, number: int, minutes: int, market: Market) -> ConfirmedUse:
    end, inside = booking.starts_at + timedelta(minutes=minutes), min(minutes, 120) * 60
    pieces = [{"start": booking.starts_at.isoformat(), "end": end.isoformat(), "state": "RUN"}]
    return ConfirmedUse(
        id=new_id("use"),
        booking_id=booking.id,
        number=number,
        verdict=Verdict.FULFILLED if minutes else Verdict.NO_SHOW,
        booked_s=7200,
        confirmed_s=inside,
        early_s=0,
        overrun_s=minutes * 60 - inside,
        unverified_s=0,
        fault_s=0,
        energy_wh=0,
        pieces=pieces if minutes else [],
        created_at=market.now,
    )


BOOKINGS = some.integers(0, BOOKED - 1)
ANSWERS = some.sampled_from([Verb.ACCEPT, Verb.ACCEPT, Verb.DISPUTE, Verb.RESOLVE])
TROUBLES = some.sampled_from(list(Trouble))


AT_ONCE = some.sampled_from([Verb.ACCEPT, Verb.DISPUTE, None])
BEFORE_IT = some.none() | some.lists(TROUBLES, max_size=6)


class Story(RuleBasedStateMachine):
    """Acts are kept to be told again; noise is not."""

    def __init__(self, fresh: Callable[[], Market]) -> None:
        super().__init__()
        self.market, self.acts = fresh(), list[Act]()
        self.rushed = False
        """Something was done while a call was under way: what one call takes then, two may take in the quiet story."""

    def act(self, act: Act, troubles: Sequence[Trouble] | None = ()) -> None:
        """After all calls got through, with troubles; or, with None, whatever is under way."""
        self.acts.append(act)
        if troubles is None:
            self.rushed |= self.market.waits()
        else:
            self.market.settle(troubles)
        self.market.do(act)

    @initialize(policies=some.tuples(*[some.integers(0, len(POLICIES) - 1)] * BOOKED))
    def book(self, policies: tuple[int, ...]) -> None:
        for policy in policies:
            self.act(Act(Verb.BOOK, amount=policy))

    @rule(
        place=BOOKINGS, minutes=some.integers(0, 200), verb=some.sampled_from([Verb.ACCEPT, Verb.DISPUTE, None]), before=BEFORE_IT
    )
    def use(self, place: int, minutes: int, verb: Verb | None, before: list[Trouble] | None) -> None:
        """And the answer that comes at once, if one does."""
        self.act(Act(Verb.USE, place, minutes), before)
        if verb:
            self.act(Act(verb, place), before)

    @rule(place=BOOKINGS, verb=ANSWERS, amount=some.integers(0, 200), before=BEFORE_IT)
    def answer(self, place: int, verb: Verb, amount: int, before: list[Trouble] | None) -> None:
        self.act(Act(verb, place, amount), before)

    @rule(place=BOOKINGS, free=some.integers(0, 1), before=BEFORE_IT)
    def cancel(self, place: int, free: int, before: list[Trouble] | None) -> None:
        self.act(Act(Verb.CANCEL, place, free), before)

    @precondition(lambda self: sum(act.verb is Verb.WAIT for act in self.acts) < MOST_WAITS)
    @rule(hours=some.sampled_from([73, 160]), troubles=some.lists(TROUBLES, max_size=6))
    def wait(self, hours: int, troubles: list[Trouble]) -> None:
        """Until silence accepts, or a hold is about to end."""
        self.act(Act(Verb.WAIT, amount=hours), troubles)

    @rule(troubles=some.lists(TROUBLES, min_size=1, max_size=6))
    def call(self, troubles: list[Trouble]) -> None:
        """Each call after the other's lease or pause."""
        for trouble in troubles:
            self.market.pay(trouble)
            self.market.now += timedelta(minutes=6) if trouble else timedelta(0)

    @rule(places=some.lists(some.integers(0, 8), min_size=1, max_size=6), heard=some.integers(0, 6))
    def deliver(self, places: list[int], heard: int) -> None:
        self.market.deliver(places)
        for _ in range(heard):
            self.market.hear()

    @invariant()
    def every_invariant_holds(self) -> None:
        with self.market.sessions() as session:
            assert invariants.violations(session) == []

    def teardown(self) -> None:
        try:
            self.tell_it_again()
        finally:
            self.market.engine.dispose()

    def tell_it_again(self) -> None:
        """The end of the noisy story, and the quiet one."""
        told = balances if self.rushed else entries
        self.market.finish()
        noisy = self.market.journals(told)
        check_end(self.market)
        self.market.bookings = []
        for act in self.acts:
            self.market.do(act)
            self.market.settle()
        self.market.finish()
        check_end(self.market)
        assert noisy == self.market.journals(told)


def check_end(market: Market) -> None:
    """Nothing is left open, and the ledger says what the provider says."""
    with market.sessions() as session:
        assert invariants.violations(session) == []
        assert invariants.provider_violations(session, market.provider.balance()) == []
        _, books = reconciling.ask_provider(market.provider, since=BEFORE - timedelta(days=1), now=market.now)
        assert reconciling.compare(session, books, now=market.now + timedelta(hours=2)) == []
        states = {row.state for row in session.scalars(select(Statement))}
        assert states <= {StatementState.ACCEPTED, StatementState.SETTLED, StatementState.SUPERSEDED, StatementState.DISPUTED}
        assert not [call.key for call in session.scalars(select(ProviderCall)) if call.state is not CallState.DONE]


def test_noise_does_not_change_what_is_owed_and_paid(
    database: str, with_tables: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    numbers = count()

    def fresh() -> Market:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        return Market(open_engine(new_database(database, request, folder, like=with_tables)))

    told = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=not LONG,
        phases=[Phase.generate, Phase.shrink] if LONG else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(partial(Story, fresh), settings=told)
