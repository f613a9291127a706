"""What a booker must hold when a use starts: each reason, the alternatives that keep to it, and who may set it aside."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from booking import actions
from booking.admission import SlotRefused, Wish
from booking.competence import Assistance, Held, Mode, Need, Record, asked, fit_in, reasons
from booking.qualifications import actions as qualifications
from booking.qualifications import queries as known
from booking.qualifications.actions import Named
from booking.qualifications.tables import Qualification
from booking.rules.actions import Further, RuleSet, set_rules
from booking.states import BookingState
from booking.tables import Booking, Category
from marketplace.audit import history_of
from marketplace.refusals import Invalid, NotFound, WrongState
from marketplace.roles import Role
from marketplace.slot import Slot
from marketplace.tables import Message, Person, Resource
from tests.builders import a_booking, a_member, a_person, a_resource, an_institution, an_organisation

NOW = datetime(2026, 3, 9, 1, tzinfo=UTC)
DAY = datetime(2026, 3, 10, tzinfo=UTC)
LASER = Need("qlf_1", 2)


def hours(start: float, end: float) -> Slot:
    return Slot(DAY + timedelta(hours=start), DAY + timedelta(hours=end))


@pytest.mark.parametrize(
    ("held", "code"),
    [
        ([], "qualification_missing"),
        ([Held("qlf_2", 3)], "qualification_missing"),
        ([Held("qlf_1", 1)], "qualification_too_low"),
        ([Held("qlf_1", 2, DAY)], "qualification_expired"),
        ([Held("qlf_1", 3, DAY), Held("qlf_1", 1)], "qualification_expired"),
        ([Held("qlf_1", 1, DAY)], "qualification_missing"),
        ([Held("qlf_1", 2, DAY + timedelta(minutes=1))], None),
        ([Held("qlf_1", 3)], None),
    ],
)
def test_a_qualification_counts_at_the_start_of_the_use(held: list[Held], code: str | None) -> None:
    found = reasons([LASER], Assistance(), Record(held), DAY, wanted=False)
    assert [one.code for one in found] == ([code] if code else [])
    assert all(one.override_by and one.values["level"] == 2 for one in found)


INSTANTS = st.integers(0, 48).map(lambda hour: DAY + timedelta(hours=hour))
HELD = st.builds(Held, st.sampled_from(["qlf_1", "qlf_2"]), st.integers(1, 3), st.none() | INSTANTS)
NEEDS = st.lists(
    st.builds(Need, st.sampled_from(["qlf_1", "qlf_2"]), st.integers(1, 3), st.booleans()),
    max_size=2,
    unique_by=lambda need: need.qualification_id,
)
ASSISTANCE = st.builds(Assistance, st.sampled_from(Mode), st.just(frozenset()), st.integers(0, 2))


@given(NEEDS, ASSISTANCE, st.lists(HELD, max_size=4), st.integers(0, 3), st.booleans(), INSTANTS)
def test_where_a_window_is_fit_a_use_may_begin_at_any_of_its_instants(
    needs: list[Need], assistance: Assistance, held: list[Held], runs: int, wanted: bool, start: datetime
) -> None:
    record, window = Record(held, runs), Slot(start, start + timedelta(hours=24))
    fit = fit_in(needs, assistance, record, window, wanted=wanted)
    refused = reasons(needs, assistance, record, start, wanted=wanted)
    assert (fit is None) == bool(refused)
    for hour in range(24):
        at = start + timedelta(hours=hour)
        if fit and fit.start <= at < fit.end:
            assert not reasons(needs, assistance, record, at, wanted=wanted)
    assert len(refused) <= len(asked(needs, assisted=assistance.attends(wanted=wanted))) + 2


@pytest.fixture
def machine(db: Session) -> Resource:
    return a_resource(db)


@pytest.fixture
def laser(db: Session, machine: Resource) -> Qualification:
    levels = [Named("初级", "Basic"), Named("高级", "Advanced")]
    kind = qualifications.define(
        db, institution_id=machine.institution_id, kind=Named("激光安全", "Laser safety"), levels=levels, actor_id="p", now=NOW
    )
    need = {"qualification_id": kind.id, "level": 2, "unless_assisted": False}
    set_rules(db, resource_id=machine.id, rules=RuleSet(), further=Further(qualifications=[need]), actor_id=None, now=NOW)
    return kind


@pytest.fixture
def booker(db: Session, machine: Resource) -> Person:
    """Known to the house: they had a booking there."""
    person = a_person(db)
    a_booking(db, resource=machine, person=person, start=NOW - timedelta(days=30), state=BookingState.COMPLETED)
    return person


def wish(db: Session, machine: Resource, person: Person, slot: Slot, **more: str) -> Wish:
    return Wish(machine.id, slot, person.id, an_organisation(db).id, Category.EXT, **more)  # type: ignore[arg-type]


def granted(db: Session, kind: Qualification, person: Person, level: int = 2, until: date | None = None) -> str:
    row = qualifications.grant(
        db, qualification_id=kind.id, email=person.email.upper(), level=level, valid_until=until, actor_id="per_s", now=NOW
    )
    return row.id


def refusal(db: Session, asked: Wish) -> SlotRefused:
    with pytest.raises(SlotRefused) as caught:
        actions.book(db, wish=asked, now=NOW)
    return caught.value


def test_without_the_qualification_nothing_is_booked_and_no_other_time_is_proposed(
    db: Session, machine: Resource, laser: Qualification, booker: Person
) -> None:
    refused = refusal(db, wish(db, machine, booker, hours(2, 4)))
    (reason,) = refused.reasons
    assert (reason.code, reason.values["qualification"]) == ("qualification_missing", "激光安全 · Laser safety")
    assert refused.alternatives == ()
    granted(db, laser, booker, level=1)
    assert [one.code for one in refusal(db, wish(db, machine, booker, hours(2, 4))).reasons] == ["qualification_too_low"]
    granted(db, laser, booker)
    assert actions.book(db, wish=wish(db, machine, booker, hours(2, 4)), now=NOW).state is BookingState.CONFIRMED


def test_what_counts_is_the_start_of_the_use_and_alternatives_lie_before_the_end(
    db: Session, machine: Resource, laser: Qualification, booker: Person
) -> None:
    granted(db, laser, booker, until=date(2026, 3, 12))
    ends = datetime(2026, 3, 12, 16, tzinfo=UTC)  # midnight in Shanghai
    actions.book(db, wish=wish(db, machine, booker, Slot(ends - timedelta(hours=1), ends + timedelta(hours=1))), now=NOW)
    refused = refusal(db, wish(db, machine, booker, Slot(ends + timedelta(hours=2), ends + timedelta(hours=3))))
    assert refused.reasons[0].code == "qualification_expired"
    assert refused.reasons[0].values["expired_at"] == ends.isoformat()
    assert len(refused.alternatives) == 3
    for way in refused.alternatives:
        actions.book(db, wish=wish(db, machine, booker, way), now=NOW)


def test_a_move_is_held_to_it_too_and_a_manager_may_set_it_aside(
    db: Session, machine: Resource, laser: Qualification, booker: Person
) -> None:
    granted(db, laser, booker, until=date(2026, 3, 12))
    booking = actions.book(db, wish=wish(db, machine, booker, hours(2, 4)), now=NOW)
    late = hours(24 * 5, 24 * 5 + 2)
    with pytest.raises(SlotRefused):
        actions.move(db, booking_id=booking.id, slot=late, version=1, actor_id="per_1", now=NOW)
    actions.move(db, booking_id=booking.id, slot=late, version=1, actor_id="per_1", override="repair", now=NOW)
    entry = next(one for one in history_of(db, "booking", booking.id) if one.action == "override_rules")
    assert entry.after == {"reason": "repair", "codes": ["qualification_expired"]}


def test_a_revoked_grant_counts_no_more_and_its_holder_is_told(
    db: Session, machine: Resource, laser: Qualification, booker: Person
) -> None:
    grant = granted(db, laser, booker)
    stands = actions.book(db, wish=wish(db, machine, booker, hours(2, 4)), now=NOW)
    qualifications.revoke(db, grant_id=grant, actor_id="per_s", now=NOW)
    with pytest.raises(WrongState):
        qualifications.revoke(db, grant_id=grant, actor_id="per_s", now=NOW)
    assert refusal(db, wish(db, machine, booker, hours(5, 6))).reasons[0].code == "qualification_missing"
    assert stands.state is BookingState.CONFIRMED
    told = [row.kind for row in db.query(Message).where(Message.person_id == booker.id).order_by(Message.id)]
    assert [kind for kind in told if kind.startswith("qualification")] == ["qualification_granted", "qualification_revoked"]
    done = [one.action for one in history_of(db, "qualification", laser.id)]
    assert sorted(done) == ["define_qualification", "grant_qualification", "revoke_qualification"]


def test_only_people_whom_the_house_knows_can_be_found_by_their_address(
    db: Session, machine: Resource, laser: Qualification
) -> None:
    stranger, asked = a_person(db), a_person(db)
    house = db.get_one(type(an_institution(db)), machine.institution_id)
    with pytest.raises(Invalid) as refused:
        granted(db, laser, stranger)
    assert refused.value.values["field"] == "email"
    actions.note_refusal(db, wish=wish(db, machine, asked, hours(2, 3)), reasons=[], now=NOW)
    assert granted(db, laser, asked)
    assert granted(db, laser, a_member(db, Role.TECHNICIAN, institution=house))
    assert known.find_known_person(db, an_institution(db).id, asked.email) is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"level": 3}, "level"), ({"level": 0}, "level"), ({"valid_until": date(2026, 3, 8)}, "valid_until")],
)
def test_a_grant_that_means_nothing_is_refused(
    db: Session, machine: Resource, laser: Qualification, booker: Person, changes: dict[str, object], field: str
) -> None:
    values = {"level": 1, "valid_until": None, **changes}
    with pytest.raises(Invalid) as refused:
        qualifications.grant(db, qualification_id=laser.id, email=booker.email, actor_id="p", now=NOW, **values)  # type: ignore[arg-type]
    assert refused.value.values["field"] == field


def test_a_name_is_given_once_a_house_and_rules_name_kinds_of_their_own_house(
    db: Session, machine: Resource, laser: Qualification
) -> None:
    once = {"kind": Named("激光安全"), "levels": [Named("合格")], "actor_id": "p", "now": NOW}
    with pytest.raises(Invalid) as twice, db.begin_nested():
        qualifications.define(db, institution_id=machine.institution_id, **once)  # type: ignore[arg-type]
    assert twice.value.values["field"] == "name"
    other = qualifications.define(db, institution_id=an_institution(db).id, **once)  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        qualifications.define(db, institution_id="ins_none", **once)  # type: ignore[arg-type]
    for wrong in ([{"qualification_id": other.id, "level": 1}], [{"qualification_id": laser.id, "level": 3}]):
        with pytest.raises(Invalid):
            set_rules(db, resource_id=machine.id, rules=RuleSet(), further=Further(qualifications=wrong), actor_id=None, now=NOW)


def test_a_booking_keeps_the_rules_it_was_accepted_under(db: Session, machine: Resource, booker: Person) -> None:
    first = actions.book(db, wish=wish(db, machine, booker, hours(2, 4)), now=NOW)
    kind = qualifications.define(
        db, institution_id=machine.institution_id, kind=Named("高压"), levels=[Named("合格")], actor_id="p", now=NOW
    )
    need = {"qualification_id": kind.id, "level": 1, "unless_assisted": False}
    version = set_rules(
        db, resource_id=machine.id, rules=RuleSet(), further=Further(qualifications=[need]), actor_id=None, now=NOW
    )
    assert db.get_one(Booking, first.id).rules_id != version.id
    assert refusal(db, wish(db, machine, booker, hours(5, 6))).reasons[0].code == "qualification_missing"
