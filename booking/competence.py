"""What a booker must be qualified for when a use starts, and when somebody of the house must stand by."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from booking.entitled import PUBLISHER
from marketplace.refusals import Reason
from marketplace.slot import Slot


class Mode(StrEnum):
    """Whether an operator stands by at a use: never, where the booker asks for it, or always."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Assistance:
    """Who stands by: any of `operators`, all of the house's where none is named.

    Until somebody has completed `supervised_runs` assisted bookings of the resource, they have to book with assistance.
    """

    mode: Mode = Mode.NONE
    operators: frozenset[str] = frozenset()
    supervised_runs: int = 0

    def attends(self, *, wanted: bool) -> bool:
        """Whether an operator's time is claimed with the resource's."""
        return self.mode is Mode.REQUIRED or (wanted and self.mode is Mode.OPTIONAL)


NO_ASSISTANCE = Assistance()
CODES = frozenset(
    {
        "no_assistance_offered",
        "supervised_run_first",
        "qualification_expired",
        "qualification_too_low",
        "qualification_missing",
    }
)
"""Of every reason that `reasons` gives."""


@dataclass(frozen=True, slots=True)
class Need:
    """A qualification of at least `level`; `unless_assisted` needs it only where nobody stands by."""

    qualification_id: str
    level: int
    unless_assisted: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """A level of a qualification, held up to `until`, for ever where that is None."""

    qualification_id: str
    level: int
    until: datetime | None = None

    def at(self, instant: datetime) -> bool:
        return self.until is None or instant < self.until


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a booker: qualifications, completed supervised runs; and the qualifications' names."""

    held: Sequence[Held] = ()
    supervised: int = 0
    names: Mapping[str, str] = field(default_factory=dict)


def asked(needs: Iterable[Need], *, assisted: bool) -> list[Need]:
    """Those that count for a booking."""
    return [need for need in needs if not (assisted and need.unless_assisted)]


def reasons(needs: Iterable[Need], assistance: Assistance, record: Record, start: datetime, *, wanted: bool) -> list[Reason]:
    """Why the booker may not begin at `start`; `wanted` says that assistance was asked for."""
    found = []
    assisted = assistance.attends(wanted=wanted)
    if wanted and assistance.mode is Mode.NONE:
        found.append(Reason("no_assistance_offered", {}, PUBLISHER))
    if not assisted and record.supervised < assistance.supervised_runs:
        counts = {"runs": assistance.supervised_runs, "done": record.supervised}
        found.append(Reason("supervised_run_first", counts, PUBLISHER))
    for need in asked(needs, assisted=assisted):
        if reason := _lacking(need, record, start):
            found.append(reason)
    return found


def _lacking(need: Need, record: Record, start: datetime) -> Reason | None:
    own = [one for one in record.held if one.qualification_id == need.qualification_id]
    if any(one.level >= need.level and one.at(start) for one in own):
        return None
    values = {
        "qualification_id": need.qualification_id,
        "qualification": record.names.get(need.qualification_id, ""),
        "level": need.level,
    }
    ended = [one.until for one in own if one.level >= need.level and one.until]
    if ended:
        return Reason("qualification_expired", {**values, "expired_at": max(ended).isoformat()}, PUBLISHER)
    if lower := [one.level for one in own if one.at(start)]:
        return Reason("qualification_too_low", {**values, "held": max(lower)}, PUBLISHER)
    return Reason("qualification_missing", values, PUBLISHER)


def fit_in(needs: Iterable[Need], assistance: Assistance, record: Record, window: Slot, *, wanted: bool) -> Slot | None:
    """The part of `window` in which a use of the booker's may begin; None where there is none."""
    if reasons(needs, assistance, record, window.start, wanted=wanted):
        return None
    ends = [_until(need, record.held) for need in asked(needs, assisted=assistance.attends(wanted=wanted))]
    return window.clip(Slot(window.start, min([end for end in ends if end], default=window.end)))


def _until(need: Need, held: Collection[Held]) -> datetime | None:
    """When the last qualification that meets `need` ends; None: never."""
    meeting = [one.until for one in held if one.qualification_id == need.qualification_id and one.level >= need.level]
    return None if None in meeting else max(one for one in meeting if one)
