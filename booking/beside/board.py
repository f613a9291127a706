"""Claims in memory while bookings come and go: where one customer's touch, their buffers go, and come back when one leaves."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from booking.occupancy import LONGEST_BUFFER, Ledger, Taken
from booking.waiving import Beside, regrown, trim
from marketplace.slot import Slot


@dataclass(frozen=True, slots=True)
class Holder:
    """A booking that holds time, whose it is, and the version of rules whose buffers it claims."""

    slot: Slot
    organisation_id: str | None
    rules_id: str


class Key(NamedTuple):
    """What tells a claim from all others that are active."""

    resource_id: str
    owner: str
    unit: int
    lane: int


class Board:
    """The claims of some resources in a stretch of time, and who holds them; true while the resources' rows are locked.

    Without holders no buffer is waived.
    """

    def __init__(self, claims: Mapping[str, Iterable[Taken]], holders: Mapping[str, Holder]) -> None:
        self._ledger = Ledger(claims)
        self.holders: dict[str, Holder] = {}
        """Bookings by id."""
        self._begin: dict[tuple[str | None, datetime], set[str]] = defaultdict(set)
        self._end: dict[tuple[str | None, datetime], set[str]] = defaultdict(set)
        self.changed: dict[Key, Slot] = {}
        """What claims have become that lay otherwise before."""
        for owner, holder in holders.items():
            self.hold(owner, holder)

    def around(self, resource_ids: Iterable[str], slot: Slot) -> dict[str, list[Taken]]:
        """By resource the claims that matter to a use of `slot`."""
        return self._ledger.around(resource_ids, slot.widen(LONGEST_BUFFER, LONGEST_BUFFER))

    def beside(self, slot: Slot, organisation_id: str | None) -> Beside:
        """The organisation's bookings that end as `slot` begins or begin as it ends."""
        ending, beginning = (organisation_id, slot.start), (organisation_id, slot.end)
        return Beside(before=self._end.get(ending, ()), after=self._begin.get(beginning, ()))

    def put(self, owner: str, slot: Slot, organisation_id: str | None, claims: Mapping[Key, Slot]) -> dict[Key, Slot]:
        """Take `claims` for a use of `slot`, less the buffers towards the customer's own on the same units: what is left of them.

        The buffers of those towards it are given up.
        """
        beside = self.beside(slot, organisation_id)
        own = {*beside.before, *beside.after}
        met: set[tuple[str, int, bool]] = set()
        units = {(key.resource_id, key.unit) for key in claims}
        for resource_id in {key.resource_id for key in claims} if own else ():
            for claim in self.around([resource_id], slot)[resource_id]:
                if (resource_id, claim.unit) in units and claim.owner in own:
                    met.add((resource_id, claim.unit, claim.owner in beside.before))
                    self._resize(resource_id, claim, trim(claim, slot, beside).slot)
        left = {key: _less(key, span, slot, met) for key, span in claims.items()}
        for key, span in left.items():
            self._ledger.add(key.resource_id, Taken(owner, key.unit, key.lane, span))
        return left

    def hold(self, owner: str, holder: Holder) -> None:
        """It is one of its customer's bookings from now on."""
        self.holders[owner] = holder
        self._begin[holder.organisation_id, holder.slot.start].add(owner)
        self._end[holder.organisation_id, holder.slot.end].add(owner)

    def leave(self, owner: str, resource_id: str, wanted: Mapping[str, Sequence[Slot]]) -> None:
        """Release what `owner` has of it; what the same customer's claims gave up towards it comes back, as far as there is room.

        `wanted` is what each holder claims by the rules of its acceptance, a span a lane. Between two of one customer that are
        then close to each other the whole gap is claimed.
        """
        mine = self.holders[owner]
        claims = self.around([resource_id], mine.slot)[resource_id]
        left = [claim for claim in claims if claim.owner == owner]
        for claim in left:
            self._ledger.remove(resource_id, claim)
        present = [claim for claim in claims if claim.owner != owner]
        met = _met(left, present)
        for number, claim in enumerate(present):
            holder = self.holders.get(claim.owner)
            if claim.owner in met and holder and holder.organisation_id == mine.organisation_id:
                spans, unit = wanted[claim.owner], [other for other in present if other.unit == claim.unit]
                whole = spans[claim.lane] if claim.lane < len(spans) else claim.slot
                present[number] = self._resize(resource_id, claim, regrown(claim, whole, unit))

    def _resize(self, resource_id: str, claim: Taken, span: Slot) -> Taken:
        if span == claim.slot:
            return claim
        self._ledger.remove(resource_id, claim)
        resized = claim._replace(slot=span)
        self._ledger.add(resource_id, resized)
        self.changed[Key(resource_id, claim.owner, claim.unit, claim.lane)] = span
        return resized


def _met(left: Sequence[Taken], others: Sequence[Taken]) -> set[str]:
    """The owners of claims that end where one of `left` begins on their unit, or begin where it ends."""
    starts = {(claim.unit, claim.slot.start) for claim in left}
    ends = {(claim.unit, claim.slot.end) for claim in left}
    return {claim.owner for claim in others if (claim.unit, claim.slot.end) in starts or (claim.unit, claim.slot.start) in ends}


def _less(key: Key, span: Slot, slot: Slot, met: set[tuple[str, int, bool]]) -> Slot:
    start = max(span.start, slot.start) if (key.resource_id, key.unit, True) in met else span.start
    end = min(span.end, slot.end) if (key.resource_id, key.unit, False) in met else span.end
    return Slot(start, end)
