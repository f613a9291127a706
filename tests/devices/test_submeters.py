"""A meter behind another one: whether its machine runs counts as ever, what both measure is added once."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from time import sleep

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session, sessionmaker

from booking.tables import Booking
from devices import actions, queries
from devices.discrepancies.comparing import Figures
from devices.intake import actions as intake
from devices.live.curves import Curve, added
from devices.live.queries import Live, live_states, power_of_resource
from devices.readings import Envelope
from devices.registry.actions import register_device, revoke, set_main
from devices.submeters.inclusion import Inclusions, energy_of
from devices.submeters.queries import inclusions_of, mains_of, possible_mains, submeters_of
from devices.tables import ConfirmedUse, Device
from marketplace.refusals import Invalid
from marketplace.tables import AuditEntry, Institution, Resource
from tests.builders import a_booking, a_person, a_resource, an_institution

BEGIN = datetime(2026, 3, 10, 1, tzinfo=UTC)


def minute(count: float) -> datetime:
    return BEGIN + timedelta(minutes=count)


def run(start: float, end: float, energy_wh: int) -> Figures:
    return Figures(minute(start), minute(end), minute(end), 60, 0, energy_wh, "off", "A", ())


PLUG_BEHIND_MAIN = Inclusions([("plug", minute(0), "main")])


def test_what_the_main_meter_counted_counts_for_its_submeter_too() -> None:
    assert energy_of([("main", run(0, 60, 900)), ("plug", run(10, 50, 300))], PLUG_BEHIND_MAIN) == 900


def test_a_run_of_the_submeter_alone_is_added() -> None:
    """The main meter was silent, or told no run: what is known is the submeter's."""
    assert energy_of([("plug", run(10, 50, 300))], PLUG_BEHIND_MAIN) == 300
    assert energy_of([("main", run(0, 60, 900)), ("plug", run(90, 120, 300))], PLUG_BEHIND_MAIN) == 1200


def test_meters_side_by_side_are_added() -> None:
    assert energy_of([("main", run(0, 60, 900)), ("plug", run(10, 50, 300))], Inclusions()) == 1200


def test_what_held_as_a_run_began_decides() -> None:
    runs = [("main", run(0, 60, 900)), ("plug", run(10, 50, 300))]
    assert energy_of(runs, Inclusions([("plug", minute(10), "main")])) == 900
    assert energy_of(runs, Inclusions([("plug", minute(11), "main")])) == 1200
    assert energy_of(runs, Inclusions([("plug", minute(0), "main"), ("plug", minute(9), None)])) == 1200


def test_a_meter_two_levels_up_includes_it_also_where_the_one_between_tells_nothing() -> None:
    chain = Inclusions([("plug", minute(0), "board"), ("board", minute(0), "main")])
    assert energy_of([("main", run(0, 60, 900)), ("plug", run(10, 50, 300))], chain) == 900
    assert energy_of([("main", run(0, 60, 900)), ("board", run(0, 60, 500)), ("plug", run(10, 50, 300))], chain) == 900
    assert energy_of([("board", run(0, 60, 500)), ("plug", run(10, 50, 300))], chain) == 500


NAMES = "abcde"


