"""Writes of what is sealed, and of what late messages would have made of it. The fold asks before it replaces anything."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from booking.lines.queries import parts_of
from devices.discrepancies import queries
from devices.discrepancies.comparing import (
    Figures,
    as_document,
    clipped,
    differences,
    figures,
    parts,
    put_over,
    run_seconds,
    sealed_in,
    segments_in,
    sessions_in,
    without,
)
from devices.discrepancies.tables import Cause, Discrepancy, SealedStretch
from devices.evidence.records import bounds
from devices.placing import Arrival, Sample, placed_at
from devices.profile import InForce
from devices.readings import Channel
from devices.segments import Segment, joined
from devices.sessions import Session as Run
from devices.tables import Device, RawMessage, StateSegment, UsageSession
from marketplace.ids import new_id
from marketplace.slot import Slot, intersect, subtract, union

DAY = timedelta(days=1)
MOST_MESSAGES = 100
"""Whose digests a record lists; the others are counted."""


@dataclass(frozen=True, slots=True)
class Folded:
    """What a fold came to from its first sample on."""

    samples: Sequence[Sample]
    arrivals: Sequence[Arrival]
    runs: Sequence[Run]
    segments: Sequence[Segment]
    profiles: InForce

    @property
    def since(self) -> datetime:
        return self.samples[0].at


@dataclass(frozen=True, slots=True)
class Storable:
    """What of a fold is stored from its first sample on, beside the rows that stay."""

    sessions: Sequence[Figures]
    segments: Sequence[Segment]
    kept_sessions: Sequence[Slot] = ()
    """Time in which no row begins or ends anew."""
    kept_segments: Sequence[Slot] = ()


def seal(session: Session, *, cause: Cause, cause_id: str, stretches: Mapping[str, Slot], now: datetime) -> None:
    """From now on what is stored of these stretches (by resource, of its stations too) stays, each widened to the runs that have
    ended and touch it.

    The caller has locked the devices (`queries.lock_devices`) before it read what it rests on.
    """
    parts = parts_of(session, stretches)
    wanted = {part: slot for resource_id, slot in stretches.items() for part in parts[resource_id]}
    rows = [_sealed(session, resource_id, slot, cause, cause_id, now) for resource_id, slot in sorted(wanted.items())]
    if rows:
        session.execute(insert(SealedStretch), rows)


def _sealed(session: Session, resource_id: str, slot: Slot, cause: Cause, cause_id: str, now: datetime) -> dict[str, Any]:
    touching = (UsageSession.starts_at < slot.end, UsageSession.until > slot.start, UsageSession.ends_at.is_not(None))
    mine = select(UsageSession).where(UsageSession.resource_id == resource_id, *touching).order_by(UsageSession.id)
    runs = session.scalars(mine.execution_options(populate_existing=True)).all()
    start, end = min([slot.start, *(run.starts_at for run in runs)]), max([slot.end, *(run.until for run in runs)])
    ids = [run.id for run in runs]
    key = {"resource_id": resource_id, "starts_at": start, "ends_at": end, "cause": cause, "cause_id": cause_id}
    return {**key, "sealed_at": now, "sessions": ids, "digest": digest_of(session, resource_id, Slot(start, end), ids)}


def digest_of(session: Session, resource_id: str, slot: Slot, session_ids: Collection[str]) -> str:
    """Over the states that are stored of a stretch, meter by meter, and over these sessions."""
    rows = session.scalars(
        select(StateSegment)
        .where(StateSegment.resource_id == resource_id, StateSegment.starts_at < slot.end, StateSegment.ends_at > slot.start)
        .order_by(StateSegment.device_id, StateSegment.starts_at)
    )
    meters: dict[str, list[Segment]] = {}
    for row in rows:
        meters.setdefault(row.device_id, []).append(Segment(Slot(row.starts_at, row.ends_at), row.state, row.bridged))
    states = {device: as_document(clipped(found, [slot]), []) for device, found in meters.items()}
    runs = session.scalars(select(UsageSession).where(UsageSession.id.in_(session_ids)).order_by(UsageSession.id))
    listed = [[run.id, run.device_id, as_document([], [queries.stored_figures(run)])] for run in runs]
    return sha256(orjson.dumps([states, listed], option=orjson.OPT_SORT_KEYS)).hexdigest()


def keep_sealed(session: Session, device: Device, folded: Folded, *, now: datetime) -> Storable:
    """What of a fold may be stored; what sealed time would be instead is written down, once, and again when it is another."""
    everything = Storable([figures(run) for run in folded.runs], folded.segments)
    seals = queries.sealed_since(session, device.resource_id, bounds(folded.since.astimezone(UTC).date())[0])
    if not seals:
        return everything
    sealed = union(Slot(one.starts_at, one.ends_at) for one in seals)
    window = Slot(bounds(folded.since.astimezone(UTC).date())[0], sealed[-1].end + DAY)
    stored = _Stored(queries.stored_segments(session, device.id, window), queries.stored_sessions(session, device.id, window))
    shield = stored.shield(sealed)
    _Comparison(session, device, folded, seals, sealed, shield, stored, now).write()
    return _storable(folded, sealed, shield, stored)


def _storable(folded: Folded, sealed: Sequence[Slot], shield: Sequence[Slot], stored: "_Stored") -> Storable:
    kept = union(one.slot for one in stored.states() if _covers(sealed, one.slot.start, one.slot.end))
    states = without(put_over(folded.segments, sealed, stored.states()), kept)
    after = [Slot(folded.since, piece.slot.end) for piece in states[-1:] if piece.slot.end > folded.since]
    runs = [part for run in folded.runs for part in _outside(run, shield, folded)]
    return Storable(runs, joined(clipped(states, after)), shield, kept)


def _outside(run: Run, shield: Sequence[Slot], folded: Folded) -> list[Figures]:
    if run.start >= run.until:
        return [] if any(slot.start <= run.start < slot.end for slot in shield) else [figures(run)]
    return parts(run, subtract([Slot(run.start, run.until)], shield), folded.samples, folded.profiles)


def _covers(slots: Sequence[Slot], start: datetime, end: datetime) -> bool:
    return any(slot.start <= start and end <= slot.end for slot in slots)


@dataclass(frozen=True, slots=True)
class _Stored:
    """Rows of one device."""

    segments: Sequence[StateSegment]
    sessions: Sequence[UsageSession]

    def states(self) -> list[Segment]:
        return [Segment(Slot(row.starts_at, row.ends_at), row.state, row.bridged) for row in self.segments]

    def sealed_sessions(self, sealed: Sequence[Slot]) -> list[UsageSession]:
        """Those that have ended and lie in sealed time as a whole."""
        return [row for row in self.sessions if row.ends_at is not None and _covers(sealed, row.starts_at, row.until)]

    def shield(self, sealed: Sequence[Slot]) -> list[Slot]:
        """Sealed time of which the runs are sealed too: one that goes beyond is not, until the rest of it is."""
        stay = {row.id for row in self.sealed_sessions(sealed)}
        beyond = [row for row in self.sessions if row.id not in stay]
        end = sealed[-1].end
        reach = [(row.starts_at, row.until if row.ends_at else max(row.until, end)) for row in beyond]
        return subtract(sealed, [Slot(start, until) for start, until in reach if start < until])


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Of one fold with what is sealed of its device."""

    session: Session
    device: Device
    folded: Folded
    seals: Sequence[SealedStretch]
    sealed: Sequence[Slot]
    shield: Sequence[Slot]
    stored: _Stored
    now: datetime

    def write(self) -> None:
        """A record for each day that differs in another way than its last record says."""
        before = {row.day: row for row in queries.standing_of_device(self.session, self.device.id, self._first)}
        was, would_be = clipped(self.stored.states(), self.sealed), self._states(before.values())
        ran, would_run = self._ran(), self._would_run(before.values())
        differing = differences(was, would_be)
        runs = [one for one in {*ran, *would_run} if (one in ran) != (one in would_run) and one.slot]
        spans = [*differing, *(one.slot for one in runs if one.slot)]
        first = self.folded.since.astimezone(UTC).date()
        for day in sorted(day for day in {*before, *_days(spans)} if day >= first):
            whole = Slot(*bounds(day))
            stretch = _hull(spans, whole)
            last = before.get(day)
            place = stretch or (Slot(last.starts_at, last.ends_at) if last and last.differs else None)
            if place is None:
                continue
            pieces = intersect([place], self.sealed)
            documents = (
                as_document(clipped(was, pieces), _touching(ran, place)),
                as_document(clipped(would_be, pieces), _touching(would_run, place)),
            )
            self._record(day, place, pieces, documents, last, differs=stretch is not None)

    @property
    def _first(self) -> datetime:
        return bounds(self.folded.since.astimezone(UTC).date())[0]

    def _states(self, before: Iterable[Discrepancy]) -> list[Segment]:
        """What was put down already before the fold's first sample, then what the fold says."""
        earlier = self.stored.states()
        for row in before:
            earlier = put_over(earlier, sealed_in(row.would_be), segments_in(row.would_be))
        begin = self.folded.since
        known = [Slot(begin, self.folded.segments[-1].slot.end)] if self.folded.segments else []
        return clipped(put_over(earlier, known, self.folded.segments), self.sealed)

    def _ran(self) -> set[Figures]:
        return {queries.stored_figures(row) for row in self.stored.sealed_sessions(self.sealed)}

    def _would_run(self, before: Iterable[Discrepancy]) -> set[Figures]:
        since = self.folded.since
        earlier = {one for one in self._ran() if one.starts_at < since}
        for row in before:
            place = Slot(row.starts_at, row.ends_at)
            earlier = {one for one in earlier if not (one.slot and one.slot.overlaps(place))}
            earlier |= {one for one in sessions_in(row.would_be) if one.starts_at < since}
        now = [part for run in self.folded.runs for part in self._inside(run)]
        return {*earlier, *now}

    def _inside(self, run: Run) -> list[Figures]:
        if run.start >= run.until:
            return []
        pieces = intersect([Slot(run.start, run.until)], self.shield)
        return parts(run, pieces, self.folded.samples, self.folded.profiles)

    def _record(
        self, day: date, place: Slot, sealed: Sequence[Slot], documents: tuple[dict[str, Any], dict[str, Any]],
        last: Discrepancy | None, *, differs: bool,
    ) -> None:  # fmt: skip
        was, would_be = documents
        would_be = {**would_be, "sealed": [[one.start.isoformat(), one.end.isoformat()] for one in sealed]}
        if last and (last.was, last.would_be, last.differs) == (was, would_be, differs):
            return
        row = Discrepancy(
            id=new_id("dis"),
            device_id=self.device.id,
            resource_id=self.device.resource_id,
            day=day,
            number=last.number + 1 if last else 1,
            starts_at=place.start,
            ends_at=place.end,
            differs=differs,
            was=was,
            would_be=would_be,
            was_s=run_seconds(segments_in(was)),
            would_be_s=run_seconds(segments_in(would_be)),
            was_wh=_energy(was, day),
            would_be_wh=_energy(would_be, day),
            messages=self._messages(day, last),
            rests_on=[
                {"cause": one.cause.value, "id": one.cause_id}
                for one in self.seals
                if Slot(one.starts_at, one.ends_at).overlaps(place)
            ],
            found_at=self.now,
        )
        self.session.add(row)
        self.session.flush()

    def _messages(self, day: date, last: Discrepancy | None) -> dict[str, Any]:
        """What came after the seal and lies on that day in sealed time, with what the last record named."""
        whole, told = Slot(*bounds(day)), last.messages if last else {"count": 0, "first": None, "last": None, "digests": []}
        named = datetime.fromisoformat(told["last"]) if told["last"] else None
        late = {(one.received_at, one.payload) for one in self.folded.arrivals if self._came_late(one, whole)}
        times = sorted(at for at, _ in late)
        new = [at for at in times if named is None or at > named]
        found = dict(told["digests"]) | {digest: at.isoformat() for digest, at in self._named(new or times)}
        listed = sorted(found.items(), key=lambda one: (one[1], one[0]))[:MOST_MESSAGES]
        ends = {"first": told["first"] or new[0].isoformat(), "last": new[-1].isoformat()} if new else {}
        count = max(told["count"] + len(new), len(late))
        return {**told, **ends, "count": count, "digests": [list(one) for one in listed]}

    def _came_late(self, arrival: Arrival, day: Slot) -> bool:
        at, _ = placed_at(arrival, self.folded.profiles.at(arrival.received_at))
        return (
            at is not None
            and arrival.reading.channel is Channel.TELEMETRY
            and day.start <= at <= day.end
            and any(one.starts_at <= at <= one.ends_at and arrival.received_at > one.sealed_at for one in self.seals)
        )

    def _named(self, times: Sequence[datetime]) -> list[tuple[str, datetime]]:
        mine = select(RawMessage.digest, RawMessage.received_at).where(RawMessage.device_id == self.device.id)
        some = set(times[:MOST_MESSAGES])
        return [(digest, at) for digest, at in self.session.execute(mine.where(RawMessage.received_at.in_(some)))]


def _touching(runs: Iterable[Figures], place: Slot) -> list[Figures]:
    return [one for one in runs if one.slot and one.slot.overlaps(place)]


def _energy(document: Mapping[str, Any], day: date) -> int:
    """Of the runs that begin on the day, so that days add up."""
    return sum(one.energy_wh for one in sessions_in(document) if one.starts_at.date() == day)


def _hull(spans: Sequence[Slot], day: Slot) -> Slot | None:
    inside = [part for span in spans if (part := span.clip(day))]
    return Slot(min(one.start for one in inside), max(one.end for one in inside)) if inside else None


def _days(spans: Iterable[Slot]) -> set[date]:
    found: set[date] = set()
    for span in spans:
        day = span.start.astimezone(UTC).date()
        while bounds(day)[0] < span.end:
            found.add(day)
            day += DAY
    return found
