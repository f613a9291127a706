"""How one meter does: how often it speaks, whether its clock is right, how much of the time it was seen."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from devices.health import queries
from devices.health.watching import Pulse, clock_agrees, last_words, pulse_of
from devices.measuring.proposing import stale_for
from devices.profile import Profile
from devices.tables import Device
from web.views.device import ClockView, Health

DAY, WEEK = timedelta(days=1), timedelta(days=7)


def health(session: Session, row: Device, profile: Profile, *, now: datetime) -> Health:
    pulse = pulse_of(last_words(session, row, profile))
    least = stale_for(pulse.interval_s) if pulse.interval_s else 0.0
    return Health(
        interval_s=pulse.interval_s,
        stale_after_s=profile.stale_after,
        least_stale_s=least if least > profile.stale_after else None,
        clock=clock_view(pulse, profile),
        day=queries.coverage(session, row, now=now, reach=DAY),
        week=queries.coverage(session, row, now=now, reach=WEEK),
        rejected_today=queries.count_since(session, row.key, since=now - DAY),
    )


def clock_view(pulse: Pulse, profile: Profile) -> ClockView | None:
    """None where too few messages tell a time."""
    found = pulse.clock
    return ClockView(clock_agrees(found, profile), found.behind_s, found.zone_s) if found else None
