"""Moving a booking on the timeline: what was asked for, what it would come to, what stands in the way."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from billing import queries as bills
from booking.admission import SlotRefused
from booking.tables import Booking
from marketplace.catalogue import queries as catalogue
from marketplace.money import Money, zero
from marketplace.permissions import Action, Actor, may
from marketplace.refusals import Refusal, Refused, WrongState
from marketplace.slot import Slot
from marketplace.tables import ListingState, Resource
from web import checkout
from web.i18n import Formats, translator
from web.present import desk, names
from web.present.timeline import Asked, address, hidden, move_address
from web.present.turns import of_instants
from web.reasons import sentence
from web.refusals import title
from web.views.frame import Choice, Form, Lang
from web.views.resource import RefusalPanel
from web.views.timeline import MoveCard, Undo, Verdict


def card(session: Session, row: Booking, asked: Asked, place_id: str, form: Form, *, version: int, lang: Lang) -> MoveCard:
    """The form, nothing judged yet."""
    place = catalogue.get_resource(session, row.resource_id)
    others = [one for one in catalogue.resources_of(session, [row.institution_id]) if one.state is not ListingState.RETIRED]
    return MoveCard(
        booking_id=row.id,
        customer=desk.customers(session, [row])[row.id],
        resource=names.name_of(place, lang),
        slot=row.slot,
        zone=place.timezone,
        version=version,
        places=[Choice(one.id, names.name_of(one, lang), one.id == (place_id or place.id)) for one in others],
        url=move_address(lang, row.institution_id, asked, row.id),
        close_url=address(lang, row.institution_id, asked),
        hidden=hidden(row.institution_id, asked),
        place_id=place_id or place.id,
        form=form,
    )


def make(
    session: Session, found: MoveCard, slot: Slot, *, actor: Actor, override: str | None = None, now: datetime
) -> tuple[Booking, Money]:
    """The move that the form describes. Raises: what checkout.move does."""
    return checkout.move(
        session,
        actor=actor,
        booking_id=found.booking_id,
        slot=slot,
        version=found.version,
        resource_id=found.place_id,
        override=override,
        now=now,
    )


def judged(session: Session, found: MoveCard, slot: Slot, *, actor: Actor, lang: Lang, now: datetime) -> MoveCard:
    """The same with what the move would come to: it is made, looked at and undone, so that the verdict is the move's own."""
    trial = session.begin_nested()
    try:
        row, after = make(session, found, slot, actor=actor, now=now)
        place = catalogue.get_resource(session, row.resource_id)
        zone, name = place.timezone, names.name_of(place, lang)
    except Refusal as refusal:
        return refused(session, found, slot, refusal, actor=actor, lang=lang)
    finally:
        trial.rollback()
    quoted = bills.find_quote(session, found.booking_id)
    before = Money(quoted.quote_minor, quoted.currency) if quoted else zero(after.currency)
    return replace(found, asked=slot, verdict=Verdict(slot, zone, name, before, after))


def refused(session: Session, found: MoveCard, slot: Slot | None, refusal: Refusal, *, actor: Actor, lang: Lang) -> MoveCard:
    """The same with every reason why not, and the free times of the same length."""
    _ = translator(lang)
    reasons = refusal.reasons if isinstance(refusal, Refused) else ()
    place = catalogue.get_resource(session, found.place_id)
    told = RefusalPanel(
        title=title(refusal.code, _),
        text=_text(refusal, lang),
        reasons=[sentence(one.code, one.values, _) for one in reasons if one.code != "slot_taken"]
        + [_taken(one, place, lang) for one in (refusal.conflicts if isinstance(refusal, Refused) else ())],
        alternatives=refusal.alternatives if isinstance(refusal, SlotRefused) else (),
    )
    own_rules = bool(reasons) and all(one.override_by for one in reasons)
    may_override = own_rules and may(actor, Action.OVERRIDE_RULES, institution_id=place.institution_id)
    return replace(found, asked=slot, refusal=told, refused_in=place.timezone, may_override=may_override)


def _text(refusal: Refusal, lang: Lang) -> str:
    _ = translator(lang)
    if isinstance(refusal, WrongState) and refusal.values.get("state") == "begun":
        return _("It has begun, so it can only be extended. Nothing was moved.")
    return _("Nothing was moved.") if isinstance(refusal, Refused) else sentence(refusal.code, refusal.values, _)


def _taken(slot: Slot, place: Resource, lang: Lang) -> str:
    _ = translator(lang)
    return _("Taken: {when}").format(when=Formats(lang).span(slot, place.timezone))


def undo(session: Session, row: Booking, asked: Asked, was: Slot, place_id: str, version: int, lang: Lang) -> Undo | None:
    """A way back, as long as nobody has changed it since."""
    if row.version != version:
        return None
    place = catalogue.get_resource(session, row.resource_id)
    _ = translator(lang)
    said = _("{resource}: now {when}.").format(
        resource=names.name_of(place, lang), when=Formats(lang).span(row.slot, place.timezone)
    )
    return Undo(row.id, version, place_id, was, said, hidden(row.institution_id, asked))


def typed_values(values: Sequence[tuple[str, str]], row: Booking, place: Resource, slot: Slot | None) -> Form:
    """The form's fields: as typed, else the booking as it stands."""
    shown = slot or row.slot
    return Form({**of_instants([("start", shown.start), ("end", shown.end)], place.timezone), **dict(values)})
