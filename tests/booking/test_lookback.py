"""What rules would have done to the last quarter's bookings: judged again in the order in which they were asked for."""

from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

import pytest
from sqlalchemy.orm import Session

from booking.places import as_rules, get_place
from booking.rules.actions import Further, RuleSet, version_of
from booking.rules.lookback import MOST, Effect, effect
from booking.states import BookingState
from booking.tables import Booking
from marketplace.tables import CustomerClass, Resource
from tests.builders import a_booking, a_person, a_resource, an_organisation

NOW = datetime(2026, 3, 9, 1, tzinfo=UTC)
DAY = datetime(2026, 2, 10, tzinfo=UTC)
USED: dict[str, Any] = {"state": BookingState.COMPLETED, "submitted_at": DAY - timedelta(days=3)}


@pytest.fixture
def machine(db: Session) -> Resource:
    return a_resource(db)


def a_past(db: Session, machine: Resource, hour: float, length: float = 1, **more: Any) -> Booking:
    return a_booking(db, resource=machine, start=DAY + timedelta(hours=hour), hours=length, **{**USED, **more})


def found(db: Session, machine: Resource, further: Further | None = None, **rules: Any) -> Effect:
    judged = as_rules(version_of(RuleSet(**rules), further or Further()))
    return effect(db, get_place(db, machine.id), judged, now=NOW)


def told(shown: Effect) -> list[tuple[str, list[str]]]:
    return [(one.booking.id, [reason.code for reason in one.reasons]) for one in shown.refused]


def test_each_rule_refuses_those_that_break_it_and_no_other(db: Session, machine: Resource) -> None:
    short, long = a_past(db, machine, 1, 0.5), a_past(db, machine, 3, 4)
    a_past(db, machine, 30, 2, state=BookingState.CANCELLED)
    a_past(db, machine, -24 * 100, 1)
    shown = found(db, machine, min_min=60, max_min=180)
    assert told(shown) == [(short.id, ["too_short"]), (long.id, ["too_long"])]
    assert (shown.bookings, shown.already, shown.all_seen) == (2, 0, True)
    assert told(found(db, machine)) == []
    assert [codes for _, codes in told(found(db, machine, notice_min=4 * 24 * 60))] == [["too_soon"]] * 2


def test_buffers_refuse_the_one_that_asked_later(db: Session, machine: Resource) -> None:
    later = a_past(db, machine, 3, submitted_at=DAY - timedelta(days=1))
    a_past(db, machine, 2)
    assert told(found(db, machine, cleaning_min=30)) == [(later.id, ["slot_taken"])]
    machine.capacity = 2
    db.flush()
    assert told(found(db, machine, cleaning_min=30)) == []


def test_a_quota_counts_what_the_new_rules_had_granted(db: Session, machine: Resource) -> None:
    firm = an_organisation(db)
    rows = [a_past(db, machine, hour, 1, organisation=firm, submitted_at=DAY + timedelta(minutes=hour)) for hour in range(4)]
    quota = {"limit": 2, "unit": "hours", "per": "day", "by": "organisation"}
    assert told(found(db, machine, Further(quotas=[quota]))) == [(row.id, ["over_quota_hours"]) for row in rows[2:]]
    refused = found(db, machine, Further(quotas=[quota]), min_min=90)
    assert [codes for _, codes in told(refused)] == [["too_short"]] * 4


def test_groups_audiences_and_qualifications_are_judged_for_each_customer(db: Session, machine: Resource) -> None:
    college = an_organisation(db, customer_class=CustomerClass.ACADEMIC)
    theirs = a_past(db, machine, 1, organisation=college)
    firms = [a_past(db, machine, hour, submitted_at=DAY + timedelta(minutes=hour)) for hour in (3, 5)]
    only = Further(audience=[{"group": "industry"}])
    assert told(found(db, machine, only)) == [(theirs.id, ["not_in_audience"])]
    shared = {"limit": 1, "unit": "count", "per": "day", "by": "group", "group": "industry"}
    assert told(found(db, machine, Further(quotas=[shared]))) == [(firms[1].id, ["over_quota_count_shared"])]
    need = Further(qualifications=[{"qualification_id": "qlf_x", "level": 1, "unless_assisted": False}])
    assert [codes for _, codes in told(found(db, machine, need))] == [["qualification_missing"]] * 3
    runs = Further(assistance={"mode": "optional", "operators": [], "supervised_runs": 1})
    assert [codes for _, codes in told(found(db, machine, runs))] == [["supervised_run_first"]] * 3
    always = Further(assistance={"mode": "required", "operators": [], "supervised_runs": 0})
    assert [codes for _, codes in told(found(db, machine, always))] == [["no_operator_free"]] * 3


def test_what_breaks_the_present_rules_already_is_counted_apart(db: Session) -> None:
    machine = a_resource(db, rules={"min_min": 90})
    a_past(db, machine, 1)
    shown = found(db, machine, min_min=120)
    assert (shown.bookings, told(shown), shown.already) == (1, [], 1)


def test_an_early_end_is_no_short_booking(db: Session, machine: Resource) -> None:
    a_past(db, machine, 1, 0.25, finished_at=DAY + timedelta(hours=1.25))
    assert told(found(db, machine, min_min=60, step_min=30)) == []


def test_a_thousand_bookings_are_judged_quickly_and_more_are_cut(db: Session, machine: Resource) -> None:
    firm, person = an_organisation(db), a_person(db)
    rules_id = get_place(db, machine.id).rules_id
    plain = {"quantity": 1, "category": "ext", "state": BookingState.COMPLETED, "cancelled_by_provider": False, "version": 1}
    whose = {"resource_id": machine.id, "institution_id": machine.institution_id, "organisation_id": firm.id}
    for number in range(MOST + 1):
        start = NOW - timedelta(hours=2 * number + 2)
        when = {"starts_at": start, "ends_at": start + timedelta(hours=1)}
        asked = NOW - timedelta(days=90, minutes=number)
        db.add(Booking(id=f"bk_{number}", person_id=person.id, rules_id=rules_id, submitted_at=asked, **plain, **whose, **when))
    db.flush()
    quotas = [{"limit": 8, "unit": "hours", "per": per, "by": "organisation"} for per in ("day", "week", "month")]
    started = perf_counter()
    shown = found(db, machine, Further(quotas=quotas, holidays="CN"), cleaning_min=15, notice_min=60)
    took = perf_counter() - started
    assert not shown.all_seen
    assert shown.refused
    assert took < 5, took
