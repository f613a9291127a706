"""The one place that gives a refusal its HTTP status and its words (RFC 9457; both languages through gettext)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from billing.webhooks import BadSignature
from booking.external.lines import Unreadable
from marketplace import refusals
from marketplace.idempotency import KeyReused
from marketplace.people.actions import WrongPassword
from marketplace.refusals import Reason, Refusal, Refused
from marketplace.slot import Slot
from web import billing_words
from web.deps import PreconditionRequired
from web.labels import ELSEWHERE
from web.papers import NoPaper
from web.security import ForgedRequest, TooLarge

Translate = Callable[[str], str]
_Shape = TypeVar("_Shape", bound=BaseModel)
MOST_REASONS = 50
"""Fields of one request that are named."""


def _(text: str) -> str:
    """Marks a sentence for the catalogue; it is translated where it is shown."""
    return text


class Malformed(Refused):
    """The request's shape is wrong; every field that is, is named."""

    code = "malformed"


STATUS: Mapping[type[Refusal], int] = {
    WrongPassword: 401,
    BadSignature: 400,
    refusals.NotFound: 404,
    refusals.NotAllowed: 403,
    refusals.NotSignedIn: 401,
    refusals.Stale: 412,
    refusals.WrongState: 409,
    refusals.Invalid: 422,
    refusals.TooMany: 429,
    refusals.Refused: 409,
    refusals.Busy: 503,
    NoPaper: 503,
    Malformed: 422,
    KeyReused: 422,
    Unreadable: 422,
    ForgedRequest: 403,
    TooLarge: 413,
    PreconditionRequired: 428,
}
"""A subclass answers as its nearest ancestor here; anything else is 409."""

TITLES: Mapping[str, str] = {
    "not_found": _("Not found"),
    "not_allowed": _("Not allowed"),
    "not_signed_in": _("Sign in first"),
    "stale": _("Someone else changed it first"),
    "wrong_state": _("It is not in a state for that"),
    "invalid": _("Something in the request does not fit"),
    "too_many_requests": _("Too many attempts"),
    "refused_by_rules": _("The rules of this resource do not allow that"),
    "slot_taken": _("That time has just been taken"),
    "bundle_refused": _("Not all parts can be had"),
    "series_refused": _("Not every time of the series can be had"),
    "plan_refused": _("A step of the plan cannot be done"),
    "lies_ahead": _("Something lies ahead of it"),
    "free_now": _("That is free now"),
    "waiting_in_vain": _("Waiting would be in vain"),
    "already_waiting": _("You wait for that already"),
    "line_full": _("No further place in the line"),
    "offer_over": _("The offer is over"),
    "swap_refused": _("These two cannot be exchanged"),
    "not_a_colleague": _("Not a colleague with an account"),
    "precondition_required": _("Say which version you are changing"),
    "archive_unreadable": _("Archived messages cannot be read"),
    "busy": _("The system is busy"),
    "no_paper": _("The PDF cannot be made"),
    "forged_request": _("This form did not come from our page"),
    "malformed": _("The request is malformed"),
    "too_large": _("The request is too large"),
    "method_not_allowed": _("That cannot be done here"),
    "idempotency_key_reused": _("That key belongs to another request"),
    "bad_signature": _("Not signed by the sender it names"),
    "internal": _("Something went wrong on our side"),
    "no_reporting_units": _("No equipment in this period"),
    "email_taken": _("That account exists already"),
    "credit_code_taken": _("That firm or institution is here already"),
    "wrong_password": _("Not signed in"),
    "received_before": _("Recorded before"),
    "calendar_unreadable": _("No calendar could be read"),
}

