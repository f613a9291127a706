"""Free time is read from one covering index that grows with what lies ahead, not with history; SQLite sees that it may.

SQLite takes a partial index only where the query repeats its condition, and queries say `active = 1`.

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

COLUMNS = ["resource_id", "ends_at", "starts_at", "unit", "lane", "booking_id", "outage_id", "external_id", "waiting_id"]
GUARD = """
CREATE TRIGGER claims_no_overlap_{verb} BEFORE {event} ON claims WHEN NEW.active
BEGIN
  SELECT RAISE(ABORT, 'claims_no_overlap') WHERE EXISTS (
    SELECT 1 FROM claims
    WHERE resource_id = NEW.resource_id AND unit = NEW.unit AND lane = NEW.lane AND active = 1 AND id <> NEW.id
      AND starts_at < NEW.ends_at AND ends_at > NEW.starts_at);
END
"""


def upgrade() -> None:
    op.drop_index("ix_claims_free_time", "claims")
    op.create_index(
        "ix_claims_free_time",
        "claims",
        COLUMNS,
        unique=False,
        postgresql_where=sa.text("active"),
        sqlite_where=sa.text("active = 1"),
    )
    op.drop_index("ix_resources_parent", "resources")
    stations = sa.text("parent_id IS NOT NULL")
    op.create_index("ix_resources_parent", "resources", ["parent_id"], postgresql_where=stations, sqlite_where=stations)
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("insert", "update"):
            op.execute(f"DROP TRIGGER claims_no_overlap_{verb}")
            op.execute(GUARD.format(verb=verb, event=verb.upper()))
