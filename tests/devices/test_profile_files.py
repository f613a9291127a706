"""A profile as text and back, and where in the text a field stands."""

import tomllib
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.codecs.families import FAMILIES
from devices.profile import Profile, read_profile
from devices.profile_files import LONGEST, READING, as_text, described_as_text, line_of, read_text, with_line
from marketplace.refusals import Invalid

WORD = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
TOPIC = st.from_regex(r"[a-z]{1,5}(/[a-z]{1,5}){0,3}", fullmatch=True)
PATH = st.from_regex(r"[a-z:\"' ]{1,6}(\.[a-z0-9]{1,4}){0,2}", fullmatch=True)
QUANTITY = PATH | st.fixed_dictionaries({"path": PATH, "scale": st.floats(1e-9, 1e9)})
MESSAGE = st.fixed_dictionaries(
    {"topic": TOPIC},
    optional={
        "format": st.sampled_from(["json", "scalar", "either"]),
        "require": st.lists(PATH, max_size=3),
        "power": QUANTITY,
        "energy": QUANTITY,
        "state": st.fixed_dictionaries(
            {"path": PATH, "words": st.dictionaries(WORD, st.sampled_from(["RUN", "OFF"]), max_size=3)}
        ),
    },
)
TEXT = """zone = "Asia/Shanghai"
# what the meter says

[[family.message]]
topic = "a"
power = "x"

[[ family . message ]]
topic = "b"
"energy" = { path = "y..z" }
"""


@given(st.lists(MESSAGE, min_size=1, max_size=3))
def test_a_mapping_is_written_as_it_is_read(messages: list[dict[str, Any]]) -> None:
    profile = read_profile({"family": {"message": messages}, "zone": "Asia/Shanghai", "backfill": 12.5})
    again = read_profile(read_text(as_text(profile)))
    assert replace(again, mapping="") == replace(profile, mapping="")
    assert orjson.loads(again.mapping) == {"message": messages}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_family_by_its_name(family: str) -> None:
    profile = Profile(family=family, max_skew=90.0)
    assert read_profile(read_text(as_text(profile))) == profile


@pytest.mark.parametrize("family", [name for name, one in FAMILIES.items() if one.described])
def test_what_we_ship_can_be_a_begin(family: str) -> None:
    described = FAMILIES[family].described
    assert described is not None
    assert tomllib.loads("\n".join(described_as_text(described))) == {"family": described}


def test_the_metrics_of_an_edge_node() -> None:
    profile = read_profile({"family": {"sparkplug": {"power": "P", "state": {"path": "S", "vocabulary": "lads"}}}})
    assert "[family.sparkplug]" in as_text(profile)
    assert read_profile(read_text(as_text(profile))) == profile


@pytest.mark.parametrize(
    ("text", "field", "line"),
    [
        ("", "profile", None),
        ("# nothing", "profile", None),
        ("family = ", "profile", 1),
        ('zone = "UTC"\nfamily = tasmota', "profile", 2),
        ('zone = "UTC"\np_on = 7', "profile.p_on", 2),
        ("a = " + "[" * 3000, "profile", None),
        ("a = " + "{a = " * 3000, "profile", None),
        ("#" * LONGEST + "##", "profile", None),
        (f'family = "{"啊" * (LONGEST // 3)}"', "profile", None),
    ],
)
def test_a_text_that_is_none_names_its_line(text: str, field: str, line: int | None) -> None:
    with pytest.raises(Invalid) as caught:
        read_text(text)
    assert (caught.value.values["field"], caught.value.values.get("line")) == (field, line)


def test_a_field_is_told_with_its_line() -> None:
    with pytest.raises(Invalid) as caught:
        read_profile(read_text(TEXT))
    assert with_line(caught.value, TEXT).values["line"] == 10
    assert line_of(TEXT, "profile.zone") == 1
    assert line_of(TEXT, "profile.family.message.0.power") == 6
    assert line_of(TEXT, "profile.family.message.1.energy.path") == 10
    assert line_of(TEXT, "profile.family.message.2") is None
    assert line_of(TEXT, "profile.family") == 4
    assert line_of("", "profile.family") is None


def test_brackets_within_words_do_not_nest() -> None:
    words = ", ".join(f'"[[{number}" = "RUN"' for number in range(20))
    text = f'[[family.message]]\ntopic = "a"\nstate = {{ path = "s", words = {{ {words} }} }}\n'
    assert set(read_text(text)) == {"family"}


def test_thresholds_are_left_to_their_form() -> None:
    assert {"family", "mapping", *READING} | {
        "p_on", "p_off", "min_on", "min_off", "stale_after", "max_gap", "rated_w", "p_idle",
    } == set(Profile.__dataclass_fields__)  # fmt: skip
