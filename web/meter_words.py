"""Words for meters: kinds of equipment, the steps of connecting one, what a measurement was unfit for, how a fleet does."""

from collections.abc import Mapping


def _(text: str) -> str:
    """Marks a word for the catalogue; it is translated where it is shown."""
    return text


METER_KIND = {
    "tasmota": _("Wi-Fi plug with Tasmota"),
    "shelly2": _("Shelly Plus, Pro, Gen3, Gen4"),
    "shelly1": _("Shelly of the first generation"),
    "zigbee2mqtt": _("Zigbee plug behind Zigbee2MQTT"),
    "acrel": _("Acrel meter (安科瑞)"),
    "dtu": _("Meter behind a DTU or gateway"),
    "native": _("Own program or controller"),
    "sparkplug": _("PLC or edge gateway with Sparkplug B"),
    "homie": _("Homie device"),
    "mtconnect": _("Machine tool with MTConnect"),
    "opcua": _("OPC UA PubSub (JSON)"),
}
METER_IS = {
    "tasmota": _("From about 100 yuan, between wall and machine, up to 16 A. One line is pasted into its console."),
    "shelly2": _("Plug or DIN-rail meter. One command sets it up, or its own web page."),
    "shelly1": _("Plug S, 1PM, EM, 3EM. One command sets it up, or its own web page."),
    "zigbee2mqtt": _("Where a Zigbee2MQTT runs already. A few lines go into its configuration."),
    "acrel": _("Three-phase meter in the switch cabinet, with its own gateway or 4G."),
    "dtu": _("Modbus meter whose gateway sends properties as JSON: Alibaba Cloud, Huawei IoTDA, Neuron and the like."),
    "native": _("Whatever can send one line of JSON by MQTT."),
    "sparkplug": _("Tells power, energy and the machine's own state."),
    "homie": _("By the Homie convention 4 or 5."),
    "mtconnect": _("Tells the machine's own state; needs no thresholds."),
    "opcua": _("Publisher with JSON messages, such as a LADS instrument."),
}
CONNECT = {
    "kind": _("Kind of equipment"),
    "setup": _("Type it into the meter"),
    "arrival": _("See that it arrives"),
    "measure": _("Measure when it runs"),
    "done": _("First confirmed minutes"),
}
UNFIT = {
    "too_few": _(
        "Too few powers were heard while the machine idled or while it worked. Measure again, and wait out both halves."
    ),
    "not_above": _(
        "While it worked the machine drew no more than while it idled. Does it work, is it behind this meter,"
        " and were the halves not mixed up? Measure again."
    ),
    "too_close": _(
        "At work the machine draws hardly more than idling, so power alone cannot tell them apart."
        " Measure again under a full load, or use a meter that tells the machine's state."
    ),
}
FLEET = {
    "all": _("Meters"),
    "heard": _("Heard"),
    "silent": _("Silent"),
    "never": _("Never heard"),
    "rejected": _("Messages turned away today"),
    "clock": _("Clock in question"),
    "questions": _("Open questions"),
    "certificate": _("Certificate ends within 30 days"),
}

METER_WORDS: Mapping[str, Mapping[str, str]] = {
    "meter_kind": METER_KIND,
    "meter_is": METER_IS,
    "connect": CONNECT,
    "unfit": UNFIT,
    "fleet": FLEET,
}
