"""Every reason for a "no" that a resource's rules give, and the nearest slots they would allow."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from booking.audience import Welcome
from booking.availability import ALWAYS, MINUTE, Opening, judged, open_slots, wall_minute
from booking.competence import NO_ASSISTANCE, Assistance, Need
from booking.entitled import PUBLISHER
from booking.occupancy import Buffers
from booking.quotas import Quota
from marketplace.refusals import Reason
from marketplace.slot import Slot

ALTERNATIVES = 3
NO_BUFFERS = Buffers()
OFFER_FOR = timedelta(hours=1)
"""How long an offer to someone in the waiting list stands where the publisher says nothing."""


@dataclass(frozen=True, slots=True)
class Rules:
    """One version of what a publisher asks of a booking. Lengths in minutes unless they say otherwise."""

    hours: Opening = ALWAYS
    step_min: int = 1
    min_min: int = 1
    max_min: int = 31 * 24 * 60
    notice_min: int = 0
    horizon_days: int = 365
    buffers: Buffers = NO_BUFFERS
    by_request: bool = False
    """Bookings wait for the publisher's yes, those for `trusted` organisations excepted."""
    quotas: tuple[Quota, ...] = ()
    audience: tuple[Welcome, ...] = ()
    trusted: frozenset[str] = frozenset()
    decide_within: timedelta | None = None
    offer_for: timedelta = OFFER_FOR
    check_in_grace: timedelta | None = None
    """How long after the start one may still check in; None: to the end."""
    overtime: timedelta | None = None
    """How long an unbroken run past the end belongs to the booking; None: as long as devices ever allow."""
    buffers_in_closed: bool = True
    waive_own_buffers: bool = False
    pooled: bool = False
    qualifications: tuple[Need, ...] = ()
    assistance: Assistance = NO_ASSISTANCE

    @property
    def tests_bookers(self) -> bool:
        """Whether anything of the booker's record counts."""
        return bool(self.qualifications) or self.assistance is not NO_ASSISTANCE

    def asks(self, organisation_id: str | None) -> bool:
        """Whether a booking for that organisation waits for the publisher's yes."""
        return self.by_request and organisation_id not in self.trusted

    def decide_by(self, asked_at: datetime) -> datetime | None:
        """When a request of `asked_at` is over if nobody has answered; None: at its start."""
        return asked_at + self.decide_within if self.decide_within else None

    def check_in_by(self, slot: Slot) -> datetime:
        """From when on nobody can check in to `slot` any more."""
        return slot.end if self.check_in_grace is None else min(slot.start + self.check_in_grace, slot.end)

    def window(self, now: datetime) -> Slot:
        """When a slot may lie at all, seen from `now`."""
        earliest = now + timedelta(minutes=self.notice_min)
        return Slot(earliest, max(now + timedelta(days=self.horizon_days), earliest + timedelta(minutes=1)))


AT_MOST = Rules(max_min=366 * 24 * 60, horizon_days=5 * 366)


def eased(rules: Rules, codes: Collection[str]) -> Rules:
    """Without those limits of length, grid, horizon and hours that have such a code: where to look for what may break them."""
    changes: Mapping[str, dict[str, Any]] = {
        "too_short": {"min_min": AT_MOST.min_min},
        "too_long": {"max_min": AT_MOST.max_min},
        "off_step": {"step_min": AT_MOST.step_min},
        "beyond_horizon": {"horizon_days": AT_MOST.horizon_days},
        "outside_hours": {"hours": ALWAYS},
        "buffers_outside_hours": {"buffers_in_closed": True},
    }
    return replace(rules, **{name: value for code in codes for name, value in changes.get(code, {}).items()})


def bookable_hours(rules: Rules, zone: ZoneInfo, within: Slot) -> list[Slot]:
    """The parts of `within` in which a use may lie by the opening hours, with its buffers where those must be open too."""
    if rules.buffers_in_closed:
        return open_slots(rules.hours, zone, within)
    before, after = rules.buffers.setup, rules.buffers.cleaning
    opened = open_slots(rules.hours, zone, within.widen(before, after))
    cores = [Slot(span.start + before, span.end - after) for span in opened if span.duration > before + after]
    return [piece for core in cores if (piece := core.clip(within))]


def reasons(slot: Slot, *, rules: Rules, zone: ZoneInfo, opened: Sequence[Slot], now: datetime) -> list[Reason]:
    """All rules that `slot` breaks, in the order a person would mend them; empty where none does.

    `opened` is the open time around `slot`, as far as it is judged, and its buffers (booking.availability.open_slots).
    """
    in_hours = _of_hours(judged(slot), rules, opened)
    return [*_of_length(slot, rules), *_of_grid(slot, rules, zone), *_of_time(slot, rules, now), *in_hours]


def reasons_in_spite(slot: Slot, *, zone: ZoneInfo, now: datetime) -> list[Reason]:
    """What holds where a publisher sets the rules aside: whole minutes, a year, a few years ahead."""
    found = (*_of_length(slot, AT_MOST), *_of_grid(slot, AT_MOST, zone), *_of_time(slot, AT_MOST, now))
    return [Reason(reason.code, reason.values) for reason in found]


