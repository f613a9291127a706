"""The migrations make what the tables say, and the guard is proven, not assumed."""

import re
from datetime import UTC, datetime

import pytest
from alembic import command
from sqlalchemy import Connection, create_engine, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from booking.places import as_rules
from booking.tables import Booking, RuleVersion
from booking.terms import Rules
from devices.discrepancies.tables import SealedStretch
from marketplace.db import open_engine, open_sessions
from marketplace.tables import Message, Person
from web.migrate import GuardMissing, check_guard, config, is_current, migrate
from web.schema import METADATA

SQLITE_SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'alembic%' AND name NOT LIKE 'sqlite_%'"
COLUMNS = """SELECT 'column', table_name, column_name, data_type || is_nullable || coalesce(character_maximum_length::text, '')
FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'"""
CONSTRAINTS = """SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'"""
INDEXES = """SELECT 'index', tablename, indexname, indexdef FROM pg_indexes
WHERE schemaname = 'public' AND tablename <> 'alembic_version'"""
TRIGGERS = "SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal"
BORN = datetime(2026, 3, 10, tzinfo=UTC)
PERSON = {"email": "a@example.com", "name": "李梅", "locale": "zh", "created_at": BORN}
MESSAGE = {
    "cause": "c",
    "person_id": "per_1",
    "kind": "booking_confirmed",
    "data": {},
    "run_at": BORN,
    "attempts": 0,
    "created_at": BORN,
}
POSTGRES_SCHEMA = (COLUMNS, CONSTRAINTS, INDEXES, TRIGGERS)


def schema_of(connection: Connection) -> set[tuple[str, ...]]:
    """Everything the database itself knows of columns, constraints, indexes and triggers, layout of the text aside."""
    statements = (SQLITE_SCHEMA,) if connection.dialect.name == "sqlite" else POSTGRES_SCHEMA
    return {tuple(_clauses(str(part)) for part in row) for statement in statements for row in connection.execute(text(statement))}


def _clauses(sql: str) -> str:
    """A definition's clauses in one order: which comes first means nothing, nor does a line break between two."""
    parts = re.split(r",\s*(?![^()]*\))|\n", sql)
    return "\n".join(sorted(" ".join(part.replace('"', "").split()) for part in parts if part.strip()))


def test_the_migrations_make_exactly_the_tables(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url)
    migrate(engine)
    assert is_current(engine)
    with engine.begin() as connection:
        migrated = schema_of(connection)
        drop = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"
        if engine.dialect.name == "postgresql":
            connection.execute(text(drop))
    if engine.dialect.name == "sqlite":
        engine.dispose()
        engine = create_engine("sqlite://")
    with engine.begin() as connection:
        METADATA.create_all(connection)
        created = schema_of(connection)
    engine.dispose()
    assert len(created) > 100
    assert migrated == created


def test_messages_from_before_the_inbox_count_as_read(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url)
    command.upgrade(config(engine), "0006")
    with engine.begin() as connection:
        connection.execute(insert(Person.__table__), [{"id": "per_1", **PERSON}])
        connection.execute(insert(Message.__table__), [{"id": "msg_1", **MESSAGE}])
    migrate(engine)
    with engine.connect() as connection:
        assert connection.execute(select(Message.read_at, Message.sent_at)).one() == (BORN, None)
    engine.dispose()


def test_migrating_again_changes_nothing(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url)
    for _ in range(2):
        migrate(engine)
    assert is_current(engine)
    engine.dispose()


STORED = """INSERT INTO institutions (id, name, kind, timezone, settlement, version, created_at)
VALUES ('ins_1', 'x', 'institute', 'Asia/Shanghai', 'direct', 1, '2026-01-01 00:00:00+00:00');
INSERT INTO people (id, email, name, locale, created_at)
VALUES ('per_1', 'a@example.com', 'x', 'zh', '2026-01-01 00:00:00+00:00');
INSERT INTO resources (id, institution_id, kind, name, tags, timezone, capacity, price_minor, currency, state,
version, created_at) VALUES ('res_1', 'ins_1', 'instrument', 'x', '[]', 'Asia/Shanghai', 1, 100, 'CNY', 'published', 1,
'2026-01-01 00:00:00+00:00');
INSERT INTO rule_versions (id, resource_id, number, hours, step_min, min_min, max_min, notice_min, horizon_days, setup_min,
cleaning_min, buffer_mode, approval, created_at)
VALUES ('rul_1', 'res_1', 1, '[]', 1, 1, 60, 0, 365, 0, 0, 'sum', 'instant', '2026-01-01 00:00:00+00:00');
INSERT INTO bookings (id, resource_id, institution_id, person_id, rules_id, starts_at, ends_at, quantity, category, state,
submitted_at, cancelled_by_provider, version) VALUES ('bk_1', 'res_1', 'ins_1', 'per_1', 'rul_1', '2026-03-10 01:00:00+00:00',
'2026-03-10 02:00:00+00:00', 1, 'ext', 'requested', '2026-03-01 00:00:00+00:00', false, 1)"""
"""A resource with rules and a request, as stored before rules had quotas and the like."""


