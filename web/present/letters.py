"""Messages as letters in the reader's language that say what a person needs without opening a page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from billing import cancelling
from billing import queries as bills
from billing.tables import StatementState
from booking import queries as booking
from booking.presence.actions import ENDED_BY_OTHERS
from booking.presence.queries import check_in_by
from booking.requests import queries as requests
from booking.states import HOLDING, BookingState
from booking.tables import Booking
from devices.absences.actions import FOR_STAFF as ABSENT_CUSTOMER
from devices.absences.queries import KIND as ABSENT_BOOKING
from devices.overruns.actions import KIND as DELAYED
from marketplace.catalogue import queries as catalogue
from marketplace.inbox import queries as inbox
from marketplace.money import Money, by_currency
from marketplace.people import queries as people
from marketplace.slot import Slot
from marketplace.tables import Institution, Message, Person, Resource
from marketplace.topics import DIGEST
from web import labels
from web.calendar import Method, Parties, Status, invitation
from web.i18n import Formats, translator
from web.mail import Attachment, Letter
from web.present import attestations, calendars, external, messages, names, payment_letters, replanned
from web.present.series_letters import enclosed
from web.views.frame import Lang

INVITES = {"booking_confirmed", "booking_changed", "booking_received", "booking_substituted", "bundle_changed", ENDED_BY_OTHERS}
"""These enter the reader's calendar or change there; what ended leaves it."""
ENDS = {"booking_cancelled", "booking_refused", "booking_expired", "booking_handed_over"}
SEEN = {DELAYED, ABSENT_BOOKING, ABSENT_CUSTOMER}
FOR_MANAGERS = {"request_to_decide", "customer_cancelled"}
Facts = list[tuple[str, str]]
INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Matter:
    """What a message is about, as it was when the message was queued, and how its reader is told."""

    kind: str
    row: Booking
    place: Resource
    house: Institution
    slot: Slot
    was: Slot | None
    version: int
    lang: Lang
    times: int = 1
    """Of a series, which begins with `slot`."""

    @property
    def say(self) -> Callable[[str], str]:
        return translator(self.lang)

    @property
    def formats(self) -> Formats:
        return Formats(self.lang)

    def when(self, slot: Slot) -> str:
        """Wall time of the equipment, its zone named."""
        return when(slot, self.place.timezone, self.lang)

    def at(self, instant: datetime) -> str:
        return self.formats.moment(instant, self.place.timezone)


def when(slot: Slot, zone: str, lang: Lang) -> str:
    """Wall time of the equipment, its zone named."""
    formats = Formats(lang)
    named = f"{formats.zone(zone)}, {formats.offset(zone, slot.start)}"
    return translator(lang)("{when} ({zone})").format(when=formats.span(slot, zone), zone=named)


def letter(session: Session, message: Message, *, base_url: str, organiser: str, now: datetime) -> Letter:
    """The message as it is sent at `now`; `organiser` is the address that invites. Raises: NotFound."""
    reader = people.get_person(session, message.person_id)
    lang = language_of(reader)
    said = labels.word(translator(lang), "message", message.kind)
    if message.kind == DIGEST:
        return digest(session, message, reader, base_url)
    link = base_url + messages.path_of(message, lang)
    if message.data.get("waiting_id"):
        return _of_offer(session, message, reader, said, link)
    if message.data.get("calendar_id"):
        return _of_calendar(session, message, reader, said, link)
    if not message.data.get("booking_id"):
        return Letter(message.id, reader.email, said, _text(lang, said, _qualification(session, message, reader, lang), link))
    about = [message.data, *message.data.get("parts", ())]
    matters = [_matter(session, message.kind, one, lang) for one in about]
    matter, ended = matters[0], [_ended(session, data, one) for data, one in zip(about, matters, strict=True)]
    subject = matter.say("{said}: {what}, {when}").format(
        said=said, what=names.name_of(matter.place, lang), when=matter.formats.span(matter.slot, matter.place.timezone)
    )
    told = [
        fact
        for data, one, gone in zip(about, matters, ended, strict=True)
        for fact in (*_place_and_time(one), *replanned.outcome(session, data, lang), *_instead(gone))
    ]
    series = enclosed(session, message, lang=lang, base_url=base_url, organiser=organiser)
    facts = [*replanned.why(message.data, matter.when, lang), *told, *_more(session, message, matters, now), *series.facts(lang)]
    listed = (*matters, *(one for gone in ended for one in gone))
    entries = (_calendar(one, base_url, Parties(organiser, reader.email)) for one in listed)
    attached = [*(one for one in entries if one), *series.calendars]
    return Letter(message.id, reader.email, subject, _text(lang, said, facts, link), attached)


