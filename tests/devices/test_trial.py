"""The last messages by the profile in force and by another, also where a message means something only after others."""

from datetime import UTC, datetime, timedelta

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from devices import queries, trial
from devices.intake import actions as intake
from devices.profile import Profile, read_profile
from devices.readings import Envelope, Reason, Rejected
from devices.registry.actions import register_device
from devices.tables import Device, RawMessage, Thresholds
from tests.builders import a_resource
from tests.devices.test_births import a_node
from tests.devices.test_sparkplug import DBIRTH, NBIRTH, data

BEGIN = datetime(2026, 3, 10, 1, tzinfo=UTC)
EITHER = read_profile({"family": {"message": [{"topic": "d/{device}/t", "power": {"path": "p", "scale": 2}}]}})


def a_device(db: Session, family: str = "native") -> Device:
    place = a_resource(db)
    return register_device(db, resource_id=place.id, name="plug", profile={"family": family}, actor_id=None, now=BEGIN)[0]


def said(device: Device, second: float, body: object, tail: str = "t") -> Envelope:
    return Envelope(f"d/{device.key}/{tail}", orjson.dumps(body), BEGIN + timedelta(seconds=second))


def test_a_message_says_what_it_says_by_each_profile(db: Session) -> None:
    device = a_device(db)
    before = int(BEGIN.timestamp() * 1000)
    intake.store(db, [said(device, 10, {"p": 7, "ts": before}), said(device, 5, {"p": 8}, "other")])
    stored = [db.scalar(select(func.count()).select_from(table)) for table in (RawMessage, Thresholds)]
    newest, oldest = trial.try_on(db, device, Profile(), EITHER)
    assert newest.now == [trial.Value(7, None, None, None, "", BEGIN)]
    assert newest.then == [trial.Value(14, None, None, None, "", BEGIN + timedelta(seconds=10))]
    assert newest.differs
    assert (oldest.heard.turned_away, oldest.now, oldest.differs) == (
        Rejected(Reason.TOPIC, "no such channel: other"), Rejected(Reason.TOPIC, "no such channel: other"), True,
    )  # fmt: skip
    assert stored == [db.scalar(select(func.count()).select_from(table)) for table in (RawMessage, Thresholds)]


def test_without_another_nothing_would_be(db: Session) -> None:
    device = a_device(db)
    assert trial.try_on(db, device, Profile()) == []
    intake.store(db, [said(device, 1, {"p": 7})])
    assert [one.then for one in trial.try_on(db, device, Profile())] == [None]


def test_a_clock_that_is_off_is_noted(db: Session) -> None:
    device = a_device(db)
    intake.store(db, [said(device, 1, {"p": 7, "ts": int(BEGIN.timestamp() * 1000) - 3_600_000})])
    late = Profile(backfill=7200)
    (one,) = trial.try_on(db, device, Profile(), late)
    assert isinstance(one.now, list)
    assert isinstance(one.then, list)
    assert (one.now[0].note, one.then[0].note) == ("clock_skew", "late")
    assert one.then[0].at == BEGIN - timedelta(hours=1)


def test_a_series_that_would_not_count_says_so(db: Session) -> None:
    device = a_device(db)
    intake.store(db, [said(device, 1, {"p": 7})])
    (one,) = trial.try_on(db, device, Profile(), Profile(series=("1",)))
    assert isinstance(one.then, list)
    assert (one.then[0].power_w, one.then[0].at, one.then[0].note) == (7, None, "not_counted")
    assert one.differs


def test_what_was_named_in_a_birth_long_before_is_understood(db: Session) -> None:
    device, key, _ = a_node(db)
    told = [("NBIRTH", NBIRTH, ""), ("DBIRTH", DBIRTH, "/oven")]
    told += [("DDATA", data(2 + number, 9.0 + number, number), "/oven") for number in range(trial.MOST_MESSAGES)]
    intake.store(
        db,
        [
            Envelope(f"spBv1.0/lab/{kind}/{key}{oven}", content, BEGIN + timedelta(seconds=second))
            for second, (kind, content, oven) in enumerate(told)
        ],
    )
    found = trial.try_on(db, device, Profile(family="sparkplug"), Profile())
    assert len(found) == trial.MOST_MESSAGES
    assert isinstance(found[0].now, list)
    assert found[0].now[0].power_w == 9.0 + trial.MOST_MESSAGES - 1
    assert isinstance(found[0].then, Rejected)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=70))
def test_the_newest_are_shown_newest_first(db: Session, messages: list[tuple[int, bool]]) -> None:
    device = a_device(db)
    told = [said(device, second, {"p": number}, "t" if taken else "x") for number, (second, taken) in enumerate(messages)]
    intake.store(db, told)
    found = [one.heard.envelope.received_at for one in trial.try_on(db, device, Profile())]
    assert found == sorted((one.received_at for one in told), reverse=True)[: trial.MOST_MESSAGES]
    assert len(queries.last_messages(db, device.id, count=3)) == min(3, sum(taken for _, taken in messages))
