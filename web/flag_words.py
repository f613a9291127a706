"""Words for open questions about meters: what each asks, what may be behind it, and what was seen."""

from collections.abc import Mapping


def _(text: str) -> str:
    """Marks a word for the catalogue; it is translated where it is shown."""
    return text


QUESTION = {
    "flat": _("Does the power really never move?"),
    "replayed": _("Why does an earlier stretch come again?"),
    "energy_mismatch": _("Why do power and energy counter disagree?"),
    "over_rating": _("Why was it more than the rated power?"),
    "always_on": _("Did it really run all week without rest?"),
    "clock": _("Is the meter's clock wrong?"),
    "relay_off": _("Why does power flow though the relay is off?"),
    "takeovers": _("Do two clients use one key?"),
    "burst": _("What explains the rise in use before the year ended?"),
}
BEHIND_IT = {
    "flat": _("A load that is measured moves with the mains. The meter may be stuck, or a value is sent that nobody measured."),
    "replayed": _("Noise does not come twice. A recording may be sent again, or a gateway repeats what it kept."),
    "energy_mismatch": _("They may measure different circuits, or the unit or scale of one of them is set wrong."),
    "over_rating": _("The rated power may be entered too low, or more hangs on the meter than the machine."),
    "always_on": _("More often the threshold for running lies below what the machine draws when it is idle."),
    "clock": _("A wrong time zone, or a clock that was moved. Such messages are placed at the time they were received."),
    "relay_off": _("The relay may be welded or bridged, or it switches another circuit than the one that is measured."),
    "takeovers": _(
        "Each puts the other out, and either may send measurements. Perhaps a key was copied, or one plug restarts all the time."
    ),
    "burst": _("No outside customer had booked it. Project work may explain it, or machines were run for the figures."),
}
SEEN = {
    "power_w": _("Power"),
    "samples": _("Messages"),
    "first_at": _("Came first at"),
    "drawn_wh": _("Energy by the power"),
    "counted_wh": _("Energy by the counter"),
    "intervals": _("Intervals compared"),
    "rated_w": _("Rated power"),
    "days": _("Days in a row"),
    "least_w": _("Least power"),
    "most_w": _("Most power"),
    "p_on": _("Runs from"),
    "messages": _("Messages"),
    "ill_timed": _("With a wrong time"),
    "channel": _("Outlet"),
    "minutes": _("Minutes in which one was put out"),
    "most_in_an_hour": _("At most within an hour"),
    "addresses": _("Came from"),
    "hours": _("In the last fortnight"),
    "usual_h": _("In a usual fortnight before"),
    "busiest_h": _("In the busiest fortnight before"),
    "days_before": _("Days before that were seen"),
}

FLAG_WORDS: Mapping[str, Mapping[str, str]] = {"question": QUESTION, "behind_it": BEHIND_IT, "seen": SEEN}
