"""A series of bookings as its page shows it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from booking import queries as booking
from booking.places import get_place
from booking.recurrence import parse
from booking.series import queries as series
from booking.series.actions import NO_SUCH_TIME, SeriesRefused
from booking.states import HOLDING
from booking.tables import Booking, BookingSeries, OnConflict
from marketplace.catalogue import queries as catalogue
from marketplace.people import queries as people
from marketplace.permissions import Action, Actor, may
from marketplace.refusals import Reason, Refusal, Refused
from marketplace.slot import Slot
from web import labels
from web.booking_words import REPEATS
from web.checkout import is_own
from web.i18n import Formats, instant, translator
from web.present import names
from web.present.turns import asking
from web.reasons import sentence
from web.views.frame import EMPTY_FORM, Choice, Form, Lang
from web.views.series import GapRow, OccurrenceRow, SeriesView

FIELD_TIME = "%Y-%m-%dT%H:%M"
MOST_REASONS = 10


def view(
    session: Session,
    series_id: str,
    *,
    actor: Actor,
    lang: Lang,
    now: datetime,
    form: Form = EMPTY_FORM,
    refusal: Refusal | None = None,
) -> SeriesView:
    """Raises: NotFound."""
    rows = booking.bookings_of_series_for(session, actor, series_id)
    row, homes = booking.get_series(session, series_id), series.moved_from(session, series_id)
    place = catalogue.get_resource(session, row.resource_id)
    house = people.get_institution(session, row.institution_id)
    _, zone = translator(lang), place.timezone
    decides = may(actor, Action.DECIDE_BOOKINGS, institution_id=row.institution_id)
    ahead = [one for one in rows if one.state in HOLDING and one.starts_at > now and (decides or is_own(actor, one))]
    first = ahead[0].slot if ahead else row.slot
    start, end = (at.astimezone(ZoneInfo(zone)).strftime(FIELD_TIME) for at in (first.start, first.end))
    ways = ("skip", "refuse")
    goes_on = any(one.state in HOLDING and one.ends_at > now for one in rows)
    seen = goes_on and catalogue.may_see(actor, state=place.state, institution_id=place.institution_id)
    return SeriesView(
        id=row.id,
        resource_id=place.id,
        resource=names.name_of(place, lang),
        institution=names.name_of(house, lang),
        zone=zone,
        slot=row.slot,
        rule=rule_words(row.rrule, ZoneInfo(zone), lang),
        version=row.version,
        split_from=_visible(session, actor, row.split_from),
        rows=[OccurrenceRow(one.id, one.slot, one.state.value, homes.get(one.id), one.starts_at > now) for one in rows],
        gaps=[gap_row(gap, _, now) for gap in row.gaps],
        can_edit=bool(ahead),
        since=_since(ahead, zone, lang),
        start=start,
        end=end,
        repeats=[Choice(code, labels.word(_, "repeats", code)) for code in REPEATS],
        conflicts=[Choice(code, labels.word(_, "on_conflict", code), code == "refuse") for code in ways],
        asks=not decides and get_place(session, place.id).rules.asks(row.organisation_id),
        live=names.badge(session, place, lang, now=now) if seen else None,
        form=asking(form, zone, lang),
        refusal=sentence(refusal.code, refusal.values, _) if refusal else None,
        reasons=reasons_of(refusal, zone, lang),
        may_override=_may_override(actor, row, form, refusal),
    )


def _may_override(actor: Actor, row: BookingSeries, form: Form, refusal: Refusal | None) -> bool:
    if not may(actor, Action.OVERRIDE_RULES, institution_id=row.institution_id):
        return False
    if not isinstance(refusal, SeriesRefused):
        return "override" in form.values
    skips = OnConflict.SKIP if form.values.get("on_conflict") == OnConflict.SKIP else OnConflict.REFUSE
    return "override" in form.values or would_help((one.reasons for one in refusal.refusals), skips)


def _visible(session: Session, actor: Actor, series_id: str | None) -> str | None:
    """The series it was split from, if there is anything of it to see."""
    return series_id if series_id and booking.sees_series(session, actor, series_id) else None


def _since(ahead: Sequence[Booking], zone: str, lang: Lang) -> list[Choice]:
    _, formats = translator(lang), Formats(lang)
    later = [
        Choice(one.id, _("From {when} on").format(when=formats.span(one.slot, zone)))
        for one in sorted(ahead, key=lambda one: one.starts_at)
    ]
    return [Choice("", _("All that have not begun")), *later]


def would_help(refused: Iterable[Sequence[Reason]], on_conflict: OnConflict) -> bool:
    """Whether setting the publisher's own rules aside gets what is refused, told by the reasons of each time.

    All must come of such rules; one time is enough where others may be left out.
    """
    found = [all(reason.override_by for reason in reasons) for reasons in refused]
    return any(found) if on_conflict is OnConflict.SKIP else bool(found) and all(found)


def gap_row(gap: Mapping[str, Any], translate: Callable[[str], str], now: datetime) -> GapRow:
    slot = Slot(datetime.fromisoformat(gap["start"]), datetime.fromisoformat(gap["end"]))
    reasons = [labels.word(translate, "gap", code) for code in gap["reasons"]]
    return GapRow(slot, instant(slot.start), reasons, slot.start > now and NO_SUCH_TIME not in gap["reasons"])


def rule_words(rrule: str, zone: ZoneInfo, lang: Lang) -> str:
    """A recurrence rule as people say it; parts that have no words are left to the list of occurrences."""
    _, formats, rule = translator(lang), Formats(lang), parse(rrule, zone)
    every = labels.word(_, "every_one" if rule.interval == 1 else "every", rule.freq)
    named = [formats.weekday(day) for nth, day in sorted(rule.by_day, key=lambda one: one[1]) if nth is None]
    end = _("{count} times").format(count=rule.count) if rule.count else ""
    if rule.until:
        end = _("until {day}").format(day=formats.day(rule.until.date()))
    return " · ".join(part for part in (every.format(interval=rule.interval), ", ".join(named), end) if part)


def reasons_of(refusal: Refusal | None, zone: str, lang: Lang) -> list[str]:
    """What stands in the way, occurrence by occurrence."""
    if not isinstance(refusal, Refused):
        return []
    _, formats, said = translator(lang), Formats(lang), []
    shown = [one for one in refusal.reasons if one.code != "more_times"][:MOST_REASONS]
    for one in shown:
        text = sentence(one.code, one.values, _) if one.code != "slot_taken" else _("That time is taken.")
        when = formats.moment(datetime.fromisoformat(one.values["start"]), zone) if "start" in one.values else ""
        said.append(_("{label}: {value}").format(label=when, value=text) if when else text)
    times = {one.wish.slot.start for one in refusal.refusals} if isinstance(refusal, SeriesRefused) else set()
    more = len(times) - len({one.values.get("start") for one in shown})
    return [*said, sentence("more_times", {"more": more}, _)] if more > 0 else said
