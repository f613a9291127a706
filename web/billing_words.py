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

BILLING_WORDS = {"call": CALL, "call_state": CALL_STATE}
