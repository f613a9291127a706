"""Search tokens of Chinese and English text, made the same way for listings and for queries."""

import re
import tomllib
import unicodedata
from collections.abc import Iterable
from importlib import resources
from itertools import pairwise

import rjieba

_CJK = re.compile(r"[\u3400-\u9fff]+")
_LATIN = re.compile(r"[a-z0-9]+(?:[.\-][a-z0-9]+)*")
_DATA = tomllib.loads((resources.files("marketplace") / "data" / "synonyms.toml").read_text(encoding="utf-8"))
_SIMPLIFIED = str.maketrans(_DATA["traditional"], _DATA["simplified"])
LONGEST_TEXT = 2000
STOP = frozenset({"the", "of", "and", "for", "a", "an", "in", "to", "with", "on", "or", "my", "we", "need"})


def fold_text(text: str) -> str:
    """Full-width to half-width, lower case, traditional to simplified.

    >>> fold_text("ＸＲＤ 電鏡")
    'xrd 电镜'
    """
    return unicodedata.normalize("NFKC", text[:LONGEST_TEXT]).lower().translate(_SIMPLIFIED)


_GROUPS = [[fold_text(term) for term in group] for group in _DATA["groups"]]


def tokens(text: str) -> list[str]:
    """Words, bigrams of Chinese runs, Latin and number tokens, and the group of every known term; each once, in order.

    >>> tokens("XRD")
    ['xrd', '=xrd']
    """
    folded = fold_text(text)
    return list(dict.fromkeys([*_latin(folded), *_chinese(folded), *_groups(folded)]))


def _latin(folded: str) -> Iterable[str]:
    for word in _LATIN.findall(folded):
        if word not in STOP:
            yield word[:40]
            parts = re.split(r"[.\-]", word)
            yield from (part for part in parts if len(parts) > 1 and len(part) > 1 and part not in STOP)


def _chinese(folded: str) -> Iterable[str]:
    for run in _CJK.findall(folded):
        if len(run) == 1:
            yield run
        yield from (left + right for left, right in pairwise(run))
        yield from (word for word in rjieba.cut_for_search(run) if len(word) > 2)


def _groups(folded: str) -> Iterable[str]:
    for group in _GROUPS:
        if any(_mentions(folded, term) for term in group):
            yield f"={group[0]}"


def _mentions(folded: str, term: str) -> bool:
    if not term.isascii():
        return term in folded
    return re.search(rf"(?<![a-z0-9]){re.escape(term)}(?![a-z0-9])", folded) is not None


def shown(token: str) -> str:
    """A token as a person may read it."""
    return token.removeprefix("=")
