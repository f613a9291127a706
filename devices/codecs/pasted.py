"""Discovery messages as people copy them: from `mosquitto_sub -v -t 'homeassistant/#'`, or from the console of a Tasmota plug."""

from marketplace.refusals import Invalid

LOGGED = "MQT: "
"""What the console writes before a topic, after the time."""

RETAINED = "(retained)"


def read_pasted(text: str) -> list[dict[str, str]]:
    """Topic and payload of each; a payload may go over several lines. Raises: Invalid.

    >>> read_pasted('14:29:21 MQT: homeassistant/sensor/a/config = {"name": "A"} (retained)')
    [{'topic': 'homeassistant/sensor/a/config', 'payload': '{"name": "A"}'}]
    """
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        topic, _, rest = line.rpartition(LOGGED)[2].strip().partition(" ")
        if topic.endswith("/config") and not set(topic) & set('{}"'):
            found.append((topic, [rest.strip().removeprefix("=")]))
        elif found:
            found[-1][1].append(line)
        elif line.strip():
            raise Invalid(field="discovery", reason="does not begin with a topic such as homeassistant/sensor/meter/power/config")
    if not found:
        raise Invalid(field="discovery", reason="is missing")
    return [{"topic": topic, "payload": _plain("\n".join(lines))} for topic, lines in found]


def _plain(payload: str) -> str:
    return payload.strip().removesuffix(RETAINED).strip()
