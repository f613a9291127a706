"""Customers, and how one is found by what was written on it."""

import re
from collections.abc import Mapping
from typing import Any

from billing.providers.stand_in.shop import Refused, Shop, Thing

QUERY = re.compile(r"metadata\[(?P<q>['\"])(?P<name>[^'\"]+)(?P=q)\]:(?P<r>['\"])(?P<value>[^'\"]*)(?P=r)")
"""The one kind of search that the product makes."""


def create(shop: Shop, values: Mapping[str, Any]) -> Thing:
    return shop.new(
        "customer", "cus", metadata=dict(values.get("metadata") or {}), email=values.get("email"), name=values.get("name")
    )


def search(shop: Shop, values: Mapping[str, Any]) -> Thing:
    """Raises: Refused, for a query of another kind."""
    asked = QUERY.fullmatch(values["query"])
    if asked is None:
        raise Refused(400, None, f"The stand-in does not search for {values['query']}")
    found = [one for one in shop.all("customer") if one["metadata"].get(asked["name"]) == asked["value"]]
    return {"object": "search_result", "url": "/v1/customers/search", "has_more": False, "data": found, "next_page": None}
