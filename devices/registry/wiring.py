"""How what a mapping reads comes to us from another broker: a bridge of Mosquitto that puts it below the device's own branch."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from devices.codecs.topics import PART

ANYWHERE = "{branch*}/"
MEASURES = ("power", "energy", "state", "online")


def bridge(described: Mapping[str, Any], *, host: str, port: int, key: str, login: str, secret: str) -> str:
    """For the other broker's configuration; empty where nothing of the mapping is found below any branch."""
    topics = list(dict.fromkeys(_filters(described)))
    if not topics:
        return ""
    lines = [
        f"connection pilotbench-{key}",
        f"address {host}:{port}",
        f"remote_username {login}",
        f"remote_password {secret}",
        f"remote_clientid {key}",
        "notifications false",
        *(f'topic {topic} out 1 "" d/{key}/' for topic in topics),
    ]
    return "\n".join(lines)


def _filters(described: Mapping[str, Any]) -> Iterator[str]:
    """The topics as the other broker names them; levels that a line of its file cannot hold are left open.

    >>> list(_filters({"message": [{"topic": "{branch*}/tele/{name}/main meter", "power": "p"}, {"topic": "{rest+}"}]}))
    ['tele/+/+']
    """
    for message in described.get("message", ()):
        topic = str(message.get("topic", ""))
        if topic.startswith(ANYWHERE) and any(name in message for name in MEASURES):
            levels = topic.removeprefix(ANYWHERE).split("/")
            open_end = next((number for number, level in enumerate(levels) if "+}" in level or "*}" in level), None)
            plain = ["+" if PART.search(level) or re.search(r"\s", level) else level for level in levels[:open_end]]
            yield "/".join([*plain, "#"] if open_end is not None else plain)
