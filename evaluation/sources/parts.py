"""A reporting unit and the parts of it that do not report themselves: what they did is the unit's, once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evaluation.facts import Reservation


@dataclass(frozen=True, slots=True)
class Whole:
    """A unit with everything below it that is no unit of its own."""

    unit_id: str
    above: Mapping[str, str]
    """Each part with what it is directly a part of."""
    capacity: Mapping[str, int]
    """Of the unit and of each part."""
    lines: Sequence[str] = ()
    """Of what is shown although its line reports: those above it, whose bookings take it along."""

    @property
    def ids(self) -> tuple[str, ...]:
        return (self.unit_id, *self.above)

    def users_of(self, part_id: str) -> set[str]:
        """Those whose bookings take the part: itself, what it is a part of, and what is a part of it."""
        return {part_id, *self._way_up(part_id), *self.lines, *(one for one in self.above if part_id in self._way_up(one))}

    def _way_up(self, part_id: str) -> list[str]:
        found: list[str] = []
        while part_id != self.unit_id and (part_id := self.above[part_id]) not in found:
            found.append(part_id)
        return found

    def positions(self, part_id: str) -> int:
        """How many uses it has room for: those of its parts together, its own capacity where it has none."""
        below = [one for one, above in self.above.items() if above == part_id]
        return sum(self.positions(one) for one in below) or self.capacity[part_id]

    def bookings(self, found: Mapping[str, Sequence[Reservation]]) -> tuple[int, list[Reservation]]:
        """The unit's capacity, and all bookings that take it or a part of it, in order.

        Where a part was booked by itself, stations beside each other are parallel positions: whoever books the line takes all.
        """
        divided = any(found.get(part_id) for part_id in self.above)
        size = self.positions(self.unit_id) if divided else self.capacity[self.unit_id]
        every = [replace(one, qty=size) for line in self.lines for one in found.get(line, ())]
        for part_id in self.ids:
            whole = divided and part_id in self.above.values()
            every += [replace(one, qty=self.positions(part_id)) if whole else one for one in found.get(part_id, ())]
        return size, sorted(every, key=lambda one: (one.start, one.id))