SENTENCES: Mapping[str, str] = {
    "not_found": _("There is nothing here under that address, or it is not yours to see. Nothing was changed."),
    "not_found_field": _("{field}: there is nothing of that name, or it is not yours to see. Nothing was changed."),
    "not_allowed": _("Your role does not allow this. Nothing was changed. Ask a manager of the institution for the role."),
    "not_signed_in": _("This needs a signed-in account or a valid API token. Nothing was changed. Sign in and try again."),
    "stale": _(
        "It was changed since you opened it (now version {version}). Nothing was saved. Reload and apply your change again."
    ),
    "wrong_state": _("It is “{named}” now, which does not allow this step. Nothing was changed. Reload to see where it stands."),
    "invalid": _("The value of {field} does not fit: {reason}. Nothing was saved. Correct it and send it again."),
    "too_many_requests": _("There were too many attempts from here. Wait {retry_after_s} seconds and try again."),
    "refused_by_rules": _("Nothing was changed or charged; what you had booked stays. Choose another time."),
    "series_refused": _("Not every time of the series can be had, so nothing was booked. Choose other times, or skip those."),
    "plan_refused": _(
        "The step at {field} cannot be done for its booking. Nothing was entered or changed. Choose another for it."
    ),
    "free_now": _("This can be booked now, so you were not put in the line. Book it."),
    "waiting_in_vain": _("It would be refused even if it were free. You were not put in the line. Choose another time."),
    "already_waiting": _("You are in the line for exactly this time. Nothing was changed."),
    "line_full": _("There may be {most} places at most. You were not put in the line. Leave one that you need no more."),
    "offer_over": _("Its time limit has passed. Nothing was booked or charged. See what is free, or join the line again."),
    "swap_refused": _("The rules do not allow this exchange. Both bookings stay as they are."),
    "own_side_refused": _("Your booking may not be put where the other one is, by the rules there."),
    "other_side_refused": _("The other booking may not be put there by the rules for its holder."),
    "not_a_colleague": _(
        "Nobody with an account in the organisation of this booking is known by that. Nothing was changed. Check the address."
    ),
    "no_such_time": _("That time does not exist on this day, because the clocks are changed."),
    "bundle_refused": _("At least one part cannot be had. Nothing was booked, moved or charged. Change the parts named."),
    "lies_ahead": _(
        "Ahead of it are {bookings} bookings, {requests} requests, {series} series, {offers} offers and {waiting} who wait."
        " Nothing was changed. Say by plan what becomes of the bookings: keep, cancel, proposed, or a step for each."
    ),
    "out_of_order": _("It would lie before the end of a part that came first and has begun."),
    "precondition_required": _('Send If-Match with the version you have read, such as "3". Nothing was changed.'),
    "email_taken": _("An account with this e-mail exists. Nothing was saved. Sign in, or reset its password."),
    "credit_code_taken": _("A firm or institution with this credit code is registered. Nothing was saved. Ask it to invite you."),
    "wrong_password": _("E-mail and password do not fit together. Try again, or reset the password."),
    "calendar_unreadable": _("No calendar could be read, and nothing was changed. {reason}"),
    "received_before": _("This entry of the bank was recorded before. Nothing was saved. Check the serial number."),
    "no_reporting_units": _("The institution has no equipment in this period, so there is nothing to freeze."),
    "guard_missing": _("The database would accept overlapping bookings. Nothing is served. Run: pilotbench migrate"),
    "busy": _("Others are booking the same thing at this moment. Nothing was changed. Try again in a moment."),
    "no_paper": _(
        "The document cannot be laid out here. Nothing was changed. Print the page from your browser, or take the CSV file."
    ),
    "internal": _("What you did just now was not saved; everything before it was. Try again; if it stays, tell the operator."),
    "slot_taken": _(
        "Part of this time is taken already. Nothing was changed or charged; what you had booked stays. Choose a free time."
    ),
    "meets_itself": _("The request has this time twice. Nothing was booked. Choose shorter times, or ones further apart."),
    "more_times": _("How many more of its times cannot be had: {more}."),
    "field": _("{field}: {reason}."),
    "idempotency_key_reused": _("This key was used before for another request. Nothing was changed. Send a new key."),
    "bad_signature": _("The signature does not fit ({reason}). Nothing was saved."),
    "too_large": _("The request is larger than {mib} MiB. Nothing was saved. Send less at a time."),
    "malformed": _("The request could not be read. Nothing was saved. Correct what is named and send it again."),
    "forged_request": _(
        "Another site, or an old page of ours, sent this form. Nothing was changed. Open the page anew and send it."
    ),
    "method_not_allowed": _("This address does not take that method. Nothing was changed."),
    "too_short": _("Shorter than the minimum of {min_min} minutes."),
    "too_long": _("Longer than the maximum of {max_min} minutes."),
    "off_step": _("Start and length must be multiples of {step_min} minutes, counted from midnight."),
    "starts_in_past": _("It starts in the past."),
    "too_soon": _("It must be booked at least {notice_min} minutes ahead."),
    "beyond_horizon": _("It can be booked at most {horizon_days} days ahead."),
    "outside_hours": _("It lies outside the opening hours."),
    "not_bookable": _("It takes no bookings at present ({state})."),
    "beyond_capacity": _("Only {capacity} can be booked at a time."),
    "buffers_outside_hours": _(
        "Set-up of {setup_min} minutes before it and clean-down of {cleaning_min} minutes after it must lie in the opening hours."
    ),
    "not_in_audience": _("It takes no bookings of your organisation. Ask the institution to open it to you."),
    "before_audience_since": _("It is open to your organisation from {since} on."),
    "no_assistance_offered": _("Nobody stands by at this equipment. Book it without an operator."),
    "no_operator_free": _("No operator is free for all of this time. Choose one of the times proposed."),
    "supervised_run_first": _(
        "The first {runs} uses are with an operator, and you have completed {done}. Book with an operator."
    ),
    "qualification_missing": _("It asks for the qualification “{qualification}” at level {level}. The institution grants it."),
    "qualification_too_low": _("It asks for the qualification “{qualification}” at level {level}; yours is level {held}."),
    "qualification_expired": _(
        "Your qualification “{qualification}” at level {level} ends before this use begins. "
        "Have it renewed, or choose a time before."
    ),
    "over_quota_hours": _(
        "Over the quota of {limit} hours from {since} to {until}: {used} hours are booked already, this takes {asked} more."
    ),
    "over_quota_hours_shared": _(
        "Over the quota of {limit} hours that “{group}” share from {since} to {until}: "
        "{used} are booked, this takes {asked} more."
    ),
    "over_quota_count_shared": _(
        "Over the quota of {limit} bookings that “{group}” share from {since} to {until}: there are {used} already."
    ),
    "over_quota_count": _(
        "Over the quota of {limit} bookings from {since} to {until}: there are {used} already, and this would be one more."
    ),
    # On the command line only, which speaks English.
    "port_taken": "Something else listens on port {port}. Nothing was started. Stop it, or choose another with PORT=8100.",
    "bad_database_url": (
        "PILOTBENCH_DATABASE_URL is no address of a database. Nothing was started or changed. "
        "Write sqlite:////folder/pilotbench.db or postgresql://user:password@host/name."
    ),
    "database_away": (
        "The database does not do what was asked of it: {reason}. Nothing was changed. "
        "See that it runs, that PILOTBENCH_DATABASE_URL names it and that `pilotbench migrate` was run; then do it again."
    ),
    "broker_unavailable": "The MQTT broker cannot run: {reason}. Nothing was started.",
    "unknown_kind": "{kind} is nothing that can be taken in or given out: {kinds}.",
    "backup_unusable": "{folder}: {reason}. Nothing was restored, nothing was changed.",
    "archive_unreadable": _(
        "These messages are archived, and the file {file} cannot be read here. Nothing was written."
        " Ask the platform's operator: it lies with the archive, in the data folder of the background worker."
    ),
    "file_unreadable": "{file} cannot be read: {reason}. Nothing was taken in.",
    "folder_taken": "{folder} holds {found}. Nothing was started or changed. Choose another folder with DATA_DIR=.",
}


