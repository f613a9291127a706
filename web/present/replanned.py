"""What a plan for an outage did with a person's bookings, in the words of a letter."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.orm import Session

from marketplace.catalogue import queries as catalogue
from marketplace.slot import Slot
from web.i18n import translator
from web.present import messages, names
from web.views.frame import Lang


def outcome(session: Session, data: Mapping[str, Any], lang: Lang) -> list[tuple[str, str]]:
    """What became of one booking; nothing where a message is not about a plan."""
    _ = translator(lang)
    said = {
        "booking_changed": _("moved to another time, by the terms agreed"),
        "booking_cancelled": _("cancelled by the institution, without a fee"),
        "booking_substituted": _("booked with another institution"),
        "booking_requested": _("asked of another institution, which decides"),
    }
    if (became := data.get("became")) is None:
        return []
    if (left := data.get("left")) is None:
        return [(_("Outcome"), said[became])]
    moved = _("moved to this equipment, by the terms agreed")
    return [(_("Outcome"), moved), (_("Instead of"), names.name_of(catalogue.get_resource(session, left), lang))]


def why(data: Mapping[str, Any], when: Callable[[Slot], str], lang: Lang) -> list[tuple[str, str]]:
    """That there is an outage and how long, as customers are told; nothing where a message is not about a plan."""
    _ = translator(lang)
    if "closed" not in data:
        return []
    closed = messages.slot_of(data["closed"] or {})
    said = _("out of use {when}").format(when=when(closed)) if closed else _("the equipment is taken out of service for good")
    return [(_("Why"), said)]
