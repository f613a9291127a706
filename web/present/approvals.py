"""All requests that wait for one publisher, the soonest deadline first, with what the decision needs."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from billing import queries as bills
from booking.places import load_places
from booking.states import HOLDING
from booking.tables import Booking
from booking.timeline import queries as lying
from marketplace import audit
from marketplace.catalogue import queries as catalogue
from marketplace.money import Money, zero
from marketplace.people import queries as people
from marketplace.permissions import Actor
from marketplace.refusals import Invalid, Refusal, WrongState
from marketplace.slot import Slot
from marketplace.tables import Institution
from web.i18n import Formats, translator
from web.present import desk, names
from web.reasons import sentence
from web.views.approvals import Answered, ApprovalsView, Neighbour, RequestRow
from web.views.frame import Lang

MOST = 100
AROUND = timedelta(days=1)


def view(
    session: Session, house: Institution, actor: Actor, *, lang: Lang, now: datetime, answered: Sequence[Answered] = ()
) -> ApprovalsView:
    found = lying.waiting_requests(session, [house.id], limit=MOST + 1)
    return ApprovalsView(
        institution=names.name_of(house, lang),
        institution_id=house.id,
        institutions=desk.own_institutions(session, actor, house.id, lang),
        now=now,
        rows=rows(session, found[:MOST], lang, now=now),
        more=len(found) > MOST,
        answered=answered,
        menu=desk.menu(actor, house.id),
        live_url=names.live_url([row.resource_id for row in found[:MOST]], lang),
    )


def rows(session: Session, found: Sequence[Booking], lang: Lang, *, now: datetime) -> list[RequestRow]:
    """In the order given, in a fixed number of queries."""
    if not found:
        return []
    ids = {row.resource_id for row in found}
    reach = Slot(min(row.starts_at for row in found) - AROUND, max(row.ends_at for row in found) + AROUND)
    others = lying.bookings_on(session, ids, within=reach, states=HOLDING)
    who = desk.customers(session, [*found, *others])
    places, rules = {row.id: row for row in catalogue.resources(session, ids)}, load_places(session, ids)
    quotes = bills.quotes_of_bookings(session, [row.id for row in found])
    firms = {row.id: row for row in people.organisations(session, {row.organisation_id for row in found if row.organisation_id})}
    persons = people.names_of(session, {row.person_id for row in found})
    live = names.live_of(session, names.watched(row.resource_id for row in found), now=now)
    made = []
    for row in found:
        place, quote, buffers = places[row.resource_id], quotes.get(row.id), rules[row.resource_id].rules.buffers
        before, after = _beside(row, [one for one in others if one.resource_id == row.resource_id])
        made.append(
            RequestRow(
                booking_id=row.id,
                version=row.version,
                resource_id=place.id,
                resource=names.name_of(place, lang),
                customer=who[row.id],
                person=persons.get(row.person_id, ""),
                small_firm=bool(row.organisation_id and firms[row.organisation_id].is_sme),
                slot=row.slot,
                zone=place.timezone,
                price=Money(quote.quote_minor, quote.currency) if quote else zero(place.currency),
                owed=Money(quote.owed_minor, quote.currency) if quote else zero(place.currency),
                purpose=row.purpose,
                asked_at=row.submitted_at,
                deadline=row.answer_by,
                by_start=row.answer_by == row.starts_at,
                before=_neighbour(before, who, row.starts_at - before.ends_at) if before else None,
                after=_neighbour(after, who, after.starts_at - row.ends_at) if after else None,
                setup_min=int(buffers.setup.total_seconds() // 60),
                cleaning_min=int(buffers.cleaning.total_seconds() // 60),
                live=live.get(place.id),
            )
        )
    return made


def _beside(row: Booking, others: Sequence[Booking]) -> tuple[Booking | None, Booking | None]:
    """The nearest before and after within a day."""
    before = [one for one in others if row.starts_at - AROUND < one.ends_at <= row.starts_at]
    after = [one for one in others if row.ends_at <= one.starts_at < row.ends_at + AROUND]
    return max(before, key=lambda one: one.ends_at, default=None), min(after, key=lambda one: one.starts_at, default=None)


def _neighbour(row: Booking, who: dict[str, str], gap: timedelta) -> Neighbour:
    return Neighbour(row.id, who[row.id], row.slot, row.state.value, int(gap.total_seconds() // 60))


def answer_of(session: Session, row: Booking, refusal: Refusal | None, done: str, lang: Lang) -> Answered:
    """What became of an answer: done, or who was first and how it stands now."""
    place = catalogue.get_resource(session, row.resource_id)
    customer = desk.customers(session, [row])[row.id]
    name = f"{names.name_of(place, lang)} · {customer} · {Formats(lang).span(row.slot, place.timezone)}"
    text = _why_not(session, row, refusal, place.timezone, lang) if refusal else done
    return Answered(row.id, name, refusal is None, text)


def _why_not(session: Session, row: Booking, refusal: Refusal, zone: str, lang: Lang) -> str:
    _ = translator(lang)
    if isinstance(refusal, Invalid):
        return _("Not declined: say why, the customer reads it.")
    said = {
        "approve": _("{who} approved it at {at}. Your answer changed nothing."),
        "refuse": _("{who} declined it at {at}. Your answer changed nothing."),
        "cancel": _("It was withdrawn at {at}. Your answer changed nothing."),
        "expire": _("Its deadline passed at {at}. Your answer changed nothing."),
        "move": _("It was moved at {at}, while you looked at it. Your answer changed nothing; look at it again."),
    }
    last = next((one for one in audit.history_of(session, "booking", row.id, limit=5) if one.action in said), None)
    if last is None:
        return sentence(refusal.code, refusal.values, _)
    who = people.names_of(session, {last.actor_id}).get(last.actor_id, "") if last.actor_id else ""
    overdue = isinstance(refusal, WrongState) and refusal.values.get("state") == "expired"
    if overdue and last.action != "expire":
        return said["expire"].format(at=Formats(lang).moment(row.answer_by, zone))
    return said[last.action].format(who=who or _("Someone else"), at=Formats(lang).moment(last.at, zone))
