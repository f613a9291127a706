"""What stands of the customers of a request with many parts: read once for all of its time, and kept as parts are granted."""

from collections.abc import Collection
from dataclasses import replace

from sqlalchemy.orm import Session

from booking import quotas
from booking.audience import Group
from booking.places import Place
from booking.quotas import Tally, Use
from booking.rules import queries as rules
from marketplace.refusals import Reason
from marketplace.slot import Slot

Customer = tuple[str, str | None, Group | None]


class Standing:
    """Of a place between the first and the last part, the bookings `ignoring` left out; true while its rows are locked."""

    def __init__(self, session: Session, place: Place, *, reach: Slot, ignoring: Collection[str] = ()) -> None:
        self._session, self._place, self._reach, self._ignoring = session, place, reach, ignoring
        self._tallies: dict[Customer, Tally] = {}
        self._granted: list[Use] = []

    def over_quota(self, asked: Use) -> list[Reason]:
        """Each quota that a use inside the reach breaks beside what stands and was granted."""
        return self._tally(asked).reasons(asked)

    def grant(self, use: Use) -> None:
        """It counts for all that are judged after it."""
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
