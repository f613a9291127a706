"""What holds for any facts: every second in one state, and the sums that must agree."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.facts import Attestation, Downtime, Outage, Parameters, Reservation, Segment, Telemetry, Unit, UnitFacts, Use
from evaluation.metrics import counting, tally
from evaluation.spans import clip, intersect, length, subtract, union
from evaluation.states import State, UnitStates, states_of

PERIOD = (20_000, 60_000)
PARAMS = Parameters(merge_gap_s=600, min_run_s=120)

instants = st.integers(0, 400).map(lambda n: n * 200)
spans = st.tuples(instants, st.integers(1, 60)).map(lambda pair: (pair[0], pair[0] + pair[1] * 200))
many_spans = st.lists(spans, max_size=8)


@st.composite
def any_facts(draw: st.DrawFn) -> UnitFacts:
    capacity = draw(st.integers(1, 3))
    bookings = [
        Reservation(f"b{n}", *span, draw(st.sampled_from(Use)), qty=draw(st.integers(1, capacity)), decided_at=draw(instants))
        for n, span in enumerate(draw(many_spans))
    ]
    papers = [
        Attestation(*span, draw(st.sampled_from([*(b.id for b in bookings), None])), draw(st.booleans()), draw(st.booleans()))
        for span in draw(many_spans)
    ]
    return UnitFacts(
        unit=Unit("u1", "line", "o1", capacity=capacity),
        calendar=draw(many_spans),
        downtime=[Outage(*span, draw(st.sampled_from(Downtime)), draw(st.none() | instants)) for span in draw(many_spans)],
        bookings=bookings,
        segments=[Segment(*span, draw(st.sampled_from(Telemetry)), "m") for span in draw(st.lists(spans, max_size=20))],
        attestations=papers,
    )


def states(facts: UnitFacts) -> UnitStates:
    return states_of(facts, PERIOD, PARAMS, counting(frozenset()))


@pytest.mark.laws
@settings(max_examples=150, deadline=None)
@given(any_facts())
def test_every_second_of_the_window_is_in_exactly_one_state(facts: UnitFacts) -> None:
    found = states(facts)
    assert sum(found.ledger.values()) == PERIOD[1] - PERIOD[0]
    assert min(found.ledger.values()) >= 0


@pytest.mark.laws
@settings(max_examples=150, deadline=None)
@given(any_facts())
def test_categories_add_up_to_effective_time_and_effective_time_is_no_downtime(facts: UnitFacts) -> None:
    found = states(facts)
    sums = tally(facts, found, PERIOD, PARAMS, {})
    productive = [s for s in State if s.value.startswith("prd")]
    assert sum(found.ledger[state] for state in productive) == sums.eff_s
    assert sums.eff_s == length(union((p.start, p.end) for p in found.pieces))
    assert not intersect(union((p.start, p.end) for p in found.pieces), found.down.both)
    assert sums.class_a_s + sums.class_b_s + sums.class_c_s == sums.eff_s
    assert sums.eff_graded_s <= sums.eff_s <= sums.window_s
    assert sums.eff_available_unit_s <= sums.open_unit_s - sums.pd_s - sums.ud_s
    assert sums.idle_booked_s + sums.idle_other_s == found.ledger[State.SBY_BOOKED]


@pytest.mark.laws
@settings(max_examples=60, deadline=None)
@given(any_facts(), st.randoms(use_true_random=False))
def test_the_order_and_repetition_of_telemetry_never_matter(facts: UnitFacts, random: object) -> None:
    again = [*facts.segments, *facts.segments]
    random.shuffle(again)  # type: ignore[attr-defined]
    shuffled = UnitFacts(facts.unit, facts.calendar, facts.downtime, facts.bookings, again, facts.attestations)
    assert states(shuffled) == states(facts)


@given(many_spans, many_spans)
def test_span_operations_agree_with_sets_of_seconds(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    def instants_of(found: list[tuple[int, int]]) -> set[int]:
        return {at for start, end in found for at in range(start, end, 200)}

    a, b = union(left), union(right)
    assert instants_of(subtract(a, b)) == instants_of(a) - instants_of(b)
    assert instants_of(intersect(a, b)) == instants_of(a) & instants_of(b)
    assert instants_of(clip(a, (4000, 30_000))) == {at for at in instants_of(a) if 4000 <= at < 30_000}
    assert all(first[1] < second[0] for first, second in pairwise(a))
