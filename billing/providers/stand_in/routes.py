"""Which request does what, and how objects and lists are shown."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from billing.providers.requests import Described
from billing.providers.stand_in import checkout, customers, giving, paying, setting_up
from billing.providers.stand_in.shop import Refused, Shop, Thing

PAGE = 10
FILTERS = ("transfer_group", "customer", "payment_intent", "source", "type", "charge", "currency")

Handler = Callable[[Shop, Described], Thing]


def _make(create: Callable[[Shop, Mapping[str, Any]], Thing]) -> Handler:
    return lambda shop, asked: create(shop, asked.values)


def _change(kind: str, change: Callable[[Shop, Thing, Mapping[str, Any]], Thing]) -> Handler:
    return lambda shop, asked: change(shop, shop.get(kind, asked.ids[0]), asked.values)


def _get(kind: str) -> Handler:
    return lambda shop, asked: shop.get(kind, asked.ids[0])


def _list(kind: str) -> Handler:
    return lambda shop, asked: _page(asked.template, shop.all(kind), asked.values)


def _event(shop: Shop, asked: Described) -> Thing:
    found = next((event for event in shop.events if event["id"] == asked.ids[0]), None)
    if found is None:
        raise Refused(404, "resource_missing", f"No such event: '{asked.ids[0]}'")
    return found


def _expire(shop: Shop, session: Thing, _: Mapping[str, Any]) -> Thing:
    return checkout.expire(shop, session)


ROUTES: dict[str, Handler] = {
    "POST /v1/customers": _make(customers.create),
    "GET /v1/customers/{customer}": _get("customer"),
    "GET /v1/customers/search": _make(customers.search),
    "POST /v1/payment_intents": _make(paying.create),
    "GET /v1/payment_intents": _list("payment_intent"),
    "GET /v1/payment_intents/{intent}": _get("payment_intent"),
    "POST /v1/payment_intents/{intent}/confirm": _change("payment_intent", paying.confirm),
    "POST /v1/payment_intents/{intent}/capture": _change("payment_intent", paying.capture),
    "POST /v1/payment_intents/{intent}/cancel": _change("payment_intent", paying.cancel),
    "POST /v1/setup_intents": _make(setting_up.create),
    "GET /v1/setup_intents": _list("setup_intent"),
    "GET /v1/setup_intents/{intent}": _get("setup_intent"),
    "POST /v1/checkout/sessions": _make(checkout.create),
    "GET /v1/checkout/sessions": _list("checkout.session"),
    "GET /v1/checkout/sessions/{session}": _get("checkout.session"),
    "POST /v1/checkout/sessions/{session}/expire": _change("checkout.session", _expire),
    "POST /v1/refunds": _make(giving.refund),
    "GET /v1/refunds": _list("refund"),
    "GET /v1/refunds/{refund}": _get("refund"),
    "POST /v1/transfers": _make(giving.transfer),
    "GET /v1/transfers": _list("transfer"),
    "GET /v1/transfers/{transfer}": _get("transfer"),
    "GET /v1/charges/{charge}": _get("charge"),
    "GET /v1/balance": lambda shop, _: giving.balance(shop),
    "GET /v1/balance_transactions": _list("balance_transaction"),
    "GET /v1/events": lambda shop, asked: _page(asked.template, shop.events, asked.values),
    "GET /v1/events/{id}": _event,
}


def carry_out(shop: Shop, asked: Described) -> Thing:
    """What is answered, with what `expand` names. Raises: Refused."""
    handler = ROUTES.get(f"{asked.method} {asked.template}")
    if handler is None:
        raise Refused(400, "not_in_stand_in", f"The stand-in does not do {asked.method} {asked.template}")
    return _expanded(shop, handler(shop, asked), asked.values.get("expand", []))


def _matches(thing: Thing, values: Mapping[str, Any]) -> bool:
    since = values.get("created", {})
    after = since.get("gte", 0) if isinstance(since, Mapping) else since
    return thing["created"] >= after and all(thing.get(name) == values[name] for name in FILTERS if name in values)


def _page(url: str, oldest_first: list[Thing], values: Mapping[str, Any]) -> Thing:
    found = [thing for thing in reversed(oldest_first) if _matches(thing, values)]
    if last := values.get("starting_after"):
        seen = [thing["id"] for thing in found]
        found = found[seen.index(last) + 1 :] if last in seen else []
    limit = values.get("limit", PAGE)
    return {"object": "list", "url": url, "has_more": len(found) > limit, "data": found[:limit]}


def _expanded(shop: Shop, thing: Thing, paths: list[str]) -> Thing:
    """A copy with the ids at `paths` replaced by their objects, and with a charge's refunds where they are named.

    Paths into a list begin with its `data`.
    """
    copy = _copy(thing)
    if thing["object"] == "list":
        inner = [path.removeprefix("data.") for path in paths]
        return {**copy, "data": [_expanded(shop, one, inner) for one in copy["data"]]} if inner else copy
    for path in paths:
        node = copy
        for step in path.split("."):
            if step == "refunds" and node["object"] == "charge":
                made = [shop.things[identity] for identity in node["stand_in"]["refunds"]]
                node[step] = _copy(_page("/v1/refunds", made, {}))
            elif isinstance(node.get(step), str) and node[step] in shop.things:
                node[step] = _copy(shop.things[node[step]])
            if not isinstance(node.get(step), dict):
                break
            node = node[step]
    return copy


def _copy(thing: Thing) -> Thing:
    copy: Thing = orjson.loads(orjson.dumps(thing))
    return copy
