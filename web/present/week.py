"""Opening hours in the listing's editor: the week as fields, the choices above it, what is wrong in words."""

from collections.abc import Mapping, Sequence

from web.i18n import Formats, translator
from web.labels import word
from web.present import opening
from web.present.opening import Span, WrongHours
from web.views.desk import DayHours
from web.views.frame import Choice, FieldError, Lang

PRESETS = ("workdays", "daily", "always")


def days(typed: Mapping[str, str]) -> list[DayHours]:
    """Seven rows of fields, a free pair at the end of each."""
    return [DayHours(day, range(1, count + 1)) for day, count in enumerate(opening.pairs(typed))]


def choices(present: Sequence[Span], lang: Lang) -> list[Choice]:
    """The week below, or a preset in its place."""
    _ = translator(lang)
    shown = opening.shown_choice(present)
    named = [(opening.OWN, _("As in the week below")), *((code, word(_, "hours", code)) for code in PRESETS)]
    return [Choice(code, label, code == shown) for code, label in named]


def errors(refusal: WrongHours, lang: Lang) -> list[FieldError]:
    """Each fault beside its field, with its day and the remedy."""
    _ = translator(lang)
    said = {
        "not_a_clock": _("This is no time of day. Write it as 08:30; 24:00 ends the day."),
        "half": _("The other end of this interval is missing. Fill it in, or empty both."),
        "backwards": _("It closes before it opens. Over midnight, end this day at 24:00 and open the next at 00:00."),
        "overlaps": _("This interval overlaps another one of the day. Move it, or join the two."),
        "no_day": _("No day is open. Fill in one at least, choose “Day and night”, or pause the listing."),
        "both": _("You chose a preset and changed the week as well. Choose “As in the week below”, or leave the week alone."),
    }
    spoken, one = Formats(lang), _("{day}: {fault}")
    days = [(fault, opening.weekday_of(fault.field)) for fault in refusal.faults]
    return [
        FieldError(fault.field, said[fault.code] if day is None else one.format(day=spoken.weekday(day), fault=said[fault.code]))
        for fault, day in days
    ]
