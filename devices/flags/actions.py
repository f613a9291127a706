"""Writes of flags: each day of a meter is looked at once, after it is over; a person closes what was raised."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from time import monotonic

import structlog
from sqlalchemy.orm import Session

from devices import queries as devices
from devices.evidence.actions import SETTLED
from devices.evidence.records import bounds
from devices.flags import queries
from devices.flags.days import Day, Ended, Found, Kind, Switched
from devices.flags.rules import ALWAYS_DAYS, look
from devices.flags.tables import DeviceFlag, FlagLook
from devices.folding import samples_of
from devices.placing import Arrival, Sample, placed_at
from devices.profile import Profiles
from devices.readings import Channel, Envelope
from devices.registry.actions import note
from devices.tables import Device
from marketplace.ids import new_id
from marketplace.people.text import clean
from marketplace.refusals import WrongState
from marketplace.slot import Slot
from marketplace.upsert import insert_new

log = structlog.get_logger()
AT_ONCE = 10
WORKS_S = 0.3
"""A transaction lasts little longer: bookings wait for it on SQLite."""
REPEATED_WITHIN = timedelta(days=3)
MOST_MESSAGES = 20_000
"""Of a day and those before it that are compared: of a meter that says more, that day alone, or its beginning."""
LASTING = frozenset({Kind.ALWAYS_ON, Kind.CLOCK, Kind.ENERGY_MISMATCH, Kind.OVER_RATING, Kind.RELAY_OFF, Kind.TAKEOVERS})
"""What goes on day after day is asked once: not while the question is open, and not soon after it was closed."""
REST = timedelta(days=90)
MOMENT = timedelta(microseconds=1)
LONGEST_COMMENT = 1000
ILL = frozenset({"clock_future", "clock_skew"})


def look_at_days(session: Session, *, now: datetime, year_end: datetime | None = None, limit: int = AT_ONCE) -> int:
    """The next day of each of some meters, as many as go in `WORKS_S`; how many there were.

    `year_end`: when the last year that is evaluated ended.
    """
    before, until = (now - SETTLED).astimezone(UTC).date() - timedelta(days=1), monotonic() + WORKS_S
    looked = 0
    for device in queries.not_looked_at(session, before=before, limit=limit):
        if looked and monotonic() > until:
            break
        try:
            with session.begin_nested():
                _look_at(session, device, before, year_end, now)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            log.error("day_not_looked_at", device=device.id, exc_info=error)
            _looked(session, device.id, before)
        looked += 1
    return looked


def _look_at(session: Session, device: Device, last: date, year_end: datetime | None, now: datetime) -> None:
    seen = session.get(FlagLook, device.id)
    day = queries.next_day(session, device, after=seen.until if seen else None)
    closing = (year_end - MOMENT).astimezone(UTC).date() if year_end else None
    if closing and seen and seen.until < closing and (day is None or closing < day):
        day = closing  # it said nothing on that day, yet its use before it is looked at
    if day is None or day > last:
        day = last
    else:
        asked = queries.asked_kinds(session, device.id, since=now - REST)
        ended = Ended(year_end, queries.hours_before(session, device, year_end)) if year_end and day == closing else None
        found = [one for one in look(_day(session, device, day, ended)) if one.kind not in asked or not _lasts(one)]
        insert_new(session, DeviceFlag, [_row(device, day, one, now) for one in found], key="id")
    _looked(session, device.id, day)


def _lasts(found: Found) -> bool:
    return found.lasting or found.kind in LASTING


def _looked(session: Session, device_id: str, until: date) -> None:
    if seen := session.get(FlagLook, device_id):
        seen.until = until
    else:
        session.add(FlagLook(device_id=device_id, until=until))
    session.flush()


def _row(device: Device, day: date, found: Found, now: datetime) -> dict[str, object]:
    return {
        "id": new_id("flg"),
        "device_id": device.id,
        "resource_id": device.resource_id,
        "kind": found.kind,
        "day": day,
        "starts_at": found.span.start,
        "ends_at": found.span.end,
        "evidence": dict(found.evidence),
        "raised_at": now,
        "closed_at": None,
        "closed_by": None,
        "comment": None,
    }


@dataclass(frozen=True, slots=True)
class _Heard:
    samples: Sequence[Sample]
    messages: int
    ill_timed: int
    switched: Sequence[Switched]


def _day(session: Session, device: Device, day: date, ended: Ended | None) -> Day:
    whole, profiles = Slot(*bounds(day)), devices.profiles_of(session, device.id)
    told = devices.messages_within(session, device.id, whole, limit=MOST_MESSAGES)
    before, left = Slot(whole.start - REPEATED_WITHIN, whole.start), MOST_MESSAGES - len(told)
    earlier = devices.messages_within(session, device.id, before, limit=left + 1) if left else []
    reach = REPEATED_WITHIN if 0 < len(earlier) <= left else timedelta()
    earlier = earlier if reach else []
    births = devices.births_of(session, device.id, before=whole.start - reach)
    heard = _heard([*births, *earlier, *told], profiles, whole)
    return Day(
        whole,
        [one for one in heard.samples if whole.start <= one.at < whole.end],
        profiles,
        before=[one for one in heard.samples if one.at < whole.start],
        running_before=[queries.running_share(session, device.id, day - timedelta(days=back)) for back in range(1, ALWAYS_DAYS)],
        messages=heard.messages,
        ill_timed=heard.ill_timed,
        switched=heard.switched,
        taken_over=queries.taken_over(session, device.key, whole),
        ended=ended,
    )


def _heard(messages: Sequence[Envelope], profiles: Profiles, whole: Slot) -> _Heard:
    arrivals, samples = samples_of(messages, profiles, until=whole.end)
    arrivals = [one for one in arrivals if one.received_at >= whole.start]
    today = [one for one in arrivals if one.reading.channel is Channel.TELEMETRY]
    own = [one for one in today if not one.backlog]
    notes = [placed_at(one, profiles.at(one.received_at))[1] for one in own]
    return _Heard(samples, len(today), sum(note in ILL for note in notes), _switched(arrivals))


def _switched(arrivals: Sequence[Arrival]) -> list[Switched]:
    """What was said live: of what was kept for later nobody knows how the relay was."""
    live = [one for one in arrivals if not (one.retain or one.backlog or one.historical)]
    said = [(one.received_at, one.reading) for one in live]
    return [Switched(at, one.metric, one.relay, one.power_w, one.energy_wh) for at, one in said if one.relay]


def close(session: Session, *, flag_id: str, comment: str, actor_id: str, now: datetime) -> DeviceFlag:
    """With a word of why; it stays on record. Raises: NotFound, WrongState (closed already), Invalid."""
    row = queries.get_flag(session, flag_id)
    if row.closed_at is not None:
        raise WrongState(state="closed", move="close")
    row.closed_at, row.closed_by, row.comment = now, actor_id, clean(comment, field="comment", longest=LONGEST_COMMENT)
    device = devices.get_device(session, row.device_id)
    note(session, device, "close_flag", actor_id, {"flag": row.id, "kind": row.kind.value, "comment": row.comment}, now)
    return row
