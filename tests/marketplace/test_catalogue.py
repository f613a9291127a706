"""Listings: drafted, edited under a version, published, paused, retired; each change on record and findable at once."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from marketplace import audit
from marketplace.catalogue import actions, queries
from marketplace.catalogue.actions import Listing
from marketplace.catalogue.search import Chosen
from marketplace.money import Money
from marketplace.permissions import NOBODY
from marketplace.refusals import Invalid, NotFound, Stale, WrongState
from marketplace.tables import ListingState, Resource, ResourceKind
from tests.builders import a_person, a_resource, an_institution
from tests.marketplace.listings import search
from tests.marketplace.rivals import race

NOW = datetime(2026, 3, 9, 16, 30, tzinfo=UTC)  # 00:30 of the 10th in Shanghai
STEPS = {"publish": actions.publish, "pause": actions.pause, "retire": actions.retire}
LEADS = {
    (ListingState.DRAFT, "publish"): ListingState.PUBLISHED,
    (ListingState.DRAFT, "retire"): ListingState.RETIRED,
    (ListingState.PUBLISHED, "pause"): ListingState.PAUSED,
    (ListingState.PUBLISHED, "retire"): ListingState.RETIRED,
    (ListingState.PAUSED, "publish"): ListingState.PUBLISHED,
    (ListingState.PAUSED, "retire"): ListingState.RETIRED,
}


def said(**changes: Any) -> Listing:
    return Listing(
        **{
            "kind": ResourceKind.INSTRUMENT,
            "name": "冷冻干燥机",
            "timezone": "Asia/Shanghai",
            "price": Money(30000, "CNY"),
            **changes,
        }
    )


def listed(db: Session, **changes: Any) -> Resource:
    return actions.list_resource(db, institution_id=an_institution(db).id, listing=said(**changes), actor_id=None, now=NOW)


def edited(db: Session, row: Resource, version: int, **changes: Any) -> Resource:
    return actions.edit_resource(
        db, resource_id=row.id, listing=said(**changes), version=version, actor_id=a_person(db).id, now=NOW
    )


def stepped(db: Session, row: Resource, step: str) -> Resource:
    return STEPS[step](db, resource_id=row.id, actor_id=a_person(db).id, now=NOW)


def test_a_new_listing_is_a_draft_that_nobody_finds(db: Session) -> None:
    row = listed(db)
    assert (row.state, row.version, row.listed_on) == (ListingState.DRAFT, 1, None)
    assert search(db, text="冷冻干燥机").total == 0
    with pytest.raises(NotFound):
        queries.get_visible(db, NOBODY, row.id)
    assert queries.count_published(db) == 0


def test_a_published_listing_is_found_at_once_and_an_edit_too(db: Session) -> None:
    row = listed(db)
    stepped(db, row, "publish")
    assert [hit.resource.id for hit in search(db, text="冷冻干燥").hits] == [row.id]
    edited(db, row, row.version, name="喷雾造粒塔", chain="食品")
    assert search(db, text="冷冻干燥").total == 0
    assert [hit.resource.id for hit in search(db, text="喷雾", chosen=Chosen(chain="食品")).hits] == [row.id]
    assert queries.count_published(db) == 1


def test_an_edit_replaces_what_was_said(db: Session) -> None:
    row = listed(db, summary="旧", quota_hours=1400, capacity=2)
    new = {"name": " 新名 ", "name_en": "New", "price": Money(1, "JPY"), "capacity": 3, "value_minor": 7}
    edited(db, row, 1, **new, commissioned_on=date(2020, 5, 1))
    assert (row.name, row.name_en, row.price, row.capacity) == ("新名", "New", Money(1, "JPY"), 3)
    assert (row.summary, row.quota_hours, row.value_minor, row.commissioned_on) == (None, None, 7, date(2020, 5, 1))
    assert (row.version, row.state) == (2, ListingState.DRAFT)


@pytest.mark.parametrize("state", ListingState)
@pytest.mark.parametrize("step", STEPS)
def test_a_step_leads_where_the_table_says_or_nowhere(db: Session, state: ListingState, step: str) -> None:
    row = a_resource(db, state=state)
    if (state, step) in LEADS:
        assert stepped(db, row, step).state is LEADS[state, step]
        assert row.version == 2
    else:
        with pytest.raises(WrongState) as refused:
            stepped(db, row, step)
        assert refused.value.values == {"state": state.value, "move": step}
        assert (row.state, row.version) == (state, 1)


def test_the_first_publication_is_dated_by_the_local_day_and_stays(db: Session) -> None:
    row = listed(db)
    stepped(db, row, "publish")
    assert row.listed_on == date(2026, 3, 10)
    stepped(db, row, "pause")
    actions.publish(db, resource_id=row.id, actor_id=None, now=NOW.replace(month=6))
    assert row.listed_on == date(2026, 3, 10)


def test_a_retired_listing_is_dated_kept_and_found_by_nobody(db: Session) -> None:
    row = listed(db)
    stepped(db, row, "publish")
    stepped(db, row, "retire")
    assert row.decommissioned_on == date(2026, 3, 10)
    assert search(db, text="冷冻干燥机").total == 0
    assert queries.get_resource(db, row.id) is row


def test_who_read_an_older_version_is_told_the_present_one(db: Session) -> None:
    row = listed(db)
    edited(db, row, 1, name="甲")
    for version in (1, 3):
        with pytest.raises(Stale) as refused:
            edited(db, row, version, name="乙")
        assert refused.value.values == {"version": 2}
    assert (row.name, row.version) == ("甲", 2)


def test_a_step_makes_what_was_read_before_it_stale(db: Session) -> None:
    row = listed(db)
    stepped(db, row, "publish")
    with pytest.raises(Stale):
        edited(db, row, 1)


def test_of_two_edits_of_one_version_at_once_one_is_stale(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as session:
        row = listed(session)

    def edit(session: Session) -> int | None:
        try:
            return edited(session, row, 1).version
        except Stale:
            session.rollback()
            return None

    found = race(committed_db, edit)
    assert (found.first, found.second, found.waited) == (2, None, True)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\u0000b"}, "name"),
        ({"name": "a" * 201}, "name"),
        ({"name_en": "\u202eabc"}, "name_en"),
        ({"timezone": "Shanghai"}, "timezone"),
        ({"timezone": "localtime"}, "timezone"),
        ({"timezone": "Factory"}, "timezone"),
        ({"timezone": "posix/Asia/Shanghai"}, "timezone"),
        ({"capacity": 0}, "capacity"),
        ({"capacity": 1001}, "capacity"),
        ({"price": Money(-1, "CNY")}, "price_per_hour"),
    ],
)
def test_a_listing_that_cannot_be_is_refused_new_or_edited(db: Session, changes: dict[str, Any], field: str) -> None:
    row = listed(db)
    with pytest.raises(Invalid) as new:
        listed(db, **changes)
    with pytest.raises(Invalid) as edit:
        edited(db, row, 1, **changes)
    assert (new.value.values["field"], edit.value.values["field"]) == (field, field)
    assert row.version == 1


def test_the_units_of_a_listing_only_grow(db: Session) -> None:
    row = listed(db, capacity=3)
    with pytest.raises(Invalid) as refused:
        edited(db, row, 1, capacity=2)
    assert refused.value.values["field"] == "capacity"
    assert edited(db, row, 1, capacity=1000).capacity == 1000


def test_a_part_belongs_to_a_line_of_the_same_institution(db: Session) -> None:
    house = an_institution(db)
    line, foreign = a_resource(db, institution=house), a_resource(db)

    def part_of(parent_id: str) -> Resource:
        return actions.list_resource(db, institution_id=house.id, listing=said(parent_id=parent_id), actor_id=None, now=NOW)

    part = part_of(line.id)
    assert [row.id for row in queries.children_of(db, line.id)] == [part.id]
    with pytest.raises(Invalid):
        part_of(foreign.id)
    with pytest.raises(NotFound):
        part_of("res_none")
    with pytest.raises(Invalid):
        edited(db, part, 1, parent_id=foreign.id)


def test_what_does_not_exist_is_not_found(db: Session) -> None:
    with pytest.raises(NotFound):
        actions.list_resource(db, institution_id="ins_none", listing=said(), actor_id=None, now=NOW)
    with pytest.raises(NotFound):
        actions.edit_resource(db, resource_id="res_none", listing=said(), version=1, actor_id="per_1", now=NOW)
    for step in STEPS.values():
        with pytest.raises(NotFound):
            step(db, resource_id="res_none", actor_id="per_1", now=NOW)


@pytest.mark.parametrize("change", [{"capacity": 0}, {"capacity": 1001}, {"price_minor": -1}, {"name": "a" * 201}])
def test_the_database_keeps_what_no_listing_may_be(db: Session, change: dict[str, Any]) -> None:
    row = listed(db)
    for name, value in change.items():
        setattr(row, name, value)
    with pytest.raises(DBAPIError, match=r"capacity_range|price_not_negative|name_length|too long"):
        db.flush()


def test_every_change_of_a_listing_is_on_record(db: Session) -> None:
    row = listed(db)
    edited(db, row, 1, name="甲", price=Money(1, "CNY"))
    for step in ("publish", "pause", "retire"):
        stepped(db, row, step)
    history = audit.history_of(db, "resource", row.id)
    assert {entry.action for entry in history} == {"list", "edit", "publish", "pause", "retire"}
    assert {entry.institution_id for entry in history} == {row.institution_id}
    by_action = {entry.action: entry for entry in history}
    before, after = by_action["edit"].before, by_action["edit"].after
    assert before
    assert after
    assert (before["name"], after["name"]) == ("冷冻干燥机", "甲")
    assert (before["price_minor"], after["price_minor"]) == (30000, 1)
    assert (before["version"], after["version"]) == (1, 2)
    assert by_action["list"].before is None
    assert len(history) == 5
