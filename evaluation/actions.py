"""Freezes evaluations: the first revision when a period closes, further ones with their cause; entered values; packs."""

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy.orm import Session

from booking.lines.queries import parts_of
from devices.discrepancies.actions import seal
from devices.discrepancies.queries import lock_devices, sealed_for
from devices.discrepancies.tables import Cause
from evaluation import queries
from evaluation.assess import Evaluation, evaluate, may_be_entered
from evaluation.corrections import queries as corrections
from evaluation.corrections.tables import DiscrepancyAnswer
from evaluation.document import as_document
from evaluation.facts import Facts
from evaluation.packs import Stamp, write_facts_pack, write_rows_pack
from evaluation.packs.writing import Rows, fact_rows
from evaluation.periods import as_span, for_period, period_slot
from evaluation.schemes import DEFAULT, load_scheme
from evaluation.scoring import PeriodRule, Scheme
from evaluation.sources.queries import facts_of, reporting_units
from evaluation.tables import FrozenFacts, ManualEntry, PublishedFigure, PublishedScore, Revision
from marketplace import audit
from marketplace.ids import new_id
from marketplace.refusals import Invalid, Refusal, WrongState
from marketplace.slot import Slot
from marketplace.tables import Institution

CLOSE_AFTER = timedelta(days=7)
"""A period is frozen this long after its end: devices may backfill and statements may be disputed until then."""

QUIET = timedelta(hours=1)
"""So long after a discrepancy was found a further revision is made: late messages come many at a time."""

MAX_CHANGES = 500
"""Changes a revision lists one by one; the rest are counted."""


class NoUnits(Refusal):
    """The institution has nothing that reports."""

    code = "no_reporting_units"


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs from the revision before."""

    scope: str
    id: str
    code: str
    before: str | None
    after: str | None


def publish_due(session: Session, *, now: datetime, scheme: str = DEFAULT, limit: int | None = None) -> list[str]:
    """Freeze revision 1 of every institution for the last closed year and month that have none, `limit` at most; returns their
    ids. Nothing of an institution's devices is folded meanwhile."""
    applied = load_scheme(scheme)
    made: list[str] = []
    for period in closed_periods(applied, now):
        within = period_slot(applied, period)
        done = {row.institution_id for row in queries.latest_revisions(session, period=period, scheme=scheme)}
        for institution_id in _institutions(session, within):
            if institution_id not in done and (limit is None or len(made) < limit):
                row = _freeze(session, applied, institution_id, period, cause="period_closed", actor_id=None, now=now)
                made.append(row.id)
    return made


def closed_periods(scheme: Scheme, now: datetime) -> list[str]:
    """The newest month and the newest year of the scheme whose waiting time is over.

    >>> from datetime import UTC, datetime
    >>> closed_periods(load_scheme(DEFAULT), datetime(2026, 4, 7, 16, tzinfo=UTC))
    ['2026-03', '2025']
    """
    day = (now - CLOSE_AFTER).astimezone(scheme.zone).date()
    last_month = day.replace(day=1) - timedelta(days=1)
    begins = 9 if scheme.period_rule is PeriodRule.ACADEMIC else 1
    year = day.year - (1 if day.month >= begins else 2)
    return [f"{last_month:%Y-%m}", f"{year:04d}"]


def _institutions(session: Session, within: Slot) -> list[str]:
    """Those with a unit that was listed before the period ended."""
    last = within.end.date()
    listed = [row for row in reporting_units(session) if (row.listed_on or row.commissioned_on or row.created_at.date()) <= last]
    return sorted({row.institution_id for row in listed})


def recompute(
    session: Session, *, institution_id: str, period: str, cause: str, actor_id: str | None, now: datetime, scheme: str = DEFAULT
) -> Revision:
    """A further revision from the facts as they are now, with its difference; the newest one itself where nothing differs.

    Raises: Invalid (no period, or it has not ended), WrongState (nothing is published yet), NoUnits.
    """
    applied = load_scheme(scheme)
    earlier = queries.revisions_of(session, institution_id, period=period, scheme=scheme)
    if not earlier:
        raise WrongState(state="unpublished", move="recompute")
    return _freeze(session, applied, institution_id, period, cause=cause, actor_id=actor_id, now=now)


def answer_discrepancies(session: Session, *, now: datetime, limit: int = 1) -> list[str]:
    """A further revision where late messages changed a published figure; returns the ids of those that answer now. One at a time:
    whose devices are locked must not wait for those of others."""
    waiting = corrections.revisions_with_discrepancies(session, until=now - QUIET)
    answered = []
    for row in [one for one in waiting if corrections.unanswered(session, one, until=now - QUIET)][:limit]:
        who = {"institution_id": row.institution_id, "period": row.period, "scheme": row.scheme}
        answered.append(recompute(session, **who, cause="late_data", actor_id=None, now=now).id)
    return answered


