"""A line and its stations: each meter tells of the part that it hangs on, and the line is told by all of its parts."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Event
from time import sleep

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from sqlalchemy.orm import Session, sessionmaker

from booking.lines.queries import kin_of
from booking.outages.actions import record_outage
from booking.tables import Booking
from devices import actions, confirming, queries
from devices.intake import actions as intake
from devices.live.queries import Live, LiveState, live_states, power_of_device, power_of_resource
from devices.matching import Verdict
from devices.readings import Envelope
from devices.registry.actions import register_device, revoke
from devices.segments import State
from devices.tables import ConfirmedUse, Device
from marketplace.slot import Slot
from marketplace.tables import ListingState, Resource
from tests.builders import a_booking, a_person, a_resource

BEGIN = datetime(2026, 3, 10, 1, tzinfo=UTC)
RUNS, STANDS = 350.0, 8.0


def minute(count: float) -> datetime:
    return BEGIN + timedelta(minutes=count)


def said(device: Device, at: float, power: float) -> Envelope:
    body = {"ts": int(minute(at).timestamp() * 1000), "p": power, "e": at * 10.0}
    return Envelope(f"d/{device.key}/t", orjson.dumps(body), minute(at) + timedelta(seconds=1))


def told(device: Device, until: int, *runs: tuple[int, int], since: int = 0, but: tuple[int, int] = (0, 0)) -> list[Envelope]:
    """A message a minute, of a machine that runs then; none in the minutes of `but`."""
    minutes = [at for at in range(since, until) if not but[0] <= at < but[1]]
    return [said(device, at, RUNS if any(a <= at < b for a, b in runs) else STANDS) for at in minutes]


@dataclass(frozen=True, slots=True)
class Line:
    """A line with a mixer and a dryer; below the dryer stands a pump without a meter."""

    itself: Resource
    mixer: Resource
    dryer: Resource
    pump: Resource
    on_mixer: Device
    on_dryer: Device


def a_meter(db: Session, resource: Resource) -> Device:
    return register_device(db, resource_id=resource.id, name="plug", profile={}, actor_id=None, now=minute(-100))[0]


@pytest.fixture
def line(db: Session) -> Line:
    itself = a_resource(db)
    mixer, dryer = a_resource(db, parent_id=itself.id), a_resource(db, parent_id=itself.id)
    pump = a_resource(db, parent_id=dryer.id)
    return Line(itself, mixer, dryer, pump, a_meter(db, mixer), a_meter(db, dryer))


def heard(db: Session, *streams: Iterable[Envelope], now: float) -> None:
    for stream in streams:
        intake.store(db, list(stream))
    actions.fold_devices(db, now=minute(now))


def used(db: Session, booking: Booking) -> ConfirmedUse:
    found = queries.use_of_booking(db, booking.id)
    assert found is not None
    return found


def figures(use: ConfirmedUse) -> tuple[Verdict, float, float, float, float]:
    return (use.verdict, use.confirmed_s / 60, use.early_s / 60, use.overrun_s / 60, use.unverified_s / 60)


def now_of(db: Session, resource: Resource, at: float) -> LiveState:
    return live_states(db, [resource.id], now=minute(at))[resource.id]


def test_a_line_is_used_while_any_of_its_stations_is(db: Session, line: Line) -> None:
    booking = a_booking(db, resource=line.itself, start=minute(60), hours=2)
    heard(db, told(line.on_mixer, 200, (70, 100)), told(line.on_dryer, 200, (90, 140)), now=200)
    assert actions.confirm_uses(db, now=minute(200)) == 1
    assert figures(used(db, booking)) == (Verdict.FULFILLED, 70, 0, 0, 0)
    states = queries.segments_of_resource(db, line.itself.id, within=Slot(minute(60), minute(180)))
    found = [(one.slot.start, one.slot.end, one.state) for one in states]
    assert found == [
        (minute(60), minute(70), State.IDLE),
        (minute(70), minute(140), State.RUN),
        (minute(140), minute(180), State.IDLE),
    ]
    runs = queries.sessions_of_resource(db, line.itself.id, within=booking.slot)
    assert {run.resource_id for run in runs} == {line.mixer.id, line.dryer.id}
    assert used(db, booking).energy_wh == sum(run.energy_wh for run in runs) == 800


def test_a_stations_booking_takes_the_run_from_the_line_and_not_from_its_sister(db: Session, line: Line) -> None:
    whole = a_booking(db, resource=line.itself, start=minute(60), hours=2)
    mixing = a_booking(db, resource=line.mixer, start=minute(180), hours=1)
    heard(db, told(line.on_mixer, 260, (70, 200)), told(line.on_dryer, 260, (100, 190)), now=260)
    assert actions.confirm_uses(db, now=minute(260)) == 2
    assert figures(used(db, whole)) == (Verdict.FULFILLED, 110, 0, 10, 0)
    assert figures(used(db, mixing)) == (Verdict.FULFILLED, 20, 0, 0, 0)


def test_sisters_use_their_own_station_at_the_same_time(db: Session, line: Line) -> None:
    mixing = a_booking(db, resource=line.mixer, start=minute(60), hours=1)
    drying = a_booking(db, resource=line.dryer, start=minute(90), hours=1)
    after = a_booking(db, resource=line.itself, start=minute(170), hours=1)
    heard(db, told(line.on_mixer, 300, (60, 140)), told(line.on_dryer, 300, (80, 160)), now=300)
    actions.confirm_uses(db, now=minute(300))
    assert figures(used(db, mixing)) == (Verdict.FULFILLED, 60, 0, 20, 0)
    assert figures(used(db, drying)) == (Verdict.FULFILLED, 60, 10, 10, 0)
    assert figures(used(db, after)) == (Verdict.NO_SHOW, 0, 0, 0, 0)


def test_a_booking_below_a_station_keeps_its_time_from_the_line(db: Session, line: Line) -> None:
    on_pump = a_meter(db, line.pump)
    whole = a_booking(db, resource=line.itself, start=minute(60), hours=1)
    pumping = a_booking(db, resource=line.pump, start=minute(130), hours=1)
    streams = [told(one, 260) for one in (line.on_mixer, line.on_dryer)]
    heard(db, *streams, told(on_pump, 260, (100, 150)), now=260)
    actions.confirm_uses(db, now=minute(260))
    assert figures(used(db, whole)) == (Verdict.FULFILLED, 20, 0, 10, 0)
    assert figures(used(db, pumping)) == (Verdict.FULFILLED, 20, 0, 0, 0)


def test_no_use_of_a_line_is_told_only_where_every_station_was_seen(db: Session, line: Line) -> None:
    """Where one is blind nobody knows; where one runs that one is enough."""
    idle = a_booking(db, resource=line.itself, start=minute(0), hours=1)
    blind = a_booking(db, resource=line.itself, start=minute(60), hours=1)
    busy = a_booking(db, resource=line.itself, start=minute(120), hours=1)
    silence = told(line.on_dryer, 260, but=(61, 178))
    heard(db, told(line.on_mixer, 260, (130, 180)), silence, now=260)
    actions.confirm_uses(db, now=minute(260))
    assert figures(used(db, idle)) == (Verdict.NO_SHOW, 0, 0, 0, 0)
    assert figures(used(db, blind)) == (Verdict.UNVERIFIABLE, 0, 0, 0, 60)
    assert figures(used(db, busy)) == (Verdict.FULFILLED, 50, 0, 0, 10)


def test_a_station_whose_meter_never_spoke_is_blind_and_one_without_a_meter_is_not(db: Session, line: Line) -> None:
    booking = a_booking(db, resource=line.itself, start=minute(0), hours=1)
    heard(db, told(line.on_mixer, 80), told(line.on_dryer, 80), now=80)
    assert confirming.measured_use(db, booking).verdict is Verdict.NO_SHOW
    on_pump = a_meter(db, line.pump)
    assert confirming.measured_use(db, booking).verdict is Verdict.UNVERIFIABLE
    assert now_of(db, line.itself, 80).state is Live.UNKNOWN
    revoke(db, device_id=on_pump.id, actor_id=a_person(db).id, now=minute(-90))
    assert confirming.measured_use(db, booking).verdict is Verdict.NO_SHOW
    assert now_of(db, line.itself, 80).state is Live.FREE


def test_a_retired_station_is_nobodys_blind_spot(db: Session, line: Line) -> None:
    booking = a_booking(db, resource=line.itself, start=minute(0), hours=1)
    a_meter(db, line.pump)
    heard(db, told(line.on_mixer, 80), told(line.on_dryer, 80), now=80)
    line.pump.state = ListingState.RETIRED
    db.flush()
    assert confirming.measured_use(db, booking).verdict is Verdict.NO_SHOW
    assert now_of(db, line.itself, 80).state is Live.FREE


def test_a_lines_use_waits_until_each_station_was_seen_to_stop(db: Session, line: Line) -> None:
    booking = a_booking(db, resource=line.itself, start=minute(0), hours=1)
    heard(db, told(line.on_mixer, 70, (10, 50)), told(line.on_dryer, 70, (10, 90)), now=70)
    assert queries.bookings_to_confirm(db, now=minute(70)) == []
    heard(db, told(line.on_dryer, 100, (10, 90), since=70), now=100)
    assert queries.bookings_to_confirm(db, now=minute(100)) == [booking]
    other = a_booking(db, resource=line.itself, start=minute(101), hours=1)
    assert queries.bookings_to_confirm(db, now=minute(219)) == [booking]
    assert queries.bookings_to_confirm(db, now=minute(221)) == [booking, other]


def test_what_a_station_says_late_corrects_the_lines_use(db: Session, line: Line) -> None:
    booking = a_booking(db, resource=line.itself, start=minute(60), hours=1)
    heard(db, told(line.on_mixer, 200), told(line.on_dryer, 200, but=(61, 118)), now=200)
    actions.confirm_uses(db, now=minute(200))
    assert used(db, booking).verdict is Verdict.UNVERIFIABLE
    late = [Envelope(one.topic, one.payload, minute(201), backlog=True) for one in told(line.on_dryer, 118, (70, 100), since=61)]
    heard(db, late, now=202)
    assert figures(used(db, booking)) == (Verdict.FULFILLED, 30, 0, 0, 0)
    assert used(db, booking).number == 2


def test_two_stations_that_are_folded_at_once_both_count(committed_db: sessionmaker[Session]) -> None:
    """Alone each changes nothing of the line's use: the second to correct it waits, and sees what the first has written."""
    with committed_db.begin() as db:
        itself = a_resource(db)
        stations = [a_resource(db, parent_id=itself.id) for _ in range(2)]
        meters = [a_meter(db, one) for one in stations]
        booking = a_booking(db, resource=itself, start=minute(60), hours=1)
        heard(db, *(told(one, 200, but=(61, 118)) for one in meters), now=200)
        actions.confirm_uses(db, now=minute(200))
    late = [[one._replace(received_at=minute(201), backlog=True) for one in told(meter, 118, since=61)] for meter in meters]
    folded = Event()

    def second() -> None:
        folded.wait(20)
        with committed_db.begin() as other:
            heard(other, late[1], now=202)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(second)
        with committed_db.begin() as db:
            heard(db, late[0], now=202)
            folded.set()
            sleep(1)
        waiting.result(20)
    with committed_db() as db:
        assert figures(used(db, booking)) == (Verdict.NO_SHOW, 0, 0, 0, 0)


