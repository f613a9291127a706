"""A refusal that a person meets is told in one language, with the labels of the page and nothing of the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from billing.tables import StatementState
from booking.states import BookingState
from booking.swaps.tables import SwapState
from booking.waiting.line import WaitingState
from marketplace.refusals import Invalid, WrongState
from marketplace.tables import ListingState
from tests.web.desks import Desk, error_beside
from tests.web.test_words import chinese
from web.i18n import translator
from web.reasons import REASONS, STATES, beside, sentence
from web.refusals import WRONG_STATE, problem
from web.views.frame import Lang

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS_ONLY = ("web/api/", "web/deps.py", "web/cli.py", "billing/simulation.py", "billing/policy.py", "billing/tariffs/")
"""What no page leads to."""


def sources() -> Iterator[Path]:
    for floor in ("marketplace", "booking", "devices", "billing", "evaluation", "web"):
        yield from (ROOT / floor).rglob("*.py")


def given_reasons() -> set[str]:
    """Every reason that the sources give for a value that a page may bring."""
    found = set()
    for path in sources():
        if path.relative_to(ROOT).as_posix().startswith(PROGRAMS_ONLY):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Invalid":
                values = [word.value for word in node.keywords if word.arg == "reason"]
                found |= {value.value for value in values if isinstance(value, ast.Constant)}
    return found


def test_every_reason_that_a_page_may_bring_is_told_in_chinese() -> None:
    given = given_reasons()
    assert len(given) > 25
    assert sorted(given - set(REASONS)) == []
    known = chinese()
    assert [reason for reason in REASONS if reason not in known] == []


def test_no_sentence_waits_for_a_reason_that_is_gone() -> None:
    text = "".join(path.read_text() for path in sources() if path.name != "reasons.py")
    assert [reason for reason in REASONS if f'"{reason}"' not in text] == []


def test_a_page_names_the_field_by_its_label_and_a_program_by_what_it_sent() -> None:
    refusal = Invalid(field="rules.notice_min", reason="must be {low} to {high}", low=0, high=9)
    assert beside(refusal.values, translator(Lang.ZH)) == "需提前：须在 0 至 9 之间。"
    assert beside(refusal.values, translator(Lang.EN)) == "Book ahead: must be 0 to 9."
    answer = problem(refusal)
    assert answer["detail"].startswith("The value of rules.notice_min does not fit: must be 0 to 9.")
    assert answer["reasons"][0]["reason"] == "must be 0 to 9"


def named_states() -> set[tuple[str, str]]:
    """(state, move) of every WrongState whose words the sources spell out; an empty move where it is computed."""
    found = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "WrongState":
                words = {word.arg: word.value for word in node.keywords}
                move = words["move"].value if isinstance(words["move"], ast.Constant) else ""
                texts = [one.value for one in ast.walk(words["state"]) if isinstance(one, ast.Constant)]
                found |= {(str(text), str(move)) for text in texts}
    return found


COMPUTED = (*BookingState, *WaitingState, *StatementState, *ListingState)
"""States that a WrongState tells by its value; an exchange's have one sentence of their own."""


def test_every_state_in_the_way_has_words_in_both_languages() -> None:
    named = named_states()
    assert {("not_begun", ""), ("without_gaps", "fill_gaps"), ("needed", "leave")} <= named
    for state, move in named | {(state.value, "move") for state in COMPUTED} | {(state.value, "answer") for state in SwapState}:
        for lang in Lang:
            told = sentence("wrong_state", {"state": state, "move": move}, translator(lang))
            assert state in STATES or any(key in WRONG_STATE for key in (state, move, f"{move}:{state}")), (state, move)
            assert "_" not in told
            assert "{" not in told
            assert lang is Lang.EN or not re.search("[a-zA-Z]", told), told


def test_a_state_is_told_by_its_name() -> None:
    refusal = WrongState(state="no_show", move="cancel")
    assert "“未到场”" in sentence("wrong_state", refusal.values, translator(Lang.ZH))
    assert "“Not used”" in sentence("wrong_state", refusal.values, translator(Lang.EN))
    assert problem(refusal)["detail"].startswith("It is “no show” now, which does not allow this step.")
    early = problem(WrongState(state="not_begun", move="check_in"))
    assert early["detail"] == "Its time has not begun yet. Nothing was changed. Come back when it has."
    assert (early["reasons"][0]["state"], "named" in early["reasons"][0]) == ("not_begun", False)


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"capacity": "2000"}, "capacity", "须在 1 至 1000 之间"),
        ({"notice_min": "600000"}, "notice_min", "须在 0 至 525600 之间"),
        ({"min_min": "90", "max_min": "60"}, "min_min", "大于最长预约"),
        ({"price": "viel"}, "price", "不是金额"),
        ({"commissioned_on": "gestern"}, "commissioned_on", "不是日期"),
    ],
)
def test_a_chinese_reader_is_told_in_chinese(desk: Desk, changes: dict[str, str], field: str, said: str) -> None:
    reader = desk.reader("manager")
    page = reader.get(f"/desk/resources/{desk.resource}").text
    version = re.findall(r'name="version" value="(\d+)"', page)[0]
    kept = {"version": version, "name": "粉碎机", "kind": "small_line", "price": "540", "capacity": "1", "hours": "keep"}
    answer = reader.post(f"/desk/resources/{desk.resource}", lang="zh", **{**kept, **changes})
    assert answer.status_code == 422
    wrong = error_beside(answer.text, field)
    assert said in wrong
    assert not re.search("[A-Za-z]{3,}", wrong.replace("2026-03-10", ""))
