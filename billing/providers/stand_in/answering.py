"""One request: authorised, described, replayed or carried out, remembered. Faults that are switched on happen here."""

from collections import Counter, deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from threading import RLock
from typing import Any

import orjson

from billing.providers.requests import Described, Description, Undescribed
from billing.providers.stand_in import giving, passing
from billing.providers.stand_in.routes import carry_out
from billing.providers.stand_in.shop import Refused, Shop, Thing

KEY_LIFE = timedelta(hours=24)
KEPT_VIOLATIONS = 100


class Fault(StrEnum):
    """What may go wrong once, at the next request that changes something, or at the next delivery."""

    ANSWER_LOST = "answer_lost"
    """It is carried out, and nobody hears of it."""

    LATE_ANSWER = "late_answer"
    """It is carried out, and the answer waits until it is let go; a twin finds its key in use."""

    SAVED_500 = "saved_500"
    """It fails, and so does every repetition under its key."""

    EXPIRED_KEY = "expired_key"
    """The answer kept for its key is forgotten before it is looked for."""

    EXPIRED_HOLDS = "expired_holds"
    """Every hold ends before its time."""

    DUPLICATE_EVENTS = "duplicate_events"
    REORDER_EVENTS = "reorder_events"
    STALE_EVENTS = "stale_events"
    """Signed an hour ago."""


AT_REQUESTS = (Fault.ANSWER_LOST, Fault.LATE_ANSWER, Fault.SAVED_500, Fault.EXPIRED_KEY, Fault.EXPIRED_HOLDS)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: str
    body: str
    authorization: str
    key: str | None
    """The idempotency key."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said to a request; `fault` is what happens on the way back."""

    status: int
    body: bytes
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Remembered:
    """An answer kept under a key, with the request it belongs to."""

    path: str
    form: str
    status: int
    body: str
    at: datetime


@dataclass
class StandIn:
    """The server's whole state, and the lock that makes its requests one after the other."""

    shop: Shop
    description: Description
    secret: str
    webhook_url: str | None
    kept: Path | None = None
    answers: dict[str, Remembered] = field(default_factory=dict)
    in_flight: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    """How often each kind of request came."""

    violations: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_VIOLATIONS))
    """The last requests that Stripe would not understand, and why."""

    lock: Any = field(default_factory=RLock)
    sender: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "stand-in-webhooks"))

    def take_fault(self, *kinds: Fault) -> Fault | None:
        found = next((fault for fault in self.faults if fault in kinds), None)
        if found:
            self.faults.remove(found)
        return found

    def load(self) -> None:
        """Back to what the last run had kept, answers under their keys included."""
        if self.kept is None or not self.kept.exists():
            return
        body = orjson.loads(self.kept.read_bytes())
        self.shop.load(body)
        giving.know_again(self.shop)
        for key, (path, form, status, answered, at) in body.get("answers", {}).items():
            self.answers[key] = Remembered(path, form, status, answered, datetime.fromisoformat(at))

    def save(self) -> None:
        if self.kept is None:
            return
        kept = {key: [one.path, one.form, one.status, one.body, one.at] for key, one in self.answers.items()}
        draft = self.kept.with_suffix(".draft")
        draft.write_bytes(orjson.dumps({**self.shop.dump(), "answers": kept}))
        draft.replace(self.kept)


def answer(state: StandIn, asked: Asked) -> Answer:
    """Carry a request out, at most once for its key. Its fault is what the server does to the answer."""
    with state.lock:
        if not asked.authorization.startswith("Bearer sk_test_"):
            return _refusal(Refused(401, "api_key", "Invalid API Key provided: use sk_test_..."))
        passed = passing.catch_up(state.shop)
        try:
            described = state.description.read(asked.method, asked.path, asked.query, asked.body)
        except Undescribed as error:
            state.violations.append(f"{asked.method} {asked.path}: {error}")
            return _refusal(Refused(400, "parameter_unknown", str(error)))
        state.asked[f"{asked.method} {described.template}"] += 1
        answered = _change(state, asked, described) if asked.method == "POST" else _show(state.shop, described)
        if passed or asked.method == "POST":
            state.save()
        return answered


def _show(shop: Shop, described: Described) -> Answer:
    try:
        return Answer(200, orjson.dumps(carry_out(shop, described)))
    except Refused as refused:
        return _refusal(refused)


def _change(state: StandIn, asked: Asked, described: Described) -> Answer:
    """The answer kept for the key, faults included, or a new one that is kept."""
    if asked.key in state.in_flight:
        said = "There is currently another in-progress request using this idempotency key"
        return _refusal(Refused(409, "idempotency_key_in_use", said, "idempotency_error"))
    fault = state.take_fault(*AT_REQUESTS)
    if fault is Fault.EXPIRED_KEY:
        state.answers.pop(asked.key or "", None)
    if fault is Fault.EXPIRED_HOLDS:
        passing.end_holds(state.shop)
    if fault is Fault.LATE_ANSWER and asked.key:
        state.in_flight.add(asked.key)
    _forget(state)
    if known := state.answers.get(asked.key or ""):
        if (known.path, known.form) != (asked.path, asked.body):
            said = "Keys for idempotent requests can only be used with the same parameters they were first used with"
            return _refusal(Refused(400, None, said, "idempotency_error"))
        return Answer(known.status, known.body.encode(), fault)
    broken = Refused(500, "api_error", "Something went wrong on our end", "api_error")
    fresh = _refusal(broken) if fault is Fault.SAVED_500 else _show(state.shop, described)
    if asked.key:
        state.answers[asked.key] = Remembered(asked.path, asked.body, fresh.status, fresh.body.decode(), state.shop.now)
    return Answer(fresh.status, fresh.body, fault)


def _forget(state: StandIn) -> None:
    """Drop the answers whose keys have lived long enough; they lie in the order of their time."""
    while state.answers:
        key = next(iter(state.answers))
        if state.shop.now - state.answers[key].at < KEY_LIFE:
            return
        del state.answers[key]


def _refusal(refused: Refused) -> Answer:
    return Answer(refused.status, orjson.dumps(refused.body))


def counts(state: StandIn) -> Mapping[str, Any]:
    """What an order is answered with."""
    objects: Thing = {kind: len(things) for kind, things in sorted(state.shop.kinds.items()) if things}
    return {"events": len(state.shop.events), "objects": objects, "asked": dict(state.asked), "violations": [*state.violations]}