def publish(
    session: Session, *, institution_id: str, period: str, actor_id: str | None, now: datetime, scheme: str = DEFAULT
) -> Revision:
    """Freeze an evaluation that an evaluator asks for, revision 1 or the next. Raises: Invalid, NoUnits."""
    applied = load_scheme(scheme)
    return _freeze(session, applied, institution_id, period, cause="published_by_evaluator", actor_id=actor_id, now=now)


def _freeze(
    session: Session, scheme: Scheme, institution_id: str, period: str, *, cause: str, actor_id: str | None, now: datetime
) -> Revision:
    within = period_slot(scheme, period)
    if within.end > now:
        raise Invalid(field="period", reason="the period is not over yet")
    # two publishers must not take the same number; who only refers to the institution does not wait
    session.get_one(Institution, institution_id, with_for_update={"key_share": True})
    lock_devices(session, [row.id for row in reporting_units(session, [institution_id])])
    name = f"{scheme.id}-{scheme.version}"
    scheme = for_period(scheme, within)
    facts, evidence = gathered(session, scheme, period, [institution_id])
    if not facts.units:
        raise NoUnits(institution_id=institution_id)
    found = evaluate(facts, scheme)
    document = stored_document(found)
    earlier = queries.revisions_of(session, institution_id, period=period, scheme=name)
    changes = differences(earlier[-1].document, document) if earlier else []
    found_late = [one.id for one in corrections.unanswered(session, earlier[-1], until=now)] if earlier else []
    if earlier and not changes:
        _answer(session, earlier[-1], found_late, now)
        return earlier[-1]
    scores = found.organisations[institution_id].scores
    rows = fact_rows(facts, scheme.zone, evidence)
    revision = Revision(
        id=new_id("rev"), institution_id=institution_id, scheme=name, period=period, number=len(earlier) + 1,
        period_from=within.start, period_to=within.end, cut_off=now, code_version=code_version(),
        inputs_hash=inputs_hash(rows, scheme), total=document["scores"][institution_id]["total"], grade=scores.grade,
        cause=cause, difference=_listed(changes, found_late), document=document, created_at=now, created_by=actor_id,
    )  # fmt: skip
    session.add(revision)
    session.flush()
    session.add(FrozenFacts(revision_id=revision.id, content=gzip.compress(orjson.dumps(rows), mtime=0)))
    _publish_rows(session, revision)
    _answer(session, revision, found_late, now)
    known, parts = sealed_for(session, [one.id for one in earlier]), parts_of(session, [one.unit.id for one in facts.units])
    stretches = {unit_id: within for unit_id, some in parts.items() if not known.issuperset(some)}
    seal(session, cause=Cause.EVALUATION, cause_id=revision.id, stretches=stretches, now=now)
    _note(session, revision, actor_id=actor_id, now=now)
    return revision


def _answer(session: Session, revision: Revision, discrepancy_ids: Sequence[str], now: datetime) -> None:
    session.add_all(DiscrepancyAnswer(discrepancy_id=one, revision_id=revision.id, answered_at=now) for one in discrepancy_ids)
    session.flush()


def _publish_rows(session: Session, revision: Revision) -> None:
    for scope, found in (("unit", revision.document["units"]), ("institution", revision.document["organisations"])):
        for object_id, metrics in found.items():
            session.add_all(
                PublishedFigure(revision_id=revision.id, scope=scope, object_id=object_id, code=code, value=_text(value))
                for code, value in metrics.items()
                if not isinstance(value, (dict, list))
            )
    points = revision.document["scores"][revision.institution_id]["indicators"]
    session.add_all(PublishedScore(revision_id=revision.id, indicator=code, points=value) for code, value in points.items())
    session.flush()


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _note(session: Session, revision: Revision, *, actor_id: str | None, now: datetime) -> None:
    audit.record(
        session,
        actor_id=actor_id,
        action="publish_evaluation",
        object_kind="evaluation",
        object_id=revision.id,
        institution_id=revision.institution_id,
        before=None,
        after={"period": revision.period, "scheme": revision.scheme, "number": revision.number, "total": revision.total},
        now=now,
    )


def gathered(
    session: Session, scheme: Scheme, period: str, institution_ids: Sequence[str] | None
) -> tuple[Facts, dict[tuple[str, str], str]]:
    """All facts of a period with the values that people entered for it, and what these refer to."""
    name = f"{scheme.id}-{scheme.version}"
    entries = queries.manual_entries(session, period=period, scheme=name, institution_ids=institution_ids)
    facts = facts_of(session, scheme, within=period_slot(scheme, period), institution_ids=institution_ids)
    owners = {one.unit.owner_org for one in facts.units}
    manual = {key: values for key, values in queries.entered_values(entries).items() if key in owners}
    evidence = {key: text for key, text in queries.entered_evidence(entries).items() if key[0] in owners}
    return replace(facts, manual=manual), evidence


