"""Rows with sensible values; name what the test is about, leave the rest."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from billing.programmes import granting
from billing.programmes.choosing import ProgrammeKind
from billing.programmes.granting import Grant, Rule, Said
from billing.programmes.tables import Entitlement, FundingProgramme
from booking.occupancy import Gap
from booking.states import BookingState
from booking.tables import Approval, Booking, Category, RuleVersion
from marketplace.ids import new_id
from marketplace.money import Money
from marketplace.roles import Role
from marketplace.tables import (
    CustomerClass,
    Institution,
    InstitutionKind,
    ListingState,
    Membership,
    Organisation,
    Person,
    Resource,
    ResourceKind,
    Settlement,
)

BORN = datetime(2026, 1, 1, tzinfo=UTC)


def an_institution(db: Session, **values: Any) -> Institution:
    row = Institution(
        **{
            "id": new_id("ins"),
            "name": "天府合成生物中试基地",
            "name_en": "Tianfu Synthetic Biology Pilot Base",
            "kind": InstitutionKind.INSTITUTE,
            "timezone": "Asia/Shanghai",
            "settlement": Settlement.DIRECT,
            "version": 1,
            "created_at": BORN,
            **values,
        }
    )
    db.add(row)
    db.flush()
    return row


def an_organisation(db: Session, **values: Any) -> Organisation:
    row = Organisation(
        **{
            "id": new_id("org"),
            "name": "蓉创新材料有限公司",
            "is_sme": True,
            "customer_class": CustomerClass.INDUSTRY,
            "version": 1,
            "created_at": BORN,
            **values,
        }
    )
    db.add(row)
    db.flush()
    return row


def a_person(db: Session, **values: Any) -> Person:
    number = new_id("n")
    row = Person(
        **{"id": new_id("per"), "email": f"{number}@example.com", "name": "李梅", "locale": "zh", "created_at": BORN, **values}
    )
    db.add(row)
    db.flush()
    return row


def a_member(
    db: Session, role: Role, *, institution: Institution | None = None, organisation: Organisation | None = None
) -> Person:
    """A person with one role; platform-wide where neither scope is named."""
    person = a_person(db)
    db.add(
        Membership(
            id=new_id("mem"),
            person_id=person.id,
            role=role,
            institution_id=institution.id if institution else None,
            organisation_id=organisation.id if organisation else None,
            created_at=BORN,
        )
    )
    db.flush()
    return person


def a_resource(
    db: Session, *, institution: Institution | None = None, rules: dict[str, Any] | None = None, **values: Any
) -> Resource:
    """A published instrument that is always open, with one version of rules."""
    house = institution or an_institution(db)
    row = Resource(
        **{
            "id": new_id("res"),
            "institution_id": house.id,
            "kind": ResourceKind.INSTRUMENT,
            "name": "X射线衍射仪",
            "name_en": "X-ray diffractometer",
            "tags": [],
            "timezone": "Asia/Shanghai",
            "capacity": 1,
            "price_minor": 30000,
            "currency": "CNY",
            "state": ListingState.PUBLISHED,
            "listed_on": BORN.date(),
            "version": 1,
            "created_at": BORN,
            **values,
        }
    )
    db.add(row)
    db.flush()
    a_rule_version(db, row, **(rules or {}))
    return row


def a_rule_version(db: Session, resource: Resource, **values: Any) -> RuleVersion:
    row = RuleVersion(
        **{
            "id": new_id("rul"),
            "resource_id": resource.id,
            "number": 1,
            "hours": [],
            "step_min": 1,
            "min_min": 1,
            "max_min": 44640,
            "notice_min": 0,
            "horizon_days": 365,
            "setup_min": 0,
            "cleaning_min": 0,
            "buffer_mode": Gap.SUM,
            "approval": Approval.INSTANT,
            "created_at": BORN,
            **values,
        }
    )
    db.add(row)
    db.flush()
    return row


def a_booking(
    db: Session,
    *,
    resource: Resource | None = None,
    organisation: Organisation | None = None,
    person: Person | None = None,
    start: datetime = datetime(2026, 3, 10, 1, tzinfo=UTC),
    hours: float = 2,
    **values: Any,
) -> Booking:
    """A confirmed external booking without claims; use booking.actions.book where claims matter."""
    place = resource or a_resource(db)
    rules = db.query(RuleVersion).where(RuleVersion.resource_id == place.id).order_by(RuleVersion.number.desc()).first()
    row = Booking(
        **{
            "id": new_id("bk"),
            "resource_id": place.id,
            "institution_id": place.institution_id,
            "organisation_id": (organisation or an_organisation(db)).id,
            "person_id": (person or a_person(db)).id,
            "rules_id": rules.id if rules else a_rule_version(db, place).id,
            "starts_at": start,
            "ends_at": start + timedelta(hours=hours),
            "quantity": 1,
            "category": Category.EXT,
            "state": BookingState.CONFIRMED,
            "submitted_at": start - timedelta(days=2),
            "decided_at": start - timedelta(days=2),
            "cancelled_by_provider": False,
            "version": 1,
            **values,
        }
    )
    db.add(row)
    db.flush()
    return row


def a_programme(db: Session, *, years: list[str | Rule] | None = None, **said: Any) -> FundingProgramme:
    """A published subsidy from 2026 on, of 50, 30 and 10 percent in its first three years."""
    terms = {"name": "中试服务退坡补贴", "payer": "成都市科技局", "kind": ProgrammeKind.SUBSIDY, "starts_on": date(2026, 1, 1)}
    row = granting.create_programme(db, said=Said(**{**terms, **said}), actor_id="per_1", now=BORN)
    for number, share in enumerate(years or ["0.5", "0.3", "0.1"], 1):
        rule = share if isinstance(share, Rule) else Rule(number, share)
        granting.set_year(db, programme_id=row.id, rule=rule, actor_id="per_1", now=BORN)
    return granting.publish(db, programme_id=row.id, actor_id="per_1", now=BORN)


def an_entitlement(
    db: Session, programme: FundingProgramme, organisation: Organisation, amount: int = 1_000_000, **said: Any
) -> Entitlement:
    """What a firm is granted of the programme's first year, minor units."""
    given = Grant(**{"organisation_id": organisation.id, "year": 1, "amount": Money(amount, programme.currency), **said})
    return granting.grant(db, programme_id=programme.id, given=given, actor_id="per_1", now=BORN)
