"""What routes are handed: a session that commits with the reply, the actor, the time, the settings, one answer per key."""

import hashlib
import json
from asyncio import wrap_future
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from datetime import date, datetime
from functools import partial
from inspect import isawaitable
from typing import Annotated, Any, TypeVar

import orjson
from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request, Response
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from booking.actions import note_refusal
from booking.admission import SlotRefused, seek_ways_out
from booking.bundles.actions import BundleRefused
from booking.series.actions import SeriesRefused
from marketplace import clock, idempotency
from marketplace.group_commit import GroupCommit
from marketplace.people import queries as people
from marketplace.permissions import NOBODY, Actor
from marketplace.prepared import Appending, start_over
from marketplace.refusals import Invalid, NotSignedIn, Refusal
from marketplace.settings import Settings
from web.known import Known, SomebodyElse
from web.lanes import Note, Place
from web.security import check_origin
from web.wall import is_near

SESSION_COOKIE = "pb_session"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
TURNED_AWAY = (SlotRefused, BundleRefused, SeriesRefused)
_T = TypeVar("_T")
LONGEST_KEY = 200
"""Characters of an Idempotency-Key."""


async def read_clock() -> datetime:
    return clock.now()


async def now_of(request: Request) -> datetime:
    """The time of a route that the framework hands none."""
    found = request.app.dependency_overrides.get(read_clock, clock.now)()
    told: datetime = await found if isawaitable(found) else found
    return told


async def read_settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def open_session(request: Request) -> AsyncIterator[Session]:
    """One transaction: a returned reply commits, a raised refusal rolls back.

    A refused booking leaves its note in a transaction of its own, because the figures must know the demand.
    """
    session: Session = request.app.state.sessions()
    try:
        yield session
        if session.in_transaction():
            await _end(session.commit)
    except TURNED_AWAY as refusal:
        if not getattr(refusal, "noted", False):
            await _end(partial(_keep_note, session, refusal, clock.now()))
        raise
    finally:
        if session.in_transaction():
            await _end(session.close)
        session.close()


async def _end(session_call: Callable[[], None]) -> None:
    """In a thread that is never one of those that requests are handled in: all of these may wait for what is given back here."""
    await to_thread.run_sync(session_call, limiter=CapacityLimiter(1))


def _keep_note(session: Session, refusal: Exception, now: datetime) -> None:
    """Give back what is locked first, then look for ways out: others wait for it."""
    start_over(session)
    if isinstance(refusal, SlotRefused):
        seek_ways_out(session, refusal, now=now)
    note(session, refusal, now)  # type: ignore[arg-type]
    session.commit()
    refusal.noted = True  # type: ignore[attr-defined]


def note(session: Session, refusal: SlotRefused | BundleRefused | SeriesRefused, now: datetime) -> None:
    """Keep the demand that was turned away: of several the ones that could not be had."""
    for one in [refusal] if isinstance(refusal, SlotRefused) else refusal.refusals:
        note_refusal(session, wish=one.wish, reasons=one.reasons, now=now)


async def open_reader(request: Request) -> AsyncIterator[Session]:
    """A session that changes nothing."""
    with request.app.state.readers() as session:
        yield session


Db = Annotated[Session, Depends(open_session, scope="function")]
ReadDb = Annotated[Session, Depends(open_reader, scope="function")]
Now = Annotated[datetime, Depends(read_clock)]
Configured = Annotated[Settings, Depends(read_settings)]


def find_actor(request: Request) -> Actor:
    """Who is asking: a bearer token, else the browser's session, else nobody. A wrong token is refused, not ignored.

    Raises: NotSignedIn, ForgedRequest (another site made the browser write).
    """
    with request.app.state.readers() as session:
        return actor_of(session, request)


def actor_of(session: Session, request: Request) -> Actor:
    """The same by a session that is open."""
    now = clock.now()
    if header := request.headers.get("authorization", ""):
        scheme, _, token = header.partition(" ")
        actor = people.find_actor_by_token(session, token.strip(), now=now) if scheme.lower() == "bearer" else None
        if actor is None:
            raise NotSignedIn
        return actor
    secret = request.cookies.get(session_cookie(request), "")
    actor = people.find_actor_by_session(session, secret, now=now) if secret else None
    if actor and request.method not in SAFE:
        check_origin(request)
    return actor or NOBODY


