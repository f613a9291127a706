"""Words for the record of changes: what was done to what, and which values it changed."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from web.i18n import BEIJING, Formats
from web.labels import BOOKING, LISTING, ROLE, STATEMENT
from web.reasons import FIELDS

Translate = Callable[[str], str]
LONGEST_VALUE = 60


def _(text: str) -> str:
    """Marks a word for the catalogue; it is translated where it is shown."""
    return text


DONE = {
    ("booking", "book"): _("Booking made"),
    ("booking", "move"): _("Booking moved"),
    ("booking", "substitute"): _("Booked in place of one that an outage took"),
    ("booking", "approve"): _("Booking approved"),
    ("booking", "refuse"): _("Booking declined"),
    ("booking", "cancel"): _("Booking cancelled"),
    ("booking", "expire"): _("Booking expired"),
    ("booking", "ask_again"): _("Booking needs a new answer"),
    ("booking", "confirm_hold"): _("Payment secured for a booking"),
    ("booking", "conclude"): _("Use of a booking settled"),
    ("booking", "check_in"): _("Customer checked in"),
    ("booking", "finish"): _("Booking finished early"),
    ("booking", "state_use"): _("Use stated where the meter was silent"),
    ("booking", "sign_statement_of_use"): _("Statement of use signed by the other side"),
    ("booking", "decline_statement_of_use"): _("Statement of use declined"),
    ("booking", "withdraw_statement_of_use"): _("Statement of use withdrawn"),
    ("booking", "override_rules"): _("Rules set aside for a booking"),
    ("series", "book_series"): _("Series booked"),
    ("resource", "list"): _("Machine listed"),
    ("resource", "edit"): _("Listing edited"),
    ("resource", "publish"): _("Listing published"),
    ("resource", "pause"): _("Listing paused"),
    ("resource", "retire"): _("Listing retired"),
    ("resource", "set_rules"): _("Rules set"),
    ("resource", "set_policy"): _("Price policy set"),
    ("resource", "record_outage"): _("Outage entered"),
    ("resource", "end_outage"): _("Outage ended earlier"),
    ("resource", "withdraw_outage"): _("Outage withdrawn"),
    ("resource", "renew_calendar"): _("Calendar address renewed"),
    ("person", "renew_calendar"): _("Calendar address renewed"),
    ("device", "register"): _("Meter registered"),
    ("device", "new_secret"): _("Meter's secret renewed"),
    ("device", "revoke"): _("Meter revoked"),
    ("device", "new_certificate"): _("Certificate issued"),
    ("device", "revoke_certificate"): _("Certificate revoked"),
    ("device", "close_flag"): _("Open question closed"),
    ("device", "set_main_meter"): _("Main meter set"),
    ("device", "drop_main_meter"): _("Main meter taken off"),
    ("device", "set_profile"): _("Reading of its messages set"),
    ("device", "set_thresholds"): _("Thresholds set"),
    ("statement", "accept_statement"): _("Statement accepted"),
    ("statement", "dispute_statement"): _("Statement disputed"),
    ("statement", "resolve_dispute"): _("Dispute resolved"),
    ("statement", "mark_received"): _("Payment entered"),
    ("statement", "pay_back"): _("Paid back by bank"),
    ("programme", "create_programme"): _("Programme made"),
    ("programme", "set_programme_year"): _("Programme's year set"),
    ("programme", "publish_programme"): _("Programme published"),
    ("programme", "grant_entitlement"): _("Voucher granted"),
    ("claim", "submit_claim"): _("Claim handed in"),
    ("claim", "pay_claim"): _("Claim paid"),
    ("claim", "reject_claim"): _("Claim rejected"),
    ("claim", "pass_claim_on"): _("Claim passed on to an institution"),
    ("evaluation", "publish_evaluation"): _("Evaluation frozen"),
    ("manual_entry", "enter_manual"): _("Value entered by hand"),
    ("institution", "create"): _("Institution created"),
    ("institution", "set_payout_account"): _("Account for payouts set"),
    ("institution", "declare_related"): _("Related firm declared"),
    ("organisation", "create"): _("Firm created"),
    ("finding", "resolve"): _("Difference from the provider resolved"),
    ("person", "create"): _("Account created"),
    ("person", "edit"): _("Profile edited"),
    ("person", "change_password"): _("Password changed"),
    ("person", "reset_password"): _("Password reset"),
    ("person", "create_token"): _("API token made"),
    ("person", "revoke_token"): _("API token revoked"),
    ("membership", "grant"): _("Role given"),
    ("ticket", "invite"): _("Invitation sent"),
    ("booking", "hand_over"): _("Booking handed over"),
    ("booking", "swap"): _("Bookings exchanged"),
    ("booking", "rate"): _("Use rated"),
    ("booking", "change_operator"): _("Another operator stands by"),
    ("booking", "credit_fee"): _("Part of a cancellation fee given back"),
    ("booking", "return_fee"): _("Cancellation fee paid back by bank"),
    ("series", "edit_series"): _("Series changed"),
    ("series", "fill_gaps"): _("Gaps of a series booked"),
    ("swap", "propose_swap"): _("Exchange proposed"),
    ("swap", "accepted_swap"): _("Exchange accepted"),
    ("swap", "declined_swap"): _("Exchange declined"),
    ("swap", "withdrawn_swap"): _("Exchange withdrawn"),
    ("swap", "expired_swap"): _("Exchange ended without an answer"),
    ("waiting", "waiting_join"): _("Waiting list joined"),
    ("qualification", "define_qualification"): _("Qualification defined"),
    ("qualification", "grant_qualification"): _("Qualification granted"),
    ("qualification", "revoke_qualification"): _("Qualification taken back"),
    ("operator", "add_operator"): _("Operator added"),
    ("operator", "remove_operator"): _("Operator removed"),
    ("resource", "connect_calendar"): _("Calendar from elsewhere connected"),
    ("resource", "replace_calendar_file"): _("Calendar file replaced"),
    ("resource", "disconnect_calendar"): _("Calendar from elsewhere disconnected"),
    ("resource", "read_calendar"): _("Calendar from elsewhere read"),
    ("resource", "share_parts"): _("Shared parts set"),
    ("waiting", "waiting_offer"): _("Time offered to the waiting list"),
    ("waiting", "waiting_accept"): _("Offer accepted"),
    ("waiting", "waiting_decline"): _("Offer of the waiting list declined"),
    ("waiting", "waiting_lapse"): _("Offer lapsed"),
    ("waiting", "waiting_recall"): _("Offer taken back"),
    ("waiting", "waiting_withdraw"): _("Waiting list left"),
    ("waiting", "waiting_end"): _("Waiting ended"),
}
VALUES = {
    "state": _("State"),
    "resource": _("Equipment"),
    "planned": _("Planned"),
    "role": _("Role"),
    "charge_minor": _("Amount"),
    "price_minor": _("Price per hour"),
    "currency": _("Currency"),
    "summary": _("Summary"),
    "codes": _("Rules"),
    "unused": _("Not used at all"),
    "decide_within_h": _("Answered within hours"),
    "check_in_grace_min": _("Check-in grace in minutes"),
    "overtime_min": _("Overtime in minutes"),
}
STATES = {**STATEMENT, **LISTING, **BOOKING}
UNTOLD = {"version", "number", "instead_of", "attestation", "document", "stretches", "side"}
"""They change with everything, or are nothing to read."""


def title(kind: str, action: str, translate: Translate) -> str:
    """What was done; the codes, spaced, where no words were given."""
    found = DONE.get((kind, action))
    return translate(found) if found else f"{kind} · {action}".replace("_", " ")


def told(before: Mapping[str, Any], after: Mapping[str, Any], formats: Formats, translate: Translate) -> list[str]:
    """Each value that changed, as a line: its name, what it was, what it is."""
    lines = []
    for name, value in after.items():
        was = before.get(name)
        if was == value or name in UNTOLD or value in (None, "", []):
            continue
        label = translate(VALUES.get(name) or FIELDS.get(name) or name.replace("_", " "))
        new = _said(name, value, formats, translate)
        lines.append(f"{label}: {new}" if was is None else f"{label}: {_said(name, was, formats, translate)} → {new}")
    return lines


def _said(name: str, value: Any, formats: Formats, translate: Translate) -> str:
    if name == "state" and value in STATES:
        return translate(STATES[value])
    if name == "role" and value in ROLE:
        return translate(ROLE[value])
    if name in {"start", "end"} and isinstance(value, str):
        return formats.moment(datetime.fromisoformat(value), BEIJING)
    if isinstance(value, bool):
        return translate(_("yes")) if value else translate(_("no"))
    text = str(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
