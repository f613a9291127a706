"""Ten thousand malformed messages of every family: nothing falls over, no nonsense is stored, and all of them are counted."""

import math
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from devices import actions
from devices.codecs import families
from devices.codecs.strict import LARGEST
from devices.intake import actions as intake
from devices.readings import Envelope, Reading, Rejected
from devices.registry.actions import register_device
from devices.tables import RawMessage, RejectedMessage, UsageSession
from tests.builders import a_resource
from tests.devices.test_sparkplug import DBIRTH, NBIRTH, data

NOW = datetime(2026, 3, 10, 1, tzinfo=UTC)
MANY = 10_000
NASTY = (
    *(b"NaN", b"Infinity", b"-1e999", b"1e308", b"null", b'"', b"\x00"),
    *(b"\xff\xfe\x80", b"{" * 40, b"[" * 4000, b"\xed\xa0\x80", b"9" * 400),
)
SEEDS: dict[str, list[tuple[str, bytes]]] = {
    name: [(example.topic, example.payload.encode()) for example in family.examples] for name, family in families.FAMILIES.items()
}
SEEDS["native"] = [
    ("d/k/t", b'{"ts":1780000060123,"seq":4711,"boot":"5f2c","p":351.2,"e":6294.1,"st":"RUN"}'),
    ("d/k/s", b'{"online":false}'),
]
SEEDS["tasmota"] = [
    ("tele/k/SENSOR", b'{"Time":"2018-02-15T17:37:10","ENERGY":{"Total":6.294,"Power":[2635,1]}}'),
    ("tele/k/LWT", b"Online"),
]
SEEDS["sparkplug"] = [("spBv1.0/g/NBIRTH/k", NBIRTH), ("spBv1.0/g/DBIRTH/k/o", DBIRTH), ("spBv1.0/g/DDATA/k/o", data(2, 9.0))]


def mutated(draw: random.Random, payload: bytes) -> bytes:
    """The payload broken in one to four ways."""
    found = bytearray(payload)
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(len(found) + 1)
        match draw.randrange(6):
            case 0:
                found[place:place] = draw.choice(NASTY)
            case 1:
                found = found[:place]
            case 2 if found:
                found[place % len(found)] = draw.randrange(256)
            case 3:
                found[place:place] = found
            case 4 if draw.random() < 0.02:
                found += bytes(64 * 1024)
            case _:
                found[place : place + draw.randrange(8)] = draw.choice(NASTY)
    return bytes(found)


def malformed(seed: int) -> Iterator[tuple[str, str, bytes]]:
    draw = random.Random(seed)
    for _ in range(MANY):
        family = draw.choice(sorted(SEEDS))
        topic, payload = draw.choice(SEEDS[family])
        yield family, topic, mutated(draw, payload)


def is_sane(reading: Reading) -> bool:
    numbers = [one for one in (reading.power_w, reading.energy_wh) if one is not None]
    sane = all(math.isfinite(number) and abs(number) <= LARGEST for number in numbers) and (reading.energy_wh or 0) >= 0
    return sane and (reading.state is None or (len(reading.state) <= 40 and reading.state.isprintable()))


def test_whatever_comes_is_a_sane_reading_or_is_turned_away() -> None:
    told: Counter[str] = Counter()
    for family, topic, payload in malformed(1):
        found = families.decode(family, topic, payload)
        told["rejected" if isinstance(found, Rejected) else "read"] += 1
        assert isinstance(found, Rejected) or all(is_sane(reading) for reading in found), (family, topic, payload)
    assert told["rejected"] > MANY / 3
    assert told.total() == MANY


def test_a_node_that_talks_nonsense_is_followed_all_the_same() -> None:
    draw = random.Random(2)
    envelopes = []
    for number in range(MANY // 5):
        topic, payload = draw.choice(SEEDS["sparkplug"])
        content = payload if draw.random() < 0.3 else mutated(draw, payload)
        envelopes.append(Envelope(topic, content, NOW + timedelta(seconds=number)))
    found = list(families.follow("sparkplug", envelopes))
    assert len(found) == len(envelopes)
    assert all(isinstance(told, Rejected) or all(is_sane(one.reading) for one in told) for _, told in found)


def registered(db: Session, family: str) -> str:
    _, known = register_device(db, resource_id=a_resource(db).id, name=family, profile={"family": family}, actor_id=None, now=NOW)
    return known.key


def test_every_one_of_them_is_stored_or_counted(db: Session) -> None:
    keys = {family: registered(db, family) for family in SEEDS}
    envelopes = []
    for number, (family, topic, payload) in enumerate(malformed(3)):
        own = topic.replace("/k", f"/{keys[family]}")
        if not own.startswith(("d/", "spBv1.0/")):
            own = f"d/{keys[family]}/{topic.lstrip('/')}"
        envelopes.append(Envelope(own[:250], payload, NOW + timedelta(milliseconds=number)))
    for start in range(0, MANY, 1000):
        intake.store(db, envelopes[start : start + 1000])
    actions.fold_devices(db, now=NOW + timedelta(hours=1))
    kept = db.scalar(select(func.count()).select_from(RawMessage)) or 0
    turned_away = db.scalar(select(func.count()).select_from(RejectedMessage)) or 0
    repeated = MANY - len({(one.topic, one.payload) for one in envelopes})
    assert MANY - repeated <= kept + turned_away <= MANY
    assert turned_away > MANY / 3
    assert all(run.energy_wh >= 0 and run.confirmed_s >= 0 for run in db.scalars(select(UsageSession)))