def session_cookie(request: Request) -> str:
    """The cookie's name: with the __Host- prefix where the product runs behind HTTPS."""
    return f"__Host-{SESSION_COOKIE}" if request.app.state.settings.secure_cookies else SESSION_COOKIE


AnyActor = Annotated[Actor, Depends(find_actor, scope="function")]


def signed_in(actor: Actor) -> Actor:
    """Raises: NotSignedIn."""
    if actor.person_id is None:
        raise NotSignedIn
    return actor


async def require_actor(actor: AnyActor) -> Actor:
    """Raises: NotSignedIn."""
    return signed_in(actor)


SignedIn = Annotated[Actor, Depends(require_actor, scope="function")]


class PreconditionRequired(Refusal):
    """An edit without If-Match."""

    code = "precondition_required"


class Once:
    """One answer per (token, method, path, Idempotency-Key), written in the transaction of its effect.

    The query belongs to what must be equal: a dry run is another request.
    """

    def __init__(self, session: Session, request: Request, actor: Actor, body: bytes, now: datetime) -> None:
        self.session, self.actor, self.now = session, actor, now
        who = request.headers.get("authorization") or request.cookies.get(session_cookie(request), "") or actor.known_id
        self._scope = (_digest(who.encode()), request.method, _short(request.url.path))
        self._key = read_key(request.headers.get("idempotency-key"))
        self._hash = _digest(request.url.query.encode() + b"\n" + _asked(body)) if self._key else ""

    def answer(self, status: int, make: Callable[[], Any], *, told_once: Collection[str] = ()) -> Response:
        """The saved answer of an equal request, or `make()` as JSON, saved, and committed while its thread is at it.

        What is `told_once`, by its name, is null in the saved one. Raises what `make` raises, saving nothing.
        """
        if not self._key:
            content = orjson.dumps(self._made(make))
            self.session.commit()
            return Response(content, status, media_type="application/json")
        principal, method, path = self._scope
        names = {"principal": principal, "method": method, "path": path, "key": self._key}
        saved = idempotency.begin(self.session, **names, request_hash=self._hash, now=self.now)
        if saved:
            replayed = {"Idempotency-Replayed": "true"}
            return Response(saved.body, saved.status, media_type="application/json", headers=replayed)
        found = self._made(make)
        saved_as = orjson.dumps({**found, **dict.fromkeys(told_once)} if told_once else found)
        idempotency.remember(self.session, **names, status=status, body=saved_as)
        self.session.commit()
        return Response(orjson.dumps(found) if told_once else saved_as, status, media_type="application/json")

    def _made(self, make: Callable[[], Any]) -> Any:
        """A refused request is noted while its thread is at it."""
        try:
            return make()
        except TURNED_AWAY as refusal:
            _keep_note(self.session, refusal, self.now)
            raise


