"""The lines of a statement, with what the firm objects to in them and what the institution has answered."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy.orm import Session

from billing.objections.actions import left_of
from billing.objections.queries import answered_before, objections_to
from billing.tables import Statement
from marketplace.money import Money
from web.views.frame import Lang
from web.views.statement import StatementLine


def lines_of(session: Session, made: Statement, price: Money, lang: Lang) -> list[StatementLine]:
    """In order; `price` is that of an hour where a line has none of its own."""
    doubts = {one.line: one.reason for one in objections_to(session, made.id)}
    answers = {one.line: one.answer for one in answered_before(session, made)}
    last = {line["of_line"]: place for place, line in enumerate(made.lines) if "of_line" in line}
    found = []
    for place, line in enumerate(made.lines):
        of_line = line.get("of_line")
        about = place if of_line is None else of_line
        shown = replace(_line(line, price, lang), place=place, left=left_of(made.lines, place), objection=doubts.get(place))
        shown = replace(shown, of_code=None if of_line is None else made.lines[of_line]["code"])
        found.append(replace(shown, answer=answers.get(about) if last.get(about, place) == place else None))
    return found


def _line(line: Mapping[str, Any], price: Money, lang: Lang) -> StatementLine:
    count, amount = line.get("minutes"), Money(line["amount"]["minor"], line["amount"]["currency"])
    if "tax" in line and not amount:
        return StatementLine("tax_included", Money(line["tax"]["minor"], line["tax"]["currency"]))
    hour = Money(**line["price_per_hour"]) if "price_per_hour" in line else price
    rate = hour if count and line["code"] != "resold" else None
    name = (line.get("name_en") if lang is Lang.EN else None) or line.get("name", "")
    return StatementLine(line["code"], amount, int(count) if count is not None else None, rate, name=name)
