"""Whatever somebody's mapping looks for, and whatever a device sends: reading a message has an end, and other devices' messages
do not wait for it."""

import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from devices import queries, trial
from devices.codecs import families
from devices.codecs.families import decode
from devices.codecs.paths import BadPath, getter
from devices.codecs.strict import Unreadable
from devices.codecs.topics import MOST_OPEN, BadPattern, matcher
from devices.codecs.work import Work
from devices.intake.actions import store
from devices.profile import Profile, read_profile
from devices.profile_files import read_text
from devices.readings import Envelope, Reason, Rejected
from devices.registry.actions import register_device
from devices.replay import replay
from devices.tables import RawMessage, Thresholds
from marketplace.refusals import Invalid
from tests.builders import a_resource

NOW = datetime(2026, 3, 10, 1, tzinfo=UTC)
DOUBLED = "jmespath:" + "|".join(["[@,@][]"] * 40)
ROWS = b"[" + b",".join([b"[1]"] * 4000) + b"]"
SOON_S = 2.0
"""For what takes some milliseconds; without a bound it takes hours."""


def mapped(**message: Any) -> dict[str, Any]:
    return {"family": {"message": [{"topic": "{branch+}/t", **message}]}}


def stored(**message: Any) -> Profile:
    """As if saved before the bounds."""
    return replace(read_profile(mapped(power="p")), mapping=orjson.dumps(mapped(**message)["family"]).decode())


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        (DOUBLED.removeprefix("jmespath:"), "repeats"),
        ("{a: @, b: @} | {a: @, b: @} | {a: @, b: @} | {a: @, b: @} | to_string(@)", "repeats"),
        ("[*].[`[1,2,3]`][][] | [*].[`[1,2,3]`][][]", "repeats"),
        ("to_string(to_string(to_string(to_string(to_string(@)))))", "functions"),
        ("[?map(&map(&map(&map(&map(&a, @), @), @), @), @)]", "functions"),
        ("(" * 150 + "a" + ")" * 150, "nested"),
        ("!" * 380 + "a", "nested"),
        ("a[" * 130, "nested"),
        ("|".join("a" * 190), "nested"),
        ("[]" * 190, "nested"),
        ("a[?" * 60 + "a" + "]" * 60, "nested"),
    ],
)
def test_an_expression_that_multiplies_or_nests_without_end_is_refused_as_it_is_saved(expression: str, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_profile(mapped(power=f"jmespath:{expression}"))
    assert said in refused.value.values["reason"]
    with pytest.raises(Invalid):
        read_profile(mapped(power="p", each=f"jmespath:{expression}"))


@pytest.mark.filterwarnings("ignore:deprecated string literal")
@given(st.text(alphabet="ab@[]{}()|&!?*.,:`'\"0<=-", max_size=40))
def test_any_text_is_an_expression_or_is_refused(text: str) -> None:
    with suppress(BadPath, Unreadable):
        getter(f"jmespath:{text}")({"a": [1, "b", {"a": None}], "b": "x"}, Work())


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        ({"power": "jmespath:" + "|".join(["[*]"] * 38)}, ROWS),
        ({"power": {"sum": ["jmespath:[?@]|[?@]|[?@] | length(@)"] * 8}}, ROWS),
        ({"each": "jmespath:[@,@,@,@,@,@,@,@][] | []", "power": {"sum": ["a.b.c"] * 16}, "require": ["b"] * 16}, ROWS),
        ({"power": "jmespath:join(g, l) | length(@)"}, orjson.dumps({"g": "x" * 8000, "l": [""] * 2600})),
    ],
)
def test_what_grows_with_the_payload_ends_too(message: dict[str, Any], payload: bytes) -> None:
    described = {"family": {"message": [{"topic": "{branch+}/t", **message}] * 40}}
    profile, begun = read_profile(described), time.monotonic()
    found = decode(profile.family, "d/k/t", payload, mapping=profile.mapping)
    assert isinstance(found, Rejected)
    assert found.reason is Reason.EXPRESSION
    assert time.monotonic() - begun < SOON_S


def test_the_longest_message_of_a_shipped_family_is_far_from_the_end() -> None:
    values = ",".join(f'{{"key":"k{number}","value":{number}}}' for number in range(500))
    payload = f'{{"timestamp":1757059829080,"properties":[{values},{{"key":"P","value":7}}]}}'.encode()
    assert len(payload) > 13_000
    [reading] = decode("dtu", "d/k/properties", payload)  # type: ignore[misc]
    assert reading.power_w == 7.0


