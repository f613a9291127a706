"""Figures from what the floors below store, on both databases."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from booking.ratings.tables import Rating
from booking.requests.tables import Grounds, RequestEnd
from booking.states import BookingState
from booking.tables import Booking, Outage, RefusedRequest
from devices.segments import State
from devices.sessions import Grade
from devices.tables import Device, DeviceState, StateSegment, UsageSession
from evaluation import queries
from evaluation.overview.queries import districts, institutions_in, overview
from marketplace.ids import new_id
from marketplace.refusals import Invalid, NotFound
from marketplace.slot import Slot
from marketplace.tables import Institution, ListingState, RelatedParty, Resource
from tests.builders import a_booking, a_resource, a_rule_version, an_institution, an_organisation

HOURS = [{"weekday": day, "open_min": 540, "close_min": 1020} for day in range(7)]
NINE = datetime(2026, 3, 10, 1, tzinfo=UTC)
DAY = Slot(datetime(2026, 3, 9, 16, tzinfo=UTC), datetime(2026, 3, 10, 16, tzinfo=UTC))
NOW = datetime(2026, 3, 20, tzinfo=UTC)


def at(clock: str) -> datetime:
    hours, minutes = clock.split(":")
    return DAY.start + timedelta(hours=int(hours), minutes=int(minutes))


def a_line(db: Session, **values: object) -> Resource:
    """A unit that opens from nine to five, listed long ago."""
    return a_resource(db, rules={"hours": HOURS}, **{"quota_hours": 1400, "listed_on": date(2025, 1, 1), **values})


def seen(db: Session, resource: Resource, *spans: tuple[State, str, str]) -> Device:
    """A device that saw these states and OFF at all other times of a week around the day."""
    device = Device(
        id=new_id("dev"), key=new_id("k"), resource_id=resource.id, institution_id=resource.institution_id, name="plug",
        secret_hash="x", state=DeviceState.ACTIVE, created_at=NINE,
    )  # fmt: skip
    db.add(device)
    db.flush()
    edge = DAY.start - timedelta(days=3)
    for state, start, end in (*spans, (None, "96:00", "96:00")):
        if edge < at(start):
            _segment(db, device, State.OFF, edge, at(start))
        if state:
            _segment(db, device, state, at(start), at(end))
        edge = at(end)
    db.flush()
    return device


def _segment(db: Session, device: Device, state: State, start: datetime, end: datetime, **values: bool) -> None:
    row = {"device_id": device.id, "resource_id": device.resource_id, "state": state, "bridged": False, **values}
    db.add(StateSegment(starts_at=start, ends_at=end, **row))


def booked(db: Session, resource: Resource, start: str, hours: float, **values: object) -> Booking:
    values = {"organisation": an_organisation(db), "state": BookingState.COMPLETED, **values}
    return a_booking(db, resource=resource, start=at(start), hours=hours, **values)


def hours_of(db: Session, resource: Resource) -> dict[str, str]:
    return queries.institution_metrics(db, resource.institution_id, DAY)["units"][0]["metrics"]


def test_an_external_job_gives_effective_and_external_hours(db: Session) -> None:
    line = a_line(db)
    booked(db, line, "09:00", 3)
    seen(db, line, (State.IDLE, "08:50", "09:05"), (State.RUN, "09:05", "11:50"), (State.IDLE, "11:50", "12:10"))
    found = hours_of(db, line)
    assert (found["open_h"], found["eff_h"], found["ext_h"], found["coverage"]) == ("8.00", "3.00", "3.00", "1.0000")
    assert (found["quota_h"], found["util_capacity"], found["ext_smes"]) == ("3.84", "0.3750", 1)


def test_the_owners_departments_and_related_parties_are_internal(db: Session) -> None:
    house = an_institution(db, credit_code="91X")
    line = a_line(db, institution=house)
    department, related = an_organisation(db, institution_id=house.id), an_organisation(db)
    db.add(RelatedParty(organisation_id=related.id, institution_id=house.id, reason="same holding", created_at=NINE))
    booked(db, line, "09:00", 1, organisation=department)
    booked(db, line, "10:00", 1, organisation=related)
    booked(db, line, "11:00", 1, organisation=an_organisation(db, credit_code="91X"))
    booked(db, line, "12:00", 1)
    seen(db, line, (State.RUN, "09:00", "13:00"))
    found = hours_of(db, line)
    assert (found["ext_h"], found["int_h"], found["ext_orgs"]) == ("1.00", "3.00", 1)


def test_outages_holds_and_cancelled_bookings_are_told_apart(db: Session) -> None:
    line = a_line(db)
    for planned, start, end, recorded in ((True, "09:00", "10:00", "08:00"), (True, "10:00", "11:00", "10:30")):
        db.add(
            Outage(id=new_id("out"), resource_id=line.id, starts_at=at(start), ends_at=at(end), planned=planned, reason="service",
                   recorded_at=at(recorded))
        )  # fmt: skip
    booked(db, line, "12:00", 1, state=BookingState.CANCELLED, cancelled_at=at("11:00"))
    booked(db, line, "13:00", 1, state=BookingState.HELD, decided_at=None)
    seen(db, line, (State.RUN, "12:00", "14:00"))
    found = hours_of(db, line)
    assert (found["pd_h"], found["ud_h"], found["booked_h"], found["unbooked_h"]) == ("1.00", "1.00", "0.00", "2.00")
    assert found["late_cancel_rate"] == "1.0000"


def test_a_silence_that_the_counter_bridges_is_run_inside_one_booking_only(db: Session) -> None:
    line = a_line(db)
    booked(db, line, "09:00", 2)
    device = seen(db, line, (State.RUN, "09:00", "09:30"), (State.UNKNOWN, "09:30", "10:00"), (State.RUN, "10:00", "11:00"))
    assert hours_of(db, line)["eff_h"] == "1.50"
    db.get_one(StateSegment, (device.id, at("09:30"))).bridged = True
    db.flush()
    assert hours_of(db, line)["eff_h"] == "2.00"


def test_each_version_of_the_hours_holds_from_its_creation(db: Session) -> None:
    line = a_line(db)
    a_rule_version(db, line, number=2, hours=[{"weekday": 1, "open_min": 0, "close_min": 1440}], created_at=at("12:00"))
    assert hours_of(db, line)["open_h"] == "15.00"


def test_requests_turned_away_are_counted(db: Session) -> None:
    line = a_line(db)
    for outcome in ("declined_capacity", "out_of_scope"):
        request = {"organisation_id": new_id("org"), "starts_at": NINE, "ends_at": at("11:00"), "reasons": {}}
        db.add(RefusedRequest(id=new_id("ref"), resource_id=line.id, outcome=outcome, submitted_at=NINE, **request))
    booked(db, line, "14:00", 1, submitted_at=NINE, decided_at=at("10:00"))
    db.flush()
    found = hours_of(db, line)
    assert (found["turnaway_rate"], found["sla_rate"]) == ("0.5000", "1.0000")


def test_a_declined_request_counts_by_its_grounds_and_from_its_answer(db: Session) -> None:
    line = a_line(db)
    for grounds in (Grounds.DECLINED_CAPACITY, Grounds.OUT_OF_SCOPE, None):
        row = booked(db, line, "14:00", 1, state=BookingState.REFUSED, submitted_at=NINE, decided_at=None)
        if grounds:
            db.add(RequestEnd(booking_id=row.id, grounds=grounds, reason=None, ended_by="per_1", ended_at=at("10:00")))
    booked(db, line, "14:00", 1, submitted_at=NINE, decided_at=at("10:00"))
    db.flush()
    found = hours_of(db, line)
    assert (found["turnaway_rate"], found["sla_rate"]) == ("0.6667", "0.7500")


def test_a_rating_moves_the_satisfaction_from_its_prior(db: Session) -> None:
    line = a_line(db)
    row = booked(db, line, "09:00", 2)
    seen(db, line, (State.RUN, "09:00", "11:00"))
    assert hours_of(db, line)["satisfaction"] == "4.00"
    db.add(Rating(booking_id=row.id, resource_id=line.id, stars=1, rated_by=row.person_id, rated_at=at("12:00")))
    db.flush()
    found = hours_of(db, line)
    assert found["satisfaction"] == "3.73"


def test_drafts_and_modules_of_a_line_are_no_reporting_units(db: Session) -> None:
    house = an_institution(db)
    line = a_line(db, institution=house)
    a_line(db, institution=house, parent_id=line.id)
    a_line(db, institution=house, state=ListingState.DRAFT)
    assert len(queries.institution_metrics(db, house.id, DAY)["units"]) == 1


def test_a_unit_opens_down_to_bookings_sessions_and_segments(db: Session) -> None:
    line = a_line(db)
    booking = booked(db, line, "09:00", 2)
    device = seen(db, line, (State.RUN, "09:00", "11:00"))
    session = UsageSession(
        id=new_id("ses"), device_id=device.id, resource_id=line.id, starts_at=at("09:00"), ends_at=at("11:00"), until=at("11:00"),
        confirmed_s=7200, unverified_s=0, energy_wh=10, grade=Grade.A, flags=[],
    )  # fmt: skip
    db.add(session)
    db.flush()
    found = queries.unit_detail(db, line.id, DAY)
    assert [(use.booking_id, use.status, use.eff_s, use.session_ids) for use in found.bookings] == [
        (booking.id, "fulfilled", 7200, [session.id])
    ]
    assert [stretch.state.value for stretch in found.segments] == ["OFF", "RUN", "OFF"]
    assert sum(found.ledger_s.values()) == 86400


def test_what_does_not_exist_is_not_found_and_long_windows_are_refused(db: Session) -> None:
    with pytest.raises(NotFound):
        queries.institution_metrics(db, "ins_none", DAY)
    with pytest.raises(NotFound):
        queries.unit_detail(db, "res_none", DAY)
    with pytest.raises(Invalid):
        queries.institution_metrics(db, an_institution(db).id, Slot(DAY.start, DAY.start + timedelta(days=500)))


def test_the_overview_has_weeks_hours_and_institutions(db: Session) -> None:
    house = an_institution(db, district="天府新区")
    line = a_line(db, institution=house)
    booked(db, line, "09:00", 2)
    seen(db, line, (State.RUN, "09:00", "11:00"))
    week = Slot(DAY.start - timedelta(days=1), DAY.start + timedelta(days=7))
    found = overview(db, within=week, now=NOW, institution_ids=institutions_in(db, "天府新区"), compare=Slot(NINE, at("17:00")))
    assert districts(db) == ["天府新区"]
    assert (found.institutions, found.units, found.names) == (1, 1, {house.id: (house.name, house.name_en)})
    assert [(w.eff_s, w.available_s) for w in found.weeks] == [(7200, 7 * 8 * 3600), (0, 8 * 3600)]
    assert found.kpis[0].value == found.standings[0].utilisation
    busy = {(cell.weekday, cell.hour): cell.share for cell in found.heatmap if cell.used_s}
    assert busy == {(1, 9): 1, (1, 10): 1}
    assert sum(cell.in_service_s for cell in found.heatmap) == 8 * 86400
    assert found.standings[0].change is not None
    with pytest.raises(Invalid):
        overview(db, within=week, now=week.start)


def test_what_the_stations_of_a_line_did_is_the_lines_and_counts_once(db: Session) -> None:
    line = a_line(db)
    mixer, dryer = (a_line(db, parent_id=line.id, institution=db.get_one(Institution, line.institution_id)) for _ in range(2))
    booked(db, line, "09:00", 2)
    seen(db, mixer, (State.RUN, "09:00", "10:30"))
    seen(db, dryer, (State.RUN, "10:00", "11:00"))
    found = queries.institution_metrics(db, line.institution_id, DAY)["units"]
    assert [one["resource_id"] for one in found] == [line.id]
    told = found[0]["metrics"]
    assert (told["open_h"], told["eff_h"], told["ext_h"], told["coverage"]) == ("8.00", "2.00", "2.00", "1.0000")


def test_stations_that_are_booked_by_themselves_are_positions_of_their_line(db: Session) -> None:
    """Nobody is in anybody's way, and an hour in which both ran is an hour of the line."""
    line = a_line(db)
    house = db.get_one(Institution, line.institution_id)
    mixer, dryer = a_line(db, parent_id=line.id, institution=house), a_line(db, parent_id=line.id, institution=house)
    booked(db, line, "09:00", 1)
    for station in (mixer, dryer):
        booked(db, station, "10:00", 1)
        seen(db, station, (State.RUN, "09:00", "11:00"))
    told = hours_of(db, line)
    assert (told["eff_h"], told["ext_h"], told["unbooked_h"]) == ("2.00", "2.00", "0.00")
    assert (told["open_h"], told["booked_h"], told["eff_unit_h"]) == ("16.00", "4.00", "4.00")
    detail = queries.unit_detail(db, line.id, DAY)
    assert [one.status for one in detail.bookings] == ["fulfilled"] * 3
    assert hours_of_station(db, mixer) == [("fulfilled", 3600)] * 2


def hours_of_station(db: Session, station: Resource) -> list[tuple[str, int]]:
    return [(one.status, one.eff_s) for one in queries.unit_detail(db, station.id, DAY).bookings]


def test_a_listing_below_a_draft_reports_itself_and_is_no_part_of_the_line_above(db: Session) -> None:
    line = a_line(db)
    house = db.get_one(Institution, line.institution_id)
    draft = a_line(db, parent_id=line.id, institution=house, state=ListingState.DRAFT)
    pump = a_line(db, parent_id=draft.id, institution=house)
    seen(db, draft, (State.RUN, "09:00", "10:00"))
    seen(db, pump, (State.RUN, "10:00", "12:00"))
    found = queries.institution_metrics(db, line.institution_id, DAY)["units"]
    assert {one["resource_id"]: one["metrics"]["eff_h"] for one in found} == {line.id: "1.00", pump.id: "2.00"}
