"""The inbox, one's own choice of letters, daily letters, reminders, calendar feeds. Messages from before count as read.

Revision ID: 0011
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "message_choices",
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column("topic", _choice("topic", "bookings", "reminders", "statements", "decisions"), nullable=False),
        sa.Column("delivery", _choice("delivery", "at_once", "digest", "app"), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_message_choices_person_id")),
        sa.PrimaryKeyConstraint("person_id", "topic", name=op.f("pk_message_choices")),
    )
    op.create_table(
        "readers_zones",
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column("timezone", sa.String(length=80), nullable=False),
        sa.CheckConstraint("length(timezone) <= 80", name=op.f("ck_readers_zones_timezone_length")),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_readers_zones_person_id")),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_readers_zones")),
    )
    op.create_table(
        "digest_entries",
        sa.Column("message_id", sa.String(length=40), nullable=False),
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_digest_entries_message_id")),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_digest_entries")),
    )
    op.create_index("ix_digest_entries_due", "digest_entries", ["due_at"])
    op.create_table(
        "reminders",
        sa.Column("subject_id", sa.String(length=40), nullable=False),
        sa.Column("event_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subject_id", "event_at", name=op.f("pk_reminders")),
    )
    op.create_table(
        "calendar_feeds",
        sa.Column("secret_hash", sa.String(length=80), nullable=False),
        sa.Column("person_id", sa.String(length=40), nullable=True),
        sa.Column("resource_id", sa.String(length=40), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(secret_hash) <= 80", name=op.f("ck_calendar_feeds_secret_hash_length")),
        sa.CheckConstraint("(person_id IS NULL) <> (resource_id IS NULL)", name=op.f("ck_calendar_feeds_one_owner")),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_calendar_feeds_person_id")),
        sa.ForeignKeyConstraint(["resource_id"], ["resources.id"], name=op.f("fk_calendar_feeds_resource_id")),
        sa.PrimaryKeyConstraint("secret_hash", name=op.f("pk_calendar_feeds")),
        sa.UniqueConstraint("person_id", name=op.f("uq_calendar_feeds_person_id")),
        sa.UniqueConstraint("resource_id", name=op.f("uq_calendar_feeds_resource_id")),
    )
    op.create_index("ix_bookings_starting", "bookings", ["state", "starts_at"])
    op.execute("UPDATE messages SET read_at = created_at WHERE read_at IS NULL")
    unread = sa.text("read_at IS NULL")
    op.create_index("ix_messages_unread", "messages", ["person_id"], postgresql_where=unread, sqlite_where=unread)


def _choice(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=40)


def downgrade() -> None:
    op.drop_index("ix_messages_unread", "messages")
    op.drop_index("ix_bookings_starting", "bookings")
    for table in ("calendar_feeds", "reminders", "digest_entries", "readers_zones", "message_choices"):
        op.drop_table(table)
