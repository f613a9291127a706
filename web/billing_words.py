"""Words for codes of payments."""


def _(text: str) -> str:
    """Marks a word for the catalogue; it is translated where it is shown."""
    return text


CALL = {
    "hold": _("Hold"),
    "capture": _("Capture"),
    "release": _("Release"),
    "charge": _("Charge"),
    "refund": _("Refund"),
    "transfer": _("Transfer"),
}
CALL_STATE = {"failed": _("refused"), "mismatch": _("another amount than was asked")}

COST_WAY = {
    "as_typed": _("As you say"),
    "whole": _("All of it is used"),
    "three_quarters": _("Three quarters are used"),
    "half": _("Half is used"),
    "over": _("Half an hour over the end"),
    "missed": _("Nobody comes"),
    "cancelled": _("Cancelled"),
}
"""What may come of a booked time."""

BILLING_WORDS = {"cost_way": COST_WAY, "call": CALL, "call_state": CALL_STATE}
