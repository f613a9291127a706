"""For whom free time is sought: what a resource's rules see of them before they ask for anything."""

from dataclasses import dataclass

from booking.audience import Customer, Group


@dataclass(frozen=True, slots=True)
class Asker:
    """A person, and the organisation they would book for; at `houses` they book for the house itself.

    Who is not known yet, or may book for nobody, is seen as a new firm is.
    """

    person_id: str | None = None
    organisation_id: str | None = None
    group: Group | None = Group.INDUSTRY
    department_of: str | None = None
    """The institution whose department the organisation is."""
    houses: frozenset[str] = frozenset()

    def at(self, institution_id: str) -> Customer:
        """As a resource of that institution sees them."""
        if institution_id in self.houses:
            return Customer(None, Group.OWN)
        own = self.organisation_id is not None and self.department_of == institution_id
        return Customer(self.organisation_id, Group.OWN if own else self.group)


STRANGER = Asker()
