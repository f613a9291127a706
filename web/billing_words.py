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

PROGRAMME_KIND = {"voucher": _("Voucher"), "subsidy": _("Subsidy")}
PROGRAMME_MODE = {"deduct": _("Deducted from the bill"), "reimburse": _("Paid back to the firm")}
PROGRAMME_BASE = {"service": _("The whole service"), "usage": _("Confirmed use only")}
SHARE = {
    "drafted": _("drafted"),
    "owed": _("to be claimed"),
    "claimed": _("claimed"),
    "paid": _("paid"),
    "rejected": _("rejected"),
}
CLAIM = {"submitted": _("Handed in"), "paid": _("Paid"), "rejected": _("Rejected")}

BILLING_WORDS = {
    "call": CALL,
    "call_state": CALL_STATE,
    "programme_kind": PROGRAMME_KIND,
    "programme_mode": PROGRAMME_MODE,
    "programme_base": PROGRAMME_BASE,
    "share": SHARE,
    "claim": CLAIM,
}

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

_YEARS = range(1, 6)
FIELDS = {
    "organisation": _("Firm"),
    "payer": _("Payer"),
    "stack": _("Adds up with"),
    "mode": _("How it pays"),
    "base": _("Of what"),
    "starts_on": _("First day of its first year"),
    "number": _("Year"),
    "year": _("Year"),
    "rate": _("Share"),
    "booking_cap": _("At most for a booking"),
    "year_cap": _("At most for a firm"),
    "valid_until": _("Last day"),
    "received_on": _("Received on"),
    "from": _("Bills accepted from"),
    **{f"rate_{year}": _("Share") for year in _YEARS},
    **{f"booking_cap_{year}": _("At most for a booking") for year in _YEARS},
    **{f"year_cap_{year}": _("At most for a firm") for year in _YEARS},
}
"""Labels of forms about programmes and claims, as web.reasons has the others."""