def _asked(body: bytes) -> bytes:
    """One form for the same JSON, however its names are ordered and spaced: a client that writes it anew asks nothing else."""
    try:
        return json.dumps(json.loads(body), sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        return body


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _short(path: str) -> str:
    """As long as the column that keeps it."""
    return path if len(path) <= LONGEST_KEY else _digest(path.encode())


def read_key(header: str | None) -> str | None:
    """Raises: Invalid."""
    if header is not None and not (1 <= len(header) <= LONGEST_KEY and header.isprintable()):
        raise Invalid(field="Idempotency-Key", reason=f"must have 1 to {LONGEST_KEY} printable characters")
    return header


async def read_body(request: Request) -> bytes:
    return await request.body()


async def open_once(db: Db, request: Request, actor: AnyActor, now: Now) -> Once:
    """Raises: NotSignedIn."""
    return Once(db, request, signed_in(actor), await request.body(), now)


OneAnswer = Annotated[Once, Depends(open_once, scope="function")]


class AtOnce:
    """`Once` for the busiest routes: who asks is found, the transaction opened, used and ended in one go of the route's thread.

    The framework would send each of these to a thread and back, which takes longer than what is done there.
    """

    def __init__(self, request: Request, body: bytes, now: datetime, place: Place) -> None:
        self._request, self._body, self.now, self.place = request, body, now, place
        self._state = request.app.state
        self._given: Appending | None = None
        self._guesses = not request.headers.get("idempotency-key")

    async def run(self, handle: Callable[["AtOnce"], _T]) -> _T:
        """In a thread of the route, or in the one thread that commits for all. Raises what `handle` raises."""
        group: GroupCommit | None = self._state.group
        if group is None:
            return await run_in_threadpool(self._guessed, handle)
        return await wrap_future(group.submit(partial(self._grouped, handle)))

    def _guessed(self, handle: Callable[["AtOnce"], _T]) -> _T:
        try:
            return handle(self)
        except SomebodyElse:  # nothing was written by then
            self._guesses = False
            return handle(self)

    def _grouped(self, handle: Callable[["AtOnce"], _T], session: Appending) -> _T:
        self._given = session
        return handle(self)

    def _actor(self, session: Appending) -> Actor:
        """Whose the header was the last time, which the session's next trip is to confirm; else found. Raises: NotSignedIn."""
        known: Known = self._state.known
        header, guesses = self._request.headers.get("authorization", ""), self._guesses and self._given is None
        if guesses and (guess := known.guess(header, now=clock.now())):
            session.confirm(guess[1])
            return guess[0]
        actor = signed_in(actor_of(session, self._request))
        if guesses:
            known.remember(header, actor)
        return actor

    def _session(self) -> AbstractContextManager[Appending]:
        session: Appending = self._given or self._state.sessions()
        return nullcontext(session) if self._given else session

    @property
    def settings(self) -> Settings:
        settings: Settings = self._state.settings
        return settings

    def check(self, judge: Callable[..., None]) -> None:
        """Let what those before us saw since we came refuse us, without a look of our own.

        `judge` is called with the session, `actor` and `seen`. Raises: NotSignedIn, ForgedRequest, what `judge` raises.
        """
        if self.place.seen is None or self._request.headers.get("idempotency-key"):
            return
        with self._session() as session:
            try:
                judge(session, actor=self._actor(session), seen=self.place.seen)
            except SlotRefused as refusal:
                self.place.leave((refusal, self.now))
                raise

    def write_notes(self, notes: Sequence[Note]) -> None:
        """Of those who were refused by the way of `check`."""
        with self._session() as session:
            for refusal, refused_at in notes:
                note(session, refusal, refused_at)
            session.commit()

    def answer(self, status: int, make: Callable[[Once], Any]) -> Response:
        """Raises: NotSignedIn, ForgedRequest, what `make` raises."""
        with self._session() as session:
            once = Once(session, self._request, self._actor(session), self._body, self.now)
            try:
                return once.answer(status, partial(make, once))
            except SlotRefused as refusal:
                self.place.show(refusal.seen)
                raise


@asynccontextmanager
async def at_once(request: Request, resource_id: str, now: datetime) -> AsyncIterator[AtOnce]:
    """In its turn among those who ask for the same resource. Raises: Busy."""
    body = await request.body()
    async with request.app.state.lanes.turn(resource_id) as place:
        go = AtOnce(request, body, now, place)
        try:
            yield go
        finally:
            if notes := place.take_notes():
                await go.run(partial(AtOnce.write_notes, notes=notes))


def read_date(field: str, value: str | None) -> date | None:
    """A day of the calendar, None where none was given. Raises: Invalid, naming the field (also of far years)."""
    try:
        day = date.fromisoformat(value) if value else None
    except ValueError as error:
        raise Invalid(field=field, reason="not a date such as 2026-03-10") from error
    if day is not None and not is_near(day):
        raise Invalid(field=field, reason="not a date such as 2026-03-10")
    return day
