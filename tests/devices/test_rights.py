"""What an account may do is the same with both brokers: Mosquitto itself is asked, EMQX's documented contract is followed."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from paho.mqtt.client import topic_matches_sub

from devices.broker import start_broker
from devices.codecs.families import device_key
from devices.readings import Rejected
from devices.registry.actions import broker_hash
from devices.rights import INGEST, KEEPER, TELLER, emqx_rules, mosquitto_rules
from tests.devices.plugs import a_plug, batches, envelopes, listening, published

LINE = re.compile(r"(topic|pattern) (read|write) (\S+)")
WORDS = {"read": "subscribe", "write": "publish"}
TOPICS = (
    *("d/k1/t", "d/k1", "d/k1/cmd/x", "d/k1/a/b/c", "d/k2/t", "d/k10/t", "d/t", "D/k1/t", "/d/k1/t"),
    *("shellies/k1/relay/0/power", "shellies/k2/relay/0/power", "shellies/k1"),
    *("spBv1.0/lab/NBIRTH/k1", "spBv1.0/lab/DDATA/k1/oven", "spBv1.0/lab/DDATA/k1/oven/x", "spBv1.0/lab/NBIRTH/k2"),
    *("spBv1.0/lab/DDATA/k2/k1", "spBv1.0/STATE/k1", "spBv1.0/k1/k1/k2", "spBv1.0/lab/NCMD/k2"),
    *("ingest/beat", "ingest/again/d/k1/t", "ingest/again/d/k2/t", "ingest", "elsewhere", "k1", "$SYS/k1"),
)


def allowed(rules: Iterable[Mapping[str, str]], action: str, topic: str) -> bool:
    """As EMQX documents it: the first rule that fits counts; where none does, `no_match = deny` of our docs."""
    for rule in rules:
        if rule["action"] in {action, "all"} and topic_matches_sub(rule["topic"], topic):
            return rule["permission"] == "allow"
    return False


def lines(kind: str, *, user: str = "") -> list[tuple[str, str]]:
    """Of one of our accounts, or of any device."""
    (text,) = (
        [part for part in mosquitto_rules().split("\n\n") if part.startswith(f"user {user}\n")] if user else [mosquitto_rules()]
    )
    return [(WORDS[access], topic) for found, access, topic in LINE.findall(text) if found == kind]


def test_every_line_of_mosquittos_rules_is_a_rule_for_emqx_and_the_rest_is_refused() -> None:
    for found, written in ((emqx_rules(None), lines("topic", user=INGEST)), (emqx_rules("k1"), lines("pattern"))):
        told = [(rule["action"], rule["topic"]) for rule in found[:-1]]
        assert told == [(action, topic.replace("%u", "k1")) for action, topic in written]
        assert {rule["permission"] for rule in found[:-1]} == {"allow"}
        assert found[-1] == {"permission": "deny", "action": "all", "topic": "#"}


def test_by_its_second_name_a_device_may_do_what_it_may_by_its_key() -> None:
    text = mosquitto_rules(["k1", "k1.2", "k2"])
    (second,) = [part for part in text.split("\n\n") if part.startswith("user k1")]
    assert second.startswith("user k1.2\n")
    assert [(WORDS[access], topic) for _, access, topic in LINE.findall(second)] == [
        (action, topic.replace("%u", "k1")) for action, topic in lines("pattern")
    ]
    assert mosquitto_rules(["k1", "k2"]) == mosquitto_rules()
    assert not isinstance(device_key("d/k1/t"), Rejected)
    assert isinstance(device_key("d/k1.2/t"), Rejected)  # which the pattern lets through


def test_who_hears_all_writes_nothing_and_who_tells_again_hears_nothing() -> None:
    assert lines("topic", user=KEEPER) == [("subscribe", "#")]
    assert lines("topic", user=TELLER) == [("publish", "ingest/again/#")]


def test_a_device_subscribes_to_its_own_commands_and_to_no_wider_filter() -> None:
    rules = emqx_rules("k1")
    wanted = ("d/k1/cmd/#", "d/k1/cmd/x", "spBv1.0/lab/NCMD/k1", "d/k1/#", "d/+/cmd/#", "d/k2/cmd/x", "#", "+/k1/cmd/x")
    assert [allowed(rules, "subscribe", topic) for topic in wanted] == [True, True, True, *[False] * 5]
    assert allowed(emqx_rules(None), "subscribe", "#")


@pytest.mark.servers
def test_mosquitto_lets_through_what_the_answer_to_emqx_allows_and_nothing_else(tmp_path: Path) -> None:
    broker = start_broker(tmp_path / "broker", credentials=[("k1", broker_hash("one"))])
    try:
        with listening(broker.url) as ingest:
            with a_plug(broker.port, "k1", "one") as plug:
                for topic in (*TOPICS, "d/k1/end"):
                    published(plug, topic, b"1")
            heard = envelopes(batches(ingest, until=lambda taken: any(one.topic == "d/k1/end" for one in envelopes(taken))))
    finally:
        broker.stop()
    rules = emqx_rules("k1")
    assert [one.topic for one in heard][:-1] == [topic for topic in TOPICS if allowed(rules, "publish", topic)]
