"""A relay that is open while power flows: bridged, welded, or not in the way that the meter measures."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from devices.flags.days import Day, Found, Kind, Switched, length
from devices.readings import Relay
from marketplace.slot import Slot

RELAY_W, RELAY_FOR, RELAY_MESSAGES, RELAY_POWERS = 20.0, timedelta(minutes=10), 5, 3
"""The least power that is no noise: a plug's own error and what a filter draws lie below."""


def relay_off(day: Day) -> Found | None:
    """More than 20 W (and twice `p_idle`) for ten minutes between words that all say open. The power must move or the counter
    rise: a bridge repeats from memory what it heard before the relay opened."""
    channels = sorted({one.channel for one in day.switched})
    found = [run for name in channels for run in _powered(day, [one for one in day.switched if one.channel == name])]
    longest = max(filter(_is_told, found), key=length, default=None)
    if longest is None:
        return None
    powers = [one.power_w or 0.0 for one in longest]
    told = {"least_w": min(powers), "most_w": max(powers), "messages": len(longest), "channel": longest[0].channel}
    return Found(Kind.RELAY_OFF, Slot(longest[0].at, longest[-1].at), told)


def _is_told(run: Sequence[Switched]) -> bool:
    counted = [one.energy_wh for one in run if one.energy_wh is not None]
    moves = len({one.power_w for one in run}) >= RELAY_POWERS or (counted and counted[-1] > counted[0])
    return len(run) >= RELAY_MESSAGES and length(run) >= RELAY_FOR and bool(moves)


def _powered(day: Day, told: Sequence[Switched]) -> Iterator[list[Switched]]:
    """Powers above noise that follow each other in time while the relay is open."""
    for stretch in _open(day, told):
        run: list[Switched] = []
        for one in stretch:
            if one.power_w is None:
                continue
            mine = day.profile.at(one.at)
            flows = one.power_w > max(RELAY_W, 2 * mine.p_idle)
            if run and (not flows or one.at - run[-1].at > mine.span("stale_after")):
                yield run
                run = []
            run += [one] if flows else []
        yield run


def _open(day: Day, told: Sequence[Switched]) -> Iterator[list[Switched]]:
    """From a word that says open to the last such word, none further from the next than `stale_after`."""
    stretch: list[Switched] = []
    since: list[Switched] = []
    for one in told:
        if one.relay is Relay.UNTOLD:
            since.append(one)
            continue
        ends = one.relay is Relay.CLOSED or (stretch and one.at - stretch[-1].at > day.profile.at(one.at).span("stale_after"))
        if ends and stretch:
            yield stretch
            stretch = []
        if one.relay is Relay.OPEN:
            stretch += [*(since if stretch else []), one]
        since = []
    yield stretch
