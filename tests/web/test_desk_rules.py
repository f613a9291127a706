"""The editor of all rules: it shows what a change would have done before it saves, and keeps what it shows."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select

from booking.states import BookingState
from booking.tables import RuleVersion
from marketplace import audit, clock
from marketplace.tables import Organisation, Resource
from tests.builders import a_booking
from tests.web.desks import Desk, Reader, error_beside
from web.present.rules import MOST_LINES


def fields_of(page: str) -> dict[str, str]:
    """What a browser would send of the form as it is shown."""
    found = {}
    for tag in re.findall(r"<input[^>]*>", page):
        name, value = re.search(r'name="([^"]+)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and ('type="checkbox"' not in tag or " checked" in tag):
            found[name[1]] = value[1] if value else ""
    for name, options in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', page, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options) or re.search(r'value="([^"]*)"', options)
        found[name] = chosen[1] if chosen else ""
    for name, text in re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', page, re.DOTALL):
        found[name] = text
    return {name: value for name, value in found.items() if name not in {"csrf", "look"}}


def editor(desk: Desk) -> str:
    return f"/desk/resources/{desk.resource}/rules"


def shown(desk: Desk, reader: Reader) -> dict[str, str]:
    return fields_of(reader.get(editor(desk)).text.split('<form class="stack"')[1])


def sent(desk: Desk, reader: Reader, **changes: str) -> tuple[str, dict[str, str]]:
    """The page after a first look, and its fields."""
    answer = reader.post(editor(desk), **{**shown(desk, reader), **changes, "look": "1"})
    assert answer.status_code == 200, answer.text
    return answer.text, fields_of(answer.text.split('<form class="stack"')[1])


def a_past(desk: Desk, count: int) -> str:
    """So many used bookings of the last month, an hour each; the name of the firm."""
    with desk.database() as session:
        machine, firm = session.get_one(Resource, desk.resource), session.scalars(select(Organisation)).first()
        for day in range(count):
            start = clock.now().replace(minute=0, second=0, microsecond=0) - timedelta(days=10 + day)
            a_booking(session, resource=machine, organisation=firm, start=start, hours=1, state=BookingState.COMPLETED)
        session.commit()
        return firm.name if firm else ""


def versions(desk: Desk) -> int:
    with desk.database() as session:
        return len(session.scalars(select(RuleVersion).where(RuleVersion.resource_id == desk.resource)).all())


def test_a_change_is_shown_on_the_past_and_saved_when_it_is_sent_back(desk: Desk) -> None:
    firm, reader = a_past(desk, 3), desk.reader("manager")
    page, fields = sent(desk, reader, hours="always")
    assert "None of 0 bookings" not in page
    reader.post(editor(desk), **fields)
    before = versions(desk)
    page, fields = sent(desk, reader, min_min="120")
    assert "3 of 3 bookings of the last three months would have been refused" in page
    assert "shorter than the shortest booking: 3" in page
    assert firm in page
    assert versions(desk) == before
    saved = reader.post(editor(desk), **fields)
    assert "The rules hold from now on" in saved.text
    assert versions(desk) == before + 1
    assert shown(desk, reader)["min_min"] == "120"


def test_what_was_changed_after_the_look_is_shown_again_before_it_is_saved(desk: Desk) -> None:
    reader, before = desk.reader("manager"), versions(desk)
    _, fields = sent(desk, reader, min_min="120")
    again = reader.post(editor(desk), **{**fields, "min_min": "90"})
    assert "Nothing was saved yet" in again.text
    assert versions(desk) == before


def test_every_rule_of_the_editor_is_kept_as_typed(desk: Desk) -> None:
    a_past(desk, 1)
    reader = desk.reader("manager")
    reader.post("/desk/training", institution_id=desk.house, name="激光安全", name_en="Laser safety", levels="初级 / Basic\n高级")
    staff = reader.get(f"/desk/operators?institution={desk.house}").text
    person = re.findall(r'<option value="(per_\w+)"', staff)[0]
    reader.post("/desk/operators", institution_id=desk.house, person_id=person, hours="always")
    pump, page = desk.list_machine(), reader.get(editor(desk)).text
    kind = re.findall(r'value="(qlf_\w+:2)"', page)[0]
    operator = re.findall(r'name="(operator_opr_\w+)"', page)[0]
    firm = re.findall(r'name="welcome_(org_\w+)"', page)[0]
    changes = {
        "exceptions": "2026-12-24\n2026-12-31 10:00–12:00 14-16", "holidays": "CN", "waive": "1", "approval": "trusted",
        "decide_within_h": "48", "welcome_academic": "1", "since_academic": "2026-07-01", f"welcome_{firm}": "1",
        f"trusted_{firm}": "1", "limit_0": "8", "unit_0": "hours", "per_0": "week", "by_0": "group:industry", "limit_1": "2",
        "unit_1": "count", "per_1": "day", "by_1": "members", "group_1": "联合体",
        "members_1": "technician@example.com\n蓉创新材料有限公司", "need_0": kind, "alone_0": "1", "mode": "optional",
        "supervised_runs": "2", operator: "1", f"part_{pump}": "1", "setup_min": "15", "cleaning_min": "30",
        "check_in_grace_min": "20", "overtime_min": "0",
    }  # fmt: skip
    _, fields = sent(desk, reader, **changes)
    saved = reader.post(editor(desk), **fields)
    assert "The rules hold from now on" in saved.text, saved.text
    kept = shown(desk, reader)
    wanted = {**changes, "exceptions": "2026-12-24\n2026-12-31 10:00-12:00 14:00-16:00"}
    wanted["members_1"] = "蓉创新材料有限公司\ntechnician@example.com"
    assert {name: kept.get(name) for name in wanted} == wanted


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"exceptions": "tomorrow 10-12"}, "exceptions", "not a date with times: tomorrow 10-12"),
        ({"exceptions": "2026-12-24 12-10"}, "exceptions", "not a date with times"),
        ({"exceptions": "2026-12-24\n2026-12-24"}, "exceptions", "names a date twice"),
        ({"approval": "trusted"}, "approval", "choose whom you trust"),
        ({"limit_0": "0"}, "quotas", "must be 1 to 100000"),
        ({"limit_0": "viel"}, "limit_0", "a whole number is needed"),
        ({"limit_0": "2", "unit_0": "count", "per_0": "day", "by_0": "members"}, "quotas", "needs a name and its members"),
        (
            {"limit_0": "2", "unit_0": "count", "per_0": "day", "by_0": "members", "group_0": "x", "members_0": "y"},
            "quotas",
            "no customer or colleague of that name: y",
        ),
        ({"need_0": "qlf_x:1"}, "qualifications", "that the institution does not have"),
        ({"need_0": "qlf_x:one"}, "qualifications", "choose one of the list"),
        ({"mode": "required", "operator_opr_x": "1"}, "assistance", "that the institution does not have"),
        ({"min_min": "90", "max_min": "60"}, "min_min", "is longer than the longest booking"),
        (
            {"step_min": "60", "min_min": "1", "max_min": "45"},
            "max_min",
            "allows no length in whole steps, so nothing could be booked",
        ),
        ({"step_min": "30", "min_min": "40", "max_min": "50"}, "max_min", "allows no length in whole steps"),
        ({"step_min": "0"}, "step_min", "must be 1 to 1440"),
        ({"check_in_grace_min": "4"}, "check_in_grace_min", "must be 5 to 1440"),
        ({"overtime_min": "61"}, "overtime_min", "must be 0 to 60"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_saved(desk: Desk, changes: dict[str, str], field: str, said: str) -> None:
    reader, before = desk.reader("manager"), versions(desk)
    answer = reader.post(editor(desk), **{**shown(desk, reader), **changes})
    assert answer.status_code == 422
    assert said in answer.text
    assert f'href="#f-{field}"' in answer.text
    assert versions(desk) == before


def test_a_line_of_a_huge_number_does_not_draw_as_many(desk: Desk) -> None:
    answer = desk.reader("manager").post(
        editor(desk), **{**shown(desk, desk.reader("manager")), "limit_999999999": "1", "look": "1"}
    )
    assert answer.status_code < 500
    assert answer.text.count('name="limit_') <= MOST_LINES


def test_an_edit_of_an_older_version_is_refused(desk: Desk) -> None:
    reader = desk.reader("manager")
    old = shown(desk, reader)
    _, fields = sent(desk, reader, min_min="120")
    reader.post(editor(desk), **fields)
    answer = reader.post(editor(desk), **old)
    assert answer.status_code == 412
    assert "It was changed since you opened it" in answer.text


def test_who_may_open_and_who_may_edit(desk: Desk) -> None:
    for name, status in (("stranger", 404), ("customer", 404), ("evaluator", 404), ("finance", 403), ("technician", 200)):
        assert desk.reader(name).get(editor(desk)).status_code == status, name
    answer = desk.reader("technician").post(editor(desk), **shown(desk, desk.reader("technician")))
    assert answer.status_code == 403
    assert "See what it would have done" not in desk.reader("technician").get(editor(desk)).text


def test_qualifications_and_operators_have_their_pages(desk: Desk) -> None:
    reader = desk.reader("manager")
    training, operators = f"/desk/training?institution={desk.house}", f"/desk/operators?institution={desk.house}"
    for address in (training, operators):
        for name, status in (("stranger", 404), ("customer", 404), ("finance", 403), ("technician", 200)):
            assert desk.reader(name).get(address).status_code == status, (address, name)
    defined = reader.post("/desk/training", institution_id=desk.house, name="激光安全", levels="初级 / Basic\n高级")
    assert "The qualification is defined" in defined.text
    twice = reader.post("/desk/training", institution_id=desk.house, name="激光安全", levels="初级")
    assert (twice.status_code, error_beside(twice.text, "name")) == (422, "Name: there is one of this name already.")
    kind = re.findall(r'id="(qlf_\w+)"', defined.text)[0]
    grants = f"/desk/training/{kind}/grants"
    nobody = desk.reader("technician").post(grants, email="customer@example.com", level="1")
    assert nobody.status_code == 422
    assert "has this address" in nobody.text
    granted = desk.reader("technician").post(grants, email="finance@example.com", level="2", valid_until="2099-01-01")
    assert "Granted; the person is told" in granted.text
    assert "高级" in desk.reader("finance").get("/account").text
    assert "You were granted a qualification" in desk.reader("finance").get("/messages").text
    revoke = re.findall(r"/desk/training/grants/(qgr_\w+)/revoke", granted.text)[0]
    assert desk.reader("stranger").post(f"/desk/training/grants/{revoke}/revoke").status_code == 404
    assert "Taken back" in reader.post(f"/desk/training/grants/{revoke}/revoke").text
    person = re.findall(r'<option value="(per_\w+)"', reader.get(operators).text)[0]
    added = reader.post("/desk/operators", institution_id=desk.house, person_id=person, hours="workdays")
    assert "Added. Assisted bookings" in added.text
    one = re.findall(r"/desk/operators/(opr_\w+)", added.text)[0]
    wrong = reader.post(f"/desk/operators/{one}", hours="week", open_0_1="12:00", close_0_1="10:00")
    assert wrong.status_code == 422
    away = {"start": "2099-01-01T08:00", "end": "2099-01-02T08:00", "reason": "培训"}
    assert "The absence is entered" in reader.post(f"/desk/operators/{one}/absences", **away).text
    backwards = reader.post(f"/desk/operators/{one}/absences", **{**away, "end": "2099-01-01T08:00"})
    assert error_beside(backwards.text, "end") == "End: not after start."
    assert desk.reader("stranger").get(f"/desk/operators/{one}").status_code == 404
    assert desk.reader("manager").get(f"/desk/resources/{one}").status_code == 404
    assert "Removed" in reader.post(f"/desk/operators/{one}/leave").text
    assert reader.get(f"/desk/operators/{one}").status_code == 404


def test_a_listing_tells_its_conditions_and_books_with_an_operator(desk: Desk) -> None:
    reader = desk.reader("manager")
    reader.post("/desk/operators", institution_id=desk.house, person_id=_person(desk), hours="always")
    _, fields = sent(desk, reader, mode="optional", supervised_runs="1", hours="always")
    reader.post(editor(desk), **fields)
    start = (clock.now() + timedelta(days=3)).replace(minute=0, second=0, microsecond=0)
    slot = {"start": start.isoformat(), "end": (start + timedelta(hours=2)).isoformat()}
    customer = desk.reader("customer")
    panel = customer.get(f"/r/{desk.resource}?start={slot['start'][:16]}Z&end={slot['end'][:16]}Z").text
    assert 'name="assisted"' in panel
    assert "the first 1 with an operator" in panel
    assert re.search(r'name="assisted"[^>]* checked', panel), "who may not book alone is led to an operator"
    assert "With an operator beside you it can be booked." in panel
    visitor = (
        desk.reader("stranger").get(f"/r/{desk.resource}?start={slot['start'][:16]}Z&end={slot['end'][:16]}Z", lang="zh").text
    )
    assert "由操作员在场协助即可预约。" in visitor
    (operator,) = set(re.findall(r"/desk/operators/(opr_\w+)", reader.get(f"/desk/operators?institution={desk.house}").text))
    away = {"start": f"{start + timedelta(days=2):%Y-%m-%dT%H:%M}", "end": f"{start + timedelta(days=4):%Y-%m-%dT%H:%M}"}
    assert "The absence is entered" in reader.post(f"/desk/operators/{operator}/absences", **away, reason="培训").text
    then = f"start={start + timedelta(days=3):%Y-%m-%dT%H:%M}Z&end={start + timedelta(days=3, hours=2):%Y-%m-%dT%H:%M}Z"
    lonely = customer.get(f"/r/{desk.resource}?{then}").text
    assert 'name="assisted"' in lonely
    assert "With an operator beside you" not in lonely, "nobody is there then"
    alone = customer.post(f"/r/{desk.resource}/bookings", **slot)
    assert alone.status_code == 409
    assert "Book with an operator" in alone.text
    booked = customer.post(f"/r/{desk.resource}/bookings", **slot, assisted="1")
    assert "An operator stands by" in booked.text


def test_a_listing_tells_until_when_to_check_in_and_how_much_overtime_there_is(desk: Desk) -> None:
    reader = desk.reader("manager")
    assert "Use past the end" not in desk.reader("customer").get(f"/r/{desk.resource}").text
    for overtime, told in (("30", "at most 30 min after the end"), ("0", "none: what runs on")):
        _, fields = sent(desk, reader, check_in_grace_min="20", overtime_min=overtime)
        reader.post(editor(desk), **fields)
        page = desk.reader("customer").get(f"/r/{desk.resource}").text
        assert "until 20 min after the start" in page
        assert told in page
    with desk.database() as session:
        kept = audit.history_of(session, "resource", desk.resource)[0].after or {}
    assert (kept["check_in_grace_min"], kept["overtime_min"]) == (20, 0)


def test_a_price_by_class_is_edited_and_shown(desk: Desk) -> None:
    reader, page = desk.reader("manager"), f"/desk/resources/{desk.resource}"
    version = re.findall(r'name="version" value="(\d+)"', reader.get(page).text)[0]
    kept = {"name": "粉碎机", "kind": "small_line", "price": "540", "capacity": "1", "hours": "keep", "version": version}
    assert reader.post(page, **kept, price_industry="450.50", price_academic="").status_code == 200
    assert 'value="450.5' in reader.get(page).text
    start = (clock.now() + timedelta(days=3)).replace(minute=0, second=0, microsecond=0)
    when = f"start={start.isoformat()[:16]}Z&end={(start + timedelta(hours=2)).isoformat()[:16]}Z"
    panel = desk.reader("customer").get(f"/r/{desk.resource}?{when}").text
    assert "Price for industry" in panel
    assert "901.00" in panel


def _person(desk: Desk) -> str:
    return re.findall(r'<option value="(per_\w+)"', desk.reader("manager").get(f"/desk/operators?institution={desk.house}").text)[
        0
    ]
