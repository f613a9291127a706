"""What other thresholds would have made of the last days, to be seen before they are saved. Nothing is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from devices import queries
from devices.discrepancies.queries import sealed_parts
from devices.folding import runs_of
from devices.placing import VALUE_KEPT
from devices.profile import Profile
from devices.tables import Device
from marketplace.slot import Slot, total, union

REACH = timedelta(days=7)
MOST_MESSAGES = 50_000
"""That are read for one look: seven days of one every twelve seconds."""


@dataclass(frozen=True, slots=True)
class Run:
    """A session as it is stored or as it would be; open ones reach to the last that was heard."""

    slot: Slot
    confirmed_s: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Runs that overlap each other, as they are and as they would be; either may be none."""

    now: Sequence[Run]
    then: Sequence[Run]

    @property
    def differs(self) -> bool:
        return list(self.now) != list(self.then)


@dataclass(frozen=True, slots=True)
class Foreseen:
    since: datetime
    stretches: Sequence[Stretch]
    """In order."""
    sealed: Sequence[Slot] = ()
    """Of the time since then, what bills and published figures rest on: it stays whatever is set."""

    @property
    def sealed_s(self) -> int:
        return round(total(self.sealed).total_seconds())


def foresee(session: Session, device: Device, profile: Profile, *, now: datetime) -> Foreseen:
    """The device's last days up to where it is folded; of one that says very much fewer of them."""
    most = queries.received_before_last(session, device.id, count=MOST_MESSAGES)
    begin = max(now - REACH, most) if most else now - REACH
    stable = queries.stable_point(session, device.id, profile, before=begin)
    since = max(stable, device.archived_until or stable)
    told = since - VALUE_KEPT - profile.span("stale_after")  # of several series each counts for a while
    messages = [*queries.births_of(session, device.id, before=told), *queries.messages_of(session, device.id, since=told)]
    stored = queries.sessions_alone(session, device.resource_id, within=Slot(since, now))
    present = [_run(one.starts_at, one.until, one.confirmed_s) for one in stored if one.device_id == device.id]
    other = [
        _run(one.start, one.until, int(one.confirmed_s)) for one in runs_of(messages, profile, until=device.folded_at or now)
    ]
    sealed = union(sealed_parts(session, device.resource_id, Slot(since, now)))
    return Foreseen(since, stretches(present, [run for run in other if run.slot.start >= since]), sealed)


def _run(start: datetime, until: datetime, confirmed_s: int) -> Run:
    return Run(Slot(start, max(until, start + timedelta(seconds=1))), confirmed_s)


def stretches(present: Sequence[Run], other: Sequence[Run]) -> list[Stretch]:
    """Both sides of each stretch in which runs of either side follow each other without a pause."""
    found: list[tuple[list[Run], list[Run]]] = []
    end: datetime | None = None
    both = [(run, 0) for run in present] + [(run, 1) for run in other]
    for run, side in sorted(both, key=lambda one: (one[0].slot.start, one[1])):
        if end is None or run.slot.start >= end:
            found.append(([], []))
            end = run.slot.end
        found[-1][side].append(run)
        end = max(end, run.slot.end)
    return [Stretch(*sides) for sides in found]
