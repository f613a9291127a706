"""Words for codes of what becomes of bookings: series, requests, swaps, ratings, and what happened when."""

from collections.abc import Mapping


def _(text: str) -> str:
    """Marks a word for the catalogue; it is translated where it is shown."""
    return text


REPEATS = {
    "same": _("As before"),
    "FREQ=DAILY": _("Every day"),
    "FREQ=WEEKLY": _("Every week"),
    "FREQ=WEEKLY;INTERVAL=2": _("Every two weeks"),
    "FREQ=MONTHLY": _("Every month"),
}
"""Recurrence rules that a form offers, without their end."""
NEW_REPEATS = {
    "": _("Does not repeat"),
    "FREQ=DAILY": _("Every day"),
    "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR": _("Every weekday, Monday to Friday"),
    "FREQ=WEEKLY": _("Every week"),
    "FREQ=WEEKLY;INTERVAL=2": _("Every two weeks"),
    "FREQ=MONTHLY": _("Every month on this day"),
}
"""The same for a booking that is not made yet."""

EVERY_ONE = {"DAILY": _("Every day"), "WEEKLY": _("Every week"), "MONTHLY": _("Every month"), "YEARLY": _("Every year")}
EVERY = {
    "DAILY": _("Every {interval} days"),
    "WEEKLY": _("Every {interval} weeks"),
    "MONTHLY": _("Every {interval} months"),
    "YEARLY": _("Every {interval} years"),
}
ON_CONFLICT = {"refuse": _("Change nothing, tell me"), "skip": _("Leave that time out and change the others")}
NEW_ON_CONFLICT = {"refuse": _("Book none, tell me"), "skip": _("Book the others and keep the gaps")}
GAP = {
    "slot_taken": _("taken"),
    "meets_itself": _("taken by the request itself"),
    "no_such_time": _("does not exist: the clocks are changed"),
    "outside_hours": _("closed"),
    "beyond_horizon": _("too far ahead"),
    "too_soon": _("too soon"),
    "over_quota_hours": _("over the quota"),
    "over_quota_count": _("over the quota"),
    "too_short": _("too short"),
    "too_long": _("too long"),
    "off_step": _("off the grid of start times"),
    "starts_in_past": _("in the past"),
    "not_bookable": _("takes no bookings"),
    "beyond_capacity": _("more than there is"),
    "not_in_audience": _("not open to this customer"),
    "before_audience_since": _("not yet open to this customer"),
    "buffers_outside_hours": _("set-up or clean-down outside the opening hours"),
    "over_quota_hours_shared": _("over a group's quota of hours"),
    "over_quota_count_shared": _("over a group's quota of bookings"),
    "qualification_missing": _("without the qualification"),
    "qualification_too_low": _("qualified at a lower level"),
    "qualification_expired": _("qualification expired"),
    "supervised_run_first": _("no supervised run yet"),
    "no_assistance_offered": _("asked for an operator"),
    "no_operator_free": _("no operator is free"),
    "declined_capacity": _("no room"),
    "out_of_scope": _("does not suit the equipment"),
}
"""Why a time could not be had, in a word."""

STARS = {
    "5": _("5 – very good"),
    "4": _("4 – good"),
    "3": _("3 – fair"),
    "2": _("2 – poor"),
    "1": _("1 – bad"),
}
GROUNDS = {
    "declined_capacity": _("There is no room at that time"),
    "out_of_scope": _("It does not suit this equipment"),
    "withdrawn": _("Taken back by the customer"),
}
LOST = {
    "turned_away": _("Turned away by the rules"),
    "declined": _("Declined"),
    "withdrawn": _("Withdrawn"),
    "unanswered": _("Not answered in time"),
}
EVENT = {
    "booked": _("Booked"),
    "book_confirmed": _("Booked"),
    "book_requested": _("Requested"),
    "book_held": _("Held for payment"),
    "confirm_hold_confirmed": _("Payment secured, booked"),
    "confirm_hold_requested": _("Payment secured, requested"),
    "ask_again": _("Waits for the institution again"),
    "state_use": _("Use stated"),
    "sign_statement_of_use": _("Stated use signed"),
    "decline_statement_of_use": _("Stated use declined"),
    "withdraw_statement_of_use": _("Statement of use withdrawn"),
    "approve": _("Approved"),
    "refuse": _("Declined"),
    "cancel": _("Cancelled"),
    "expire_held": _("Ended: the payment did not come in time"),
    "expire_requested": _("Ended: nobody answered in time"),
    "conclude_completed": _("Use confirmed by the equipment"),
    "conclude_no_show": _("Not used, as the equipment shows"),
    "conclude_provider_failed": _("Equipment failed"),
    "conclude_unverifiable": _("Use not provable"),
    "move": _("Moved from {was} to {now}"),
    "swap": _("Exchanged: {now} instead of {was}"),
    "hand_over": _("Handed over to {person}"),
    "check_in": _("Checked in"),
    "finish": _("Finished early"),
    "rate": _("Rated {stars} of 5"),
    "override_rules": _("Rules set aside: {reason}"),
    "device_on": _("The equipment began to run"),
    "device_off": _("The equipment stopped"),
    "billed": _("Statement issued"),
    "paid": _("Paid"),
}
"""What happened to a booking, in a line."""

PROPOSAL = {
    "no_match": _("nothing on the platform does this."),
    "no_length": _("what does this is not booked for that length: its page says from and to how long."),
    "no_time": _("what does this is not free that long in these days."),
    "no_order": _("Each step is possible, but not one after the other in these days."),
    "over_budget": _("There are chains, but only dearer ones."),
    "earliest": _("Earliest"),
    "cheapest": _("Cheapest"),
    "fewest": _("Fewest institutions"),
}

SIDE = {"provider": _("The institution"), "user": _("The customer")}

ATTESTATION = {
    "open": _("Waits for the other side"),
    "signed": _("Signed by both sides"),
    "declined": _("Declined"),
    "withdrawn": _("Withdrawn"),
}

PROBLEM = {
    "unstated": _("Nothing stated yet"),
    "ours": _("Waits for your signature"),
    "theirs": _("Waits for the customer"),
    "declined": _("Declined"),
}
"""What a use that the meter did not see waits for."""

BOOKING_WORDS: Mapping[str, Mapping[str, str]] = {
    "repeats": REPEATS, "every": EVERY, "every_one": EVERY_ONE, "on_conflict": ON_CONFLICT, "gap": GAP,
    "new_repeats": NEW_REPEATS, "new_on_conflict": NEW_ON_CONFLICT,
    "stars": STARS, "grounds": GROUNDS, "lost": LOST, "event": EVENT, "proposal": PROPOSAL,
    "side": SIDE, "attestation": ATTESTATION, "problem": PROBLEM,
}  # fmt: skip
