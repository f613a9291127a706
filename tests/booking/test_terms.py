from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from booking.availability import Hours, open_slots
from booking.states import MOVES, BookingState, Move, after
from booking.terms import Rules, alternatives, reasons
from marketplace.refusals import WrongState
from marketplace.slot import Slot

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 3, 9, 1, tzinfo=UTC)  # Monday 09:00 local
RULES = Rules(
    hours=tuple(Hours(day, 540, 1020) for day in range(5)), step_min=30, min_min=60, max_min=240, notice_min=120, horizon_days=14
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
