"""Search over published listings: one query for the words, one for the listings, facets counted from what matched.

What other floors know of the matches, such as when each is free, narrows them between `matching` and `page_of`.
"""

import base64
import binascii
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from marketplace import words
from marketplace.catalogue.queries import OPEN_STATES
from marketplace.refusals import Invalid
from marketplace.slot import Slot
from marketplace.tables import Institution, ListingState, Resource, ResourceKind, ResourceWord

NAME, TAG, HOUSE, TEXT = 8, 5, 3, 2
"""How much a word counts in the name, in a tag, in the institution's name, in the text."""

HIGHEST = 10**15
SATURATION = 4.0
ENOUGH = 0.4
"""The share of the query's weight a listing must match, so that one common bigram does not fill the page."""

Sort = Literal["match", "price", "name", "earliest"]
"""`earliest` needs a time that was asked for; without one it is as `match`."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A listing, how well it matches, and by which of its words."""

    resource: Resource
    score: float
    why: Sequence[str]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of hits; `total` and `facets` count all that matched. `facets` map a field to its values and counts."""

    hits: Sequence[Hit]
    total: int
    facets: Mapping[str, list[dict[str, Any]]]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """What is needed of every candidate to filter, count and sort."""

    id: str
    kind: ResourceKind
    chain: str | None
    district: str | None
    price_minor: int
    currency: str
    name: str
    institution_id: str
    state: ListingState


FACTS: tuple[Any, ...] = (
    Resource.id,
    Resource.kind,
    Resource.chain,
    Resource.district,
    Resource.price_minor,
    Resource.currency,
    Resource.name,
    Resource.institution_id,
    Resource.state,
)
"""The columns of a Row, in its order."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices per hour from `least` to `most`, minor units. A listing in another than `currency`, if one is named, has none."""

    least: int = 0
    most: int = HIGHEST
    currency: str | None = None

    def has(self, row: Row) -> bool:
        return self.currency in {None, row.currency} and self.least <= row.price_minor <= self.most


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a listing must be; None leaves it open."""

    kind: ResourceKind | None = None
    chain: str | None = None
    district: str | None = None

    def has(self, row: Row, *, beside: str = "") -> bool:
        """Whether `row` is so; what is named `beside` is not looked at."""
        wanted = (("kind", self.kind), ("chain", self.chain), ("district", self.district))
        return all(value is None or name == beside or getattr(row, name) == value for name, value in wanted)


ANYTHING = Chosen()


@dataclass(frozen=True, slots=True)
class Matches:
    """What words and price let through; score and matched words by resource, None where no words were asked for."""

    rows: Sequence[Row]
    reasons: Mapping[str, tuple[float, list[str]]] | None

    @property
    def ids(self) -> list[str]:
        return [row.id for row in self.rows]

    def narrowed(self, ids: Container[str]) -> "Matches":
        """Those that someone else chose too."""
        return Matches([row for row in self.rows if row.id in ids], self.reasons)

    def of(self, chosen: Chosen) -> "Matches":
        return Matches([row for row in self.rows if chosen.has(row)], self.reasons)

    def score(self, resource_id: str) -> float:
        return self.reasons[resource_id][0] if self.reasons else 0.0


def index_resource(session: Session, resource: Resource) -> None:
    """Make the listing findable by its present words, in this transaction."""
    house = session.get_one(Institution, resource.institution_id)
    weights: Counter[str] = Counter()
    parts = [(NAME, resource.name), (NAME, resource.name_en), (HOUSE, house.name), (HOUSE, house.name_en)]
    parts += [(TEXT, resource.summary), (TEXT, resource.summary_en), (TAG, resource.chain), (HOUSE, resource.district)]
    parts += [(TAG, text) for tag in resource.tags for text in tag.values()]
    for weight, text in parts:
        for token in words.tokens(text) if text else []:
            weights[token] += weight
    session.execute(delete(ResourceWord).where(ResourceWord.resource_id == resource.id))
    if weights:
        rows = [{"word": word, "resource_id": resource.id, "weight": weight} for word, weight in weights.items()]
        session.execute(insert(ResourceWord), rows)


def published_ids(session: Session) -> set[str]:
    return set(session.scalars(select(Resource.id).where(Resource.state == ListingState.PUBLISHED)))


def matching(session: Session, *, text: str = "", prices: Prices | None = None) -> Matches:
    """Published and paused listings that match the words and have one of the prices."""
    reasons = _match(session, text)
    found = session.execute(select(*FACTS).where(Resource.state.in_(OPEN_STATES)))
    rows = [Row(*row) for row in found]
    kept = [row for row in rows if (reasons is None or row.id in reasons) and (prices is None or prices.has(row))]
    return Matches(kept, reasons)


def page_of(
    session: Session,
    matches: Matches,
    *,
    chosen: Chosen = ANYTHING,
    sort: Sort = "match",
    first_free: Mapping[str, Slot] | None = None,
    limit: int = 20,
    cursor: str | None = None,
) -> Page:
    """The matches that are as chosen. `first_free` is what `sort` by "earliest" goes by.

    A facet counts what would be found if its own filter were another. Raises: Invalid (the cursor).
    """
    found = matches.of(chosen).rows
    facets = {name: _facet(matches.rows, chosen, name) for name in ("kind", "chain", "district")}
    ordered = sorted(found, key=_order(sort, matches.reasons, first_free or {}))
    start = _read_cursor(cursor)
    page = ordered[start : start + limit]
    end = start + len(page)
    return Page(_hits(session, page, matches.reasons), len(found), facets, _cursor(end) if end < len(ordered) else None)


def _match(session: Session, text: str) -> dict[str, tuple[float, list[str]]] | None:
    """Score and matched words by resource; None where nothing was asked."""
    asked = words.tokens(text)
    if not asked:
        return None
    total = session.scalar(select(func.count()).select_from(Resource)) or 1
    found = select(ResourceWord.word, ResourceWord.resource_id, ResourceWord.weight).where(ResourceWord.word.in_(asked))
    rows = session.execute(found).all()
    seen = Counter(word for word, _, _ in rows)
    rarity = {word: math.log(1 + (total - count + 0.5) / (count + 0.5)) for word, count in seen.items()}
    whole = sum(rarity.values())
    scores: dict[str, float] = defaultdict(float)
    shares: dict[str, float] = defaultdict(float)
    why: dict[str, list[str]] = defaultdict(list)
    for word, resource_id, weight in rows:
        scores[resource_id] += rarity[word] * weight / (weight + SATURATION)
        shares[resource_id] += rarity[word]
        why[resource_id].append(word)
    return {key: (scores[key], _readable(why[key])) for key in scores if shares[key] >= ENOUGH * whole}


def _readable(matched: Iterable[str]) -> list[str]:
    """The longest words that matched; bigrams inside them are not repeated."""
    names = sorted({words.shown(word) for word in matched}, key=lambda word: (-len(word), word))
    kept: list[str] = []
    for name in names:
        if not any(name in other for other in kept):
            kept.append(name)
    return kept[:6]


def _facet(rows: Sequence[Row], chosen: Chosen, name: str) -> list[dict[str, Any]]:
    counts = Counter(getattr(row, name) for row in rows if chosen.has(row, beside=name))
    return [{"value": value, "count": count} for value, count in counts.most_common() if value is not None]


def _order(
    sort: Sort, matched: Mapping[str, tuple[float, list[str]]] | None, first_free: Mapping[str, Slot]
) -> Callable[[Row], tuple[Any, ...]]:
    if sort == "price":
        return lambda row: (row.price_minor, row.id)
    if sort == "earliest" and first_free:
        return lambda row: (first_free[row.id].start, row.id)
    if sort == "name" or matched is None:
        return lambda row: (row.name, row.id)
    return lambda row: (-matched[row.id][0], row.id)


def _hits(session: Session, page: Sequence[Row], matched: Mapping[str, tuple[float, list[str]]] | None) -> list[Hit]:
    loaded = {row.id: row for row in session.scalars(select(Resource).where(Resource.id.in_([row.id for row in page])))}
    reasons = matched or {}
    return [Hit(loaded[row.id], *reasons.get(row.id, (0.0, []))) for row in page]


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(str(position).encode()).decode().rstrip("=")


def _read_cursor(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        position = int(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error) as error:
        raise Invalid(field="cursor", reason="not one that a page before gave") from error
    return max(0, min(position, 1_000_000))