def _of_offer(session: Session, message: Message, reader: Person, said: str, link: str) -> Letter:
    """What is or was offered from a waiting list, and until when it can be answered."""
    lang, data = language_of(reader), message.data
    _, formats = translator(lang), Formats(lang)
    place = catalogue.get_resource(session, data["resource_id"])
    house = people.get_institution(session, place.institution_id)
    slot = Slot(datetime.fromisoformat(data["start"]), datetime.fromisoformat(data["end"]))
    facts = [
        (_("What"), names.name_of(place, lang)),
        (_("Where"), calendars.place_of(place, house, lang)),
        (_("When"), when(slot, place.timezone, lang)),
    ]
    if message.kind == "waiting_offered":
        until = formats.moment(datetime.fromisoformat(data["until"]), place.timezone)
        facts.append((_("Answer"), _("by {at}; after that the next in line is asked").format(at=until)))
    elif message.kind == "waiting_lapsed":
        facts.append((_("Next"), _("The next in line is asked. You may join the line again.")))
    elif message.kind == "waiting_closed":
        facts.append((_("Next"), _("The equipment takes no bookings any more, so its waiting list has ended.")))
    else:
        facts.append((_("Next"), _("You keep your place in the line.")))
    subject = _("{said}: {what}, {when}").format(said=said, what=facts[0][1], when=formats.span(slot, place.timezone))
    return Letter(message.id, reader.email, subject, _text(lang, said, facts, link))


def _of_calendar(session: Session, message: Message, reader: Person, said: str, link: str) -> Letter:
    """What is wrong with a calendar kept elsewhere, what stands meanwhile, and what to do."""
    lang, data = language_of(reader), message.data
    _, place = translator(lang), catalogue.get_resource(session, data["resource_id"])
    facts = [(_("What"), names.name_of(place, lang)), (_("Calendar"), data["name"])]
    if message.kind == "calendar_failing":
        since = Formats(lang).moment(datetime.fromisoformat(data["since"]), place.timezone)
        facts += [(_("Why"), external.error_in_words(data["error"], data["status"], lang)), (_("Not read since"), since)]
        facts.append((_("Next"), _("What it said last stays closed. It is tried again; check its address on the page below.")))
    else:
        slot = Slot(datetime.fromisoformat(data["start"]), datetime.fromisoformat(data["end"]))
        facts += [(_("Bookings"), str(data["count"])), (_("The first"), when(slot, place.timezone, lang))]
        facts.append((_("Next"), _("The bookings stand. Move or cancel them, or mend the calendar.")))
    subject = _("{label}: {value}").format(label=said, value=facts[0][1])
    return Letter(message.id, reader.email, subject, _text(lang, said, facts, link))


def _qualification(session: Session, message: Message, reader: Person, lang: Lang) -> Facts:
    """What was granted or taken back; nothing where a message is about something else."""
    data, _ = message.data, translator(lang)
    if "qualification_id" not in data:
        return []
    facts = [(_("Qualification"), messages.named(data, lang)), (_("Level"), messages.named(data["level"], lang))]
    if not data["expires_at"] or message.kind == "qualification_revoked":
        return facts
    last = datetime.fromisoformat(data["expires_at"]) - INSTANT
    return [*facts, (_("Valid until"), Formats(lang).long_day(last.astimezone(inbox.zone_of(session, reader.id)).date()))]