WRONG_STATE: Mapping[str, str] = {
    **billing_words.WRONG_STATE,
    "begun": _("It has begun, so this step is not possible any more. Nothing was changed. Reload to see where it stands."),
    "not_begun": _("Its time has not begun yet. Nothing was changed. Come back when it has."),
    "over": _("Its time is over, so this step is not possible any more. Nothing was changed."),
    "check_in:late": _(
        "The time to check in is over. Nothing was changed. What is used is told by the equipment's meter all the same."
    ),
    "end_outage:not_begun": _("It has not begun, so it cannot be over. Nothing was changed. Withdraw it or give an end."),
    "withdraw_outage:begun": _("It has begun, and its past stays on record. Nothing was changed. Say that it is over."),
    "nothing_open": _("Nothing is open that can be paid online now. Nothing was changed. Reload to see how it stands."),
    "without_gaps": _("The series has no gap that can still be filled. Nothing was changed."),
    "changed": _("One of the two bookings has changed since. Nothing was exchanged. Propose the exchange anew."),
    "needed": _(
        "A booking to come needs this operator, and nobody else is free then. Nothing was changed."
        " Move that booking first, or add another operator."
    ),
    "rate:completed": _("It cannot be rated: only a use that somebody paid for can, and not for ever. Nothing was changed."),
    "rated": _("It was rated too long ago to be changed. Nothing was changed."),
    "revoked": _("It has been revoked already. Nothing was changed."),
    "close:closed": _("It has been closed already, with a word of why. Nothing was changed."),
    "unpublished": _("Nothing is published for this period yet, so there is nothing to recompute. Publish it first."),
    "not_ahead": _(
        "One of the two bookings has begun, or does not stand. Nothing was exchanged. Ask its holder, or choose another."
    ),
    "swap:proposed": _(
        "An exchange of one of these bookings is proposed already. Nothing was changed. Withdraw it or have it answered first."
    ),
    "answer": _("This exchange is not open any more. Nothing was exchanged. Reload to see where it stands."),
    "not_measured": _("Nothing was measured yet while the machine idled. Nothing was changed. Begin with that half."),
    "undecided": _("What was used is not decided yet. Nothing was stated. Come back a little after its end."),
    "stated": _("A statement of this booking waits for an answer. Nothing was stated. Have it answered or withdraw it first."),
    "stated_often": _("This booking has had as many statements as it may. Nothing was stated. Ask the platform's operator."),
    "answer_statement_of_use": _("This statement is not open any more. Nothing was changed. Reload to see where it stands."),
    "return:settled": _("Nothing is left to be returned for it. Nothing was changed."),
}
"""Instead of the state's name, by "move:state", move or state: what is in the way where that is no state of its own."""


