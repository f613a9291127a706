"""Words for how a message was read: where it lies in time, and what of a discovery is not read."""


def _(text: str) -> str:
    """Marks a word for the catalogue; it is translated where it is shown."""
    return text


PLACED = {
    "late": _("arrived late"),
    "clock_skew": _("the meter's clock is off"),
    "clock_future": _("the meter's clock is ahead"),
    "stale_retained": _("kept by the broker from long ago: does not count"),
    "retained_no_ts": _("kept by the broker, without a time of its own: does not count"),
    "backlog_no_ts": _("waited at the broker, without a time of its own: does not count"),
    "not_counted": _("of a series that does not count"),
}
TAKEN = {"power": _("Power"), "energy": _("Energy"), "online": _("Online or offline")}
LEFT_OUT = {
    "no_sensor": _("no sensor: a switch, a button or the like"),
    "other_quantity": _("tells neither a power nor an energy"),
    "unit": _("its unit is not known here"),
    "begins_anew": _("begins anew with each day or month"),
    "no_counter": _("an energy that is no counter"),
    "no_topic": _("names no topic"),
    "taken_back": _("was taken back by its device"),
    "template": _("its template is not evaluated"),
    "several": _("another one tells the same"),
}
