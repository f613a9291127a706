"""Words for codes: states, roles, reasons, figures. The one place where a code becomes a sentence on a page."""

from collections.abc import Callable, Mapping

from web.billing_words import BILLING_WORDS, PAYMENT_MESSAGES
from web.booking_words import BOOKING_WORDS
from web.districts import DISTRICT
from web.done import DONE
from web.flag_words import FLAG_WORDS
from web.meter_words import METER_WORDS
from web.reading_words import LEFT_OUT, PLACED, TAKEN
from web.rule_words import RULE_WORDS
from web.run_words import BEGIN, CONFIRMATION, END, FLAG, GRADE, SETTLEMENT, VERDICT


def _(text: str) -> str:
    """Marks a word for the catalogue; it is translated where it is shown."""
    return text


LIVE = {
    "in_use": _("In use"),
    "free": _("Free"),
    "unknown": _("No signal"),
    "no_sensor": _("No meter"),
    "never": _("Never heard"),
    "maintenance": _("Maintenance"),
    "fault": _("Fault"),
}
KIND = {
    "pilot_line": _("Pilot line"),
    "small_line": _("Small line"),
    "concept_centre": _("Proof-of-concept centre"),
    "instrument": _("Instrument"),
}
CHAIN = {
    "合成生物": _("Synthetic biology"),
    "生物医药": _("Biomedicine"),
    "新材料": _("New materials"),
    "新能源": _("New energy"),
    "食品检测": _("Food testing"),
    "先进制造": _("Advanced manufacturing"),
    "电子信息": _("Electronics"),
}
"""Fields as institutions write them; one that is not here is shown as written."""

FACET = {"kind": _("Type"), "chain": _("Field"), "district": _("Place")}
SORT = {"match": _("Best match"), "price": _("Lowest price"), "name": _("Name")}
CELL = {
    "free": _("Free"),
    "cheap": _("Free, reduced price"),
    "booked": _("Booked"),
    "mine": _("My booking"),
    "in_use": _("In use"),
    "outage": _("Maintenance"),
    "closed": _("Closed"),
    "past": _("Past"),
}
SCALE = {"day": _("1 day"), "week": _("1 week"), "fortnight": _("2 weeks"), "month": _("1 month"), "list": _("As a list")}
GROUP = {
    "waiting": _("Waiting"),
    "confirmed": _("Confirmed"),
    "completed": _("Used"),
    "unused": _("Not used, failed or not provable"),
    "ended": _("Cancelled, declined or expired"),
}
"""Of one's own bookings, by state."""

