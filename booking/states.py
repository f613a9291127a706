"""A booking's states and the one table of moves between them."""

from enum import StrEnum

from marketplace.refusals import WrongState


class BookingState(StrEnum):
    HELD = "held"
    REQUESTED = "requested"
    CONFIRMED = "confirmed"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"
    EXPIRED = "expired"
    REFUSED = "refused"
    PROVIDER_FAILED = "provider_failed"
    UNVERIFIABLE = "unverifiable"


class Move(StrEnum):
    PAY = "pay"
    ASK = "ask"
    APPROVE = "approve"
    REFUSE = "refuse"
    EXPIRE = "expire"
    CANCEL = "cancel"
    COMPLETE = "complete"
    MISS = "miss"
    FAIL = "fail"
    DOUBT = "doubt"


S, M = BookingState, Move
MOVES: dict[tuple[BookingState, Move], BookingState] = {
    (S.HELD, M.PAY): S.CONFIRMED,
    (S.HELD, M.ASK): S.REQUESTED,
    (S.HELD, M.EXPIRE): S.EXPIRED,
    (S.HELD, M.CANCEL): S.CANCELLED,
    (S.REQUESTED, M.APPROVE): S.CONFIRMED,
    (S.REQUESTED, M.REFUSE): S.REFUSED,
    (S.REQUESTED, M.EXPIRE): S.EXPIRED,
    (S.REQUESTED, M.CANCEL): S.CANCELLED,
    (S.CONFIRMED, M.ASK): S.REQUESTED,
    (S.CONFIRMED, M.CANCEL): S.CANCELLED,
    (S.CONFIRMED, M.COMPLETE): S.COMPLETED,
    (S.CONFIRMED, M.MISS): S.NO_SHOW,
    (S.CONFIRMED, M.FAIL): S.PROVIDER_FAILED,
    (S.CONFIRMED, M.DOUBT): S.UNVERIFIABLE,
    (S.UNVERIFIABLE, M.COMPLETE): S.COMPLETED,
    (S.UNVERIFIABLE, M.MISS): S.NO_SHOW,
    (S.UNVERIFIABLE, M.FAIL): S.PROVIDER_FAILED,
}
"""Late telemetry or a signed attestation may settle what was unverifiable; nothing else moves on from an end."""

HOLDING = frozenset({S.HELD, S.REQUESTED, S.CONFIRMED})
"""States in which a booking's claims stand in the ledger."""

OUTCOMES = {S.COMPLETED: M.COMPLETE, S.NO_SHOW: M.MISS, S.PROVIDER_FAILED: M.FAIL, S.UNVERIFIABLE: M.DOUBT}
"""The move that leads to each verdict of the devices."""


def after(state: BookingState, move: Move) -> BookingState:
    """The state `move` leads to.

    >>> after(BookingState.HELD, Move.PAY).value
    'confirmed'

    Raises: WrongState.
    """
    try:
        return MOVES[state, move]
    except KeyError:
        raise WrongState(state=state.value, move=move.value) from None
