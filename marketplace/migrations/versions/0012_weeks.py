"""With which day a person's weeks begin.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "readers_weeks",
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column(
            "first_day",
            sa.Enum("monday", "sunday", name="firstday", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_readers_weeks_person_id")),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_readers_weeks")),
    )


def downgrade() -> None:
    op.drop_table("readers_weeks")
