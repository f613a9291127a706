"""Who works for an institution, in which roles, and who is invited."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from marketplace.people import queries as people
from marketplace.permissions import Action, Actor, may
from marketplace.roles import Role
from marketplace.tables import Institution, Membership, Person
from web.i18n import translator
from web.labels import word
from web.present import names
from web.present.desk import menu
from web.views.desk import InvitationRow, MemberRow, MembersView
from web.views.frame import EMPTY_FORM, Choice, Form, Lang

ROLES = (Role.TECHNICIAN, Role.FINANCE, Role.MANAGER)
"""The one that may do least first."""


def members(
    session: Session,
    house: Institution,
    actor: Actor,
    *,
    lang: Lang,
    now: datetime,
    link: str | None = None,
    mailed: bool = False,
    form: Form = EMPTY_FORM,
) -> MembersView:
    translate = translator(lang)
    invited = [row for row in people.open_invitations(session, institution_id=house.id) if row.expires_at > now]
    return MembersView(
        scope="institution",
        name=names.name_of(house, lang),
        owner_id=house.id,
        members=_grouped(people.members_of_institution(session, house.id), actor),
        invitations=[InvitationRow(row.email, (row.role or Role.MEMBER).value, row.expires_at) for row in invited],
        roles=[Choice(role.value, word(translate, "role", role.value)) for role in ROLES],
        action=f"/{lang.value}/desk/members",
        can_invite=may(actor, Action.MANAGE_INSTITUTION, institution_id=house.id),
        zone=house.timezone,
        link=link,
        mailed=mailed,
        menu=menu(actor, house.id),
        form=form,
    )


def _grouped(rows: Sequence[tuple[Person, Membership]], actor: Actor) -> list[MemberRow]:
    """One row a person, with every role once."""
    found: dict[str, tuple[Person, list[str]]] = {}
    for person, membership in rows:
        roles = found.setdefault(person.id, (person, []))[1]
        if membership.role.value not in roles:
            roles.append(membership.role.value)
    return [MemberRow(person.name, person.email, roles, person.id == actor.person_id) for person, roles in found.values()]
