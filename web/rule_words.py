"""Words for codes of rules: customers, prices, operators, conditions, and why a booking would have been refused."""

from collections.abc import Mapping


def _(text: str) -> str:
    """Marks a word for the catalogue; it is translated where it is shown."""
    return text


ASSISTANCE = {"optional": _("Where you ask for one"), "required": _("At every use")}
PRICE_CLASS = {
    "list": _("List price"),
    "internal": _("Price for the house's own departments"),
    "academic": _("Price for academic organisations"),
    "industry": _("Price for industry"),
    "partner": _("Price for partners"),
}
RULE = {
    "too_short": _("shorter than the shortest booking"),
    "too_long": _("longer than the longest booking"),
    "off_step": _("off the grid of start times"),
    "too_soon": _("booked too late"),
    "beyond_horizon": _("booked too early"),
    "outside_hours": _("outside the opening hours"),
    "buffers_outside_hours": _("set-up or clean-down outside the opening hours"),
    "not_in_audience": _("customer not meant"),
    "before_audience_since": _("before the customer's first day"),
    "over_quota_hours": _("over a quota of hours"),
    "over_quota_count": _("over a quota of bookings"),
    "over_quota_hours_shared": _("over a group's quota of hours"),
    "over_quota_count_shared": _("over a group's quota of bookings"),
    "qualification_missing": _("without the qualification"),
    "qualification_too_low": _("qualified at a lower level"),
    "qualification_expired": _("qualification expired"),
    "supervised_run_first": _("no supervised run yet"),
    "no_assistance_offered": _("asked for an operator"),
    "no_operator_free": _("outside the operators' hours"),
    "slot_taken": _("no room beside the others with these buffers"),
}
"""Why a booking of the past would have been refused, in a few words."""
GROUP = {
    "own": _("Own staff and departments"),
    "academic": _("Academic organisations"),
    "industry": _("Industry"),
    "partner": _("Partners"),
}
FACT = {
    "qualification": _("Qualification"),
    "assistance": _("An operator stands by"),
    "supervised_runs": _("First uses"),
    "capacity": _("Can be booked at once"),
    "min": _("Shortest booking"),
    "max": _("Longest booking"),
    "step": _("Grid of start times"),
    "notice": _("Book ahead"),
    "horizon": _("Bookable until"),
    "cleaning": _("Clean-down after use"),
    "setup": _("Set-up before use"),
    "confirmation": _("How use is confirmed"),
    "approval": _("Approval"),
    "check_in": _("Check-in"),
    "overrun": _("Use past the end"),
    "cancellation": _("Cancellation"),
    "no_show": _("If nobody comes"),
    "billed": _("Billed is"),
    "unused": _("Booked, not used"),
    "overtime": _("Overtime"),
    "tax": _("VAT"),
    "address": _("Address"),
    "hours": _("Opening hours"),
    "commissioned": _("In service since"),
    "parent": _("Part of"),
    "ability": _("Capability"),
}
"""Lines of a listing's capabilities and conditions."""
GRANT = {"valid": _("Valid"), "expired": _("Expired"), "revoked": _("Taken back")}

RULE_WORDS: Mapping[str, Mapping[str, str]] = {
    "grant": GRANT, "customer_group": GROUP, "assistance": ASSISTANCE, "price_class": PRICE_CLASS, "rule": RULE,
    "fact": FACT,
}  # fmt: skip
