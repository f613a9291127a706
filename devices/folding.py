"""From messages to runs without a database: decode in order of receipt, place in time, fold."""

from collections.abc import Iterable
from datetime import datetime

from devices.codecs import families
from devices.placing import arrived, place
from devices.profile import Profile
from devices.readings import Envelope, Rejected
from devices.sessions import Session, fold


def runs_of(messages: Iterable[Envelope], profile: Profile, *, until: datetime) -> list[Session]:
    """What the messages that were received by `until` come to at that moment, in whatever order they are given."""
    ordered = sorted(
        (one for one in messages if one.received_at <= until), key=lambda one: (one.received_at, one.topic, one.payload)
    )
    followed = families.follow(profile.family, ordered, profile.tz, profile.mapping)
    arrivals = [arrived(one, told) for one, found in followed if not isinstance(found, Rejected) for told in found]
    samples, _ = place(arrivals, profile, until=until)
    runs, _ = fold(samples, profile, now=until)
    return runs
