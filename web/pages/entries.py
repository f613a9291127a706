"""Values that only a person can give: an evaluator enters them, the institution sees them."""

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

from fastapi import APIRouter, Response

from evaluation import actions
from evaluation.schemes import DEFAULT, load_scheme
from evaluation.scoring import Scheme
from marketplace.people import queries as people
from marketplace.people.text import clean
from marketplace.permissions import Action, require
from marketplace.refusals import Invalid
from web.deps import Db, Now, ReadDb, SignedIn
from web.i18n import translator
from web.pages.drawing import Drawing, Fields, text, typed
from web.pages.evaluation import require_institution
from web.present import entries, evaluation
from web.views.frame import Area, FieldError, Form, Lang

router = APIRouter(prefix="/{lang}/evaluation/institutions/{institution_id}/entries")
NUMBER = re.compile(r"\d{1,7}(\.\d{1,2})?")
LONGEST = 1000


@dataclass(frozen=True, slots=True)
class Wish:
    """A value as it was given."""

    indicator: str
    value: Fraction
    evidence: str
    note: str


@router.get("")
def page(
    pen: Drawing, institution_id: str, db: ReadDb, actor: SignedIn, now: Now, period: str = "", indicator: str = ""
) -> Response:
    people.get_institution(db, institution_id)
    require_institution(actor, institution_id)
    name = period[:40] or evaluation.this_month(now)
    view = entries.entries(db, institution_id, name, actor, lang=pen.lang, now=now, chosen=indicator)
    return pen.page("entries.html", view, area=Area.EVALUATION, zone=view.zone)


@router.post("")
def enter(pen: Drawing, institution_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    people.get_institution(db, institution_id)
    require_institution(actor, institution_id)
    require(actor, Action.PUBLISH_EVALUATION)
    period = text(fields, "period")[:40]
    wish = read_wish(fields, load_scheme(DEFAULT), pen.lang)
    if not isinstance(wish, Wish):
        form = Form(typed(fields), wish)
        view = entries.entries(db, institution_id, period, actor, lang=pen.lang, now=now, form=form)
        return pen.page("entries.html", view, status=422, area=Area.EVALUATION, zone=view.zone)
    actions.enter_manual(
        db,
        institution_id=institution_id,
        period=period,
        indicator=wish.indicator,
        value=wish.value,
        note=wish.note,
        evidence=wish.evidence,
        actor_id=actor.known_id,
        now=now,
    )
    return pen.go(f"/evaluation/institutions/{institution_id}/entries?period={period}", "entered")


def read_wish(fields: Fields, scheme: Scheme, lang: Lang) -> Wish | list[FieldError]:
    """What was given, or what is wrong with each field."""
    _ = translator(lang)
    errors = []
    code = text(fields, "indicator")
    known = code in entries.enterable(scheme)
    if not known:
        errors.append(FieldError("indicator", _("Choose what the value is for.")))
    value = read_value(text(fields, "value"))
    if value is None or (known and not allowed(scheme, code, value)):
        wanted = entries.range_in_words(scheme, code, lang) if known else _("a number from 0")
        errors.append(FieldError("value", _("Write {range}, with two decimals at most.").format(range=wanted)))
    evidence = one_line(text(fields, "evidence"))
    if not evidence:
        errors.append(FieldError("evidence", _("Name the document that shows it, in at most 1,000 characters.")))
    note = one_line(text(fields, "note")) if text(fields, "note") else ""
    if note is None:
        errors.append(FieldError("note", _("Shorten it to 1,000 characters.")))
    if errors or value is None or evidence is None or note is None:
        return errors
    return Wish(code, value, evidence, note)


def read_value(typed_text: str) -> Fraction | None:
    """A number from 0 with at most two decimals, plain or full-width digits; None for anything else.

    >>> read_value("4.5"), read_value("４"), read_value("-1"), read_value("1/3")
    (Fraction(9, 2), Fraction(4, 1), None, None)
    """
    plain = unicodedata.normalize("NFKC", typed_text).strip()
    return Fraction(plain) if plain.isascii() and NUMBER.fullmatch(plain) else None


def allowed(scheme: Scheme, code: str, value: Fraction) -> bool:
    """Whether the value lies in the range of its indicator; a finding is 0 or 1."""
    highest = entries.most(scheme, code)
    if code in entries.FINDINGS and value.denominator != 1:
        return False
    return highest is None or value <= highest


def one_line(said: str) -> str | None:
    """Without line breaks; None where it is empty or too long."""
    try:
        return clean(" ".join(said.split()), field="evidence", longest=LONGEST)
    except Invalid:
        return None
