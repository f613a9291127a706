"""Search over published listings: one query for the words, one for the listings, facets counted from what matched."""

import base64
import binascii
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from marketplace import words
from marketplace.catalogue.queries import OPEN_STATES
from marketplace.refusals import Invalid
from marketplace.tables import Institution, ListingState, Resource, ResourceKind, ResourceWord

NAME, TAG, HOUSE, TEXT = 8, 5, 3, 2
"""How much a word counts in the name, in a tag, in the institution's name, in the text."""

HIGHEST = 10**15
SATURATION = 4.0
ENOUGH = 0.4
"""The share of the query's weight a listing must match, so that one common bigram does not fill the page."""

Sort = Literal["match", "price", "name"]


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
class _Row:
    """What is needed of every candidate to filter, count and sort."""

    id: str
    kind: ResourceKind
    chain: str | None
    district: str | None
    price_minor: int
    name: str


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


def search(
    session: Session,
    *,
    text: str = "",
    kind: ResourceKind | None = None,
    chain: str | None = None,
    district: str | None = None,
    min_price_minor: int | None = None,
    max_price_minor: int | None = None,
    sort: Sort = "match",
    limit: int = 20,
    cursor: str | None = None,
    only: set[str] | None = None,
) -> Page:
    """Published and paused listings that match. `only` narrows to ids that someone else chose, such as those with free time.

    A facet counts what would be found if its own filter were another. Raises: Invalid (the cursor).
    """
    matched = _match(session, text)
    rows = _rows(session, matched, only)
    least, most = min_price_minor or 0, max_price_minor if max_price_minor is not None else HIGHEST
    rows = [row for row in rows if least <= row.price_minor <= most]
    chosen = {"kind": kind, "chain": chain, "district": district}
    found = [row for row in rows if _fits(row, chosen)]
    facets = {name: _facet(rows, {**chosen, name: None}, name) for name in chosen}
    ordered = sorted(found, key=_order(sort, matched))
    start = _read_cursor(cursor)
    page = ordered[start : start + limit]
    end = start + len(page)
    return Page(_hits(session, page, matched), len(found), facets, _cursor(end) if end < len(ordered) else None)


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


def _rows(session: Session, matched: Mapping[str, object] | None, only: set[str] | None) -> list[_Row]:
    columns = (Resource.id, Resource.kind, Resource.chain, Resource.district, Resource.price_minor, Resource.name)
    rows = [_Row(*row) for row in session.execute(select(*columns).where(Resource.state.in_(OPEN_STATES)))]
    return [row for row in rows if (matched is None or row.id in matched) and (only is None or row.id in only)]


def _fits(row: _Row, chosen: Mapping[str, object]) -> bool:
    return all(wanted is None or getattr(row, name) == wanted for name, wanted in chosen.items())


def _facet(rows: Sequence[_Row], chosen: Mapping[str, object], name: str) -> list[dict[str, Any]]:
    counts = Counter(getattr(row, name) for row in rows if _fits(row, chosen))
    return [{"value": value, "count": count} for value, count in counts.most_common() if value is not None]


def _order(sort: Sort, matched: Mapping[str, tuple[float, list[str]]] | None) -> Any:
    if sort == "price":
        return lambda row: (row.price_minor, row.id)
    if sort == "name" or matched is None:
        return lambda row: (row.name, row.id)
    return lambda row: (-matched[row.id][0], row.id)


def _hits(session: Session, page: Sequence[_Row], matched: Mapping[str, tuple[float, list[str]]] | None) -> list[Hit]:
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
