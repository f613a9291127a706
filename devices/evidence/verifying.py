"""Checks a folder of evidence offline: seals, proofs, messages, and that the sessions are what the messages fold to."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from devices.evidence import folder, merkle
from devices.evidence.folder import About, Claimed, Held, Said
from devices.evidence.keys import broken
from devices.evidence.records import SignedSeal, bounds, instant, message_leaf, thresholds_digest
from devices.folding import runs_of
from devices.profile import InForce
from devices.readings import Envelope
from devices.sessions import SessionState

MOST_PROBLEMS = 200
"""Told at most: a folder that is wrong in more places is simply another one."""
BEFORE = timedelta(days=2)
"""So many days before the span are read along: a run that was on before it begins there, and what came late has its place."""
_Record = tuple[str, date, int]


@dataclass(frozen=True, slots=True)
class Verified:
    """What was checked, and every problem, a sentence each."""

    problems: list[str]
    keys: list[str]
    """That signed; to be compared, as is `last_seal`, with what the platform publishes."""
    last_seal: str
    since: str
    until: str
    seals: int
    messages: int
    sessions: int


def verify(directory: Path, *, keys: Sequence[str] = ()) -> Verified:
    """With `keys` no other ones may have signed. Raises: NoEvidence (no such folder, a line that cannot be read)."""
    about = folder.read_about(directory)
    seals = list(folder.read_seals(directory))
    days, claims = list(folder.read_days(directory)), list(folder.read_sessions(directory))
    said: dict[_Record, list[Said]] = defaultdict(list)
    for one in folder.read_messages(directory):
        said[one.device_id, one.day, one.number].append(one)
    checks = (
        _bounds(about, claims),
        _chain(seals, [key.strip().lower() for key in keys]),
        _records(about, seals, days, said),
        _complete(about, days),
        _sessions(about, said, claims),
    )
    problems = [problem for check in checks for _, problem in zip(range(MOST_PROBLEMS), check, strict=False)]
    last = seals[-1].seal if seals else None
    return Verified(
        problems[:MOST_PROBLEMS],
        list(dict.fromkeys(one.seal.key for one in seals)),
        f"{last.number} of {last.day}: {last.digest()}" if last else "",
        instant(about.since),
        instant(about.until),
        len(seals),
        sum(map(len, said.values())),
        len(claims),
    )


def _bounds(about: About, claims: Sequence[Claimed]) -> Iterator[str]:
    moments = (about.since, about.until, about.heard_until)
    if any(one != bounds(one.date())[0] for one in moments) or not about.since < about.until <= about.heard_until:
        yield f"{folder.ABOUT}: since, until and heard_until are no days in this order"
    if not about.versions:
        yield f"{folder.ABOUT}: there is no device"
    for device_id, versions in about.versions.items():
        if not versions:
            yield f"device {device_id}: there are no thresholds"
        mine = sorted((one for one in claims if one.device_id == device_id), key=lambda one: one.start)
        for one, after in pairwise(mine):
            if after.start < one.end:
                yield f"device {device_id}: the session from {instant(after.start)} begins before the one before it is over"
    for one in claims:
        if one.device_id not in about.versions:
            yield f"device {one.device_id} has sessions and no thresholds"
        elif not about.since <= one.start < about.until:
            yield f"device {one.device_id}: the session from {instant(one.start)} does not lie in the span that is claimed"


def _chain(seals: Sequence[SignedSeal], keys: Sequence[str]) -> Iterator[str]:
    if not seals:
        yield "there is no seal"
    yield from broken(seals)
    for one in seals:
        if keys and one.seal.key not in keys:
            yield f"seal {one.seal.number} of {one.seal.day} is signed by another key, {one.seal.key}"
    for one, after in pairwise(seals):
        if (after.seal.day - one.seal.day).days != 1:
            yield f"between seal {one.seal.number} and {after.seal.number} lies more or less than a day"


def _records(
    about: About, seals: Sequence[SignedSeal], days: Sequence[Held], said: Mapping[_Record, Sequence[Said]]
) -> Iterator[str]:
    known = {one.seal.number: one.seal for one in seals}
    held = {(one.record.device_id, one.record.day, one.record.number): one for one in days}
    for name in said.keys() - held.keys():
        yield f"{_named(name)}: there are messages and no record"
    for name, one in sorted(held.items()):
        record, seal = one.record, known.get(one.seal)
        leaves = [message_leaf(record.device_id, message.message) for message in said.get(name, [])]
        if len(leaves) != record.count:
            yield f"{_named(name)}: {len(leaves)} messages are here, {record.count} were recorded"
        elif merkle.root(leaves).hex() != record.root:
            yield f"{_named(name)}: the messages are not those that were recorded, or in another order"
        start, end = bounds(record.day)
        if not all(start <= message.message.received_at < end for message in said.get(name, [])):
            yield f"{_named(name)}: a message was not received on that day"
        if record.thresholds != thresholds_digest(about.versions.get(record.device_id, ()), record.day):
            yield f"{_named(name)}: the thresholds are not those that were sealed with it"
        if seal is None:
            yield f"{_named(name)}: seal {one.seal} is not here"
            continue
        found = merkle.root_by(one.path, record.leaf(), index=one.index, size=seal.records)
        if found is None or found.hex() != seal.root:
            yield f"{_named(name)}: it is not in seal {seal.number} of {seal.day}"


def _named(name: _Record) -> str:
    device_id, day, number = name
    return f"device {device_id}, {day}" + (f", record {number}" if number > 1 else "")


def _complete(about: About, days: Sequence[Held]) -> Iterator[str]:
    for device_id in about.versions:
        mine = sorted(
            (one for one in days if one.record.device_id == device_id), key=lambda one: (one.record.day, one.record.number)
        )
        numbers: dict[date, list[int]] = defaultdict(list)
        for one in mine:
            numbers[one.record.day].append(one.record.number)
        first, last = _window(numbers, about.heard_until.date())
        for day, found in numbers.items():
            if found != list(range(1, len(found) + 1)):
                yield f"device {device_id}, {day}: of its records {found} are here"
        if first is None:
            yield f"device {device_id}: there is no record of {last}"
        else:
            yield from _totals(about, device_id, [one for one in mine if one.record.day >= first])


def _window(numbers: Mapping[date, object], end: date) -> tuple[date | None, date]:
    """The first of the days that follow each other without a gap up to the last, and the last."""
    last = end - timedelta(days=1)
    day = last
    while day in numbers:
        day -= timedelta(days=1)
    return (None if day == last else day + timedelta(days=1)), last


def _totals(about: About, device_id: str, mine: Sequence[Held]) -> Iterator[str]:
    """Each record counts those before it: nothing lies between two days, and nothing before the first that matters."""
    begin = mine[0].record
    if begin.day > about.since.date() - BEFORE and begin.total != begin.count:
        yield f"device {device_id}: the days before {begin.day} are not here, and it had spoken by then"
    own = [one for one in mine if one.record.number == 1]
    for one, after in pairwise(own):
        late = sum(other.record.count for other in mine if other.seal == after.seal and other.record.number > 1)
        whole = after.record.day >= begin.day + BEFORE or begin.total == begin.count
        if whole and after.record.total != one.record.total + late + after.record.count:
            yield f"device {device_id}, {after.record.day}: messages that were stored late are not here"


def _sessions(about: About, said: Mapping[_Record, Sequence[Said]], claims: Sequence[Claimed]) -> Iterator[str]:
    """Folded anew, each session is one of the messages', and each of the messages' is told that was over in time."""
    messages: dict[str, list[Envelope]] = defaultdict(list)
    for (device_id, _, _), some in said.items():
        messages[device_id] += [one.message for one in some]
    for device_id in filter(about.versions.get, about.versions):
        found = refold(device_id, messages[device_id], about.profiles(device_id), until=about.heard_until)
        mine, settled = {claim for claim in claims if claim.device_id == device_id}, about.settled(device_id)
        yield from (_denied(claim) for claim in sorted(mine - set(found), key=lambda one: one.start))
        for run in found:
            if about.since <= run.start < about.until and run.end <= settled and not any(_overlaps(run, one) for one in mine):
                yield f"device {device_id}: the messages show use from {instant(run.start)}, and no session tells of it"


def _overlaps(run: Claimed, other: Claimed) -> bool:
    return other.start < run.end and run.start < other.end


def _denied(claim: Claimed) -> str:
    span = f"{instant(claim.start)} to {instant(claim.end)}, {claim.confirmed_s} s confirmed, {claim.energy_wh} Wh"
    return f"device {claim.device_id}: the messages do not come to the session {span}"


def refold(device_id: str, messages: Iterable[Envelope], profiles: InForce, *, until: datetime) -> list[Claimed]:
    """The sessions that are over by `until`, as they would be stored."""
    return [
        Claimed(
            device_id, run.start, run.end, int(run.confirmed_s), int(run.unverified_s), round(run.energy_wh),
            run.end_reason.value if run.end_reason else "", tuple(run.flags),
        )
        for run in runs_of(messages, profiles, until=until)
        if run.end is not None and run.state is SessionState.CLOSED
    ]  # fmt: skip
