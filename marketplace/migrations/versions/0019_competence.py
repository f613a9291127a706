"""Qualifications, operators whose time is claimed, parts that resources share, and the rules that ask for them; prices by class.

Revision ID: 0019
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "qualifications",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("institution_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("name_en", sa.String(length=200), nullable=True),
        sa.Column("levels", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(name) <= 200", name=op.f("ck_qualifications_name_length")),
        sa.CheckConstraint("length(name_en) <= 200", name=op.f("ck_qualifications_name_en_length")),
        sa.ForeignKeyConstraint(["institution_id"], ["institutions.id"], name=op.f("fk_qualifications_institution_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_qualifications")),
        sa.UniqueConstraint("institution_id", "name", name=op.f("uq_qualifications_institution_id_name")),
    )
    op.create_table(
        "qualification_grants",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("qualification_id", sa.String(length=40), nullable=False),
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column("level", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("granted_by", sa.String(length=40), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("level >= 1", name=op.f("ck_qualification_grants_level_positive")),
        sa.ForeignKeyConstraint(
            ["qualification_id"], ["qualifications.id"], name=op.f("fk_qualification_grants_qualification_id")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_qualification_grants_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_qualification_grants")),
    )
    op.create_index("ix_qualification_grants_person", "qualification_grants", ["person_id", "qualification_id"])
    op.create_index("ix_qualification_grants_kind", "qualification_grants", ["qualification_id", "granted_at"])
    op.create_table(
        "operators",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("institution_id", sa.String(length=40), nullable=False),
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("left_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["id"], ["resources.id"], name=op.f("fk_operators_id")),
        sa.ForeignKeyConstraint(["institution_id"], ["institutions.id"], name=op.f("fk_operators_institution_id")),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_operators_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operators")),
        sa.UniqueConstraint("institution_id", "person_id", name=op.f("uq_operators_institution_id_person_id")),
    )
    op.create_table(
        "shared_parts",
        sa.Column("resource_id", sa.String(length=40), nullable=False),
        sa.Column("part_id", sa.String(length=40), nullable=False),
        sa.CheckConstraint("resource_id <> part_id", name=op.f("ck_shared_parts_not_itself")),
        sa.ForeignKeyConstraint(["resource_id"], ["resources.id"], name=op.f("fk_shared_parts_resource_id")),
        sa.ForeignKeyConstraint(["part_id"], ["resources.id"], name=op.f("fk_shared_parts_part_id")),
        sa.PrimaryKeyConstraint("resource_id", "part_id", name=op.f("pk_shared_parts")),
    )
    op.create_index("ix_shared_parts_part", "shared_parts", ["part_id"])
    op.add_column("rule_versions", sa.Column("pooled", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("rule_versions", sa.Column("qualifications", sa.JSON(), server_default="[]", nullable=False))
    op.add_column("rule_versions", sa.Column("assistance", sa.JSON(), server_default="{}", nullable=False))
    op.add_column("booking_quotes", sa.Column("price_class", sa.String(length=40), nullable=True))
    for table in ("bookings", "waiting_entries"):
        op.add_column(table, sa.Column("assisted", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    op.drop_column("waiting_entries", "assisted")
    op.drop_column("bookings", "assisted")
    op.drop_column("booking_quotes", "price_class")
    op.drop_column("rule_versions", "assistance")
    op.drop_column("rule_versions", "qualifications")
    op.drop_column("rule_versions", "pooled")
    for table in ("shared_parts", "operators", "qualification_grants", "qualifications"):
        op.drop_table(table)
