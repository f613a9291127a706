"""Bookings as a calendar: the weeks of a month, or one week by the hour."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from marketplace.slot import Slot


@dataclass(frozen=True, slots=True)
class Entry:
    """A booking as a calendar shows it, at the wall clock of its equipment."""

    id: str
    name: str
    slot: Slot
    zone: str
    state: str


@dataclass(frozen=True, slots=True)
class Piece:
    """What of an entry lies on one day: whole, first, middle or last."""

    entry: Entry
    part: str


@dataclass(frozen=True, slots=True)
class Day:
    """A day of a month. Pieces keep their lane through a week, so a free lane in between is None."""

    day: date
    outside: bool
    """Of the month before or after."""
    today: bool
    pieces: Sequence[Piece | None]
    more: int
    """How many are not drawn."""
    url: str
    """The week by the hour."""


@dataclass(frozen=True, slots=True)
class Block:
    """An entry's stretch of one day by the hour: percentages across, pixels down."""

    entry: Entry
    part: str
    x: str
    width: str
    y: int
    height: int


@dataclass(frozen=True, slots=True)
class Hours:
    """A day by the hour."""

    day: date
    today: bool
    now_y: int | None
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class CalendarView:
    """A month or a week."""

    title: date
    last: date
    previous: str
    this: str
    following: str
    weekdays: Sequence[int]
    weeks: Sequence[Sequence[Day]] = ()
    hours: Sequence[Hours] = ()
    marks: Sequence[tuple[int, int]] = ()
    """Minutes of the wall clock that are labelled, with how far down."""
    height: int = 0
