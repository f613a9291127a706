"""Messages as lines: of the inbox and of a daily letter."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from billing import queries as bills
from booking.outages.telling import KIND as REPLANNED
from marketplace.catalogue import queries as catalogue
from marketplace.inbox import queries as inbox
from marketplace.money import Money
from marketplace.permissions import Actor
from marketplace.slot import Slot
from marketplace.tables import Message, Resource
from marketplace.topics import Delivery
from web import labels
from web.i18n import Formats, translator
from web.present import names
from web.views.frame import Choice, Form, Lang, Paging
from web.views.messages import MessageChoicesView, MessageRow, MessagesView, TopicChoice

PAGE = 30
LOST = {"booking_refused", "booking_expired"}
"""Requests that came to nothing."""


def view(session: Session, actor: Actor, *, lang: Lang, cursor: str | None) -> MessagesView:
    """Raises: NotFound (no such cursor)."""
    person_id = actor.known_id
    found = inbox.messages_of(session, person_id, before=cursor, limit=PAGE + 1)
    shown = found[:PAGE]
    following = f"/{lang.value}/messages?cursor={shown[-1].id}" if len(found) > PAGE else None
    return MessagesView(
        rows=rows(session, shown, lang),
        zone=inbox.zone_of(session, person_id).key,
        unread=inbox.count_unread(session, person_id) > 0,
        paging=Paging(len(shown), None, f"/{lang.value}/messages" if cursor else None, following),
    )


def rows(session: Session, found: Sequence[Message], lang: Lang) -> list[MessageRow]:
    """In the order given, with one query for what they are about, and one for fees where there may be any."""
    named = {message.data["resource_id"] for message in found if "resource_id" in message.data}
    places = {row.id: row for row in catalogue.resources(session, named)}
    ended = {message.data["booking_id"] for message in found if message.kind in LOST}
    fees = bills.charged_for_giving_up(session, ended) if ended else {}
    return [
        _row(message, places.get(message.data.get("resource_id", "")), lang, _fee_of(message, fees, lang)) for message in found
    ]


def _fee_of(message: Message, fees: Mapping[str, Money], lang: Lang) -> str:
    """What the end of a request costs its reader."""
    fee = fees.get(message.data.get("booking_id", "")) if message.kind in LOST else None
    return translator(lang)("fee {amount}").format(amount=Formats(lang).money(fee)) if fee else ""


def _row(message: Message, place: Resource | None, lang: Lang, fee: str) -> MessageRow:
    return MessageRow(
        id=message.id,
        kind=message.kind,
        title=labels.word(translator(lang), "message", message.kind),
        about=" · ".join([_about(message.data, place, lang), *([fee] if fee else [])]) if place else named(message.data, lang),
        at=message.created_at,
        unread=message.read_at is None,
        link=path_of(message, lang),
    )


def named(data: Mapping[str, Any], lang: Lang) -> str:
    """What a message without a booking is about, in the reader's language where it has a name there."""
    return str((data.get("name_en") if lang is Lang.EN else None) or data.get("name", ""))


def _about(data: Mapping[str, Any], place: Resource, lang: Lang) -> str:
    """What and when, the time before a move, the amount of a statement, and how many more bookings are met by an outage."""
    formats, zone = Formats(lang), place.timezone
    slot, was = slot_of(data), slot_of(data.get("was", {}))
    when = formats.span(slot, zone) if slot else ""
    if slot and was:
        when = f"{formats.span(was, zone)} → {when}"
    amount = formats.money(Money(data["minor"], data["currency"])) if "minor" in data else ""
    calendar = data["name"] if "calendar_id" in data else ""
    more = translator(lang)("{count} more").format(count=len(data["parts"])) if "became" in data else ""
    return " · ".join(part for part in (names.name_of(place, lang), calendar, when, amount, more) if part)


def slot_of(data: Mapping[str, Any]) -> Slot | None:
    """The time a message names, if it names one."""
    if "start" not in data:
        return None
    return Slot(datetime.fromisoformat(data["start"]), datetime.fromisoformat(data["end"]))


def path_of(message: Message, lang: Lang) -> str:
    """The page a message leads to."""
    data = message.data
    if secret := data.get("secret"):
        page = "invitations" if message.kind == "invitation" else "reset"
        return f"/{lang.value}/{page}/{secret}"
    if booking_id := data.get("booking_id"):
        return f"/{lang.value}/{_of_booking(message, booking_id)}"
    if "calendar_id" in data:
        return f"/{lang.value}/desk/resources/{data['resource_id']}/external"
    page = "waiting" if "waiting_id" in data else "account" if "qualification_id" in data else "messages"
    return f"/{lang.value}/{page}"


def _of_booking(message: Message, booking_id: str) -> str:
    """The page of a message about a booking, or about several."""
    if message.kind == REPLANNED:
        return "bookings"
    if message.kind.startswith("series_"):
        return f"series/{message.data['series_id']}"
    if message.kind.startswith("attestation_"):
        return f"bookings/{booking_id}/attestations"
    if message.kind.startswith("payment_") or message.kind == "statement_refused":
        return f"bookings/{booking_id}/payment"
    return f"bookings/{booking_id}" + ("/statement" if message.kind.startswith("statement") else "")


def choices(session: Session, actor: Actor, *, lang: Lang, form: Form) -> MessageChoicesView:
    """How the actor is told by mail, topic by topic; what was typed wins."""
    known, _ = inbox.choices_of(session, actor.known_id), translator(lang)

    def ways(present: Delivery) -> list[Choice]:
        return [Choice(one.value, labels.word(_, "delivery", one.value), one is present) for one in Delivery]

    topics = [TopicChoice(topic.value, ways(delivery)) for topic, delivery in known.items()]
    return MessageChoicesView(topics, inbox.zone_of(session, actor.known_id).key, actor.email, form)
