from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from booking.occupancy import Buffers, Gap, Taken, choose, conflicts, free, usable
from marketplace.slot import Slot

MIDNIGHT = datetime(2026, 3, 10, tzinfo=UTC)


def at(start: float, end: float) -> Slot:
    return Slot(MIDNIGHT + timedelta(hours=start), MIDNIGHT + timedelta(hours=end))


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


DAY = at(0, 24)


def placed(spans: list[tuple[float, float]], capacity: int, buffers: Buffers | None = None) -> list[Taken]:
    """Claims of bookings made one after the other, each on the lowest units that are free."""
    rules, claims = buffers or Buffers(), []
    for number, (start, end) in enumerate(spans):
        slot = at(start, end)
        units = choose(usable(claims, capacity=capacity, buffers=rules, within=[slot]), slot, 1)
        assert units, f"{start}-{end} does not fit"
        claims += [Taken(f"b{number}", units[0], lane, span) for lane, span in enumerate(rules.spans(slot))]
    return claims


def fits(claims: list[Taken], slot: Slot, capacity: int = 1, buffers: Buffers | None = None) -> bool:
    return bool(choose(usable(claims, capacity=capacity, buffers=buffers or Buffers(), within=[slot]), slot, 1))


def test_touching_slots_are_free() -> None:
    claims = placed([(10, 11)], 1)
    assert fits(claims, at(11, 12))
    assert not fits(claims, at(10.9, 11.5))


def test_a_conflict_is_clipped_to_the_request() -> None:
    slot = Slot(MIDNIGHT + minutes(659), MIDNIGHT + minutes(690))
    assert conflicts(placed([(10, 11)], 1), slot, Buffers(), capacity=1, quantity=1) == [
        Slot(MIDNIGHT + minutes(659), MIDNIGHT + minutes(660))
    ]
    both = conflicts(placed([(10, 11), (11, 12)], 1), slot, Buffers(), capacity=1, quantity=1)
    assert both == [slot]


def test_a_conflict_of_buffers_alone_is_the_part_of_the_request_that_has_no_room() -> None:
    for gap, room in ((Gap.SUM, 13.75), (Gap.MAX, 13.5)):
        buffers = Buffers(minutes(15), minutes(30), gap)
        claims = placed([(12, 13)], 1, buffers)
        late = conflicts(claims, at(room - 0.1, 15), buffers, capacity=1, quantity=1)
        assert late == [at(room - 0.1, room)]
        end = 12 - (room - 13)
        assert conflicts(claims, at(10, end + 0.1), buffers, capacity=1, quantity=1) == [at(end, end + 0.1)]


def test_three_units_hold_a_long_run_beside_three_short_ones() -> None:
    claims = placed([(10, 11), (11, 12), (9.5, 11)], 3)
    assert fits(claims, at(9, 12), capacity=3)


def test_units_fragment() -> None:
    claims = [Taken("a", 0, 0, at(0, 1)), Taken("b", 1, 0, at(1, 2))]
    assert not fits(claims, at(0, 2), capacity=2)
    assert conflicts(claims, at(0, 2), Buffers(), capacity=2, quantity=1) == [at(0, 2)]


def test_sum_leaves_cleaning_then_setup() -> None:
    buffers = Buffers(minutes(15), minutes(30))
    claims = placed([(12, 13)], 1, buffers)
    assert fits(claims, at(13.75, 15), buffers=buffers)
    assert not fits(claims, at(13.75 - 1 / 60, 15), buffers=buffers)


def test_max_leaves_the_larger_of_the_two() -> None:
    buffers = Buffers(minutes(15), minutes(30), Gap.MAX)
    claims = placed([(12, 13)], 1, buffers)
    assert fits(claims, at(13.5, 15), buffers=buffers)
    assert not fits(claims, at(13.5 - 1 / 60, 15), buffers=buffers)
    assert fits(claims, at(10, 11.5), buffers=buffers)
    assert not fits(claims, at(10, 11.5 + 1 / 60), buffers=buffers)


SPANS = st.lists(
    st.tuples(st.integers(0, 22), st.integers(1, 8)).map(lambda pair: (pair[0], min(24, pair[0] + pair[1]))), max_size=8
)


@given(spans=SPANS, capacity=st.integers(1, 3), quantity=st.integers(1, 3), gap=st.sampled_from(Gap))
def test_what_is_listed_as_free_is_admitted_whole(spans: list[tuple[int, int]], capacity: int, quantity: int, gap: Gap) -> None:
    buffers = Buffers(minutes(30), minutes(60), gap)
    claims: list[Taken] = []
    for number, (start, end) in enumerate(spans):
        slot = at(start, end)
        for unit in choose(usable(claims, capacity=capacity, buffers=buffers, within=[slot]), slot, 1):
            claims += [Taken(f"b{number}", unit, lane, span) for lane, span in enumerate(buffers.spans(slot))]
    for stretch in free(usable(claims, capacity=capacity, buffers=buffers, within=[DAY]), quantity):
        units = usable(claims, capacity=capacity, buffers=buffers, within=[stretch])
        assert len(choose(units, stretch, quantity)) == quantity


@given(spans=SPANS, gap=st.sampled_from(Gap), wish=st.tuples(st.integers(0, 20), st.integers(1, 4)))
def test_what_is_admitted_lies_in_listed_free_time(spans: list[tuple[int, int]], gap: Gap, wish: tuple[int, int]) -> None:
    buffers = Buffers(minutes(30), minutes(60), gap)
    claims: list[Taken] = []
    for number, (start, end) in enumerate(spans):
        if fits(claims, at(start, end), buffers=buffers):
            claims += [Taken(f"b{number}", 0, lane, span) for lane, span in enumerate(buffers.spans(at(start, end)))]
    slot = at(wish[0], wish[0] + wish[1])
    listed = free(usable(claims, capacity=1, buffers=buffers, within=[DAY]), 1)
    assert fits(claims, slot, buffers=buffers) == any(stretch.contains(slot) for stretch in listed)
