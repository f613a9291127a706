"""A refusal in the reader's words: fields by their labels, states by their names, reasons in the page's language.

Programs get `web.refusals.words`, in English and with the names that they sent.
"""

from collections.abc import Mapping
from typing import Any

from web.labels import BOOKING, LISTING, PLACE_IN_LINE, STATEMENT
from web.refusals import Translate, fill, words
from web.rule_words import GROUP


def _(text: str) -> str:
    """Marks a word for the catalogue; it is translated where it is shown."""
    return text


FIELDS: Mapping[str, str] = {
    "address": _("Address"),
    "amount": _("Amount"),
    "approval": _("A booking stands"),
    "assistance": _("Operators"),
    "audience": _("Who may book"),
    "buffer_mode": _("Between two bookings"),
    "capacity": _("Can be booked at once"),
    "chain": _("Field"),
    "capacity_mode": _("Several at once"),
    "cleaning_min": _("Clean-down after use"),
    "comment": _("What was good, what was not"),
    "commissioned_on": _("In service since"),
    "count": _("How many times"),
    "credit_code": _("Unified social credit code"),
    "decide_within_h": _("Answered within"),
    "district": _("District"),
    "email": _("E-mail"),
    "end": _("End"),
    "exceptions": _("Single dates"),
    "first_day": _("Weeks begin on"),
    "holidays": _("Public holidays"),
    "horizon_days": _("Bookable until"),
    "hours": _("Opening hours"),
    "kind": _("Type"),
    "level": _("Level"),
    "levels": _("Levels"),
    "max_min": _("Longest booking"),
    "minutes": _("How long"),
    "min_min": _("Shortest booking"),
    "name": _("Name"),
    "name_en": _("Name (English)"),
    "notice_min": _("Book ahead"),
    "organisation_id": _("Firm"),
    "override": _("Why"),
    "parent_id": _("Part of"),
    "password": _("Password"),
    "period": _("Period"),
    "person_id": _("Person"),
    "price": _("Price per hour"),
    "price_academic": _("Price for academic organisations"),
    "price_industry": _("Price for industry"),
    "price_internal": _("Price for the house's own departments"),
    "price_partner": _("Price for partners"),
    "price_per_hour": _("Price per hour"),
    "purpose": _("Purpose"),
    "qualifications": _("Qualifications"),
    "quantity": _("Units"),
    "quota_hours": _("Quota hours a year"),
    "quotas": _("Quotas"),
    "reason": _("Reason"),
    "role": _("Role"),
    "rrule": _("Repeats"),
    "serial": _("Serial number of the bank's entry"),
    "setup_min": _("Set-up before use"),
    "stars": _("Stars"),
    "shares": _("Shared parts"),
    "start": _("Start"),
    "step_min": _("Grid of start times"),
    "supervised_runs": _("First uses with an operator"),
    "timezone": _("Time zone"),
    "url": _("Address"),
    "trusted": _("Trusted organisations"),
    "valid_until": _("Valid until"),
    "value": _("Purchase value"),
    "version": _("Version"),
    "with_booking_id": _("Number of the other booking"),
}

