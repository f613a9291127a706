"""Writes of claims: handed in, paid, rejected, passed on."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy.orm import Session

from billing import actions as bills
from billing import ledger
from billing import queries as stored
from billing.claims import queries
from billing.claims.queries import Claimed
from billing.claims.tables import ClaimLine, ClaimState, PassedOn, ProgrammeClaim
from billing.journal.actions import post
from billing.programmes import actions as programmes
from billing.programmes import queries as funded
from billing.programmes.choosing import Mode
from billing.programmes.tables import FundingProgramme, ShareState
from billing.recount import of_share
from billing.settlement import Funding
from billing.telling import tell_not_funded
from booking.queries import get_booking
from marketplace import audit
from marketplace.db import refused_by
from marketplace.ids import new_id
from marketplace.money import Money
from marketplace.refusals import Invalid, NotFound, Refusal, WrongState


class SerialTaken(Refusal):
    """This bank serial was entered already. `serial` is it."""

    code = "received_before"


def claim(
    session: Session, *, programme_id: str, since: datetime, until: datetime, actor_id: str, now: datetime
) -> ProgrammeClaim:
    """Hand in what statements accepted in `[since, until)` have the programme pay and no other claim asks for.

    Raises: NotFound, WrongState (nothing is to be claimed), Invalid.
    """
    programme = funded.lock_programme(session, programme_id)
    if not since < until <= now:
        raise Invalid(field="to", reason="must be after the beginning and not in the future")
    shares = queries.claimable(session, programme_id, since, until)
    asked = sum(share.amount_minor for share in shares)
    if asked <= 0:
        raise WrongState(state="nothing_owed", move="claim")
    row = ProgrammeClaim(
        id=new_id("clm"),
        programme_id=programme_id,
        number=queries.last_number(session, programme_id) + 1,
        period_from=since,
        period_to=until,
        state=ClaimState.SUBMITTED,
        currency=programme.currency,
        amount_minor=asked,
        paid_minor=0,
        created_by=actor_id,
        created_at=now,
    )
    session.add(row)
    session.flush()
    for share in shares:
        share.state = ShareState.CLAIMED
        session.add(ClaimLine(share_id=share.id, claim_id=row.id))
    session.flush()
    _note(session, row, "submit_claim", actor_id, now)
    return row


def pay(
    session: Session, *, programme_id: str, claim_id: str, serial: str, received_on: date, actor_id: str, now: datetime
) -> ProgrammeClaim:
    """The programme has paid what is left of the claim, by the serial of its transfer.

    Raises: NotFound, WrongState, Invalid, SerialTaken.
    """
    row, programme = _open_claim(session, programme_id, claim_id, "pay_claim")
    number = _checked(serial)
    if not 2000 <= received_on.year <= 2200:
        raise Invalid(field="received_on", reason="not a date")
    with refused_by("serial", SerialTaken(serial=number)), session.begin_nested():
        row.serial, row.received_on = number, received_on
        session.flush()
    paid = 0
    for one in queries.lines_of(session, claim_id):
        if one.share.state is not ShareState.CLAIMED:
            continue
        one.share.state = ShareState.PAID
        paid += one.share.amount_minor
        if programme.mode is Mode.DEDUCT:
            booking = get_booking(session, one.share.booking_id)
            for entry in of_share(one.share, one.statement):
                post(session, entry, source_type="programme_share", source_id=one.share.id, booking=booking, now=now)
    row.paid_minor = paid  # at once: a share alone may be more than is asked for, or less than nothing
    row.state, row.decided_by, row.decided_at = ClaimState.PAID, actor_id, now
    session.flush()
    _note(session, row, "pay_claim", actor_id, now)
    return row


def reject(
    session: Session,
    *,
    programme_id: str,
    claim_id: str,
    reason: str,
    actor_id: str,
    now: datetime,
    booking_ids: Collection[str] = (),
) -> ProgrammeClaim:
    """The programme does not pay for these bookings, or for none of the claim: their firms do, and have their grants back.

    What earlier claims were paid too much stays to be set off by the next one; where no more than that is left, nothing is to
    be paid and the claim is closed.
    Raises: NotFound, WrongState (a bill waits for its firm's answer), Invalid.
    """
    row, programme = _open_claim(session, programme_id, claim_id, "reject_claim")
    if not 1 <= len(reason.strip()) <= 1000:
        raise Invalid(field="reason", reason="say in at most 1000 characters what is wrong")
    open_lines = [one for one in queries.lines_of(session, claim_id) if one.share.state is ShareState.CLAIMED]
    groups = _by_booking(open_lines)
    if unknown := set(booking_ids) - groups.keys():
        raise NotFound(kind="booking", ids=sorted(unknown))
    for booking_id in sorted(booking_ids or groups):
        _reject(session, programme, groups[booking_id], reason.strip(), now)
    rest = [one for one in open_lines if one.share.state is ShareState.CLAIMED]
    if sum(one.share.amount_minor for one in rest) <= 0:
        _put_back(session, rest)
        row.state, row.decided_by, row.decided_at = ClaimState.REJECTED, actor_id, now
    session.flush()
    _note(session, row, "reject_claim", actor_id, now)
    return row


def _by_booking(lines: Sequence[Claimed]) -> dict[str, list[Claimed]]:
    found: dict[str, list[Claimed]] = {}
    for one in lines:
        found.setdefault(one.share.booking_id, []).append(one)
    return found


def _reject(session: Session, programme: FundingProgramme, lines: Sequence[Claimed], reason: str, now: datetime) -> None:
    amount, waiting = sum(one.share.amount_minor for one in lines), sum(one.share.conditional_minor for one in lines)
    if amount <= 0:
        _put_back(session, lines)
        return
    booking = get_booking(session, lines[0].share.booking_id)
    stored.lock_newest(session, booking.id)
    newest = stored.lock_newest(session, booking.id)  # what was drafted while we waited comes before
    if newest is None or newest.state not in stored.PAYING:
        raise WrongState(state="bill_open", move="reject_claim")
    own = {row.entitlement_id: row for row in funded.uses_of_bookings(session, [booking.id])}
    for offered in funded.lock_offered(session, {one.entitlement.id for one in lines}):
        mine = [one for one in lines if one.entitlement.id == offered.entitlement.id]
        taken = sum(one.share.amount_minor for one in mine)
        programmes.use_more(offered.entitlement, own[offered.entitlement.id], -taken)
        own[offered.entitlement.id].rejected_minor += taken
    for one in lines:
        one.share.state, one.line.reason = ShareState.REJECTED, reason
    session.flush()
    if programme.mode is Mode.DEDUCT:
        back = Money(amount, programme.currency), Money(waiting, programme.currency)
        made = bills.fall_back(session, booking=booking, last=newest, back=back, line=_named(programme, amount), now=now)
        tell_not_funded(session, booking, made, reason, now)


def _put_back(session: Session, lines: Sequence[Claimed]) -> None:
    for one in lines:
        one.share.state = ShareState.OWED
        session.delete(one.line)


def _named(programme: FundingProgramme, amount: int) -> Mapping[str, Any]:
    named = {"programme_id": programme.id, "name": programme.name, "name_en": programme.name_en}
    return {"code": "programme", "amount": {"minor": amount, "currency": programme.currency}, **named}


def pass_on(
    session: Session, *, programme_id: str, claim_id: str, institution_id: str, serial: str, actor_id: str, now: datetime
) -> PassedOn:
    """An institution has got its share of a paid claim from the platform, by the serial of that transfer.

    What it had too much by other claims of the programme was set off against it.
    Raises: NotFound, WrongState (nothing is to be passed on to it), Invalid.
    """
    programme = funded.lock_programme(session, programme_id)  # so that nothing is set off twice
    row = queries.lock_claim(session, programme_id, claim_id)
    due = next((one for one in queries.to_pass_on(session, row, programme) if one.institution_id == institution_id), None)
    if due is None or due.passed or due.amount.minor <= 0:
        raise WrongState(state=row.state.value, move="pass_on")
    made = PassedOn(
        id=new_id("pso"),
        claim_id=claim_id,
        institution_id=institution_id,
        amount_minor=due.amount.minor,
        currency=row.currency,
        serial=_checked(serial),
        recorded_by=actor_id,
        created_at=now,
    )
    session.add(made)
    session.flush()
    ids = [claim_id, *queries.to_set_off(session, row, institution_id)]
    for one in [line for each in ids for line in queries.lines_of(session, each)]:
        mine = one.statement.institution_id == institution_id and one.statement.funding is not Funding.BANK
        if mine and one.share.state is ShareState.PAID:
            one.share.passed_on_at = now
            entry = ledger.bank_payout(Money(one.share.conditional_minor, row.currency))
            booking = get_booking(session, one.share.booking_id)
            post(session, entry, source_type="programme_share", source_id=one.share.id, booking=booking, now=now)
    session.flush()
    _note(session, row, "pass_claim_on", actor_id, now)
    return made


def _open_claim(session: Session, programme_id: str, claim_id: str, move: str) -> tuple[ProgrammeClaim, FundingProgramme]:
    row = queries.lock_claim(session, programme_id, claim_id)
    if row.state is not ClaimState.SUBMITTED:
        raise WrongState(state=row.state.value, move=move)
    return row, funded.get_programme(session, programme_id)


def _checked(serial: str) -> str:
    if not 1 <= len(serial.strip()) <= 200:
        raise Invalid(field="serial", reason="give the bank's serial number")
    return serial.strip()


def _note(session: Session, row: ProgrammeClaim, action: str, actor_id: str, now: datetime) -> None:
    audit.record(
        session,
        actor_id=actor_id,
        action=action,
        object_kind="claim",
        object_id=row.id,
        institution_id=None,
        before=None,
        after={"state": row.state.value, "charge_minor": row.amount_minor, "number": row.number},
        now=now,
    )
