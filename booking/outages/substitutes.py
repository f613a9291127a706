"""Machines that may take a booking in place of one that is out of use: of its house, and like ones of other institutions."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from sqlalchemy import exists, select
from sqlalchemy.orm import Session, aliased

from booking.places import Place, load_places
from booking.tables import Booking
from marketplace.tables import ListingState, Resource

MOST_TRIED = 20
"""Machines that are tried for one booking, in its house and elsewhere."""
MOST_LOOKED_AT = 1000
"""Of its kind, among which like ones are sought."""
WORD = re.compile(r"(?=([\u4e00-\u9fff]{2}))|([^\W\d_\u4e00-\u9fff]{2,})")
Suits = Callable[[Booking, str], bool]
"""Whether a booking may go to that resource of another institution, which has prices, terms and ways to pay of its own."""


def at_home(_booking: Booking, _resource_id: str) -> bool:
    """Nothing goes to another institution."""
    return False


class Substitutes:
    """Of one plan: what is found for one booking is known for the next."""

    def __init__(self, session: Session, suits: Suits) -> None:
        self._session, self._suits = session, suits
        self._known: dict[tuple[str, bool], Sequence[Resource]] = {}
        self._places: dict[str, Place | None] = {}

    def of(self, place: Place, booking: Booking) -> Iterator[Place]:
        """Those of the house first, then those of others that grant the time without being asked."""
        yield from islice(self._like(place, booking, elsewhere=False), MOST_TRIED)
        if self._suits is at_home:
            return
        others = self._like(place, booking, elsewhere=True)
        firm, suits = booking.organisation_id, self._suits
        sure = (one for one in others if not one.rules.asks(firm) and suits(booking, one.resource_id))
        yield from islice(sure, MOST_TRIED)

    def _like(self, place: Place, booking: Booking, *, elsewhere: bool) -> Iterator[Place]:
        key = place.resource_id, elsewhere
        if key not in self._known:
            self._known[key] = like(self._session, self._session.get_one(Resource, place.resource_id), elsewhere=elsewhere)
        for one in self._known[key]:
            if one.capacity >= booking.quantity and (found := self._place(one.id)):
                yield found

    def _place(self, resource_id: str) -> Place | None:
        if resource_id not in self._places:
            self._places[resource_id] = load_places(self._session, [resource_id]).get(resource_id)
        return self._places[resource_id]


def like(session: Session, own: Resource, *, elsewhere: bool, only: str | None = None) -> Sequence[Resource]:
    """Published machines like `own` that cost no more, the nearest in price first; elsewhere its district before all.

    In its house any of its kind may stand in, tags permitting. Elsewhere it has the same chain and neither has stations, as
    nobody here knows those. With `only` that resource alone is looked at.
    """
    house = Resource.institution_id != own.institution_id if elsewhere else Resource.institution_id == own.institution_id
    asked = (
        select(Resource)
        .where(house, Resource.state == ListingState.PUBLISHED, Resource.kind == own.kind, Resource.id != own.id)
        .where(Resource.timezone == own.timezone, Resource.currency == own.currency, Resource.price_minor <= own.price_minor)
        .order_by(Resource.price_minor.desc(), Resource.id)
        .limit(MOST_LOOKED_AT)
    )
    if elsewhere:
        station = aliased(Resource)
        alone = ~exists().where(station.parent_id.in_([Resource.id, own.id]))
        asked = asked.where(Resource.chain.is_not_distinct_from(own.chain), alone)
    if only is not None:
        asked = asked.where(Resource.id == only)
    found = [one for one in session.scalars(asked) if _alike(own, one, named=elsewhere)]
    return sorted(found, key=lambda one: elsewhere and one.district != own.district)


def _alike(one: Resource, other: Resource, *, named: bool) -> bool:
    """With a tag in common; where neither has any, of one name but for its number, or of any where it need not be `named` so."""
    tags, others = _tags(one), _tags(other)
    if tags or others:
        return bool(tags & others)
    same = (_words(mine) == _words(theirs) != set() for mine, theirs in zip(_names(one), _names(other), strict=True))
    return not named or any(same)


def _tags(resource: Resource) -> set[str]:
    return {word for tag in resource.tags for word in tag.values()}


def _names(resource: Resource) -> tuple[str, str]:
    return resource.name, resource.name_en or ""


def _words(name: str) -> set[str]:
    """In Chinese every two characters, else runs of letters; numbers are none.

    >>> sorted(_words("XRD-2 衍射仪")), _words("Dryer B") == _words("dryer 12")
    (['xrd', '射仪', '衍射'], True)
    """
    return {match.group(1) or match.group(2) for match in WORD.finditer(name.casefold())}
