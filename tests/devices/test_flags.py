"""Each kind of open question: what raises it, and that an honest, noisy load raises none."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import orjson
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from devices import actions
from devices.flags import actions as flags
from devices.flags import queries
from devices.flags.rules import Day, Kind, look, running_share
from devices.flags.tables import DeviceFlag
from devices.folding import samples_of
from devices.intake import actions as intake
from devices.machines import Machine, energy_at, power_at
from devices.placing import Sample
from devices.profile import Profile, Profiles, read_profile
from devices.readings import Envelope
from devices.registry.actions import register_device
from marketplace.refusals import Invalid, NotFound, WrongState
from marketplace.slot import Slot
from tests.builders import a_person, a_resource

BEGIN = datetime(2026, 3, 10, tzinfo=UTC)
DAY = Slot(BEGIN, BEGIN + timedelta(days=1))
WORK = Slot(BEGIN + timedelta(hours=8), BEGIN + timedelta(hours=16))


def honest(day: int = 0, *, seed: str = "k1", whole: float = 0) -> list[Sample]:
    """A machine that heats up, works and rests, told to `whole` W, or to a tenth."""
    slot = Slot(WORK.start + day * timedelta(days=1), WORK.end + day * timedelta(days=1))
    machine = Machine(seed, "s", BEGIN - timedelta(days=9), runs=(slot,), run_w=2400, idle_w=40)
    found = []
    for minute in range(1440):
        at = BEGIN + timedelta(days=day, minutes=minute)
        power = power_at(machine, at)
        found.append(Sample(at, round(power / whole) * whole if whole else power, energy_at(machine, at), None))
    return found


def told(samples: Sequence[Sample], *, rated_w: float | None = 3000, before: Sequence[Sample] = (), **more: object) -> list[Kind]:
    day = Day(DAY, samples, Profile(rated_w=rated_w), before=before, messages=len(samples), **more)  # type: ignore[arg-type]
    return [found.kind for found in look(day)]


def changed(samples: Sequence[Sample], power: Callable[[Sample], float]) -> list[Sample]:
    return [Sample(one.at, power(one), one.energy_wh, one.state) for one in samples]


@pytest.mark.parametrize("seed", [f"k{number}" for number in range(8)])
@pytest.mark.parametrize("whole", [0, 1, 100])
def test_an_honest_noisy_load_raises_none(seed: str, whole: float) -> None:
    before = [one for day in (-3, -2, -1) for one in honest(day, seed=seed, whole=whole)]
    assert told(honest(seed=seed, whole=whole), before=before) == []


def test_a_day_without_work_or_without_a_word_raises_none() -> None:
    assert told([Sample(one.at, 0.0, 5.0, None) for one in honest()]) == []
    assert told([]) == []
    assert told([Sample(one.at, None, None, "RUN") for one in honest()]) == []


def test_the_same_power_for_hours_is_asked_about_where_the_meter_tells_more_finely() -> None:
    def steady(at: float) -> list[Sample]:
        return changed(honest(), lambda one: at if WORK.start <= one.at < WORK.end else one.power_w or 0)

    assert Kind.FLAT in told(steady(2400.0), rated_w=None)
    coarse = changed(honest(whole=100), lambda one: 2400.0 if WORK.start <= one.at < WORK.end else one.power_w or 0)
    assert Kind.FLAT not in told(coarse)
    short = changed(
        honest(), lambda one: 2400.0 if WORK.start <= one.at < WORK.start + timedelta(hours=1.9) else one.power_w or 0
    )
    assert told(short) == []


def without_counter(powers: Callable[[int], float], day: int = 0) -> list[Sample]:
    """By the minute of the day."""
    return [Sample(BEGIN + timedelta(days=day, minutes=minute), powers(minute), None, None) for minute in range(1440)]


@pytest.mark.parametrize("power", [500.0, 1000.0, 2000.0, 742.0, 1234.5])
def test_a_round_power_is_asked_about_too_where_nothing_shows_that_the_meter_is_coarse(power: float) -> None:
    assert told(without_counter(lambda minute: power if minute < 1200 else 0.0), rated_w=None) == [Kind.FLAT]
    assert told(without_counter(lambda minute: power if minute < 1200 else 2.5), rated_w=None) == [Kind.FLAT]
    shift = [without_counter(lambda minute: power if minute < 480 else 0.0, day) for day in (-1, 0)]
    assert told(shift[1], rated_w=None, before=shift[0]) == [Kind.FLAT]


@pytest.mark.parametrize(
    ("power", "others"),
    [(2000.0, (2100.0, 2200.0)), (2000.0, (3000.0,)), (7.0, ()), (96.0, ())],
    ids=["steps of 100 W, as two neighbours show", "steps of 1000 W", "a machine at rest, told in whole watts", "a lamp"],
)
def test_a_steady_load_told_coarsely_is_not_asked_about(power: float, others: Sequence[float]) -> None:
    rare = dict(zip(range(1200, 1440, 40), others, strict=False))
    today, before = (without_counter(lambda minute: rare.get(minute, power if minute < 1200 else 0.0), day) for day in (0, -1))
    profile = Profile(p_on=5, p_off=3)
    assert look(Day(DAY, today, profile, before=before)) == []
    assert look(Day(DAY, without_counter(lambda _: power), profile, before=today)) == []


def test_a_stretch_that_came_before_is_found_wherever_it_is_put() -> None:
    before = honest(-1)
    copied = [one.power_w or 0.0 for one in before[480:600]]
    place = iter(copied)
    today = changed(
        honest(), lambda one: next(place) if 700 <= (one.at - BEGIN) / timedelta(minutes=1) < 820 else one.power_w or 0
    )
    found = [one for one in look(Day(DAY, today, Profile(), before=before)) if one.kind is Kind.REPLAYED]
    assert [one.span for one in found] == [Slot(BEGIN + timedelta(minutes=700), BEGIN + timedelta(minutes=819))]
    assert found[0].evidence == {"samples": 120, "first_at": before[480].at.isoformat()}
    assert Kind.REPLAYED in told(today, before=before)
    again = [
        *honest()[:720],
        *changed(honest()[720:], lambda one: honest()[int((one.at - BEGIN) / timedelta(minutes=1)) - 220].power_w or 0),
    ]
    assert Kind.REPLAYED in told(again)


def test_power_and_counter_that_do_not_agree_are_asked_about() -> None:
    assert told(changed(honest(), lambda one: (one.power_w or 0) * 1.2), rated_w=None) == []
    assert told(changed(honest(), lambda one: (one.power_w or 0) * 1.5), rated_w=None) == [Kind.ENERGY_MISMATCH]
    still = [Sample(one.at, one.power_w, 100.0, None) for one in honest()]
    assert told(still) == [Kind.ENERGY_MISMATCH]
    assert told([Sample(one.at, one.power_w, None, None) for one in honest()]) == []


def spoken(family: str, *, counts: float, seed: int = 1, lost: float = 0.0) -> Day:
    """A day of a machine in the words of a family, whose counter counts that share of what it draws; some words get lost."""
    noise, energy, found = Random(seed), 0.0, list[Envelope]()
    for minute in range(1440):
        at = BEGIN + timedelta(minutes=minute)
        power = 2000 * (1 + 0.2 * (noise.random() - 0.5)) if 200 < minute < 900 and minute % 47 else 2.0
        energy += power / 60 * counts
        for late, (topic, body) in enumerate(words(family, at, power, energy)):
            if noise.random() >= lost:
                found.append(Envelope(topic, orjson.dumps(body), at + timedelta(seconds=late / 2)))
    profile = read_profile({"family": family.partition("-")[0], "zone": "UTC"})
    arrivals, samples = samples_of(found, profile, until=DAY.end)
    return Day(DAY, samples, profile, messages=len(arrivals))


def words(family: str, at: datetime, power: float, energy: float) -> list[tuple[str, object]]:
    def shelly(seconds: float, **told: object) -> tuple[str, object]:
        return "d/k/events/rpc", {"params": {"ts": at.timestamp() + seconds, "switch:0": told}}

    said: dict[str, list[tuple[str, object]]] = {
        "native": [("d/k/t", {"p": round(power, 1), "e": round(energy, 2)})],
        "tasmota": [("d/k/tele/SENSOR", {"ENERGY": {"Total": round(energy / 1000, 3), "Power": round(power)}})],
        "tasmota-two": [
            ("d/k/tele/SENSOR", {"ENERGY": {"Total": [round(energy / 4000, 3), round(energy * 3 / 4000, 3)],
                                            "Power": [round(power / 4), round(power * 3 / 4)]}}),
        ],
        "shelly1": [("shellies/k/relay/0/power", round(power, 2)), ("shellies/k/relay/0/energy", int(energy * 60))],
        "shelly1-counts-first": [
            ("shellies/k/relay/0/energy", int(energy * 60)), ("shellies/k/relay/0/power", round(power, 2)),
        ],
        "homie": [("d/k/5/m/n/power", round(power, 2)), ("d/k/5/m/n/energy", round(energy / 1000, 5))],
        "homie-two": [
            ("d/k/5/m/a/power", 3.5), ("d/k/5/m/b/power", round(power, 2)), ("d/k/5/m/b/energy", round(energy / 1000, 5)),
        ],
        "shelly2-partial": [shelly(0, apower=round(power, 1)), shelly(0.5, aenergy={"total": round(energy, 3)})],
        "shelly2-two": [
            ("d/k/status/switch:0", {"apower": round(power, 1), "aenergy": {"total": round(energy, 3)}}),
            ("d/k/status/switch:1", {"apower": 0, "aenergy": {"total": 0.0}}),
        ],
    }  # fmt: skip
    return said[family]


FAMILIES = [
    "native", "tasmota", "tasmota-two", "shelly1", "shelly1-counts-first", "homie", "homie-two", "shelly2-partial", "shelly2-two",
]  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_a_counter_that_counts_otherwise_is_asked_about_whatever_the_words_of_the_meter(family: str) -> None:
    for counts in (0.1, 10.0):
        (found,) = look(spoken(family, counts=counts))
        assert found.kind is Kind.ENERGY_MISMATCH
        assert found.evidence["counted_wh"] == pytest.approx(found.evidence["drawn_wh"] * counts, rel=0.05)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_honest_noisy_load_raises_none_whatever_the_words_of_the_meter(family: str) -> None:
    for seed in range(3):
        assert look(spoken(family, counts=1.0, seed=seed)) == []
        assert look(spoken(family, counts=1.0, seed=seed, lost=0.1)) == []


def test_of_several_channels_the_one_whose_counter_disagrees_is_named() -> None:
    assert look(spoken("shelly2-two", counts=0.1))[0].evidence["channel"] == "0"
    assert look(spoken("homie-two", counts=0.1))[0].evidence["channel"] == "b"


def test_a_coarse_counter_is_not_accused() -> None:
    def counted(every: float, step: float, power: float, hours: float) -> list[Sample]:
        moments = [BEGIN + timedelta(seconds=every * number) for number in range(int(hours * 3600 / every))]
        return [
            Sample(at, power + number % 7 / 10, (power * (at - BEGIN).total_seconds() / 3600) // step * step, None)
            for number, at in enumerate(moments)
        ]

    assert told(counted(10, 10, 1500, 8), rated_w=2000) == []
    assert told(counted(60, 1000, 300, 3), rated_w=None) == []
    assert told(counted(60, 1000, 300, 24), rated_w=None) == []


def test_a_day_is_read_by_the_thresholds_of_its_hours() -> None:
    profile = Profiles([(BEGIN, Profile(rated_w=4000)), (WORK.end, Profile(rated_w=1000))])
    assert look(Day(DAY, honest(), profile)) == []


def test_more_than_the_rating_is_asked_about_once_switching_on_is_over() -> None:
    def above(seconds: float) -> list[Sample]:
        until = WORK.start + timedelta(hours=1, seconds=seconds)
        return changed(honest(), lambda one: 3700.0 if WORK.start + timedelta(hours=1) <= one.at < until else one.power_w or 0)

    assert told(above(110)) == []
    assert told(above(200)) == [Kind.OVER_RATING]
    assert told(above(200), rated_w=None) == []


def test_a_week_without_rest_is_asked_about() -> None:
    noise = Random(1)
    running = [Sample(one.at, 2400 + noise.random() * 40, None, None) for one in honest()]
    share = running_share(running, Profile(), DAY)
    assert share > 0.99
    assert told(running, running_before=[share] * 6) == [Kind.ALWAYS_ON]
    assert told(running, running_before=[share] * 5) == []
    assert told(running, running_before=[*[share] * 5, 0.9]) == []


def test_a_clock_that_is_often_wrong_is_asked_about() -> None:
    assert told(honest(), ill_timed=143) == []
    assert told(honest(), ill_timed=144) == [Kind.CLOCK]
    assert told(honest()[:100], ill_timed=19) == []


def stored(db: Session, key: str, samples: Sequence[Sample]) -> None:
    intake.store(db, [
        Envelope(f"d/{key}/t", orjson.dumps({"p": one.power_w, "e": one.energy_wh}), one.at) for one in samples
    ])  # fmt: skip
    actions.fold_devices(db, now=samples[-1].at)


def all_flags(db: Session) -> list[tuple[str, str]]:
    return [(row.kind.value, row.day.isoformat()) for row in db.scalars(select(DeviceFlag).order_by(DeviceFlag.day))]


def test_each_day_is_looked_at_once_after_it_is_over(db: Session) -> None:
    row, _ = register_device(db, resource_id=a_resource(db).id, name="plug", profile={}, actor_id=None, now=BEGIN)
    quiet = [honest(day) for day in range(6)]
    quiet[1] = changed(quiet[1], lambda one: 2400.0 if 480 <= one.at.hour * 60 + one.at.minute < 960 else one.power_w or 0)
    quiet[4] = changed(
        quiet[4], lambda one: dict(zip((x.at for x in quiet[4]), (x.power_w for x in quiet[2]), strict=True))[one.at] or 0
    )
    for samples in (quiet[0], quiet[1], quiet[2], quiet[4]):
        stored(db, row.key, samples)
    flags.look_at_days(db, now=BEGIN + timedelta(days=1, minutes=30))
    assert all_flags(db) == []
    for _ in range(8):
        flags.look_at_days(db, now=BEGIN + timedelta(days=5, hours=2))
    assert all_flags(db) == [("flat", "2026-03-11"), ("replayed", "2026-03-14")]
    assert flags.look_at_days(db, now=BEGIN + timedelta(days=5, hours=2)) == 0
    assert [found.resource_id for found in queries.flags_of(db, row.resource_id)] == [row.resource_id] * 2


def test_a_flag_is_closed_once_with_a_word_of_why_and_stays(db: Session) -> None:
    row, _ = register_device(db, resource_id=a_resource(db).id, name="plug", profile={}, actor_id=None, now=BEGIN)
    stored(db, row.key, [Sample(one.at, one.power_w, 100.0, None) for one in honest()])
    flags.look_at_days(db, now=BEGIN + timedelta(days=1, hours=2))
    (found,) = queries.flags_of(db, row.resource_id)
    assert (found.kind, found.evidence["counted_wh"]) == (Kind.ENERGY_MISMATCH, 0)
    person = a_person(db).id
    for comment in ("", " ", "x" * 5000):
        with pytest.raises(Invalid):
            flags.close(db, flag_id=found.id, comment=comment, actor_id=person, now=BEGIN)
    flags.close(db, flag_id=found.id, comment="电表接在照明回路上，已改接", actor_id=person, now=BEGIN)
    with pytest.raises(WrongState):
        flags.close(db, flag_id=found.id, comment="again", actor_id=person, now=BEGIN)
    with pytest.raises(NotFound):
        flags.close(db, flag_id="flg_none", comment="again", actor_id=person, now=BEGIN)
    assert queries.flags_of(db, row.resource_id)[0].comment == "电表接在照明回路上，已改接"
    stored(db, row.key, [Sample(one.at, one.power_w, 100.0, None) for one in honest(1)])
    flags.look_at_days(db, now=BEGIN + timedelta(days=2, hours=2))
    assert len(queries.flags_of(db, row.resource_id)) == 1  # answered already, and not long ago


def test_a_week_without_rest_counts_what_was_stored_of_the_days_before(db: Session) -> None:
    row, _ = register_device(db, resource_id=a_resource(db).id, name="plug", profile={}, actor_id=None, now=BEGIN)
    noise = Random(2)
    for day in range(8):
        stored(db, row.key, [Sample(one.at, 2000 + round(noise.random() * 100, 1), None, None) for one in honest(day)])
    for _ in range(9):
        flags.look_at_days(db, now=BEGIN + timedelta(days=8, hours=2))
    assert all_flags(db) == [("always_on", "2026-03-16")]
