"""Everything that may be done to the bookings of a town, chosen at random from a seed."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from booking import actions, queries
from booking.admission import SlotRefused, Wish
from booking.bundles.moves import version_of
from booking.outages.plans import Proposal, Step, propose
from booking.places import lock_place
from booking.presence import actions as presence
from booking.rules.actions import set_rules
from booking.states import BookingState
from booking.tables import Booking, Category, Claim, OnConflict
from marketplace.permissions import Actor
from marketplace.refusals import Invalid, NotFound, Refusal
from marketplace.slot import Slot
from marketplace.tables import ListingState, Resource
from tests.flows import oracle
from tests.flows.patient import Patient
from tests.flows.town import AHEAD_QUARTERS, CHANGES, GUESSES, HOLD, LATELY, PARENTS, QUARTER, Broken, Changed
from web import bundling, checkout, repeating
from web.checkout import Order
from web.outages import PlannedOutage, record_outage


class Visitor(Patient):
    """One of the crowd."""

    def choose(self) -> tuple[str, Callable[[Session], Changed]]:
        """The next operation and its name."""
        self.now = self.town.now
        names = list(WEIGHTS)
        [name] = self.dice.choices(names, [WEIGHTS[one] for one in names])
        operation: Callable[[Session], Changed] = getattr(self, name)
        return name, operation

    def booking(self, session: Session, state: BookingState | None = None) -> Booking:
        """One of those that were made lately, most likely in `state`. Raises: NotFound."""
        known, row = self.town.known, None
        for _ in range(GUESSES if known else 0):
            row = queries.get_booking(session, known[self.dice.randrange(max(0, len(known) - LATELY), len(known))])
            if state in {None, row.state}:
                break
        if row is None:
            raise NotFound(kind="booking")
        return row

    def owner(self, row: Booking) -> Actor:
        return next((one for one in self.town.firms if one.person_id == row.person_id), self.town.manager)

    def book(self, session: Session) -> Changed:
        actor = self.firm() if self.dice.random() < 0.9 else self.town.manager
        order = self.order()
        if actor is self.town.manager:
            order = Order(order.resource_id, order.slot, override="calibration" if self.dice.random() < 0.5 else None)
        booking, _ = checkout.book(session, actor=actor, order=order, now=self.now, hold=HOLD)
        return [told(booking)]

    def bundle(self, session: Session) -> Changed:
        names = self.dice.sample(list(self.town.machines), self.dice.randint(2, 4))
        slot = self.slot(8)
        orders = [Order(self.town.machines[name], slot) for name in names]
        made = checkout.book_bundle(session, actor=self.firm(), orders=orders, now=self.now, hold=HOLD)
        return [told(booking) for booking, _ in made]

    def together(self, session: Session) -> Changed:
        """All of a bundle that lies ahead, earlier or later; now and then by an old version."""
        row = self.booking(session, BookingState.CONFIRMED)
        if row.bundle_id is None:
            raise NotFound(kind="bundle")
        version = version_of(queries.bookings_of_bundle(session, row.bundle_id)) - (self.dice.random() < 0.05)
        by = QUARTER * self.dice.choice((-16, -4, -1, 1, 2, 4, 8, 40))
        made, _ = bundling.move_bundle(
            session, actor=self.owner(row), bundle_id=row.bundle_id, by=by, version=version, now=self.now
        )
        return [told(one) for one in made.bookings]

    def repeat(self, session: Session) -> Changed:
        freq, interval = self.dice.choice((("DAILY", 1), ("DAILY", 2), ("WEEKLY", 1)))
        rule = f"FREQ={freq};INTERVAL={interval};COUNT={self.dice.randint(2, 6)}"
        policy = self.dice.choice(list(OnConflict))
        order = self.order(longest=8)
        made, _ = checkout.book_series(session, actor=self.firm(), order=order, rrule=rule, on_conflict=policy, now=self.now)
        self.town.series.append(made.bookings[0].id)
        return [told(row) for row in made.bookings]

    def end_series(self, session: Session) -> Changed:
        if not self.town.series:
            raise NotFound(kind="series")
        first = queries.get_booking(session, self.dice.choice(self.town.series))
        since = self.now + timedelta(hours=self.dice.randint(0, 72))
        ended = repeating.cancel_series(
            session, actor=self.owner(first), series_id=str(first.series_id), since=since, now=self.now
        )
        return [told(row) for row, _ in ended]

    def move(self, session: Session) -> Changed:
        """Elsewhere, longer or shorter; now and then by an old version."""
        row = self.booking(session, BookingState.CONFIRMED)
        version = row.version - (self.dice.random() < 0.05)
        by = QUARTER * self.dice.choice((-8, -4, -2, -1, 1, 2, 4, 8))
        kind = self.dice.choice(("shift", "start", "end", "anew"))
        slot = {"shift": (row.starts_at + by, row.ends_at + by), "start": (row.starts_at + by, row.ends_at)}.get(kind)
        if kind == "anew":
            found = self.slot()
        elif slot is None:
            found = moved(row.starts_at, row.ends_at + by)
        else:
            found = moved(*slot)
        actor = self.town.manager if self.dice.random() < 0.2 else self.owner(row)
        booking, _ = checkout.move(session, actor=actor, booking_id=row.id, slot=found, version=version, now=self.now)
        return [told(booking)]

    def cancel(self, session: Session) -> Changed:
        row = self.booking(session, BookingState.CONFIRMED)
        actor = self.town.manager if self.dice.random() < 0.2 else self.owner(row)
        booking, _ = checkout.cancel(session, actor=actor, booking_id=row.id, now=self.now)
        return [told(booking)]

    def decide(self, session: Session) -> Changed:
        row = self.booking(session, BookingState.REQUESTED)
        if self.dice.random() < 0.7:
            return [told(actions.approve(session, booking_id=row.id, actor_id=self.town.manager.known_id, now=self.now))]
        return [told(checkout.refuse(session, actor=self.town.manager, booking_id=row.id, now=self.now)[0])]

    def pay(self, session: Session) -> Changed:
        return [told(actions.confirm_hold(session, booking_id=self.booking(session, BookingState.HELD).id, now=self.now))]

    def expire(self, session: Session) -> Changed:
        due = [*queries.expired_holds(session, now=self.now), *queries.undecided_requests(session, now=self.now)]
        if not due:
            raise NotFound(kind="booking")
        chosen = self.dice.choice(sorted(due, key=self.town.known.index))
        checkout.expire(session, booking_id=chosen, now=self.now)
        return [told(queries.get_booking(session, chosen))]

    def attend(self, session: Session) -> Changed:
        """Someone who runs says they are there, or leaves early, or stays longer."""
        running = queries.current_bookings(session, list(self.town.machines.values()), now=self.now)
        if not running:
            raise NotFound(kind="booking")
        row = running[self.dice.choice([one for one in self.town.machines.values() if one in running])]
        step = self.dice.choice(("check_in", "finish", "extend"))
        if step == "extend":
            longer = Slot(row.starts_at, row.ends_at + QUARTER * self.dice.randint(1, 8))
            booking, _ = checkout.move(
                session, actor=self.owner(row), booking_id=row.id, slot=longer, version=row.version, now=self.now
            )
            return [told(booking)]
        act = presence.check_in if step == "check_in" else presence.finish
        return [told(act(session, booking_id=row.id, actor_id=row.person_id, now=self.now))]

    def conclude(self, session: Session) -> Changed:
        row = self.booking(session, BookingState.CONFIRMED)
        if row.ends_at > self.now:
            raise NotFound(kind="use")
        outcome = self.dice.choice((BookingState.COMPLETED, BookingState.NO_SHOW, BookingState.UNVERIFIABLE))
        return [told(actions.conclude(session, booking_id=row.id, outcome=outcome, now=self.now))]

    def outage(self, session: Session) -> Changed:
        """With a plan as it is proposed, or all cancelled, or all kept, as a manager may approve it."""
        machine = self.town.machines[self.dice.choice([name for name in self.town.machines if name != "card"])]
        slot = self.slot(16)
        plan = propose(session, resource_id=machine, slot=slot, now=self.now)
        how = self.dice.choice(("proposed", "cancel", "keep"))
        if how != "proposed":
            plan = [Proposal(one.booking, Step(how) if one.booking.starts_at > self.now else Step.KEEP) for one in plan]
        wanted = PlannedOutage(slot, self.dice.random() < 0.8, "保养")
        try:
            record_outage(session, actor=self.town.manager, resource_id=machine, outage=wanted, plan=plan, now=self.now)
        except Refusal as refusal:
            if how == "proposed" and session.get_bind().dialect.name == "sqlite":  # whoever plans there has the one write lock
                raise Broken(f"proposed and then refused: {refusal}") from refusal
            raise
        return [told(one.booking) for one in plan if one.step is not Step.KEEP]

    def new_rules(self, session: Session) -> Changed:
        name, rules = self.dice.choice(CHANGES)
        lock_place(session, self.town.machines[name])
        set_rules(session, resource_id=self.town.machines[name], rules=rules, actor_id=self.town.manager.person_id, now=self.now)
        return []

    def listed(self, session: Session) -> Changed:
        """What is shown free is granted, what is not is refused; tried with the row locked, then undone."""
        machine = self.town.machines[self.dice.choice([name for name in self.town.machines if name != "office"])]
        place = lock_place(session, machine)
        quantity = self.dice.randint(1, place.capacity)
        within = Slot(self.now, self.now + QUARTER * AHEAD_QUARTERS)
        free = queries.free_time(session, machine, within=within, now=self.now, quantity=quantity)
        slot = self._in_one_of(free) if free and self.dice.random() < 0.5 else self.slot()
        if slot.start < self.now or slot.duration % timedelta(minutes=place.rules.step_min) or not within.contains(slot):
            raise Invalid(field="slot", reason="is off the grid")
        if (slot.start.hour * 60 + slot.start.minute) % place.rules.step_min:
            raise Invalid(field="slot", reason="is off the grid")
        shown = any(span.contains(slot) for span in free)
        wish = Wish(machine, slot, self.town.stranger.person_id, self.town.stranger.organisation_id, Category.EXT, quantity)
        granted = self._tried(session, wish)
        spans = [(span.start, span.end) for span in place.rules.buffers.spans(slot)]
        needs = self._needs(session, machine, quantity)
        room = all(oracle.fits(self._claims(session, one), spans=spans, units=range(units)) >= need for one, units, need in needs)
        if not shown == granted == room:
            raise Broken(f"{machine} {slot} x{quantity}: shown {shown}, granted {granted}, by the rows {room}")
        return []

    def _in_one_of(self, free: Sequence[Slot]) -> Slot:
        """A slot of whole quarters inside a free stretch, often to its very ends."""
        span = self.dice.choice(free)
        first, last = -(-span.start.timestamp() // 900), span.end.timestamp() // 900
        if last - first < 1:
            raise Invalid(field="slot", reason="is off the grid")
        start = first if self.dice.random() < 0.4 else self.dice.randint(int(first), int(last) - 1)
        end = min(last, start + 96) if self.dice.random() < 0.4 else self.dice.randint(int(start) + 1, int(min(last, start + 96)))
        return Slot(datetime.fromtimestamp(start * 900, UTC), datetime.fromtimestamp(end * 900, UTC))

    def _tried(self, session: Session, wish: Wish) -> bool:
        attempt = session.begin_nested()
        try:
            actions.book(session, wish=wish, now=self.now)
        except SlotRefused:
            return False
        else:
            return True
        finally:
            attempt.rollback()

    def _needs(self, session: Session, machine: str, quantity: int) -> list[tuple[str, int, int]]:
        """Each resource that a use takes: its units, and how many of them."""
        own = session.get_one(Resource, machine)
        names = {one: name for name, one in self.town.machines.items()}
        below = [one for one in self.town.machines.values() if machine in self._above(names[one])]
        parts = [session.get_one(Resource, one) for one in below]
        assert own.state is ListingState.PUBLISHED
        return [(own.id, own.capacity, quantity), *((part.id, part.capacity, part.capacity) for part in parts)]

    def _above(self, name: str) -> list[str]:
        found = []
        while name in PARENTS:
            name = PARENTS[name]
            found.append(self.town.machines[name])
        return found

    def _claims(self, session: Session, resource_id: str) -> list[Claim]:
        rows = session.query(Claim).where(Claim.resource_id == resource_id, Claim.active)
        return rows.populate_existing().all()


WEIGHTS = {
    "book": 22,
    "bundle": 5,
    "together": 6,
    "repeat": 4,
    "end_series": 2,
    "move": 16,
    "cancel": 10,
    "decide": 5,
    "pay": 3,
    "expire": 4,
    "attend": 6,
    "conclude": 3,
    "outage": 2,
    "new_rules": 1,
    "listed": 14,
    "wait": 6,
    "answer": 5,
    "look": 3,
    "elsewhere": 1,
}
"""How often each is done."""


def told(booking: Booking) -> tuple[str, int]:
    return booking.id, booking.version


def moved(start: datetime, end: datetime) -> Slot:
    """Raises: Invalid (it ends before it starts)."""
    if end <= start:
        raise Invalid(field="end", reason="not after start")
    return Slot(start, end)
