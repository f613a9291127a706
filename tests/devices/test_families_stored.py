"""Families that are not ours, from the message to the session, on both databases and in pieces."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from devices import actions, queries
from devices.codecs import families
from devices.intake import actions as intake
from devices.readings import Envelope, Rejected
from devices.registry.actions import register_device
from devices.tables import Device, RejectedMessage, UsageSession
from marketplace.refusals import Invalid
from tests.builders import a_resource
from tests.devices.test_sparkplug import BOOLEAN, FLOAT, INT64, payload

DAY = datetime(2026, 3, 10, 1, tzinfo=UTC)
RUN = (65, 162)
END = 200


def minute(count: float) -> datetime:
    return DAY + timedelta(minutes=count)


def watts(at: int) -> float:
    return 350.0 if RUN[0] <= at < RUN[1] else 8.0


def a_device(db: Session, profile: dict[str, Any]) -> tuple[Device, str]:
    row, known = register_device(db, resource_id=a_resource(db).id, name="meter", profile=profile, actor_id=None, now=DAY)
    return row, known.key


def store(db: Session, messages: list[Envelope]) -> UsageSession:
    """In pieces, one of them twice, folded after each; the one session that they come to."""
    for part in (messages[:30], messages[30:90], messages[30:90], messages[90:]):
        intake.store(db, part)
        actions.fold_devices(db, now=part[-1].received_at + timedelta(seconds=1))
    actions.fold_devices(db, now=minute(END))
    assert db.scalars(select(RejectedMessage)).all() == []
    (run,) = db.scalars(select(UsageSession)).all()
    return run


def test_an_edge_node_that_was_born_once_is_understood_ever_after(db: Session) -> None:
    device, key = a_device(db, {"family": "sparkplug"})

    def said(kind: str, content: bytes, at: int) -> Envelope:
        oven = "/oven" if kind.startswith("D") else ""
        return Envelope(f"spBv1.0/lab/{kind}/{key}{oven}", content, minute(at) + timedelta(seconds=1))

    reborn = {"bdSeq": (None, INT64, 0), "Node Control/Rebirth": (None, BOOLEAN, False)}
    messages = [said("NBIRTH", payload(0, **reborn), 0)]
    messages.append(said("DBIRTH", payload(1, Power=(1, FLOAT, 8.0)), 0))
    messages += [said("DDATA", payload((at + 1) % 256, 60 * at, _1=(1, FLOAT, watts(at))), at) for at in range(1, END)]
    run = store(db, messages)
    assert (run.starts_at, run.ends_at, run.confirmed_s) == (minute(RUN[0]), minute(RUN[1]), (RUN[1] - RUN[0]) * 60)
    assert device.online is True
    intake.store(db, [said("NDEATH", payload(bdSeq=(None, INT64, 0)), END)])
    actions.fold_devices(db, now=minute(END + 1))
    assert device.online is False


def test_a_shelly_that_tells_what_changed(db: Session) -> None:
    _, key = a_device(db, {"family": "shelly2"})
    messages = []
    for at in range(END):
        part = {"id": 0, "apower": watts(at)} if at in {0, *RUN} or at % 2 else {"id": 0, "temperature": {"tC": 40 + at / 10}}
        frame = {"src": key, "method": "NotifyStatus", "params": {"ts": minute(at).timestamp(), "switch:0": part}}
        messages.append(Envelope(f"d/{key}/events/rpc", json.dumps(frame).encode(), minute(at) + timedelta(seconds=1)))
    run = store(db, messages)
    assert (run.starts_at, run.ends_at) == (minute(RUN[0]), minute(RUN[1]))


def test_payloads_that_somebody_described(db: Session) -> None:
    mapping = {"message": [{"topic": "{branch+}/kw", "format": "scalar", "power": {"path": ".", "scale": 1000}}]}
    device, key = a_device(db, {"family": mapping})
    messages = [Envelope(f"d/{key}/kw", str(watts(at) / 1000).encode(), minute(at)) for at in range(END)]
    run = store(db, messages)
    assert (run.starts_at, run.ends_at) == (minute(RUN[0]), minute(RUN[1]))
    assert queries.profile_of(db, device.id, at=minute(END)).family == families.MAPPING


def test_a_mapping_that_makes_no_sense_makes_no_device(db: Session) -> None:
    with pytest.raises(Invalid):
        a_device(db, {"family": {"message": [{"topic": "a/{x}/{x}"}]}})
    assert db.scalars(select(Device)).all() == []


@pytest.mark.parametrize(
    "topic",
    [
        "d/k1",
        "d//t",
        "shellies/k1",
        "shellies//x",
        "spBv1.0/lab/NDATA",
        "spBv1.0/STATE/k1",
        "spBv1.0/lab/DDATA/k1/",
        "x/k1/t",
        "d/k.1/t",
    ],
)
def test_a_topic_of_nobody_is_nobodys(topic: str) -> None:
    assert isinstance(families.device_key(topic), Rejected)
