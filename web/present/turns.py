"""The question which of two times is meant, where the clocks are put back over what was typed."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from web.i18n import translator
from web.views.frame import Choice, FieldError, Form, Lang, Turn
from web.wall import comes_twice, find_moment, is_skipped, moments, turn_of

ENDS = ("start", "end")


def asking(form: Form, zone: str, lang: Lang, names: Sequence[str] = ENDS) -> Form:
    """The form with a choice beside its start and its end where that time comes twice on the wall clock of `zone`."""
    found = (_turn(name, form, ZoneInfo(zone), lang) for name in names)
    return replace(form, turns=tuple(turn for turn in found if turn))


def errors_of(form: Form, zone: str, lang: Lang, names: Sequence[str] = ENDS) -> list[FieldError]:
    """What is wrong with its start and its end, or the fields of those names, each in words."""
    _, clock = translator(lang), ZoneInfo(zone)
    errors = []
    for name in names:
        if comes_twice(form.values, name, clock):
            errors.append(FieldError(name, _("The clocks are put back, so this time comes twice. Say below which is meant.")))
        elif is_skipped(form.values.get(name, "").strip(), clock):
            errors.append(FieldError(name, _("The clocks are put forward over this time, so it never comes. Choose another.")))
        elif find_moment(form.values, name, clock) is None:
            errors.append(FieldError(name, _("This is no date and time of this place. Choose both the day and the hour.")))
    start, end = (find_moment(form.values, name, clock) for name in ENDS)
    if start and end and end <= start:
        errors.append(FieldError("end", _("It ends before it begins. Choose a later end.")))
    return errors


def of_instants(edges: Sequence[tuple[str, datetime]], zone: str) -> dict[str, str]:
    """The fields that say these instants on the wall clock of `zone`, with which is meant where it comes twice."""
    clock, found = ZoneInfo(zone), dict[str, str]()
    for name, at in edges:
        typed = f"{at.astimezone(clock):%Y-%m-%dT%H:%M}"
        found[name] = typed
        if same := [one for one in moments(typed, clock) if one <= at]:
            found[turn_of(name)] = same[-1].isoformat()
    return found


def _turn(name: str, form: Form, zone: ZoneInfo, lang: Lang) -> Turn | None:
    _, found = translator(lang), moments(form.values.get(name, "").strip(), zone)
    if len(found) < 2:
        return None
    labels = (_("the first time, before the clocks are put back"), _("the second time, after the clocks were put back"))
    clocks = [f"{at.astimezone(zone):UTC%z}" for at in found]
    choices = [Choice(at.isoformat(), f"{label} ({clock})") for at, label, clock in zip(found, labels, clocks, strict=True)]
    label = _("Which start is meant") if name.endswith("start") else _("Which end is meant")
    return Turn(turn_of(name), label, choices)