NOT_ALLOWED: Mapping[str, str] = {
    "book_without_organisation": _(
        "Your account belongs to no firm, so nobody could be billed. Nothing was booked. Ask your firm to invite you."
    ),
    "book_for_organisation": _(
        "Your account does not belong to that firm. Nothing was booked. Choose one of your own, or ask that one to invite you."
    ),
    "move_together": _("Some of what was booked together is not yours to move. Nothing was moved. Move this one alone."),
    "state_use": _(
        "Only the institution that keeps the equipment and the customer of a booking can state its use. Nothing was stated."
    ),
    "sign_for_both_sides": _(
        "You made this statement, so another person must answer it for the other side. Nothing was changed. You can withdraw it."
    ),
    "answer_statement_of_use": _("Only the other side can answer this statement. Nothing was changed."),
    "withdraw_statement_of_use": _("Only the side that made this statement can withdraw it. Nothing was changed."),
}
"""By what was asked for, where not a role is missing."""


READ_AS: Mapping[str, str] = {
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": "a whole number is needed",
    "int_parsing": "a whole number is needed",
    "int_type": "a whole number is needed",
    "less_than_equal": "must be at most {le}",
    "missing": "is missing",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
}
"""What pydantic found, in the words of web.reasons; anything else in its own."""
BOUNDS = ("ge", "le", "max_length", "min_length")


