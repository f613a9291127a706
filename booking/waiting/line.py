"""What becomes of a place in a waiting list, how long an offer stands, and what may keep someone waiting."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from booking.terms import Rules
from marketplace.refusals import Reason, WrongState
from marketplace.slot import Slot

SHORTEST_OFFER = timedelta(minutes=1)
"""Time that is left for less is offered to nobody: who looks, can book it."""
PASSING = frozenset({"slot_taken", "over_quota_hours", "over_quota_count", "over_quota_hours_shared", "over_quota_count_shared"})
"""Reasons that go away by themselves; anything else in the way of a wish would keep it waiting in vain."""


class WaitingState(StrEnum):
    WAITING = "waiting"
    OFFERED = "offered"
    BOOKED = "booked"
    DECLINED = "declined"
    LAPSED = "lapsed"
    WITHDRAWN = "withdrawn"
    OVER = "over"


class Turn(StrEnum):
    OFFER = "offer"
    RECALL = "recall"
    ACCEPT = "accept"
    DECLINE = "decline"
    LAPSE = "lapse"
    WITHDRAW = "withdraw"
    END = "end"


S, T = WaitingState, Turn
TURNS: dict[tuple[WaitingState, Turn], WaitingState] = {
    (S.WAITING, T.OFFER): S.OFFERED,
    (S.WAITING, T.WITHDRAW): S.WITHDRAWN,
    (S.WAITING, T.END): S.OVER,
    (S.OFFERED, T.RECALL): S.WAITING,
    (S.OFFERED, T.ACCEPT): S.BOOKED,
    (S.OFFERED, T.DECLINE): S.DECLINED,
    (S.OFFERED, T.LAPSE): S.LAPSED,
    (S.OFFERED, T.WITHDRAW): S.WITHDRAWN,
}
"""A place has one turn: whoever lets an offer pass joins again at the end of the line."""

OPEN = frozenset({S.WAITING, S.OFFERED})


def after(state: WaitingState, turn: Turn) -> WaitingState:
    """The state that `turn` leads to.

    >>> after(WaitingState.OFFERED, Turn.LAPSE).value
    'lapsed'

    Raises: WrongState.
    """
    try:
        return TURNS[state, turn]
    except KeyError:
        raise WrongState(state=state.value, move=turn.value) from None


def offer_until(slot: Slot, rules: Rules, now: datetime) -> datetime | None:
    """When an offer of `slot` made at `now` ends: as the rules say, and never after the last moment to book it."""
    last = slot.start - timedelta(minutes=rules.notice_min)
    until = min(now + rules.offer_for, last)
    return until if until - now >= SHORTEST_OFFER else None


def last_call(window: Slot, length: timedelta, rules: Rules) -> datetime:
    """From when on nothing of `length` inside `window` can be booked any more."""
    return window.end - length - timedelta(minutes=rules.notice_min)


def lasting(reasons: Iterable[Reason]) -> list[Reason]:
    """Those that waiting does not mend."""
    return [reason for reason in reasons if reason.code not in PASSING]
