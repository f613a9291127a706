"""Open questions about meters, as those who keep the meters and those who look over them read them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from devices import queries as devices
from devices.flags import queries
from devices.flags.tables import DeviceFlag
from marketplace.catalogue import queries as catalogue
from marketplace.people import queries as people
from marketplace.permissions import Action, Actor, may
from marketplace.slot import Slot
from marketplace.tables import Institution
from web.present import names
from web.present.desk import menu, own_institutions
from web.views.flags import FlagRow, FlagsView, Seen
from web.views.frame import EMPTY_FORM, Choice, Form, Lang, by_offset

MOST_OPEN = 100
PAGE = 50
UNITS = {"p_on": "W", "hours": "h"}
ENDINGS = {"_w": "W", "_wh": "Wh", "_h": "h"}


def of_house(
    session: Session, house: Institution, actor: Actor, *, lang: Lang, before: int = 0, form: Form = EMPTY_FORM
) -> FlagsView:
    """Of one institution, for its own people; `before` of the closed ones left out."""
    choices = own_institutions(session, actor, house.id, lang)
    name, shown = names.name_of(house, lang), menu(actor, house.id)
    address = f"/{lang.value}/desk/flags?institution={house.id}"
    return _view(session, actor, house.id, name, choices, address, lang, before, everywhere=False, shown=shown, form=form)


def of_all(
    session: Session, house: Institution | None, actor: Actor, *, lang: Lang, before: int = 0, form: Form = EMPTY_FORM
) -> FlagsView:
    """Of all institutions, or of the one that was chosen."""
    chosen, name = (house.id, names.name_of(house, lang)) if house else ("", "")
    choices = [Choice(row.id, names.name_of(row, lang), row.id == chosen) for row in people.institutions(session)]
    address = f"/{lang.value}/evaluation/flags?institution={chosen}"
    return _view(session, actor, chosen, name, choices, address, lang, before, everywhere=True, shown=(), form=form)


def _view(
    session: Session, actor: Actor, house_id: str, name: str, choices: Sequence[Choice], address: str, lang: Lang, before: int,
    *, everywhere: bool, shown: Sequence[str], form: Form,
) -> FlagsView:  # fmt: skip
    only = house_id or None
    waiting = queries.open_flags(session, only, limit=MOST_OPEN)
    closed = queries.closed_flags(session, only, limit=PAGE + 1, offset=before)
    return FlagsView(
        everywhere=everywhere,
        institution=name,
        institution_id=house_id,
        institutions=choices,
        open=rows(session, waiting, actor, lang),
        more=queries.count_open(session, only) - len(waiting),
        closed=rows(session, closed[:PAGE], actor, lang),
        paging=by_offset(f"{address}&", before=before, found=len(closed), page=PAGE, mark="#closed"),
        menu=shown,
        form=form,
    )


def rows(session: Session, found: Sequence[DeviceFlag], actor: Actor, lang: Lang) -> list[FlagRow]:
    meters = devices.devices_by_id(session, {one.device_id for one in found})
    places = {row.id: row for row in catalogue.resources(session, {one.resource_id for one in found})}
    houses = {row.id: row for row in people.institutions(session, {row.institution_id for row in meters.values()})}
    closers = people.names_of(session, {one.closed_by for one in found if one.closed_by})
    return [
        FlagRow(
            id=one.id,
            kind=one.kind.value,
            span=Slot(one.starts_at, one.ends_at),
            zone=places[one.resource_id].timezone,
            device_id=one.device_id,
            device=meters[one.device_id].name,
            resource_id=one.resource_id,
            resource=names.name_of(places[one.resource_id], lang),
            institution_id=meters[one.device_id].institution_id,
            institution=names.name_of(houses[meters[one.device_id].institution_id], lang),
            seen=seen(one.evidence),
            raised_at=one.raised_at,
            can_close=may(actor, Action.MANAGE_DEVICES, institution_id=meters[one.device_id].institution_id),
            closed_at=one.closed_at,
            closed_by=closers.get(one.closed_by or ""),
            comment=one.comment,
        )
        for one in found
    ]


def seen(evidence: Mapping[str, Any]) -> list[Seen]:
    """The figures in their order, without those that say nothing.

    >>> [(one.code, one.number, one.unit) for one in seen({"least_w": 480.5, "messages": 31, "channel": ""})]
    [('least_w', 480.5, 'W'), ('messages', 31.0, '')]
    """
    return [_seen(name, value) for name, value in evidence.items() if value not in (None, "", [])]


def _seen(name: str, value: Any) -> Seen:
    if name.endswith("_at"):
        return Seen(name, at=datetime.fromisoformat(value))
    if isinstance(value, list):
        return Seen(name, text=", ".join(str(one) for one in value))
    if isinstance(value, str):
        return Seen(name, text=value)
    unit = UNITS.get(name) or next((unit for ending, unit in ENDINGS.items() if name.endswith(ending)), "")
    return Seen(name, number=float(value), unit=unit)