def malformed(errors: Sequence[Any], *, within: int = 0) -> Malformed:
    """What pydantic found, a reason for each field; the first `within` steps to a field are left out of its name."""
    found = []
    for error in errors[:MOST_REASONS]:
        name = ".".join(str(part) for part in error["loc"][within:]) or str((*error["loc"], "row")[0])
        said = READ_AS.get(error["type"]) or str(error["msg"]).removeprefix("Value error, ")
        bounds = {bound: error.get("ctx", {})[bound] for bound in BOUNDS if bound in error.get("ctx", {})}
        found.append(Reason("field", {"field": name[:200], "reason": said[:200], **bounds}))
    return Malformed(found)


def read_json_as(kind: type[_Shape], content: bytes, content_type: str) -> _Shape:
    """A request's body as the framework would read it. Raises: Malformed, naming each field that is wrong."""
    sent = content_type.partition(";")[0].strip().lower()
    try:
        values = orjson.loads(content) if sent == "application/json" or sent.endswith("+json") else None
        return kind.model_validate(values)
    except orjson.JSONDecodeError as error:
        raise Malformed([Reason("field", {"field": "body", "reason": f"JSON decode error: {error}"[:200]})]) from error
    except ValidationError as error:
        found = [{**one, "loc": ("body", *one["loc"])} for one in error.errors()]
        raise malformed(found, within=1) from error


def status_of(refusal: Refusal) -> int:
    for kind in type(refusal).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return 409


def words(code: str, values: Mapping[str, Any], translate: Translate) -> str:
    """The sentence for `code` with its values; the code itself where no sentence was written."""
    sentence = SENTENCES.get(code)
    if code == "wrong_state":
        state, move = str(values["state"]), str(values["move"])
        found = (WRONG_STATE.get(key) for key in (f"{move}:{state}", move, state))
        sentence = next((one for one in found if one), sentence)
        values = {"named": state.replace("_", " "), **values}
    if code == refusals.NotFound.code and "field" in values:
        sentence = SENTENCES["not_found_field"]
    if code == refusals.NotAllowed.code:
        sentence = NOT_ALLOWED.get(str(values.get("action")), sentence)
    if "reason" in values:
        said = translate(ELSEWHERE[values["reason"]]) if code == Unreadable.code else str(values["reason"])
        values = {**values, "reason": fill(said, values)}
    return translate(sentence).format_map(_Values(values)) if sentence else code.replace("_", " ")


def fill(reason: str, values: Mapping[str, Any]) -> str:
    """The values in the places that `reason` names; other brackets stay, as a reason may quote what was sent.

    >>> fill('must have 1 to {longest} of {"rate"}', {"longest": 200})
    'must have 1 to 200 of {"rate"}'
    """
    for name, value in values.items():
        reason = reason.replace(f"{{{name}}}", str(value))
    return reason


class _Values(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "–"


def title(code: str, translate: Translate) -> str:
    return translate(TITLES.get(code, TITLES["refused_by_rules"]))


def problem(refusal: Refusal, translate: Translate = _) -> dict[str, Any]:
    """The `application/problem+json` body: code, sentence, every reason, conflicts and alternatives."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": title(refusal.code, translate),
        "status": status_of(refusal),
        "code": refusal.code,
        "detail": words(refusal.code, refusal.values, translate),
        "reasons": [reason_of(reason, translate) for reason in _reasons(refusal)],
    }
    if isinstance(refusal, Refused):
        body["conflicts"] = [span(slot) for slot in refusal.conflicts]
        body["alternatives"] = [span(slot) for slot in refusal.alternatives]
    return body


def _reasons(refusal: Refusal) -> list[Reason]:
    if isinstance(refusal, Refused):
        return list(refusal.reasons)
    return [Reason(refusal.code, refusal.values)]


def reason_of(reason: Reason, translate: Translate) -> dict[str, Any]:
    values = {name: value for name, value in reason.values.items() if name not in {"code", "detail"}}
    if "reason" in values:
        values["reason"] = fill(str(values["reason"]), values)
    found = {"code": reason.code, "detail": words(reason.code, reason.values, translate), **values}
    return {**found, "override_by": list(reason.override_by)} if reason.override_by else found


def span(slot: Slot) -> dict[str, str]:
    return {"start": slot.start.isoformat(), "end": slot.end.isoformat()}
