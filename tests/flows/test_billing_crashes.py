"""A crash at every gap around every call that goes out to the provider: after it one object there, one entry here.

The list is worked out, not kept: of each operation every seam, and of each request that changes something its lost answer. What
the product newly calls, or an operation newly sends, fails here until it has its row.
"""

import ast
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from inspect import getmembers, isfunction
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from billing import actions, cancelling, invariants, outbox, webhooks
from billing.payments import due
from billing.payments.pages import look
from billing.providers.base import Call, Provider
from billing.providers.requests import Description
from billing.providers.stand_in import checkout
from billing.providers.stand_in.answering import StandIn
from billing.providers.stand_in.paying import HOLD_LIFE
from billing.providers.stand_in.shop import Shop
from billing.providers.stripe_connect import StripeConnect
from billing.reconciling import actions as reconciling
from billing.reconciling import queries as reconciled
from billing.reconciling.tables import ProviderMovement
from billing.settlement import Funding
from billing.tables import CallState, JournalEntry, Operation, ProviderCall
from booking.states import BookingState
from booking.tables import Booking
from tests.billing.in_process import InProcess
from tests.billing.online.town import Town, Watch
from tests.billing.test_card_flow import AFTER, BEFORE, START, a_card_booking, a_use

ROOT = Path(__file__).resolve().parents[2]
SOON, NEXT_DAY = outbox.LEASE + timedelta(minutes=1), outbox.KEY_LIFE + timedelta(hours=6)


class Killed(BaseException):
    """The process is gone: nothing catches it, and its session with it."""


class Seam(StrEnum):
    BEFORE_CLAIM = "before_claim"
    """What is to be called was found, and that was not committed."""
    BEFORE_CALL = "before_call"
    ANSWER_LOST = "answer_lost"
    BEFORE_COMMIT = "before_commit"
    AFTER_COMMIT = "after_commit"


@dataclass(frozen=True)
class Point:
    """Where the process dies: at a seam of `subject`, an operation or a method; of several requests at the `request`-th."""

    subject: str
    seam: Seam
    request: int = 1


class Mortal(InProcess):
    """Carries requests to the stand-in, and may die when one was answered."""

    def __init__(self, world: "World", state: StandIn) -> None:
        super().__init__(state)
        self._world = world

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, *, _usage: list[str] | None = None
    ) -> tuple[str, int, Mapping[str, str]]:
        answered = super().request(method, url, headers, post_data, _usage=_usage)
        if method == "post" or self._world.reading:
            self._world.requests += 1
            self._world.die(Seam.ANSWER_LOST)
        return answered


