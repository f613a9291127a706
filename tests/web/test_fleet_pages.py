"""All meters on pages: the operator's, an institution's own, filters, pages and the table to take along."""

import re
from datetime import timedelta

import pytest

from devices.health.queries import Which
from devices.intake import actions as intake
from devices.readings import Envelope
from devices.registry.actions import register_device
from marketplace import clock
from tests import builders
from tests.web.desks import Desk
from web.meter_words import FLEET
from web.present.fleet import PAGE


def meters(desk: Desk, count: int, *, resource: str = "") -> list[tuple[str, str]]:
    """(id, key) of each."""
    with desk.database() as session:
        made = [
            register_device(
                session, resource_id=resource or desk.resource, name=f"表 {n}", profile={}, actor_id=None, now=clock.now()
            )[0]
            for n in range(count)
        ]
        session.commit()
        return [(row.id, row.key) for row in made]


def elsewhere(desk: Desk) -> str:
    with desk.database() as session:
        place = builders.a_resource(session, name="别家的机器")
        session.commit()
        return place.id


def listed(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/\w+/desk/devices/(\w+)"', page)


def test_every_kind_has_its_words() -> None:
    assert list(FLEET) == [which.value for which in Which]


def test_an_institution_sees_its_own_and_the_operator_all(desk: Desk) -> None:
    ((own, _),) = meters(desk, 1)
    ((other, _),) = meters(desk, 1, resource=elsewhere(desk))
    assert listed(desk.reader("technician").get("/desk/fleet").text) == [own]
    everywhere = desk.reader("operator").get("/operator/fleet").text
    assert set(listed(everywhere)) == {own, other}
    assert listed(desk.reader("operator").get(f"/operator/fleet?institution={desk.house}").text) == [own]
    assert 'href="/en/operator/fleet"' in desk.reader("operator").get("/operator").text
    assert "/desk/fleet?institution=" in desk.reader("manager").get("/desk").text


def test_the_counts_lead_to_those_they_count(desk: Desk) -> None:
    (heard, key), (never, bad), _ = meters(desk, 3)
    with desk.database() as session:
        intake.store(session, [Envelope(f"d/{key}/t", b'{"p": 8}', clock.now() - timedelta(hours=1))])
        intake.store(session, [Envelope(f"d/{bad}/t", b"{", clock.now())])
        session.commit()
    for lang in ("en", "zh"):
        page = desk.reader("technician").get("/desk/fleet", lang=lang).text
        counted = {code: int(count) for code, count in re.findall(r'which=(\w+)"[^>]*><span>[^<]*</span><b>(\d+)</b>', page)}
        assert counted == {
            "heard": 0, "silent": 1, "never": 2, "rejected": 1, "clock": 0, "questions": 0, "certificate": 0
        }  # fmt: skip
    ask = desk.reader("technician").get
    assert listed(ask("/desk/fleet?which=silent").text) == [heard]
    assert listed(ask("/desk/fleet?which=rejected").text) == [never]
    assert "Turned away" in ask("/desk/fleet?which=rejected").text
    assert "None of these" in ask("/desk/fleet?which=clock").text
    assert len(listed(ask("/desk/fleet?which=nonsense").text)) == 3


def test_a_long_list_goes_on_and_the_table_has_it_whole(desk: Desk) -> None:
    ids = {device for device, _ in meters(desk, PAGE + 5)}
    reader = desk.reader("technician")
    first = reader.get("/desk/fleet?which=never").text
    assert len(listed(first)) == PAGE
    further = re.search(r'href="(/en/desk/fleet\?[^"]*cursor=50[^"]*)"', first)
    assert further
    second = reader.client.get(further[1].replace("&amp;", "&")).text
    assert set(listed(first)) | set(listed(second)) == ids
    sheet = reader.get("/desk/fleet.csv?which=never")
    assert sheet.headers["content-type"] == "text/csv; charset=utf-8"
    assert len(sheet.text.strip().splitlines()) == PAGE + 5 + 1
    assert "never" in sheet.text


@pytest.mark.parametrize(
    ("who", "path", "status"),
    [
        ("finance", "/desk/fleet", 403),
        ("customer", "/desk/fleet", 404),
        ("manager", "/operator/fleet", 404),
        ("evaluator", "/operator/fleet.csv", 404),
        ("stranger", "/desk/fleet.csv", 200),
        ("operator", "/operator/fleet.csv", 200),
    ],
)
def test_who_may_see_them(desk: Desk, who: str, path: str, status: int) -> None:
    meters(desk, 1)
    answer = desk.reader(who).get(path)
    assert answer.status_code == status
    if who == "stranger":
        assert len(answer.text.strip().splitlines()) == 1  # another house's, with none


def test_nobody_reads_another_houses_by_its_name(desk: Desk) -> None:
    assert desk.reader("stranger").get(f"/desk/fleet?institution={desk.house}").status_code == 404