def _of_length(slot: Slot, rules: Rules) -> Iterable[Reason]:
    minutes = slot.seconds / 60
    if minutes < rules.min_min:
        yield Reason("too_short", {"min_min": rules.min_min}, PUBLISHER)
    if minutes > rules.max_min:
        yield Reason("too_long", {"max_min": rules.max_min}, PUBLISHER)


def _of_grid(slot: Slot, rules: Rules, zone: ZoneInfo) -> Iterable[Reason]:
    on_minute = slot.start.second == 0 and slot.start.microsecond == 0
    whole = slot.duration % timedelta(minutes=rules.step_min) == timedelta()
    if not (on_minute and whole and wall_minute(slot.start, zone) % rules.step_min == 0):
        yield Reason("off_step", {"step_min": rules.step_min}, PUBLISHER)


def _of_time(slot: Slot, rules: Rules, now: datetime) -> Iterable[Reason]:
    window = rules.window(now)
    if slot.start < now:
        yield Reason("starts_in_past")
    elif slot.start < window.start:
        yield Reason("too_soon", {"notice_min": rules.notice_min}, PUBLISHER)
    if slot.end > window.end:
        yield Reason("beyond_horizon", {"horizon_days": rules.horizon_days}, PUBLISHER)


def _of_hours(slot: Slot, rules: Rules, opened: Sequence[Slot]) -> Iterable[Reason]:
    whole = slot.widen(rules.buffers.setup, rules.buffers.cleaning)
    if not any(span.contains(slot) for span in opened):
        yield Reason("outside_hours", {}, PUBLISHER)
    elif not rules.buffers_in_closed and not any(span.contains(whole) for span in opened):
        lengths = {"setup_min": rules.buffers.setup // MINUTE, "cleaning_min": rules.buffers.cleaning // MINUTE}
        yield Reason("buffers_outside_hours", lengths, PUBLISHER)


def may_last(slot: Slot, rules: Rules) -> bool:
    """Whether the rules allow its length, wherever it lies."""
    return not any(_of_length(slot, rules)) and not slot.duration % timedelta(minutes=rules.step_min)


def alternatives(free: Sequence[Slot], wanted: Slot, *, rules: Rules, zone: ZoneInfo, now: datetime) -> list[Slot]:
    """Up to three slots of the same length inside `free`, nearest to `wanted` first, none overlapping another.

    Ties go to the later one. Empty where the length itself breaks a rule.
    """
    if not may_last(wanted, rules):
        return []
    window = rules.window(now)
    pieces = [piece for span in free if (piece := span.clip(window)) and piece.duration >= wanted.duration]
    found: list[Slot] = []
    chosen: list[Slot] = []
    for piece in sorted(pieces, key=lambda piece: abs(_nearest(piece, wanted) - wanted.start)):
        if len(chosen) == ALTERNATIVES and abs(chosen[-1].start - wanted.start) < abs(_nearest(piece, wanted) - wanted.start):
            break  # nothing in it or after it is as near
        found += _inside(piece, wanted, rules, zone)
        found.sort(key=lambda slot: (abs(slot.start - wanted.start), slot.start < wanted.start))
        chosen = _apart(found)
    return chosen


def _apart(found: Sequence[Slot]) -> list[Slot]:
    """The first that do not overlap each other."""
    chosen: list[Slot] = []
    for slot in found:
        if len(chosen) < ALTERNATIVES and not any(slot.overlaps(other) for other in chosen):
            chosen.append(slot)
    return chosen


def _nearest(piece: Slot, wanted: Slot) -> datetime:
    """Of all starts in a piece that is long enough, whatever the step."""
    return min(max(wanted.start, piece.start), piece.end - wanted.duration)


def _inside(piece: Slot, wanted: Slot, rules: Rules, zone: ZoneInfo) -> list[Slot]:
    """The nearest starts in `piece` that keep the step, and their neighbours one length away on either side."""
    nearest, last = _nearest(piece, wanted), piece.end - wanted.duration
    wishes = [nearest + n * wanted.duration for n in range(-(ALTERNATIVES - 1), ALTERNATIVES)]
    starts = {on_step(wish, rules.step_min, zone, piece.start, last) for wish in wishes if piece.start <= wish <= last}
    return [Slot(start, start + wanted.duration) for start in starts if start is not None]


def on_step(instant: datetime, step_min: int, zone: ZoneInfo, earliest: datetime, latest: datetime) -> datetime | None:
    """The nearest instant in `[earliest, latest]` on the grid that counts from local midnight; None if there is none."""
    floor = instant.replace(second=0, microsecond=0) - timedelta(minutes=wall_minute(instant, zone) % step_min)
    near = [floor + timedelta(minutes=step_min * n) for n in (0, 1, -1, 2)]
    fitting = [at for at in near if earliest <= at <= latest and wall_minute(at, zone) % step_min == 0]
    return min(fitting, key=lambda at: abs(at - instant), default=None)
