"""What stands of the customers of a request with many parts: read once for all of its time, and kept as parts are granted."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from sqlalchemy.orm import Session

from booking import queries, quotas
from booking.audience import Group
from booking.beside.board import Board, Holder, Key
from booking.beside.queries import holders
from booking.places import Place
from booking.queries import Claims
from booking.quotas import Tally, Use
from booking.rules import queries as rules
from booking.waiving import Beside
from marketplace.refusals import Reason
from marketplace.slot import Slot

Customer = tuple[str, str | None, Group | None]


class Standing:
    """Of a place between the first and the last part, the bookings `ignoring` left out; true while its rows are locked."""

    def __init__(self, session: Session, place: Place, *, reach: Slot, ignoring: Collection[str] = ()) -> None:
        self._session, self._place, self._reach, self._ignoring = session, place, reach, ignoring
        self._tallies: dict[Customer, Tally] = {}
        self._granted: list[Use] = []
        claims = queries.taken(session, place.claimed, within=reach, ignoring=ignoring)
        waives = place.rules.waive_own_buffers
        self._board = Board(claims, holders(session, place.claimed, reach=reach, ignoring=ignoring) if waives else {})

    def around(self, slot: Slot) -> Claims:
        """The claims that matter to a use of `slot`, those of what was granted with them."""
        return self._board.around(self._place.claimed, slot)

    def beside(self, slot: Slot, organisation_id: str | None) -> Beside:
        """The organisation's bookings that touch `slot`, and what it was granted there."""
        return self._board.beside(slot, organisation_id)

    def over_quota(self, asked: Use) -> list[Reason]:
        """Each quota that a use inside the reach breaks beside what stands and was granted."""
        return self._tally(asked).reasons(asked)

    def grant(self, owner: str, use: Use, spans: Mapping[tuple[str, int], Sequence[Slot]]) -> None:
        """It counts for all that are judged after it, under that name; `spans` of each unit of a resource, one a lane."""
        claims = {Key(at, owner, unit, lane): span for (at, unit), one in spans.items() for lane, span in enumerate(one)}
        self._board.put(owner, use.slot, use.organisation_id, claims)
        if self._place.rules.waive_own_buffers:
            self._board.hold(owner, Holder(use.slot, use.organisation_id, self._place.rules_id))
        self._granted.append(use)
        for (_, _, group), tally in self._tallies.items():
            tally.add(replace(use, group=group))

    def _tally(self, asked: Use) -> Tally:
        customer = (asked.person_id, asked.organisation_id, asked.group)
        if customer not in self._tallies:
            own = [replace(use, group=asked.group) for use in self._granted]
            self._tallies[customer] = Tally(self._place.rules.quotas, [*self._read(asked), *own], self._place.zone)
        return self._tallies[customer]

    def _read(self, asked: Use) -> list[Use]:
        of_place, zone = self._place.rules.quotas, self._place.zone
        return rules.uses_of(
            self._session,
            self._place.resource_id,
            asked,
            within=quotas.reach(of_place, self._reach, zone),
            ignoring=self._ignoring,
            groups=quotas.groups_of(of_place, asked),
        )
