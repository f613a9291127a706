"""The lines of a tariff in the policy's editor: kept as typed, refused beside it, told to customers, begun from a preset."""

from datetime import timedelta

import pytest

from billing import queries as bills
from marketplace.tables import Resource
from tests.web.desks import Desk, error_beside
from tests.web.test_desk_outages import day
from tests.web.test_desk_policy import looked, page_of, shown, versions
from tests.web.test_desk_rules import fields_of

NIGHT = {"days_0": "0,1,2,3,4", "begins_0": "22:00", "ends_0": "06:00", "each_0": "200"}
HELP = {"help_1": "1", "class_1": "academic", "step_1": "8", "each_1": "450.50"}


def test_lines_of_a_tariff_are_kept_as_typed_and_a_line_for_a_class_is_its_price(desk: Desk) -> None:
    reader = desk.reader("manager")
    plain = {"class_2": "industry", "each_2": "600"}
    more = {"tax_rate": "6", "tax_mode": "added", "setup_billed": "1"}
    refused = reader.post(page_of(desk), **{**shown(desk, reader), **NIGHT, **HELP, **plain, **more})
    assert "rows 1 and 3 name equally many" in error_beside(refused.text, "each_2")
    night = {**NIGHT, "class_0": "partner"}
    _, fields = looked(desk, reader, **night, **HELP, **plain, **more)
    assert "These terms hold from now on" in reader.post(page_of(desk), **fields).text
    newest = versions(desk)[-1]
    window = {"weekdays": [0, 1, 2, 3, 4], "from": "22:00", "to": "06:00"}
    assert newest["tariff"] == [
        {"class": "partner", "window": window, "price": 20000},
        {"class": "academic", "assisted": True, "from_hours": "8", "price": 45050},
    ]
    assert newest["class_prices"] == {"industry": 60000}
    assert (newest["tax"], newest["setup_billed"]) == ({"rate": "0.06", "mode": "added"}, True)
    kept = shown(desk, reader)
    assert [kept[f"each_{n}"] for n in range(3)] == ["600.00", "200.00", "450.50"]
    assert (kept["begins_1"], kept["ends_1"], kept["step_2"]) == ("22:00", "06:00", "8")
    assert (kept["tax_rate"], kept.get("setup_billed")) == ("6", "1")


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({**NIGHT, "help_1": "1", "each_1": "9"}, "each_1", "rows 1 and 2 name equally many conditions and can both apply"),
        ({"each_1": "9"}, "each_1", "name a condition: what holds without one is the list price"),
        ({"help_0": "1", "each_0": "viel"}, "each_0", "not an amount such as 525.00"),
        ({"help_0": "1", "each_0": "-1"}, "each_0", "is negative"),
        ({"help_0": "1", "each_0": "1", "step_0": "x"}, "step_0", "must be 0 to 8784"),
        ({"begins_0": "25:00", "each_0": "1"}, "begins_0", "not a time"),
        ({"begins_0": "06:00", "ends_0": "06:00", "each_0": "1"}, "ends_0", "must differ from its start"),
        ({"begins_0": "06:00"}, "each_0", "not an amount such as 525.00"),
        ({"tax_rate": "6 %"}, "tax_rate", "must be 0 to 100"),
    ],
)
def test_what_is_wrong_with_a_line_is_told_beside_it(desk: Desk, changes: dict[str, str], field: str, said: str) -> None:
    reader, before = desk.reader("manager"), len(versions(desk))
    answer = reader.post(page_of(desk), **{**shown(desk, reader), **changes})
    assert answer.status_code == 422
    assert said in error_beside(answer.text, field)
    kept = fields_of(answer.text.split('<form class="stack"')[1])
    assert all(kept[name] == value for name, value in changes.items() if name[:4] not in {"help", "days", "clas"})
    assert len(versions(desk)) == before


def test_the_form_is_filled_in_by_a_presets_rules_and_nothing_is_saved(desk: Desk) -> None:
    reader, before = desk.reader("manager"), len(versions(desk))
    with desk.database() as session:
        listed = session.get_one(Resource, desk.resource).price.minor
    page = reader.get(f"{page_of(desk)}?preset=kentucky-electron-microscopy").text
    assert "Nothing was saved yet" in page
    assert "http://www.engr.uky.edu/emc/pricelist-july-1-2012/" in page
    fields = fields_of(page.split('<form class="stack"')[1])
    assert (fields["limit_0"], fields["rate_0"], fields["no_show_rate"]) == ("48", "0", "100")
    assert len(versions(desk)) == before
    _, fields = looked(desk, reader, **{name: value for name, value in fields.items() if name not in {"seen", "number", "csrf"}})
    assert "These terms hold from now on" in reader.post(page_of(desk), **fields).text
    with desk.database() as session:
        policy = bills.policy_of(session, desk.resource)
    assert dict(policy.class_prices)["academic"] == listed * 2 // 5
    assert len(policy.tariff) == 4
    assert "Start from the rules of another institution" not in desk.reader("technician").get(page_of(desk)).text


def test_customers_read_the_tariff_and_the_tax_and_see_what_their_time_is_made_of(desk: Desk) -> None:
    reader, customer = desk.reader("manager"), desk.reader("customer")
    morning = {"begins_0": "11:00", "ends_0": "24:00", "each_0": "200"}
    assert "not a time" in error_beside(reader.post(page_of(desk), **{**shown(desk, reader), **morning}).text, "ends_0")
    changes = {**morning, "ends_0": "00:00", "tax_rate": "6", "tax_mode": "added"}
    _, fields = looked(desk, reader, **changes)
    reader.post(page_of(desk), **fields)
    listing = customer.get(f"/r/{desk.resource}").text
    assert "11:00–24:00" in listing
    assert "6 per cent are added to the prices" in listing
    assert "价格之外另加 6%" in customer.get(f"/r/{desk.resource}", "zh").text
    start = day(10)
    times = f"start={start:%Y-%m-%dT%H:%M}%2B08:00&end={start + timedelta(hours=2):%Y-%m-%dT%H:%M}%2B08:00"
    review = customer.get(f"/r/{desk.resource}/review?{times}").text
    for said in ("¥540.00", "¥200.00", "¥44.40", "¥784.40"):
        assert said in review