BAR = {"outage": _("Maintenance"), "external": _("Taken elsewhere"), "line": _("In use with its line")}
BOOKING = {
    "held": _("Held for payment"),
    "requested": _("Waiting for approval"),
    "confirmed": _("Confirmed"),
    "completed": _("Used"),
    "cancelled": _("Cancelled"),
    "no_show": _("Not used"),
    "expired": _("Expired"),
    "refused": _("Declined"),
    "provider_failed": _("Equipment failed"),
    "unverifiable": _("Use not provable"),
}
PLACE_IN_LINE = {
    "waiting": _("In line"),
    "offered": _("Offered"),
    "booked": _("Booked"),
    "declined": _("Offer declined"),
    "lapsed": _("Offer ran out"),
    "withdrawn": _("Left the list"),
    "over": _("Time has passed"),
}
STEP = {
    "requested": _("Requested"),
    "booked": _("Booked"),
    "approved": _("Approved"),
    "in_use": _("In use"),
    "metered": _("Metered"),
    "billed": _("Billed"),
    "paid": _("Paid"),
    "cancelled": _("Cancelled"),
    "refused": _("Declined"),
    "expired": _("Expired"),
    **{code: BOOKING[code] for code in ("no_show", "provider_failed", "unverifiable")},
}
STEP_STATE = {"done": _("done"), "now": _("now"), "todo": _("to come"), "failed": _("ended here")}
STATEMENT = {
    "open": _("To be answered"),
    "accepted": _("Accepted"),
    "disputed": _("Disputed"),
    "settled": _("Paid"),
    "nothing": _("Nothing to pay"),
    "superseded": _("Replaced"),
}
LINE = {
    "usage": _("Confirmed use"),
    "overtime": _("Overtime"),
    "setup": _("Set-up before use"),
    "cleanup": _("Clean-down after use"),
    "unused": _("Booked, not used"),
    "no_show": _("Not used at all"),
    "cancellation": _("Cancellation"),
    "programme": _("Voucher or subsidy"),
    "voucher": _("Voucher"),
    "subsidy": _("Subsidy"),
    "standard": _("Booked time"),
    "minimum": _("Minimum charge"),
    "operator": _("Operator"),
    "tax": _("VAT"),
    "tax_included": _("of which VAT"),
    "correction": _("Correction"),
    "resold": _("Given back: taken by others"),
    "late": _("Not charged: found too late, or settled by a dispute"),
    "outside_hours": _("Outside normal hours"),
}
FUNDING = {"card": _("Card, taken through the platform"), "wallet": _("Wallet"), "bank": _("Bank transfer to the institution")}
USE_STATE = {
    "RUN": _("running"),
    "IDLE": _("on, not working"),
    "OFF": _("off"),
    "FAULT": _("fault"),
    "UNKNOWN": _("no signal"),
}
LISTING = {"draft": _("Draft"), "published": _("Published"), "paused": _("Paused"), "retired": _("Retired")}
WAITING = {
    "requests": _("Requests to answer"),
    "disputes": _("Disputed statements"),
    "no_device": _("Published machines without a meter"),
    "silent": _("Meters without a signal"),
    "unverifiable": _("Uses that could not be proved"),
    "unpaid": _("Unpaid statements"),
    "rejected": _("Messages turned away today"),
    "flags": _("Open questions about meters"),
}
MISSING = {
    "name": _("a name"),
    "price": _("a price"),
    "hours": _("opening hours"),
    "device": _("a connected meter"),
    "policy": _("a price policy"),
    "address": _("an address"),
    "bank_account": _("the institution's bank account"),
}
HOURS = {
    "workdays": _("Workdays 8:30 to 17:30"),
    "daily": _("Every day 8:00 to 20:00"),
    "always": _("Day and night"),
}
ROLE = {
    "operator": _("Platform operator"),
    "evaluator": _("Evaluator"),
    "manager": _("Manager"),
    "technician": _("Technician"),
    "finance": _("Finance"),
    "member": _("Member"),
}
HOUSE = {
    "university": _("University"),
    "institute": _("Research institute"),
    "enterprise": _("Enterprise"),
    "platform": _("Public platform"),
}
REJECTION = {
    "malformed": _("not readable"),
    "oversized": _("too large"),
    "foreign_topic": _("published on another device's topic"),
    "unknown_device": _("device not known"),
    "bad_json": _("not valid JSON"),
    "bad_value": _("a value out of range"),
    "future": _("dated in the future"),
    "stale": _("too old"),
    "duplicate_key": _("a key occurs twice"),
    "revoked": _("device was revoked"),
    "no_time": _("without a time"),
}
AREA = {
    "search": _("Find capacity"),
    "bookings": _("My bookings"),
    "desk": _("My lines"),
    "evaluation": _("Utilisation"),
    "operator": _("Operator"),
    "account": _("Account"),
}
KPI = {
    "util_capacity": _("Utilisation"),
    "eff_s": _("Hours used"),
    "ext_smes": _("Small firms served"),
    "coverage": _("Seen by telemetry"),
    "ext_revenue": _("Fee income"),
    "sharing": _("Sharing ratio"),
    "availability": _("Availability"),
    "no_show": _("No-shows"),
}
COLUMN = {
    "util": _("Utilisation"),
    "hours": _("Hours used"),
    "smes": _("Used by SMEs"),
    "income": _("Fee income"),
    "coverage": _("Telemetry"),
    "change": _("Change"),
}
LEDGER = {
    "prd_ext": _("Used by outside firms"),
    "prd_int": _("Used inside the house"),
    "prd_self": _("Used by its owner"),
    "prd_teach": _("Used for teaching"),
    "prd_unbooked": _("Ran without a booking"),
    "sby_booked": _("Booked, idle"),
    "sby_free": _("Open, idle"),
    "pd": _("Planned downtime"),
    "ud": _("Unplanned downtime"),
    "unk": _("No signal"),
    "nst": _("Not open"),
}
CATEGORY = {"ext": _("Outside"), "int": _("Inside"), "self": _("Own"), "teach": _("Teaching")}
STATUS = {
    "fulfilled": _("Use confirmed"),
    "no_show": _("Not used"),
    "cancelled": _("Cancelled"),
    "conflict": _("Double booking"),
    "provider_failed": _("Equipment failed"),
    "unverifiable": _("Use not provable"),
}
METRIC = {
    "open_h": _("Open hours"), "avail_h": _("Available hours"), "eff_h": _("Effective hours"), "ext_h": _("External hours"),
    "util_quota": _("Use of the yearly quota"), "util_capacity": _("Use of available open time"),
    "share_ratio": _("Sharing ratio"),
    "no_show_rate": _("No-show rate"), "coverage": _("Seen by telemetry"), "units": _("Units"), "quota_h": _("Quota hours"),
    "availability": _("Availability"), "ext_smes": _("Small firms served"), "ext_revenue": _("Fee income"),
    "open_rate": _("Open rate"), "idle_rate": _("Booked but idle"),
}  # fmt: skip
EXPORT = {"csv": "CSV", "xlsx": "XLSX", "pack": _("Evidence pack")}
CHECK = {
    "database": _("Database"),
    "migrations": _("Database version"),
    "guard": _("Double-booking guard"),
    "broker": _("MQTT broker"),
    "broker_login": _("The MQTT broker lets the worker in"),
    "ingest": _("Ingest"),
    "worker": _("Worker"),
    "mail": _("Mail"),
    "stripe": _("Card payments"),
}
CHECK_STATE = {"ok": _("in order"), "warn": _("look at this"), "fail": _("broken")}
FIRST_STEP = {
    "institution": _("Invite the first institution"),
    "mail": _("Set the mail server"),
    "broker": _("Connect the broker"),
    "payments": _("Set the payment keys"),
    "evaluator": _("Invite an evaluator"),
    "demo": _("Remove the demonstration data"),
}
RESULT = {"优秀": _("Excellent"), "良好": _("Good"), "合格": _("Pass"), "不合格": _("Fail")}
"""Grades as the evaluation scheme names them; one that is not here is shown as the scheme has it."""

