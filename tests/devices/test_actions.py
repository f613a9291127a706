"""Messages to confirmed use on both databases."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from booking.outages.actions import record_outage
from booking.states import BookingState
from devices import actions, queries
from devices.intake import actions as intake
from devices.live.queries import Live, live_states
from devices.matching import Verdict
from devices.readings import Envelope
from devices.registry.actions import Credentials, register_device, set_thresholds
from devices.segments import State
from devices.tables import ConfirmedUse, Device, RawMessage, RejectedMessage, UsageSession
from marketplace.slot import Slot
from marketplace.tables import Resource
from tests.builders import a_booking, a_person, a_resource, a_rule_version

DAY = datetime(2026, 3, 10, 1, tzinfo=UTC)
DAY_LONG = Slot(DAY, DAY + timedelta(hours=24))


def minute(count: float) -> datetime:
    return DAY + timedelta(minutes=count)


def a_device(db: Session, resource: Resource) -> tuple[Device, Credentials]:
    return register_device(db, resource_id=resource.id, name="plug", profile={}, actor_id=None, now=DAY)


def telemetry(key: str, start: int, end: int, power: float) -> list[Envelope]:
    """One message a minute, received a second later; the counter rises as of 600 W."""
    return [message(key, at, power) for at in range(start, end)]


def message(key: str, at: float, power: float) -> Envelope:
    body = {"ts": int(minute(at).timestamp() * 1000), "p": power, "e": at * 10.0}
    return Envelope(f"d/{key}/t", orjson.dumps(body), minute(at) + timedelta(seconds=1))


def test_a_stream_becomes_a_session_and_the_booking_its_use(db: Session) -> None:
    resource = a_resource(db)
    _, known = a_device(db, resource)
    booking = a_booking(db, resource=resource, start=minute(60), hours=2)
    stream = telemetry(known.key, 0, 65, 8) + telemetry(known.key, 65, 162, 600) + telemetry(known.key, 162, 200, 8)
    for part in (stream[:80], stream[80:], stream):
        intake.store(db, part)
        actions.fold_devices(db, now=minute(200))
    assert db.scalar(select(func.count()).select_from(RawMessage)) == 200
    (run,) = db.scalars(select(UsageSession)).all()
    assert (run.starts_at, run.ends_at, run.confirmed_s) == (minute(65), minute(162), 97 * 60)
    assert (run.grade, run.end_reason) == ("A", "off")
    assert actions.confirm_uses(db, now=minute(200)) == 1
    assert actions.confirm_uses(db, now=minute(201)) == 0
    use = queries.use_of_booking(db, booking.id)
    assert use is not None
    assert (use.verdict, use.confirmed_s, use.booked_s, use.unverified_s) == (Verdict.FULFILLED, 97 * 60, 7200, 0)
    assert queries.verdicts_to_conclude(db) == [(booking.id, BookingState.COMPLETED)]


def test_a_run_during_maintenance_is_nobodys_use(db: Session) -> None:
    resource = a_resource(db)
    _, known = a_device(db, resource)
    booking = a_booking(db, resource=resource, start=minute(60), hours=2)
    actor_id = a_person(db).id
    maintenance = Slot(minute(185), minute(240))
    record_outage(db, resource_id=resource.id, slot=maintenance, planned=True, reason="x", actor_id=actor_id, now=DAY)
    intake.store(db, telemetry(known.key, 0, 220, 350) + telemetry(known.key, 220, 250, 8))
    actions.fold_devices(db, now=minute(250))
    actions.confirm_uses(db, now=minute(250))
    use = queries.use_of_booking(db, booking.id)
    assert use is not None
    assert (use.confirmed_s, use.overrun_s) == (7200, 300)


@pytest.mark.parametrize("state", list(queries.OUTCOMES.values()))
def test_an_overrun_ends_at_the_next_booking_whatever_became_of_that(db: Session, state: BookingState) -> None:
    resource = a_resource(db)
    _, known = a_device(db, resource)
    booking = a_booking(db, resource=resource, start=minute(0), hours=1)
    a_booking(db, resource=resource, start=minute(70), hours=1, state=state)
    intake.store(db, telemetry(known.key, 0, 100, 350) + telemetry(known.key, 100, 140, 8))
    actions.fold_devices(db, now=minute(140))
    actions.confirm_uses(db, now=minute(140))
    use = queries.use_of_booking(db, booking.id)
    assert use is not None
    assert (use.confirmed_s, use.overrun_s) == (3600, 600)


@pytest.mark.parametrize(("overtime_min", "counts"), [(None, 3600), (0, 0), (10, 600), (45, 2700)])
def test_an_overrun_counts_as_far_as_the_rules_of_the_bookings_acceptance_allow(
    db: Session, overtime_min: int | None, counts: int
) -> None:
    resource = a_resource(db, rules={"overtime_min": overtime_min})
    _, known = a_device(db, resource)
    booking = a_booking(db, resource=resource, start=minute(0), hours=1)
    a_rule_version(db, resource, number=2, overtime_min=5)
    intake.store(db, telemetry(known.key, 0, 140, 350) + telemetry(known.key, 140, 180, 8))
    actions.fold_devices(db, now=minute(180))
    actions.confirm_uses(db, now=minute(180))
    use = queries.use_of_booking(db, booking.id)
    assert use is not None
    assert (use.confirmed_s, use.overrun_s, use.verdict) == (3600, counts, Verdict.FULFILLED)


def test_a_run_that_goes_on_after_an_end_without_overtime_is_not_the_next_ones_early_use(db: Session) -> None:
    resource = a_resource(db, rules={"overtime_min": 0})
    _, known = a_device(db, resource)
    a_booking(db, resource=resource, start=minute(0), hours=1)
    following = a_booking(db, resource=resource, start=minute(90), hours=1)
    intake.store(db, telemetry(known.key, 0, 80, 350) + telemetry(known.key, 80, 160, 8))
    actions.fold_devices(db, now=minute(160))
    actions.confirm_uses(db, now=minute(160))
    use = queries.use_of_booking(db, following.id)
    assert use is not None
    assert (use.verdict, use.early_s) == (Verdict.NO_SHOW, 0)


def runs_of(db: Session, key: str) -> Sequence[UsageSession]:
    mine = select(UsageSession).join(Device, Device.id == UsageSession.device_id).where(Device.key == key)
    return db.scalars(mine.order_by(UsageSession.starts_at)).all()


def test_the_result_does_not_depend_on_how_the_stream_was_cut(db: Session) -> None:
    resource = a_resource(db)
    _, whole = a_device(db, resource)
    _, cut = a_device(db, resource)
    levels = [8] * 30 + [350] * 200 + [8] * 1 + [350] * 60 + [80] * 20 + [8] * 40
    for key, size in ((whole.key, 1000), (cut.key, 7)):
        stream = [message(key, at, power) for at, power in enumerate(levels)]
        for first in range(0, len(stream), size):
            intake.store(db, stream[first : first + size])
            actions.fold_devices(db, now=stream[min(first + size, len(stream)) - 1].received_at)
    found = [
        [(run.starts_at, run.ends_at, run.confirmed_s, run.energy_wh) for run in runs_of(db, key)] for key in (whole.key, cut.key)
    ]
    assert found[0] == found[1]
    assert len(found[0]) == 1


def test_numbers_that_begin_anew_are_no_repeats(db: Session) -> None:
    _, known = a_device(db, a_resource(db))
    counted = [
        Envelope(f"d/{known.key}/t", orjson.dumps({"seq": at % 2, "p": 350}), DAY + timedelta(minutes=at)) for at in range(5)
    ]
    intake.store(db, counted)
    actions.fold_devices(db, now=minute(5))
    (run,) = runs_of(db, known.key)
    assert (run.starts_at, run.until) == (minute(0), minute(4))


def test_a_repeat_with_other_words_stays_a_repeat_when_its_first_lies_far_back(db: Session) -> None:
    _, known = a_device(db, a_resource(db))
    stream = telemetry(known.key, 0, 200, 8)
    again = Envelope(f"d/{known.key}/t", stream[50].payload.replace(b'"p":8', b'"p":350'), minute(60) + timedelta(seconds=30))
    for part in (stream[:60], [again], *([one] for one in stream[60:])):
        intake.store(db, part)
        actions.fold_devices(db, now=part[-1].received_at)
    states = queries.segments_of_resource(db, queries.devices_by_key(db, [known.key])[known.key].resource_id, within=DAY_LONG)
    assert [(piece.slot.start, piece.slot.end, piece.state) for piece in states] == [(minute(0), minute(199), State.IDLE)]


def test_an_open_session_is_closed_however_long_nobody_folded(db: Session) -> None:
    _, known = a_device(db, a_resource(db))
    for first in (0, 600):
        intake.store(db, telemetry(known.key, first, first + 10, 350))
        actions.fold_devices(db, now=minute(first + 9.1))
    assert [(run.starts_at, run.ends_at) for run in runs_of(db, known.key)] == [(minute(0), minute(9)), (minute(600), None)]


def test_a_message_that_came_since_the_clock_was_read_waits_for_the_next_fold(db: Session) -> None:
    _, known = a_device(db, a_resource(db))
    intake.store(db, telemetry(known.key, 0, 10, 8))
    assert [actions.fold_devices(db, now=minute(at)) for at in (5, 10, 10)] == [0, 1, 0]


def test_heartbeats_go_on_with_what_was_told_before_the_fold_began(db: Session) -> None:
    resource = a_resource(db)
    _, known = a_device(db, resource)
    beats = [Envelope(f"d/{known.key}/t", b"{}", minute(at)) for at in range(1, 200)]
    for part in ([message(known.key, 0, 20)], *([beat] for beat in beats)):
        intake.store(db, part)
        actions.fold_devices(db, now=part[-1].received_at)
    states = queries.segments_of_resource(db, resource.id, within=DAY_LONG)
    assert [(piece.slot.start, piece.slot.end, piece.state) for piece in states] == [(minute(0), minute(199), State.IDLE)]


def test_a_message_stored_beside_a_fold_is_folded_next(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as db:
        _, known = a_device(db, a_resource(db))
        intake.store(db, telemetry(known.key, 0, 5, 8))
    with committed_db(expire_on_commit=False) as ingest:
        held = queries.devices_by_key(ingest, [known.key])  # read before the fold, written after it
        ingest.commit()
        with committed_db.begin() as db:
            actions.fold_devices(db, now=minute(4.1))
        intake.store(ingest, telemetry(known.key, 5, 10, 8))
        ingest.commit()
    with committed_db.begin() as db:
        assert actions.fold_devices(db, now=minute(9.1)) == len(held) == 1


def test_late_data_corrects_and_points_back(db: Session) -> None:
    resource = a_resource(db)
    device, known = a_device(db, resource)
    set_thresholds(db, device_id=device.id, profile={"backfill": 86400}, actor_id="x", now=DAY + timedelta(seconds=1))
    booking = a_booking(db, resource=resource, start=minute(60), hours=2)
    intake.store(db, telemetry(known.key, 0, 90, 350) + telemetry(known.key, 150, 200, 8))
    actions.fold_devices(db, now=minute(200))
    actions.confirm_uses(db, now=minute(200))
    first = queries.use_of_booking(db, booking.id)
    late = [Envelope(e.topic, e.payload, minute(210)) for e in telemetry(known.key, 90, 150, 350)]
    intake.store(db, late)
    actions.fold_devices(db, now=minute(211))
    second = queries.use_of_booking(db, booking.id)
    assert first is not None
    assert second is not None
    assert (second.number, second.supersedes_id) == (2, first.id)
    assert second.confirmed_s > first.confirmed_s
    assert db.scalar(select(func.count()).select_from(ConfirmedUse)) == 2


def test_bad_messages_are_kept_with_their_reason_and_stop_nobody(db: Session) -> None:
    _, known = a_device(db, a_resource(db))
    bad = [
        Envelope(f"d/{known.key}/t", b"{", DAY),
        Envelope(f"d/{known.key}/t", b'{"p":1e999}', DAY),
        Envelope(f"d/{known.key}/t", b'{"p":"12"}', DAY),
        Envelope(f"d/{known.key}/t", b'{"x":' + b"[" * 50 + b"]" * 50 + b"}", DAY),
        Envelope(f"d/{known.key}/t", b" " * 20000, DAY),
        Envelope(f"d/{known.key}/elsewhere", b"{}", DAY),
        Envelope("d/nobody/t", b'{"p":1}', DAY),
        Envelope("other/topic", b'{"p":1}', DAY),
    ]
    intake.store(db, [*bad, message(known.key, 1, 8)])
    reasons = db.scalars(select(RejectedMessage.reason)).all()
    assert sorted(reasons) == sorted(
        ["not_json", "not_json", "bad_number", "too_deep", "too_large", "bad_topic", "unknown_device", "bad_topic"]
    )
    assert queries.count_rejected(db, [known.key]) == {known.key: 6}
    assert db.scalar(select(func.count()).select_from(RawMessage)) == 1


def test_the_live_state_says_unknown_when_it_hears_nothing(db: Session) -> None:
    resource, bare = a_resource(db), a_resource(db)
    _, known = a_device(db, resource)

    def state(at: float) -> Live:
        return live_states(db, [resource.id], now=minute(at))[resource.id].state

    assert live_states(db, [bare.id], now=DAY)[bare.id].state is Live.NO_SENSOR
    assert state(0) is Live.UNKNOWN
    intake.store(db, telemetry(known.key, 0, 10, 350))
    actions.fold_devices(db, now=minute(9.1))
    assert state(9.5) is Live.IN_USE
    assert state(13) is Live.UNKNOWN
    intake.store(db, telemetry(known.key, 10, 16, 8))
    actions.fold_devices(db, now=minute(15.1))
    assert state(15.5) is Live.FREE
    assert len(queries.sessions_of_resource(db, resource.id, within=Slot(minute(0), minute(20)))) == 1


def test_an_open_session_closes_when_silence_grows_too_long(db: Session) -> None:
    resource = a_resource(db)
    _, known = a_device(db, resource)
    intake.store(db, telemetry(known.key, 0, 10, 350))
    actions.fold_devices(db, now=minute(9.1))
    (run,) = db.scalars(select(UsageSession)).all()
    assert run.ends_at is None
    actions.fold_devices(db, now=minute(9 + 16))
    (run,) = db.scalars(select(UsageSession)).all()
    assert (run.ends_at, run.end_reason) == (minute(9), "gap")


def test_a_booking_without_a_sensor_is_unverifiable(db: Session) -> None:
    booking = a_booking(db, start=minute(0), hours=1)
    actions.confirm_uses(db, now=minute(60))
    use = queries.use_of_booking(db, booking.id)
    assert use is not None
    assert use.verdict is Verdict.UNVERIFIABLE
