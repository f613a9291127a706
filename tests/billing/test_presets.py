"""Rules of real institutions: each says where it is from, and is a policy at any listing's price."""

import pytest

from billing import policy as policies
from billing.tariffs.presets import Preset, presets
from marketplace.money import Money


def test_there_are_several_and_they_come_from_different_houses() -> None:
    found = presets().values()
    assert len(found) >= 6
    assert len({one.institution for one in found}) == len({one.source for one in found}) == len(found)
    assert sum(one.dated is not None for one in found) >= 4


@pytest.mark.parametrize("preset", presets().values(), ids=lambda preset: preset.key)
@pytest.mark.parametrize("listed", [Money(30000, "CNY"), Money(1000, "JPY"), Money(12340, "KWD"), Money(0, "EUR")])
def test_a_preset_is_a_policy_at_any_price(preset: Preset, listed: Money) -> None:
    assert preset.source.startswith(("https://", "http://"))
    assert policies.parse(preset.terms(listed)) != policies.DEFAULT


def test_prices_keep_their_proportion_to_the_list_price() -> None:
    found = policies.parse(presets()["kentucky-electron-microscopy"].terms(Money(50000, "CNY")))
    assert found.class_prices == (("internal", 10500), ("academic", 20000))
    assert sorted(rule.price for rule in found.tariff) == [7000, 7000, 35000, 70000]
