"""Values entered by hand for an evaluation: what may be entered, what counts, what counted before."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction

from sqlalchemy.orm import Session

from evaluation import queries
from evaluation.periods import period_slot
from evaluation.schemes import DEFAULT, load_scheme
from evaluation.scoring import Indicator, Scheme
from evaluation.tables import ManualEntry
from marketplace.people import queries as people
from marketplace.permissions import Action, Actor, may
from web.i18n import translator
from web.present import evaluation, names
from web.views.entries import Entered, EntriesView, EntryRow
from web.views.frame import EMPTY_FORM, Choice, Form, Lang

FINDINGS = ("falsification", "serious_accident")
"""Established or not: 1 or 0."""

COUNTS = ("units_should_open", "units_open", "staff_fte")
INPUTS = (*COUNTS, *FINDINGS)


def enterable(scheme: Scheme) -> tuple[str, ...]:
    """What the form offers: indicators that a person judges, then numbers that no fact can tell.

    >>> enterable(load_scheme(DEFAULT))[:4]
    ('A1', 'B4', 'C7', 'units_should_open')
    """
    return (*(one.code for one in scheme.indicators if one.entered), *INPUTS)


def most(scheme: Scheme, code: str) -> Fraction | None:
    """The highest value that `code` may have; None where only the lowest is known."""
    if code in FINDINGS:
        return Fraction(1)
    return next((one.weight for one in scheme.indicators if one.code == code and one.entered), None)


def entries(
    session: Session,
    institution_id: str,
    period: str,
    actor: Actor,
    *,
    lang: Lang,
    now: datetime,
    chosen: str = "",
    form: Form = EMPTY_FORM,
) -> EntriesView:
    """Raises: NotFound, Invalid (no such period)."""
    house = people.get_institution(session, institution_id)
    scheme = load_scheme(DEFAULT)
    within = period_slot(scheme, period)
    made = queries.manual_entries(session, period=period, scheme=DEFAULT, institution_ids=[institution_id])
    who = people.names_of(session, {row.entered_by for row in made})
    revisions = queries.revisions_of(session, institution_id, period=period, scheme=DEFAULT)
    named = titles(scheme, lang)
    codes = [*enterable(scheme), *sorted({row.indicator for row in made} - set(enterable(scheme)))]
    of_code = {code: [row for row in made if row.indicator == code] for code in codes}
    may_enter = may(actor, Action.PUBLISH_EVALUATION)
    return EntriesView(
        institution_id=house.id,
        institution=names.name_of(house, lang),
        scheme_title=scheme.title_en if lang is Lang.EN else scheme.title_zh,
        period=period,
        periods=evaluation.periods(now, period),
        zone=scheme.zone.key,
        rows=[_row(code, named.get(code, code), found, who, scheme, lang) for code, found in of_code.items()],
        choices=[Choice(code, named[code], code == chosen) for code in enterable(scheme)],
        published=revisions[-1].number if revisions else None,
        newer=bool(revisions) and any(row.entered_at > revisions[-1].cut_off for row in made),
        can_enter=may_enter,
        can_freeze=may_enter and within.end <= now,
        form=form,
    )


def titles(scheme: Scheme, lang: Lang) -> dict[str, str]:
    """Every code that an entry may have, named."""
    _ = translator(lang)
    found = {one.code: f"{one.code} {one.name_en if lang is Lang.EN else one.name_zh}" for one in scheme.indicators}
    return found | {
        "units_should_open": _("Units that ought to be open"),
        "units_open": _("Units that are open"),
        "staff_fte": _("Technical staff, full-time equivalents"),
        "falsification": _("Falsified data established"),
        "serious_accident": _("Serious accident established"),
    }


def _row(code: str, name: str, made: Sequence[ManualEntry], who: Mapping[str, str], scheme: Scheme, lang: Lang) -> EntryRow:
    newest_first = [_entered(row, who) for row in reversed(made)]
    indicator = next((one for one in scheme.indicators if one.code == code), None)
    return EntryRow(
        code=code,
        name=name,
        range=range_in_words(scheme, code, lang),
        wanted=_wanted(indicator, lang),
        present=newest_first[0] if newest_first else None,
        earlier=newest_first[1:],
    )


def _entered(row: ManualEntry, who: Mapping[str, str]) -> Entered:
    return Entered(f"{float(Fraction(row.value)):g}", row.note, row.evidence, who.get(row.entered_by, "–"), row.entered_at)


def range_in_words(scheme: Scheme, code: str, lang: Lang) -> str:
    """What a value of `code` may be."""
    _ = translator(lang)
    if code in FINDINGS:
        return _("1 if established, 0 if not")
    highest = most(scheme, code)
    if highest is None:
        return _("a number from 0")
    return _("0 to {most} points").format(most=f"{float(highest):g}")


def _wanted(indicator: Indicator | None, lang: Lang) -> list[str]:
    _ = translator(lang)
    said = {
        "management rules": _("management rules"),
        "annual report": _("annual report"),
        "staff list": _("staff list"),
        "task list": _("task list"),
        "results": _("results"),
        "equipment list": _("equipment list"),
    }
    return [said.get(one, one) for one in indicator.evidence_required] if indicator else []
