"""The stand-in for Stripe without a network between: the real client asks it by a call."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import stripe

from billing.providers.requests import Description
from billing.providers.stand_in.answering import Asked, Fault, StandIn, answer
from billing.providers.stand_in.shop import Shop
from billing.providers.stripe_connect import StripeConnect
from marketplace import clock


class InProcess(stripe.HTTPClient):
    """Hands each request to `state`; a lost answer is a broken connection."""

    name = "in_process"

    def __init__(self, state: StandIn) -> None:
        super().__init__()
        self._state = state

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, *, _usage: list[str] | None = None
    ) -> tuple[str, int, Mapping[str, str]]:
        sent, address = headers or {}, urlsplit(url)
        key = sent.get("Idempotency-Key") if method == "post" else None
        asked = Asked(method.upper(), address.path, address.query, post_data or "", sent.get("Authorization", ""), key)
        answered = answer(self._state, asked)
        if answered.fault is Fault.ANSWER_LOST:
            raise stripe.APIConnectionError("the answer was lost")
        return answered.body.decode(), answered.status, {}


def stand_in(read_clock: Callable[[], datetime] = clock.now) -> tuple[StandIn, StripeConnect]:
    """A stand-in that nobody knows yet, and the provider that asks it."""
    state = StandIn(Shop(read_clock), Description(), "whsec_stand_in", None)
    return state, StripeConnect("sk_test_x", http=InProcess(state))
