"""What happened to a booking, in words: from its records, its runs and its bill, oldest first."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from billing import queries as bills
from billing.tables import Statement
from booking.requests import queries as requests
from booking.tables import Booking
from devices.discrepancies.comparing import Figures
from marketplace import audit
from marketplace.people import queries as people
from marketplace.permissions import Action, Actor, may
from marketplace.slot import Slot
from marketplace.tables import AuditEntry
from web import labels
from web.i18n import Formats, translator
from web.present import names
from web.views.bookings import Happening
from web.views.frame import Lang

STATED = {"book", "confirm_hold", "conclude", "expire"}
"""What these did shows in the state that they led to, for an end in the state that they ended."""
FOR_STAFF = {"override_rules"}


def history(
    session: Session,
    row: Booking,
    *,
    runs: Sequence[Figures],
    statement: Statement | None,
    actor: Actor,
    lang: Lang,
    zone: str,
) -> list[Happening]:
    """The names of an institution's staff are told to its staff; customers read the institution's."""
    entries = audit.history_of(session, "booking", row.id)
    staff = may(actor, Action.REVIEW_USE, institution_id=row.institution_id)
    teller = _Teller(session, row, entries, lang, zone, staff=staff)
    found = [teller.told(entry) for entry in entries if staff or entry.action not in FOR_STAFF]
    if all(entry.action != "book" for entry in entries):
        found.append(Happening(row.submitted_at, teller.say("booked"), teller.who(row.person_id)))
    found += [event for run in runs for event in _of_run(run, teller.say)]
    if statement is not None:
        found.append(Happening(statement.created_at, teller.say("billed")))
    if statement is not None and statement.settled_at:
        found.append(Happening(statement.settled_at, teller.say("paid")))
    return sorted(found, key=lambda one: one.at)


def _of_run(run: Figures, say: Callable[..., str]) -> list[Happening]:
    ended = [Happening(run.ends_at, say("device_off"))] if run.ends_at else []
    return [Happening(run.starts_at, say("device_on")), *ended]


class _Teller:
    """Tells the entries of one booking to one reader."""

    def __init__(
        self, session: Session, row: Booking, entries: Sequence[AuditEntry], lang: Lang, zone: str, *, staff: bool
    ) -> None:
        self._translate, self._formats, self._zone = translator(lang), Formats(lang), zone
        end = requests.end_of(session, row.id)
        self._reason = end.reason if end else None
        fee = bills.charged_for_giving_up(session, [row.id]).get(row.id)
        said = self._translate("{amount} is charged for the time given up for it.")
        self._charged = said.format(amount=self._formats.money(fee)) if fee else None
        persons = {str(value["person"]) for one in entries for value in (one.before, one.after) if value and "person" in value}
        actors = {one.actor_id for one in entries if one.actor_id} | {row.person_id}
        self._names = people.names_of(session, persons | actors)
        if not staff:
            house = names.name_of(people.get_institution(session, row.institution_id), lang)
            for person, _ in people.members_of_institution(session, row.institution_id):
                if person.id in actors - persons and (row.organisation_id is not None or person.id != row.person_id):
                    self._names[person.id] = house

    def who(self, person_id: str | None) -> str | None:
        return self._names.get(person_id or "")

    def say(self, code: str, **values: str) -> str:
        return labels.word(self._translate, "event", code).format(**values)

    def told(self, entry: AuditEntry) -> Happening:
        before, after = entry.before or {}, entry.after or {}
        code = entry.action
        if code in STATED:
            code = f"{code}_{(before if code == 'expire' else after).get('state', '')}"
        values = {
            "was": self._when(before),
            "now": self._when(after),
            "person": self._names.get(str(after.get("person")), ""),
            "stars": str(after.get("stars", "")),
            "reason": str(after.get("reason", "")),
        }
        note = self._reason if entry.action in {"refuse", "cancel"} else None
        if self._charged and entry.action in {"refuse", "expire"}:
            note = " · ".join(part for part in (note, self._charged) if part)
        who = self.who(entry.actor_id) if entry.actor_id else self._translate("automatically")
        return Happening(entry.at, self.say(code, **values), who, note)

    def _when(self, facts: Mapping[str, Any]) -> str:
        if "start" not in facts or "end" not in facts:
            return ""
        slot = Slot(datetime.fromisoformat(facts["start"]), datetime.fromisoformat(facts["end"]))
        return self._formats.span(slot, self._zone)
