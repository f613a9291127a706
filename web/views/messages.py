"""One's messages in the app, and how one wants to be told by mail."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from web.views.frame import EMPTY_FORM, ONE_PAGE, Choice, Form, Paging


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message as one line; `link` is the page it leads to, without the host."""

    id: str
    kind: str
    title: str
    about: str
    """What and when; empty where the message is about nothing that is booked."""
    at: datetime
    unread: bool
    link: str


@dataclass(frozen=True, slots=True)
class MessagesView:
    """GET /{lang}/messages."""

    rows: Sequence[MessageRow]
    zone: str
    unread: bool
    paging: Paging = ONE_PAGE


@dataclass(frozen=True, slots=True)
class TopicChoice:
    """One topic with the ways it may reach the reader."""

    topic: str
    choices: Sequence[Choice]


@dataclass(frozen=True, slots=True)
class MessageChoicesView:
    """GET/POST /{lang}/account/messages."""

    topics: Sequence[TopicChoice]
    timezone: str
    email: str
    form: Form = EMPTY_FORM