def digest(session: Session, message: Message, reader: Person, base_url: str) -> Letter:
    """The daily letter: a line and an address for each message that waited."""
    lang = language_of(reader)
    _ = translator(lang)
    listed = messages.rows(session, inbox.messages_by_id(session, message.data["messages"]), lang)
    told = [f"{_('{label}: {value}').format(label=one.title, value=one.about)}\n{base_url}{one.link}\n" for one in listed]
    if more := message.data["more"]:
        told.append(_("And {count} more in the app.").format(count=more) + "\n")
    said = _("What waited for you, {day}").format(
        day=Formats(lang).date(message.created_at, inbox.zone_of(session, reader.id).key)
    )
    choice = (_("Change what comes by mail"), f"{base_url}/{lang.value}/account/messages")
    text = "\n".join([said, "", *told, _("{label}: {value}").format(label=choice[0], value=choice[1]), ""])
    return Letter(message.id, reader.email, said, text)


def language_of(reader: Person) -> Lang:
    return Lang.EN if reader.locale == "en" else Lang.ZH


def _matter(session: Session, kind: str, data: Mapping[str, Any], lang: Lang) -> Matter:
    """Raises: NotFound."""
    row = booking.get_booking(session, data["booking_id"])
    return Matter(
        kind=data.get("became", kind),
        row=row,
        place=catalogue.get_resource(session, row.resource_id),
        house=people.get_institution(session, row.institution_id),
        slot=messages.slot_of(data) or row.slot,
        was=messages.slot_of(data.get("was", {})),
        version=data.get("version", row.version),
        lang=lang,
        times=data.get("count", 1),
    )


def _text(lang: Lang, said: str, facts: Facts, link: str) -> str:
    _ = translator(lang)
    line = _("{label}: {value}")
    told = [line.format(label=label, value=value) for label, value in [*facts, (_("Open it here"), link)]]
    return "\n".join([said, "", *told, ""])


def _place_and_time(matter: Matter) -> Facts:
    _ = matter.say
    facts = [
        (_("What"), names.name_of(matter.place, matter.lang)),
        (_("Where"), calendars.place_of(matter.place, matter.house, matter.lang)),
    ]
    if matter.was:
        return [*facts, (_("Old time"), matter.when(matter.was)), (_("New time"), matter.when(matter.slot))]
    times = [(_("Times"), str(matter.times))] if matter.times > 1 else []
    return [*facts, (_("When"), matter.when(matter.slot)), *times]


def _ended(session: Session, data: Mapping[str, Any], matter: Matter) -> list[Matter]:
    """The booking that an outage ended for this one at another institution."""
    if (gone := data.get("instead_of")) is None:
        return []
    row = booking.get_booking(session, gone)
    place, house = catalogue.get_resource(session, row.resource_id), people.get_institution(session, row.institution_id)
    return [replace(matter, kind="booking_cancelled", row=row, place=place, house=house, slot=row.slot, version=row.version)]


def _instead(ended: Sequence[Matter]) -> Facts:
    """Where it was, and that it ended there at no cost."""
    facts: Facts = []
    for one in ended:
        _, before = one.say, calendars.place_of(one.place, one.house, one.lang)
        named = _("{what}, {where}").format(what=names.name_of(one.place, one.lang), where=before)
        why = _("It is out of use at that time. The booking there ended without a fee; this one is with the other institution.")
        facts += [(_("Instead of"), named), (_("Why"), why)]
    return facts