@dataclass
class World:
    """A worker that may die at one point, its database, and a provider that outlives it."""

    sessions: sessionmaker[Session]
    now: datetime = BEFORE
    point: Point | None = None
    subject: str = ""
    """What is being called."""
    reading: bool = False
    requests: int = 0
    sent: dict[str, int] = field(default_factory=dict)
    """By operation how many requests it took that change something."""
    booking_id: str = ""

    def __post_init__(self) -> None:
        self.state = StandIn(Shop(lambda: self.now), Description(), "whsec_x", None)
        self.provider = StripeConnect("sk_test_x", http=Mortal(self, self.state))

    def die(self, seam: Seam) -> None:
        here = Point(self.subject, seam, self.requests if seam is Seam.ANSWER_LOST else 1)
        if here == self.point:
            self.point = None
            raise Killed

    @contextmanager
    def transaction(self, before: Seam, after: Seam) -> Iterator[Session]:
        with self.sessions() as session:
            yield session
            self.die(before)
            session.commit()
            self.die(after)

    def pay(self) -> bool:
        """claim | commit | call | record | commit, as a worker does it; whether there was something to call."""
        with self.sessions() as session:
            asked = outbox.claim(session, now=self.now)
            if asked is None:
                session.commit()
                return False
            self.subject, self.requests = self._named(asked), 0
            self.die(Seam.BEFORE_CLAIM)
            session.commit()
        self.die(Seam.BEFORE_CALL)
        self.reading = self.subject in {"look", "read"}
        outcome = outbox.call(asked, self.provider)
        self.reading = False
        self.sent[self.subject] = self.requests
        with self.transaction(Seam.BEFORE_COMMIT, Seam.AFTER_COMMIT) as session:
            outbox.record(session, outcome, now=self.now)
        return True

    def _named(self, asked: Call) -> str:
        return "look" if asked.called_at - asked.first_called_at >= outbox.KEY_LIFE else asked.operation.value

    @contextmanager
    def read(self, method: str) -> Iterator[None]:
        self.subject, self.requests, self.reading = method, 0, True
        self.die(Seam.BEFORE_CALL)
        yield
        self.reading = False

    def hear(self) -> bool:
        """claim | read | record one event; whether there was one."""
        with self.sessions() as session:
            claimed = webhooks.claim(session, now=self.now)
            self.subject = method = reads(claimed.object_id) if claimed else ""
            self.die(Seam.BEFORE_CLAIM) if claimed else None
            session.commit()
        if claimed is None:
            return False
        with self.read(method):
            seen = webhooks.read(claimed, self.provider)
        with self.transaction(Seam.BEFORE_COMMIT, Seam.AFTER_COMMIT) as session:
            webhooks.record(session, seen, now=self.now)
        return True

    def sweep(self) -> None:
        with self.read("events_since"):
            notices = self.provider.events_since(self.now - timedelta(days=8))
        with self.transaction(Seam.BEFORE_COMMIT, Seam.AFTER_COMMIT) as session:
            for notice in notices:
                webhooks.accept(session, notice, now=self.now)

    def check(self) -> None:
        """The provider's books are read and stored, with what differs."""
        with self.sessions() as session:
            since = reconciled.read_from(session)
        for method in ("movements_since", "made_since"):
            with self.read(method):
                getattr(self.provider, method)(since)
        _, books = reconciling.ask_provider(self.provider, since=since, now=self.now)
        with self.transaction(Seam.BEFORE_COMMIT, Seam.AFTER_COMMIT) as session:
            reconciling.store(session, books, now=self.now)
            reconciling.note(session, reconciling.compare(session, books, now=self.now), now=self.now)

    def work(self) -> None:
        """Until nothing is left to do."""
        busy = True
        while busy:
            busy = False
            while self.pay():
                busy = True
            self.sweep()
            while self.hear():
                busy = True
        self.check()

    def live(self) -> None:
        """Work, and where the process dies, begin again when its leases have ended."""
        try:
            self.work()
        except Killed:
            self.reading = False


def reads(object_id: str) -> str:
    """The method that an event about such an object asks."""
    return {"cs": "read_page", "seti": "read_setup"}.get(object_id.partition("_")[0], "read_payment")


def book(world: World) -> None:
    with world.sessions.begin() as session:
        world.booking_id = a_card_booking(session).id


def use(world: World, minutes: int) -> None:
    """Held, confirmed, used, and accepted."""
    with world.sessions.begin() as session:
        booking = session.get_one(Booking, world.booking_id)
        booking.state = BookingState.CONFIRMED
        a_use(session, booking, minutes=minutes)
        [statement_id] = actions.draft_statements(session, now=world.now)
        actions.accept_statement(session, statement_id=statement_id, actor_id="per_1", now=world.now)


def held(world: World) -> None:
    book(world)
    world.work()
    world.now = AFTER


def used(world: World) -> None:
    held(world)
    use(world, 97)


def used_longer_than_held(world: World) -> None:
    held(world)
    use(world, 165)


def given_up(world: World) -> None:
    held(world)
    with world.sessions.begin() as session:
        booking = session.get_one(Booking, world.booking_id)
        booking.state = BookingState.CANCELLED
        cancelling.settle_cancellation(session, booking=booking, free=True, now=world.now)


