"""What is sent to Stripe: our orders in the shape of its requests."""

from datetime import datetime

from stripe.params import PaymentIntentConfirmParams, PaymentIntentCreateParams, SetupIntentCreateParams
from stripe.params.checkout import SessionCreateParams, SessionCreateParamsLineItem

from billing.providers.base import Call, CheckoutOrder, Confirmation, Mark, Purpose, SetUpOrder, Way

EXPAND = ["latest_charge.balance_transaction", "latest_charge.refunds"]
EXPAND_SETUP = ["payment_method"]


def metadata_of(call: Call) -> dict[str, str]:
    return {"key": call.key, "booking": call.parameters["booking"]}


def page(call: Call, customer_id: str, back: str) -> CheckoutOrder:
    """What a call for a page asks for; `back` is where its payer comes back to."""
    asked = call.parameters
    return CheckoutOrder(
        subject=asked["booking"],
        name=asked["name"],
        customer_id=customer_id,
        purpose=Purpose(asked["purpose"]),
        ways=tuple(Way(way) for way in asked["ways"]),
        amount_minor=asked["amount"],
        currency=asked["currency"],
        return_url=back,
        cancel_url=back,
        expires_at=datetime.fromisoformat(asked["ends_at"]),
        language=asked["language"],
    )


def hold(call: Call, customer_id: str, back: str) -> PaymentIntentCreateParams:
    """With the payer there the card is kept too; `off_session` in the parameters is a hold on a kept card without them."""
    order = _payment(call, customer_id)
    order["capture_method"] = "manual"
    if call.parameters.get("off_session"):
        order["off_session"] = True
    else:
        order["setup_future_usage"] = "off_session"
        order["return_url"] = back
    return order


def charge(call: Call) -> PaymentIntentCreateParams:
    """A charge on a kept card, without its payer."""
    order = _payment(call, call.customer_id or "")
    order["off_session"] = True
    return order


def _payment(call: Call, customer_id: str) -> PaymentIntentCreateParams:
    return {
        "amount": call.parameters["amount"],
        "currency": call.parameters["currency"].lower(),
        "allowed_payment_method_types": ["card"],
        "customer": customer_id,
        "payment_method": call.method_id or "",
        "confirm": True,
        "metadata": metadata_of(call),
        "transfer_group": call.parameters["booking"],
        "expand": EXPAND,
    }


def confirm(order: Confirmation) -> PaymentIntentConfirmParams:
    return {"payment_method": order.method_id, "return_url": order.return_url, "expand": EXPAND}


def set_up(order: SetUpOrder, mark: Mark) -> SetupIntentCreateParams:
    return {
        "customer": order.customer_id,
        "payment_method": order.method_id,
        "allowed_payment_method_types": ["card"],
        "usage": "off_session",
        "confirm": True,
        "return_url": order.return_url,
        "metadata": {"key": mark.key, "subject": order.subject},
        "expand": EXPAND_SETUP,
    }


def checkout(order: CheckoutOrder, mark: Mark) -> SessionCreateParams:
    """Its payment carries the same marks as one that is made by a call."""
    metadata = {"key": mark.key, "booking": order.subject}
    asked: SessionCreateParams = {
        "customer": order.customer_id,
        "client_reference_id": order.subject,
        "allowed_payment_method_types": [way.value for way in order.ways],
        "success_url": order.return_url,
        "cancel_url": order.cancel_url,
        "expires_at": int(order.expires_at.timestamp()),
        "locale": "zh" if order.language.startswith("zh") else "en",
        "metadata": metadata,
    }
    if order.purpose is Purpose.KEEP_CARD:
        asked["mode"], asked["currency"] = "setup", order.currency.lower()
        asked["setup_intent_data"] = {"metadata": metadata}
        return asked
    asked["mode"] = "payment"
    asked["line_items"] = [_line(order)]
    asked["payment_intent_data"] = {"metadata": metadata, "transfer_group": order.subject}
    if order.purpose is Purpose.HOLD:
        asked["payment_intent_data"]["capture_method"] = "manual"
        asked["payment_intent_data"]["setup_future_usage"] = "off_session"
    if Way.WECHAT_PAY in order.ways:
        asked["payment_method_options"] = {"wechat_pay": {"client": "web"}}
    return asked


def _line(order: CheckoutOrder) -> SessionCreateParamsLineItem:
    return {
        "quantity": 1,
        "price_data": {
            "currency": order.currency.lower(),
            "unit_amount": order.amount_minor,
            "product_data": {"name": order.name},
        },
    }
