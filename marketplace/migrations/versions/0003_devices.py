"""Devices, readings, sessions, confirmed use."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "heartbeats",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(name) <= 80", name=op.f("ck_heartbeats_name_length")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_heartbeats")),
    )
    op.create_table(
        "ingest_gaps",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.CheckConstraint("length(reason) <= 1000", name=op.f("ck_ingest_gaps_reason_length")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ingest_gaps")),
    )
    op.create_table(
        "rejected_messages",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("device_id", sa.String(length=40), nullable=True),
        sa.Column("device_key", sa.String(length=80), nullable=False),
        sa.Column("topic", sa.String(length=1000), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=80), nullable=False),
        sa.Column("detail", sa.String(length=1000), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(detail) <= 1000", name=op.f("ck_rejected_messages_detail_length")),
        sa.CheckConstraint("length(device_key) <= 80", name=op.f("ck_rejected_messages_device_key_length")),
        sa.CheckConstraint("length(reason) <= 80", name=op.f("ck_rejected_messages_reason_length")),
        sa.CheckConstraint("length(topic) <= 1000", name=op.f("ck_rejected_messages_topic_length")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rejected_messages")),
    )
    op.create_index("ix_rejected_messages_device", "rejected_messages", ["device_key", "received_at"], unique=False)
    op.create_index("ix_rejected_messages_time", "rejected_messages", ["received_at"], unique=False)
    op.create_table(
        "devices",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("resource_id", sa.String(length=40), nullable=False),
        sa.Column("institution_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("secret_hash", sa.String(length=1000), nullable=False),
        sa.Column(
            "state",
            sa.Enum("active", "revoked", name="devicestate", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("online", sa.Boolean(), nullable=True),
        sa.Column("online_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_message_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("folded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dirty_from", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("length(key) <= 80", name=op.f("ck_devices_key_length")),
        sa.CheckConstraint("length(name) <= 200", name=op.f("ck_devices_name_length")),
        sa.CheckConstraint("length(secret_hash) <= 1000", name=op.f("ck_devices_secret_hash_length")),
        sa.ForeignKeyConstraint(["institution_id"], ["institutions.id"], name=op.f("fk_devices_institution_id")),
        sa.ForeignKeyConstraint(["resource_id"], ["resources.id"], name=op.f("fk_devices_resource_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_devices")),
        sa.UniqueConstraint("key", name=op.f("uq_devices_key")),
    )
    op.create_index("ix_devices_resource", "devices", ["resource_id"], unique=False)
    op.create_table(
        "latest_samples",
        sa.Column("device_id", sa.String(length=40), nullable=False),
        sa.Column("resource_id", sa.String(length=40), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("power_w", sa.BigInteger(), nullable=True),
        sa.Column("in_use_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stale_after_s", sa.BigInteger(), nullable=False),
        sa.Column("power_series", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_latest_samples_device_id")),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_latest_samples")),
    )
    op.create_index("ix_latest_samples_resource", "latest_samples", ["resource_id"], unique=False)
    op.create_table(
        "raw_messages",
        sa.Column("device_id", sa.String(length=40), nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("topic", sa.String(length=1000), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("retain", sa.Boolean(), nullable=False),
        sa.Column("backlog", sa.Boolean(), nullable=False),
        sa.CheckConstraint("length(digest) <= 80", name=op.f("ck_raw_messages_digest_length")),
        sa.CheckConstraint("length(topic) <= 1000", name=op.f("ck_raw_messages_topic_length")),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_raw_messages_device_id")),
        sa.PrimaryKeyConstraint("device_id", "digest", name=op.f("pk_raw_messages")),
    )
    op.create_index("ix_raw_messages_time", "raw_messages", ["device_id", "received_at"], unique=False)
    op.create_table(
        "state_segments",
        sa.Column("device_id", sa.String(length=40), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resource_id", sa.String(length=40), nullable=False),
        sa.Column(
            "state",
            sa.Enum("RUN", "IDLE", "OFF", "FAULT", "UNKNOWN", name="state", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("bridged", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_state_segments_device_id")),
        sa.PrimaryKeyConstraint("device_id", "starts_at", name=op.f("pk_state_segments")),
    )
    op.create_index("ix_state_segments_resource", "state_segments", ["resource_id", "starts_at", "ends_at"], unique=False)
    op.create_table(
        "thresholds",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("device_id", sa.String(length=40), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("profile", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_thresholds_device_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_thresholds")),
        sa.UniqueConstraint("device_id", "valid_from", name=op.f("uq_thresholds_device_id_valid_from")),
    )
    op.create_table(
        "usage_sessions",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("device_id", sa.String(length=40), nullable=False),
        sa.Column("resource_id", sa.String(length=40), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_s", sa.BigInteger(), nullable=False),
        sa.Column("unverified_s", sa.BigInteger(), nullable=False),
        sa.Column("energy_wh", sa.BigInteger(), nullable=False),
        sa.Column(
            "end_reason",
            sa.Enum("off", "gap", name="endreason", native_enum=False, create_constraint=True, length=40),
            nullable=True,
        ),
        sa.Column(
            "grade",
            sa.Enum("A", "B", "C", "D", name="grade", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_usage_sessions_device_id")),
        sa.ForeignKeyConstraint(["resource_id"], ["resources.id"], name=op.f("fk_usage_sessions_resource_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_sessions")),
        sa.UniqueConstraint("device_id", "starts_at", name=op.f("uq_usage_sessions_device_id_starts_at")),
    )
    op.create_index(
        "ix_usage_sessions_open",
        "usage_sessions",
        ["device_id"],
        unique=True,
        postgresql_where=sa.text("ends_at IS NULL"),
        sqlite_where=sa.text("ends_at IS NULL"),
    )
    op.create_index("ix_usage_sessions_resource", "usage_sessions", ["resource_id", "starts_at"], unique=False)
    op.create_table(
        "confirmed_uses",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("booking_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("supersedes_id", sa.String(length=40), nullable=True),
        sa.Column(
            "verdict",
            sa.Enum(
                "fulfilled",
                "no_show",
                "provider_failed",
                "unverifiable",
                name="verdict",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("booked_s", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_s", sa.BigInteger(), nullable=False),
        sa.Column("early_s", sa.BigInteger(), nullable=False),
        sa.Column("overrun_s", sa.BigInteger(), nullable=False),
        sa.Column("unverified_s", sa.BigInteger(), nullable=False),
        sa.Column("fault_s", sa.BigInteger(), nullable=False),
        sa.Column("energy_wh", sa.BigInteger(), nullable=False),
        sa.Column(
            "grade",
            sa.Enum("A", "B", "C", "D", name="grade", native_enum=False, create_constraint=True, length=40),
            nullable=True,
        ),
        sa.Column("pieces", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name=op.f("fk_confirmed_uses_booking_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_confirmed_uses")),
        sa.UniqueConstraint("booking_id", "number", name=op.f("uq_confirmed_uses_booking_id_number")),
    )
