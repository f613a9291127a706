"""What a device tells of one moment in messages of their own is one measurement; each value counts as it was told first."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from devices import actions
from devices.codecs.sparkplug_wire import Payload
from devices.folding import followed, runs_of
from devices.intake import actions as intake
from devices.placing import Sample, arrived, place
from devices.profile import Profile, read_profile
from devices.readings import Envelope, Rejected
from devices.registry.actions import register_device
from devices.replay import replay
from devices.sessions import Grade
from devices.tables import Device, UsageSession
from tests.builders import a_resource
from tests.devices.test_sparkplug import FLOAT, NBIRTH, payload

T0 = datetime(2026, 3, 10, 1, tzinfo=UTC)
NATIVE = Profile()


def at(second: float) -> datetime:
    return T0 + timedelta(seconds=second)


def native(second: float, *, ts: float | None = None, key: str = "k", **body: Any) -> Envelope:
    stamp = {} if ts is None else {"ts": round((T0.timestamp() + ts) * 1000)}
    return Envelope(f"d/{key}/t", orjson.dumps({**stamp, **body}), at(second))


def placed(*messages: Envelope) -> tuple[list[Sample], set[str]]:
    found = [(one, said) for one, said in followed(messages, NATIVE) if not isinstance(said, Rejected)]
    return place([arrived(one, told) for one, said in found for told in said], NATIVE, until=at(9999))


TOLD = [
    ([{"e": 5.0}, {"p": 350.0}], (350.0, 5.0, None), set()),
    ([{"p": 350.0, "e": 5.0}, {"p": 350.0}], (350.0, 5.0, None), {"duplicate"}),
    ([{"p": 350.0}, {"p": 350.0, "e": 5.0}], (350.0, 5.0, None), set()),
    ([{"p": 350.0}, {"p": 8.0, "e": 5.0}], (350.0, 5.0, None), {"conflict"}),
    ([{"p": 350.0, "e": 5.0}, {"p": 350.0, "e": 6.0}], (350.0, 5.0, None), {"conflict"}),
    ([{"st": "RUN"}, {"e": 5.0}, {"p": 1.0}, {"e": 5.0}], (1.0, 5.0, "RUN"), {"duplicate"}),
    ([{}, {"p": 0.0}, {}], (0.0, None, None), {"duplicate"}),
]


@pytest.mark.parametrize("name", ["ts", "seq"])
@pytest.mark.parametrize(("bodies", "values", "notes"), TOLD)
def test_a_later_message_repeats_contradicts_or_adds(
    name: str, bodies: list[dict[str, Any]], values: tuple[object, ...], notes: set[str]
) -> None:
    own: dict[str, Any] = {"ts": 10.0} if name == "ts" else {"boot": "b", "seq": 7}
    samples, found = placed(*(native(11 + number, **own, **body) for number, body in enumerate(bodies)))
    assert found == notes
    told = [[value for value in column if value is not None] for column in list(zip(*samples, strict=True))[1:4]]
    assert told == [[] if value is None else [value] for value in values]
    if name == "ts":
        assert [one.at for one in samples] == [at(10)]


def test_what_is_told_later_than_its_time_is_trusted_lies_where_it_came() -> None:
    samples, notes = placed(native(11, ts=10, p=350.0), native(400, ts=10, e=5.0))
    assert [(one.at, one.power_w, one.energy_wh) for one in samples] == [(at(10), 350.0, None), (at(400), None, 5.0)]
    assert notes == {"clock_skew"}


def test_a_number_that_is_used_again_under_another_time_names_another_measurement() -> None:
    samples, notes = placed(native(11, ts=10, p=350.0, boot="b", seq=1), native(12, ts=10, e=5.0, boot="b", seq=2))
    assert (len(samples), notes) == (1, set())
    samples, notes = placed(native(11, ts=10, p=1.0, boot="b", seq=1), native(71, ts=70, p=2.0, boot="b", seq=1))
    assert (len(samples), notes) == (1, {"conflict"})


BODIES = st.lists(
    st.tuples(
        st.sampled_from([30.0, 60.0, 60.0, 170.0, 300.0, 1000.0]),
        st.sampled_from([8.0, 80.0, 350.0]),
        st.sampled_from([None, "RUN", "IDLE"]),
        st.randoms(use_true_random=False),
    ),
    min_size=2,
    max_size=30,
)
Body = tuple[float, float, str | None, Random]


def both(bodies: Sequence[Body], key: str = "k") -> tuple[list[Envelope], list[Envelope]]:
    """The same measurements told whole, and value by value in any order within the skew."""
    second, counter = 0.0, 0.0
    whole: list[Envelope] = []
    apart: list[Envelope] = []
    for gap, power, state, rnd in bodies:
        second += gap
        counter += power * gap / 3600
        body = {"p": power, "e": round(counter, 3), **({"st": state} if state else {})}
        whole.append(native(second, ts=second, key=key, **body))
        parts = [{name: value} for name, value in body.items()] + ([body] if rnd.random() < 0.2 else [])
        rnd.shuffle(parts)
        apart += [native(second + number * 6, ts=second, key=key, **part) for number, part in enumerate(parts)]
    return whole, sorted(apart, key=lambda one: one.received_at)


@given(bodies=BODIES, order=st.randoms(use_true_random=False))
def test_told_apart_it_is_what_it_is_told_whole(bodies: list[Body], order: Random) -> None:
    whole, apart = both(bodies)
    mixed = [*apart, *apart[::2]]
    order.shuffle(mixed)
    assert runs_of(mixed, NATIVE, until=at(99999)) == runs_of(whole, NATIVE, until=at(99999))


def stored(db: Session, device: Device, messages: Sequence[Envelope], size: int) -> list[tuple[object, ...]]:
    """Folded after every `size` messages."""
    for first in range(0, len(messages), size):
        part = messages[first : first + size]
        intake.store(db, part)
        actions.fold_devices(db, now=part[-1].received_at)
    mine = select(UsageSession).where(UsageSession.device_id == device.id).order_by(UsageSession.starts_at)
    return [(run.starts_at, run.ends_at, run.confirmed_s, run.energy_wh, run.grade, run.flags) for run in db.scalars(mine)]


def a_device(db: Session, profile: dict[str, Any]) -> Device:
    resource = a_resource(db).id
    return register_device(db, resource_id=resource, name="plug", profile=profile, actor_id=None, now=at(-86400))[0]


@pytest.mark.laws
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=BODIES, size=st.integers(1, 5))
def test_told_apart_and_folded_in_pieces_it_is_the_same(db: Session, bodies: list[Body], size: int) -> None:
    device = a_device(db, {"family": "native"})
    whole, apart = both(bodies, device.key)
    runs = runs_of(whole, NATIVE, until=apart[-1].received_at)
    found = stored(db, device, apart, size)
    assert found == [(r.start, r.end, int(r.confirmed_s), round(r.energy_wh), r.grade, list(r.flags)) for r in runs]


def running(minute: int) -> bool:
    return 10 <= minute < 40


def observed(key: str, minute: int) -> list[Envelope]:
    """One line of an MTConnect adapter: two observations of one time."""

    def said(item: str, kind: str, result: str) -> Envelope:
        stamp = at(60 * minute).isoformat().replace("+00:00", "Z")
        body = {"dataItemId": item, "type": kind, "timestamp": stamp, "result": result}
        return Envelope(f"d/{key}/MTConnect/Devices/m1/Observations/{item}", orjson.dumps(body), at(60 * minute + 0.5))

    energy = 3600 * 1000 + max(0, min(minute, 39) - 9) * 60 * 350
    return [said("energy", "ELECTRICAL_ENERGY", str(energy)), said("exec", "EXECUTION", "ACTIVE" if running(minute) else "READY")]


def two_topics(key: str, minute: int) -> list[Envelope]:
    energy = {"v": 1000 + max(0, min(minute, 39) - 9) * 350 / 60, "at": round(at(60 * minute).timestamp())}
    power = {"v": 350 if running(minute) else 8, "at": energy["at"]}
    return [
        Envelope(f"d/{key}/line/energy", orjson.dumps(energy), at(60 * minute + 0.5)),
        Envelope(f"d/{key}/line/power", orjson.dumps(power), at(60 * minute + 0.6)),
    ]


def two_data(key: str, minute: int) -> list[Envelope]:
    """Of a Sparkplug node: energy, then power, of one time."""

    def said(kind: str, content: bytes, second: float) -> Envelope:
        return Envelope(f"spBv1.0/lab/{kind}/{key}" + ("/oven" if kind.startswith("D") else ""), content, at(second))

    if not minute:
        born = payload(1, Power=(1, FLOAT, 8.0), Energy=(2, FLOAT, 1.0))
        return [said("NBIRTH", NBIRTH, 0), said("DBIRTH", born, 0.1)]
    energy = 1 + max(0, min(minute, 39) - 9) * 350 / 60000
    number = 2 * minute
    told = [payload(number % 256, 60 * minute, _1=(2, FLOAT, energy))]
    told.append(payload((number + 1) % 256, 60 * minute, _1=(1, FLOAT, 350.0 if running(minute) else 8.0)))
    assert all(Payload.FromString(one).metrics for one in told)
    return [said("DDATA", one, 60 * minute + 0.3 + number / 10) for number, one in enumerate(told)]


TOPICS = [
    {"topic": f"{{branch+}}/{name}", name: "v", "time": {"path": "at", "format": "epoch_s"}} for name in ("power", "energy")
]
WAYS = [("mtconnect", observed, Grade.A), ({"message": TOPICS}, two_topics, Grade.A), ("sparkplug", two_data, Grade.A)]


@pytest.mark.parametrize("turned", [False, True], ids=["energy first", "energy last"])
@pytest.mark.parametrize(("family", "said", "grade"), WAYS, ids=["mtconnect", "mapping", "sparkplug"])
def test_power_and_energy_of_one_time_in_two_messages(db: Session, family: Any, said: Any, grade: Grade, turned: bool) -> None:
    device = a_device(db, {"family": family})
    messages = [one for minute in range(60) for one in said(device.key, minute)[:: -1 if turned and minute else 1]]
    wanted = (at(600), at(2400), 1800, grade)
    found = [(start, end, confirmed, graded) for start, end, confirmed, _, graded, _ in stored(db, device, messages, 7)]
    assert found == [wanted]
    lines = [
        {"received_at": one.received_at.isoformat(), "topic": one.topic, "payload_b64": base64.b64encode(one.payload).decode()}
        for one in messages
    ]
    told = replay([orjson.dumps(line) for line in lines], read_profile({"family": family}))
    assert ([(run.start, run.end, run.grade) for run in told.sessions], told.notes) == ([(at(600), at(2400), grade)], [])


BESIDE = ("power first", "counter first")


def shelly(order: str, key: str = "k", beside: float = 0.3, watts: float = 500.0, draws: float = 500.0) -> list[Envelope]:
    """Of the first generation: a run with a silence of ten minutes and a half in it, in which it draws `draws`."""
    found, counter = list[Envelope](), 0.0  # in watt-minutes
    for number in range(120):
        second, power = number * 30, watts if 10 <= number < 110 else 3.0
        silent = 40 <= number <= 60  # the half minute before
        counter += (draws if silent else power) / 2 + ((watts - draws) * beside / 60 if number == 40 else 0)
        early = order == "power first"
        told = [("power", str(power)), ("energy", str(round(counter + (power * beside / 60 if early else 0), 3)))]
        first, last = told if early else told[::-1]
        parts = [Envelope(f"shellies/{key}/relay/0/{name}", value.encode(), at(second)) for name, value in (first, last)]
        found += [] if 40 <= number < 60 else [parts[0], parts[1]._replace(received_at=at(second + beside))]
    return found


@pytest.mark.parametrize("order", BESIDE)
def test_a_counter_beside_a_silence_tells_of_it(db: Session, order: str) -> None:
    device = a_device(db, {"family": "shelly1"})
    messages = shelly(order, device.key)
    (run,) = runs_of(messages, Profile(family="shelly1"), until=messages[-1].received_at)
    assert (run.confirmed_s, run.unverified_s, run.flags) == (3000, 0, ("gap_energy_confirmed",))
    (found,) = stored(db, device, messages, 1)
    assert (found[2], found[5]) == (3000, ["gap_energy_confirmed"])


@pytest.mark.parametrize("order", BESIDE)
@pytest.mark.parametrize(
    ("beside", "watts", "draws"), [(0.3, 500.0, 0.0), (2.0, 20_000.0, 0.0), (2.0, 20_000.0, 59.0), (2.1, 500.0, 500.0)]
)
def test_what_was_drawn_beside_a_silence_or_counted_far_from_it_proves_nothing(
    order: str, beside: float, watts: float, draws: float
) -> None:
    found = runs_of(shelly(order, beside=beside, watts=watts, draws=draws), Profile(family="shelly1"), until=at(3700))
    assert [run.flags for run in found] == [("gap_unverified",)]


def test_beside_a_silence_the_rating_bounds_what_was_drawn_more_than_the_power_that_was_told() -> None:
    lines = shelly("power first", beside=2.0, draws=70.0)
    assert [run.flags for run in runs_of(lines, Profile(family="shelly1"), until=at(3700))] == [("gap_energy_confirmed",)]
    rated = Profile(family="shelly1", rated_w=5000.0)
    assert [run.flags for run in runs_of(lines, rated, until=at(3700))] == [("gap_unverified",)]


@pytest.mark.parametrize("beat", [20, 31])
def test_a_heartbeat_at_the_end_of_a_silence_leaves_it_unverified(beat: int) -> None:
    lines = [
        native(60 * minute + 1, ts=60 * minute, **({} if minute == beat else {"p": 500, "e": minute * 9}))
        for minute in range(60)
        if not 20 < minute < 31
    ]
    (run,) = runs_of(lines, NATIVE, until=at(3600))
    assert run.flags == ("gap_unverified",)
