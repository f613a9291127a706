from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.lines.queries import Kin
from devices.matching import Booked, Part, Verdict, match, match_parts, unbooked
from devices.segments import Segment, State
from marketplace.slot import Slot, intersect, subtract, total, union

MIDNIGHT = datetime(2026, 3, 10, tzinfo=UTC)


def span(start: float, end: float) -> Slot:
    return Slot(MIDNIGHT + timedelta(minutes=start), MIDNIGHT + timedelta(minutes=end))


def day(*runs: tuple[State, float, float]) -> list[Segment]:
    """A day of OFF with the given states in it."""
    inside = [Segment(span(start, end), state) for state, start, end in runs]
    rest = [Segment(slot, State.OFF) for slot in subtract([span(0, 1440)], [piece.slot for piece in inside])]
    return sorted([*inside, *rest], key=lambda piece: piece.slot)


def minutes(spans: timedelta) -> float:
    return spans.total_seconds() / 60


def test_an_early_start_and_an_overrun_belong_to_the_booking_and_the_rest_to_nobody() -> None:
    segments = day((State.RUN, 580, 770))
    (use,) = match(segments, [Booked("b", span(600, 720))])
    assert (minutes(use.early), minutes(use.confirmed), minutes(use.overrun)) == (15, 120, 50)
    assert use.verdict is Verdict.FULFILLED
    assert unbooked(segments, [use]) == [span(580, 585)]


def test_a_run_across_two_bookings_is_split_at_the_border() -> None:
    segments = day((State.RUN, 600, 780))
    first, second = match(segments, [Booked("a", span(600, 690)), Booked("b", span(690, 780))])
    assert (minutes(first.confirmed), minutes(first.overrun), first.split) == (90, 0, True)
    assert (minutes(second.confirmed), minutes(second.early), second.split) == (90, 0, False)


def test_the_run_of_the_one_before_is_not_an_early_start() -> None:
    segments = day((State.RUN, 600, 705))
    first, second = match(segments, [Booked("a", span(600, 690)), Booked("b", span(710, 780))])
    assert minutes(first.overrun) == 15
    assert minutes(second.early) == 0
    assert second.verdict is Verdict.NO_SHOW


def test_an_overrun_ends_after_an_hour() -> None:
    (use,) = match(day((State.RUN, 600, 800)), [Booked("b", span(600, 700))])
    assert minutes(use.overrun) == 60


@pytest.mark.parametrize(("overtime", "following", "counts"), [(0, 790, 0), (20, 790, 20), (20, 710, 10), (20, 700, 0)])
def test_an_overrun_ends_where_the_booking_allows_no_more_or_the_next_one_begins(
    overtime: int, following: int, counts: int
) -> None:
    segments = day((State.RUN, 600, 760))
    first = Booked("a", span(600, 700), overtime=timedelta(minutes=overtime))
    uses = match(segments, [first, Booked("b", span(following, 800))])
    assert (minutes(uses[0].overrun), uses[0].split) == (counts, following == 700)
    assert unbooked(segments, uses) == ([span(700 + counts, 760)] if following == 790 else [])


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        ([(State.IDLE, 500, 800)], Verdict.NO_SHOW),
        ([(State.UNKNOWN, 590, 800)], Verdict.UNVERIFIABLE),
        ([(State.UNKNOWN, 600, 612)], Verdict.NO_SHOW),
        ([(State.UNKNOWN, 600, 612.1)], Verdict.UNVERIFIABLE),
        ([(State.FAULT, 600, 660)], Verdict.PROVIDER_FAILED),
        ([(State.FAULT, 600, 659)], Verdict.NO_SHOW),
        ([(State.FAULT, 600, 700), (State.RUN, 700, 710)], Verdict.FULFILLED),
    ],
)
def test_blind_time_accuses_nobody(states: list[tuple[State, float, float]], verdict: Verdict) -> None:
    (use,) = match(day(*states), [Booked("b", span(600, 720))])
    assert use.verdict is verdict


def test_no_telemetry_at_all_is_unverifiable() -> None:
    (use,) = match([], [Booked("b", span(600, 720))])
    assert use.verdict is Verdict.UNVERIFIABLE
    assert minutes(use.unverified) == 120


def test_a_bridged_silence_is_run_only_inside_one_booking() -> None:
    segments = [
        Segment(span(600, 640), State.RUN),
        Segment(span(640, 650), State.UNKNOWN, bridged=True),
        Segment(span(650, 700), State.RUN),
    ]
    (whole,) = match(segments, [Booked("b", span(600, 700))])
    assert minutes(whole.confirmed) == 100
    (cut, _) = match(segments, [Booked("a", span(600, 645)), Booked("b", span(645, 700))])
    assert (minutes(cut.confirmed), minutes(cut.unverified)) == (40, 5)


