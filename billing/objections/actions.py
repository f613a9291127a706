"""Writes of objections: a firm disagrees, with the whole or with lines; the institution answers with a further version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from billing import policy as policies
from billing import queries
from billing.actions import bill_of, next_version, note
from billing.objections.queries import objections_to
from billing.objections.tables import Objection
from billing.pricing import USED, Line, LineCode
from billing.programmes import actions as programmes
from billing.simulation import line_json, with_tax
from billing.tables import Statement, StatementState
from billing.telling import tell, tell_disputed
from booking.queries import get_booking
from devices.tables import ConfirmedUse
from marketplace.money import Money, zero
from marketplace.refusals import Invalid, WrongState

TAXED = frozenset({LineCode.USAGE, LineCode.SETUP, LineCode.CLEANUP, LineCode.OVERTIME, LineCode.UNUSED})
LONGEST = 1000
"""Characters of a reason or an answer."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a line is wrong; lines count from 0."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a line that was objected to comes to after all, and what the institution says to it."""

    line: int
    amount: Money
    words: str = ""


def dispute_statement(
    session: Session, *, statement_id: str, reason: str, doubts: Sequence[Doubt] = (), actor_id: str, now: datetime
) -> Statement:
    """The firm disagrees with the whole or with some lines, and says why; nothing is taken until it is resolved.

    Raises: NotFound, WrongState, Invalid.
    """
    statement = queries.lock_statement(session, statement_id)
    if statement.state is not StatementState.OPEN or statement.due_at <= now:
        raise WrongState(state=statement.state.value, move="dispute")
    if not (reason.strip() or doubts) or len(reason) > LONGEST:
        raise Invalid(field="reason", reason="say in at most 1000 characters what is wrong")
    for number, one in enumerate(doubts):
        _check(statement, number, one.line, [other.line for other in doubts[:number]])
        if not one.reason.strip() or len(one.reason) > LONGEST:
            raise Invalid(field=f"lines.{number}.reason", reason="say in at most 1000 characters what is wrong")
    statement.state, statement.dispute_reason, statement.disputed_at = StatementState.DISPUTED, reason.strip() or None, now
    session.add_all(Objection(statement_id=statement.id, line=one.line, reason=one.reason.strip()) for one in doubts)
    session.flush()
    note(session, statement, "dispute_statement", actor_id, now)
    tell_disputed(session, get_booking(session, statement.booking_id), statement, now)
    return statement


def _check(statement: Statement, number: int, line: int, earlier: Sequence[int]) -> None:
    """A tax follows from the lines that it is of."""
    named = 0 <= line < len(statement.lines) and line not in earlier and statement.lines[line]["code"] != LineCode.TAX.value
    if not named or left_of(statement.lines, line).minor <= 0:
        raise Invalid(field=f"lines.{number}.line", reason="names no line that asks for money, or one that was named before")


def resolve_dispute(session: Session, *, statement_id: str, charge: Money, actor_id: str, now: datetime) -> Statement:
    """The institution sets the amount, as drafted or less, in a new version.

    Raises: NotFound, WrongState, Invalid.
    """
    statement = _lock_disputed(session, statement_id)
    reduced = charge - _charge(statement) if charge.currency == statement.currency else charge
    less = [line_json(Line(LineCode.CORRECTION, reduced))] if reduced else []
    return _resolve(session, statement, charge, less, actor_id, now)


def answer_objections(
    session: Session, *, statement_id: str, answers: Sequence[Answer], actor_id: str, now: datetime
) -> Statement:
    """The institution answers each line that was objected to, as drafted or less; the new version has a correcting line for each
    that it makes cheaper. Raises: NotFound, WrongState, Invalid (a line is missing, or was not objected to)."""
    statement = _lock_disputed(session, statement_id)
    objected = {one.line: one for one in objections_to(session, statement_id)}
    if sorted(one.line for one in answers) != sorted(objected) or not objected:
        raise Invalid(field="lines", reason="must answer each line that was objected to, once")
    tax, less = policies.parse(queries.quote_of_booking(session, statement.booking_id).policy).tax, list[dict[str, Any]]()
    struck = used = zero(statement.currency)
    for number, one in enumerate(answers):
        reduced = one.amount - _checked(statement, number, one)
        row = objected[one.line]
        row.amount_minor, row.answer = one.amount.minor, one.words.strip() or None
        row.answered_by, row.answered_at = actor_id, now
        less += _correcting(reduced, one.line)
        struck += reduced
        used += reduced if statement.lines[one.line]["code"] in USED else zero(statement.currency)
    for line in _added_tax(statement.lines):
        reduced = tax.on(_net(statement.lines) + struck) - left_of(statement.lines, line)
        less += _correcting(reduced, line)
        struck += reduced
    return _resolve(session, statement, _charge(statement) + struck, less, actor_id, now, used=used)


def _correcting(reduced: Money, line: int) -> list[dict[str, Any]]:
    return [{**line_json(Line(LineCode.CORRECTION, reduced)), "of_line": line}] if reduced else []


def left_of(lines: Sequence[Mapping[str, Any]], line: int) -> Money:
    """What a line comes to after the answers that it had."""
    return sum((_amount(one) for one in lines if one.get("of_line") == line), _amount(lines[line]))


def _added_tax(lines: Sequence[Mapping[str, Any]]) -> list[int]:
    """The line of a tax that comes on top, if there is one."""
    return [place for place, one in enumerate(lines) if one["code"] == LineCode.TAX.value and _amount(one)]


def _net(lines: Sequence[Mapping[str, Any]]) -> Money:
    """Of what was used, what an added tax is on."""
    places = (place for place, one in enumerate(lines) if one["code"] in TAXED)
    return sum((left_of(lines, place) for place in places), zero(lines[0]["amount"]["currency"]))


def _checked(statement: Statement, number: int, one: Answer) -> Money:
    """What is left of the line that it answers. Raises: Invalid."""
    left = left_of(statement.lines, one.line)
    if one.amount.currency != left.currency or not 0 <= one.amount.minor <= left.minor:
        raise Invalid(field=f"lines.{number}.amount", reason="must lie between nothing and the drafted amount")
    if len(one.words) > LONGEST:
        raise Invalid(field=f"lines.{number}.answer", reason="must have at most {max_length} characters", max_length=LONGEST)
    return left


def _lock_disputed(session: Session, statement_id: str) -> Statement:
    statement = queries.lock_statement(session, statement_id)
    if statement.state is not StatementState.DISPUTED:
        raise WrongState(state=statement.state.value, move="resolve")
    return statement


def _charge(statement: Statement) -> Money:
    return Money(statement.charge_minor, statement.currency)


def _amount(line: Mapping[str, Any]) -> Money:
    return Money(line["amount"]["minor"], line["amount"]["currency"])


def _resolve(
    session: Session,
    statement: Statement,
    charge: Money,
    less: Sequence[dict[str, Any]],
    actor_id: str,
    now: datetime,
    *,
    used: Money | None = None,
) -> Statement:
    """Write the next version at `charge`, with the correcting lines `less`, of which `used` is of confirmed use.

    It asks for no more than was drafted, and gives no more back than all accepted versions charged.
    """
    booking, quote = get_booking(session, statement.booking_id), queries.quote_of_booking(session, statement.booking_id)
    before, taken = (Money(minor, quote.currency) for minor in queries.accepted_sums(session, booking.id))
    if charge.currency != statement.currency or not -before.minor <= charge.minor <= statement.charge_minor:
        raise Invalid(field="charge", reason="must lie between nothing and the drafted amount")
    terms = policies.parse(quote.policy)
    bill, use = bill_of(quote, terms, before + charge), session.get(ConfirmedUse, statement.use_id) if statement.use_id else None
    bases = programmes.bases_of_version(session, statement)
    if used:
        bases = replace(bases, usage=bases.usage + (used if terms.tax.on(used) else used - terms.tax.within(used)))
    bases = bases.at_most(bill.charge - bill.tax)
    paid = programmes.work_out(session, booking=booking, use=use, bill=bill, bases=bases)
    resolved = next_version(statement, charge, bill.fee - taken, now + timedelta(hours=terms.dispute_hours), now)
    resolved.tax_minor = bill.tax.minor - queries.accepted_tax(session, booking.id)
    resolved.programme_minor, resolved.conditional_minor = paid.deducted.minor, paid.waiting.minor
    kept = [line for line in statement.lines if line["code"] != LineCode.PROGRAMME.value]
    resolved.lines = [*with_tax([*kept, *less], bill.tax), *paid.lines]
    statement.state = StatementState.SUPERSEDED
    session.add(resolved)
    session.flush()
    programmes.store(session, statement=resolved, paid=paid)
    note(session, resolved, "resolve_dispute", actor_id, now)
    tell(session, booking, resolved, "statement_ready", now)
    return resolved