def test_rules_that_were_stored_before_get_the_defaults(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url)
    command.upgrade(config(engine), "0006")
    with engine.begin() as connection:
        for statement in STORED.split(";"):
            connection.execute(text(statement))
    migrate(engine)
    with open_sessions(engine)() as session:
        rules = as_rules(session.get_one(RuleVersion, "rul_1"))
        assert rules == Rules(max_min=60)
        assert session.get_one(Booking, "bk_1").decide_by is None
    engine.dispose()


def test_a_paid_hold_that_became_a_request_is_no_hold_any_more(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url)
    command.upgrade(config(engine), "0021")
    *first, booking = STORED.split(";")
    audited = """INSERT INTO audit_entries (id, actor_id, action, object_kind, object_id, at, before, "after")
        VALUES ('aud_1', NULL, 'confirm_hold', 'booking', 'bk_asked', '2026-03-01 00:00:00+00:00', NULL,
        '{"state": "requested"}')"""
    with engine.begin() as connection:
        for statement in (*first, audited):
            connection.execute(text(statement))
        for key, state in (("bk_waits", "requested"), ("bk_asked", "cancelled"), ("bk_held", "held"), ("bk_unpaid", "expired")):
            connection.execute(text(booking.replace("'bk_1'", f"'{key}'").replace("'requested'", f"'{state}'")))
            connection.execute(text(f"UPDATE bookings SET hold_until = '2026-03-01 00:30:00+00:00' WHERE id = '{key}'"))
    migrate(engine)
    with engine.connect() as connection:
        holds = connection.execute(select(Booking.id).where(Booking.hold_until.is_not(None)).order_by(Booking.id)).scalars().all()
    engine.dispose()
    assert holds == ["bk_held", "bk_unpaid"]


def test_a_database_that_lost_its_guard_is_not_served(database_url: str) -> None:
    drop = {
        "postgresql": ["ALTER TABLE claims DROP CONSTRAINT claims_no_overlap"],
        "sqlite": ["DROP TRIGGER claims_no_overlap_insert", "DROP TRIGGER claims_no_overlap_update"],
    }
    engine = open_engine(database_url)
    check_guard(engine)
    with engine.begin() as connection:
        for statement in drop[engine.dialect.name]:
            connection.execute(text(statement))
    with pytest.raises(GuardMissing):
        check_guard(engine)
    engine.dispose()


FLAGGED = """INSERT INTO devices (id, key, resource_id, institution_id, name, secret_hash, state, created_at)
VALUES ('dev_1', 'k1', 'res_1', 'ins_1', 'x', 'x', 'active', '2026-01-01 00:00:00+00:00');
INSERT INTO device_flags (id, device_id, resource_id, kind, day, starts_at, ends_at, evidence, raised_at)
VALUES ('flg_1', 'dev_1', 'res_1', 'flat', '2026-03-10', '2026-03-10 01:00:00+00:00', '2026-03-10 02:00:00+00:00', '{}',
'2026-03-11 01:00:00+00:00')"""


def test_questions_that_were_asked_before_stay_as_new_kinds_come_and_go(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url)
    command.upgrade(config(engine), "0028")
    more = FLAGGED.split(";")[1].replace("flg_1", "flg_2").replace("flat", "burst")
    with engine.begin() as connection:
        for statement in (*STORED.split(";")[:3], *FLAGGED.split(";")):
            connection.execute(text(statement))
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text(more))
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text(more))
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text(more.replace("flg_2", "flg_3").replace("burst", "rumour")))
    command.downgrade(config(engine), "0028")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT id, kind FROM device_flags")).all() == [("flg_1", "flat")]
    engine.dispose()


