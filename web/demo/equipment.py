"""What the simulated machines do follows from the bookings: whoever books one, sees it run."""

import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import orjson
from sqlalchemy.orm import Session

from booking import queries as booking
from booking.availability import local_midnight
from booking.states import BookingState
from booking.tables import Booking
from devices.machines import Machine, Sends
from marketplace.slot import Slot, union
from web.demo.story import ZONE, Cast, scene_purposes

EVERY = timedelta(minutes=3)
RUNS = frozenset({BookingState.CONFIRMED, BookingState.COMPLETED, BookingState.UNVERIFIABLE})
MISSED_OF, BLIND_OF = 19, 9
"""One booking in so many is not used at all; one day in so many the blind meter is silent after noon."""

WARM_UP = timedelta(minutes=25)


@dataclass(frozen=True, slots=True)
class Plug:
    """A machine's meter, with the secret that the product itself does not keep."""

    key: str
    secret: str
    resource_id: str
    sends: str
    run_w: float
    blind: bool
    live: bool
    line_id: str | None = None
    """Of a station: it works for the bookings of its line too."""
    since: str | None = None
    """When it was fitted, where that is later than the fleet's beginning."""
    after: float = 0.0
    """The share of a booking's work that is done before it is its turn."""
    counts: float = 1.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """Everything the simulation must remember between two starts; `born` is when the meters stood at zero."""

    born: datetime
    plugs: Sequence[Plug]

    @property
    def live_resources(self) -> list[str]:
        """What is booked to see them at work: of a station its line."""
        return list(dict.fromkeys(plug.line_id or plug.resource_id for plug in self.plugs if plug.live))


def fleet_of(cast: Cast, born: datetime) -> Fleet:
    found = []
    for one in cast.equipment.values():
        if one.sends:
            known = cast.credentials[one.resource_id]
            since = one.fitted_at.isoformat() if one.fitted_at else None
            plug = Plug(
                known.key, known.secret, one.resource_id, one.sends.value, one.run_w, one.blind, one.live,
                one.line_id, since, one.after, one.counts,
            )  # fmt: skip
            found.append(plug)
    return Fleet(born, found)


def save(fleet: Fleet, file: Path) -> None:
    """Whole or not at all, readable by nobody else."""
    draft = file.with_suffix(".draft")
    draft.touch(mode=0o600)
    draft.write_bytes(orjson.dumps({"born": fleet.born.isoformat(), "plugs": [asdict(plug) for plug in fleet.plugs]}))
    draft.replace(file)


def load(file: Path) -> Fleet:
    body = orjson.loads(file.read_bytes())
    return Fleet(datetime.fromisoformat(body["born"]), [Plug(**plug) for plug in body["plugs"]])


def machines(session: Session, fleet: Fleet, *, until: datetime) -> list[Machine]:
    """The fleet as its bookings up to `until` have it behave."""
    return [_machine(session, fleet, plug, until) for plug in fleet.plugs]


def _machine(session: Session, fleet: Fleet, plug: Plug, until: datetime) -> Machine:
    since = datetime.fromisoformat(plug.since) if plug.since else fleet.born
    places = [plug.resource_id, *([plug.line_id] if plug.line_id else [])]
    rows = booking.bookings_of_any(session, places, within=Slot(since, until))
    works = [work_of(row) for row in rows if row.state in RUNS and (plug.live or not missed(row))]
    turns = [Slot(work.start + work.duration * plug.after, work.end) for work in works]
    runs = tuple(sorted(turn for turn in turns if turn.start >= since))
    return Machine(
        key=plug.key,
        secret=plug.secret,
        since=since,
        runs=runs,
        awake=tuple(union(run.widen(WARM_UP, WARM_UP) for run in runs)),
        blind=tuple(_silences(fleet.born, until)) if plug.blind else (),
        sends=Sends(plug.sends),
        zone=ZONE if plug.sends == Sends.TASMOTA else "UTC",
        run_w=plug.run_w,
        counts=plug.counts,
        every=EVERY,
    )


def missed(row: Booking) -> bool:
    """Whether nobody comes to this booking; to what a scene is about somebody does."""
    return zlib.crc32(row.id.encode()) % MISSED_OF == 0 and not in_a_scene(row)


def in_a_scene(row: Booking) -> bool:
    return row.purpose in scene_purposes()


def work_of(row: Booking) -> Slot:
    """When the people of this booking really work: a little late, mostly done early, now and then too long."""
    chance = zlib.crc32(row.id.encode())
    late, early = timedelta(minutes=2 + chance % 9), timedelta(minutes=(chance >> 8) % 34 - 8)
    start = row.starts_at + late
    return Slot(start, max(row.ends_at - early, start + timedelta(minutes=5)))


def _silences(born: datetime, until: datetime) -> list[Slot]:
    zone = ZoneInfo(ZONE)
    first, last = born.astimezone(zone).date(), until.astimezone(zone).date()
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return [_afternoon(day, zone) for day in days if day.toordinal() % BLIND_OF == 0]


def _afternoon(day: date, zone: ZoneInfo) -> Slot:
    midnight = local_midnight(day, zone)
    return Slot(midnight + timedelta(hours=13), midnight + timedelta(hours=15, minutes=20))
