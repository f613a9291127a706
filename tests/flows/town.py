"""A small town of machines and firms, and who lives in it."""

import random
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from booking.admission import Wish
from booking.occupancy import Gap
from booking.rules.actions import Further, RuleSet, set_rules
from booking.tables import Approval, Category
from marketplace.permissions import Actor, Grant
from marketplace.refusals import Refusal
from marketplace.roles import Role
from marketplace.slot import Slot
from marketplace.tables import Settlement
from tests.builders import a_member, a_person, a_resource, an_institution, an_organisation
from web.checkout import Order

START = datetime(2027, 3, 26, 6, tzinfo=UTC)
"""Two days before the clocks go forward in Berlin, where the town lies."""
QUARTER = timedelta(minutes=15)
AHEAD_QUARTERS = 4 * 60
"""How far ahead of the time people book: sixty hours, so that they meet."""
HOLD = timedelta(minutes=30)
TICK = timedelta(seconds=90)
"""By how much every operation moves the time on."""
LATELY = 80
"""Bookings that are likely to be touched again."""
GUESSES = 8
LOCK_LOST = "lock not had in time"
RULES: dict[str, tuple[RuleSet, Further, dict[str, Any]]] = {
    "plain": (RuleSet(step_min=30), Further(), {}),
    "three": (RuleSet(setup_min=15, cleaning_min=30, step_min=15), Further(), {"capacity": 3}),
    "swing": (RuleSet(setup_min=15, cleaning_min=30, buffer_mode=Gap.MAX, step_min=15), Further(), {}),
    "line": (RuleSet(cleaning_min=30, step_min=15), Further(), {}),
    "coater": (RuleSet(setup_min=15, cleaning_min=15, buffer_mode=Gap.MAX, step_min=15), Further(), {}),
    "oven": (RuleSet(cleaning_min=15, step_min=15), Further(), {"capacity": 2}),
    "dryer": (RuleSet(step_min=15), Further(), {}),
    "asked": (RuleSet(approval=Approval.REQUEST, step_min=15), Further(decide_within_h=6), {"capacity": 2}),
    "shared": (RuleSet(setup_min=15, cleaning_min=30, step_min=15), Further(waive_own_buffers=True), {"capacity": 2}),
    "turns": (RuleSet(setup_min=30, cleaning_min=15, buffer_mode=Gap.MAX, step_min=15), Further(waive_own_buffers=True), {}),
    "office": (
        RuleSet(hours=[{"weekday": day, "open_min": 480, "close_min": 1440} for day in range(7)], cleaning_min=30, step_min=15),
        Further(buffers_in_closed=False, quotas=[{"limit": 6, "unit": "hours", "per": "day", "by": "organisation"}]),
        {},
    ),
    "card": (RuleSet(step_min=15), Further(), {}),
}
"""What each machine asks; `line` has the stations `coater` and `oven`, and the coater has the `dryer` within it."""
PARENTS = {"coater": "line", "oven": "line", "dryer": "coater"}
CHANGES = [
    ("plain", RuleSet(setup_min=15, step_min=15)),
    ("plain", RuleSet(step_min=30, cleaning_min=15, buffer_mode=Gap.MAX)),
    ("swing", RuleSet(setup_min=30, cleaning_min=15, step_min=15)),
    ("swing", RuleSet(setup_min=15, cleaning_min=30, buffer_mode=Gap.MAX, step_min=15)),
]
"""Rules that are set while bookings stand that were made under others."""


class Broken(AssertionError):
    """A law did not hold for what was just asked."""


@dataclass
class Town:
    """What the crowd knows; `now` moves on with every operation."""

    machines: dict[str, str]
    firms: Sequence[Actor]
    manager: Actor
    stranger: Wish
    known: list[str] = field(default_factory=list)
    series: list[str] = field(default_factory=list)
    """The first booking of each."""
    versions: dict[str, int] = field(default_factory=dict)
    """The version of each booking that was committed last, as far as we were told."""
    done: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)
    operations: int = 0

    @property
    def now(self) -> datetime:
        return START + self.operations * TICK

    def keep(self, what: str, changed: Sequence[tuple[str, int]]) -> None:
        """After the commit."""
        with self.lock:
            self.done[what] += 1
            for booking_id, version in changed:
                if booking_id not in self.versions:
                    self.known.append(booking_id)
                self.versions[booking_id] = max(version, self.versions.get(booking_id, 0))

    def refuse(self, what: str, refusal: Refusal) -> None:
        with self.lock:
            self.done[f"{what} refused"] += 1
            self.done[f"{refusal.code}"] += 1

    def lose(self) -> None:
        """A lock was not had in time: nothing was done, and the pages and the API would ask again."""
        with self.lock:
            self.done[LOCK_LOST] += 1

    def tick(self) -> int:
        """Count one operation; its number."""
        with self.lock:
            self.operations += 1
            return self.operations


def a_town(session: Session) -> Town:
    """Everything that is there before the first booking."""
    house, firms = an_institution(session), [an_organisation(session) for _ in range(3)]
    cashier = an_institution(session, settlement=Settlement.PLATFORM_COLLECTS)
    machines: dict[str, str] = {}
    for name, (rules, further, values) in RULES.items():
        parent = machines.get(PARENTS.get(name, ""))
        owner = cashier if name == "card" else house
        row = a_resource(session, institution=owner, timezone="Europe/Berlin", parent_id=parent, name=name, **values)
        set_rules(session, resource_id=row.id, rules=rules, further=further, actor_id=None, now=START)
        machines[name] = row.id
    staff = a_member(session, Role.MANAGER, institution=house)
    manager = Actor(staff.id, grants=frozenset({Grant(Role.MANAGER, institution_id=house.id)}))
    people = [(a_member(session, Role.MEMBER, organisation=firm), firm) for firm in firms]
    actors = [Actor(one.id, grants=frozenset({Grant(Role.MEMBER, organisation_id=firm.id)})) for one, firm in people]
    stranger = Wish("", Slot(START, START + QUARTER), a_person(session).id, an_organisation(session).id, Category.EXT)
    return Town(machines, actors, manager, stranger)


Changed = list[tuple[str, int]]
"""Bookings with their version after an operation."""


class Guest:
    """Somebody of the town; what they do depends on their seed and on what the others have done before."""

    def __init__(self, town: Town, seed: str) -> None:
        self.town, self.dice = town, random.Random(seed)
        self.now = START

    def slot(self, longest: int = 24) -> Slot:
        """A slot ahead, on the quarters of an hour and mostly of the half hours."""
        grid = self.dice.choice((1, 2, 2, 4))
        floor = datetime.fromtimestamp(self.now.timestamp() // 3600 * 3600, UTC)
        start = floor + QUARTER * grid * self.dice.randint(0, AHEAD_QUARTERS // grid)
        return Slot(start, start + QUARTER * grid * self.dice.randint(1, max(1, longest // grid)))

    def order(self, name: str | None = None, *, longest: int = 24) -> Order:
        machine = self.town.machines[name or self.dice.choice(list(self.town.machines))]
        quantity = self.dice.choice((1, 1, 1, 1, 2, 3))
        return Order(machine, self.slot(longest), quantity=quantity)

    def firm(self) -> Actor:
        return self.dice.choice(self.town.firms)