def test_a_stopped_station_fails_the_line_and_a_stopped_line_not_its_station(db: Session, line: Line) -> None:
    actor_id = a_person(db).id
    broken = a_booking(db, resource=line.itself, start=minute(0), hours=1)
    mixing = a_booking(db, resource=line.mixer, start=minute(60), hours=1)
    stopped = {"planned": False, "reason": "x", "actor_id": actor_id, "now": minute(-90)}
    record_outage(db, resource_id=line.pump.id, slot=Slot(minute(0), minute(40)), **stopped)
    record_outage(db, resource_id=line.itself.id, slot=Slot(minute(60), minute(120)), **stopped)
    heard(db, told(line.on_mixer, 150, (70, 100)), told(line.on_dryer, 150), now=150)
    actions.confirm_uses(db, now=minute(150))
    assert used(db, broken).verdict is Verdict.PROVIDER_FAILED
    assert figures(used(db, mixing)) == (Verdict.FULFILLED, 30, 0, 0, 0)


def test_a_line_is_live_as_its_stations_are(db: Session, line: Line) -> None:
    def states(at: float) -> list[Live]:
        asked = [line.itself.id, line.mixer.id, line.dryer.id, line.pump.id]
        found = live_states(db, asked, now=minute(at))
        return [found[one].state for one in asked]

    assert states(0) == [Live.UNKNOWN, Live.UNKNOWN, Live.UNKNOWN, Live.NO_SENSOR]
    heard(db, told(line.on_mixer, 10, (2, 10)), told(line.on_dryer, 10), now=9.1)
    assert states(9.5) == [Live.IN_USE, Live.IN_USE, Live.FREE, Live.NO_SENSOR]
    assert now_of(db, line.itself, 9.5) == LiveState(Live.IN_USE, minute(2), 358)
    heard(db, told(line.on_mixer, 20, since=10), told(line.on_dryer, 20, since=10), now=19.1)
    assert states(19.5) == [Live.FREE, Live.FREE, Live.FREE, Live.NO_SENSOR]
    heard(db, told(line.on_mixer, 30, since=20), now=29.1)
    assert states(29.5) == [Live.UNKNOWN, Live.FREE, Live.UNKNOWN, Live.NO_SENSOR]
    assert now_of(db, line.itself, 29.5) == LiveState(Live.UNKNOWN, minute(19), None)