def prepaid_and_used(world: World) -> None:
    held(world)
    world.now = BEFORE + HOLD_LIFE - due.HOLD_GUARD + timedelta(hours=1)
    with world.sessions.begin() as session:
        session.get_one(Booking, world.booking_id).state = BookingState.CONFIRMED
        assert due.guard_holds(session, now=world.now) == 1
    world.work()
    use(world, 97)


def called_long_ago(world: World) -> None:
    """A capture was carried out, the process died, and its key is forgotten."""
    used(world)
    world.point = Point("capture", Seam.ANSWER_LOST)
    world.live()
    world.now += NEXT_DAY


def booked_far_ahead(world: World) -> None:
    """By a card that is kept for the hold."""
    world.now = START - timedelta(days=20)
    world.booking_id = Town(world.sessions, None, Watch(world.now)).book(funding=Funding.CARD, method="pm_card_visa")  # type: ignore[arg-type]


def booked_by_wallet(world: World) -> None:
    """The page to pay on is to be opened."""
    world.booking_id = Town(world.sessions, None, Watch(world.now)).book()  # type: ignore[arg-type]


def paid_on_its_page(world: World) -> None:
    """The payer comes back."""
    booked_by_wallet(world)
    world.work()
    [page] = world.state.shop.all("checkout.session")
    checkout.pay(world.state.shop, page, "alipay")
    with world.sessions.begin() as session:
        assert look(session, booking_id=world.booking_id, now=world.now) == 1


def given_up_on_its_page(world: World) -> None:
    booked_by_wallet(world)
    world.work()
    with world.sessions.begin() as session:
        booking = session.get_one(Booking, world.booking_id)
        booking.state = BookingState.CANCELLED
        cancelling.settle_cancellation(session, booking=booking, free=True, now=world.now)


def left_on_its_page(world: World) -> None:
    """It ends by the clock there."""
    booked_by_wallet(world)
    world.work()
    world.now += timedelta(hours=1)


HOLD = {"payment_intent": 1, "charge": 1, "customer": 1}
ONE = dict.fromkeys(("usage_charge", "payment_captured", "psp_fee", "transfer_out"), 1)
USED = ({**HOLD, "transfer": 1}, ONE)
LONGER = ({"payment_intent": 2, "charge": 2, "customer": 1, "transfer": 2}, {"usage_charge": 1, **dict.fromkeys([*ONE][1:], 2)})
PREPAID = (
    {**HOLD, "refund": 1, "transfer": 1},
    dict.fromkeys(
        ("prepay_captured", "psp_fee", "usage_charge", "prepay_applied", "refund_initiated", "refund_settled", "transfer_out"), 1
    ),
)
PAGE = {"customer": 1, "checkout.session": 1}
PAID = ({**PAGE, "payment_intent": 1, "charge": 1}, {"prepay_captured": 1, "psp_fee": 1})
KEPT = ({"customer": 1, "setup_intent": 1}, {})
STORIES: dict[str, tuple[Callable[[World], None], tuple[Mapping[str, int], Mapping[str, int]]]] = {
    "hold": (book, (HOLD, {})),
    "capture": (used, USED),
    "transfer": (used, USED),
    "charge": (used_longer_than_held, LONGER),
    "release": (given_up, (HOLD, {})),
    "refund": (prepaid_and_used, PREPAID),
    "keep": (booked_far_ahead, KEPT),
    "page": (booked_by_wallet, (PAGE, {})),
    "read": (paid_on_its_page, PAID),
    "close": (given_up_on_its_page, (PAGE, {})),
    "look": (called_long_ago, USED),
    "read_payment": (used, USED),
    "read_setup": (booked_far_ahead, KEPT),
    "read_page": (left_on_its_page, (PAGE, {})),
    "events_since": (used, USED),
    "movements_since": (used, USED),
    "made_since": (used, USED),
}
"""Of each call that goes out: what leads to it, and the objects there and the entries here in the end."""