def test_a_stored_mapping_beyond_the_bounds_turns_its_own_messages_away_and_no_others(db: Session) -> None:
    resource = a_resource(db)
    keys = [
        register_device(db, resource_id=resource.id, name=name, profile={}, actor_id=None, now=NOW)[1].key for name in ("a", "b")
    ]
    device = queries.devices_by_key(db, {keys[0]})[keys[0]]
    thresholds = db.scalars(select(Thresholds).where(Thresholds.device_id == device.id)).one()
    bomb = stored(power=DOUBLED)
    thresholds.profile = {**thresholds.profile, "family": bomb.family, "mapping": bomb.mapping}
    db.flush()
    begun = time.monotonic()
    store(db, [Envelope(f"d/{key}/t", b'{"p":1}', NOW) for key in keys])
    assert time.monotonic() - begun < SOON_S
    [row] = queries.rejected_of(db, keys[0])
    assert row.reason == "unknown_family"
    assert len(db.scalars(select(RawMessage)).all()) == 1
    [tried] = trial.try_on(db, device, queries.profile_of(db, device.id, at=NOW))
    assert isinstance(tried.now, Rejected)
    assert families.needs_birth(bomb.family, bomb.mapping) is False


@pytest.mark.parametrize("expression", ["st > `1` && p", "[@][?st < `5`].p | [0]", "[?@][::0]", "avg(`[]`)"])
def test_an_error_that_the_library_did_not_foresee_is_a_reason(db: Session, expression: str) -> None:
    profile = read_profile(mapped(power=f"jmespath:{expression}"))
    found = decode(profile.family, "d/k/t", b'{"p":5,"st":"RUN"}', mapping=profile.mapping)
    assert found == [] or isinstance(found, list) or found.reason is Reason.EXPRESSION
    row, known = register_device(db, resource_id=a_resource(db).id, name="m", profile={}, actor_id=None, now=NOW)
    store(db, [Envelope(f"d/{known.key}/t", b'{"p":5,"st":"RUN"}', NOW)])
    [tried] = trial.try_on(db, row, queries.profile_of(db, row.id, at=NOW), profile)
    assert isinstance(tried.then, Rejected) == isinstance(found, Rejected)
    line = orjson.dumps({"received_at": NOW.isoformat(), "topic": "d/k/t", "payload": '{"p":5,"st":"RUN"}'})
    assert len(replay([line], profile).rejected) == isinstance(found, Rejected)


GOOD = ["0", "null", '"Good"', "{}", '{"Code":0}', '{"Code":0,"Symbol":"Good"}', "10682368"]
BAD = [
    "2147483648", "1073741824", '"Bad"', '"2147483648"', "true", "false", '""', "-1", "[]", '{"Code":2147483648}',
    '{"Symbol":"Bad"}', '{"Code":"0"}',
]  # fmt: skip


@pytest.mark.parametrize(("status", "good"), [*((one, True) for one in GOOD), *((one, False) for one in BAD)])
def test_a_status_of_opc_ua_is_good_however_it_is_written_and_no_other_is_trusted(status: str, good: bool) -> None:
    payload = '{"MessageType":"ua-data","Messages":[{"Status":' + status + ',"Payload":{"Power":{"Value":350}}}]}'
    found = decode("opcua", "opcua/json/data/line1/x", payload.encode())
    assert [one.power_w for one in found] == ([350.0] if good else [])  # type: ignore[union-attr]


@pytest.mark.parametrize("pattern", ["{a+}/{b+}/{c+}/{d}Z", "{a}{b}{c}{d}", "{a*}/{b*}/{c*}/x", "{a}{b}/{c}{d}/{e}{f}"])
def test_a_topic_that_could_be_taken_apart_in_a_thousand_ways_is_refused(pattern: str) -> None:
    with pytest.raises(BadPattern, match=f"more than {MOST_OPEN} "):
        matcher(pattern)


@pytest.mark.parametrize("pattern", ["{a+}/{b+}/{c}Z", "{a+}{b}Z", "{a+}b{c+}d", "{a*}/{b*}/x"])
def test_any_other_topic_is_told_at_once(pattern: str) -> None:
    begun, found = time.monotonic(), matcher(pattern)
    for topic in ("a/" * 128, "a" * 256, "b" * 256, "/" * 256):
        assert found.fullmatch(topic) is None
    assert time.monotonic() - begun < SOON_S


@pytest.mark.parametrize("text", ["[" * 20 + '"' + '\\"' * 30_000, ".".join("a" * 30_000) + " = 1", '"a".' * 15_000 + "a = 1"])
def test_a_profile_file_is_refused_at_once(text: str) -> None:
    begun = time.monotonic()
    with pytest.raises(Invalid):
        read_text(text)
    assert time.monotonic() - begun < SOON_S
