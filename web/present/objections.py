"""The lines of a statement, with what the firm objects to in them and what the institution has answered."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.orm import Session

from billing.objections.queries import answered_before, objections_to
from billing.tables import Statement
from marketplace.money import Money
from web.views.frame import Lang
from web.views.statement import StatementLine


def lines_of(session: Session, made: Statement, price: Money, lang: Lang) -> list[StatementLine]:
    """In order; `price` is that of an hour where a line has none of its own."""
    doubts = {one.line: one.reason for one in objections_to(session, made.id)}
    answers = {one.line: one.answer for one in answered_before(session, made)}
    found = []
    for place, line in enumerate(made.lines):
        of_line = line.get("of_line")
        code = made.lines[of_line]["code"] if of_line is not None else None
        shown = replace(_line(line, price, lang), place=place, objection=doubts.get(place), of_code=code)
        found.append(replace(shown, answer=answers.get(place if of_line is None else of_line)))
    return _once(found)


def _once(lines: Sequence[StatementLine]) -> list[StatementLine]:
    """An answer stands beside the correction that it explains; beside its line where nothing was corrected."""
    corrected = {one.answer for one in lines if one.of_code}
    return [replace(one, answer=None) if one.answer in corrected and not one.of_code else one for one in lines]


def _line(line: Mapping[str, Any], price: Money, lang: Lang) -> StatementLine:
    count, amount = line.get("minutes"), Money(line["amount"]["minor"], line["amount"]["currency"])
    if "tax" in line and not amount:
        return StatementLine("tax_included", Money(line["tax"]["minor"], line["tax"]["currency"]))
    hour = Money(**line["price_per_hour"]) if "price_per_hour" in line else price
    rate = hour if count and line["code"] != "resold" else None
    name = (line.get("name_en") if lang is Lang.EN else None) or line.get("name", "")
    return StatementLine(line["code"], amount, int(count) if count is not None else None, rate, name=name)
