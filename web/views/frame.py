"""What every page shares: language, theme, who is signed in, where one can go; and small parts used by several pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Lang(StrEnum):
    ZH = "zh"
    EN = "en"


class Theme(StrEnum):
    LIGHT = "light"
    DARK = "dark"
    AUTO = "auto"


class Area(StrEnum):
    """The entries of the navigation."""

    SEARCH = "search"
    BOOKINGS = "bookings"
    DESK = "desk"
    EVALUATION = "evaluation"
    OPERATOR = "operator"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Frame:
    """The request as every template sees it."""

    lang: Lang
    path: str
    """The address without its language, as "/search"; starts with a slash."""
    query: str
    """The query string without "?", kept when the language or the theme is switched."""
    csrf: str
    theme: Theme = Theme.AUTO
    person: str | None = None
    """The signed-in person's name."""
    unread: int = 0
    """Their unread messages, counted up to 100."""
    areas: Sequence[Area] = (Area.SEARCH, Area.EVALUATION)
    """What the navigation offers this person, in order."""
    current: Area | None = None
    zone: str = "Asia/Shanghai"
    """The zone named in the footer: the equipment's where a page shows one piece of equipment."""
    done: str | None = None
    """A code of web.done: what the step before this page achieved (from ?done=)."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An option of a select, a radio group or a set of check boxes."""

    value: str
    label: str
    chosen: bool = False
    count: int | None = None


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with a field and how to mend it, in the page's language."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Turn:
    """A choice between two instants, where the clocks are put back over the time that was typed."""

    field: str
    label: str
    choices: Sequence[Choice]


@dataclass(frozen=True, slots=True)
class Form:
    """What was typed, as typed, with what is wrong about it."""

    values: Mapping[str, str] = field(default_factory=dict)
    errors: Sequence[FieldError] = ()
    turns: Sequence[Turn] = ()
    """Asked only where a time comes twice."""


EMPTY_FORM = Form()


@dataclass(frozen=True, slots=True)
class Paging:
    """Where a long list goes on; addresses are complete, None at an end."""

    shown: int
    total: int | None = None
    previous: str | None = None
    following: str | None = None


ONE_PAGE = Paging(0)


def by_offset(address: str, *, before: int, found: int, page: int, mark: str = "") -> Paging:
    """Of a list from which `before` rows were left out and of which one more than a `page` was looked for.

    >>> by_offset("/x?", before=20, found=21, page=20)
    Paging(shown=20, total=None, previous='/x?cursor=0', following='/x?cursor=40')
    """
    previous = f"{address}cursor={max(before - page, 0)}{mark}" if before else None
    following = f"{address}cursor={before + page}{mark}" if found > page else None
    return Paging(min(found, page), None, previous, following)


@dataclass(frozen=True, slots=True)
class Live:
    """What the equipment does now: in_use, free, unknown, no_sensor, maintenance or fault."""

    state: str
    until: datetime | None = None
    """When the present booking or free time ends, if known."""
    since: datetime | None = None
    power_w: int | None = None


@dataclass(frozen=True, slots=True)
class Badge:
    """The live state of the one piece of equipment that a page is about, and the stream that keeps it true."""

    id: str
    live: Live
    zone: str
    url: str
