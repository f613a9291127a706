"""Who may do what: roles with their scope, and one table of actions."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from marketplace.refusals import NotAllowed, NotSignedIn
from marketplace.roles import Role


class Action(StrEnum):
    MANAGE_PLATFORM = "manage_platform"
    MANAGE_INSTITUTION = "manage_institution"
    LIST_RESOURCES = "list_resources"
    MANAGE_OUTAGES = "manage_outages"
    MANAGE_DEVICES = "manage_devices"
    DECIDE_BOOKINGS = "decide_bookings"
    OVERRIDE_RULES = "override_rules"
    REVIEW_USE = "review_use"
    TRAIN_PEOPLE = "train_people"
    HANDLE_MONEY = "handle_money"
    SEE_EVALUATION = "see_evaluation"
    PUBLISH_EVALUATION = "publish_evaluation"
    ANSWER_STATEMENTS = "answer_statements"


ALLOWED: Mapping[Action, frozenset[Role]] = {
    Action.MANAGE_PLATFORM: frozenset(),
    Action.MANAGE_INSTITUTION: frozenset({Role.MANAGER}),
    Action.LIST_RESOURCES: frozenset({Role.MANAGER}),
    Action.MANAGE_OUTAGES: frozenset({Role.MANAGER, Role.TECHNICIAN}),
    Action.MANAGE_DEVICES: frozenset({Role.MANAGER, Role.TECHNICIAN}),
    Action.DECIDE_BOOKINGS: frozenset({Role.MANAGER}),
    Action.OVERRIDE_RULES: frozenset({Role.MANAGER}),
    Action.REVIEW_USE: frozenset({Role.MANAGER, Role.TECHNICIAN}),
    Action.TRAIN_PEOPLE: frozenset({Role.MANAGER, Role.TECHNICIAN}),
    Action.HANDLE_MONEY: frozenset({Role.MANAGER, Role.FINANCE}),
    Action.SEE_EVALUATION: frozenset({Role.EVALUATOR, Role.MANAGER}),
    Action.PUBLISH_EVALUATION: frozenset({Role.EVALUATOR}),
    Action.ANSWER_STATEMENTS: frozenset({Role.MEMBER}),
}
"""The platform's operator may do everything; an evaluator's role has no scope and reads across institutions."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role, in one institution, in one organisation, or platform-wide."""

    role: Role
    institution_id: str | None = None
    organisation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is asking. Nobody has a person_id of None and no grants."""

    person_id: str | None
    name: str = ""
    email: str = ""
    locale: str = "zh"
    grants: frozenset[Grant] = frozenset()

    @property
    def known_id(self) -> str:
        """Raises: NotSignedIn."""
        if self.person_id is None:
            raise NotSignedIn
        return self.person_id

    @property
    def is_operator(self) -> bool:
        return Grant(Role.OPERATOR) in self.grants

    @property
    def is_evaluator(self) -> bool:
        return Grant(Role.EVALUATOR) in self.grants

    def institutions(self, *roles: Role) -> frozenset[str]:
        """Where the actor has one of `roles` (any role if none is named)."""
        return frozenset(g.institution_id for g in self.grants if g.institution_id and (not roles or g.role in roles))

    @property
    def organisations(self) -> frozenset[str]:
        return frozenset(grant.organisation_id for grant in self.grants if grant.organisation_id)


NOBODY = Actor(None)


def may(actor: Actor, action: Action, *, institution_id: str | None = None, organisation_id: str | None = None) -> bool:
    """Whether a role of the actor allows `action` on something of that institution or organisation."""
    if actor.is_operator:
        return True
    scopes: set[tuple[str | None, str | None]] = {(institution_id, None), (None, organisation_id)}
    if institution_id or organisation_id:
        scopes.discard((None, None))
    return any(
        grant.role in ALLOWED[action]
        and ((grant.institution_id, grant.organisation_id) in scopes or grant.role is Role.EVALUATOR)
        for grant in actor.grants
    )


def require(actor: Actor, action: Action, *, institution_id: str | None = None, organisation_id: str | None = None) -> None:
    """Raises: NotSignedIn, NotAllowed."""
    if actor.person_id is None:
        raise NotSignedIn
    if not may(actor, action, institution_id=institution_id, organisation_id=organisation_id):
        raise NotAllowed(action=action.value)
