"""Nobody has come: told by what the meter shows up to now, once, to both sides; the verdict stays the devices'."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from booking.outages.actions import record_outage
from booking.presence.actions import check_in, finish
from booking.tables import Booking
from devices import actions, queries
from devices.absences.actions import FOR_STAFF, tell
from devices.absences.queries import KIND, is_absent
from devices.intake import actions as intake
from devices.matching import Verdict
from marketplace.roles import Role
from marketplace.slot import Slot
from marketplace.tables import Institution, Message, Resource
from tests.builders import a_booking, a_member, a_resource, a_rule_version
from tests.devices.test_actions import a_device, minute, telemetry

IDLE, RUNNING = 8, 350


@dataclass
class Booked:
    """From minute 60 to 180, to be checked in to by 75; a meter hears the machine from minute 0 on."""

    db: Session
    booking: Booking
    key: str
    staff: list[str]

    def heard(self, *stretches: tuple[int, int, float]) -> None:
        for start, end, power in stretches:
            intake.store(self.db, telemetry(self.key, start, end, power))
        actions.fold_devices(self.db, now=minute(stretches[-1][1]))

    def told(self, at: float) -> int:
        return tell(self.db, now=minute(at))

    def messages(self) -> dict[str, str]:
        return {row.person_id: row.kind for row in self.db.scalars(select(Message)).all()}


def booked(db: Session, *, grace: int | None = 15, **values: Any) -> Booked:
    resource = a_resource(db, rules={"check_in_grace_min": grace})
    _, known = a_device(db, resource)
    house = db.get_one(Institution, resource.institution_id)
    staff = [a_member(db, role, institution=house).id for role in (Role.MANAGER, Role.TECHNICIAN)]
    a_member(db, Role.FINANCE, institution=house)
    made = a_booking(db, resource=resource, start=minute(60), hours=2, **values)
    return Booked(db, made, known.key, staff)


def test_both_sides_are_told_once_when_nobody_has_come(db: Session) -> None:
    found = booked(db)
    found.heard((0, 76, IDLE))
    assert [found.told(at) for at in (74.9, 76, 76.5)] == [0, 1, 0]
    assert found.messages() == {found.booking.person_id: KIND, **dict.fromkeys(found.staff, FOR_STAFF)}


@pytest.mark.parametrize(
    "stretches",
    [
        [(0, 50, IDLE), (50, 55, RUNNING), (55, 80, IDLE)],
        [(0, 62, IDLE), (62, 66, RUNNING), (66, 80, IDLE)],
        [(0, 70, IDLE), (70, 80, RUNNING)],
        [(0, 62, IDLE)],
        [(0, 62, IDLE), (72, 80, IDLE)],
    ],
    ids=["used before the start", "used", "in use", "silent", "blind for a while"],
)
def test_nobody_is_called_absent_whom_the_meter_does_not_show_to_be(db: Session, stretches: list[tuple[int, int, float]]) -> None:
    found = booked(db)
    found.heard(*stretches)
    assert found.told(80) == 0
    assert not is_absent(db, found.booking, now=minute(80))


def test_a_missed_check_in_means_nothing_without_a_meter_or_the_rule_or_while_the_machine_is_down(db: Session) -> None:
    for at, found in enumerate([booked(db), booked(db, grace=None), booked(db, grace=120), booked(db)]):
        if at:
            found.heard((0, 80, IDLE))
    down = Slot(minute(61), minute(90))
    record_outage(
        db, resource_id=found.booking.resource_id, slot=down, planned=False, reason="x", actor_id=found.staff[0], now=minute(61)
    )
    assert found.told(80) == 0


@pytest.mark.parametrize(("grace", "now", "told"), [(15, None, 1), (None, 15, 0)])
def test_the_rules_of_the_bookings_acceptance_count(db: Session, grace: int | None, now: int | None, told: int) -> None:
    found = booked(db, grace=grace)
    a_rule_version(db, db.get_one(Resource, found.booking.resource_id), number=2, check_in_grace_min=now)
    found.heard((0, 80, IDLE))
    assert found.told(80) == told


def test_who_has_checked_in_is_there(db: Session) -> None:
    found = booked(db)
    found.heard((0, 80, IDLE))
    check_in(db, booking_id=found.booking.id, actor_id="per_1", now=minute(65))
    assert found.told(80) == 0


def test_what_the_meter_missed_at_first_weighs_less_with_time_but_is_not_waited_for_long(db: Session) -> None:
    found, late = booked(db, grace=30), booked(db, grace=30)
    for one in (found, late):
        one.heard((0, 72, IDLE), (75, 92, IDLE))
        assert one.told(91) == 0
    found.heard((92, 115, IDLE))
    assert found.told(115) == 1
    late.heard((92, 121, IDLE))
    assert late.told(120) == 0


def test_when_the_house_frees_the_rest_the_devices_still_decide(db: Session) -> None:
    found = booked(db)
    found.heard((0, 80, IDLE))
    assert found.told(80) == 1
    finish(db, booking_id=found.booking.id, actor_id=found.staff[0], now=minute(80))
    found.heard((80, 100, IDLE))
    actions.confirm_uses(db, now=minute(100))
    use = queries.use_of_booking(db, found.booking.id)
    assert use is not None
    assert (use.verdict, timedelta(seconds=use.booked_s)) == (Verdict.NO_SHOW, timedelta(minutes=20))