def test_a_line_is_maintained_where_a_station_is_that_nothing_runs_beside(db: Session, line: Line) -> None:
    stopped = {"planned": True, "reason": "x", "actor_id": a_person(db).id, "now": minute(-90)}
    record_outage(db, resource_id=line.pump.id, slot=Slot(minute(0), minute(100)), **stopped)
    heard(db, told(line.on_mixer, 20, (10, 20)), told(line.on_dryer, 20), now=19.1)
    assert now_of(db, line.itself, 19.5).state is Live.IN_USE
    heard(db, told(line.on_mixer, 30, since=20), told(line.on_dryer, 30, since=20), now=29.1)
    assert now_of(db, line.itself, 29.5) == LiveState(Live.MAINTENANCE, minute(0), None)
    assert now_of(db, line.dryer, 29.5).state is Live.MAINTENANCE
    assert now_of(db, line.mixer, 29.5).state is Live.FREE


def test_many_lines_are_read_in_as_many_queries_as_one(db: Session, line: Line) -> None:
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    others = [a_resource(db, parent_id=line.pump.id) for _ in range(5)]
    event.listen(db.connection().engine, "before_cursor_execute", note)
    try:
        live_states(db, [line.itself.id], now=minute(0))
        alone = len(asked)
        live_states(db, [line.itself.id, line.dryer.id, line.pump.id, *(one.id for one in others)], now=minute(0))
    finally:
        event.remove(db.connection().engine, "before_cursor_execute", note)
    assert (alone, len(asked)) == (5, 10)


