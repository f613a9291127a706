import pytest
from sqlalchemy.orm import Session

from marketplace.catalogue.search import Chosen, index_resource
from marketplace.tables import ListingState, Resource, ResourceKind
from marketplace.words import tokens
from tests.builders import a_resource, an_institution
from tests.marketplace.listings import search


@pytest.fixture
def shelf(db: Session) -> dict[str, Resource]:
    house = an_institution(db)
    names = {
        "xrd": ("X射线衍射仪", "X-ray diffractometer", ResourceKind.INSTRUMENT, 30000),
        "dryer": ("离心喷雾干燥与造粒中试线（25 kg/h）", "Centrifugal spray-drying line", ResourceKind.PILOT_LINE, 54000),
        "tem": ("球差校正透射电子显微镜", "Aberration-corrected TEM", ResourceKind.INSTRUMENT, 90000),
        "fermenter": ("500 L 发酵与下游纯化中试线", "500 L fermentation line", ResourceKind.PILOT_LINE, 128000),
    }
    rows = {}
    for key, (name, name_en, kind, price) in names.items():
        rows[key] = a_resource(db, institution=house, name=name, name_en=name_en, kind=kind, price_minor=price)
        index_resource(db, rows[key])
    hidden = a_resource(db, institution=house, name="喷雾干燥（未发布）", state=ListingState.DRAFT)
    index_resource(db, hidden)
    return rows


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("喷雾干燥", "dryer"),
        ("干燥", "dryer"),
        ("spray dryer", "dryer"),
        ("XRD", "xrd"),
        ("衍射", "xrd"),
        ("ＸＲＤ", "xrd"),
        ("透射電鏡", "tem"),
        ("发酵 500L", "fermenter"),
        ("bioreactor", "fermenter"),
    ],
)
def test_a_need_in_either_language_finds_its_machine(db: Session, shelf: dict[str, Resource], text: str, first: str) -> None:
    found = search(db, text=text)
    assert found.hits[0].resource.id == shelf[first].id
    assert found.hits[0].why


def test_drafts_are_never_found(db: Session, shelf: dict[str, Resource]) -> None:
    assert all(hit.resource.state is not ListingState.DRAFT for hit in search(db, text="喷雾干燥").hits)


def test_what_nobody_offers_is_not_found(db: Session, shelf: dict[str, Resource]) -> None:
    assert search(db, text="潜水艇").total == 0


def test_facets_count_what_another_choice_would_find(db: Session, shelf: dict[str, Resource]) -> None:
    found = search(db, chosen=Chosen(kind=ResourceKind.INSTRUMENT), sort="price", only={row.id for row in shelf.values()})
    assert [hit.resource.id for hit in found.hits] == [shelf["xrd"].id, shelf["tem"].id]
    assert {facet["value"]: facet["count"] for facet in found.facets["kind"]} == {"instrument": 2, "pilot_line": 2}


def test_pages_follow_each_other(db: Session, shelf: dict[str, Resource]) -> None:
    ids = {row.id for row in shelf.values()}
    first = search(db, sort="price", limit=3, only=ids)
    second = search(db, sort="price", limit=3, cursor=first.next_cursor, only=ids)
    assert [hit.resource.price_minor for hit in (*first.hits, *second.hits)] == [30000, 54000, 90000, 128000]
    assert second.next_cursor is None


def test_two_character_queries_have_tokens() -> None:
    assert "干燥" in tokens("干燥")


@pytest.mark.parametrize(
    ("asked", "listed"),
    [
        ("anneal", "气氛管式炉组"),
        ("furnace", "Atmosphere tube furnaces"),
        ("退火", "annealing"),
        ("coat", "Slot-die coating line"),
    ],
)
def test_what_is_done_finds_what_it_is_done_with(asked: str, listed: str) -> None:
    assert set(tokens(asked)) & set(tokens(listed))
