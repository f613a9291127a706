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
    "read": _("Looking at the page"),
    "close": _("Closing the page"),
}
CALL_STATE = {"failed": _("refused"), "mismatch": _("another amount than was asked")}
INVARIANT = {
    "entries_sum_to_zero": _("Entries of the journal sum to zero"),
    "legs_belong_to_entries": _("Amounts of the journal belong to an entry"),
    "a_settled_booking_is_owed_nothing": _("Of a settled booking nothing is owed, prepaid or on its way back"),
    "captured_at_most_authorised": _("No more is taken than was held"),
    "refunded_at_most_captured": _("No more is given back than was taken"),
    "transfers_at_most_captured_less_refunds": _("No more goes out than was taken and not given back"),
    "no_transfer_before_the_statement_closes": _("Nothing goes out before a statement is accepted"),
    "one_capture_of_a_payment": _("A payment is taken once"),
    "no_charge_without_booking_quote": _("Nothing is charged without a price that was agreed"),
    "captures_are_posted": _("What was taken is in the journal"),
    "transfers_are_posted": _("What went out is in the journal"),
    "what_an_accepted_statement_rests_on_is_sealed": _("What an accepted statement rests on is sealed"),
    "what_was_paid_back_leaves_the_institution_its_share": _("What was paid back leaves the institution its share"),
    "a_fee_is_given_back_by_its_share": _("A cancellation fee is given back by the share that was booked again"),
    "a_fee_is_given_back_by_one_statement": _("A cancellation fee is given back by one statement"),
    "a_fee_waits_for_its_credit_before_it_goes_out": _("A cancellation fee goes out when its credit is decided"),
    "no_call_contradicts_the_provider": _("The provider has taken what was asked"),
    "the_journal_says_what_its_causes_say": _("The journal says what statements, payments and receipts say"),
    "a_closed_booking_reserves_nothing": _("A closed booking reserves nothing of an entitlement"),
    "use_at_most_granted": _("No more of an entitlement is used than was granted"),
    "entitlements_are_what_bookings_have_of_them": _("What is reserved and used of entitlements is what bookings have of them"),
    "used_is_what_accepted_statements_say": _("What programmes pay is what accepted statements say"),
    "programmes_owe_what_waits_for_them": _("Programmes owe what waits for them in the journal"),
    "conditional_is_what_waits_for_programmes": _("What institutions get when programmes have paid is what waits for them"),
    "a_closed_day_stays_as_it_was": _("A closed day stays as it was closed"),
    "the_ledger_says_what_the_provider_says": _("The ledger and the provider's account agree"),
    "units_are_held_once": _("Units are held once, by bookings that may hold them"),
    "calendars_elsewhere_are_kept_clear": _("Time that is busy in calendars elsewhere is kept clear"),
    "places_in_line_hold_what_was_offered": _("Places in a waiting line hold what they were offered"),
    "assisted_bookings_have_an_operator": _("Assisted bookings have one operator's time"),
    "evidence_is_as_it_was_sealed": _("Messages and proofs are as they were sealed"),
    "sealed_time_is_as_it_was": _("Sealed time is as it was sealed"),
    "published_figures_rest_on_sealed_time": _("Published figures rest on sealed time and are answered for"),
    "the_archive_is_whole": _("The archive of messages is whole"),
}
FINDING = {
    "unknown_movement": _("A movement that the ledger has no entry for"),
    "not_posted": _("Moved there and not in the ledger"),
    "not_there": _("In the ledger and never moved there"),
    "differs": _("Another amount there than here"),
    "object_unknown": _("Made there under our key and unknown here"),
    "object_missing": _("Known here and not there"),
}
PROVIDER_ANSWER = {"not_set_up": _("not set up"), "answered": _("answered"), "away": _("did not answer")}

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
    "move": MOVE,
    "pay_page": PAY_PAGE,
    "pay_amount": PAY_AMOUNT,
    "call": CALL,
    "call_state": CALL_STATE,
    "invariant": INVARIANT,
    "finding": FINDING,
    "provider_answer": PROVIDER_ANSWER,
    "cost_way": COST_WAY,
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
    "resolve_finding": _("This difference was resolved before, or is gone. Nothing was changed."),
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
