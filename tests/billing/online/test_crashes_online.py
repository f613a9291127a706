"""A story of a wallet and one of a kept card, ended by a crash at each of their calls: the same ledger, and every object once."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from billing import outbox, webhooks
from billing.payments.owing import pay_open
from billing.settlement import Funding
from booking.tables import Booking
from tests.billing.online.test_paying_the_rest import refuse
from tests.billing.online.town import Town
from tests.billing.test_card_flow import START, apply_events

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WALLET_CALLS, CARD_CALLS = 4, 8
"""How many calls the stories make where nothing goes wrong."""


class Died(Exception):
    """The process is gone."""


@dataclass
class Mortal:
    """The provider, but the process dies at its `fatal`-th call: before it goes out, or when it was carried out."""

    inner: Any
    fatal: int | None
    done: bool
    """Whether the fatal call was carried out."""
    made: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def perform(self, call: Any) -> Any:
        self.made += 1
        if self.made != self.fatal:
            return self.inner.perform(call)
        if self.done:
            self.inner.perform(call)
        raise Died


def work_mortally(town: Town) -> None:
    """As a worker; whoever dies comes back once its lease is over."""
    while True:
        with town.sessions.begin() as session:
            call = outbox.claim(session, now=town.now)
        if call is None:
            return
        try:
            outcome = outbox.call(call, town.stripe.provider)
        except Died:
            town.watch.now += timedelta(minutes=6)
            continue
        with town.sessions.begin() as session:
            outbox.record(session, outcome, now=town.now)


def wallet(town: Town) -> str:
    """Booked, paid, used beyond what was paid, the rest paid on a page; then a correction whose refund fails at first."""
    booking_id = town.book(held=3 * HOUR)
    town.wait()
    town.press(town.page(booking_id), "alipay")
    town.hear()
    town.watch.now = START + 3 * HOUR
    town.use(booking_id, minutes=97)
    refuse(town, "alipay_refundFail")
    town.wait()
    town.wait(2 * HOUR)
    town.hear()
    refuse(town, "alipay")
    town.wait(DAY)
    town.wait(2 * HOUR)
    town.hear()
    town.wait(DAY)
    town.hear()
    return booking_id


def kept_card(town: Town) -> str:
    """Booked far ahead, the hold refused and made good on a page, used beyond it, the rest refused and paid on a page."""
    town.watch.now = START - 20 * DAY
    booking_id = town.book(funding=Funding.CARD, method="pm_card_visa", held=3 * HOUR)
    town.wait()
    refuse(town, "pm_card_chargeDeclined")
    town.wait(18 * DAY)
    pay(town, booking_id, "pm_card_mastercard")
    town.watch.now = START + 3 * HOUR
    refuse(town, "pm_card_chargeDeclined")
    town.use(booking_id, minutes=165)
    town.wait()
    pay(town, booking_id, "pm_card_visa")
    town.wait(2 * HOUR)
    town.hear()
    return booking_id


def pay(town: Town, booking_id: str, choice: str) -> None:
    with town.sessions.begin() as session:
        pay_open(session, booking=session.get_one(Booking, booking_id), now=town.now)
    town.wait()
    town.press(town.page(booking_id), choice)
    town.hear()


STORIES: dict[Callable[[Town], str], tuple[int, dict[str, int]]] = {
    wallet: (WALLET_CALLS, {"checkout.session": 1, "payment_intent": 1, "refund": 2, "transfer": 1}),
    kept_card: (CARD_CALLS, {"setup_intent": 1, "checkout.session": 2, "transfer": 2}),
}


UNHARMED = [(story, 0, False) for story in STORIES]
CRASHES = [
    (story, number, done) for story, (calls, _) in STORIES.items() for number in range(1, calls + 1) for done in (False, True)
]


@pytest.mark.parametrize(("story", "number", "done"), UNHARMED + CRASHES, ids=lambda one: getattr(one, "__name__", str(one)))
def test_a_crash_at_any_call_changes_nothing(town: Town, story: Callable[[Town], str], number: int, done: bool) -> None:
    mortal = Mortal(town.stripe.provider, number or None, done)
    town.stripe.provider = mortal  # type: ignore[assignment]
    town.worker = work_mortally
    booking_id = story(town)
    calls, objects = STORIES[story]
    assert {kind: town.stripe.count(kind) for kind in objects} == objects
    assert town.settled(booking_id) == "settled"
    assert set(town.balances(booking_id)) == {"PSP", "PFE", "FEE"}
    if not number:
        assert mortal.made == calls
    town.assert_sound()


@pytest.mark.parametrize("done", [False, True])
def test_a_crash_while_a_page_is_closed_closes_it_once(town: Town, done: bool) -> None:
    town.stripe.provider = Mortal(town.stripe.provider, 2, done)  # type: ignore[assignment]
    town.worker = work_mortally
    booking_id = town.book()
    town.wait()
    town.press(town.page(booking_id), "alipay")
    town.watch.now += timedelta(minutes=56)
    town.wait()
    town.wait()
    assert [page["status"] for page in town.stripe.state.shop.all("checkout.session")] == ["complete"]
    town.hear()
    town.assert_sound()


@pytest.mark.parametrize("seed", range(4))
def test_events_may_come_in_any_order_and_as_often_as_they_like(town: Town, seed: int) -> None:
    chance = Random(seed)

    def hear() -> None:
        notices = town.stripe.provider.events_since(town.now - timedelta(days=30)) * 2
        chance.shuffle(notices)
        with town.sessions.begin() as session:
            for number, notice in enumerate(notices):
                twin = type(notice)(f"{notice.id}:{number % 2}:{town.now}", notice.kind, notice.object_id, None, notice.body)
                webhooks.accept(session, twin, now=town.now)
        apply_events(town.sessions, town.stripe, town.now)
        town.wait()

    town.hear = hear  # type: ignore[method-assign]
    booking_id = wallet(town)
    kinds = Counter(kind for kind, _ in town.entries(booking_id))
    assert kinds["refund_settled"] == kinds["refund_failed"] == kinds["refund_repeated"] == 1
    assert (town.settled(booking_id), set(town.balances(booking_id))) == ("settled", {"PSP", "PFE", "FEE"})
    town.assert_sound()
