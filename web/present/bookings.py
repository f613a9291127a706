"""One's bookings: the list, one of them from request to bill, and its statement."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from billing import cancelling
from billing import queries as bills
from billing.ledger import Account
from billing.running import read_meter
from billing.settlement import Funding
from billing.tables import BookingQuote, Statement, StatementState
from booking.operators.queries import standing_by
from booking.presence.actions import CHECK_IN_FROM
from booking.presence.queries import check_in_by
from booking.series import queries as series
from booking.states import BookingState
from booking.tables import Booking
from devices import queries as devices
from devices.absences.queries import is_absent
from devices.attestations import queries as signing
from devices.attestations.tables import AttestationState
from devices.discrepancies.comparing import Figures
from devices.discrepancies.queries import known_runs
from devices.matching import EARLY_GRACE, OVERRUN_MAX
from devices.tables import ConfirmedUse
from marketplace.catalogue import queries as catalogue
from marketplace.money import Money, zero
from marketplace.people import queries as people
from marketplace.permissions import Action, Actor, may
from marketplace.refusals import Refusal
from marketplace.slot import Slot
from marketplace.tables import Resource
from web.attesting import may_answer
from web.checkout import is_own, may_attend
from web.i18n import translator
from web.present import names, programmes
from web.present.basis import basis
from web.present.bundles import bundle
from web.present.changes import changes
from web.present.corrections import because
from web.present.history import history
from web.present.objections import lines_of
from web.reasons import sentence
from web.views.bookings import (
    BookingRow,
    BookingView,
    CancelOffer,
    GivenUp,
    Piece,
    Presence,
    SessionRow,
    Step,
    UseMinutes,
)
from web.views.frame import EMPTY_FORM, Form, Lang
from web.views.statement import BankTransfer, StatementView

OPEN = {BookingState.HELD, BookingState.REQUESTED, BookingState.CONFIRMED}


def booking_rows(session: Session, rows: Sequence[Booking], lang: Lang) -> list[BookingRow]:
    """Rows of any list of bookings, in a fixed number of queries."""
    places = {row.id: row for row in catalogue.resources(session, {row.resource_id for row in rows})}
    houses = names.institution_names(session, {row.institution_id for row in rows}, lang)
    quotes = bills.quotes_of_bookings(session, [row.id for row in rows])
    statements = bills.statements_of_bookings(session, [row.id for row in rows])
    billed = bills.billed_of_bookings(session, list(statements))
    who = people.names_of(session, {row.person_id for row in rows})
    return [_row(row, places[row.resource_id], houses, quotes, statements, billed, who, lang) for row in rows]


def _row(
    row: Booking,
    place: Resource,
    houses: Mapping[str, str],
    quotes: Mapping[str, BookingQuote],
    statements: Mapping[str, Statement],
    amounts: Mapping[str, int],
    who: Mapping[str, str],
    lang: Lang,
) -> BookingRow:
    made = statements.get(row.id)
    billed = Money(amounts[row.id], made.currency) if made else None
    state = made.state if made else None
    return BookingRow(
        id=row.id,
        resource_id=place.id,
        resource=names.name_of(place, lang),
        institution=houses.get(row.institution_id, ""),
        slot=row.slot,
        zone=place.timezone,
        state=row.state.value,
        total=_quoted(quotes.get(row.id), place),
        billed=billed,
        statement_state="nothing" if state is StatementState.SETTLED and not billed else state.value if state else None,
        booked_by=who.get(row.person_id),
    )


def _quoted(quote: BookingQuote | None, place: Resource) -> Money:
    return Money(quote.quote_minor, quote.currency) if quote else zero(place.currency)


def one(
    session: Session,
    row: Booking,
    *,
    actor: Actor,
    lang: Lang,
    now: datetime,
    form: Form = EMPTY_FORM,
    refusal: Refusal | None = None,
) -> BookingView:
    place = catalogue.get_resource(session, row.resource_id)
    house = people.get_institution(session, row.institution_id)
    firm = people.get_organisation(session, row.organisation_id) if row.organisation_id else None
    quote, use = bills.find_quote(session, row.id), devices.use_of_booking(session, row.id)
    statement, around = bills.statement_of_booking(session, row.id), row.slot.widen(EARLY_GRACE, OVERRUN_MAX)
    base = f"/{lang.value}/bookings/{row.id}"
    staff = may(actor, Action.DECIDE_BOOKINGS, institution_id=row.institution_id)
    runs = known_runs(session, row.resource_id, around) if row.starts_at <= now else []
    zone, ahead = place.timezone, now < row.ends_at and row.state in OPEN
    return BookingView(
        id=row.id,
        resource_id=place.id,
        resource=names.name_of(place, lang),
        institution=names.name_of(house, lang),
        address=place.address,
        organisation=firm.name if firm else None,
        booked_by=people.get_person(session, row.person_id).name,
        purpose=row.purpose,
        operator=standing_by(session, [row.id]).get(row.id, ("", None))[1] if row.assisted else None,
        price=Money(quote.price_minor, quote.currency) if quote else None,
        price_class=(quote.price_class if quote else None) or "list",
        slot=row.slot,
        zone=place.timezone,
        state=row.state.value,
        total=_quoted(quote, place),
        quantity=row.quantity,
        steps=steps(row, use, statement, now),
        use=minutes(use) if use else None,
        meter=read_meter(session, row, now=now),
        sessions=[run_row(run) for run in runs],
        cancel=cancel_offer(session, row, now) if staff or is_own(actor, row) else None,
        statement_url=f"{base}/statement" if statement else None,
        payment_url=f"{base}/payment" if bills.with_payments(session, [row.id]) else None,
        ics_url=f"{base}.ics",
        history=history(session, row, runs=runs, statement=statement, actor=actor, lang=lang, zone=zone),
        changes=changes(session, row, actor=actor, lang=lang, zone=zone, now=now, form=form, refusal=refusal),
        can_decide=staff and row.state is BookingState.REQUESTED,
        programmes=programmes.reserved(session, row.id, _quoted(quote, place), lang),
        version=row.version,
        presence=_presence(session, row, actor, now),
        given_up=given_up(session, row),
        hold_until=row.hold_until if row.state is BookingState.HELD else None,
        series_id=row.series_id,
        bundle=bundle(session, row, actor, lang, zone, now) if row.bundle_id else None,
        moved_from=series.moved_from(session, row.series_id).get(row.id) if row.series_id else None,
        live=names.live_of(session, [place.id], now=now)[place.id] if ahead else None,
        live_url=names.live_url([place.id], lang) if ahead else "",
        attestations=_attestations(session, row, use, actor),
        refusal=sentence(refusal.code, refusal.values, translator(lang)) if refusal else None,
    )


def _presence(session: Session, row: Booking, actor: Actor, now: datetime) -> Presence:
    by, attends = check_in_by(session, row), may_attend(actor, row) and row.state is BookingState.CONFIRMED
    return Presence(
        can_check_in=attends and row.checked_in_at is None and row.starts_at - CHECK_IN_FROM <= now < (by or row.ends_at),
        check_in_by=by,
        can_finish=attends and row.finished_at is None and row.starts_at <= now < row.ends_at,
        absent=is_absent(session, row, now=now),
        for_others=not is_own(actor, row),
    )


def given_up(session: Session, row: Booking) -> GivenUp | None:
    """Of a request after a late move that is open, or for which what was given up was charged."""
    charged = bills.charged_for_giving_up(session, [row.id]).get(row.id)
    if not (charged or row.state is BookingState.REQUESTED) or (left := bills.given_up(session, row.id)) is None:
        return None
    quote = bills.quote_of_booking(session, row.id)
    return GivenUp(left.slot, Money(quote.owed_minor, quote.currency), charged is not None)


def _attestations(session: Session, row: Booking, use: ConfirmedUse | None, actor: Actor) -> str | None:
    if use is None or not signing.sides_of(actor, row):
        return None
    found = signing.attestations_of(session, row.id)
    if any(one.state is AttestationState.OPEN and may_answer(actor, one, row) for one in found):
        return "answer"
    return "look" if found else "state" if use.unverified_s else None


def cancel_offer(session: Session, row: Booking, now: datetime) -> CancelOffer | None:
    """What cancelling would cost, while it is possible."""
    if row.state not in OPEN or row.starts_at <= now:
        return None
    until = bills.free_until(session, row)
    fee = cancelling.fee_if_cancelled(session, booking=row, now=now)
    return CancelOffer(fee, until if until and until > now else None, row.version)


def steps(row: Booking, use: ConfirmedUse | None, statement: Statement | None, now: datetime) -> list[Step]:
    """The way from booking to payment, each step with when it was done."""
    first = Step("booked", "done", row.submitted_at)
    if row.state in {BookingState.CANCELLED, BookingState.EXPIRED, BookingState.REFUSED}:
        return [first, Step(row.state.value, "failed", row.cancelled_at or row.decided_at), *_bill_steps(statement)]
    answered = row.decided_at if row.state is not BookingState.REQUESTED else None
    approved = Step("approved", "done" if answered else "now", answered)
    started, ended = row.starts_at <= now, row.ends_at <= now
    in_use = Step("in_use", "done" if ended else "now" if started else "todo", row.starts_at)
    metered = Step("metered", "done" if use else "now" if ended else "todo", use.created_at if use else None)
    if row.state in {BookingState.NO_SHOW, BookingState.PROVIDER_FAILED, BookingState.UNVERIFIABLE}:
        metered = Step(row.state.value, "failed", row.concluded_at)
    return [first, approved, in_use, metered, *_bill_steps(statement)]


def _bill_steps(statement: Statement | None) -> list[Step]:
    if statement is None:
        return [Step("billed", "todo"), Step("paid", "todo")]
    paid = Step("paid", "done" if statement.settled_at else "now", statement.settled_at)
    return [Step("billed", "done", statement.created_at), paid]


def minutes(use: ConfirmedUse) -> UseMinutes:
    pieces = [
        Piece(Slot(datetime.fromisoformat(one["start"]), datetime.fromisoformat(one["end"])), one["state"]) for one in use.pieces
    ]
    return UseMinutes(
        booked_s=use.booked_s,
        confirmed_s=use.confirmed_s,
        early_s=use.early_s,
        overrun_s=use.overrun_s,
        unverified_s=use.unverified_s,
        fault_s=use.fault_s,
        verdict=use.verdict.value,
        grade=use.grade.value if use.grade else "",
        pieces=pieces,
    )


def run_row(run: Figures) -> SessionRow:
    return SessionRow(
        slot=Slot(run.starts_at, max(run.until, run.starts_at + timedelta(seconds=1))),
        open=run.ends_at is None,
        confirmed_s=run.confirmed_s,
        unverified_s=run.unverified_s,
        energy_wh=run.energy_wh,
        grade=run.grade,
        begin_reason="load_on",
        end_reason=run.end_reason,
        flags=run.flags,
    )


def statement(
    session: Session, row: Booking, made: Statement, *, actor: Actor, lang: Lang, form: Form = EMPTY_FORM
) -> StatementView:
    place = catalogue.get_resource(session, row.resource_id)
    house = people.get_institution(session, row.institution_id)
    firm = people.get_organisation(session, row.organisation_id) if row.organisation_id else None
    quote, left = bills.quote_of_booking(session, row.id), given_up(session, row)
    customer = row.person_id == actor.person_id or row.organisation_id in actor.organisations
    finance = may(actor, Action.HANDLE_MONEY, institution_id=row.institution_id)
    charge, owed = Money(made.firm_minor, made.currency), owed_of(session, made)
    by_bank = finance and made.state is StatementState.ACCEPTED and made.funding is Funding.BANK
    number = number_of(made)
    earlier = [one.number for one in bills.statements_of_booking(session, row.id) if one.number < made.number]
    use = devices.use_of_booking(session, row.id)
    return StatementView(
        booking_id=row.id,
        number=number,
        version=made.number,
        state=made.state.value,
        customer=firm.name if firm else people.get_person(session, row.person_id).name,
        institution=names.name_of(house, lang),
        resource=names.name_of(place, lang),
        slot=left.slot if left else row.slot,
        zone=place.timezone,
        issued_at=made.created_at,
        due_at=made.due_at if made.state is StatementState.OPEN else None,
        booked_min=made.booked_s // 60,
        logged_min=made.logged_s // 60,
        confirmed_min=made.confirmed_s // 60,
        billed_min=made.billed_s // 60,
        grade=use.grade.value if use and use.grade else "",
        lines=lines_of(session, made, Money(quote.price_minor, quote.currency), lang),
        charge=charge,
        paid=_charged(session, made) - owed,
        open_amount=owed,
        funding=made.funding.value,
        transfer=_transfer(house.name, house.bank_account, number) if made.funding is Funding.BANK and owed.minor > 0 else None,
        can_answer=customer and made.state is StatementState.OPEN,
        can_mark_received=by_bank and owed.minor > 0,
        can_mark_returned=finance and made.state is StatementState.ACCEPTED and owed.minor < 0,
        can_resolve=finance and made.state is StatementState.DISPUTED,
        dispute_reason=made.dispute_reason,
        corrections=[f"{one}" for one in earlier],
        because=because(session, made, actor, lang),
        payment_url=f"/{lang.value}/bookings/{row.id}/payment" if made.funding is not Funding.BANK else None,
        programmes=programmes.of_statement(session, made, lang),
        basis=basis(session, row, use),
        form=form,
    )


def _charged(session: Session, made: Statement) -> Money:
    """By all versions that count; by this one alone while it can be answered."""
    counts = made.state in bills.PAYING
    return Money(bills.cash_sums(session, made.booking_id)[0] if counts else made.firm_minor, made.currency)


def number_of(made: Statement) -> str:
    """What both sides call a statement."""
    return f"PB-{made.created_at:%Y%m}-{made.id[-6:].upper()}-{made.number}"


def owed_of(session: Session, made: Statement) -> Money:
    """What the firm still owes: its part of the charge until it is posted, then what the journal says."""
    if made.state in {StatementState.OPEN, StatementState.DISPUTED}:
        return Money(made.firm_minor, made.currency)
    return Money(bills.balance_of(session, Account.AR, booking_id=made.booking_id), made.currency)


def _transfer(name: str, account: str | None, reference: str) -> BankTransfer | None:
    return BankTransfer(name, account or "–", reference)
