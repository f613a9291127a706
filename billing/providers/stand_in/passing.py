"""What time does in the shop: holds end, fees become known, refunds arrive or come back, pages to pay on close."""

from collections.abc import Callable
from datetime import timedelta

from billing.providers.stand_in import checkout, giving, paying
from billing.providers.stand_in.shop import Shop, Thing


def _hold_ends(shop: Shop, intent: Thing) -> None:
    if intent["status"] == "requires_capture":
        shop.tell("charge.expired", shop.get("charge", intent["latest_charge"]))
        paying.let_go(shop, intent, "automatic")


def _fee_known(shop: Shop, charge: Thing) -> None:
    paying.book_charge(shop, charge)
    shop.tell("charge.updated", charge)


def _session_ends(shop: Shop, session: Thing) -> None:
    if session["status"] == "open":
        checkout.expire(shop, session)


DUE: dict[str, Callable[[Shop, Thing], None]] = {
    "hold_ends": _hold_ends,
    "fee_known": _fee_known,
    "refund_succeeds": giving.refund_succeeds,
    "refund_fails": giving.refund_fails,
    "session_ends": _session_ends,
}


def catch_up(shop: Shop) -> int:
    """Let all happen that is due by now; how much was."""
    done = 0
    while due := shop.next_due():
        _, _, name, identity = due
        DUE[name](shop, shop.things[identity])
        done += 1
    return done


def advance(shop: Shop, span: timedelta) -> None:
    """Move the shop's own clock."""
    shop.ahead += span
    catch_up(shop)


def end_holds(shop: Shop) -> None:
    """End every hold before its time, as banks sometimes do."""
    for intent in shop.all("payment_intent"):
        _hold_ends(shop, intent)