REQUESTS = {
    "hold": 2,
    "capture": 1,
    "transfer": 1,
    "charge": 1,
    "release": 1,
    "refund": 1,
    "keep": 2,
    "page": 2,
    "read": 2,
    "close": 1,
    "look": 1,
}
"""How many requests it takes that change something (of `look` and `read`, that read): each may lose its answer."""

NOT_THERE = {(subject, Seam.BEFORE_CLAIM) for subject in ("events_since", "movements_since", "made_since")} | {
    ("movements_since", Seam.BEFORE_COMMIT),
    ("movements_since", Seam.AFTER_COMMIT),
}
"""Nothing is claimed for a sweep, and what moved is committed with what was made."""


def points() -> Iterator[tuple[Point, timedelta]]:
    """Every point at which to die, and after how long a worker begins again."""
    for subject in STORIES:
        for seam in Seam:
            if (subject, seam) in NOT_THERE:
                continue
            for request in range(1, REQUESTS.get(subject, 1) + 1) if seam is Seam.ANSWER_LOST else (1,):
                yield Point(subject, seam, request), SOON
        if subject in set(Operation):
            yield Point(subject, Seam.ANSWER_LOST, REQUESTS[subject]), NEXT_DAY


def called_by_the_product() -> set[str]:
    """Methods of the provider that code outside of the adapters calls."""
    named = {name for name, _ in getmembers(Provider, isfunction) if not name.startswith("_")}
    files = [*(ROOT / "billing").rglob("*.py"), *(ROOT / "web").rglob("*.py")]
    trees = [ast.parse(file.read_text()) for file in files if "providers" not in file.parts]
    asked = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in named]
    return {node.attr for node in asked if "provider" in ast.unparse(node.value)}


def test_every_call_that_goes_out_has_its_story() -> None:
    assert {operation.value for operation in Operation} < set(STORIES)
    assert called_by_the_product() - {"perform"} == set(STORIES) - {operation.value for operation in Operation}


def name(value: Any) -> str | None:
    if isinstance(value, Point):
        return f"{value.subject}-{value.seam}-{value.request}"
    return f"{value.total_seconds() / 3600:.0f}h"


@pytest.mark.parametrize(("point", "later"), list(points()), ids=name)
def test_after_a_crash_there_is_one_object_there_and_one_entry_here(
    committed_db: sessionmaker[Session], point: Point, later: timedelta
) -> None:
    begin, (objects, entries) = STORIES[point.subject]
    world = World(committed_db)
    begin(world)
    world.point = point
    world.live()
    assert world.point is None, "nobody died: the point is not on the way"
    for wait in (later, SOON, timedelta(hours=2)):
        world.now += wait
        world.work()
    assert {kind: len(things) for kind, things in world.state.shop.kinds.items() if kind in CREATED and things} == objects
    with committed_db() as session:
        posted = [entry.kind.value for entry in session.query(JournalEntry)]
        assert {kind: posted.count(kind) for kind in posted} == dict(entries)
        assert {call.state for call in session.query(ProviderCall)} == {CallState.DONE}
        assert invariants.violations(session) == []
        assert invariants.provider_violations(session, world.provider.balance()) == []
        moved = {row["id"] for row in world.state.shop.all("balance_transaction")}
        assert {row.id for row in session.query(ProviderMovement)} == moved


CREATED = ("customer", "payment_intent", "charge", "refund", "transfer", "checkout.session", "setup_intent")


def test_each_operation_sends_as_many_requests_as_are_listed(committed_db: sessionmaker[Session]) -> None:
    world = World(committed_db)
    online = (paid_on_its_page, given_up_on_its_page, booked_far_ahead)
    for begin in (used, used_longer_than_held, given_up, prepaid_and_used, *online):
        world.now = BEFORE
        begin(world)
        world.work()
    assert {**world.sent, "look": 1} == REQUESTS
