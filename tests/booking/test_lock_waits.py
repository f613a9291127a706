"""What a booking reads that had to wait for the row of its resource: what is committed by then, not what was when it asked."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from booking import actions
from booking.admission import Wish
from booking.lines.actions import share
from booking.places import lock_place, lock_places_of
from booking.rules.actions import RuleSet, set_rules
from booking.tables import Booking, Category, Claim, RuleVersion
from marketplace.slot import Slot
from marketplace.tables import Resource
from tests.builders import a_booking, a_person, a_resource

NOW = datetime(2027, 3, 1, tzinfo=UTC)
SLOT = Slot(NOW + timedelta(days=7, hours=2), NOW + timedelta(days=7, hours=4))
PATIENCE_S = 20


@pytest.fixture
def postgres(committed_db: sessionmaker[Session]) -> sessionmaker[Session]:
    with committed_db() as session:
        if session.get_bind().dialect.name != "postgresql":
            pytest.skip("SQLite has one writer: nobody waits for a row")
    return committed_db


def _wait_for_waiter(session: Session) -> None:
    """Until another connection waits for a lock."""
    deadline = time.monotonic() + PATIENCE_S
    while not session.scalar(text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")):
        assert time.monotonic() < deadline
        session.rollback()  # one transaction sees the activity as it first saw it
        time.sleep(0.02)


def _books(store: sessionmaker[Session], wish: Wish, made: list[str]) -> threading.Thread:
    def book() -> None:
        with store.begin() as session:
            made.append(actions.book(session, wish=wish, now=NOW).id)

    thread = threading.Thread(target=book)
    thread.start()
    return thread


def test_a_part_that_came_to_be_shared_while_a_booking_waited_is_claimed_by_it(postgres: sessionmaker[Session]) -> None:
    with postgres.begin() as session:
        machine = a_resource(session)
        pump = a_resource(session, institution_id=machine.institution_id)
        wish = Wish(machine.id, SLOT, a_person(session).id, None, Category.SELF)
        machine_id, pump_id = machine.id, pump.id
    made: list[str] = []
    with postgres() as session, postgres() as watching:
        share(session, resource_id=machine_id, part_ids=[pump_id], actor_id="per_x", now=NOW)
        thread = _books(postgres, wish, made)
        _wait_for_waiter(watching)
        session.commit()
    thread.join(PATIENCE_S)
    with postgres() as session:
        claimed = session.scalars(select(Claim.resource_id).where(Claim.booking_id == made[0], Claim.active)).all()
        assert set(claimed) == {machine_id, pump_id}


def test_rules_that_changed_while_a_booking_waited_are_its_rules(postgres: sessionmaker[Session]) -> None:
    with postgres.begin() as session:
        machine = a_resource(session)
        wish = Wish(machine.id, SLOT, a_person(session).id, None, Category.SELF)
        machine_id = machine.id
    made: list[str] = []
    with postgres() as session, postgres() as watching:
        set_rules(session, resource_id=machine_id, rules=RuleSet(step_min=15), actor_id=None, now=NOW)
        thread = _books(postgres, wish, made)
        _wait_for_waiter(watching)
        session.commit()
    thread.join(PATIENCE_S)
    with postgres() as session:
        newest = session.scalars(
            select(RuleVersion.id).where(RuleVersion.resource_id == machine_id).order_by(RuleVersion.number.desc())
        ).first()
        assert session.get_one(Booking, made[0]).rules_id == newest


def test_who_is_about_to_change_a_booking_locks_where_it_was_moved_meanwhile(postgres: sessionmaker[Session]) -> None:
    with postgres.begin() as session:
        machine = a_resource(session)
        other = a_resource(session, institution_id=machine.institution_id)
        booking_id = a_booking(session, resource=machine).id
        machine_id, other_id = machine.id, other.id
    done = threading.Event()
    refused: list[str] = []

    def end_it() -> None:
        with postgres.begin() as session:
            lock_places_of(session, [booking_id])
            with postgres() as besides:
                for resource_id in (machine_id, other_id):
                    try:
                        besides.execute(select(Resource.id).where(Resource.id == resource_id).with_for_update(nowait=True))
                    except OperationalError:
                        refused.append(resource_id)
                    besides.rollback()
        done.set()

    with postgres() as session, postgres() as watching:
        lock_place(session, machine_id)
        thread = threading.Thread(target=end_it)
        thread.start()
        _wait_for_waiter(watching)
        session.get_one(Booking, booking_id).resource_id = other_id
        session.commit()
    assert done.wait(PATIENCE_S)
    thread.join(PATIENCE_S)
    assert refused == [machine_id, other_id]
