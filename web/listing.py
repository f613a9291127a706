"""Joins what a listing is made of on three floors: the listing, its rules and its policy, in one transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from billing import actions as billing
from booking.lines import actions as lines
from booking.rules import actions as rules
from booking.rules.actions import Further, RuleSet
from marketplace.catalogue import actions as catalogue
from marketplace.catalogue.actions import Listing
from marketplace.tables import Resource


def open_resource(
    session: Session,
    *,
    institution_id: str,
    listing: Listing,
    rules_set: RuleSet,
    further: Further | None = None,
    policy: Mapping[str, Any] | None,
    shares: Sequence[str] = (),
    actor_id: str,
    now: datetime,
) -> Resource:
    """List, set rules and policy, publish. Raises: NotFound, Invalid."""
    row = draft_resource(
        session,
        institution_id=institution_id,
        listing=listing,
        rules_set=rules_set,
        further=further,
        policy=policy,
        shares=shares,
        actor_id=actor_id,
        now=now,
    )
    return catalogue.publish(session, resource_id=row.id, actor_id=actor_id, now=now)


def draft_resource(
    session: Session,
    *,
    institution_id: str,
    listing: Listing,
    rules_set: RuleSet,
    further: Further | None = None,
    policy: Mapping[str, Any] | None,
    shares: Sequence[str] = (),
    actor_id: str,
    now: datetime,
) -> Resource:
    """The same without publishing it. Raises: NotFound, Invalid."""
    row = catalogue.list_resource(session, institution_id=institution_id, listing=listing, actor_id=actor_id, now=now)
    rules.set_rules(session, resource_id=row.id, rules=rules_set, further=further, actor_id=actor_id, now=now)
    billing.set_policy(session, resource_id=row.id, policy=policy or {}, actor_id=actor_id, now=now)
    if row.parent_id:
        lines.fit(session, resource_id=row.id, now=now)
    if shares:
        lines.share(session, resource_id=row.id, part_ids=shares, actor_id=actor_id, now=now)
    return row


def edit_resource(
    session: Session,
    *,
    resource_id: str,
    listing: Listing,
    rules_set: RuleSet,
    further: Further | None = None,
    policy: Mapping[str, Any] | None,
    shares: Sequence[str] | None = None,
    version: int,
    actor_id: str,
    now: datetime,
) -> Resource:
    """Change all of them; accepted bookings keep the rules and policy they were made under. What is not given stays.

    Raises: NotFound, Invalid, Stale.
    """
    row = catalogue.edit_resource(session, resource_id=resource_id, listing=listing, version=version, actor_id=actor_id, now=now)
    rules.set_rules(session, resource_id=row.id, rules=rules_set, further=further, actor_id=actor_id, now=now)
    if policy is not None:
        billing.set_policy(session, resource_id=row.id, policy=policy, actor_id=actor_id, now=now)
    lines.fit(session, resource_id=row.id, now=now)
    if shares is not None:
        lines.share(session, resource_id=row.id, part_ids=shares, actor_id=actor_id, now=now)
    return row
