"""Typed text made fit to store: names, addresses, credit codes with their check character."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from marketplace.people.text import clean, clean_credit_code, clean_email
from marketplace.refusals import Invalid

DIGITS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
GOOD = "91350100M000100Y43"


def checked(body: str) -> str:
    """`body` with its check character, worked out as GB 32100-2015 prints it: weights 3^0, 3^1, ... and 31 less the rest."""
    weights = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
    rest = sum(DIGITS.index(char) * weight for char, weight in zip(body, weights, strict=True)) % 31
    return body + DIGITS[(31 - rest) % 31]


def is_good(code: str) -> bool:
    try:
        return clean_credit_code(code) == code
    except Invalid:
        return False


bodies = st.text(DIGITS, min_size=17, max_size=17)


@pytest.mark.parametrize("code", [GOOD, "91110000600037341L", "91330100799655058B", "91440300708461136T"])
def test_codes_of_the_public_register_are_good(code: str) -> None:
    assert is_good(code)


@pytest.mark.parametrize("empty", [None, ""])
def test_no_code_is_no_code(empty: str | None) -> None:
    assert clean_credit_code(empty) is None


@pytest.mark.parametrize(
    "code", [GOOD[:-1], GOOD + "0", GOOD[:-1] + "4", GOOD.replace("M", "I"), GOOD.replace("0", "O"), "９" + GOOD[1:], "S" * 18]
)
def test_a_code_that_cannot_be_is_refused(code: str) -> None:
    with pytest.raises(Invalid) as refused:
        clean_credit_code(code)
    assert refused.value.values["field"] == "credit_code"


def test_a_code_is_trimmed_and_set_in_capitals() -> None:
    assert clean_credit_code(f" {GOOD.lower()}\n") == GOOD


@given(bodies)
def test_every_body_has_exactly_one_check_character(body: str) -> None:
    assert [body + last for last in DIGITS if is_good(body + last)] == [checked(body)]


@given(bodies, st.integers(0, 17), st.sampled_from(DIGITS))
def test_one_mistyped_character_is_always_seen(body: str, place: int, char: str) -> None:
    code = checked(body)
    assume(code[place] != char)
    assert not is_good(code[:place] + char + code[place + 1 :])


@given(bodies, st.integers(0, 16))
def test_two_neighbours_changed_round_are_always_seen(body: str, place: int) -> None:
    code = checked(body)
    assume(code[place] != code[place + 1])
    assert not is_good(code[:place] + code[place + 1] + code[place] + code[place + 2 :])


@pytest.mark.parametrize(
    ("typed", "kept"), [("  李梅 ", "李梅"), ("e\u0301", "é"), ("a" * 200, "a" * 200), ("<b>&amp;", "<b>&amp;"), ("🙂", "🙂")]
)
def test_text_is_trimmed_and_composed_and_nothing_else(typed: str, kept: str) -> None:
    assert clean(typed, field="name") == kept


@pytest.mark.parametrize("typed", ["", " \t\n", "a" * 201, "a\u0000b", "a\nb", "a\u007f", "\u202eabc", "a\u2066b", "a\ud800"])
def test_text_that_hides_something_is_refused(typed: str) -> None:
    with pytest.raises(Invalid) as refused:
        clean(typed, field="name")
    assert refused.value.values["field"] == "name"


@pytest.mark.parametrize("typed", ["Li.Mei+x@Example.COM", " li@localhost ", "李梅@例子.中国"])
def test_an_address_is_kept_in_lower_case(typed: str) -> None:
    assert clean_email(typed) == typed.strip().lower()


@pytest.mark.parametrize("typed", ["", "li", "@", "li@", "@example.com", "a@b@c", "a b@c", "a@b c", "a@b\nBcc: x@y"])
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(Invalid):
        clean_email(typed)
