"""Requests that came to nothing, as the publisher reads them."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from booking.requests import queries as requests
from booking.requests.queries import LostRequest
from marketplace.catalogue import queries as catalogue
from marketplace.people import queries as people
from marketplace.permissions import Actor
from marketplace.tables import Institution
from web import labels
from web.i18n import translator
from web.present import names
from web.present.desk import menu, own_institutions
from web.views.demand import DemandView, LostRow
from web.views.frame import Lang, by_offset

PAGE = 50


def demand(session: Session, house: Institution, actor: Actor, *, lang: Lang, before: int) -> DemandView:
    """From the newest on, `before` of them left out."""
    found = requests.lost_requests_in(session, house.id, limit=PAGE + 1, offset=before)
    address = f"/{lang.value}/desk/demand?institution={house.id}&"
    return DemandView(
        institution=names.name_of(house, lang),
        institution_id=house.id,
        institutions=own_institutions(session, actor, house.id, lang),
        menu=menu(actor, house.id),
        rows=_rows(session, found[:PAGE], lang),
        paging=by_offset(address, before=before, found=len(found), page=PAGE),
    )


def _rows(session: Session, found: Sequence[LostRequest], lang: Lang) -> list[LostRow]:
    _ = translator(lang)
    places = {row.id: row for row in catalogue.resources(session, {one.resource_id for one in found})}
    firms = {row.id: row.name for row in people.organisations(session, {o.organisation_id for o in found if o.organisation_id})}
    persons = people.names_of(session, {one.person_id for one in found if one.person_id})
    return [
        LostRow(
            resource=names.name_of(places[one.resource_id], lang),
            slot=one.slot,
            zone=places[one.resource_id].timezone,
            customer=firms.get(one.organisation_id or "", "") or persons.get(one.person_id or "", ""),
            outcome=one.outcome,
            why=[labels.word(_, "gap", code) for code in one.codes] if one.outcome in {"turned_away", "declined"} else [],
            reason=one.reason,
            asked_at=one.submitted_at,
            link=f"/{lang.value}/bookings/{one.id}" if one.outcome != "turned_away" else None,
        )
        for one in found
    ]
