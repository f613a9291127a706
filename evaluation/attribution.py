"""Which booking each second of use belongs to. Steps 4 to 8 of the definition of effective time; the order matters."""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from evaluation.facts import Attestation, Parameters, Reservation
from evaluation.spans import Span, clip, intersect, subtract, touching_left, touching_right, union


class Piece(NamedTuple):
    """Seconds that belong to the bookings `owners` (indices), together; nobody's where empty."""

    start: int
    end: int
    owners: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """Who holds the unit when: `cover` in order and disjoint; `contested` lost time to an earlier confirmed booking."""

    cover: Sequence[Piece]
    contested: frozenset[int]


@dataclass(frozen=True, slots=True)
class Effective:
    """Effective time: what telemetry confirms, and what provider and user attest where telemetry is silent."""

    confirmed: Sequence[Piece]
    attested: Sequence[Piece]


def holders(bookings: Sequence[Reservation], capacity: int) -> Held:
    """The bookings that hold the unit at each second.

    Where more is booked than fits, the earliest confirmed wins the time (then the earliest submitted, then the first by
    id, so that the order of the rows never matters); the others keep what is left of theirs.
    """
    priority = sorted(range(len(bookings)), key=lambda i: (_confirmed(bookings[i]), bookings[i].id))
    rank = {booking: place for place, booking in enumerate(priority)}
    edges = sorted(
        (instant, opens, rank[i])
        for i, booking in enumerate(bookings)
        if booking.stands
        for instant, opens in ((booking.start, True), (booking.end, False))
    )
    cover: list[Piece] = []
    active: list[int] = []
    contested: set[int] = set()
    since = 0
    for instant, opens, place in edges:
        if active and instant > since:
            admitted = _admit([priority[p] for p in active], bookings, capacity, contested)
            _append(cover, Piece(since, instant, admitted))
        since = instant
        if opens:
            insort(active, place)
        else:
            active.remove(place)
    return Held(cover, frozenset(contested))


def _confirmed(booking: Reservation) -> tuple[bool, int, bool, int]:
    decided, submitted = booking.decided_at, booking.submitted_at
    return decided is None, decided or 0, submitted is None, submitted or 0


def _admit(active: Sequence[int], bookings: Sequence[Reservation], capacity: int, contested: set[int]) -> tuple[int, ...]:
    free, admitted = capacity, []
    for i in active:
        if bookings[i].qty <= free:
            free -= bookings[i].qty
            admitted.append(i)
        else:
            contested.add(i)
    return tuple(sorted(admitted))


def _append(pieces: list[Piece], piece: Piece) -> None:
    if pieces and pieces[-1].end == piece.start and pieces[-1].owners == piece.owners:
        pieces[-1] = Piece(pieces[-1].start, piece.end, piece.owners)
    else:
        pieces.append(piece)


def merged_runs(run: Sequence[Span], idle: Sequence[Span], params: Parameters) -> list[Span]:
    """RUN with pauses of IDLE, and only IDLE, up to `merge_gap` joined; then results shorter than `min_run` dropped."""
    merged: list[Span] = []
    at = 0
    for start, end in run:
        if merged and start - merged[-1][1] <= params.merge_gap_s:
            gap_start = merged[-1][1]
            while at < len(idle) and idle[at][1] < start:
                at += 1
            if at < len(idle) and idle[at][0] <= gap_start and idle[at][1] >= start:
                merged[-1] = (merged[-1][0], end)
                continue
        merged.append((start, end))
    return [(start, end) for start, end in merged if end - start >= params.min_run_s]


def attribute(runs: Sequence[Span], held: Held, params: Parameters) -> tuple[list[Piece], list[Piece]]:
    """Runs cut by whom they belong to, and of these the ones inside bookings.

    Inside first; then what continues unbroken past the end; then what was begun early; the rest is nobody's.
    """
    owned: list[Piece] = []
    inside: list[Piece] = []
    cover = held.cover
    at = 0
    for start, end in runs:
        instant = start
        while instant < end:
            while at < len(cover) and cover[at].end <= instant:
                at += 1
            following = cover[at] if at < len(cover) else None
            if following and following.start <= instant:
                piece = Piece(instant, min(end, following.end), following.owners)
                inside.append(piece)
                owned.append(piece)
            else:
                gap_end = min(end, following.start) if following else end
                before = cover[at - 1] if at else None
                owned += _between((instant, gap_end), start, before, following, params)
            instant = owned[-1].end
    return owned, inside