REVISION = {
    "period_closed": _("The period was closed"),
    "published_by_evaluator": _("An evaluator asked for it"),
    "late_data": _("Late readings of meters"),
}
"""Why a revision of an evaluation was made."""

CLOSED = {
    "draft": _("This listing is not published yet."),
    "paused": _("This listing is paused; its institution takes no bookings at present."),
    "retired": _("This listing is retired."),
    "not_entitled": _("Your account may not book this. Ask the institution for access."),
}
MESSAGE = {
    "booking_confirmed": _("Your booking is confirmed"),
    "booking_requested": _("Your booking request was sent"),
    "booking_refused": _("Your booking request was declined"),
    "booking_changed": _("Your booking was moved"),
    "booking_cancelled": _("Your booking is cancelled"),
    "booking_replanned": _("What becomes of your bookings in an outage"),
    "booking_substituted": _("Your booking goes to another institution"),
    "series_booked": _("Your series of bookings is confirmed"),
    "series_requested": _("Your series of requests was sent"),
    "series_changed": _("Your series of bookings was changed"),
    "series_cancelled": _("Bookings of your series are cancelled"),
    "bundle_changed": _("What you booked together was moved"),
    "booking_expired": _("Your booking expired before it was confirmed"),
    "waiting_offered": _("The time you wait for is free and offered to you"),
    "waiting_lapsed": _("The offer from the waiting list ran out"),
    "waiting_recalled": _("The offer was taken back: the equipment is out of use at that time"),
    "waiting_closed": _("What you wait for is not offered any more"),
    "statement_ready": _("A statement awaits your answer"),
    "statement_settled": _("Your statement is settled"),
    "statement_credited": _("Part of your cancellation fee is given back"),
    "statement_corrected": _("A bill was corrected"),
    "statement_disputed": _("A customer objects to a statement"),
    "statement_refused": _("Your card was refused"),
    "statement_not_funded": _("A programme has refused its part of your bill"),
    "statement_unpaid": _("A customer's card was refused for good"),
    **PAYMENT_MESSAGES,
    "booking_reminder": _("Your booking begins soon"),
    "booking_delayed": _("The use before yours is not over yet"),
    "booking_absent": _("Nobody has checked in to your booking"),
    "customer_absent": _("Nobody has come to a booking so far"),
    "booking_ended": _("Your booking was ended before its time"),
    "statement_reminder": _("A statement still awaits your answer"),
    "request_to_decide": _("A booking request awaits your decision"),
    "customer_cancelled": _("A customer cancelled at short notice"),
    "attestation_waiting": _("A statement of use waits for your answer"),
    "attestation_signed": _("A statement of use was signed by both sides"),
    "attestation_declined": _("A statement of use was declined"),
    "booking_handed_over": _("Your booking was handed over"),
    "booking_received": _("A colleague's booking is yours now"),
    "swap_proposed": _("Someone would exchange times with you"),
    "swap_declined": _("Your proposal to exchange times was declined"),
    "swap_withdrawn": _("The proposal to exchange times was withdrawn"),
    "swap_expired": _("Your proposal to exchange times has ended without an answer"),
    "qualification_granted": _("You were granted a qualification"),
    "qualification_revoked": _("A qualification of yours was taken back"),
    "calendar_failing": _("A calendar kept elsewhere cannot be read"),
    "calendar_conflicts": _("A calendar kept elsewhere stands against bookings"),
    "invitation": _("You are invited to Pilotbench"),
    "password_reset": _("Set a new Pilotbench password"),
}
"""What a message says, as the subject of a letter and as a line of the inbox."""

