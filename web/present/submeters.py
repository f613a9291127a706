"""Which meter includes which, as the desk shows it."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from devices.submeters import queries as submeters
from devices.tables import Device, DeviceState
from marketplace.catalogue import queries as catalogue
from marketplace.tables import Resource
from web.present import names
from web.views.device import MainMeter
from web.views.frame import Choice, Lang


def choices(session: Session, place: Resource, lang: Lang) -> list[Choice]:
    """What a new meter of the equipment may stand behind; those of a line above with its name."""
    return _named(session, [row for row in submeters.possible_mains(session, place.id) if _active(row)], place, lang)


def main_meter(session: Session, row: Device, place: Resource, lang: Lang, *, now: datetime) -> MainMeter:
    """What the meter stands behind and may, and which stand behind it."""
    main = submeters.mains_of(session, [row], at=now).get(row.id)
    others = [one for one in submeters.possible_mains(session, place.id) if one.id != row.id]
    inclusions = submeters.inclusions_of(session, [one.id for one in others])
    free = [one for one in others if row.id not in inclusions.above(one.id, at=now) and (_active(one) or one == main)]
    behind = submeters.submeters_of(session, row.id, at=now)
    found = _named(session, free, place, lang, chosen=main.id if main else "")
    return MainMeter(found, [(one.id, one.name) for one in behind])


def _active(row: Device) -> bool:
    return row.state is DeviceState.ACTIVE


def _named(session: Session, rows: Sequence[Device], place: Resource, lang: Lang, chosen: str = "") -> list[Choice]:
    lines = {row.id: row for row in catalogue.resources(session, {row.resource_id for row in rows} - {place.id})}
    told = {line_id: f" ({names.name_of(line, lang)})" for line_id, line in lines.items()}
    return [Choice(row.id, f"{row.name}{told.get(row.resource_id, '')}", row.id == chosen) for row in rows]
