"""From messages to runs without a database: decode in order of receipt, place in time, fold."""

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from zoneinfo import ZoneInfo

from devices.codecs import families
from devices.placing import Arrival, Sample, arrived, place
from devices.profile import InForce
from devices.readings import Envelope, Followed, Rejected
from devices.sessions import Session, fold
from marketplace.collector import COLLECTOR


def runs_of(messages: Iterable[Envelope], profiles: InForce, *, until: datetime) -> list[Session]:
    """What the messages that were received by `until` come to at that moment, in whatever order they are given."""
    with COLLECTOR.at_rest():
        runs, _ = fold(samples_of(messages, profiles, until=until)[1], profiles, now=until)
    return runs


def samples_of(messages: Iterable[Envelope], profiles: InForce, *, until: datetime) -> tuple[list[Arrival], list[Sample]]:
    """What the messages that were received by `until` say, as it came and as it lies in time."""
    ordered = sorted(
        (one for one in messages if one.received_at <= until), key=lambda one: (one.received_at, one.topic, one.payload)
    )
    with COLLECTOR.at_rest():
        said = [(one, found) for one, found in followed(ordered, profiles) if not isinstance(found, Rejected)]
        arrivals = [arrived(one, told) for one, found in said for told in found]
        return arrivals, place(arrivals, profiles, until=until)[0]


def followed(messages: Iterable[Envelope], profiles: InForce, *, since: datetime | None = None) -> Followed:
    """Messages of one device, in order of receipt, each with what it says by the family that was set as it came.

    Of those before `since` only births are among them.
    """

    def way(message: Envelope) -> tuple[str, str, str]:
        profile = profiles.at(message.received_at)
        return profile.family, profile.mapping, profile.zone

    for (family, mapping, zone), some in groupby(messages, key=way):
        yield from families.follow(family, some, ZoneInfo(zone), mapping, since=since)
