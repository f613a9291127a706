"""The earliest chain, against every choice of starts; what is cheaper, in fewer houses, within a budget."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from booking.finding.chains import Chain, Option, Step, chains, cheapest, earliest
from booking.fitting import Starts
from booking.occupancy import Buffers
from marketplace.money import Money

NOW = datetime(2026, 3, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
SHANGHAI = ZoneInfo("Asia/Shanghai")
Span = tuple[int, int]


def at(hour: int) -> datetime:
    return NOW + hour * HOUR


def option(name: str, starts: Sequence[Span], *, house: str = "h", price: int = 100, length: int = 2) -> Option:
    """Begins at whole hours of `starts`, both edges included."""
    ranges = [(at(first), at(last)) for first, last in starts]
    found = Starts(length * HOUR, ranges, 60, SHANGHAI)
    return Option(name, house, Money(price, "CNY"), found, frozenset({name}), Buffers())


def told(chain: Chain | None) -> list[tuple[str, int]] | None:
    return [(leg.option.resource_id, (leg.slot.start - NOW) // HOUR) for leg in chain.legs] if chain else None


SPANS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 4)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=3)
STEPS = st.lists(
    st.tuples(st.lists(SPANS, min_size=1, max_size=2), st.integers(1, 4), st.integers(0, 3), st.none() | st.integers(0, 3)),
    min_size=1,
    max_size=3,
)


@given(drawn=STEPS)
def test_the_earliest_chain_ends_as_early_as_any_choice_of_starts_does(
    drawn: list[tuple[list[list[Span]], int, int, int | None]],
) -> None:
    steps, choices = [], []
    for n, (options, length, gap, wait) in enumerate(drawn):
        named = [option(f"r{n}.{m}", sorted(spans), length=length) for m, spans in enumerate(options)]
        steps.append(Step(named, gap * HOUR, None if wait is None else (gap + wait) * HOUR))
        choices.append(sorted({hour for spans in options for first, last in spans for hour in range(first, last + 1)}))
    ends = [
        starts[-1] + drawn[-1][1]
        for starts in product(*choices)
        if all(_follows(starts[n - 1] + drawn[n - 1][1], starts[n], drawn[n]) for n in range(1, len(starts)))
    ]
    found = earliest(steps, NOW)
    assert (found.end if found else None) == (at(min(ends)) if ends else None)


def _follows(before: int, start: int, step: tuple[list[list[Span]], int, int, int | None]) -> bool:
    _, _, gap, wait = step
    return before + gap <= start and (wait is None or start <= before + gap + wait)


def test_a_step_waits_so_that_the_next_one_is_not_too_late() -> None:
    steps = [Step([option("coat", [(0, 20)])]), Step([option("anneal", [(9, 20)])], gap_max=1 * HOUR)]
    assert told(earliest(steps, NOW)) == [("coat", 6), ("anneal", 9)]


def test_buffers_keep_two_steps_on_one_machine_apart() -> None:
    washed = Option("x", "h", Money(1, "CNY"), option("x", [(0, 20)]).starts, frozenset({"x"}), Buffers(HOUR, 2 * HOUR))
    assert told(earliest([Step([washed]), Step([washed])], NOW)) == [("x", 0), ("x", 5)]


def test_what_is_cheapest_is_found_though_it_is_later() -> None:
    soon, later = option("soon", [(0, 2)], price=900), option("later", [(10, 12)], price=100)
    never = option("never", [], price=1)
    assert told(cheapest([Step([soon, later, never])], NOW)) == [("later", 10)]


def test_a_budget_leaves_out_what_is_dearer() -> None:
    steps = [Step([option(f"{n}.{price}", [(hour, 20)], price=price) for hour, price in ((0, 900), (6, 100))]) for n in range(3)]
    found = chains(steps, NOW, Money(1200, "CNY"))
    assert found
    assert all(one.totals[0].minor <= 1200 for one in found)
    assert any(one.totals == [Money(1100, "CNY")] for one in found)


def test_one_house_for_all_steps_is_among_the_proposals() -> None:
    steps = []
    for n in range(2):
        soonest = {f"h{n}": 0, f"h{1 - n}": 5, "h9": 5}
        steps.append(Step([option(f"{n}.{house}", [(hour, 20)], house=house) for house, hour in soonest.items()]))
    found = chains(steps, NOW)
    assert len(found[0].houses) == 2
    assert min(len(one.houses) for one in found) == 1
