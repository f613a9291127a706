"""Open questions about meters on pages: who reads them, who closes them, and what is told of each."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from devices.flags.days import Kind
from devices.flags.tables import DeviceFlag
from devices.registry.actions import register_device
from marketplace import clock
from marketplace.catalogue import queries as catalogue
from marketplace.ids import new_id
from tests import builders
from tests.web.desks import Desk, error_beside
from web.flag_words import BEHIND_IT, QUESTION, SEEN
from web.present.flags import MOST_OPEN, PAGE

DAY = datetime(2026, 3, 10, tzinfo=UTC)
EVIDENCE: Mapping[Kind, Mapping[str, Any]] = {
    Kind.FLAT: {"power_w": 2400.5, "samples": 480},
    Kind.REPLAYED: {"samples": 120, "first_at": "2026-03-09T08:00:00+00:00"},
    Kind.ENERGY_MISMATCH: {"drawn_wh": 4800, "counted_wh": 0, "intervals": 479},
    Kind.OVER_RATING: {"power_w": 3700.0, "rated_w": 3000.0, "samples": 12},
    Kind.ALWAYS_ON: {"days": 7, "least_w": None, "p_on": 100.0},
    Kind.CLOCK: {"messages": 1440, "ill_timed": 300},
    Kind.RELAY_OFF: {"least_w": 480.0, "most_w": 480.6, "messages": 31, "channel": ""},
    Kind.TAKEOVERS: {"minutes": 30, "most_in_an_hour": 30, "addresses": ["10.0.0.7", "10.0.0.9"]},
    Kind.BURST: {"hours": 126.5, "usual_h": 28.0, "busiest_h": 30.0, "days_before": 84},
}


def a_meter(desk: Desk, resource_id: str = "") -> str:
    with desk.database() as session:
        row, _ = register_device(
            session, resource_id=resource_id or desk.resource, name="主电源", profile={}, actor_id=None, now=clock.now()
        )
        session.commit()
        return row.id


def a_flag(desk: Desk, device: str, kind: Kind = Kind.FLAT, *, day: int = 0, closed: bool = False, resource: str = "") -> str:
    begin = DAY + timedelta(days=day)
    with desk.database() as session:
        row = DeviceFlag(
            id=new_id("flg"),
            device_id=device,
            resource_id=resource or desk.resource,
            kind=kind,
            day=begin.date(),
            starts_at=begin + timedelta(hours=1),
            ends_at=begin + timedelta(hours=3),
            evidence=dict(EVIDENCE[kind]),
            raised_at=begin + timedelta(days=1, hours=1),
            closed_at=begin + timedelta(days=2) if closed else None,
            comment=f"已核对 {day}" if closed else None,
        )
        session.add(row)
        session.commit()
        return row.id


def test_each_kind_is_asked_in_words_with_what_was_seen(desk: Desk) -> None:
    device = a_meter(desk)
    for kind in Kind:
        a_flag(desk, device, kind)
    for lang, words in (
        ("en", ("2,400.5 W", "4,800 Wh", "126.5 h", "10.0.0.7, 10.0.0.9", "Mon 9 Mar 16:00")),
        ("zh", ("2,400.5 W",)),
    ):
        page = desk.reader("technician").get("/desk/flags", lang=lang).text
        assert [word for word in words if word not in page] == []
        assert page.count('class="card question"') == len(Kind)
    assert [QUESTION[kind] for kind in Kind if QUESTION[kind] in page] == []  # in Chinese by now
    assert f'href="/zh/desk/devices/{device}"' in page
    assert f'href="/zh/desk/resources/{desk.resource}"' in page


def test_every_kind_and_figure_has_its_words() -> None:
    kinds = {kind.value for kind in Kind}
    assert set(QUESTION) == set(BEHIND_IT) == kinds == {kind.value for kind in EVIDENCE}
    assert set(SEEN) == {name for told in EVIDENCE.values() for name in told}


READERS = [
    ("technician", 200, 404),
    ("manager", 200, 404),
    ("operator", 200, 200),
    ("evaluator", 404, 200),
    ("finance", 403, 404),
    ("stranger", 404, 404),
    ("customer", 404, 404),
]


@pytest.mark.parametrize(("who", "own", "everywhere"), READERS)
def test_who_reads_them(desk: Desk, who: str, own: int, everywhere: int) -> None:
    reader, flag = desk.reader(who), a_flag(desk, a_meter(desk))
    mine = reader.get(f"/desk/flags?institution={desk.house}")
    every = reader.get("/evaluation/flags")
    assert (mine.status_code, every.status_code) == (own, everywhere)
    assert [flag in page.text for page in (mine, every)] == [own == 200, everywhere == 200]


@pytest.mark.parametrize(("who", "status"), [("evaluator", 404), ("finance", 403), ("stranger", 404), ("customer", 404)])
def test_who_cannot_close_them(desk: Desk, who: str, status: int) -> None:
    flag = a_flag(desk, a_meter(desk))
    for more in ({}, {"everywhere": "1"}):
        answer = desk.reader(who).post(f"/desk/flags/{flag}/close", **{f"comment-{flag}": "没有问题"}, **more)
        assert answer.status_code == status
    assert f"/desk/flags/{flag}/close" in desk.reader("manager").get("/desk/flags").text


@pytest.mark.parametrize("path", ["/desk/flags", "/evaluation/flags"])
def test_who_is_not_signed_in_is_led_there(desk: Desk, path: str) -> None:
    with TestClient(desk.app) as nobody:
        answer = nobody.get(f"/en{path}", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/en/signin?next=/en{path}")


def test_a_question_is_closed_with_a_word_of_why_and_stays_below(desk: Desk) -> None:
    flag = a_flag(desk, a_meter(desk))
    reader, field = desk.reader("technician"), f"comment-{flag}"
    for comment in ("", "   ", "x" * 1001):
        refused = reader.post(f"/desk/flags/{flag}/close", **{field: comment})
        assert refused.status_code == 422
        assert "still open" in error_beside(refused.text, field)
        assert comment.strip() in refused.text
    closed = reader.post(f"/desk/flags/{flag}/close", **{field: "电表接在照明回路上，\r\n<b>已改接</b>"})
    assert closed.status_code == 200
    assert "The question is closed" in closed.text
    assert "No question is open" in closed.text
    assert "电表接在照明回路上， &lt;b&gt;已改接&lt;/b&gt;" in closed.text
    assert "closed by technician" in closed.text
    again = reader.post(f"/desk/flags/{flag}/close", **{field: "once more"})
    assert again.status_code == 409
    assert "closed already" in again.text
    assert "Open question closed" in desk.reader("operator").get("/operator/audit").text
    assert reader.post("/desk/flags/flg_none/close", comment="x").status_code == 404


def test_an_evaluator_reads_without_a_way_to_close_and_an_operator_closes_in_the_same_list(desk: Desk) -> None:
    flag = a_flag(desk, a_meter(desk))
    seen = desk.reader("evaluator").get("/evaluation/flags").text
    assert "/close" not in seen
    assert "/desk/" not in seen
    assert f'href="/en/evaluation/units/{desk.resource}"' in seen
    operator = desk.reader("operator")
    assert f"/desk/flags/{flag}/close" in operator.get(f"/evaluation/flags?institution={desk.house}").text
    refused = operator.post(f"/desk/flags/{flag}/close", everywhere="1", institution=desk.house)
    assert (refused.status_code, refused.text.count("All institutions")) == (422, 1)
    closed = operator.post(f"/desk/flags/{flag}/close", everywhere="1", institution="", **{f"comment-{flag}": "已核对"})
    assert str(closed.url).endswith("/en/evaluation/flags?institution=&done=flag_closed")
    assert "closed by operator" in closed.text


def test_of_several_institutions_each_sees_its_own_and_the_overview_all(desk: Desk) -> None:
    with desk.database() as session:
        other = catalogue.get_resource(session, desk.resource).institution_id
        place = builders.a_resource(session, name="别家的设备")
        house, resource = place.institution_id, place.id
        session.commit()
    assert house != other
    mine, theirs = a_flag(desk, a_meter(desk)), a_flag(desk, a_meter(desk, resource), resource=resource)
    evaluator = desk.reader("evaluator")
    assert [one in desk.reader("manager").get("/desk/flags").text for one in (mine, theirs)] == [True, False]
    assert [one in evaluator.get("/evaluation/flags").text for one in (mine, theirs)] == [True, True]
    assert [one in evaluator.get(f"/evaluation/flags?institution={house}").text for one in (mine, theirs)] == [False, True]
    assert evaluator.get("/evaluation/flags?institution=ins_none").status_code == 404
    assert desk.reader("manager").get(f"/desk/flags?institution={house}").status_code == 404


def test_they_are_led_to_where_open_ones_exist(desk: Desk) -> None:
    reader, device = desk.reader("technician"), a_meter(desk)
    tile = f'href="/en/desk/flags?institution={desk.house}"><b>'
    pages = ("/desk", f"/desk/devices/{device}", f"/desk/resources/{desk.resource}/devices")
    before = [reader.get(page).text for page in pages]
    flag = a_flag(desk, device)
    home, meter, meters = (reader.get(page).text for page in pages)
    assert (tile in before[0], tile in home) == (False, True)
    assert 'href="/en/desk/flags?institution=' in before[0]  # the closed ones stay within reach
    assert (f"#{flag}" in meter, 'id="questions"' in before[1]) == (True, False)
    assert ("1 open question" in meters, "open question" in before[2]) == (True, False)
    assert re.search(r"Questions about meters<span[^>]*>1<", desk.reader("evaluator").get("/evaluation").text)
    assert "/desk/flags" not in desk.reader("finance").get("/desk").text
    assert 'href="/en/evaluation/flags"' in desk.reader("operator").get("/operator").text


def test_long_lists_go_on(desk: Desk) -> None:
    device = a_meter(desk)
    for day in range(PAGE + 1):
        a_flag(desk, device, day=day, closed=True)
    for day in range(MOST_OPEN + 2):
        a_flag(desk, device, Kind.CLOCK, day=day)
    reader = desk.reader("manager")
    first = reader.get("/desk/flags").text
    assert (first.count('class="card question"'), "2 more are open" in first) == (MOST_OPEN, True)
    assert ("已核对 50" in first, "已核对 0<" in first) == (True, False)
    following = re.search(r'href="/en(/desk/flags\?[^"]*cursor=\d+)#closed"', first)
    assert following
    last = reader.get(following[1].replace("&amp;", "&")).text
    assert ("已核对 50" in last, "已核对 0<" in last) == (False, True)
    assert reader.get("/desk/flags?cursor=-1").status_code == 422
