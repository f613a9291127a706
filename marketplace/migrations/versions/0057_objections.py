"""Objections to single lines of a statement, and the institution's answer to each.

Revision ID: 0057
Revises: 0056
"""

import sqlalchemy as sa
from alembic import op

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None


def upgrade() -> None:
    lengths = [
        sa.CheckConstraint(f"length({one}) <= 1000", name=op.f(f"ck_statement_objections_{one}_length"))
        for one in ("reason", "answer")
    ]
    op.create_table(
        "statement_objections",
        sa.Column("statement_id", sa.String(length=40), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("answer", sa.String(length=1000), nullable=True),
        sa.Column("answered_by", sa.String(length=40), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["statement_id"], ["statements.id"], name=op.f("fk_statement_objections_statement_id")),
        sa.PrimaryKeyConstraint("statement_id", "line", name=op.f("pk_statement_objections")),
        sa.CheckConstraint("line >= 0", name=op.f("ck_statement_objections_line_from_zero")),
        *(lengths if op.get_bind().dialect.name == "sqlite" else ()),
    )


def downgrade() -> None:
    op.drop_table("statement_objections")
