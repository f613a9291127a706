"""Why a message was turned away and what to do about it, in words."""

from web.i18n import translator
from web.labels import word
from web.views.frame import Lang


def reason_in_words(code: str, lang: Lang) -> str:
    """The code itself, spaced, where nothing was written for it."""
    _ = translator(lang)
    said = {
        "too_large": _("The message is too large"),
        "bad_topic": _("The topic belongs to no channel of this device"),
        "not_json": _("The text is not valid JSON"),
        "too_deep": _("The message is nested too deeply"),
        "bad_shape": _("The message has another shape than its family"),
        "bad_number": _("A value is missing or out of range"),
        "bad_time": _("The time of the measurement cannot be read"),
        "unknown_device": _("No device has this key"),
        "unknown_alias": _("Names what its birth has not introduced; it was asked for a new birth"),
        "unknown_family": _("The family of messages is not known"),
        "foreign_topic": _("Sent below the name of another device"),
        "wrong_login": _("Name or secret is wrong"),
        "taken_over": _("Put out by another client with the same key"),
        "unstorable": _("It could not be stored; the log of the worker says why"),
        "bad_expression": _("What its mapping looks for cannot be worked out from it"),
        "rate": _("More messages than one device may send"),
    }
    return said.get(code) or word(_, "rejection", code)


def remedy_in_words(code: str, lang: Lang) -> str:
    """What mends it."""
    _ = translator(lang)
    other_kind = _("Check the kind of equipment that was chosen. Its page shows each message with how it is read.")
    said = {
        "bad_topic": _("Set the topic exactly as step 2 shows it."),
        "foreign_topic": _("Set the topic exactly as step 2 shows it: a meter may send below its own key only."),
        "wrong_login": _("Type key and secret again, or make a new secret."),
        "unknown_device": _("It was disabled, or its key was mistyped. Make a new secret and type both in again."),
        "taken_over": _("Another client uses this key. Set the client id to the key, and use it in one device only."),
        "too_large": _("Send power and energy alone: a message has at most 16 KiB."),
        "unknown_alias": _("It is asked for a birth by itself. Wait a minute."),
        "unstorable": _("Tell the platform's operator."),
        "bad_expression": _("Change the mapping; it can be tried on the last messages first."),
        "unknown_family": _("Save anew how its messages are read; what is not accepted any more is said there."),
        "rate": _("Make its reports less frequent: every ten seconds is plenty. A device that is out of control is restarted."),
        "bad_time": _("Have the meter set its clock by NTP."),
    }
    return said.get(code, other_kind)
