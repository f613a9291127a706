"""Three more kinds of open questions: a relay that is off while power flows, takeovers, a burst before the evaluation.

Revision ID: 0029
Revises: 0028
"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

BEFORE = ("flat", "replayed", "energy_mismatch", "over_rating", "always_on", "clock")
AFTER = (*BEFORE, "relay_off", "takeovers", "burst")


def upgrade() -> None:
    _allow(AFTER)
    op.create_index("ix_device_flags_closed", "device_flags", ["closed_at", "day"])


def downgrade() -> None:
    op.drop_index("ix_device_flags_closed", "device_flags")
    op.execute(sa.text("DELETE FROM device_flags WHERE kind IN ('relay_off', 'takeovers', 'burst')"))
    _allow(BEFORE)


def _allow(kinds: tuple[str, ...]) -> None:
    name = "ck_device_flags_kind"
    if op.get_bind().dialect.name == "sqlite":
        _rebuilt(", ".join(f"'{one}'" for one in kinds))
        return
    op.drop_constraint(op.f(name), "device_flags", type_="check")
    op.create_check_constraint(op.f(name), "device_flags", f"kind = ANY ('{{{','.join(kinds)}}}')")


def _rebuilt(listed: str) -> None:
    """SQLite cannot change a CHECK: the table is made anew from its own definition, with its index."""
    connection = op.get_bind()
    stored = connection.execute(sa.text("SELECT type, sql FROM sqlite_master WHERE tbl_name = 'device_flags' AND sql IS NOT NULL"))
    rows = stored.all()
    table = next(sql for kind, sql in rows if kind == "table")
    before, found, rest = table.partition("CHECK (kind IN (")
    if not found:
        raise ValueError("device_flags is not as it was")
    connection.execute(sa.text("ALTER TABLE device_flags RENAME TO device_flags_before"))
    connection.execute(sa.text("DROP INDEX ix_device_flags_resource"))
    connection.exec_driver_sql(f"{before}{found}{listed}{rest[rest.index(')') :]}")
    connection.execute(sa.text("INSERT INTO device_flags SELECT * FROM device_flags_before"))
    connection.execute(sa.text("DROP TABLE device_flags_before"))
    for kind, sql in rows:
        if kind == "index":
            connection.exec_driver_sql(sql)