REASONS = (
    _("a group of your own needs a name and its members"),
    _("a resource stays with its institution"),
    _("a time without offset"),
    _("a whole number is needed"),
    _("belongs to another institution"),
    _("can only grow: booked units would be lost"),
    _("cannot be made as a folder"),
    _("choose one of the list"),
    _("choose whom you trust, and that they book at once; or neither"),
    _("comes twice, as the clocks are put back; say which is meant"),
    _("control characters are not allowed"),
    _("counted units need full buffers: clean down, then set up"),
    _("does not begin with the slot that was given"),
    _("does not fit between start and end"),
    _("does not take this booking"),
    _("each interval must close after it opens"),
    _("give the bank's serial number"),
    _("give {low} to {high} levels"),
    _("gives more than {longest} occurrences"),
    _("goes on for more than three years"),
    _("has {most} certificates that count: revoke one first"),
    _("has more decimals than the currency"),
    _("has parts of its own, so it cannot be shared"),
    _("holds control characters"),
    _("holds what JSON cannot"),
    _("is a folder with something in it"),
    _("is a part of this machine itself"),
    _("is an operator already"),
    _("is longer than the longest booking"),
    _("is missing"),
    _("is negative"),
    _("is no address of a calendar such as https://example.org/calendar.ics"),
    _("is no manager or technician of the institution"),
    _("is no recurrence rule such as FREQ=WEEKLY;COUNT=10"),
    _("is not alike, costs more, or has other terms than were agreed"),
    _("is not as long as the booking"),
    _("is not sealed yet: a day is sealed one hour after it is over (UTC)"),
    _("is over already"),
    _("is paid in another currency"),
    _("is the resource itself or a line that it is a part of"),
    _("is the same booking"),
    _("it is booked itself at a time at which the line is booked"),
    _("it is read by its address"),
    _("it is taken at a time at which this is booked"),
    _("it is that person's booking already"),
    _("its check character does not fit: one character is mistyped"),
    _("lies in the outage"),
    _("more than 31 days after start"),
    _("more than {max_days} days"),
    _("more than {max_days} days, or not over yet"),
    _("more than {most} calendars of one machine"),
    _("more than {most} entries"),
    _("must be 1 to 1000"),
    _("must be 64 hexadecimal digits"),
    _("must be a number from 0"),
    _("must be at least {ge}"),
    _("must be at most {le}"),
    _("must be more than nothing and at most what is still owed"),
    _("must be whole minutes, and given without minutes"),
    _("must be {low} to {high}"),
    _("must have 1 to {longest} characters"),
    _("must have 18 digits or capital letters (I, O, S, V, Z excepted)"),
    _("must have at least {min_length} characters"),
    _("must have at least {shortest} characters"),
    _("must have at most {max_length} characters"),
    _("must lie at or after the first day, less than {longest} days later"),
    _("must lie below p_on"),
    _("must lie between nothing and the drafted amount"),
    _("must lie within the range of its indicator"),
    _("must name the document that shows it"),
    _("must not be negative"),
    _("names a date twice"),
    _("names a person without an account"),
    _("names a qualification that the institution does not have"),
    _("names a qualification twice"),
    _("names an operator that the institution does not have"),
    _("names an organisation that is not registered"),
    _("names either a group of the audience or its members"),
    _("needs either an address or a file"),
    _("needs either COUNT or UNTIL"),
    _("never comes, as the clocks are put forward over it; choose one before or after"),
    _("no customer or colleague of that name: {line}"),
    _("no gap of the series begins there"),
    _("nobody who works here, has booked here or has asked for time has this address"),
    _("not a date such as 2026-03-10"),
    _("not a date with times: {line}"),
    _("not a period such as 2026 or 2026-11"),
    _("not a time with offset such as 2026-03-10T09:00:00+08:00"),
    _("not a time"),
    _("not after start"),
    _("not an address"),
    _("not an amount such as 525.00"),
    _("not an IANA time zone such as Asia/Shanghai"),
    _("not one that a page before gave"),
    _("not one that is entered by hand"),
    _("not whole minutes after start"),
    _("one of them is the house's own use of another machine"),
    _("other days need a rule of their own"),
    _("repeats daily, weekly, monthly or yearly only"),
    _("say in 1 to 1,000 characters why"),
    _("say in at most 1000 characters what is wrong"),
    _("say why, the customer reads it"),
    _("the account is gone"),
    _("the period is not over yet"),
    _("the role does not go with that scope"),
    _("there is no booking of that number"),
    _("there is one of this name already"),
    _("UNTIL is no day or time such as 20261231 or 20261231T010000Z"),
    _("you belong to several organisations, say for which one"),
)
"""Why a value that came through a page does not fit; a test looks for each in the sources."""

STATES: Mapping[str, str] = {**PLACE_IN_LINE, **LISTING, **STATEMENT, **BOOKING}


def sentence(code: str, values: Mapping[str, Any], translate: Translate) -> str:
    """The sentence for a refusal, in the language of `translate` throughout."""
    told = dict(values)
    if "field" in told:
        name = str(told["field"]).split(".")[-1]
        told["field"] = translate(FIELDS[name]) if name in FIELDS else name
    if "reason" in told:
        told["reason"] = fill(translate(str(told["reason"])), values)
    if told.get("group") in GROUP:
        told["group"] = translate(GROUP[told["group"]])
    if told.get("state") in STATES:
        told["named"] = translate(STATES[told["state"]])
    return words(code, told, translate)


def beside(values: Mapping[str, Any], translate: Translate) -> str:
    """What is wrong with a field of a form, for the place beside it: its label and the reason."""
    return sentence("field", values, translate)
