"""Codes become words: browsers, changes in the record, districts in both languages."""

import pytest

from booking.swaps.tables import SwapState
from booking.waiting.line import Turn
from tests.web.desks import Desk
from tests.web.test_desk_outages import a_booking
from web.agents import browser_in_words
from web.changes import title, told
from web.i18n import Formats, translator
from web.labels import word
from web.views.frame import Lang

ENDED = [one for one in SwapState if one is not SwapState.PROPOSED]
WINDOWS, PHONE = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)"


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        (f"{WINDOWS} AppleWebKit/537.36 Chrome/150.0 Safari/537.36", "Windows 上的 Chrome"),
        (f"{PHONE} AppleWebKit/605.1 Mobile MicroMessenger/8.0", "iPhone 上的 WeChat"),
        (f"{PHONE} AppleWebKit/605.1 Version/18.0 Mobile Safari/604.1", "iPhone 上的 Safari"),
        ("python-httpx/0.28", "python-httpx"),
    ],
)
def test_a_browser_is_named(agent: str, said: str) -> None:
    assert browser_in_words(agent, translator(Lang.ZH)) == said


def test_a_change_is_told_by_its_name_with_its_values() -> None:
    before = {"state": "requested", "start": "2026-11-25T02:00:00+00:00", "version": 1}
    after = {"state": "confirmed", "start": "2026-11-26T02:00:00+00:00", "version": 2}
    zh = translator(Lang.ZH)
    assert title("booking", "approve", zh) == "预约已批准"
    assert told(before, after, Formats(Lang.ZH), zh) == [
        "状态: 待审批 → 已确认",
        "开始: 11月25日 周三 10:00 → 11月26日 周四 10:00",
    ]
    rules = {"check_in_grace_min": None, "overtime_min": 0}
    assert told({}, rules, Formats(Lang.ZH), zh) == ["超时（分钟）: 0"]
    assert title("kiln", "heat_up", str) == "kiln · heat up"
    steps = [*(("waiting", f"waiting_{turn.value}") for turn in Turn), *(("swap", f"{one.value}_swap") for one in ENDED)]
    assert [step for step in steps if "·" in title(*step, zh)] == []


def test_the_record_speaks_the_readers_language(desk: Desk) -> None:
    a_booking(desk)
    page = desk.reader("operator").get("/operator/audit", lang="zh").text
    assert "新建预约" in page
    assert "状态: 已确认" in page
    assert "booking · book" not in page


def test_districts_have_their_names_in_both_languages(desk: Desk) -> None:
    reader = desk.reader("customer")
    assert "Xinjin District" in reader.get(f"/r/{desk.resource}").text
    assert "新津区" in reader.get(f"/r/{desk.resource}", lang="zh").text
    assert "Xinjin District" in reader.get("/search").text
    assert word(str, "district", "某县") == "某县"
