"""A form of the rules' editor, read as the values that booking keeps."""

import re
from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from booking.lines.queries import shared_by
from booking.occupancy import Gap
from booking.qualifications.queries import find_known_person
from booking.rules.actions import Further, RuleSet
from booking.tables import Approval, RuleVersion
from marketplace.people import queries as people
from marketplace.refusals import Invalid
from marketplace.tables import Resource
from web.deps import read_date
from web.pages.drawing import Fields, number, text, typed
from web.present import desk, opening
from web.present import rules as editor
from web.rule_words import GROUP
from web.views.frame import Lang

TIMES = re.compile(r"\s*[-–—~～至]\s*")
MOST_LINES = 20


def read_rules(version: RuleVersion, fields: Fields) -> RuleSet:
    """Times and lengths; what was not sent stays. Raises: Invalid, WrongHours."""
    counts = {name: number(fields, name, getattr(version, name)) for name in desk.NUMBERS}
    gap, approval = text(fields, "buffer_mode"), text(fields, "approval")
    return RuleSet(
        hours=[dict(span) for span in opening.chosen_hours(version.hours, typed(fields))],
        buffer_mode=Gap(gap) if gap in set(Gap) else version.buffer_mode,
        approval=Approval.INSTANT if approval == "instant" else Approval.REQUEST,
        **counts,
    )


def read_further(db: Session, row: Resource, version: RuleVersion, fields: Fields) -> Further:
    """Raises: Invalid."""
    shown = [firm.value for firm in editor.firms(db, row, version)]
    trusted = [one for one in shown if text(fields, f"trusted_{one}")]
    if (text(fields, "approval") == "trusted") != bool(trusted):
        raise Invalid(field="approval", reason="choose whom you trust, and that they book at once; or neither")
    return Further(
        exceptions=read_exceptions(text(fields, "exceptions")),
        holidays=text(fields, "holidays") or None,
        quotas=[one for n in range(MOST_LINES) if (one := _quota(db, row, shown, fields, n))],
        audience=[_welcome(fields, key) for key in (*GROUP, *shown) if text(fields, f"welcome_{key}")],
        trusted=trusted,
        decide_within_h=_count(fields, "decide_within_h"),
        offer_min=_count(fields, "offer_min"),
        check_in_grace_min=_count(fields, "check_in_grace_min"),
        overtime_min=_count(fields, "overtime_min"),
        buffers_in_closed=bool(text(fields, "in_closed")),
        waive_own_buffers=bool(text(fields, "waive")),
        pooled=text(fields, "capacity_mode") == "pool",
        qualifications=[one for n in range(MOST_LINES) if (one := _need(fields, n))],
        assistance=_assistance(fields),
    )


def _count(fields: Fields, name: str) -> int | None:
    """None where it was left open. Raises: Invalid."""
    return number(fields, name) if text(fields, name) else None


def read_exceptions(typed_text: str) -> list[dict[str, Any]]:
    """A line for each date: its times, or none where it is closed.

    >>> read_exceptions("2026-10-01\\n2026-09-30 10:00–12:00 14-16")[1]["hours"]
    [{'open_min': 600, 'close_min': 720}, {'open_min': 840, 'close_min': 960}]

    Raises: Invalid.
    """
    found = []
    for line in typed_text.splitlines():
        day, *spans = TIMES.sub("-", line.strip()).split()[:25] or [""]
        if day:
            found.append({"date": _day(day, line), "hours": [_span(span, line) for span in spans]})
    return found


def _day(written: str, line: str) -> str:
    try:
        return date.fromisoformat(written).isoformat()
    except ValueError as error:
        raise Invalid(field="exceptions", reason="not a date with times: {line}", line=line[:60]) from error


def _span(written: str, line: str) -> dict[str, int]:
    opens, _, closes = written.partition("-")
    first, last = opening.read_clock(opens), opening.read_clock(closes)
    if first is None or last is None or first >= last:
        raise Invalid(field="exceptions", reason="not a date with times: {line}", line=line[:60])
    return {"open_min": first, "close_min": last}


def _welcome(fields: Fields, key: str) -> dict[str, Any]:
    since = read_date("audience", text(fields, f"since_{key}"))
    found = {"group": key} if key in GROUP else {"organisation_id": key}
    return {**found, **({"since": since.isoformat()} if since else {})}


def _quota(db: Session, row: Resource, shown: list[str], fields: Fields, n: int) -> dict[str, Any] | None:
    """The line's quota; None where no limit is given."""
    if not text(fields, f"limit_{n}"):
        return None
    unit, per, by = (text(fields, f"{name}_{n}") for name in ("unit", "per", "by"))
    if unit not in {"hours", "count"} or per not in {"day", "week", "month"}:
        raise Invalid(field="quotas", reason="choose one of the list")
    found: dict[str, Any] = {"limit": number(fields, f"limit_{n}"), "unit": unit, "per": per}
    if by in {"person", "organisation"}:
        return {**found, "by": by}
    if by.removeprefix("group:") in GROUP:
        return {**found, "by": "group", "group": by.removeprefix("group:")}
    name = text(fields, f"group_{n}")[:200]
    members = _members(db, row, shown, text(fields, f"members_{n}"))
    if not name or not (members["organisation_ids"] or members["person_ids"]):
        raise Invalid(field="quotas", reason="a group of your own needs a name and its members")
    return {**found, "by": "group", "name": name, **{key: value for key, value in members.items() if value}}


def _members(db: Session, row: Resource, shown: list[str], typed_text: str) -> dict[str, list[str]]:
    """A line for each: the name of a customer's organisation, or the address of a person whom the house knows."""
    firms = {firm.name: firm.id for firm in people.organisations(db, shown)}
    found: dict[str, list[str]] = {"organisation_ids": [], "person_ids": []}
    for line in dict.fromkeys(line.strip() for line in typed_text.splitlines() if line.strip()):
        person = find_known_person(db, row.institution_id, line.lower()) if "@" in line else None
        if person:
            found["person_ids"].append(person.id)
        elif line in firms:
            found["organisation_ids"].append(firms[line])
        else:
            raise Invalid(field="quotas", reason="no customer or colleague of that name: {line}", line=line[:60])
    return found


def _need(fields: Fields, n: int) -> dict[str, Any] | None:
    kind, _, level = text(fields, f"need_{n}").partition(":")
    if not kind:
        return None
    if not level.isdecimal() or not level.isascii() or len(level) > 2:
        raise Invalid(field="qualifications", reason="choose one of the list")
    return {"qualification_id": kind, "level": int(level), "unless_assisted": bool(text(fields, f"alone_{n}"))}


def _assistance(fields: Fields) -> dict[str, Any]:
    mode = text(fields, "mode")
    if mode not in {"optional", "required"}:
        return {}
    chosen = [name.removeprefix("operator_") for name in typed(fields) if name.startswith("operator_opr_")]
    return {"mode": mode, "operators": sorted(chosen), "supervised_runs": number(fields, "supervised_runs", 0)}


def read_parts(db: Session, row: Resource, fields: Fields) -> list[str]:
    """The parts that are ticked; those that the page did not offer stay."""
    offered = {one.value for one in editor.parts(db, row, Lang.ZH)}
    kept = set(shared_by(db, row.id)) - offered
    return sorted(kept | {one for one in offered if text(fields, f"part_{one}")})
