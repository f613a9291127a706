"""Discrepancies as those read them who keep the meters, handle the money, or look over the figures."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from billing.corrections.queries import statements_by_ids, statements_of_places
from billing.tables import Statement
from devices import queries as devices
from devices.discrepancies import queries
from devices.discrepancies.tables import Cause, Discrepancy
from evaluation.corrections.queries import answers_to
from evaluation.queries import revisions_by_ids
from evaluation.tables import Revision
from marketplace.catalogue import queries as catalogue
from marketplace.money import Money
from marketplace.people import queries as people
from marketplace.permissions import Action, Actor, may
from marketplace.slot import Slot
from marketplace.tables import Institution
from web.present import names
from web.present.desk import menu, own_institutions
from web.views.discrepancies import BillLink, DiscrepanciesView, DiscrepancyRow, FigureLink
from web.views.frame import Choice, Lang, by_offset

PAGE = 30


def of_house(session: Session, house: Institution, actor: Actor, *, lang: Lang, before: int = 0) -> DiscrepanciesView:
    """Of one institution, for its own people; `before` of them left out."""
    found = queries.newest(session, house.id, limit=PAGE + 1, offset=before)
    return DiscrepanciesView(
        everywhere=False,
        institution=names.name_of(house, lang),
        institution_id=house.id,
        institutions=own_institutions(session, actor, house.id, lang),
        rows=rows(session, found[:PAGE], actor, lang),
        paging=by_offset(f"/{lang.value}/desk/discrepancies?institution={house.id}&", before=before, found=len(found), page=PAGE),
        menu=menu(actor, house.id),
    )


def of_all(session: Session, house: Institution | None, actor: Actor, *, lang: Lang, before: int = 0) -> DiscrepanciesView:
    """Of all institutions, or of the one that was chosen."""
    chosen = house.id if house else ""
    found = queries.newest(session, chosen or None, limit=PAGE + 1, offset=before)
    address = f"/{lang.value}/evaluation/discrepancies?institution={chosen}&"
    return DiscrepanciesView(
        everywhere=True,
        institution=names.name_of(house, lang) if house else "",
        institution_id=chosen,
        institutions=[Choice(row.id, names.name_of(row, lang), row.id == chosen) for row in people.institutions(session)],
        rows=rows(session, found[:PAGE], actor, lang),
        paging=by_offset(address, before=before, found=len(found), page=PAGE),
    )


def rows(session: Session, found: Sequence[Discrepancy], actor: Actor, lang: Lang) -> list[DiscrepancyRow]:
    """Each with what rests on it, and what any record of the same meter and day has led to."""
    meters = devices.devices_by_id(session, {one.device_id for one in found})
    places = {row.id: row for row in catalogue.resources(session, {one.resource_id for one in found})}
    houses = {row.id: row for row in people.institutions(session, {row.institution_id for row in places.values()})}
    followed = _Followed(session, found)
    made = []
    for one in found:
        place, messages = places[one.resource_id], one.messages
        manages = may(actor, Action.MANAGE_DEVICES, institution_id=place.institution_id)
        accounts = any(may(actor, one, institution_id=place.institution_id) for one in (Action.HANDLE_MONEY, Action.REVIEW_USE))
        made.append(
            DiscrepancyRow(
                id=one.id,
                span=Slot(one.starts_at, one.ends_at),
                zone=place.timezone,
                device=meters[one.device_id].name,
                resource_id=place.id,
                resource=names.name_of(place, lang),
                institution_id=place.institution_id,
                institution=names.name_of(houses[place.institution_id], lang),
                keeps_meters=manages,
                device_id=one.device_id,
                found_at=one.found_at,
                number=one.number,
                differs=one.differs,
                was_s=one.was_s,
                would_be_s=one.would_be_s,
                was_wh=one.was_wh,
                would_be_wh=one.would_be_wh,
                messages=messages["count"],
                first_at=datetime.fromisoformat(messages["first"]) if messages["first"] else None,
                last_at=datetime.fromisoformat(messages["last"]) if messages["last"] else None,
                bills=followed.bills(one) if accounts else [],
                figures=followed.figures(one),
                corrections=followed.corrections(one) if accounts else [],
                revisions=followed.revisions(one),
                waits=followed.waits(one),
            )
        )
    return made


class _Followed:
    """What rests on records and what followed from them, read once for all."""

    def __init__(self, session: Session, found: Sequence[Discrepancy]) -> None:
        causes = [cause for one in found for cause in one.rests_on]
        self._statements = _by_id(statements_by_ids(session, _of(causes, Cause.STATEMENT)))
        self._published = _by_id(revisions_by_ids(session, _of(causes, Cause.EVALUATION)))
        self._same = queries.of_same_days(session, found)
        ids = {record.id for records in self._same.values() for record in records}
        self._answers = answers_to(session, ids)
        self._corrections: dict[str, list[Statement]] = defaultdict(list)
        for row in statements_of_places(session, found):
            for named in {one for line in row.lines for one in line.get("discrepancies", ())}:
                self._corrections[named].append(row)

    def bills(self, one: Discrepancy) -> list[BillLink]:
        return [_bill(self._statements[key]) for key in _of(one.rests_on, Cause.STATEMENT) if key in self._statements]

    def figures(self, one: Discrepancy) -> list[FigureLink]:
        found = [self._published[key] for key in _of(one.rests_on, Cause.EVALUATION) if key in self._published]
        return [FigureLink(row.institution_id, row.period, row.number) for row in found]

    def corrections(self, one: Discrepancy) -> list[BillLink]:
        found = {row.id: row for record in self._records(one) for row in self._corrections[record.id]}
        return [_bill(row) for row in sorted(found.values(), key=lambda row: (row.booking_id, row.number))]

    def revisions(self, one: Discrepancy) -> list[FigureLink]:
        found = [(row, record.id) for record in self._records(one) for row in self._answers.get(record.id, ())]
        changed = {row.id: FigureLink(row.institution_id, row.period, row.number, _names(row, key)) for row, key in found}
        return sorted(changed.values(), key=lambda row: (row.period, row.number))

    def waits(self, one: Discrepancy) -> bool:
        answered = {row.period for row in self._answers.get(one.id, ())}
        return any(row.period not in answered for row in self.figures(one))

    def _records(self, one: Discrepancy) -> Sequence[Discrepancy]:
        return self._same[one.device_id, one.day]


def _names(row: Revision, discrepancy_id: str) -> bool:
    return discrepancy_id in row.difference.get("discrepancies", ())


def _of(causes: Sequence[Mapping[str, Any]], cause: Cause) -> list[str]:
    return list(dict.fromkeys(one["id"] for one in causes if one["cause"] == cause.value))


def _by_id(rows_: Sequence[Any]) -> dict[str, Any]:
    return {row.id: row for row in rows_}


def _bill(row: Statement) -> BillLink:
    return BillLink(row.booking_id, row.number, row.state.value, Money(row.charge_minor, row.currency))
