"""Pages to pay on: a session is made, paid or left on its page, and closes by the clock."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from billing.providers.stand_in import methods, paying, setting_up
from billing.providers.stand_in.shop import Refused, Shop, Thing

SHORTEST, LONGEST = timedelta(minutes=30), timedelta(hours=24)


def create(shop: Shop, values: Mapping[str, Any]) -> Thing:
    """Raises: Refused."""
    mode = values.get("mode")
    if mode not in {"payment", "setup"} or not values.get("success_url"):
        raise Refused(400, "parameter_missing", "mode payment or setup and a success_url are needed")
    if values.get("customer"):
        shop.get("customer", values["customer"])
    ends = _end(shop, values.get("expires_at"))
    asked = values.get("payment_intent_data" if mode == "payment" else "setup_intent_data", {})
    amount, currency = _total(values) if mode == "payment" else (None, values.get("currency"))
    if amount is not None:
        paying.check_amount(amount, str(currency))
    session = shop.new(
        "checkout.session",
        "cs",
        mode=mode,
        amount_total=amount,
        currency=currency,
        customer=values.get("customer"),
        client_reference_id=values.get("client_reference_id"),
        metadata=dict(values.get("metadata") or {}),
        locale=values.get("locale"),
        payment_method_types=list(values.get("allowed_payment_method_types") or ["card"]),
        success_url=values["success_url"],
        cancel_url=values.get("cancel_url"),
        expires_at=int(ends.timestamp()),
        payment_intent=None,
        setup_intent=None,
        payment_status="unpaid" if mode == "payment" else "no_payment_required",
        status="open",
        stand_in={"asked": dict(asked), "name": _name(values)},
    )
    session["url"] = f"{shop.address}/pay/{session['id']}"
    shop.later(ends, "session_ends", session)
    return session


def _end(shop: Shop, asked: int | None) -> datetime:
    ends = datetime.fromtimestamp(asked, UTC) if asked else shop.now + LONGEST
    if not SHORTEST <= ends - shop.now.replace(microsecond=0) <= LONGEST:
        raise Refused(400, "parameter_invalid_integer", "expires_at must be 30 minutes to 24 hours from now")
    return ends


def _total(values: Mapping[str, Any]) -> tuple[int, str]:
    lines = values.get("line_items") or []
    if not lines:
        raise Refused(400, "parameter_missing", "line_items are needed in payment mode")
    return sum(line["price_data"]["unit_amount"] * line["quantity"] for line in lines), lines[0]["price_data"]["currency"]


def _name(values: Mapping[str, Any]) -> str:
    lines = values.get("line_items") or []
    return str(lines[0]["price_data"]["product_data"]["name"]) if lines else ""


def pay(shop: Shop, session: Thing, method_name: str) -> str | None:
    """The payer has chosen how; the address of a challenge where the bank asks for one. Raises: Refused."""
    if session["status"] != "open":
        raise Refused(400, None, f"This session is {session['status']}")
    method = methods.take(shop, method_name)
    if method["type"] not in session["payment_method_types"]:
        raise Refused(400, None, f"{method['type']} is not offered here")
    confirm = _pay if session["mode"] == "payment" else _set_up
    intent = confirm(shop, session, method)
    if intent["status"] == "requires_action":
        return str(intent["next_action"]["redirect_to_url"]["url"])
    settle(shop, session)
    return None


def _pay(shop: Shop, session: Thing, method: Thing) -> Thing:
    if session["payment_intent"] is None:
        asked = session["stand_in"]["asked"]
        wanted = {"amount": session["amount_total"], "currency": session["currency"], "customer": session["customer"]}
        session["payment_intent"] = paying.create(shop, {**asked, **wanted})["id"]
    intent = shop.get("payment_intent", session["payment_intent"])
    return paying.confirm(shop, intent, {"payment_method": method["id"], "return_url": session["url"]})


def _set_up(shop: Shop, session: Thing, method: Thing) -> Thing:
    if session["setup_intent"] is None:
        session["setup_intent"] = setting_up.create(shop, {**session["stand_in"]["asked"], "customer": session["customer"]})["id"]
    intent = shop.get("setup_intent", session["setup_intent"])
    intent["payment_method"] = method["id"]
    return setting_up.confirm(shop, intent, session["url"])


def settle(shop: Shop, session: Thing) -> None:
    """Close a session whose payment or set-up has come to its end."""
    intent = shop.things.get(session["payment_intent"] or session["setup_intent"] or "")
    if session["status"] != "open" or intent is None or intent["status"] not in {"succeeded", "requires_capture"}:
        return
    session.update(status="complete", url=None)
    if session["mode"] == "payment" and intent["status"] == "succeeded":
        session["payment_status"] = "paid"
    shop.tell("checkout.session.completed", session)


def expire(shop: Shop, session: Thing) -> Thing:
    """Close the page unpaid. Raises: Refused."""
    if session["status"] != "open":
        raise Refused(400, None, f"Only an open session can be expired; this one is {session['status']}")
    session.update(status="expired", url=None)
    intent = shop.things.get(session["payment_intent"] or "")
    if intent and intent["status"] in paying.CONFIRMABLE:
        paying.let_go(shop, intent, "automatic")
    shop.tell("checkout.session.expired", session)
    return session
