"""What each account may do at the broker: one table, from which Mosquitto's rules and the answers to EMQX are written.

A device writes below its own name only: in our branch, or where its family's standard puts it (families.device_key).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from paho.mqtt.client import topic_matches_sub

INGEST = "ingest"
KEEPER, TELLER = "keeper", "keeper-again"
"""Who listens to our own broker beside ingest, and who tells it again what it forgot (decision 0040)."""
AGAIN = f"{INGEST}/again/"
"""Before the topic of a message that is told again."""
KEY = "{key}"


class Access(StrEnum):
    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Right:
    """`topic` is a filter; in that of a device its key stands as `{key}`."""

    access: Access
    topic: str


INGEST_RIGHTS: Sequence[Sequence[Right]] = (
    (
        Right(Access.READ, "#"),
        Right(Access.WRITE, f"{INGEST}/#"),
        Right(Access.WRITE, "d/+/cmd/#"),
        Right(Access.WRITE, "spBv1.0/+/NCMD/+"),
    ),
)
DEVICE_RIGHTS: Sequence[Sequence[Right]] = (
    (
        Right(Access.WRITE, f"d/{KEY}/#"),
        Right(Access.READ, f"d/{KEY}/cmd/#"),
    ),
    (Right(Access.WRITE, f"shellies/{KEY}/#"),),
    (
        Right(Access.WRITE, f"spBv1.0/+/+/{KEY}"),
        Right(Access.WRITE, f"spBv1.0/+/+/{KEY}/+"),
        Right(Access.READ, f"spBv1.0/+/NCMD/{KEY}"),
        Right(Access.READ, f"spBv1.0/+/DCMD/{KEY}/+"),
    ),
)
"""In groups, one a standard. What is in none of them is refused."""


OUR_RIGHTS: Mapping[str, Sequence[Right]] = {
    INGEST: [right for group in INGEST_RIGHTS for right in group],
    KEEPER: [Right(Access.READ, "#")],
    TELLER: [Right(Access.WRITE, f"{AGAIN}#")],
}
"""Of the accounts of our own broker; no device has such a name."""


def login_name(key: str, number: int) -> str:
    """What a device logs in by: its key, or its second name. No key has a dot.

    >>> login_name("k1", 1), login_name("k1", 2)
    ('k1', 'k1.2')
    """
    return key if number == 1 else f"{key}.{number}"


def key_of(name: str) -> str:
    """Of the device that logs in by this name.

    >>> key_of("k1"), key_of("k1.2")
    ('k1', 'k1')
    """
    return name.partition(".")[0]


def mosquitto_rules(names: Iterable[str] = ()) -> str:
    """The file of topic rules: what it does not name is refused. Of those who log in second names need rules of their own, for
    Mosquitto puts in a pattern the whole name or nothing."""
    accounts = [
        [f"user {name}", *(f"topic {right.access} {right.topic}" for right in rights)] for name, rights in OUR_RIGHTS.items()
    ]
    devices = [[f"pattern {right.access} {right.topic.replace(KEY, '%u')}" for right in group] for group in DEVICE_RIGHTS]
    second = [_second(name) for name in sorted(names) if key_of(name) != name]
    return "\n\n".join("\n".join(lines) for lines in (*accounts, *devices, *second)) + "\n"


def _second(name: str) -> list[str]:
    return [f"user {name}", *(f"topic {right.access} {right.topic}" for right in _rights_of(name))]


def may_write(name: str, topic: str) -> bool:
    """Whether the broker takes a message on `topic` from the account `name` or the device that logs in by it.

    >>> may_write("k1", "d/k1/s"), may_write("k1", "d/k2/s"), may_write("k1", "spBv1.0/a/NDEATH/k1"), may_write("k1.2", "d/k1")
    (True, False, True, True)
    """
    rights = OUR_RIGHTS.get(name) or _rights_of(name)
    return any(topic_matches_sub(right.topic, topic) for right in rights if right.access is Access.WRITE)


def _rights_of(name: str) -> list[Right]:
    """Of the device that logs in by it."""
    return [Right(right.access, right.topic.replace(KEY, key_of(name))) for group in DEVICE_RIGHTS for right in group]


ACTIONS = {Access.READ: "subscribe", Access.WRITE: "publish"}


def emqx_rules(key: str | None) -> list[dict[str, str]]:
    """The `acl` of an answer to EMQX, for a device's key or, None, for ingest; the first rule that fits counts."""
    groups = INGEST_RIGHTS if key is None else DEVICE_RIGHTS
    rights = [right for group in groups for right in group]
    allowed = [_rule("allow", ACTIONS[right.access], right.topic.replace(KEY, key or "")) for right in rights]
    return [*allowed, _rule("deny", "all", "#")]


def _rule(permission: str, action: str, topic: str) -> dict[str, str]:
    return {"permission": permission, "action": action, "topic": topic}
