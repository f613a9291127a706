"""The editor of a resource's rules: what is stored as fields, the choices beside them, what a change would have done."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from booking import queries as booking
from booking.lines.queries import shared_by
from booking.operators import queries as operators
from booking.qualifications import queries as qualifications
from booking.rules import queries as rules
from booking.rules.checks import BOUNDS
from booking.rules.lookback import Effect
from booking.tables import RuleVersion
from marketplace.catalogue import queries as catalogue
from marketplace.people import queries as people
from marketplace.permissions import Action, Actor, may
from marketplace.tables import ListingState, Resource
from web.i18n import translator
from web.labels import word
from web.present import desk, names, opening, week
from web.present.training import titled
from web.reasons import sentence
from web.rule_words import GROUP
from web.views.frame import Choice, Form, Lang
from web.views.rules import EffectView, NeedRow, QuotaRow, RulesView, TurnedRow

MOST_FIRMS = 40
MOST_PARTS = 60
MOST_ROWS = 20
"""Bookings that would have been refused, shown by name."""
FREE_ROWS = 2
"""Empty lines of quotas and qualifications below those in use."""
MOST_LINES = 100
"""Whatever number a form sent by hand gives its last line."""


def editor(
    session: Session,
    row: Resource,
    actor: Actor,
    lang: Lang,
    *,
    now: datetime,
    form: Form | None = None,
    effect: Effect | None = None,
    seen: str = "",
) -> RulesView:
    """With what is stored or, after a form was sent, what was typed."""
    _ = translator(lang)
    version = booking.rules_of(session, row.id)
    shown = form or Form(stored(session, row, version))
    spec = shown.values
    return RulesView(
        id=row.id,
        name=names.name_of(row, lang),
        institution_id=row.institution_id,
        zone=row.timezone,
        number=version.number,
        buffer_modes=[
            Choice("sum", _("Clean down, then set up")),
            Choice("max", _("Both at once: the longer counts")),
        ],
        capacity_modes=[
            Choice("places", _("Places: a booking keeps its own throughout")),
            Choice("pool", _("Counted: as many as fit at every moment")),
        ],
        approvals=[
            Choice("instant", _("At once")),
            Choice("request", _("After our answer")),
            Choice("trusted", _("After our answer, for the trusted ones at once")),
        ],
        holidays=[Choice("", _("Open as on other days")), Choice("CN", _("Closed on China's public holidays"))],
        hours=week.choices(version.hours, lang),
        week=week.days(spec),
        groups=[Choice(code, _(label)) for code, label in GROUP.items()],
        firms=firms(session, row, version),
        quotas=[_quota(number, lang) for number in range(rows_of(spec, "limit"))],
        needs=[NeedRow(number, _kinds(session, row, lang)) for number in range(rows_of(spec, "need"))],
        modes=[
            Choice("none", _("Nobody stands by")),
            Choice("optional", _("An operator, for those who ask")),
            Choice("required", _("Always with an operator")),
        ],
        operators=[Choice(one.id, person.name) for one, person in operators.operators_of(session, row.institution_id)],
        parts=parts(session, row, lang),
        can_edit=may(actor, Action.LIST_RESOURCES, institution_id=row.institution_id),
        live=names.badge(session, row, lang, now=now),
        form=shown,
        effect=_effect(session, effect, lang) if effect else None,
        seen=seen,
    )


def rows_of(spec: Mapping[str, str], name: str) -> int:
    """As many lines as are filled in, and some empty ones; MOST_LINES at most."""
    used = [
        int(key.rpartition("_")[2]) for key, value in spec.items() if value and key.startswith(f"{name}_") and key[-1].isdigit()
    ]
    return min(max(used, default=-1) + 1 + FREE_ROWS, MOST_LINES)


def _quota(number: int, lang: Lang) -> QuotaRow:
    _ = translator(lang)
    return QuotaRow(
        number,
        units=[Choice("hours", _("hours")), Choice("count", _("bookings"))],
        pers=[Choice("day", _("a day")), Choice("week", _("a week")), Choice("month", _("a month"))],
        bys=[
            Choice("person", _("each person")),
            Choice("organisation", _("each organisation")),
            *(Choice(f"group:{code}", _("all together: {group}").format(group=_(label))) for code, label in GROUP.items()),
            Choice("members", _("all together: those named here")),
        ],
        named=True,
    )


def _kinds(session: Session, row: Resource, lang: Lang) -> list[Choice]:
    """Each level of each qualification of the house."""
    return [
        Choice(f"{kind.id}:{level}", f"{titled(kind, lang)} · {titled(named, lang)}")
        for kind in qualifications.qualifications_of(session, row.institution_id)
        for level, named in enumerate(kind.levels, 1)
    ]


def firms(session: Session, row: Resource, version: RuleVersion) -> list[Choice]:
    """Organisations that the rules name, then those that have booked with the house, the latest first."""
    named = [entry["organisation_id"] for entry in version.audience if entry.get("organisation_id")]
    known = list(dict.fromkeys([*named, *version.trusted, *rules.customers_of(session, row.institution_id, limit=MOST_FIRMS)]))
    called = {one.id: one.name for one in people.organisations(session, known)}
    return [Choice(one, called[one]) for one in known[: max(MOST_FIRMS, len(set(named) | set(version.trusted)))] if one in called]


def parts(session: Session, row: Resource, lang: Lang) -> list[Choice]:
    """What the house has beside it, for uses to take a unit of along."""
    others = [
        one
        for one in catalogue.resources_of(session, [row.institution_id])
        if one.id not in {row.id, row.parent_id} and one.parent_id != row.id and one.state is not ListingState.RETIRED
    ]
    shared = set(shared_by(session, row.id))
    others.sort(key=lambda one: one.id not in shared)
    return [Choice(one.id, names.name_of(one, lang)) for one in others[: max(MOST_PARTS, len(shared))]]


def stored(session: Session, row: Resource, version: RuleVersion) -> dict[str, str]:
    """The version in force as the editor's fields."""
    trusted = set(version.trusted)
    approval = "trusted" if trusted and version.approval.value == "request" else version.approval.value
    asks = version.assistance or {"mode": "none", "operators": [], "supervised_runs": 0}
    return {
        **{name: str(getattr(version, name)) for name in desk.NUMBERS},
        **opening.as_fields(version.hours),
        "buffer_mode": version.buffer_mode.value,
        "in_closed": "1" if version.buffers_in_closed else "",
        "capacity_mode": "pool" if version.pooled else "places",
        "waive": "1" if version.waive_own_buffers else "",
        "approval": approval,
        **{name: "" if (value := getattr(version, name)) is None else str(value) for name in BOUNDS},
        "holidays": version.holidays or "",
        "exceptions": "\n".join(as_line(one) for one in version.exceptions),
        **dict.fromkeys((f"trusted_{one}" for one in trusted), "1"),
        **_audience(version.audience),
        **_quotas(session, version.quotas),
        **_needs(version.qualifications),
        "mode": asks["mode"],
        "supervised_runs": str(asks["supervised_runs"]),
        **dict.fromkeys((f"operator_{one}" for one in asks["operators"]), "1"),
        **dict.fromkeys((f"part_{one}" for one in shared_by(session, row.id)), "1"),
    }


