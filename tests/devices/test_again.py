"""Messages that our broker is told again after it was killed: nothing is stored twice, and nothing old looks new."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from devices.intake.actions import store
from devices.readings import Envelope
from devices.registry.actions import register_device
from devices.tables import Device, RawMessage, RejectedMessage
from tests.builders import a_resource
from tests.devices.test_sparkplug import payload as metrics

DAY = datetime(2026, 3, 10, 1, tzinfo=UTC)
TS = int(DAY.timestamp() * 1000)


def a_device(db: Session, **profile: Any) -> Device:
    row, _ = register_device(db, resource_id=a_resource(db).id, name="plug", profile=profile, actor_id=None, now=DAY)
    db.flush()
    return row


def said(device: Device, body: dict[str, Any] | bytes, channel: str = "t") -> Envelope:
    payload = body if isinstance(body, bytes) else orjson.dumps(body)
    return Envelope(f"d/{device.key}/{channel}", payload, DAY + timedelta(seconds=1))


def again(envelope: Envelope) -> Envelope:
    return envelope._replace(received_at=envelope.received_at + timedelta(seconds=9), backlog=True, again=True)


def count(db: Session, table: type[RawMessage] | type[RejectedMessage]) -> int:
    return db.scalar(select(func.count()).select_from(table)) or 0


@pytest.mark.parametrize("name", [{"ts": TS}, {"boot": "b", "seq": 1}, {"ts": TS, "boot": "b", "seq": 1}])
def test_what_has_a_name_is_stored_once_whether_it_was_kept_the_first_time_or_not(db: Session, name: dict[str, Any]) -> None:
    device = a_device(db)
    first = said(device, {**name, "p": 350})
    store(db, [first])
    store(db, [again(first), again(first)])
    assert [(row.received_at, row.backlog) for row in db.scalars(select(RawMessage))] == [(first.received_at, False)]
    lost = said(device, {**name, "p": 351})
    store(db, [again(lost)])
    store(db, [again(lost)])
    assert count(db, RawMessage) == 2
    assert db.scalars(select(RawMessage).where(RawMessage.backlog)).one().topic == lost.topic


@pytest.mark.parametrize("body", [{"p": 350}, {"p": 350, "seq": 1}, b"{"])
def test_what_has_none_or_cannot_be_read_is_not_stored_again(db: Session, body: dict[str, Any] | bytes) -> None:
    device = a_device(db)
    first = said(device, body)
    store(db, [first])
    before = (count(db, RawMessage), count(db, RejectedMessage))
    store(db, [again(first)])
    assert (count(db, RawMessage), count(db, RejectedMessage)) == before == ((1, 0) if body != b"{" else (0, 1))


def test_who_went_offline_before_and_is_back_stays_online(db: Session) -> None:
    device = a_device(db)
    gone = said(device, {"online": False, "ts": TS}, "s")
    back = said(device, {"online": True, "ts": TS + 1000}, "s")._replace(received_at=DAY + timedelta(seconds=5))
    store(db, [gone])
    store(db, [back])
    store(db, [again(gone)])
    assert (device.online, device.online_at) == (True, back.received_at)


def test_what_means_something_only_in_its_place_is_not_put_into_another(db: Session) -> None:
    device = a_device(db, family="sparkplug")
    topic = f"spBv1.0/lab/NBIRTH/{device.key}"
    born = Envelope(topic, metrics(0, bdSeq=(None, 4, 7)), DAY)
    store(db, [again(born)])
    assert count(db, RawMessage) == 0
    store(db, [born])
    assert count(db, RawMessage) == 1