def stored_document(found: Evaluation) -> dict[str, Any]:
    """The printed document, and the exact tie-break values that ranking needs."""
    ties = {name: [str(value) for value in one.scores.tie] for name, one in found.organisations.items()}
    return {**as_document(found), "tie": ties}


def inputs_hash(rows: Rows, scheme: Scheme) -> str:
    """The same facts and scheme give the same hash, whenever and wherever it is taken."""
    return sha256(orjson.dumps(rows, option=orjson.OPT_SORT_KEYS) + scheme.source.encode()).hexdigest()


def code_version() -> str:
    """The installed version of the product; `source` in a checkout that was never installed."""
    try:
        return version("pilotbench")
    except PackageNotFoundError:
        return "source"


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Every figure, verdict and score that differs between two documents."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    return [Change(*key, old.get(key), new.get(key)) for key in sorted({*old, *new}) if old.get(key) != new.get(key)]


def _leaves(document: Mapping[str, Any]) -> list[tuple[tuple[str, str, str], str | None]]:
    leaves: list[tuple[tuple[str, str, str], str | None]] = []
    for scope in ("units", "bookings", "organisations"):
        for key, values in document[scope].items():
            leaves += [((scope, key, code), _text(value)) for code, value in values.items() if not isinstance(value, dict)]
    for key, score in document["scores"].items():
        leaves += [(("scores", key, code), points) for code, points in score["indicators"].items()]
        leaves += [(("scores", key, code), _text(score[code])) for code in ("total", "grade", "gates")]
    return leaves


def _listed(changes: Sequence[Change], found_late: Sequence[str]) -> dict[str, Any]:
    rows = [{"scope": c.scope, "id": c.id, "code": c.code, "before": c.before, "after": c.after} for c in changes[:MAX_CHANGES]]
    return {"changes": rows, "more": max(0, len(changes) - MAX_CHANGES), "discrepancies": list(found_late)}


def enter_manual(
    session: Session,
    *,
    institution_id: str,
    period: str,
    indicator: str,
    value: Fraction,
    note: str,
    evidence: str,
    actor_id: str,
    now: datetime,
    scheme: str = DEFAULT,
) -> ManualEntry:
    """Add a value with its note and what supports it; it counts from the next revision on.

    Raises: Invalid (the scheme computes the indicator from facts, value below 0 or above the weight, no evidence named).
    """
    applied = load_scheme(scheme)
    period_slot(applied, period)
    if not may_be_entered(indicator, applied):
        raise Invalid(field="indicator", reason="not one that is entered by hand")
    weight = next((i.weight for i in applied.indicators if i.code == indicator and i.entered), None)
    if value < 0 or (weight is not None and value > weight) or value.denominator not in (1, 2, 4, 5, 10, 20, 25, 50, 100):
        raise Invalid(field="value", reason="must lie within the range of its indicator")
    if not evidence.strip():
        raise Invalid(field="evidence", reason="must name the document that shows it")
    entry = ManualEntry(
        id=new_id("man"), institution_id=institution_id, scheme=scheme, period=period, indicator=indicator,
        value=str(value), note=note, evidence=evidence, entered_by=actor_id, entered_at=now,
    )  # fmt: skip
    session.add(entry)
    session.flush()
    audit.record(
        session, actor_id=actor_id, action="enter_manual", object_kind="manual_entry", object_id=entry.id,
        institution_id=institution_id, before=None,
        after={"period": period, "indicator": indicator, "value": entry.value, "evidence": evidence}, now=now,
    )  # fmt: skip
    return entry


def write_pack(
    session: Session,
    *,
    period: str,
    directory: Path,
    now: datetime,
    scheme: str = DEFAULT,
    institution_ids: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Write the pack of a period into `directory` and return its evaluation; stores nothing.

    Raises: Invalid, UnknownScheme.
    """
    applied = for_period(load_scheme(scheme), period_slot(load_scheme(scheme), period))
    facts, evidence = gathered(session, applied, period, institution_ids)
    return write_facts_pack(directory, facts=facts, scheme=applied, stamp=Stamp(now, code_version()), evidence=evidence)


def write_revision_pack(session: Session, *, revision_id: str, directory: Path) -> dict[str, Any]:
    """Write the pack of a published revision from its own frozen facts. Raises: NotFound."""
    row = queries.get_revision(session, revision_id)
    rows = orjson.loads(gzip.decompress(session.get_one(FrozenFacts, revision_id).content))
    within = Slot(row.period_from, row.period_to)
    scheme = for_period(load_scheme(row.scheme), within)
    stamp = Stamp(row.cut_off, row.code_version)
    return write_rows_pack(directory, rows=rows, period=as_span(within), scheme=scheme, stamp=stamp)