def _more(session: Session, message: Message, matters: Sequence[Matter], now: datetime) -> Facts:
    matter = matters[0]
    if message.kind.startswith(("statement", "payment_")):
        return _bill(session, message, matter)
    if attestation_id := message.data.get("attestation_id"):
        return attestations.facts(session, attestation_id, matter.place.timezone, matter.lang)
    if message.kind in ENDS:
        return _end(session, matter)
    if message.kind in FOR_MANAGERS:
        return [*_customer(session, matter), *_price(session, matters), *_to_decide(matter)]
    if message.kind in SEEN:
        return _seen(session, message, matter)
    alone = [*_check_in(session, matter, now), *_way_out(session, matter, now)] if len(matters) == 1 else []
    return [*_price(session, [one for one in matters if one.kind not in ENDS]), *alone]


def _check_in(session: Session, matter: Matter, now: datetime) -> Facts:
    """Until when, where that is before the end."""
    _, row = matter.say, matter.row
    if row.state is not BookingState.CONFIRMED or row.starts_at <= now or (by := check_in_by(session, row)) is None:
        return []
    return [(_("Check-in"), _("by {at}").format(at=matter.at(by)))]


def _seen(session: Session, message: Message, matter: Matter) -> Facts:
    """What the meter sees at this moment: the use before goes on, or nobody has come."""
    _ = matter.say
    if message.kind == DELAYED:
        since = matter.at(datetime.fromisoformat(message.data["since"]))
        return [(_("Now"), _("in use since {at}, beyond the end of the booking before yours").format(at=since))]
    by = matter.at(datetime.fromisoformat(message.data["by"]))
    seen = (_("Why"), _("nobody has checked in by {at}, and the equipment has stood idle since the start").format(at=by))
    if message.kind == ABSENT_CUSTOMER:
        told = _("You can free the rest of the time on the page below. What was used is decided by the meter.")
        return [*_customer(session, matter), seen, (_("Next"), told)]
    return [seen, (_("Next"), _("What you use from now on counts, as the meter sees it. The institution may free the rest."))]


def _customer(session: Session, matter: Matter) -> Facts:
    """Who booked, for whom and what for."""
    _, row = matter.say, matter.row
    firm = people.get_organisation(session, row.organisation_id).name if row.organisation_id else ""
    who = ", ".join(part for part in (firm, people.get_person(session, row.person_id).name) if part)
    return [(_("By"), who), *([(_("Purpose"), row.purpose)] if row.purpose else [])]


def _to_decide(matter: Matter) -> Facts:
    """Until when a request is open; nothing once it is answered."""
    _, row = matter.say, matter.row
    if row.state is not BookingState.REQUESTED:
        return []
    until = row.answer_by
    return [(_("Decide"), _("by {at}, on the page below; unanswered it ends then").format(at=matter.at(until)))]


def _price(session: Session, matters: Sequence[Matter]) -> Facts:
    """Of all together, one sum a currency."""
    quotes = bills.quotes_of_bookings(session, [one.row.id for one in matters]).values()
    if not quotes:
        return []
    sums = by_currency([Money(quote.quote_minor, quote.currency) for quote in quotes])
    matter = matters[0]
    amount = " + ".join(matter.formats.money(one) for one in sums)
    return [(matter.say("Price"), matter.say("at most {amount}").format(amount=amount))]


def _way_out(session: Session, matter: Matter, now: datetime) -> Facts:
    """How to cancel and until when it is free; nothing where that is over."""
    _, row = matter.say, matter.row
    if row.state not in HOLDING or row.starts_at <= now or bills.find_quote(session, row.id) is None:
        return []
    waits = [(_("Next"), _("The institution decides on the request."))] if row.state is BookingState.REQUESTED else []
    until = bills.free_until(session, row)
    if until and until > now:
        return [*waits, (_("Cancel"), _("free until {at}, on the page below").format(at=matter.at(until)))]
    fee = matter.formats.money(cancelling.fee_if_cancelled(session, booking=row, now=now))
    return [*waits, (_("Cancel"), _("on the page below; today it costs {amount}").format(amount=fee))]


