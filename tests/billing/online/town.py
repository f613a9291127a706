"""A payer on the provider's pages, and everything that a worker does in its rounds, by one clock for both sides."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import httpx2
from sqlalchemy.orm import Session, sessionmaker

from billing import actions, invariants, ledger, queries, webhooks
from billing.payments import due, refunds
from billing.payments.payouts import set_payout_account
from billing.payments.queries import find_page
from billing.quotes import actions as quoting
from billing.reconciling import actions as reconciling
from billing.reconciling.queries import LONG_AGO
from billing.settlement import Funding
from booking.states import BookingState
from booking.tables import Booking
from marketplace.tables import Settlement
from tests.billing.conftest import Stripe, work
from tests.billing.test_card_flow import START, a_use, apply_events
from tests.builders import a_booking, a_resource, an_institution, an_organisation
from web.timers import expire_holds


@dataclass
class Watch:
    """What time it is, for the product and for the provider."""

    now: datetime

    def read(self) -> datetime:
        return self.now


@dataclass
class Town:
    """The product's database and the provider, on one watch."""

    sessions: sessionmaker[Session]
    stripe: Stripe
    watch: Watch
    worker: Callable[["Town"], object] = field(default=lambda town: work(town.sessions, town.stripe, town.now))

    @property
    def now(self) -> datetime:
        return self.watch.now

    def book(self, *, funding: Funding = Funding.WALLET, method: str | None = None, held: timedelta = timedelta(hours=1)) -> str:
        """A held booking of two hours at 300.00 with an institution that is paid through the platform."""
        with self.sessions.begin() as session:
            house, firm = an_institution(session, settlement=Settlement.PLATFORM_COLLECTS), an_organisation(session)
            resource = a_resource(session, institution=house)
            values = {"state": BookingState.HELD, "hold_until": self.now + held}
            booking = a_booking(session, resource=resource, organisation=firm, start=START, **values)
            set_payout_account(session, institution_id=house.id, account_id="acct_test", actor_id=None, now=self.now)
            quoting.quote_booking(
                session, booking=booking, organisation=firm, payment_method=method, funding=funding, now=self.now
            )
            return booking.id

    def wait(self, span: timedelta = timedelta(0)) -> None:
        """Let `span` pass, and a worker do all that is due then."""
        self.watch.now += span
        self.stripe.order()
        for _ in range(3):
            with self.sessions.begin() as session:
                due.close_pages(session, now=self.now)
                due.take_holds(session, now=self.now)
                refunds.refund_again(session, now=self.now)
                due.charge_again(session, now=self.now)
                due.pay_out_due(session, now=self.now)
                expire_holds(session, self.now)
            self.worker(self)

    def hear(self) -> None:
        """Take in and apply what the provider has to tell, as the sweep does."""
        notices = self.stripe.provider.events_since(self.now - timedelta(hours=24))
        with self.sessions.begin() as session:
            for notice in notices:
                webhooks.accept(session, notice, now=self.now)
        apply_events(self.sessions, self.stripe, self.now)
        self.wait()

    def page(self, booking_id: str) -> str:
        """The address of the page that is open for the booking's last payment."""
        with self.sessions() as session:
            found = find_page(session, queries.payments_of(session, booking_id)[-1].id)
            assert found is not None
            return str(found.url)

    def press(self, address: str, choice: str) -> httpx2.Response:
        return httpx2.post(address, data={"choice": choice}, follow_redirects=False)

    def use(self, booking_id: str, *, minutes: int) -> str:
        """Used, measured, billed and accepted; the id of the statement."""
        with self.sessions.begin() as session:
            booking = session.get_one(Booking, booking_id)
            assert booking.state is BookingState.CONFIRMED
            a_use(session, booking, minutes=minutes)
            [statement_id] = actions.draft_statements(session, now=self.now)
            actions.accept_statement(session, statement_id=statement_id, actor_id="per_1", now=self.now)
        return statement_id

    def balances(self, booking_id: str) -> dict[str, int]:
        with self.sessions() as session:
            found = ledger.balances(queries.journal_of_booking(session, booking_id))
            return {account.value: amount for account, amount in found.items()}

    def entries(self, booking_id: str) -> list[tuple[str, dict[str, int]]]:
        with self.sessions() as session:
            posted = queries.journal_of_booking(session, booking_id)
            return [(entry.kind.value, {account.value: amount for account, amount in entry.legs}) for entry in posted]

    def state(self, booking_id: str) -> BookingState:
        with self.sessions() as session:
            return session.get_one(Booking, booking_id).state

    def settled(self, booking_id: str) -> str:
        with self.sessions() as session:
            statement = queries.statement_of_booking(session, booking_id)
            assert statement is not None
            return statement.state.value

    def assert_sound(self) -> None:
        """Every invariant holds, PSP equals the provider's balance transactions, and Stripe would understand every request."""
        with self.sessions() as session:
            assert invariants.violations(session) == []
            assert invariants.provider_violations(session, self.stripe.provider.balance()) == []
        assert list(self.stripe.state.violations) == []
        later = self.now + timedelta(days=1)
        _, books = reconciling.ask_provider(self.stripe.provider, since=LONG_AGO, now=later)
        with self.sessions() as session:
            assert reconciling.compare(session, books, now=later) == []
