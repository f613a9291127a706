"""Who may do what: every role against every action, in the own house and in another's; what strangers may know of."""

import pytest
from sqlalchemy.orm import Session

from marketplace.catalogue.queries import get_visible, visible
from marketplace.people.queries import get_actor
from marketplace.permissions import NOBODY, Action, Actor, Grant, may, require
from marketplace.refusals import NotAllowed, NotFound, NotSignedIn
from marketplace.roles import INSTITUTION_ROLES, Role
from marketplace.tables import ListingState
from tests.builders import a_member, a_resource, an_institution, an_organisation

HOUSE, FIRM = "ins_own", "org_own"

MAY = {
    Role.OPERATOR: set(Action),
    Role.EVALUATOR: {Action.SEE_EVALUATION, Action.PUBLISH_EVALUATION},
    Role.MANAGER: {
        Action.MANAGE_INSTITUTION,
        Action.LIST_RESOURCES,
        Action.MANAGE_OUTAGES,
        Action.MANAGE_DEVICES,
        Action.DECIDE_BOOKINGS,
        Action.OVERRIDE_RULES,
        Action.REVIEW_USE,
        Action.TRAIN_PEOPLE,
        Action.HANDLE_MONEY,
        Action.SEE_EVALUATION,
    },
    Role.TECHNICIAN: {Action.MANAGE_OUTAGES, Action.MANAGE_DEVICES, Action.REVIEW_USE, Action.TRAIN_PEOPLE},
    Role.FINANCE: {Action.HANDLE_MONEY},
    Role.MEMBER: {Action.ANSWER_STATEMENTS},
}
EVERYTHING = [(role, action) for role in Role for action in Action]
HIDDEN = (ListingState.DRAFT, ListingState.RETIRED)


def an_actor(role: Role) -> Actor:
    """Someone with that one role, where such a role belongs."""
    if role in INSTITUTION_ROLES:
        return Actor("per_1", grants=frozenset({Grant(role, institution_id=HOUSE)}))
    if role is Role.MEMBER:
        return Actor("per_1", grants=frozenset({Grant(role, organisation_id=FIRM)}))
    return Actor("per_1", grants=frozenset({Grant(role)}))


@pytest.mark.parametrize(("role", "action"), EVERYTHING)
def test_a_role_allows_what_the_table_says_in_its_own_house(role: Role, action: Action) -> None:
    scope = {"organisation_id": FIRM} if action is Action.ANSWER_STATEMENTS else {"institution_id": HOUSE}
    assert may(an_actor(role), action, **scope) is (action in MAY[role])


@pytest.mark.parametrize(("role", "action"), EVERYTHING)
def test_a_role_in_one_house_allows_nothing_in_another(role: Role, action: Action) -> None:
    expected = role in {Role.OPERATOR, Role.EVALUATOR} and action in MAY[role]
    actor = an_actor(role)
    assert may(actor, action, institution_id="ins_other") is expected
    assert may(actor, action, organisation_id="org_other") is expected
    assert may(actor, action) is expected


def test_a_role_in_a_house_is_no_role_in_the_firm_of_the_same_id() -> None:
    actor = Actor("per_1", grants=frozenset({Grant(Role.MANAGER, institution_id="same")}))
    assert may(actor, Action.HANDLE_MONEY, institution_id="same")
    assert not may(actor, Action.HANDLE_MONEY, organisation_id="same")


@pytest.mark.parametrize("action", Action)
def test_nobody_is_asked_to_sign_in_first(action: Action) -> None:
    assert not may(NOBODY, action, institution_id=HOUSE)
    with pytest.raises(NotSignedIn):
        require(NOBODY, action, institution_id=HOUSE)


def test_a_refusal_names_the_action() -> None:
    with pytest.raises(NotAllowed) as refused:
        require(an_actor(Role.FINANCE), Action.LIST_RESOURCES, institution_id=HOUSE)
    assert refused.value.values == {"action": "list_resources"}


def test_rights_of_several_roles_add_up_and_stay_in_their_houses() -> None:
    grants = {Grant(Role.FINANCE, institution_id=HOUSE), Grant(Role.TECHNICIAN, institution_id="ins_two")}
    actor = Actor("per_1", grants=frozenset(grants))
    allowed = {(a, house) for a in Action for house in (HOUSE, "ins_two") if may(actor, a, institution_id=house)}
    assert allowed == {(a, HOUSE) for a in MAY[Role.FINANCE]} | {(a, "ins_two") for a in MAY[Role.TECHNICIAN]}
    assert actor.institutions() == {HOUSE, "ins_two"}
    assert actor.institutions(Role.TECHNICIAN) == {"ins_two"}


@pytest.mark.parametrize("state", HIDDEN)
@pytest.mark.parametrize("role", Role)
def test_what_a_house_does_not_show_exists_for_its_people_and_the_platforms_only(
    db: Session, role: Role, state: ListingState
) -> None:
    own, other = an_institution(db), an_institution(db)
    here, there = (a_resource(db, institution=house, state=state) for house in (own, other))
    scope = {"institution": own} if role in INSTITUTION_ROLES else {}
    person = a_member(db, role, **scope, organisation=an_organisation(db) if role is Role.MEMBER else None)
    actor = get_actor(db, person.id)
    platform = role in {Role.OPERATOR, Role.EVALUATOR}
    seen = {row.id for row in visible(db, actor, [here.id, there.id])}
    assert seen == ({here.id, there.id} if platform else {here.id} if role in INSTITUTION_ROLES else set())
    for resource in (here, there):
        if resource.id in seen:
            assert get_visible(db, actor, resource.id) is resource
        else:
            with pytest.raises(NotFound):
                get_visible(db, actor, resource.id)


def test_a_stranger_sees_what_is_published_or_paused(db: Session) -> None:
    rows = {state: a_resource(db, state=state) for state in ListingState}
    seen = {row.state for row in visible(db, NOBODY, [row.id for row in rows.values()])}
    assert seen == set(ListingState) - set(HIDDEN)
    with pytest.raises(NotFound) as hidden:
        get_visible(db, NOBODY, rows[ListingState.DRAFT].id)
    with pytest.raises(NotFound) as missing:
        get_visible(db, NOBODY, "res_none")
    assert hidden.value.values == missing.value.values
