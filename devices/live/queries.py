"""Reads of live state and of the last hour's power, of one resource or of many at once.

A line is read from its own meters and from those of everything below it: in use where any part is; maintained where one is, for
its use takes every part whole; free only where each part that has a meter is heard. Silent is unknown, never free. Power that
two meters measure is added once: what includes another, and is heard, counts for both.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from booking import queries as booking
from booking.lines import queries as lines
from devices.live.curves import Curve, added
from devices.submeters.inclusion import Inclusions
from devices.submeters.queries import inclusions_of
from devices.tables import Device, DeviceState, LatestSample

ALONE = Inclusions()
WATTS_SHOWN = 60
SHOWN_FOR = timedelta(hours=1)


class Live(StrEnum):
    """What a listing shows of its equipment right now. Of a line the first one counts that any of its parts is in."""

    IN_USE = "in_use"
    MAINTENANCE = "maintenance"
    UNKNOWN = "unknown"
    FREE = "free"
    NO_SENSOR = "no_sensor"


@dataclass(frozen=True, slots=True)
class LiveState:
    state: Live
    since: datetime | None
    power_w: int | None


def live_states(session: Session, resource_ids: Collection[str], *, now: datetime) -> dict[str, LiveState]:
    """The live state of each resource; five queries however many there are, and however many parts they have."""
    parts = lines.standing_parts(session, resource_ids)
    every = {part for some in parts.values() for part in some}
    outages = booking.outages_at(session, every, now=now)
    sensors = set(
        session.scalars(select(Device.resource_id).where(Device.resource_id.in_(every), Device.state == DeviceState.ACTIVE))
    )
    samples: dict[str, list[LatestSample]] = defaultdict(list)
    for row in session.scalars(select(LatestSample).where(LatestSample.resource_id.in_(every))):
        samples[row.resource_id].append(row)
    inclusions = inclusions_of(session, [row.device_id for some in samples.values() for row in some])
    alone = {
        part: LiveState(Live.MAINTENANCE, outages[part].starts_at, None)
        if part in outages
        else _live(samples.get(part, []), inclusions, now, sensed=part in sensors)
        for part in every
    }
    return {
        resource_id: _of_line(resource_id, {part: alone[part] for part in parts[resource_id]}, samples, inclusions, now)
        for resource_id in resource_ids
    }


def _live(samples: Sequence[LatestSample], inclusions: Inclusions, now: datetime, *, sensed: bool) -> LiveState:
    if not sensed:
        return LiveState(Live.NO_SENSOR, None, None)
    heard = [row for row in samples if _is_heard(row, now)]
    if not heard:
        return LiveState(Live.UNKNOWN, max((row.at for row in samples), default=None), None)
    power = _power(heard, inclusions, now)
    running = [row.in_use_since for row in heard if row.in_use_since is not None]
    if running:
        return LiveState(Live.IN_USE, min(running), power)
    return LiveState(Live.FREE, max(row.at for row in heard), power)


def _is_heard(row: LatestSample, now: datetime) -> bool:
    return now - row.at <= timedelta(seconds=row.stale_after_s)


def _power(heard: Collection[LatestSample], inclusions: Inclusions, now: datetime) -> int:
    told = {row.device_id: row.power_w for row in heard if row.power_w is not None}
    return sum(told[one] for one in inclusions.counted(told, at=now))


def _of_line(
    resource_id: str, parts: Mapping[str, LiveState], samples: Mapping[str, Sequence[LatestSample]], inclusions: Inclusions,
    now: datetime,
) -> LiveState:  # fmt: skip
    """What is maintained itself is so whatever its parts do. Free is as old as the last word, all else as its beginning."""
    if len(parts) == 1 or parts[resource_id].state is Live.MAINTENANCE:
        return parts[resource_id]
    state = next(one for one in Live if any(part.state is one for part in parts.values()))
    since = [part.since for part in parts.values() if part.state is state and part.since]
    telling = [part_id for part_id, part in parts.items() if part.power_w is not None]
    heard = [row for part_id in telling for row in samples[part_id] if _is_heard(row, now)]
    power = _power(heard, inclusions, now) if heard and state in {Live.IN_USE, Live.FREE} else None
    return LiveState(state, (max if state is Live.FREE else min)(since, default=None), power)


def meters_below(session: Session, resource_ids: Collection[str]) -> dict[str, dict[str, int]]:
    """By each resource how many meters tell of it besides its own: by what is below it and there now, where any hang on it."""
    parts = lines.standing_parts(session, resource_ids)
    every = {part for some in parts.values() for part in some}
    active = select(Device.resource_id, func.count()).where(Device.resource_id.in_(every), Device.state == DeviceState.ACTIVE)
    counts = {part: int(count) for part, count in session.execute(active.group_by(Device.resource_id))}
    return {one: {part: counts[part] for part in sorted(parts[one] - {one}) if part in counts} for one in resource_ids}


def power_of_resource(session: Session, resource_id: str) -> list[float]:
    """The last hour's power in W, oldest first, of its meters and of those of everything below it together, by what includes
    what at the last of their messages."""
    parts = lines.standing_parts(session, [resource_id])[resource_id]
    meters = select(LatestSample).join(Device, Device.id == LatestSample.device_id)
    rows = session.scalars(meters.where(LatestSample.resource_id.in_(parts), Device.state == DeviceState.ACTIVE)).all()
    last = max((row.at for row in rows), default=None)
    if last is None:
        return []
    inclusions = inclusions_of(session, [row.device_id for row in rows])
    curves = [_curve(row, inclusions.above(row.device_id, at=last)) for row in rows]
    return added(curves, since=last - SHOWN_FOR, most=WATTS_SHOWN)


def power_of_device(session: Session, device_id: str) -> list[float]:
    """The same of one meter."""
    row = session.get(LatestSample, device_id)
    return [power for _, power in _curve(row).points] if row else []


def _curve(row: LatestSample, inside: Collection[str] = ()) -> Curve:
    points = [(row.at - timedelta(seconds=age_s), power_w) for age_s, power_w in row.power_series]
    holds = max(timedelta(seconds=row.stale_after_s), 2 * SHOWN_FOR / WATTS_SHOWN)  # not all values are kept
    return Curve(points, holds, row.device_id, inside)


def meters_now(session: Session, meters: Sequence[Device], *, now: datetime) -> dict[str, LiveState]:
    """By id, each meter by itself; one that is revoked is no sensor."""
    ids = [row.id for row in meters]
    last = {row.device_id: row for row in session.scalars(select(LatestSample).where(LatestSample.device_id.in_(ids)))}
    return {
        row.id: _live([last[row.id]] if row.id in last else [], ALONE, now, sensed=row.state is DeviceState.ACTIVE)
        for row in meters
    }
