"""All meters and how they do: counts of what to look at, and a page of those that were asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from devices.health import queries
from devices.health.queries import Doing, Which
from marketplace.catalogue import queries as catalogue
from marketplace.people import queries as people
from marketplace.permissions import Actor
from marketplace.tables import Institution
from web.present import names
from web.present.desk import menu, own_institutions
from web.views.fleet import FleetView, MeterRow
from web.views.frame import Choice, Lang, by_offset

PAGE = 50
MOST_EXPORTED = 20_000


@dataclass(frozen=True, slots=True)
class Asked:
    """What the page's address asks for. `everywhere`: as the operator, of all institutions or of the one chosen."""

    house: Institution | None
    which: Which
    everywhere: bool

    def address(self, lang: Lang, which: Which | None = None, *, kind: str = "") -> str:
        chosen = which or self.which
        named = {"institution": self.house.id if self.house else "", "which": "" if chosen is Which.ALL else chosen.value}
        mark = urlencode({name: value for name, value in named.items() if value})
        return f"/{lang.value}/{'operator' if self.everywhere else 'desk'}/fleet{kind}{'?' if mark else ''}{mark}"

    @property
    def house_id(self) -> str | None:
        return self.house.id if self.house else None


def fleet(session: Session, asked: Asked, actor: Actor, *, lang: Lang, now: datetime, before: int) -> FleetView:
    """A page of them, `before` left out; as many queries however many there are."""
    counted = queries.counts(session, asked.house_id, now=now)
    found = queries.list_doing(session, asked.house_id, asked.which, now=now, limit=PAGE + 1, offset=before)
    address, house = asked.address(lang), asked.house
    chosen = house.id if house else ""
    return FleetView(
        everywhere=asked.everywhere,
        institution=names.name_of(house, lang) if house else "",
        institution_id=chosen,
        institutions=[Choice(row.id, names.name_of(row, lang), row.id == chosen) for row in people.institutions(session)]
        if asked.everywhere
        else own_institutions(session, actor, chosen, lang),
        which=asked.which.value,
        counts=[(which.value, counted[which], asked.address(lang, which)) for which in Which],
        rows=rows(session, found[:PAGE], lang),
        csv_url=asked.address(lang, kind=".csv"),
        menu=() if asked.everywhere else menu(actor, chosen),
        paging=by_offset(f"{address}{'&' if '?' in address else '?'}", before=before, found=len(found), page=PAGE),
    )


def rows(session: Session, found: Sequence[Doing], lang: Lang) -> list[MeterRow]:
    places = {row.id: row for row in catalogue.resources(session, {one.resource_id for one in found})}
    houses = names.institution_names(session, {one.institution_id for one in found}, lang)
    rejected = queries.last_rejected(session, [one.key for one in found])
    return [
        MeterRow(
            id=one.device_id,
            name=one.name,
            key=one.key,
            resource_id=one.resource_id,
            resource=names.name_of(places[one.resource_id], lang),
            institution_id=one.institution_id,
            institution=houses[one.institution_id],
            zone=places[one.resource_id].timezone,
            signal=one.signal.value,
            last_message_at=one.last_message_at,
            marks=_marks(one),
            rejected_at=rejected.get(one.key),
            certificate_ends_at=one.certificate_ends_at,
        )
        for one in found
    ]


def exported(session: Session, asked: Asked, lang: Lang, *, now: datetime) -> list[MeterRow]:
    return rows(session, queries.list_doing(session, asked.house_id, asked.which, now=now, limit=MOST_EXPORTED), lang)


def _marks(one: Doing) -> list[str]:
    """What else there is to look at; a wrong clock is asked about already."""
    told = {
        Which.REJECTED: one.rejected,
        Which.CLOCK: one.clock,
        Which.QUESTIONS: one.questions and not one.clock,
        Which.CERTIFICATE: one.certificate_ends_at is not None,
    }
    return [which.value for which, holds in told.items() if holds]
