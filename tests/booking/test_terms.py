from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.availability import Hours, Opening, open_slots
from booking.occupancy import Buffers, Gap
from booking.states import MOVES, BookingState, Move, after
from booking.terms import Rules, alternatives, bookable_hours, reasons
from marketplace.refusals import WrongState
from marketplace.slot import Slot

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 3, 9, 1, tzinfo=UTC)  # Monday 09:00 local
RULES = Rules(
    hours=Opening(tuple(Hours(day, 540, 1020) for day in range(5))),
    step_min=30,
    min_min=60,
    max_min=240,
    notice_min=120,
    horizon_days=14,
)


def local(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=SHANGHAI)


def codes(start: datetime, end: datetime) -> list[str]:
    slot = Slot(start, end)
    return [
        reason.code
        for reason in reasons(slot, rules=RULES, zone=SHANGHAI, opened=open_slots(RULES.hours, SHANGHAI, slot), now=NOW)
    ]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (local(10, 9), local(10, 11), []),
        (local(10, 9), local(10, 17), ["too_long"]),
        (local(10, 9), local(10, 9, 30), ["too_short"]),
        (local(10, 9, 10), local(10, 10, 10), ["off_step"]),
        (local(10, 16), local(10, 18), ["outside_hours"]),
        (local(9, 10), local(9, 11), ["too_soon"]),
        (local(9, 11), local(9, 12), []),
        (local(6, 10), local(6, 11), ["starts_in_past"]),
        (local(25, 10), local(25, 11), ["beyond_horizon"]),
        (local(7, 3, 10), local(7, 3, 30), ["too_short", "off_step", "starts_in_past", "outside_hours"]),
    ],
)
def test_every_broken_rule_is_named_at_once(start: datetime, end: datetime, expected: list[str]) -> None:
    assert codes(start, end) == expected


def test_alternatives_are_the_three_nearest_of_the_same_length() -> None:
    free = [Slot(local(10, 9), local(10, 11)), Slot(local(10, 13), local(10, 17)), Slot(local(11, 9), local(11, 17))]
    wanted = Slot(local(10, 11), local(10, 13))
    found = alternatives(free, wanted, rules=RULES, zone=SHANGHAI, now=NOW)
    assert found == [
        Slot(local(10, 13), local(10, 15)),
        Slot(local(10, 9), local(10, 11)),
        Slot(local(10, 15), local(10, 17)),
    ]


@given(
    gaps=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), max_size=12),
    start=st.integers(0, 400),
    length=st.integers(2, 8),
)
def test_nothing_free_is_nearer_than_the_alternatives(gaps: list[tuple[int, int]], start: int, length: int) -> None:
    """Each start on the step that fits is one of them, overlaps one that is as near, or lies farther than all three."""
    quarter, free, at = timedelta(minutes=15), [], local(10, 0)
    for busy, long in gaps:
        free.append(Slot(at + busy * quarter, at + (busy + long) * quarter))
        at = free[-1].end
    rules = Rules(step_min=15)
    wanted = Slot(local(10, 0) + start * quarter, local(10, 0) + (start + length) * quarter)
    found = alternatives(free, wanted, rules=rules, zone=SHANGHAI, now=NOW)
    assert all(any(span.contains(slot) for span in free) for slot in found)
    starts = [span.start + n * quarter for span in free for n in range(int((span.duration - wanted.duration) / quarter) + 1)]
    for slot in (Slot(one, one + wanted.duration) for one in starts):
        nearer = [one for one in found if abs(one.start - wanted.start) <= abs(slot.start - wanted.start)]
        assert len(nearer) == 3 or any(one.overlaps(slot) for one in nearer), slot


def test_a_length_that_breaks_a_rule_has_no_alternatives() -> None:
    free = [Slot(local(10, 9), local(10, 17))]
    assert alternatives(free, Slot(local(10, 9), local(10, 9, 30)), rules=RULES, zone=SHANGHAI, now=NOW) == []


def test_alternatives_keep_the_step() -> None:
    free = [Slot(local(10, 9, 50), local(10, 12))]
    (found,) = alternatives(free, Slot(local(10, 8), local(10, 10)), rules=RULES, zone=SHANGHAI, now=NOW)
    assert found == Slot(local(10, 10), local(10, 12))


def test_nothing_moves_on_from_an_end() -> None:
    ends = set(BookingState) - {state for state, _ in MOVES}
    assert ends == {
        BookingState.COMPLETED,
        BookingState.CANCELLED,
        BookingState.NO_SHOW,
        BookingState.EXPIRED,
        BookingState.REFUSED,
        BookingState.PROVIDER_FAILED,
    }
    for state in ends:
        for step in Move:
            with pytest.raises(WrongState):
                after(state, step)


def test_a_slot_at_the_horizon_is_in_time() -> None:
    end = NOW + timedelta(days=14)
    slot = Slot(end - timedelta(hours=1), end)
    assert not [r for r in reasons(slot, rules=RULES, zone=SHANGHAI, opened=[slot], now=NOW) if r.code == "beyond_horizon"]


minutes = st.integers(0, 180).map(lambda n: timedelta(minutes=n))
days = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 1439), st.integers(1, 1440)), min_size=1, max_size=8)


@given(
    days,
    minutes,
    minutes,
    st.sampled_from(Gap),
    st.booleans(),
    st.integers(0, 7 * 1440),
    st.integers(1, 2000),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Shanghai"]),
)
def test_bookable_hours_are_those_in_which_no_reason_of_hours_is_given(
    spans: list[tuple[int, int, int]],
    setup: timedelta,
    cleaning: timedelta,
    gap: Gap,
    in_closed: bool,
    at: int,
    length: int,
    name: str,
) -> None:
    zone = ZoneInfo(name)
    weekly = [Hours(day, start, end) for day, start, end in spans if start < end]
    rules = Rules(hours=Opening(weekly), buffers=Buffers(setup, cleaning, gap), buffers_in_closed=in_closed)
    start = datetime(2026, 10, 31, tzinfo=UTC) + timedelta(minutes=at)
    slot = Slot(start, start + timedelta(minutes=length))
    opened = open_slots(rules.hours, zone, slot.widen(setup, cleaning))
    given_reasons = {reason.code for reason in reasons(slot, rules=rules, zone=zone, opened=opened, now=NOW)}
    hours_say_no = bool(given_reasons & {"outside_hours", "buffers_outside_hours"})
    assert hours_say_no == (bookable_hours(rules, zone, slot) != [slot])
    assert hours_say_no == (not any(span.contains(slot) for span in bookable_hours(rules, zone, slot.widen(setup, cleaning))))
    assert in_closed <= ("buffers_outside_hours" not in given_reasons)
