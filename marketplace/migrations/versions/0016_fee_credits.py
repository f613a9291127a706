"""Cancellation fees that are given back where others take the time.

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fee_credits",
        sa.Column("booking_id", sa.String(length=40), nullable=False),
        sa.Column("fee_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=80), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("whole_s", sa.BigInteger(), nullable=False),
        sa.Column("resold_s", sa.BigInteger(), nullable=False),
        sa.Column("credit_minor", sa.BigInteger(), nullable=False),
        sa.Column("correction_id", sa.String(length=40), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("returned_minor", sa.BigInteger(), nullable=False),
        sa.Column("returned_serial", sa.String(length=200), nullable=True),
        sa.Column("returned_by", sa.String(length=40), nullable=True),
        sa.Column("returned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("credit_minor BETWEEN 0 AND fee_minor", name=op.f("ck_fee_credits_credit_at_most_fee")),
        sa.CheckConstraint("resold_s BETWEEN 0 AND whole_s", name=op.f("ck_fee_credits_resold_at_most_whole")),
        sa.CheckConstraint("returned_minor BETWEEN 0 AND credit_minor", name=op.f("ck_fee_credits_returned_at_most_credit")),
        sa.CheckConstraint("length(currency) <= 80", name=op.f("ck_fee_credits_currency_length")),
        sa.CheckConstraint("length(returned_serial) <= 200", name=op.f("ck_fee_credits_returned_serial_length")),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name=op.f("fk_fee_credits_booking_id")),
        sa.ForeignKeyConstraint(["correction_id"], ["statements.id"], name=op.f("fk_fee_credits_correction_id")),
        sa.PrimaryKeyConstraint("booking_id", name=op.f("pk_fee_credits")),
    )
    op.create_index("ix_fee_credits_due", "fee_credits", ["decided_at", "ends_at"])