EDGES = st.lists(st.integers(0, 1440), min_size=2, max_size=12, unique=True).map(sorted)


@given(
    edges=EDGES,
    states=st.lists(st.sampled_from(State), min_size=11, max_size=11),
    slots=EDGES,
    overtimes=st.lists(st.integers(0, 60), min_size=6, max_size=6),
)
def test_no_second_of_run_is_given_twice_or_lost(
    edges: list[int], states: list[State], slots: list[int], overtimes: list[int]
) -> None:
    segments = day(*[(state, a, b) for state, a, b in zip(states, edges, edges[1:], strict=False)])
    times = zip(slots[::2], slots[1::2], overtimes, strict=False)
    bookings = [Booked(str(n), span(a, b), overtime=timedelta(minutes=most)) for n, (a, b, most) in enumerate(times)]
    uses = match(segments, bookings)
    assert all(use.overrun <= one.overtime for use, one in zip(uses, bookings, strict=True))
    given_away = [piece.slot for use in uses for piece in use.pieces if piece.state is State.RUN]
    assert sum((slot.duration for slot in given_away), timedelta()) == total(given_away)
    run = total(segment.slot for segment in segments if segment.state is State.RUN)
    assert total(given_away) + total(unbooked(segments, uses)) == run


KINS = {
    "line": Kin("line", (), {"mixer": "line", "dryer": "line", "pump": "dryer"}, frozenset()),
    "mixer": Kin("mixer", ("line",), {}, frozenset()),
    "dryer": Kin("dryer", ("line",), {"pump": "dryer"}, frozenset()),
    "pump": Kin("pump", ("dryer", "line"), {}, frozenset()),
}
STATES = st.lists(st.sampled_from(State), min_size=11, max_size=11)
OF_EACH = st.fixed_dictionaries({name: st.tuples(EDGES, STATES) for name in KINS})


@given(told=OF_EACH, slots=EDGES, whose=st.lists(st.sampled_from(list(KINS)), min_size=6, max_size=6), down=OF_EACH)
def test_on_no_station_a_second_of_run_is_given_twice(
    told: dict[str, tuple[list[int], list[State]]], slots: list[int], whose: list[str], down: dict[str, tuple[list[int], object]]
) -> None:
    """And the line has what it has of any of its parts."""
    seen = {
        name: day(*[(state, a, b) for state, a, b in zip(states, edges, edges[1:], strict=False)])
        for name, (edges, states) in told.items()
    }
    stopped = {name: [span(*edges[:2])] for name, (edges, _) in down.items()}
    booked = [(whose[n], Booked(str(n), span(a, b))) for n, (a, b) in enumerate(zip(slots[::2], slots[1::2], strict=False))]
    given_away: dict[str, list[Slot]] = {name: [] for name in KINS}
    for place, one in booked:
        kin = KINS[place]
        parts = {
            name: Part(
                seen[name],
                [other for user, other in booked if user in kin.users_of(name)],
                stopped[name],
                [slot for above in kin.way_up(name) for slot in stopped[above]],
            )
            for name in kin.parts
        }
        alone = {name: match_parts(one.booking_id, [part]).pieces for name, part in parts.items()}
        runs = {name: [piece.slot for piece in pieces if piece.state is State.RUN] for name, pieces in alone.items()}
        for name, slots_of_one in runs.items():
            given_away[name] += slots_of_one
        whole = match_parts(one.booking_id, list(parts.values()))
        used = [piece.slot for piece in whole.pieces if piece.state is State.RUN]
        assert union(used) == union(slot for some in runs.values() for slot in some)
        assert whole.confirmed + whole.early + whole.overrun == total(used)
        assert not intersect(used, stopped[place])
    for name, run in given_away.items():
        assert sum((slot.duration for slot in run), timedelta()) == total(run)
        ran = [segment.slot for segment in seen[name] if segment.state is State.RUN]
        assert not subtract(run, ran)
        assert not intersect(run, stopped[name])


def test_a_line_that_was_stopped_ends_its_overrun_there() -> None:
    part = Part(day((State.RUN, 600, 760)), [Booked("b", span(600, 720))], stopped=[span(650, 660), span(730, 740)])
    use = match_parts("b", [part])
    assert (minutes(use.confirmed), minutes(use.overrun), minutes(use.fault)) == (110, 10, 10)