def _end(session: Session, matter: Matter) -> Facts:
    """What a cancellation costs; a request that was withdrawn before it stood costs nothing, one that was refused or not answered
    what was given up late for it."""
    _, row = matter.say, matter.row
    if matter.kind in messages.LOST:
        end = requests.end_of(session, row.id)
        return [*([(_("Reason"), end.reason)] if end and end.reason else []), *_given_up(session, matter)]
    if row.cancelled_at is None or bills.find_quote(session, row.id) is None:
        return []
    if row.decided_at is None:
        return [(_("Fee"), _("none"))]
    if row.cancelled_by_provider:
        return [(_("Fee"), _("none, the institution cancelled"))]
    fee = cancelling.fee_if_cancelled(session, booking=row, now=row.cancelled_at)
    return [(_("Fee"), matter.formats.money(fee) if fee else _("none"))]


def _given_up(session: Session, matter: Matter) -> Facts:
    _, left = matter.say, bills.given_up(session, matter.row.id)
    fee = bills.charged_for_giving_up(session, [matter.row.id]).get(matter.row.id)
    if left is None or fee is None:
        return []
    said = _("{amount}, for {when}, which you had given up for it when cancelling was not free any more")
    return [(_("Fee"), said.format(amount=matter.formats.money(fee), when=matter.when(left.slot)))]


def _bill(session: Session, message: Message, matter: Matter) -> Facts:
    """The amount of a statement and until when it can be answered; of a payment what happens next."""
    if message.kind.startswith("payment_"):
        return payment_letters.facts(message, matter.formats, matter.at, matter.lang)
    _, data = matter.say, message.data
    facts = [(_("Amount"), matter.formats.money(Money(data["minor"], data["currency"])))]
    if message.kind == "statement_credited":
        return [*facts, (_("Why"), _("Others used the time that you had given up, and were charged for it."))]
    if message.kind == "statement_not_funded":
        said = [(_("Reason"), data["reason"])] if "reason" in data else []
        return [*facts, (_("Why"), _("The programme that was to pay it does not; so it is yours to pay.")), *said]
    if "again" in data:
        return [*facts, (_("What next"), _next_try(matter, data["again"]))]
    made = bills.get_statement(session, data["statement_id"])
    if any("discrepancies" in line for line in made.lines):
        facts.append((_("Why"), _("Readings of the meter came after the bill had been accepted.")))
    if made.state is not StatementState.OPEN:
        return facts
    return [*facts, (_("Answer"), _("by {at}; after that it counts as accepted").format(at=matter.at(made.due_at)))]


def _next_try(matter: Matter, again: str | None) -> str:
    _ = matter.say
    if again:
        said = _("The card is asked again after {at}. See that it can be charged, or pay the amount now on the page below.")
        return said.format(at=matter.at(datetime.fromisoformat(again)))
    return _("The card is not asked again. The amount stays owed; pay it on the page below.")


def _calendar(matter: Matter, base_url: str, parties: Parties) -> Attachment | None:
    """An invitation, or its withdrawal where the booking once stood."""
    was_in = matter.kind == "booking_cancelled" or matter.row.decided_at is not None
    if matter.kind not in INVITES and not (matter.kind in ENDS and was_in):
        return None
    method = Method.CANCEL if matter.kind in ENDS else Method.REQUEST
    status = Status.CANCELLED if method is Method.CANCEL else Status.CONFIRMED
    if method is Method.REQUEST and matter.row.state in {BookingState.HELD, BookingState.REQUESTED}:
        status = Status.TENTATIVE
    entry = calendars.entry(matter.row, matter.place, matter.house, lang=matter.lang, base_url=base_url)
    told = replace(entry, slot=matter.slot, sequence=matter.version, status=status)
    return Attachment(invitation(told, method=method, parties=parties), method)
