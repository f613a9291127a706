"""The editor of what cancelling, not coming and overtime cost: it shows what a change would have done before it saves."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from billing import queries as bills
from billing.quotes import actions as quotes
from billing.settlement import Funding
from billing.tables import PolicyVersion
from booking.states import BookingState
from devices.matching import Verdict
from devices.tables import ConfirmedUse
from marketplace import clock
from marketplace.ids import new_id
from marketplace.tables import AuditEntry, Organisation, Resource
from tests.builders import a_booking
from tests.web.desks import Desk, Reader, error_beside
from tests.web.test_desk_outages import day
from tests.web.test_desk_rules import fields_of


def page_of(desk: Desk) -> str:
    return f"/desk/resources/{desk.resource}/policy"


def shown(desk: Desk, reader: Reader) -> dict[str, str]:
    return fields_of(reader.get(page_of(desk)).text.split('<form class="stack"')[1])


def looked(desk: Desk, reader: Reader, **changes: str) -> tuple[str, dict[str, str]]:
    """The page after a first look, and its fields."""
    answer = reader.post(page_of(desk), **{**shown(desk, reader), **changes, "look": "1"})
    assert answer.status_code == 200, answer.text
    return answer.text, fields_of(answer.text.split('<form class="stack"')[1])


def a_no_show(desk: Desk) -> None:
    """Of two hours, ten days ago."""
    with desk.database() as session:
        machine, firm = session.get_one(Resource, desk.resource), session.scalars(select(Organisation)).one()
        start = clock.now().replace(minute=0, second=0, microsecond=0) - timedelta(days=10)
        row = a_booking(session, resource=machine, organisation=firm, start=start, hours=2, state=BookingState.NO_SHOW)
        quotes.quote_bookings(session, bookings=[row], organisation=firm, funding=Funding.BANK, now=start)
        seconds = dict.fromkeys(("confirmed_s", "early_s", "overrun_s", "unverified_s", "fault_s", "energy_wh"), 0)
        use = {"id": new_id("use"), "booking_id": row.id, "number": 1, "verdict": Verdict.NO_SHOW, "booked_s": 7200}
        session.add(ConfirmedUse(**use, **seconds, pieces=[], created_at=clock.now()))
        session.commit()


def versions(desk: Desk) -> list[dict[str, object]]:
    with desk.database() as session:
        mine = select(PolicyVersion).where(PolicyVersion.resource_id == desk.resource).order_by(PolicyVersion.number)
        return [row.document for row in session.scalars(mine)]


def test_a_change_is_shown_on_the_last_bills_and_saved_when_it_is_sent_back(desk: Desk) -> None:
    a_no_show(desk)
    reader, before = desk.reader("manager"), len(versions(desk))
    page, fields = looked(desk, reader, no_show_rate="100")
    assert "1 of 1 bills of the last three months would have been different" in page
    assert "All together ¥1,080.00 instead of ¥540.00." in page
    assert len(versions(desk)) == before
    saved = reader.post(page_of(desk), **fields)
    assert "These terms hold from now on" in saved.text
    assert "version 2" in saved.text
    assert [document["no_show_rate"] for document in versions(desk)] == ["0.5", "1"]
    with desk.database() as session:
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "set_policy").order_by(AuditEntry.at)).all()[-1]
        assert (entry.before["no_show_rate"], entry.after["no_show_rate"]) == ("0.5", "1")  # type: ignore[index]


def test_every_term_of_the_page_is_kept_as_typed_and_what_it_does_not_show_stays(desk: Desk) -> None:
    reader = desk.reader("manager")
    version = fields_of(reader.get(f"/desk/resources/{desk.resource}").text)["version"]
    listed = {"name": "粉碎机", "kind": "small_line", "price": "540", "hours": "keep", "version": version}
    assert reader.post(f"/desk/resources/{desk.resource}", **listed, price_industry="450").status_code == 200
    changes = {
        "limit_0": "3", "unit_0": "days", "rate_0": "0", "limit_1": "12.5", "unit_1": "hours", "rate_1": "37.5", "limit_2": "",
        "rate_2": "", "no_show_rate": "80", "basis": "booked", "increment_min": "30", "minimum_min": "60", "unused_rate": "10",
        "unused_free": "1", "overtime_mult": "200", "grace_min": "5", "overtime_max_min": "45", "dispute_hours": "96",
        "late_data_hours": "48",
    }  # fmt: skip
    page, fields = looked(desk, reader, **changes)
    assert "There were no bills in the last three months" in page
    assert "These terms hold from now on" in reader.post(page_of(desk), **fields).text
    kept = shown(desk, reader)
    assert {name: kept.get(name) for name in changes} == {**changes, "limit_2": "", "rate_2": ""}
    newest = versions(desk)[-1]
    assert newest["cancel_tiers"] == [{"days": 3, "rate": "0"}, {"hours": "12.5", "rate": "0.375"}]
    assert newest["class_prices"] == {"industry": 45000}
    with desk.database() as session:
        assert bills.policy_of(session, desk.resource).overtime_mult == 2


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"no_show_rate": "101"}, "no_show_rate", "must be 0 to 100"),
        ({"no_show_rate": ""}, "no_show_rate", "must be 0 to 100"),
        ({"overtime_mult": "1,5"}, "overtime_mult", "must be 0 to 10000"),
        ({"increment_min": "0"}, "increment_min", "must be 1 to 44640"),
        ({"grace_min": "viel"}, "grace_min", "a whole number is needed"),
        ({"basis": "guess"}, "basis", "choose one of the list"),
        ({"limit_0": "48", "rate_0": ""}, "rate_0", "Part of the price: must be 0 to 100"),
        ({"limit_0": "", "rate_0": "5"}, "limit_0", "Cancelled at least: must be 0 to 8784"),
        ({"limit_0": "1.5", "unit_0": "days"}, "limit_0", "must be 0 to 366"),
        ({"limit_0": "24.0"}, "limit_1", "there is a line with this limit already"),
    ],
)
def test_what_is_wrong_is_told_beside_its_field_and_what_was_typed_stays(
    desk: Desk, changes: dict[str, str], field: str, said: str
) -> None:
    reader, before = desk.reader("manager"), len(versions(desk))
    answer = reader.post(page_of(desk), **{**shown(desk, reader), "dispute_hours": "99", **changes})
    assert answer.status_code == 422
    assert said in error_beside(answer.text, field)
    assert f'href="#f-{field}"' in answer.text
    kept = fields_of(answer.text.split('<form class="stack"')[1])
    assert kept["dispute_hours"] == "99"
    assert all(kept[name] == value for name, value in changes.items() if name != "basis")
    assert len(versions(desk)) == before


def test_all_that_is_wrong_is_told_at_once_in_the_readers_language(desk: Desk) -> None:
    reader = desk.reader("manager")
    wrong = {**shown(desk, reader), "no_show_rate": "-1", "grace_min": "x", "rate_0": "200"}
    page = reader.post(page_of(desk), lang="zh", **wrong).text
    assert error_beside(page, "no_show_rate") == "未到场，或晚于以上各档：须在 0 至 100 之间。"
    assert error_beside(page, "grace_min")
    assert error_beside(page, "rate_0")


def test_an_edit_of_an_older_version_is_refused(desk: Desk) -> None:
    reader = desk.reader("manager")
    old = shown(desk, reader)
    _, fields = looked(desk, reader, grace_min="20")
    reader.post(page_of(desk), **fields)
    answer = reader.post(page_of(desk), **old)
    assert answer.status_code == 412
    assert "It was changed since you opened it" in answer.text


def test_who_may_open_and_who_may_edit_and_where_it_is_found(desk: Desk) -> None:
    for name, status in (("stranger", 404), ("customer", 404), ("evaluator", 404), ("finance", 403), ("technician", 200)):
        assert desk.reader(name).get(page_of(desk)).status_code == status, name
    technician = desk.reader("technician")
    assert technician.post(page_of(desk), **shown(desk, technician)).status_code == 403
    assert "See what it would have done" not in technician.get(page_of(desk)).text
    for page in ("", "/rules"):
        assert f'href="/en{page_of(desk)}"' in desk.reader("manager").get(f"/desk/resources/{desk.resource}{page}").text


def test_customers_read_it_in_plain_words_on_the_listing_and_before_they_book(desk: Desk) -> None:
    reader, customer = desk.reader("manager"), desk.reader("customer")
    _, fields = looked(desk, reader, limit_0="72", rate_0="0", overtime_mult="200", no_show_rate="100")
    reader.post(page_of(desk), **fields)
    listing = customer.get(f"/r/{desk.resource}").text
    for said in (
        "Until 72 h before: free",
        "Until 24 h before: 25 per cent of the price",
        "100 per cent of the price",
        "200 per cent of the price, once it is longer than 10 min, for 1 h at most",
        "The confirmed use, in steps of 15 min",
    ):
        assert said in listing
    assert "提前 72 小时以上：免费" in customer.get(f"/r/{desk.resource}", "zh").text
    times = f"start={day(10):%Y-%m-%dT%H:%M}%2B08:00&end={day(12):%Y-%m-%dT%H:%M}%2B08:00"
    review = customer.get(f"/r/{desk.resource}/review?{times}").text
    assert "200 per cent of the price, once it is longer than 10 min" in review
    assert "later, or if nobody comes" in review
