"""What a Sparkplug node kept for later lies where it happened, however old it is, as it is stored and folded in pieces."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from devices import actions
from devices.codecs.sparkplug_wire import Payload
from devices.folding import runs_of
from devices.intake import actions as intake
from devices.profile import Profile
from devices.readings import Envelope
from devices.registry.actions import register_device
from devices.replay import replay
from devices.tables import Device, UsageSession
from tests.builders import a_resource
from tests.devices.test_sparkplug import DBIRTH, FLOAT, NBIRTH, payload

T0 = datetime(2026, 3, 10, 1, tzinfo=UTC)
PROFILE = Profile(family="sparkplug")
Point = tuple[float, float, float, bool]
"""Sent and measured, in seconds, watts, and whether it was kept for later."""


def a_node(db: Session) -> Device:
    begin, resource = T0 - timedelta(days=3), a_resource(db).id
    profile = {"family": "sparkplug"}
    return register_device(db, resource_id=resource, name="node", profile=profile, actor_id=None, now=begin)[0]


def stream(key: str, points: Sequence[Point]) -> list[Envelope]:
    """One birth, then a message for each point."""

    def said(kind: str, content: bytes, second: float) -> Envelope:
        oven = "/oven" if kind.startswith("D") else ""
        return Envelope(f"spBv1.0/lab/{kind}/{key}{oven}", content, T0 + timedelta(seconds=second))

    found = [said("NBIRTH", NBIRTH, 0), said("DBIRTH", DBIRTH, 0.1)]
    for number, (sent, measured, watts, kept) in enumerate(points, start=2):
        content = Payload.FromString(payload(number % 256, sent, _1=(1, FLOAT, watts)))
        content.metrics[0].timestamp = round((T0.timestamp() + measured) * 1000)
        content.metrics[0].is_historical = kept
        found.append(said("DDATA", content.SerializeToString(), sent + 0.3))
    return found


def stored(db: Session, device: Device, messages: Sequence[Envelope], sizes: Sequence[int]) -> list[tuple[object, ...]]:
    """What they come to, folded after every so many."""
    first, number = 0, 0
    while first < len(messages):
        part = messages[first : first + sizes[number % len(sizes)]]
        intake.store(db, part)
        actions.fold_devices(db, now=part[-1].received_at)
        first, number = first + len(part), number + 1
    mine = select(UsageSession).where(UsageSession.device_id == device.id).order_by(UsageSession.starts_at)
    return [(run.starts_at, run.ends_at, run.until, run.confirmed_s, run.flags) for run in db.scalars(mine)]


def away(hours: float) -> list[Point]:
    """Ten minutes at rest, a run of 59 minutes while the link was down, told so many hours after its end, and live again."""
    back = 4800 + hours * 3600
    kept = [(back + minute / 10, 60.0 * minute, 350.0 if minute < 79 else 8.0, True) for minute in range(20, 80)]
    rest = [(60.0 * minute, 60.0 * minute, 8.0, False) for minute in range(1, 10)]
    return [*rest, *kept, *((back + 20 + 60 * minute, back + 20 + 60 * minute, 8.0, False) for minute in range(20))]


@pytest.mark.parametrize("hours", [0, 2, 6, 23, 30, 60])
def test_a_run_that_was_kept_for_later_is_a_session_as_in_a_replay(db: Session, hours: float) -> None:
    device = a_node(db)
    messages = stream(device.key, away(hours))
    begin, end = T0 + timedelta(minutes=20), T0 + timedelta(minutes=79)
    assert stored(db, device, messages, [5, 1, 20]) == [(begin, end, end, 59 * 60, [])]
    lines = [
        {"received_at": one.received_at.isoformat(), "topic": one.topic, "payload_b64": base64.b64encode(one.payload).decode()}
        for one in messages
    ]
    (run,) = replay([orjson.dumps(line) for line in lines], PROFILE).sessions
    assert (run.start, run.end) == (begin, end)


def outages(rnd: Random) -> list[Point]:
    """A day of a node whose link is down now and then, for minutes or hours; what it kept it sends again in part."""
    found: list[Point] = []
    kept: list[tuple[float, float]] = []
    second, watts, down_until = 60.0, 8.0, 0.0
    while len(found) + len(kept) < 60:
        second += rnd.choice([60.0, 60.0, 60.0, 150.0, 400.0, 1000.0, 5000.0])
        watts = rnd.choice([8.0, 80.0, 350.0]) if rnd.random() < 0.25 else watts
        if second < down_until:
            kept.append((second, watts))
            continue
        found += [(second + number / 10, at, told, True) for number, (at, told) in enumerate(kept)]
        again = rnd.sample(kept, min(len(kept), 2))
        found += [(second + 10 + number / 10, at, told, rnd.random() < 0.8) for number, (at, told) in enumerate(again)]
        kept = []
        found.append((second + 20, second + 20, watts, False))
        if rnd.random() < 0.1:
            down_until = second + rnd.choice([300.0, 3000.0, 20000.0, 100000.0])
        second += 20
    return found


@pytest.mark.laws
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rnd=st.randoms(use_true_random=False), sizes=st.lists(st.integers(3, 15), min_size=1, max_size=5))
def test_whatever_was_kept_folded_in_pieces_it_is_what_the_whole_comes_to(db: Session, rnd: Random, sizes: list[int]) -> None:
    device = a_node(db)
    messages = stream(device.key, outages(rnd))
    whole = runs_of(messages, PROFILE, until=messages[-1].received_at)
    found = stored(db, device, messages, sizes)
    assert found == [(run.start, run.end, run.until, int(run.confirmed_s), list(run.flags)) for run in whole]
