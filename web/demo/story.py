"""Who and what the demonstration shows, read from data/story.toml and entered through the same actions as everybody's."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from billing.payments.payouts import set_payout_account
from booking.operators.actions import add_operator
from booking.qualifications.actions import Named, define, grant
from booking.qualifications.queries import find_known_person
from booking.rules.actions import Further, RuleSet, set_rules
from booking.tables import Approval
from devices.machines import Sends
from devices.registry.actions import Credentials, register_device
from marketplace.catalogue.actions import Listing
from marketplace.money import Money
from marketplace.people import actions as people
from marketplace.people.actions import Firm, House
from marketplace.permissions import Grant
from marketplace.roles import Role
from marketplace.tables import CustomerClass, InstitutionKind, ResourceKind, Settlement
from web import listing

STORY = Path(__file__).parent / "data" / "story.toml"
ZONE = "Asia/Shanghai"
PASSWORD = "pilotbench-demo"
OPERATOR_EMAIL = "operator@demo.example"
WORKDAYS, WEEK = range(5), range(7)
HOURS: Mapping[str, list[dict[str, int]]] = {
    "workdays": [{"weekday": day, "open_min": 510, "close_min": 1050} for day in WORKDAYS],
    "daily": [{"weekday": day, "open_min": 480, "close_min": 1200} for day in WEEK],
    "always": [],
}
PROFILE = {"stale_after": 480, "max_gap": 1800, "p_on": 300, "p_off": 150, "min_on": 60, "min_off": 420}
"""Readings of the past are three minutes apart; live ones come faster."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """A resource of the story with what its machine does; `busy` is the share of open days on which it is booked."""

    resource_id: str
    busy: float
    live: bool
    blind: bool
    run_w: float
    sends: Sends | None
    hours: str
    price: int
    line_id: str | None = None
    """Of a station."""
    fitted_at: datetime | None = None
    """Of a meter that is newer than the story."""
    after: float = 0.0
    counts: float = 1.0


@dataclass(slots=True)
class Cast:
    """What was entered: ids by the story's keys, and the machines' credentials, which are shown once only."""

    institutions: dict[str, str] = field(default_factory=dict)
    firms: dict[str, str] = field(default_factory=dict)
    people: dict[str, str] = field(default_factory=dict)
    equipment: dict[str, Equipment] = field(default_factory=dict)
    credentials: dict[str, Credentials] = field(default_factory=dict)
    """By resource id."""

    @property
    def operator(self) -> str:
        return self.people[OPERATOR_EMAIL]


@lru_cache
def story() -> Mapping[str, Any]:
    """The whole story as written."""
    return tomllib.loads(STORY.read_text(encoding="utf-8"))


@lru_cache
def scene_purposes() -> frozenset[str]:
    """A booking of a scene is known by its purpose."""
    return frozenset(scene["purpose"] for scene in story()["scenes"])


def accounts() -> list[tuple[str, str]]:
    """(role, e-mail) of everybody in the story, in its order."""
    return [(person["role"], person["email"]) for person in story()["people"]]


def enter(session: Session, *, now: datetime, today: datetime) -> Cast:
    """Everybody and everything, as of `now`; what came later is dated from the midnight that `today` began with."""
    cast = Cast()
    for house in story()["institutions"]:
        cast.institutions[house["key"]] = _institution(session, house, now)
    for firm in story()["firms"]:
        cast.firms[firm["key"]] = _firm(session, firm, cast, now)
    for person in story()["people"]:
        cast.people[person["email"]] = _person(session, person, cast, now)
    for one in story()["operators"]:
        house, person_id, hours = cast.institutions[one["house"]], cast.people[one["email"]], HOURS[one["hours"]]
        add_operator(session, institution_id=house, person_id=person_id, hours=hours, actor_id=cast.operator, now=now)
    for one in story()["resources"]:
        _equipment(session, one, cast, now, today)
    return cast


def _institution(session: Session, house: Mapping[str, Any], now: datetime) -> str:
    said = House(
        name=house["name"],
        name_en=house["name_en"],
        kind=InstitutionKind(house["kind"]),
        timezone=ZONE,
        district=house["district"],
        settlement=Settlement(house["settlement"]),
        bank_account=house.get("bank_account"),
    )
    made = people.create_institution(session, house=said, actor_id=None, now=now).id
    if said.settlement is Settlement.PLATFORM_COLLECTS:
        account = f"acct_demo_{house['key']}"
        set_payout_account(session, institution_id=made, account_id=account, actor_id=None, now=now)
    return made


def _firm(session: Session, firm: Mapping[str, Any], cast: Cast, now: datetime) -> str:
    house = cast.institutions[firm["house"]] if "house" in firm else None
    said = Firm(firm["name"], None, firm["is_sme"], CustomerClass(firm["customer_class"]), house)
    return people.create_organisation(session, firm=said, actor_id=None, now=now).id


def _person(session: Session, person: Mapping[str, Any], cast: Cast, now: datetime) -> str:
    grant = Grant(
        Role(person["role"]),
        institution_id=cast.institutions.get(person.get("house", "")),
        organisation_id=cast.firms.get(person.get("firm", "")),
    )
    row = people.create_person(
        session, email=person["email"], name=person["name"], password=PASSWORD, grants=[grant], actor_id=None, now=now
    )
    return row.id


def qualify(session: Session, cast: Cast, *, now: datetime) -> None:
    """From `now` on equipment asks for what those hold who have worked with it, or for somebody of the house beside."""
    for one in story()["qualifications"]:
        kind = define(
            session,
            institution_id=cast.institutions[one["house"]],
            kind=Named(one["name"], one["name_en"]),
            levels=[Named(**level) for level in one["levels"]],
            actor_id=cast.operator,
            now=now,
        )
        for email in one["holders"]:
            if not find_known_person(session, kind.institution_id, email):
                continue  # chance has not let them work there
            grant(session, qualification_id=kind.id, email=email, level=1, valid_until=None, actor_id=cast.operator, now=now)
        resource_id = cast.equipment[one["asked_by"]].resource_id
        told = next(listed for listed in story()["resources"] if listed["key"] == one["asked_by"])
        asked = [{"qualification_id": kind.id, "level": 1, "unless_assisted": True}]
        further = Further(**told["further"], qualifications=asked)
        set_rules(session, resource_id=resource_id, rules=_rules(told), further=further, actor_id=cast.operator, now=now)


def _rules(one: Mapping[str, Any]) -> RuleSet:
    return RuleSet(
        hours=HOURS["always" if one.get("always") else one["hours"]],
        step_min=one["step_min"],
        min_min=one["min_min"],
        max_min=24 * 60,
        horizon_days=60,
        cleaning_min=one.get("cleaning_min", 0),
        approval=Approval(one.get("approval", "instant")),
    )


def _equipment(session: Session, one: Mapping[str, Any], cast: Cast, now: datetime, today: datetime) -> None:
    line = cast.equipment[one["part_of"]] if "part_of" in one else None
    said = Listing(
        kind=ResourceKind(one["kind"]),
        name=one["name"],
        name_en=one["name_en"],
        summary=one["summary"],
        summary_en=one["summary_en"],
        tags=[{"zh": zh, "en": en} for zh, en in one["tags"]],
        chain=one["chain"],
        district=next(house["district"] for house in story()["institutions"] if house["key"] == one["house"]),
        timezone=ZONE,
        price=Money(one["price"] * 100, "CNY"),
        capacity=one.get("capacity", 1),
        parent_id=line.resource_id if line else None,
        quota_hours=one["quota_hours"],
        value_minor=one["value"] * 100,
        commissioned_on=one["commissioned"] if isinstance(one["commissioned"], date) else None,
    )
    rules = _rules(one)
    row = listing.open_resource(
        session,
        institution_id=cast.institutions[one["house"]],
        listing=said,
        rules_set=rules,
        policy=None,
        actor_id=cast.operator,
        now=now,
    )
    if "further" in one:
        further = Further(**one["further"])
        set_rules(session, resource_id=row.id, rules=rules, further=further, actor_id=cast.operator, now=now)
    sends = Sends(one["sends"]) if "sends" in one else None
    fitted_at = today - timedelta(hours=one["fitted_hours"]) if "fitted_hours" in one else None
    if sends:
        _, cast.credentials[row.id] = register_device(
            session,
            resource_id=row.id,
            name="主电源计量" if sends is Sends.TASMOTA else "功率计",
            profile={"family": sends.value, **PROFILE, **one.get("profile", {})},
            actor_id=cast.operator,
            now=fitted_at or now,
        )
    cast.equipment[one["key"]] = Equipment(
        resource_id=row.id,
        busy=one["busy"],
        live=line.live if line else one.get("live", False),
        blind=one.get("blind", False),
        run_w=float(one.get("run_w", 0)),
        sends=sends,
        hours=one["hours"],
        price=one["price"],
        line_id=line.resource_id if line else None,
        fitted_at=fitted_at,
        after=one.get("after", 0.0),
        counts=one.get("counts", 1.0),
    )