@given(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_no_two_are_added_of_which_one_includes_the_other_and_none_is_left_out_for_nothing(
    behind: dict[str, str], telling: set[str]
) -> None:
    inclusions = Inclusions((one, minute(0), main) for one, main in behind.items() if main > one)
    counted = inclusions.counted(telling, at=minute(1))
    for one in telling:
        above = telling & set(inclusions.above(one, at=minute(1)))
        assert (one in counted) == (not above)
        assert one in counted or above & counted


def test_a_submeters_power_is_drawn_while_the_main_meter_is_silent() -> None:
    def curve(meter: str, inside: tuple[str, ...], *points: tuple[int, float]) -> Curve:
        return Curve([(minute(at), power) for at, power in points], timedelta(minutes=3), meter, inside)

    main, plug = curve("main", (), (0, 900.0), (1, 900.0)), curve("plug", ("main",), *((at, 300.0) for at in range(7)))
    assert added([main, plug], since=BEGIN, most=60) == [900.0, 900.0, 900.0, 900.0, 900.0, 300.0, 300.0]


def told(device: Device, since: int, until: int, power: float) -> list[Envelope]:
    """A message a minute; the counter rises by 10 Wh in each."""
    bodies = [(at, {"ts": int(minute(at).timestamp() * 1000), "p": power, "e": at * 10.0}) for at in range(since, until)]
    return [Envelope(f"d/{device.key}/t", orjson.dumps(body), minute(at) + timedelta(seconds=1)) for at, body in bodies]


def heard(db: Session, *streams: Iterable[Envelope], now: float) -> None:
    for stream in streams:
        intake.store(db, list(stream))
    actions.fold_devices(db, now=minute(now))


def a_meter(db: Session, resource: Resource, measured_by: Device | None = None) -> Device:
    main = measured_by.id if measured_by else None
    return register_device(
        db, resource_id=resource.id, name="plug", profile={}, measured_by=main, actor_id=None, now=minute(-100)
    )[0]


def used(db: Session, booking: Booking) -> ConfirmedUse:
    found = queries.use_of_booking(db, booking.id)
    assert found is not None
    return found


def watts(db: Session, resource: Resource, at: float) -> int | None:
    return live_states(db, [resource.id], now=minute(at))[resource.id].power_w


def test_a_chambers_plug_behind_the_machines_main_meter_is_used_and_not_added(db: Session) -> None:
    machine = a_resource(db)
    main = a_meter(db, machine)
    plug = a_meter(db, machine, main)
    booking = a_booking(db, resource=machine, start=minute(60), hours=2)
    heard(
        db, told(main, 60, 120, 900.0), told(main, 120, 200, 3.0), told(plug, 60, 150, 300.0), told(plug, 150, 200, 1.0), now=200
    )
    actions.confirm_uses(db, now=minute(200))
    use = used(db, booking)
    assert (use.confirmed_s, use.energy_wh) == (90 * 60, 600)
    assert watts(db, machine, 200) == 3
    assert set(power_of_resource(db, machine.id)) == {3.0}


def test_a_stations_meter_behind_the_lines_main_meter_counts_for_the_station_alone(db: Session) -> None:
    house = an_institution(db)
    line = a_resource(db, institution=house)
    mixer, dryer = (a_resource(db, institution=house, parent_id=line.id) for _ in range(2))
    main = a_meter(db, line)
    on_mixer, on_dryer = a_meter(db, mixer, main), a_meter(db, dryer)
    whole, part = (a_booking(db, resource=one, start=minute(at), hours=1) for one, at in ((line, 60), (mixer, 180)))
    streams = [told(one, since, since + 60, power) for since in (60, 180) for one, power in ((main, 900.0), (on_mixer, 300.0))]
    heard(db, *streams, told(on_dryer, 60, 120, 200.0), now=239.5)
    assert (watts(db, line, 240), watts(db, mixer, 240)) == (900, 300)
    heard(db, told(on_dryer, 239, 241, 200.0), now=241)
    assert (watts(db, line, 241), watts(db, mixer, 241)) == (1100, 300)
    actions.confirm_uses(db, now=minute(320))
    assert (used(db, whole).energy_wh, used(db, part).energy_wh) == (590 + 590, 590)


def test_while_the_main_meter_is_silent_the_submeters_power_is_what_is_known(db: Session) -> None:
    machine = a_resource(db)
    main = a_meter(db, machine)
    plug = a_meter(db, machine, main)
    heard(db, told(main, 0, 60, 900.0), told(plug, 0, 70, 300.0), now=70)
    now = live_states(db, [machine.id], now=minute(70))[machine.id]
    assert (now.state, now.power_w) == (Live.IN_USE, 300)


def test_a_change_holds_for_runs_from_then_on_and_changes_no_use_before(db: Session) -> None:
    """Also where late messages have a use written anew: what is added is what was then."""
    machine, who = a_resource(db), a_person(db).id
    main, plug = a_meter(db, machine), a_meter(db, machine)
    before, after = (a_booking(db, resource=machine, start=minute(at), hours=1) for at in (60, 180))
    first = [*told(main, 60, 110, 900.0), *told(main, 120, 175, 1.0), *told(plug, 60, 100, 300.0), *told(plug, 100, 175, 1.0)]
    heard(db, first, now=176)
    actions.confirm_uses(db, now=minute(176))
    assert used(db, before).energy_wh == 490 + 400
    set_main(db, device_id=plug.id, measured_by=main.id, actor_id=who, now=minute(177))
    assert used(db, before).number == 1
    second = [one for meter, power in ((main, 900.0), (plug, 300.0)) for one in told(meter, 180, 240, power)]
    late = [one._replace(received_at=minute(240), backlog=True) for one in told(main, 110, 120, 900.0)]
    heard(db, second, late, now=300)
    actions.confirm_uses(db, now=minute(300))
    assert (used(db, before).number, used(db, before).energy_wh) == (2, 600 + 400)
    assert used(db, after).energy_wh == 590


def test_who_includes_whom_is_on_record_with_what_it_was(db: Session) -> None:
    machine, who = a_resource(db), a_person(db).id
    main = a_meter(db, machine)
    plug = a_meter(db, machine, main)
    set_main(db, device_id=plug.id, measured_by=main.id, actor_id=who, now=minute(0))
    set_main(db, device_id=plug.id, measured_by=None, actor_id=who, now=minute(10))
    inclusions = inclusions_of(db, [plug.id])
    assert [inclusions.of(plug.id, at=minute(at)) for at in (-101, -100, 9, 10)] == [None, main.id, main.id, None]
    assert mains_of(db, [plug, main], at=minute(9)) == {plug.id: main}
    assert mains_of(db, [plug, main], at=minute(10)) == {}
    assert submeters_of(db, main.id, at=minute(9)) == [plug]
    assert submeters_of(db, main.id, at=minute(10)) == []
    noted = db.query(AuditEntry).where(AuditEntry.object_id == plug.id, AuditEntry.action.like("%_main_meter")).all()
    assert [(row.action, row.after) for row in noted] == [("drop_main_meter", {"measured_by": None})]


def test_only_a_meter_of_the_equipment_or_of_its_line_includes_another_and_none_itself(db: Session) -> None:
    line = a_resource(db)
    station = a_resource(db, institution=db.get(Institution, line.institution_id), parent_id=line.id)
    who = a_person(db).id
    main, other, plug = a_meter(db, line), a_meter(db, a_resource(db)), a_meter(db, station)
    assert possible_mains(db, station.id) == [plug, main]
    for wrong in (other.id, plug.id, "dev_none"):
        with pytest.raises(Invalid, match="no other meter of this equipment"):
            set_main(db, device_id=plug.id, measured_by=wrong, actor_id=who, now=minute(0))
    with pytest.raises(Invalid, match="no other meter of this equipment"):
        set_main(db, device_id=main.id, measured_by=plug.id, actor_id=who, now=minute(0))
    with pytest.raises(Invalid, match="no other meter of this equipment"):
        a_meter(db, station, other)


def test_no_circle_of_meters_is_closed(db: Session) -> None:
    machine, who = a_resource(db), a_person(db).id
    main = a_meter(db, machine)
    board = a_meter(db, machine, main)
    plug = a_meter(db, machine, board)
    for wrong in (board, plug):
        with pytest.raises(Invalid, match="part of what this one measures"):
            set_main(db, device_id=main.id, measured_by=wrong.id, actor_id=who, now=minute(0))
    set_main(db, device_id=board.id, measured_by=None, actor_id=who, now=minute(1))
    set_main(db, device_id=main.id, measured_by=plug.id, actor_id=who, now=minute(2))
    assert inclusions_of(db, [main.id]).above(main.id, at=minute(2)) == [plug.id, board.id]


def test_a_main_meter_that_was_disabled_leaves_the_submeters_power(db: Session) -> None:
    machine = a_resource(db)
    main = a_meter(db, machine)
    plug = a_meter(db, machine, main)
    heard(db, told(main, 0, 60, 900.0), told(plug, 0, 60, 300.0), now=60)
    revoke(db, device_id=main.id, actor_id=a_person(db).id, now=minute(60))
    heard(db, told(plug, 60, 70, 300.0), now=70)
    assert watts(db, machine, 70) == 300
    assert power_of_resource(db, machine.id)[-1] == 300.0


def test_of_two_changes_at_once_the_second_sees_the_first_and_closes_no_circle(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as session:
        machine, who = a_resource(session), a_person(session).id
        main, plug = a_meter(session, machine).id, a_meter(session, machine).id

    def put_main_behind_plug() -> None:
        with committed_db.begin() as session:
            set_main(session, device_id=main, measured_by=plug, actor_id=who, now=minute(1))

    with ThreadPoolExecutor(1) as others, committed_db() as first:
        set_main(first, device_id=plug, measured_by=main, actor_id=who, now=minute(0))
        second = others.submit(put_main_behind_plug)
        sleep(0.5)
        assert not second.done()
        first.commit()
        with pytest.raises(Invalid, match="part of what this one measures"):
            second.result(20)
