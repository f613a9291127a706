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
    "keep": _("Keeping a card"),
    "page": _("Page to pay on"),
    "look": _("Looking at the page"),
    "close": _("Closing the page"),
}
CALL_STATE = {"failed": _("refused"), "mismatch": _("another amount than was asked")}

MOVE = {
    "asked": _("Asked for"),
    "page_open": _("Waits for the payer"),
    "page_ended": _("The page ended unpaid"),
    "refused": _("Refused by the bank"),
    "card_kept": _("Card kept"),
    "forgotten": _("Card not used"),
    "held": _("Held on the card"),
    "released": _("Let go again"),
    "prepaid": _("Paid in advance"),
    "taken": _("Taken"),
    "refund_pending": _("On its way back"),
    "refund_arrived": _("Paid back"),
    "refund_failed": _("Sent back, did not arrive"),
}
PAY_PAGE = {
    "prepay": _("Pay now"),
    "hold": _("Enter a card"),
    "keep_card": _("Enter a card"),
    "bank": _("Your bank wants an answer from you"),
}
PAY_AMOUNT = {
    "prepay": _("To pay"),
    "hold": _("To be held, not yet charged"),
    "keep_card": _("To be held 48 hours before the start"),
    "bank": _("To be held, not yet charged"),
}

PAYMENT_MESSAGES = {
    "payment_rest": _("Your statement has an amount left to pay"),
    "payment_hold_refused": _("The bank refused to hold the amount for your booking"),
    "payment_unsecured": _("A booking at your institution has nothing that secures it"),
    "payment_refund_failed": _("A refund to you did not arrive"),
}

BILLING_WORDS = {"move": MOVE, "pay_page": PAY_PAGE, "pay_amount": PAY_AMOUNT, "call": CALL, "call_state": CALL_STATE}
