"""Statements of use: of one booking, and all uses of a house that need a person."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from booking.tables import Booking
from devices import confirming
from devices import queries as devices
from devices.attestations import queries
from devices.attestations.actions import MOST_STATEMENTS
from devices.attestations.statements import Side, from_json
from devices.attestations.tables import Attestation, AttestationState
from marketplace.catalogue import queries as catalogue
from marketplace.people import queries as people
from marketplace.permissions import Actor
from marketplace.slot import Slot
from marketplace.tables import Institution, Resource
from web.attesting import may_answer
from web.i18n import Formats, translator
from web.labels import word
from web.present import desk, names
from web.present.turns import of_instants
from web.views.attestations import AttestationsView, ProblemRow, ProblemsView, Silence, StatementRow
from web.views.bookings import Piece
from web.views.frame import Choice, Form, Lang, by_offset

PAGE = 20
STRETCHES = tuple((f"start{number}", f"end{number}") for number in range(1, 6))
"""Rows of the form; programs may state more."""
MINUTE = timedelta(minutes=1)


def view(session: Session, row: Booking, *, actor: Actor, lang: Lang, form: Form | None = None) -> AttestationsView:
    place = catalogue.get_resource(session, row.resource_id)
    found, sides = queries.attestations_of(session, row.id), sorted(queries.sides_of(actor, row))
    use, silent = devices.use_of_booking(session, row.id), confirming.silent(session, row)
    still_open = any(one.state is AttestationState.OPEN for one in found)
    can_state = bool(sides and silent and use) and not still_open and len(found) < MOST_STATEMENTS
    translate = translator(lang)
    return AttestationsView(
        booking_id=row.id,
        resource=names.name_of(place, lang),
        customer=desk.customers(session, [row])[row.id],
        slot=row.slot,
        zone=place.timezone,
        state=row.state.value,
        verdict=use.verdict.value if use else None,
        silence=silence(session, row, place, _shown(found)),
        silent=silent,
        rows=statements(session, found, row, actor),
        sides=[Choice(side.value, word(translate, "side", side.value)) for side in sides] if len(sides) > 1 else [],
        can_state=can_state,
        stretches=STRETCHES,
        of_house=Side.PROVIDER in sides,
        form=form or _proposed(row, place, silent),
    )


def _shown(found: Sequence[Attestation]) -> Attestation | None:
    """What stands: the one that waits, else the one that both signed."""
    waits = next((one for one in found if one.state is AttestationState.OPEN), None)
    return waits or next((one for one in found if one.state is AttestationState.SIGNED), None)


def _proposed(row: Booking, place: Resource, silent: Sequence[Slot]) -> Form:
    """The silence within the booking, in whole minutes."""
    inside = [piece for one in silent if (piece := one.clip(row.slot))]
    whole = [(_up(one.start), one.end.replace(second=0, microsecond=0)) for one in inside]
    values: dict[str, str] = {"used": "1"}
    for (start, end), fields in zip([one for one in whole if one[0] < one[1]], STRETCHES, strict=False):
        values |= of_instants([(fields[0], start), (fields[1], end)], place.timezone)
    return Form(values)


def _up(at: datetime) -> datetime:
    whole = at.replace(second=0, microsecond=0)
    return whole if whole == at else whole + MINUTE


def silence(session: Session, row: Booking, place: Resource, stated: Attestation | None) -> Silence:
    pieces = [Piece(one.slot, one.state.value) for one in confirming.known_around(session, row)]
    return Silence(row.slot, place.timezone, pieces, from_json(stated.stretches).stretches if stated else ())


def statements(session: Session, found: Sequence[Attestation], row: Booking, actor: Actor) -> list[StatementRow]:
    """In the order given."""
    who = people.names_of(session, {one for each in found for one in (each.stated_by, each.answered_by) if one})
    kinds = queries.kinds_of(session, {one.document_digest for one in found})
    counts = max((one.number for one in found if one.state is AttestationState.SIGNED), default=0)
    return [_statement(one, row, actor, who, kinds, counts=one.number == counts) for one in found]


def _statement(
    one: Attestation, row: Booking, actor: Actor, who: Mapping[str, str], kinds: Mapping[str, str], *, counts: bool
) -> StatementRow:
    still_open = one.state is AttestationState.OPEN
    return StatementRow(
        id=one.id,
        side=one.side.value,
        state=one.state.value,
        stated_by=who.get(one.stated_by, ""),
        stated_at=one.stated_at,
        answered_by=who.get(one.answered_by or ""),
        answered_at=one.answered_at,
        stretches=from_json(one.stretches).stretches,
        note=one.note,
        reason=one.reason,
        document=kinds[one.document_digest],
        counts=counts,
        can_answer=still_open and may_answer(actor, one, row),
        can_withdraw=still_open and one.side in queries.sides_of(actor, row),
    )


def problems(session: Session, house: Institution, actor: Actor, *, lang: Lang, before: int) -> ProblemsView:
    found = queries.bookings_with_problems(session, [house.id], limit=PAGE + 1, offset=before)
    rows = found[:PAGE]
    places = {row.id: row for row in catalogue.resources(session, {row.resource_id for row in rows})}
    newest, who = queries.newest_of(session, [row.id for row in rows]), desk.customers(session, rows)
    address = f"/{lang.value}/desk/problems?institution={house.id}&"
    return ProblemsView(
        institution=names.name_of(house, lang),
        institution_id=house.id,
        institutions=desk.own_institutions(session, actor, house.id, lang),
        rows=[_problem(session, row, places[row.resource_id], who[row.id], newest.get(row.id), actor, lang) for row in rows],
        menu=desk.menu(actor, house.id),
        paging=by_offset(address, before=before, found=len(found), page=PAGE),
    )


def _problem(
    session: Session, row: Booking, place: Resource, customer: str, last: Attestation | None, actor: Actor, lang: Lang
) -> ProblemRow:
    return ProblemRow(
        booking_id=row.id,
        resource=names.name_of(place, lang),
        customer=customer,
        slot=row.slot,
        zone=place.timezone,
        kind=kind_of(last),
        silence=silence(session, row, place, last if last and last.state is AttestationState.OPEN else None),
        statement=statements(session, [last], row, actor)[0] if last else None,
    )


def kind_of(last: Attestation | None) -> str:
    """What is to be done, by the newest statement of a use that is not settled."""
    if last is not None and last.state is AttestationState.OPEN:
        return "ours" if last.side is Side.USER else "theirs"
    return "declined" if last is not None and last.state is AttestationState.DECLINED else "unstated"


def facts(session: Session, attestation_id: str, zone: str, lang: Lang) -> list[tuple[str, str]]:
    """What a letter tells of a statement."""
    _, formats = translator(lang), Formats(lang)
    row = session.get_one(Attestation, attestation_id)
    said = from_json(row.stretches)
    used = _("not used at all") if said.unused else " · ".join(formats.span(one, zone) for one in said.stretches)
    told = [(_("Stated use"), used)]
    if row.note:
        told.append((_("Note"), row.note))
    if row.reason:
        told.append((_("Reason"), row.reason))
    return told