BILLED = """INSERT INTO booking_quotes (id, booking_id, number, price_minor, currency, quantity, starts_at, ends_at, timezone,
funding, policy, policy_digest, quote_minor, created_at) VALUES ('quo_1', 'bk_1', 1, 100, 'CNY', 1, '2026-03-10 01:00:00+00:00',
'2026-03-10 02:00:00+00:00', 'Asia/Shanghai', 'bank', '{}', 'x', 100, '2026-03-01 00:00:00+00:00');
INSERT INTO confirmed_uses (id, booking_id, number, verdict, booked_s, confirmed_s, early_s, overrun_s, unverified_s, fault_s,
energy_wh, pieces, created_at)
VALUES ('cu_1', 'bk_1', 1, 'fulfilled', 3600, 3600, 0, 0, 0, 0, 0, '[]', '2026-03-10 03:00:00+00:00');
INSERT INTO statements (id, booking_id, institution_id, number, quote_id, use_id, outcome, state, funding, lines, currency,
charge_minor, fee_minor, booked_s, logged_s, confirmed_s, billed_s, due_at, accepted_at, created_at)

VALUES ('stm_1', 'bk_1', 'ins_1', 1, 'quo_1', 'cu_1', 'fulfilled', 'accepted', 'bank', '[]', 'CNY', 100, 8,
3600, 3600, 3600, 3600,
'2026-03-13 03:00:00+00:00', '2026-03-11 03:00:00+00:00', '2026-03-10 03:00:00+00:00');
INSERT INTO evaluation_revisions (id, institution_id, scheme, period, number, period_from, period_to, cut_off, code_version,
inputs_hash, total, grade, cause, difference, document, created_at) VALUES ('rev_1', 'ins_1', 'x', '2026-03', 1,
'2026-02-28 16:00:00+00:00', '2026-03-31 16:00:00+00:00', '2026-04-08 00:00:00+00:00', 'x', 'x', '1', 'x', 'x', '{}', '{}',
'2026-04-08 00:00:00+00:00');
INSERT INTO published_figures (revision_id, scope, object_id, code, value) VALUES ('rev_1', 'unit', 'res_1', 'eff_h', '1.00');
INSERT INTO published_figures (revision_id, scope, object_id, code, value) VALUES ('rev_1', 'unit', 'res_1', 'ext_h', '1.00')"""
"""An accepted statement and a published month, as they were stored before anything was sealed."""
STATION = (
    STORED.split(";")[2].replace("res_1", "res_2").replace("(id,", "(parent_id, id,").replace("('res_2'", "('res_1', 'res_2'")
)
"""A station of what they are of."""


def test_what_was_accepted_or_published_before_is_sealed(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url)
    command.upgrade(config(engine), "0033")
    with engine.begin() as connection:
        for statement in f"{STORED};{BILLED};{STATION}".split(";"):
            connection.exec_driver_sql(statement)
    migrate(engine)
    with open_sessions(engine)() as session:
        found = select(SealedStretch).order_by(SealedStretch.starts_at, SealedStretch.resource_id)
        rows = session.scalars(found).all()
        assert [(row.cause_id, row.cause, row.resource_id, row.sessions, row.digest) for row in rows] == [
            ("rev_1", "evaluation", "res_1", [], None), ("rev_1", "evaluation", "res_2", [], None),
            ("stm_1", "statement", "res_1", [], None), ("stm_1", "statement", "res_2", [], None),
        ]  # fmt: skip
        assert rows[-1].starts_at == datetime(2026, 3, 10, 1, tzinfo=UTC)
    command.downgrade(config(engine), "0033")
    migrate(engine)
    assert is_current(engine)
    engine.dispose()


ENTERED = """
INSERT INTO journal_entries (id, kind, source_type, source_id, currency, created_at)
VALUES ('jrn_1', 'usage_charge', 'statement', 'stm_1', 'CNY', '2026-03-10 00:00:00');
INSERT INTO journal_legs (entry_id, account, amount_minor)
VALUES ('jrn_1', 'AR', 525), ('jrn_1', 'IP', -483), ('jrn_1', 'FEE', -42)
"""


def test_entries_that_were_posted_before_say_their_legs_and_stay_frozen(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url)
    command.upgrade(config(engine), "0045")
    with engine.begin() as connection:
        for statement in ENTERED.split(";"):
            connection.exec_driver_sql(statement)
    migrate(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT legs FROM journal_entries")) == 3
    with pytest.raises(DBAPIError, match="never change"), engine.begin() as connection:
        connection.exec_driver_sql("UPDATE journal_entries SET legs = 2")
    with pytest.raises(DBAPIError, match="sum to zero"), engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO journal_legs (entry_id, account, amount_minor) VALUES ('jrn_1', 'TAX', 1)")
    command.downgrade(config(engine), "0045")
    migrate(engine)
    assert is_current(engine)
    engine.dispose()
