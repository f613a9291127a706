from datetime import UTC, datetime, timedelta

from devices.live.curves import Curve, added

BEGIN = datetime(2026, 3, 10, tzinfo=UTC)


def curve(*points: tuple[int, float]) -> Curve:
    """Minutes and watts; each counts for three minutes."""
    return Curve([(BEGIN + timedelta(minutes=at), power) for at, power in points], timedelta(minutes=3))


def test_at_each_time_what_all_told_last_is_added() -> None:
    assert added([curve((0, 1.0), (2, 2.0)), curve((1, 10.0), (2, 20.0))], since=BEGIN, most=60) == [1.0, 11.0, 22.0]


def test_who_is_silent_adds_nothing_and_who_spoke_before_still_does() -> None:
    told = [curve((-1, 5.0)), curve((0, 1.0), (2, 1.0), (3, 1.0))]
    assert added(told, since=BEGIN, most=60) == [6.0, 6.0, 1.0]


def test_no_more_than_are_asked_for_are_given() -> None:
    many = curve(*((at, float(at)) for at in range(100)))
    assert [len(added([many], since=BEGIN, most=most)) for most in (60, 100, 7)] == [50, 100, 7]
    assert added([], since=BEGIN, most=60) == []
