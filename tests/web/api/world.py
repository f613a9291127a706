"""A small world made through the JSON API alone: an institution, a firm, their people, a resource; and how to ask as whom."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from marketplace.ids import new_id

API = "/api/v1"
YUAN_300 = {"minor": 30000, "currency": "CNY"}
PROBLEM = "application/problem+json"


class Reply(Protocol):
    """What is read of an answer."""

    @property
    def status_code(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def headers(self) -> Any: ...
    def json(self) -> Any: ...


class Client(Protocol):
    """Either the application itself or a server process."""

    def request(self, method: str, url: str, **more: Any) -> Any: ...


TODAY = (datetime.now(UTC) + timedelta(hours=12)).replace(hour=0, minute=0, second=0, microsecond=0)
"""Fixed once, and its morrow far enough: midnight in the middle of a run must not move what a test asked for."""


SOON = (datetime.now(UTC) + timedelta(hours=3)).replace(minute=0, second=0, microsecond=0)
"""Ahead of every run, and so near that giving it up is late at any hour of the day."""


def soon(hours: int = 0) -> datetime:
    """A whole hour within the day to come."""
    return SOON + timedelta(hours=hours)


def tomorrow(hour: int = 1, minute: int = 0, *, days: int = 1) -> datetime:
    """A whole hour of a coming day, UTC."""
    return TODAY + timedelta(days=days, hours=hour, minutes=minute)


def span(start: datetime, hours: float = 2) -> dict[str, str]:
    return {"start": start.isoformat(), "end": (start + timedelta(hours=hours)).isoformat()}


@dataclass
class World:
    """Ids and tokens by name; every request goes over HTTP."""

    client: Client
    operator: str
    institution: str = ""
    manager: str = ""
    organisation: str = ""
    member: str = ""
    resource: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, *, token: str | None = None, key: str | None = None, **more: Any) -> Reply:
        """Ask as the owner of `token`, as nobody without one."""
        headers = {**more.pop("headers", {})}
        if token:
            headers["authorization"] = f"Bearer {token}"
        if key:
            headers["idempotency-key"] = key
        reply: Reply = self.client.request(method, API + path, headers=headers, **more)
        return reply

    def get(self, path: str, token: str | None = None, **more: Any) -> Reply:
        return self.ask("GET", path, token=token, **more)

    def post(self, path: str, token: str | None = None, **more: Any) -> Reply:
        return self.ask("POST", path, token=token, **more)

    def made(self, path: str, token: str, body: dict[str, Any]) -> dict[str, Any]:
        """What was created; anything but 201 is an error of the test."""
        reply = self.post(path, token, json=body)
        assert reply.status_code == 201, reply.text
        found: dict[str, Any] = reply.json()
        return found

    def a_person(self, role: str | None = None, **scope: str) -> str:
        """A new person's token."""
        memberships = [{"role": role, **scope}] if role else []
        body = {"email": f"{new_id('p')}@example.com", "name": "陈静", "memberships": memberships}
        return str(self.made("/people", self.operator, body)["token"])

    def an_institution(self) -> str:
        body = {
            "name": "锦城分析测试中心",
            "name_en": "Jincheng Analysis Centre",
            "kind": "university",
            "timezone": "Asia/Shanghai",
        }
        return str(self.made("/institutions", self.operator, body)["id"])

    def an_organisation(self) -> str:
        body = {"name": "青羊生物科技有限公司", "is_sme": True, "customer_class": "industry"}
        return str(self.made("/organisations", self.operator, body)["id"])

    def a_resource(self, **changes: Any) -> str:
        return str(self.made("/resources", self.manager, self.listing(**changes))["id"])

    def foreign_resource(self) -> str:
        """A resource of another institution."""
        theirs = self.an_institution()
        return str(self.made("/resources", self.operator, self.listing(institution_id=theirs))["id"])

    def listing(self, **changes: Any) -> dict[str, Any]:
        return {
            "institution_id": self.institution,
            "kind": "instrument",
            "name": "液相色谱仪",
            "name_en": "Liquid chromatograph",
            "timezone": "Asia/Shanghai",
            "price_per_hour": YUAN_300,
            **changes,
        }

    def a_booking(self, **changes: Any) -> dict[str, Any]:
        return self.made(f"/resources/{self.resource}/bookings", self.member, {**span(tomorrow()), **changes})


def a_world(client: Client, operator: str) -> World:
    """One institution with a manager and a resource, one firm with a member."""
    world = World(client, operator)
    world.institution, world.organisation = world.an_institution(), world.an_organisation()
    world.manager = world.a_person("manager", institution_id=world.institution)
    world.member = world.a_person("member", organisation_id=world.organisation)
    world.resource = world.a_resource()
    return world


def refused(reply: Reply, status: int, code: str | None = None) -> dict[str, Any]:
    """The RFC 9457 document of a refusal, complete."""
    assert reply.status_code == status, f"{reply.status_code} {reply.text}"
    assert reply.headers["content-type"].split(";")[0] == PROBLEM
    body: dict[str, Any] = reply.json()
    assert body["status"] == status
    assert {"type", "title", "detail", "code", "reasons"} <= set(body)
    assert body["reasons"]
    assert all({"code", "detail"} <= set(reason) for reason in body["reasons"])
    if code:
        assert body["code"] == code, body
    return body


def fields(body: dict[str, Any]) -> set[str]:
    """The fields that a malformed request's reasons name."""
    return {reason["field"] for reason in body["reasons"]}
