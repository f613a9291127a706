"""Checks a folder of evidence offline: seals, proofs, messages, and that the sessions are what the messages fold to."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path

from devices.evidence import folder, merkle
from devices.evidence.folder import About, Claimed, Held, Said, SignedSeal
from devices.evidence.keys import is_signed
from devices.evidence.records import FIRST, bounds, instant, message_leaf
from devices.folding import runs_of
from devices.profile import Profile
from devices.readings import Envelope
from devices.sessions import SessionState

MOST_PROBLEMS = 200
"""Told at most: a folder that is wrong in more places is simply another one."""
_Record = tuple[str, date, int]


@dataclass(frozen=True, slots=True)
class Verified:
    """What was checked, and every problem, a sentence each."""

    problems: list[str]
    keys: list[str]
    """That signed; to be compared with those that the platform publishes."""
    seals: int
    messages: int
    sessions: int


def verify(directory: Path, *, key: str | None = None) -> Verified:
    """With `key` no other one may have signed. Raises: NoEvidence (no such folder, a line that cannot be read)."""
    about = folder.read_about(directory)
    seals = list(folder.read_seals(directory))
    days, claims = list(folder.read_days(directory)), list(folder.read_sessions(directory))
    said: dict[_Record, list[Said]] = defaultdict(list)
    for one in folder.read_messages(directory):
        said[one.device_id, one.day, one.number].append(one)
    checks = (_chain(seals, key), _records(seals, days, said), _covered(about, seals, days), _sessions(about, said, claims))
    problems = [problem for check in checks for _, problem in zip(range(MOST_PROBLEMS), check, strict=False)]
    signed_by = list(dict.fromkeys(one.seal.key for one in seals))
    return Verified(problems[:MOST_PROBLEMS], signed_by, len(seals), sum(map(len, said.values())), len(claims))


def _chain(seals: Sequence[SignedSeal], key: str | None) -> Iterator[str]:
    before = FIRST
    for number, one in enumerate(seals, start=1):
        seal = one.seal
        if seal.number != number:
            yield f"seal {number} is missing: {seal.number} stands in its place"
            return
        if seal.previous != before:
            yield f"seal {number} is not tied to the one before it"
        if not is_signed(seal, one.signature):
            yield f"seal {number} of {seal.day} is not signed by the key it names"
        if key is not None and seal.key != key.strip().lower():
            yield f"seal {number} of {seal.day} is signed by another key than {key.strip().lower()[:16]}..."
        before = seal.digest()
    for one, after in pairwise(seals):
        if (after.seal.day - one.seal.day).days != 1:
            yield f"between seal {one.seal.number} and {after.seal.number} lies more or less than a day"


def _records(seals: Sequence[SignedSeal], days: Sequence[Held], said: Mapping[_Record, Sequence[Said]]) -> Iterator[str]:
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
        if seal is None:
            yield f"{_named(name)}: seal {one.seal} is not here"
            continue
        found = merkle.root_by(one.path, record.leaf(), index=one.index, size=seal.records)
        if found is None or found.hex() != seal.root:
            yield f"{_named(name)}: it is not in seal {seal.number} of {seal.day}"


def _named(name: _Record) -> str:
    device_id, day, number = name
    return f"device {device_id}, {day}" + (f", record {number}" if number > 1 else "")


def _covered(about: About, seals: Sequence[SignedSeal], days: Sequence[Held]) -> Iterator[str]:
    """Records of one device and day are numbered without a hole, and what is told to be heard is sealed."""
    numbers: dict[tuple[str, date], list[int]] = defaultdict(list)
    for one in days:
        numbers[one.record.device_id, one.record.day].append(one.record.number)
        if one.record.device_id not in about.thresholds:
            yield f"device {one.record.device_id} is in no list of {folder.ABOUT}"
    for (device_id, day), found in sorted(numbers.items()):
        if sorted(found) != list(range(1, len(found) + 1)):
            yield f"device {device_id}, {day}: of its records {sorted(found)} are here"
    if seals and bounds(seals[-1].seal.day)[1] < about.heard_until:
        yield f"messages up to {instant(about.heard_until)} are told, sealed is up to {seals[-1].seal.day}"


def _sessions(about: About, said: Mapping[_Record, Sequence[Said]], claims: Sequence[Claimed]) -> Iterator[str]:
    messages: dict[str, list[Envelope]] = defaultdict(list)
    for (device_id, _, _), some in said.items():
        messages[device_id] += [one.message for one in some]
    for device_id, versions in about.thresholds.items():
        folded = [
            (since, set(refold(device_id, messages[device_id], profile, until=about.heard_until))) for since, profile in versions
        ]
        mine = [claim for claim in claims if claim.device_id == device_id]
        yield from (_denied(claim) for claim in mine if not any(claim in found for _, found in _in_force(folded, claim)))
        last = max((claim.end for claim in mine), default=about.since)
        yield from _left_out(about, folded, mine, last)
    for claim in claims:
        if claim.device_id not in about.thresholds:
            yield f"device {claim.device_id} has sessions and no thresholds"


_Folded = Sequence[tuple[datetime, set[Claimed]]]


def _in_force(folded: _Folded, claim: Claimed) -> _Folded:
    """By the thresholds at its start, and by later ones: what was folded anew was folded by them."""
    place = max((number for number, (since, _) in enumerate(folded) if since <= claim.start), default=0)
    return folded[place:]


def _left_out(about: About, folded: _Folded, mine: Sequence[Claimed], last: datetime) -> Iterator[str]:
    """Use that the messages show before the last session, and that no session tells of."""
    for number, (since, found) in enumerate(folded):
        until = folded[number + 1][0] if number + 1 < len(folded) else last
        for run in sorted(found, key=lambda one: one.start):
            within = max(since if number else about.since, about.since) <= run.start and run.end <= min(until, last)
            if within and not any(claim.start < run.end and run.start < claim.end for claim in mine):
                yield f"device {run.device_id}: the messages show use from {instant(run.start)}, and no session tells of it"


def _denied(claim: Claimed) -> str:
    span = f"{instant(claim.start)} to {instant(claim.end)}, {claim.confirmed_s} s confirmed, {claim.energy_wh} Wh"
    return f"device {claim.device_id}: the messages do not come to the session {span}"


def refold(device_id: str, messages: Iterable[Envelope], profile: Profile, *, until: datetime) -> list[Claimed]:
    """The sessions that are over by `until`, as they would be stored."""
    return [
        Claimed(
            device_id, run.start, run.end, int(run.confirmed_s), int(run.unverified_s), round(run.energy_wh),
            run.end_reason.value if run.end_reason else "", tuple(run.flags),
        )
        for run in runs_of(messages, profile, until=until)
        if run.end is not None and run.state is SessionState.CLOSED
    ]  # fmt: skip