def as_line(one: Mapping[str, Any]) -> str:
    """A dated exception as it is typed: the date and its times, none where it is closed.

    >>> as_line({"date": "2026-10-01", "hours": [{"open_min": 540, "close_min": 720}]})
    '2026-10-01 09:00-12:00'
    """
    spans = [f"{opening.as_clock(span['open_min'])}-{opening.as_clock(span['close_min'])}" for span in one["hours"]]
    return " ".join([one["date"], *spans])


def _audience(entries: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in entries:
        key = entry.get("group") or entry["organisation_id"]
        found |= {f"welcome_{key}": "1", f"since_{key}": entry.get("since") or ""}
    return found


def _quotas(session: Session, quotas: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, one in enumerate(quotas):
        by = one["by"] if one["by"] != "group" else f"group:{one['group']}" if one.get("group") else "members"
        found |= {f"limit_{number}": str(one["limit"]), f"unit_{number}": one["unit"], f"per_{number}": one["per"]}
        found |= {f"by_{number}": by, f"group_{number}": one.get("name", "")}
        if by == "members":
            firms_named = people.organisations(session, one.get("organisation_ids", ()))
            mails = [people.get_person(session, key).email for key in one.get("person_ids", ())]
            found[f"members_{number}"] = "\n".join([*(firm.name for firm in firms_named), *mails])
    return found


def _needs(needs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, need in enumerate(needs):
        found[f"need_{number}"] = f"{need['qualification_id']}:{need['level']}"
        found[f"alone_{number}"] = "1" if need["unless_assisted"] else ""
    return found


def _effect(session: Session, found: Effect, lang: Lang) -> EffectView:
    _ = translator(lang)
    who = desk.customers(session, [one.booking for one in found.refused[:MOST_ROWS]])
    codes = Counter(code for one in found.refused for code in {reason.code for reason in one.reasons})
    return EffectView(
        span=found.span,
        bookings=found.bookings,
        refused=len(found.refused),
        already=found.already,
        all_seen=found.all_seen,
        reasons=[(word(_, "rule", code), count) for code, count in codes.most_common()],
        rows=[
            TurnedRow(
                one.booking.id,
                who.get(one.booking.id, ""),
                one.booking.slot,
                [
                    _("It would not have fitted beside the others with these buffers.")
                    if reason.code == "slot_taken"
                    else sentence(reason.code, reason.values, _)
                    for reason in one.reasons
                ],
            )
            for one in found.refused[:MOST_ROWS]
        ],
        more=max(0, len(found.refused) - MOST_ROWS),
    )