def _between(span: Span, run_start: int, before: Piece | None, after: Piece | None, params: Parameters) -> Iterable[Piece]:
    """A stretch of a run between two bookings: overrun of the one before, nobody's, early use of the one after."""
    start, end = span
    late = early = start
    if before and before.end == start and run_start < start:
        late = min(end, start + params.overrun_max_s)
    early = max(late, min(end, after.start - params.early_grace_s)) if after else end
    if before and late > start:
        yield Piece(start, late, before.owners)
    if early > late:
        yield Piece(late, early, ())
    if after and end > early:
        yield Piece(early, end, after.owners)


def credited_idle(inside: Sequence[Piece], held: Held, idle: Sequence[Span], params: Parameters) -> list[Piece]:
    """IDLE that touches a booking's first run from the left and its last from the right: preparation and clean-up.

    Only inside the booking; a booking that ran only before its start or after its end earns none.
    """
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for piece in inside:
        for owner in piece.owners:
            first.setdefault(owner, piece.start)
            last[owner] = piece.end
    slots: dict[int, list[Span]] = defaultdict(list)
    for piece in held.cover:
        for owner in piece.owners:
            if owner in first:
                slots[owner].append((piece.start, piece.end))
    credited: list[Piece] = []
    for owner, pieces in slots.items():
        own = union(pieces)
        if before := touching_left(idle, first[owner]):
            credited += _credit(own, (max(before[0], first[owner] - params.prep_max_s), before[1]), owner)
        if after := touching_right(idle, last[owner]):
            credited += _credit(own, (after[0], min(after[1], last[owner] + params.post_max_s)), owner)
    return overlay(credited)


def _credit(own: Sequence[Span], span: Span, owner: int) -> list[Piece]:
    return [Piece(start, end, (owner,)) for start, end in clip(own, span)]


def attested(
    statements: Sequence[Attestation], bookings: Sequence[Reservation], held: Held, silent: Sequence[Span]
) -> list[Piece]:
    """Time that both sides signed for a standing booking, where telemetry is silent and no other booking holds the unit."""
    index = {booking.id: i for i, booking in enumerate(bookings) if booking.stands}
    signed: dict[int, list[Span]] = defaultdict(list)
    for row in statements:
        if row.provider_signed and row.user_signed and row.booking_id in index:
            signed[index[row.booking_id]].append((row.start, row.end))
    pieces: list[Piece] = []
    for owner, spans in signed.items():
        wanted = union(spans)
        others = _held_by_others(held.cover, owner, wanted)
        pieces += [Piece(start, end, (owner,)) for start, end in subtract(intersect(wanted, silent), others)]
    return overlay(pieces)


def _held_by_others(cover: Sequence[Piece], owner: int, wanted: Sequence[Span]) -> list[Span]:
    near = cover[max(0, bisect_left(cover, (wanted[0][0],)) - 1) : bisect_left(cover, (wanted[-1][1],))]
    return [(piece.start, piece.end) for piece in near if owner not in piece.owners]


def overlay(pieces: Iterable[Piece]) -> list[Piece]:
    """The same seconds as disjoint pieces in order, each with all who own it.

    >>> overlay([Piece(0, 5, (1,)), Piece(3, 9, (2,))])
    [Piece(start=0, end=3, owners=(1,)), Piece(start=3, end=5, owners=(1, 2)), Piece(start=5, end=9, owners=(2,))]
    """
    edges = sorted(
        (instant, opens, owner)
        for piece in pieces
        for owner in piece.owners
        for instant, opens in ((piece.start, True), (piece.end, False))
    )
    laid: list[Piece] = []
    depth: dict[int, int] = defaultdict(int)
    since = 0
    for instant, opens, owner in edges:
        if depth and instant > since:
            _append(laid, Piece(since, instant, tuple(sorted(depth))))
        since = instant
        depth[owner] += 1 if opens else -1
        if not depth[owner]:
            del depth[owner]
    return laid
