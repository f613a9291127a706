"""Whatever happens to bookings that a programme pays for, in any order: every invariant holds after each step."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from billing import actions, cancelling, invariants, queries
from billing.claims import actions as claims
from billing.claims import queries as claimed
from billing.claims.tables import ClaimState
from billing.objections import actions as objections
from billing.programmes.choosing import Base, Mode
from billing.programmes.tables import FundingProgramme
from billing.quotes import actions as quoting
from billing.settlement import Funding
from billing.tables import StatementState
from booking.states import BookingState
from booking.tables import Booking
from marketplace.money import Money
from marketplace.refusals import Invalid, WrongState
from marketplace.tables import Organisation
from tests.billing.test_card_flow import AFTER, BEFORE, START, a_use
from tests.builders import a_booking, a_programme, an_entitlement, an_organisation

STEPS = ("bill", "use", "draft", "accept", "claim", "pay", "reject", "dispute", "resolve", "receive", "move", "cancel", "regrant")
rates = st.sampled_from(["0.1", "0.333", "0.5", "0.95", "1"])
programmes = st.fixed_dictionaries(
    {"stack": st.sampled_from([None, "city"]), "mode": st.sampled_from(Mode), "base": st.sampled_from(Base)}
)
steps = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 2), st.integers(0, 180)), min_size=10, max_size=40)


class Story:
    """Three bookings of one firm, of which two programmes pay; an hour passes with each step."""

    def __init__(self, db: Session, paying: list[tuple[str, dict[str, Any], int]], funding: Funding) -> None:
        self.db, self.now = db, AFTER
        self.firm: Organisation = an_organisation(db)
        self.programmes: list[FundingProgramme] = [a_programme(db, years=[rate], **said) for rate, said, _ in paying]
        self.granted = [amount for _, _, amount in paying]
        for programme, amount in zip(self.programmes, self.granted, strict=True):
            an_entitlement(db, programme, self.firm, amount)
        self.bookings = [a_booking(db, organisation=self.firm, start=START) for _ in range(3)]
        quoting.quote_bookings(db, bookings=self.bookings, organisation=self.firm, funding=funding, now=BEFORE)
        self.uses = dict.fromkeys((one.id for one in self.bookings), 0)

    def step(self, name: str, which: int, amount: int) -> None:
        self.now += timedelta(hours=1)
        try:
            with self.db.begin_nested():
                getattr(self, name)(self.bookings[which], amount)
        except (WrongState, Invalid):
            self.db.expire_all()

    def use(self, booking: Booking, minutes: int) -> None:
        if booking.state is BookingState.CONFIRMED:
            self.uses[booking.id] += 1
            a_use(self.db, booking, minutes=minutes, number=self.uses[booking.id], created_at=self.now)

    def bill(self, booking: Booking, minutes: int) -> None:
        self.use(booking, minutes)
        self.draft(booking, minutes)
        self.accept(booking, minutes)

    def draft(self, _booking: Booking, _amount: int) -> None:
        actions.draft_statements(self.db, now=self.now)

    def accept(self, booking: Booking, _amount: int) -> None:
        if found := queries.statement_of_booking(self.db, booking.id):
            actions.accept_statement(self.db, statement_id=found.id, actor_id="per_1", now=self.now)

    def dispute(self, booking: Booking, _amount: int) -> None:
        if found := queries.statement_of_booking(self.db, booking.id):
            objections.dispute_statement(self.db, statement_id=found.id, reason="x", actor_id="per_1", now=self.now)

    def resolve(self, booking: Booking, amount: int) -> None:
        if found := queries.statement_of_booking(self.db, booking.id):
            charge = Money(found.charge_minor * amount // 180, "CNY")
            objections.resolve_dispute(self.db, statement_id=found.id, charge=charge, actor_id="per_1", now=self.now)

    def claim(self, booking: Booking, amount: int) -> None:
        """Half of them are paid at once, and so can be corrected after that."""
        names = {"programme_id": self.programmes[amount % 2].id, "since": BEFORE, "until": self.now}
        claims.claim(self.db, **names, actor_id="per_1", now=self.now)
        if amount % 4 < 2:
            self.pay(booking, amount)

    def pay(self, _booking: Booking, amount: int) -> None:
        for row in self.open_claims(amount):
            names = {"programme_id": row.programme_id, "claim_id": row.id, "serial": row.id, "received_on": self.now.date()}
            claims.pay(self.db, **names, actor_id="per_1", now=self.now)

    def reject(self, booking: Booking, amount: int) -> None:
        for row in self.open_claims(amount):
            there = {one.share.booking_id for one in claimed.lines_of(self.db, row.id) if one.share.state.value == "claimed"}
            some = [booking.id] if amount % 3 and booking.id in there else []
            names = {"programme_id": row.programme_id, "claim_id": row.id, "reason": "x", "booking_ids": some}
            claims.reject(self.db, **names, actor_id="per_1", now=self.now)

    def open_claims(self, amount: int) -> list[Any]:
        found = claimed.claims_of(self.db, self.programmes[amount % 2].id)
        return [row for row in found if row.state is ClaimState.SUBMITTED]

    def receive(self, booking: Booking, amount: int) -> None:
        found = queries.statement_of_booking(self.db, booking.id)
        if found and found.state is StatementState.ACCEPTED:
            receipt = actions.Receipt(f"{booking.id}{self.now}", Money(amount * 300, "CNY"), self.now.date())
            actions.mark_received(self.db, statement_id=found.id, receipt=receipt, actor_id="per_1", now=self.now)

    def cancel(self, booking: Booking, amount: int) -> None:
        if booking.state is BookingState.CONFIRMED and not self.uses[booking.id]:
            booking.state = BookingState.CANCELLED
            cancelling.settle_cancellation(self.db, booking=booking, free=bool(amount % 2), now=START - timedelta(hours=1))

    def move(self, booking: Booking, amount: int) -> None:
        if booking.state is BookingState.CONFIRMED and not self.uses[booking.id]:
            booking.ends_at = booking.starts_at + timedelta(minutes=60 + amount)
            self.db.flush()
            quoting.requote_booking(self.db, booking=booking, now=BEFORE)

    def regrant(self, _booking: Booking, amount: int) -> None:
        an_entitlement(self.db, self.programmes[amount % 2], self.firm, amount * 500)


@pytest.mark.laws
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.tuples(*[st.tuples(rates, programmes, st.integers(10_000, 120_000))] * 2),
    st.sampled_from([Funding.BANK, Funding.CARD]),
    steps,
)
def test_every_invariant_holds_after_every_step(
    db: Session, paying: tuple[Any, ...], funding: Funding, found: list[tuple[str, int, int]]
) -> None:
    outer = db.begin_nested()
    story = Story(db, list(paying), funding)
    for name, which, amount in found:
        story.step(name, which, amount)
        assert invariants.violations(db) == [], (name, which, amount)
    outer.rollback()
    db.expunge_all()
