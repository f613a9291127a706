"""What tests of the stand-in ask of it by hand: requests with a key, and a second life from its file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

HEADERS = {"Authorization": "Bearer sk_test_x"}


@dataclass
class Asking:
    """Plain requests to the stand-in's API."""

    url: str
    answers: list[httpx2.Response] = field(default_factory=list)

    def post(self, path: str, key: str | None = None, **data: Any) -> httpx2.Response:
        headers = {**HEADERS, "Idempotency-Key": key} if key else HEADERS
        made = httpx2.post(f"{self.url}{path}", headers=headers, data=data, timeout=20)
        self.answers.append(made)
        return made

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> httpx2.Response:
        return httpx2.get(f"{self.url}{path}", headers=HEADERS, params=params)