TOPIC = {
    "bookings": _("Bookings: confirmed, moved, cancelled"),
    "reminders": _("Reminders: a day before a booking, two days before a statement counts as accepted"),
    "statements": _("Statements"),
    "decisions": _("Requests that wait for my decision"),
}
FIRST_DAY = {"monday": _("Monday"), "sunday": _("Sunday")}
DELIVERY = {"at_once": _("At once by e-mail"), "digest": _("In the daily summary"), "app": _("Only here in the app")}

ELSEWHERE = {
    "not_a_calendar": _("What was received is no iCalendar file. Check the address or the file."),
    "cut_off": _("The file ends in the middle; it did not arrive whole."),
    "too_large": _("The file is larger than 2 MB. Share a calendar with less in it."),
    "too_many": _("There is more in it than can be taken over: 5,000 entries, 20,000 times. Share a calendar with less in it."),
    "unreachable": _("The server does not answer. Check the address."),
    "private_address": _("The address leads into a private network, which is not read. Use a public address."),
    "too_slow": _("The server took longer than 30 seconds."),
    "redirects": _("The address leads on and on. Enter the one it ends at."),
    "status": _("The server refused it. Check that the calendar is shared by this address."),
    "unknown_zone": _("Unknown time zone, read as that of this equipment"),
    "bad_time": _("Entry left out, its time cannot be read"),
    "bad_rule": _("Only the first time was taken, its repetition cannot be read"),
    "bad_line": _("Line that cannot be read"),
    "no_exrule": _("Exception by rule left out, so more may be closed"),
}
"""Of a calendar kept elsewhere: what went wrong, and what could not be taken as it stands."""

WORDS: Mapping[str, Mapping[str, str]] = {
    "live": LIVE, "kind": KIND, "chain": CHAIN, "facet": FACET, "sort": SORT, "cell": CELL, "booking": BOOKING, "step": STEP,
    "waiting": PLACE_IN_LINE,
    "step_state": STEP_STATE, "verdict": VERDICT, "statement": STATEMENT, "line": LINE, "funding": FUNDING,
    "use_state": USE_STATE, "grade": GRADE, "begin": BEGIN, "end": END, "flag": FLAG, "listing": LISTING, "todo": WAITING,
    "missing": MISSING, "hours": HOURS, "confirmation": CONFIRMATION,
    "role": ROLE, "house": HOUSE, "settlement": SETTLEMENT,
    "rejection": REJECTION, "area": AREA, "kpi": KPI, "column": COLUMN, "ledger": LEDGER, "category": CATEGORY, "status": STATUS,
    "export": EXPORT, "metric": METRIC, "result": RESULT, "revision": REVISION,
    "check": CHECK, "check_state": CHECK_STATE, "first_step": FIRST_STEP, "closed": CLOSED, "done": DONE,
    "message": MESSAGE, "topic": TOPIC, "delivery": DELIVERY, "first_day": FIRST_DAY,
    "scale": SCALE, "bar": BAR, "district": DISTRICT, "group": GROUP,
    "elsewhere": ELSEWHERE, "placed": PLACED, "taken": TAKEN, "left_out": LEFT_OUT,
    **BOOKING_WORDS, **RULE_WORDS, **FLAG_WORDS, **METER_WORDS, **BILLING_WORDS,
}  # fmt: skip


def word(translate: Callable[[str], str], subject: str, code: str) -> str:
    """What `code` is called on a page; the code itself, spaced, where no word was given.

    >>> word(str, "live", "in_use"), word(str, "flag", "some_new_flag")
    ('In use', 'some new flag')
    """
    found = WORDS[subject].get(code)
    return translate(found) if found else code.replace("_", " ")
