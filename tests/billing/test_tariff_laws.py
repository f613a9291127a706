"""What holds for every tariff and every tax, whatever the rules, the use and the clock."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from billing import ledger, policy, pricing, simulation
from billing.policy import Policy
from billing.pricing import LineCode, Outcome, Piece, UseState
from billing.programmes.choosing import Programme, ProgrammeKind
from billing.settlement import Funding
from billing.simulation import Request
from billing.tariffs import rules
from billing.tariffs.choosing import PriceList, for_buyer, lay_out
from billing.tariffs.rules import CLASSES, WEEK, Rule, Window
from billing.tariffs.taxes import NO_TAX, Mode, Tax
from marketplace.money import Money
from marketplace.refusals import Invalid
from marketplace.slot import Slot, intersect, subtract, total, union

ZONES = st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]).map(ZoneInfo)
MINUTE = timedelta(minutes=1)
instants = st.integers(0, 275 * 24 * 60).map(lambda minutes: datetime(2026, 3, 1, tzinfo=UTC) + minutes * MINUTE)
slots = st.builds(lambda start, length: Slot(start, start + length * MINUTE), instants, st.integers(1, 3 * 24 * 60))
currencies = st.sampled_from(["CNY", "JPY", "KWD"])
quarter_hours = st.integers(0, 95).map(lambda quarter: quarter * 15)
days = st.sets(st.sampled_from(WEEK), min_size=1).map(lambda chosen: tuple(sorted(chosen)))
windows = st.builds(Window, days, quarter_hours, quarter_hours).filter(lambda window: window.start_min != window.end_min)
taxes = st.just(NO_TAX) | st.builds(Tax, st.integers(1, 30).map(lambda percent: Fraction(percent, 100)), st.sampled_from(Mode))
one_rule = st.builds(
    Rule,
    st.integers(0, 50_000),
    customer_class=st.none() | st.sampled_from(CLASSES),
    window=st.none() | windows,
    assisted=st.none() | st.booleans(),
    from_hours=st.none() | st.integers(1, 40).map(Fraction),
).filter(lambda rule: rule.specificity > 0)


@st.composite
def tariffs(draw: st.DrawFn) -> tuple[Rule, ...]:
    """Rules of which one always goes first."""
    kept: list[Rule] = []
    for rule in draw(st.lists(one_rule, max_size=5)):
        if rules.ambiguous([*kept, rule]) is None:
            kept.append(rule)
    return tuple(kept)


@st.composite
def price_lists(draw: st.DrawFn) -> PriceList:
    buffers = st.integers(0, 90).map(lambda minutes: minutes * MINUTE)
    met = for_buyer(draw(tariffs()), customer_class=draw(st.none() | st.sampled_from(CLASSES)), assisted=draw(st.booleans()))
    hour = Money(draw(st.integers(0, 50_000)), draw(currencies))
    return PriceList(hour, met, draw(ZONES), draw(buffers), draw(buffers), draw(taxes))


@st.composite
def uses(draw: st.DrawFn, slot: Slot) -> tuple[Piece, ...]:
    whole = int(slot.duration / MINUTE)
    starts = st.integers(-60, whole + 60)
    stretches = draw(st.lists(st.tuples(starts, st.integers(1, whole + 60), st.sampled_from(UseState)), max_size=5))
    return tuple(
        Piece(Slot(slot.start + at * MINUTE, slot.start + (at + length) * MINUTE), state) for at, length, state in stretches
    )


policies = st.builds(
    Policy,
    basis=st.sampled_from(policy.Basis),
    increment_min=st.integers(1, 60),
    minimum_min=st.integers(0, 90),
    unused_rate=st.integers(0, 100).map(lambda percent: Fraction(percent, 100)),
)


@pytest.mark.laws
@given(price_lists(), slots, st.integers(1, 3))
def test_a_bill_of_every_booked_minute_is_the_quote(prices: PriceList, slot: Slot, quantity: int) -> None:
    used = [Piece(slot, UseState.RUN)]
    charge = pricing.charge_for_use(prices, slot, used, Policy(tax=prices.tax), quantity=quantity)
    assert charge.amount == pricing.quote(prices, slot, quantity)
    assert sum((line.amount for line in charge.lines), Money(0, prices.hour.currency)) == charge.amount


@pytest.mark.laws
@given(st.data(), price_lists(), slots, policies)
def test_time_inside_the_slot_never_costs_more_than_the_quote(
    data: st.DataObject, prices: PriceList, slot: Slot, terms: Policy
) -> None:
    charge = pricing.charge_for_use(prices, slot, data.draw(uses(slot)), terms, verdict=Outcome.FULFILLED)
    inside = [line for line in charge.lines if line.code not in {LineCode.OVERTIME, LineCode.TAX}]
    most = sum((line.amount for line in pricing.quote_lines(prices, slot) if not line.taxed), Money(0, prices.hour.currency))
    spread = len(prices.rules) + 1  # used and unused round apart, once for each price
    assert sum(line.amount.minor for line in inside) <= most.minor + 10 * spread
    used = sum((line.minutes or 0 for line in inside if line.code is LineCode.USAGE), Fraction(0))
    assert used <= charge.billable_min


@pytest.mark.laws
@given(st.data(), slots)
def test_billed_time_holds_the_confirmed_use_and_lies_where_the_equipment_was_up_as_far_as_it_can(
    data: st.DataObject, slot: Slot
) -> None:
    pieces = data.draw(uses(slot))
    seen = pricing.measure(slot, pieces)
    confirmed, down = list(seen.ran), list(seen.down)
    billed = data.draw(st.integers(int(total(confirmed) / MINUTE), int(slot.duration / MINUTE))) * MINUTE
    laid = lay_out(slot, confirmed, down, billed)
    assert total(laid) == billed
    assert subtract(confirmed, laid) == []
    assert subtract(laid, [slot]) == []
    up = subtract([slot], down)
    assert total(intersect(laid, down)) == max(billed - total(up), timedelta())


@pytest.mark.laws
@given(st.data(), price_lists(), slots, windows, st.integers(0, 50_000))
def test_a_window_may_be_cut_anywhere(data: st.DataObject, prices: PriceList, slot: Slot, window: Window, price: int) -> None:
    pieces, terms = data.draw(uses(slot)), data.draw(policies)
    long = window.end_min - window.start_min if window.start_min < window.end_min else 1440 - window.start_min + window.end_min
    assume(long > 15)
    cut = (window.start_min + data.draw(st.integers(1, long - 1))) % 1440
    assume(cut not in {window.start_min, window.end_min})
    later = Window(
        tuple(sorted((day + 1) % 7 for day in window.weekdays)) if cut < window.start_min else window.weekdays,
        cut,
        window.end_min,
    )
    halves = [Window(window.weekdays, window.start_min, cut), later]
    whole = _charged(prices, [Rule(price, window=window)], slot, pieces, terms)
    assert _charged(prices, [Rule(price, window=half) for half in halves], slot, pieces, terms) == whole


@pytest.mark.laws
@given(st.data(), price_lists(), slots, windows)
def test_a_window_at_the_list_price_changes_nothing(data: st.DataObject, prices: PriceList, slot: Slot, window: Window) -> None:
    pieces, terms = data.draw(uses(slot)), data.draw(policies)
    same = [Rule(prices.hour.minor, window=window)]
    assert _charged(prices, same, slot, pieces, terms)[1] == _charged(prices, [], slot, pieces, terms)[1]


def _charged(prices: PriceList, met: list[Rule], slot: Slot, pieces: Any, terms: Policy) -> tuple[Any, int]:
    listed = PriceList(prices.hour, tuple(met), prices.zone, prices.setup, prices.cleanup, prices.tax)
    charge = pricing.charge_for_use(listed, slot, pieces, terms)
    return charge, charge.amount.minor


@pytest.mark.laws
@given(st.data(), tariffs(), slots, ZONES, st.none() | st.sampled_from(CLASSES), st.booleans())
def test_the_order_of_rules_does_not_matter(
    data: st.DataObject, tariff: tuple[Rule, ...], slot: Slot, zone: ZoneInfo, kind: str | None, assisted: bool
) -> None:
    pieces, listed = data.draw(uses(slot)), Money(30000, "CNY")
    charges = []
    for order in (tariff, data.draw(st.permutations(tariff))):
        met = for_buyer(order, customer_class=kind, assisted=assisted)
        charges.append(pricing.charge_for_use(PriceList(listed, met, zone), slot, pieces, policy.DEFAULT))
    assert charges[0] == charges[1]


@pytest.mark.laws
@given(tariffs(), slots, ZONES, st.none() | st.sampled_from(CLASSES), st.booleans())
def test_every_minute_has_the_price_of_the_rule_that_names_most(
    tariff: tuple[Rule, ...], slot: Slot, zone: ZoneInfo, kind: str | None, assisted: bool
) -> None:
    """Asked minute by minute of the wall clock, without any window arithmetic."""
    short = Slot(slot.start, min(slot.end, slot.start + 12 * 60 * MINUTE))
    met = for_buyer(tariff, customer_class=kind, assisted=assisted)
    found: dict[int, int] = {}
    hours = Fraction(int(short.duration / MINUTE), 60)
    for n in range(int(short.duration / MINUTE)):
        wall = (short.start + n * MINUTE).astimezone(zone)
        here = [rule for rule in tariff if _holds(rule, kind, assisted, hours, wall)]
        most = max(here, key=lambda rule: (rule.specificity, rule.from_hours or 0), default=Rule(30000))
        found[most.price] = found.get(most.price, 0) + 1
    lines = pricing.quote_lines(PriceList(Money(30000, "CNY"), met, zone), short)
    asked = {line.hour.minor if line.hour else 30000: line.minutes for line in lines}
    assert asked == {
        price: minutes for price, minutes in found.items() if round(price * Fraction(minutes, 60) + Fraction(1, 10**9))
    }


def _holds(rule: Rule, kind: str | None, assisted: bool, hours: Fraction, wall: datetime) -> bool:
    if rule.customer_class not in {None, kind} or rule.assisted not in {None, assisted} or (rule.from_hours or 0) > hours:
        return False
    if rule.window is None:
        return True
    minute, window = wall.hour * 60 + wall.minute, rule.window
    if window.start_min < window.end_min:
        return wall.weekday() in window.weekdays and window.start_min <= minute < window.end_min
    evening = wall.weekday() in window.weekdays and minute >= window.start_min
    return evening or ((wall.weekday() - 1) % 7 in window.weekdays and minute < window.end_min)


@given(st.lists(one_rule, max_size=4), st.data())
def test_what_is_refused_does_not_depend_on_the_order(found: list[Rule], data: st.DataObject) -> None:
    other = data.draw(st.permutations(found))
    assert (rules.ambiguous(found) is None) == (rules.ambiguous(other) is None)


@pytest.mark.laws
@given(st.data(), price_lists(), slots, policies, st.sampled_from(Funding), st.integers(0, 10))
def test_tax_and_net_are_the_whole_and_every_journal_closes(
    data: st.DataObject, prices: PriceList, slot: Slot, terms: Policy, funding: Funding, tenths: int
) -> None:
    pays = [Programme(ProgrammeKind.VOUCHER, Fraction(tenths, 10))]
    asked = Request(prices, slot, UTC, Policy(tax=prices.tax), data.draw(uses(slot)), funding, tuple(pays))
    bill = simulation.simulate(asked)
    charge = bill.charge
    assert charge.net + charge.tax == charge.amount
    assert charge.tax == prices.tax.within(charge.amount)
    entries = simulation.journal(bill)
    assert sum(ledger.balances(entries).values()) == 0
    charged = [entry for entry in entries if ledger.Account.TAX in dict(entry.legs)]
    assert sum(-dict(entry.legs)[ledger.Account.TAX] for entry in charged) == charge.tax.minor
    assert bill.settled.platform_fee == charge.net.times(terms.fee_rate)


@given(st.integers(0, 10**9), taxes, currencies)
def test_a_tax_that_was_added_is_found_again_in_the_whole(minor: int, tax: Tax, currency: str) -> None:
    net = Money(minor, currency).times(Fraction(1))
    if tax.mode is Mode.ADDED:
        assert tax.within(net + tax.on(net)) == tax.on(net)


@given(tariffs(), taxes, st.booleans())
def test_a_policy_with_a_tariff_reads_back_the_same(tariff: tuple[Rule, ...], tax: Tax, billed: bool) -> None:
    document = {"tariff": [rules.as_json(rule) for rule in tariff], "setup_billed": billed}
    read = policy.parse(document)
    kept = policy.as_json(replace(read, tax=tax))
    assert policy.as_json(policy.parse(kept)) == kept


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"price": 1}, "policy.tariff[0]"),
        ({"class": "academic"}, "policy.tariff[0]"),
        ({"class": "royal", "price": 1}, "policy.tariff[0].class"),
        ({"assisted": "yes", "price": 1}, "policy.tariff[0].assisted"),
        ({"assisted": True, "price": "1"}, "policy.tariff[0].price"),
        ({"assisted": True, "price": 1, "colour": 1}, "policy.tariff[0]"),
        ({"from_hours": "-1", "price": 1}, "policy.tariff[0].from_hours"),
        ({"window": {"from": "22", "to": "06:00"}, "price": 1}, "policy.tariff[0].window.from"),
        ({"window": {"from": "06:00", "to": "06:00"}, "price": 1}, "policy.tariff[0].window.to"),
        ({"window": {"from": "24:00", "to": "06:00"}, "price": 1}, "policy.tariff[0].window.to"),
        ({"window": {"from": "22:60", "to": "06:00"}, "price": 1}, "policy.tariff[0].window.from"),
        ({"window": {"weekdays": [7]}, "price": 1}, "policy.tariff[0].window.weekdays"),
        ({"window": {"weekdays": []}, "price": 1}, "policy.tariff[0].window.weekdays"),
        ({"window": {"weekdays": [True]}, "price": 1}, "policy.tariff[0].window.weekdays"),
        ({"window": {"days": [1]}, "price": 1}, "policy.tariff[0].window"),
        ({"window": "night", "price": 1}, "policy.tariff[0].window"),
        (7, "policy.tariff[0]"),
    ],
)
def test_a_rule_that_is_wrong_is_refused_by_its_field(rule: Any, field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        policy.parse({"tariff": [rule]})
    assert refusal.value.values["field"] == field


@pytest.mark.parametrize(
    ("tax", "field"),
    [
        ({"rate": "0.06"}, "policy.tax"),
        ({"rate": "1.5", "mode": "added"}, "policy.tax.rate"),
        ({"rate": "0.06", "mode": "beside"}, "policy.tax.mode"),
        ("6 %", "policy.tax"),
    ],
)
def test_a_tax_that_is_wrong_is_refused_by_its_field(tax: Any, field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        policy.parse({"tax": tax})
    assert refusal.value.values["field"] == field


def test_a_rule_that_names_a_class_alone_is_a_price_by_class() -> None:
    read = policy.parse({"tariff": [{"class": "academic", "price": 20000}], "class_prices": {"partner": 1}})
    assert (read.class_prices, read.tariff) == ((("academic", 20000), ("partner", 1)), ())


def test_the_snapshot_of_a_policy_without_tariff_and_tax_is_as_it_was() -> None:
    assert not {"tariff", "tax", "class_prices"} & policy.as_json(policy.DEFAULT).keys()
    assert policy.parse({"tax": {"rate": "0", "mode": "added"}}) == policy.DEFAULT


def test_steps_hold_until_the_next_and_stairs_of_different_customers_may_cross() -> None:
    step = lambda hours, price, **named: {"from_hours": hours, "price": price, **named}  # noqa: E731
    policy.parse({"tariff": [step("4", 1), step("8", 2), step("6", 3, **{"class": "academic"})]})
    with pytest.raises(Invalid):
        policy.parse({"tariff": [step("4", 1), step("4", 2)]})
    with pytest.raises(Invalid):
        policy.parse({"tariff": [step("4", 1, assisted=True), step("9", 2, **{"class": "academic"})]})


def test_billed_time_is_laid_out_after_the_use_and_then_before_it() -> None:
    day = [datetime(2026, 3, 10, hour, tzinfo=UTC) for hour in range(24)]
    run = [Slot(day[10], day[11])]
    two, three = timedelta(hours=2), timedelta(hours=3)
    assert lay_out(Slot(day[8], day[12]), run, [], two) == [Slot(day[10], day[12])]
    assert lay_out(Slot(day[8], day[12]), run, [], three) == [Slot(day[9], day[12])]
    assert lay_out(Slot(day[8], day[12]), run, [Slot(day[11], day[12])], two) == [Slot(day[9], day[11])]
    assert union(lay_out(Slot(day[8], day[12]), [], [], two)) == [Slot(day[8], day[10])]
