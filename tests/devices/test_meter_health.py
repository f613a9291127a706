"""How meters do: what the last messages say of a clock, how much was seen, and the same of all meters in a few statements."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from devices import actions
from devices.flags.days import Kind
from devices.flags.tables import DeviceFlag
from devices.health import queries
from devices.health.queries import Which
from devices.health.watching import clock_agrees, last_words, pulse_of, words_within
from devices.intake import actions as intake
from devices.live.queries import Live, meters_now
from devices.profile import Profile
from devices.queries import profile_of
from devices.readings import Envelope
from devices.registry.actions import register_device, revoke
from devices.tables import Device, DeviceCertificate
from marketplace.ids import new_id
from marketplace.slot import Slot
from marketplace.tables import Resource
from tests.builders import a_resource, an_institution

NOW = datetime(2026, 3, 11, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def a_meter(db: Session, place: Resource, *, family: str = "native", born: datetime = NOW - timedelta(hours=1)) -> Device:
    values = {"family": family}
    return register_device(db, resource_id=place.id, name="plug", profile=values, actor_id=None, now=born)[0]


def speaks(db: Session, device: Device, *minutes: float, watts: float = 8.0) -> None:
    """One message so many minutes before now each, then folded."""
    said = [Envelope(f"d/{device.key}/t", b'{"p": %.1f}' % watts, NOW - minute * MINUTE) for minute in sorted(minutes)[::-1]]
    intake.store(db, said)
    while actions.fold_devices(db, now=NOW):
        pass


def flagged(db: Session, device: Device, kind: Kind) -> None:
    row = DeviceFlag(
        id=new_id("flg"), device_id=device.id, resource_id=device.resource_id, kind=kind, day=NOW.date(),
        starts_at=NOW, ends_at=NOW + MINUTE, evidence={}, raised_at=NOW,
    )  # fmt: skip
    db.add(row)
    db.flush()


def certified(db: Session, device: Device, *days: int) -> None:
    for number in days:
        ends = NOW + timedelta(days=number)
        db.add(DeviceCertificate(serial=new_id("s"), device_id=device.id, issued_at=NOW, expires_at=ends))
    db.flush()


def test_each_meter_of_a_machine_has_its_own_live_state(db: Session) -> None:
    place = a_resource(db)
    heard, never, gone = a_meter(db, place), a_meter(db, place), a_meter(db, place)
    speaks(db, heard, *range(10), watts=900.0)
    revoke(db, device_id=gone.id, actor_id="per_1", now=NOW)
    found = meters_now(db, [heard, never, gone], now=NOW)
    assert [found[one.id].state for one in (heard, never, gone)] == [Live.IN_USE, Live.UNKNOWN, Live.NO_SENSOR]
    assert (found[heard.id].power_w, found[never.id].power_w) == (900, None)


def test_what_was_seen_is_told_as_a_share_of_the_time_since_it_was_registered(db: Session) -> None:
    device = a_meter(db, a_resource(db))
    day = timedelta(days=1)
    assert queries.coverage(db, device, now=NOW, reach=day) == 0.0
    speaks(db, device, *range(30))  # half of its hour
    assert queries.coverage(db, device, now=NOW, reach=day) == pytest.approx(0.5, abs=0.02)
    assert queries.coverage(db, device, now=NOW, reach=timedelta(minutes=20)) == pytest.approx(1.0)
    assert queries.coverage(db, device, now=NOW + MINUTE, reach=timedelta(minutes=20)) == pytest.approx(1.0)  # not silent yet
    assert queries.coverage(db, device, now=NOW + 10 * MINUTE, reach=timedelta(minutes=20)) == pytest.approx(0.5)
    assert queries.coverage(db, device, now=device.created_at, reach=day) is None


def test_the_clock_of_a_plug_in_another_zone_is_seen(db: Session) -> None:
    device = a_meter(db, a_resource(db), family="tasmota")
    profile = profile_of(db, device.id, at=NOW)
    assert profile.zone == "Asia/Shanghai"
    said = [
        Envelope(f"d/{device.key}/tele/SENSOR", b'{"Time":"2026-03-11T11:%02d:00","ENERGY":{"Power":8}}' % n, NOW + n * MINUTE)
        for n in range(5)
    ]
    kept = [Envelope(said[0].topic, said[0].payload.replace(b"11:00:00", b"01:00:00"), NOW, retain=True)]
    intake.store(db, [*said, *kept])
    pulse = pulse_of(last_words(db, device, profile))
    assert pulse.clock is not None
    assert pulse.clock.zone_s == 9 * 3600  # it tells 11:00 of Shanghai, where it is 20:00
    assert not clock_agrees(pulse.clock, profile)
    assert (pulse.interval_s, pulse.power_w) == (60.0, 8.0)
    assert [one.received_at for one in words_within(db, device, profile, Slot(NOW + MINUTE, NOW + 3 * MINUTE))] == [
        NOW + MINUTE,
        NOW + 2 * MINUTE,
    ]
    assert pulse_of(last_words(db, a_meter(db, a_resource(db)), Profile())).clock is None


def test_all_meters_are_counted_and_listed_by_what_there_is_to_look_at(db: Session) -> None:
    house = an_institution(db)
    place, elsewhere = a_resource(db, institution=house), a_resource(db)
    heard, silent, never, gone, other = *(a_meter(db, place) for _ in range(4)), a_meter(db, elsewhere)
    speaks(db, heard, 0.5)
    speaks(db, silent, 30)
    speaks(db, other, 20)
    revoke(db, device_id=gone.id, actor_id="per_1", now=NOW)
    intake.store(
        db, [Envelope(f"d/{never.key}/t", b"{", NOW - MINUTE), Envelope(f"d/{other.key}/t", b"{", NOW - 25 * 60 * MINUTE)]
    )
    flagged(db, heard, Kind.CLOCK)
    flagged(db, heard, Kind.FLAT)
    flagged(db, silent, Kind.FLAT)
    certified(db, heard, 10)
    certified(db, silent, 10, 300)  # the next one is there already
    counted = queries.counts(db, house.id, now=NOW)
    assert counted == {
        Which.ALL: 3, Which.HEARD: 1, Which.SILENT: 1, Which.NEVER: 1,
        Which.REJECTED: 1, Which.CLOCK: 1, Which.QUESTIONS: 2, Which.CERTIFICATE: 1,
    }  # fmt: skip
    everywhere = queries.counts(db, None, now=NOW)
    assert everywhere[Which.ALL] >= 4

    def listed(which: Which, house_id: str | None = house.id) -> list[str]:
        return [one.device_id for one in queries.list_doing(db, house_id, which, now=NOW, limit=50)]

    assert listed(Which.ALL) == [never.id, silent.id, heard.id]
    assert [listed(which) for which in (Which.HEARD, Which.SILENT, Which.NEVER)] == [[heard.id], [silent.id], [never.id]]
    assert [listed(which) for which in (Which.REJECTED, Which.CLOCK, Which.CERTIFICATE)] == [[never.id], [heard.id], [heard.id]]
    assert listed(Which.QUESTIONS) == [silent.id, heard.id]
    assert other.id in listed(Which.ALL, None)
    assert [one.device_id for one in queries.list_doing(db, house.id, Which.ALL, now=NOW, limit=1, offset=1)] == [silent.id]
    assert queries.count_since(db, never.key, since=NOW - timedelta(hours=1)) == 1
    assert queries.last_rejected(db, [never.key, heard.key]) == {never.key: NOW - MINUTE}


def test_how_many_there_are_does_not_change_how_many_statements_it_takes(db: Session) -> None:
    place = a_resource(db)
    asked: list[str] = []
    connection = db.connection()

    def note(*told: object) -> None:
        asked.append(str(told[2]))

    event.listen(connection, "before_cursor_execute", note)
    for _ in range(3):
        a_meter(db, place)
        db.flush()
        asked.clear()
        queries.counts(db, None, now=NOW)
        queries.list_doing(db, None, Which.ALL, now=NOW, limit=50)
        assert len(asked) == 6
    event.remove(connection, "before_cursor_execute", note)
