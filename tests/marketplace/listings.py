"""A search as the page and the API put it together."""

from collections.abc import Container
from typing import Any

from sqlalchemy.orm import Session

from marketplace.catalogue.search import ANYTHING, Chosen, Page, matching, page_of


def search(db: Session, *, text: str = "", only: Container[str] | None = None, chosen: Chosen = ANYTHING, **asked: Any) -> Page:
    matches = matching(db, text=text)
    return page_of(db, matches if only is None else matches.narrowed(only), chosen=chosen, **asked)
