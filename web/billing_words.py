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

ANSWERED = _("The claim was answered already. Nothing was changed.")
WRONG_STATE = {
    "set_year:published": _(
        "It is published, and what it says of this year stays. Nothing was changed. Say the rule of a further year."
    ),
    "publish_programme:published": _("It is published already. Nothing was changed."),
    "publish_programme:without_years": _("It has no year yet. Nothing was published. Say the rule of its first year."),
    "claim:nothing_owed": _("Nothing that was accepted in this time is still to be claimed. Nothing was handed in."),
    "reject_claim:bill_open": _(
        "A later version of one of these bills waits for its firm's answer. Nothing was rejected. "
        "Wait for it, or reject the others."
    ),
    "pay_claim": ANSWERED,
    "reject_claim": ANSWERED,
    "pass_on": _("Nothing of this claim is to be passed on to this institution. Nothing was changed."),
}
"""By "move:state" or move, as web.refusals has the others."""
