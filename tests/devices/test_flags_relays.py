"""A relay that is open while power flows: what raises it, and that a plug that is switched honestly raises none."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import orjson
import pytest
from sqlalchemy.orm import Session

from devices.flags import actions as flags
from devices.flags import queries
from devices.flags.days import Day, Found, Kind, Switched
from devices.flags.rules import look
from devices.intake import actions as intake
from devices.profile import Profile
from devices.readings import Envelope, Relay
from devices.registry.actions import register_device
from marketplace.slot import Slot
from tests.builders import a_resource

BEGIN = datetime(2026, 3, 10, tzinfo=UTC)
DAY = Slot(BEGIN, BEGIN + timedelta(days=1))


def at(minute: float) -> datetime:
    return BEGIN + timedelta(minutes=minute)


def said(
    minutes: Sequence[float], relay: Relay = Relay.OPEN, *, watts: float | None = 480.0, channel: str = "0"
) -> list[Switched]:
    """At each minute, with a power that moves."""
    return [
        Switched(at(minute), channel, relay, None if watts is None else watts + number % 7 / 10)
        for number, minute in enumerate(minutes)
    ]


def found(switched: Sequence[Switched], profile: Profile | None = None) -> list[Found]:
    told = sorted(switched, key=lambda one: one.at)
    return look(Day(DAY, (), profile or Profile(), switched=told))


def test_power_through_an_open_relay_is_asked_about() -> None:
    (one,) = found(said(range(30, 61)))
    assert (one.kind, one.span) == (Kind.RELAY_OFF, Slot(at(30), at(60)))
    assert one.evidence == {"least_w": 480.0, "most_w": 480.6, "messages": 31, "channel": "0"}


@pytest.mark.parametrize(("last", "raised"), [(9, 0), (10, 1)])
def test_ten_minutes_of_it_count(last: int, raised: int) -> None:
    assert len(found(said(range(last + 1)))) == raised


@pytest.mark.parametrize(("watts", "p_idle", "raised"), [(19.0, 5, 0), (21.0, 5, 1), (39.0, 20, 0), (41.0, 20, 1)])
def test_noise_and_what_the_plug_itself_draws_do_not_count(watts: float, p_idle: float, raised: int) -> None:
    assert len(found(said(range(30), watts=watts), Profile(p_idle=p_idle))) == raised


def test_words_and_powers_that_come_apart_are_joined_while_the_words_go_on() -> None:
    words = said(range(0, 40, 2), watts=None)
    powers = said([minute + 0.5 for minute in range(40)], Relay.UNTOLD)
    assert len(found([*words, *powers])) == 1
    assert found([*words[:1], *powers]) == []  # said once: nobody knows how it is later
    assert found([*said(range(0, 40, 5), watts=None), *powers]) == []  # further apart than stale_after
    assert found(powers) == []


def test_a_word_between_that_says_closed_or_a_power_that_stops_ends_it() -> None:
    assert found([*said(range(9)), *said([9], Relay.CLOSED), *said(range(10, 19))]) == []
    assert found([*said(range(9)), *said([9], watts=0.0), *said(range(10, 19))]) == []
    assert found([*said(range(9)), *said(range(13, 22))]) == []  # a silence
    assert len(found([*said(range(9)), *said([9], Relay.UNTOLD, watts=None), *said(range(10, 19))])) == 1


def test_what_a_bridge_repeats_from_memory_does_not_count_unless_the_counter_rises() -> None:
    stale = [Switched(at(minute), "", Relay.OPEN, 480.0, 1000.0) for minute in range(60)]
    assert found(stale) == []
    assert len(found([Switched(one.at, "", one.relay, one.power_w, 1000.0 + number) for number, one in enumerate(stale)])) == 1


def test_of_a_plug_with_several_outlets_each_is_judged_alone() -> None:
    assert found([*said(range(60), channel="1", watts=0.0), *said(range(60), Relay.CLOSED, channel="2")]) == []
    (one,) = found([*said(range(60), channel="1", watts=0.0), *said(range(60), channel="2")])
    assert one.evidence["channel"] == "2"


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("apart", [False, True])
def test_a_plug_that_is_switched_honestly_raises_none(seed: int, apart: bool) -> None:
    """A noisy load behind a relay that is switched at any time, told with delay, with lost words and late powers."""
    noise, told, closed, since = Random(seed), list[Switched](), True, 0.0
    for second in range(0, 86400, 15):
        if noise.random() < 0.01:
            closed, since = not closed, second
            if noise.random() < 0.8:
                told.append(Switched(at(second / 60), "0", Relay.CLOSED if closed else Relay.OPEN))
        lags = second - since < 60 and noise.random() < 0.5  # the power of before
        watts = max(0.0, noise.gauss(900, 300)) if closed != lags else abs(noise.gauss(0, 4))
        word = Relay.UNTOLD if apart and second % 120 else Relay.CLOSED if closed else Relay.OPEN
        told.append(Switched(at(second / 60), "0", word, round(watts, 1)))
    assert found(told) == []


TASMOTA = {"family": "tasmota"}
SENSOR = {"ENERGY": {"Power": 480.0, "Total": 12.0}}


def stored(db: Session, family: str, messages: Sequence[tuple[str, object]], **marks: bool) -> list[str]:
    """The kinds that are raised where these come every minute of two hours; the power moves."""
    row, _ = register_device(db, resource_id=a_resource(db).id, name="plug", profile={"family": family}, actor_id=None, now=BEGIN)
    told = [
        Envelope(topic.replace("KEY", row.key), payload(body, minute), at(minute + number / 60), **marks)
        for minute in range(120)
        for number, (topic, body) in enumerate(messages)
    ]
    intake.store(db, told)
    flags.look_at_days(db, now=BEGIN + timedelta(days=1, hours=2))
    return [one.kind.value for one in queries.flags_of(db, row.resource_id)]


def payload(body: object, minute: int) -> bytes:
    """With a power that moves and a counter that rises with it."""
    text = body if isinstance(body, str) else orjson.dumps(body).decode()
    return text.replace("480", str(480 + minute % 7 / 10)).replace("12000", str(12000 + minute * 8)).encode()


OPEN_IN_EACH = [
    ("tasmota", [("d/KEY/tele/STATE", {"POWER": "OFF"}), ("d/KEY/tele/SENSOR", {"ENERGY": {"Power": 480}})]),
    ("tasmota", [
        ("d/KEY/tele/STATE", {"POWER1": "OFF", "POWER2": "OFF"}),
        ("d/KEY/tele/SENSOR", {"ENERGY": {"Power": [0, 480]}}),
    ]),
    ("shelly2", [("d/KEY/status/switch:0", {"id": 0, "output": False, "apower": 480, "aenergy": {"total": 12000}})]),
    ("shelly2", [("d/KEY/events/rpc", {"params": {"switch:1": {"output": False, "apower": 480}}})]),
    ("shelly1", [("shellies/KEY/relay/0", "off"), ("shellies/KEY/relay/0/power", "480")]),
    ("zigbee2mqtt", [("d/KEY/plug", {"state": "OFF", "power": 480})]),
]  # fmt: skip


@pytest.mark.parametrize(("family", "messages"), OPEN_IN_EACH)
def test_plugs_of_each_family_tell_it(db: Session, family: str, messages: list[tuple[str, object]]) -> None:
    assert stored(db, family, messages) == ["relay_off"]


HONEST_IN_EACH = [
    ("tasmota", [("d/KEY/tele/STATE", {"POWER": "ON"}), ("d/KEY/tele/SENSOR", {"ENERGY": {"Power": 480}})]),
    ("tasmota", [
        ("d/KEY/tele/STATE", {"POWER1": "OFF", "POWER2": "ON"}),
        ("d/KEY/tele/SENSOR", {"ENERGY": {"Power": [0, 480]}}),
    ]),
    ("tasmota", [("d/KEY/stat/POWER1", "OFF"), ("d/KEY/tele/SENSOR", {"ENERGY": {"Power": [0, 480]}})]),
    ("shelly2", [
        ("d/KEY/status/switch:0", {"output": False, "apower": 0}),
        ("d/KEY/status/switch:1", {"output": True, "apower": 480}),
    ]),
    ("shelly2", [("d/KEY/status/switch:0", {"output": False}), ("d/KEY/status/em:0", {"total_act_power": 480})]),
    ("shelly1", [("shellies/KEY/relay/0", "off"), ("shellies/KEY/emeter/0/power", "480")]),
    ("zigbee2mqtt", [("d/KEY/plug", {"state": "ON", "power": 480}), ("d/KEY/shutter", {"state": "CLOSE", "power": 480})]),
]  # fmt: skip


@pytest.mark.parametrize(("family", "messages"), HONEST_IN_EACH)
def test_what_the_relay_does_not_switch_is_not_accused(db: Session, family: str, messages: list[tuple[str, object]]) -> None:
    assert stored(db, family, messages) == []


@pytest.mark.parametrize("mark", ["retain", "backlog"])
def test_what_was_kept_for_later_does_not_count(db: Session, mark: str) -> None:
    assert stored(db, "zigbee2mqtt", [("d/KEY/plug", {"state": "OFF", "power": 480})], **{mark: True}) == []


def test_words_of_a_relay_are_no_sign_of_life_and_no_use(db: Session) -> None:
    row, _ = register_device(db, resource_id=a_resource(db).id, name="plug", profile=TASMOTA, actor_id=None, now=BEGIN)
    intake.store(db, [Envelope(f"d/{row.key}/tele/STATE", b'{"POWER":"ON"}', at(minute)) for minute in range(9)])
    assert (row.last_message_at, row.online, row.dirty_from) == (None, None, None)