def test_the_curves_of_stations_are_added_in_time(db: Session, line: Line) -> None:
    heard(db, told(line.on_mixer, 10, (5, 10)), told(line.on_dryer, 4), now=9.1)
    assert power_of_device(db, line.on_mixer.id) == [8.0] * 5 + [350.0] * 5
    assert power_of_device(db, line.on_dryer.id) == [8.0] * 4
    assert power_of_resource(db, line.itself.id) == [16.0] * 5 + [358.0] * 2 + [350.0] * 3
    assert power_of_resource(db, line.pump.id) == []


def test_the_kin_of_a_resource_is_what_is_used_with_it(db: Session, line: Line) -> None:
    itself, mixer, dryer, pump = (one.id for one in (line.itself, line.mixer, line.dryer, line.pump))
    whole, station = kin_of(db, itself), kin_of(db, dryer)
    assert (set(whole.parts), whole.above) == ({itself, mixer, dryer, pump}, ())
    assert whole.users_of(mixer) == {mixer, itself}
    assert whole.users_of(dryer) == {dryer, pump, itself}
    assert whole.users_of(pump) == {pump, dryer, itself}
    assert (set(station.parts), station.above) == ({dryer, pump}, (itself,))
    assert station.users_of(pump) == {pump, dryer, itself}
    assert station.way_up(pump) == [dryer]


def test_a_signed_statement_counts_where_a_station_of_the_line_is_silent(db: Session, line: Line) -> None:
    booking = a_booking(db, resource=line.itself, start=minute(60), hours=1)
    heard(db, told(line.on_mixer, 200), told(line.on_dryer, 200, but=(81, 98)), now=200)
    assert confirming.silent(db, booking) == [Slot(minute(80), minute(98))]
    assert [one.state for one in confirming.known_around(db, booking)] == [State.IDLE, State.UNKNOWN, State.IDLE]


PARTS = {"line": None, "mixer": "line", "dryer": "line", "pump": "dryer"}
EDGES = st.lists(st.integers(0, 300), min_size=6, max_size=6, unique=True).map(sorted)
RUNNING = st.fixed_dictionaries(dict.fromkeys(PARTS, EDGES))


def slots(edges: Sequence[int]) -> list[tuple[int, int]]:
    return list(zip(edges[::2], edges[1::2], strict=True))


def uses_of(db: Session, booked: Mapping[str, tuple[int, int]], running: Mapping[str, list[int]], order: Sequence[int]) -> object:
    """What the bookings come to where the messages are stored in seven parts in this order, some of them again."""
    places: dict[str, Resource] = {}
    for name, above in PARTS.items():
        places[name] = a_resource(db, parent_id=places[above].id if above else None)
    bookings = [a_booking(db, resource=places[one], start=minute(a), hours=(b - a) / 60) for one, (a, b) in booked.items()]
    streams = [one for name, place in places.items() for one in told(a_meter(db, place), 420, *slots(running[name]))]
    for number in (*order, order[0]):
        heard(db, streams[number::7], now=421)
    return [replace(confirming.measured_use(db, one), booking_id="") for one in bookings]


@pytest.mark.laws
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    whose=st.lists(st.sampled_from(list(PARTS)), min_size=3, max_size=3, unique=True),
    edges=EDGES,
    running=RUNNING,
    order=st.permutations(range(7)),
)
def test_use_does_not_depend_on_the_order_of_messages(
    db: Session, whose: list[str], edges: list[int], running: dict[str, list[int]], order: list[int]
) -> None:
    booked = dict(zip(whose, slots(edges), strict=True))
    assert uses_of(db, booked, running, order) == uses_of(db, booked, running, range(7))
