"""Prices, quotes, statements, journal, payments."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
FROZEN = ("policy_versions", "booking_quotes", "journal_entries", "journal_legs", "bank_receipts")
SQLITE_FREEZE = """
CREATE TRIGGER {table}_never_{verb} BEFORE {event} ON {table}
BEGIN
  SELECT RAISE(ABORT, 'rows of {table} never change');
END
"""
POSTGRES_FREEZE = """
CREATE OR REPLACE FUNCTION {table}_never_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of {table} never change' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER {table}_never_change BEFORE UPDATE OR DELETE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION {table}_never_change()
"""


def upgrade() -> None:
    op.create_table(
        "provider_events",
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("object_id", sa.String(length=200), nullable=False),
        sa.Column("account", sa.String(length=200), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("quarantined_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("length(account) <= 200", name=op.f("ck_provider_events_account_length")),
        sa.CheckConstraint("length(id) <= 200", name=op.f("ck_provider_events_id_length")),
        sa.CheckConstraint("length(kind) <= 80", name=op.f("ck_provider_events_kind_length")),
        sa.CheckConstraint("length(object_id) <= 200", name=op.f("ck_provider_events_object_id_length")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_events")),
    )
    op.create_index(
        "ix_provider_events_due", "provider_events", ["run_at"], unique=False, postgresql_where=sa.text("done_at IS NULL")
    )
    op.create_table(
        "payout_accounts",
        sa.Column("institution_id", sa.String(length=40), nullable=False),
        sa.Column("account_id", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(account_id) <= 200", name=op.f("ck_payout_accounts_account_id_length")),
        sa.ForeignKeyConstraint(["institution_id"], ["institutions.id"], name=op.f("fk_payout_accounts_institution_id")),
        sa.PrimaryKeyConstraint("institution_id", name=op.f("pk_payout_accounts")),
    )
    op.create_table(
        "policy_versions",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("resource_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("created_by", sa.String(length=40), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(digest) <= 80", name=op.f("ck_policy_versions_digest_length")),
        sa.ForeignKeyConstraint(["resource_id"], ["resources.id"], name=op.f("fk_policy_versions_resource_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_versions")),
        sa.UniqueConstraint("resource_id", "number", name=op.f("uq_policy_versions_resource_id_number")),
    )
    op.create_table(
        "booking_quotes",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("booking_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=80), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("timezone", sa.String(length=80), nullable=False),
        sa.Column(
            "funding",
            sa.Enum("card", "wallet", "bank", name="funding", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("policy", sa.JSON(), nullable=False),
        sa.Column("policy_digest", sa.String(length=80), nullable=False),
        sa.Column("quote_minor", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(currency) <= 80", name=op.f("ck_booking_quotes_currency_length")),
        sa.CheckConstraint("length(policy_digest) <= 80", name=op.f("ck_booking_quotes_policy_digest_length")),
        sa.CheckConstraint("length(timezone) <= 80", name=op.f("ck_booking_quotes_timezone_length")),
        sa.CheckConstraint("quote_minor >= 0", name=op.f("ck_booking_quotes_quote_not_negative")),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name=op.f("fk_booking_quotes_booking_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_booking_quotes")),
        sa.UniqueConstraint("booking_id", "number", name=op.f("uq_booking_quotes_booking_id_number")),
    )
    op.create_table(
        "journal_entries",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "usage_charge",
                "direct_charge",
                "direct_paid",
                "fee_paid",
                "payment_captured",
                "prepay_captured",
                "prepay_applied",
                "psp_fee",
                "refund_initiated",
                "refund_settled",
                "transfer_out",
                "bank_received",
                "bank_payout",
                "voucher_paid",
                "voucher_released",
                name="entrykind",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("source_type", sa.String(length=80), nullable=False),
        sa.Column("source_id", sa.String(length=200), nullable=False),
        sa.Column("booking_id", sa.String(length=40), nullable=True),
        sa.Column("institution_id", sa.String(length=40), nullable=True),
        sa.Column("currency", sa.String(length=80), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(currency) <= 80", name=op.f("ck_journal_entries_currency_length")),
        sa.CheckConstraint("length(source_id) <= 200", name=op.f("ck_journal_entries_source_id_length")),
        sa.CheckConstraint("length(source_type) <= 80", name=op.f("ck_journal_entries_source_type_length")),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name=op.f("fk_journal_entries_booking_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal_entries")),
        sa.UniqueConstraint("kind", "source_type", "source_id", name=op.f("uq_journal_entries_kind_source_type_source_id")),
    )
    op.create_index("ix_journal_entries_booking", "journal_entries", ["booking_id"], unique=False)
    op.create_table(
        "payments",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("booking_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("object_id", sa.String(length=200), nullable=True),
        sa.Column("customer_id", sa.String(length=200), nullable=True),
        sa.Column("method_id", sa.String(length=200), nullable=True),
        sa.Column("charge_id", sa.String(length=200), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "wanted",
                "authorised",
                "captured",
                "released",
                "failed",
                name="paymentstate",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("currency", sa.String(length=80), nullable=False),
        sa.Column("wanted_minor", sa.BigInteger(), nullable=False),
        sa.Column("authorised_minor", sa.BigInteger(), nullable=False),
        sa.Column("captured_minor", sa.BigInteger(), nullable=False),
        sa.Column("refunded_minor", sa.BigInteger(), nullable=False),
        sa.Column("transferred_minor", sa.BigInteger(), nullable=False),
        sa.Column("fee_minor", sa.BigInteger(), nullable=False),
        sa.Column("prepaid", sa.Boolean(), nullable=False),
        sa.Column("capture_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("captured_minor <= authorised_minor", name=op.f("ck_payments_captured_at_most_authorised")),
        sa.CheckConstraint("length(charge_id) <= 200", name=op.f("ck_payments_charge_id_length")),
        sa.CheckConstraint("length(currency) <= 80", name=op.f("ck_payments_currency_length")),
        sa.CheckConstraint("length(customer_id) <= 200", name=op.f("ck_payments_customer_id_length")),
        sa.CheckConstraint("length(method_id) <= 200", name=op.f("ck_payments_method_id_length")),
        sa.CheckConstraint("length(object_id) <= 200", name=op.f("ck_payments_object_id_length")),
        sa.CheckConstraint("refunded_minor <= captured_minor", name=op.f("ck_payments_refunded_at_most_captured")),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name=op.f("fk_payments_booking_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payments")),
        sa.UniqueConstraint("booking_id", "number", name=op.f("uq_payments_booking_id_number")),
        sa.UniqueConstraint("object_id", name=op.f("uq_payments_object_id")),
    )
    op.create_index("ix_payments_state", "payments", ["state", "capture_before"], unique=False)
    op.create_table(
        "journal_legs",
        sa.Column("entry_id", sa.String(length=40), nullable=False),
        sa.Column(
            "account",
            sa.Enum(
                "PSP",
                "BANK",
                "AR",
                "PREP",
                "RIT",
                "IP",
                "IPC",
                "FEE",
                "TAX",
                "PFE",
                "DFE",
                "DR",
                "VR",
                "IFR",
                "SUS",
                name="account",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_minor <> 0", name=op.f("ck_journal_legs_amount_not_zero")),
        sa.ForeignKeyConstraint(["entry_id"], ["journal_entries.id"], name=op.f("fk_journal_legs_entry_id")),
        sa.PrimaryKeyConstraint("entry_id", "account", name=op.f("pk_journal_legs")),
    )
    op.create_table(
        "provider_calls",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("booking_id", sa.String(length=40), nullable=False),
        sa.Column("payment_id", sa.String(length=40), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column(
            "operation",
            sa.Enum(
                "hold",
                "capture",
                "release",
                "charge",
                "refund",
                "transfer",
                name="operation",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "waiting", "done", "failed", "mismatch", name="callstate", native_enum=False, create_constraint=True, length=40
            ),
            nullable=False,
        ),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("first_called_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.String(length=1000), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("length(key) <= 200", name=op.f("ck_provider_calls_key_length")),
        sa.CheckConstraint("length(last_error) <= 1000", name=op.f("ck_provider_calls_last_error_length")),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name=op.f("fk_provider_calls_booking_id")),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_provider_calls_payment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_calls")),
        sa.UniqueConstraint("booking_id", "seq", name=op.f("uq_provider_calls_booking_id_seq")),
        sa.UniqueConstraint("key", name=op.f("uq_provider_calls_key")),
    )
    op.create_index(
        "ix_provider_calls_due", "provider_calls", ["run_at"], unique=False, postgresql_where=sa.text("state = 'waiting'")
    )
    op.create_index("ix_provider_calls_payment", "provider_calls", ["payment_id"], unique=False)
    op.create_table(
        "statements",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("booking_id", sa.String(length=40), nullable=False),
        sa.Column("institution_id", sa.String(length=40), nullable=False),
        sa.Column("organisation_id", sa.String(length=40), nullable=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("quote_id", sa.String(length=40), nullable=False),
        sa.Column("use_id", sa.String(length=40), nullable=True),
        sa.Column(
            "outcome",
            sa.Enum(
                "fulfilled",
                "no_show",
                "provider_failed",
                "unverifiable",
                "cancelled",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "open",
                "disputed",
                "accepted",
                "settled",
                "superseded",
                name="statementstate",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column(
            "funding",
            sa.Enum("card", "wallet", "bank", name="funding", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("lines", sa.JSON(), nullable=False),
        sa.Column("currency", sa.String(length=80), nullable=False),
        sa.Column("charge_minor", sa.BigInteger(), nullable=False),
        sa.Column("fee_minor", sa.BigInteger(), nullable=False),
        sa.Column("booked_s", sa.BigInteger(), nullable=False),
        sa.Column("logged_s", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_s", sa.BigInteger(), nullable=False),
        sa.Column("billed_s", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dispute_reason", sa.String(length=1000), nullable=True),
        sa.Column("disputed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_by", sa.String(length=40), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(currency) <= 80", name=op.f("ck_statements_currency_length")),
        sa.CheckConstraint("length(dispute_reason) <= 1000", name=op.f("ck_statements_dispute_reason_length")),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name=op.f("fk_statements_booking_id")),
        sa.ForeignKeyConstraint(["institution_id"], ["institutions.id"], name=op.f("fk_statements_institution_id")),
        sa.ForeignKeyConstraint(["quote_id"], ["booking_quotes.id"], name=op.f("fk_statements_quote_id")),
        sa.ForeignKeyConstraint(["use_id"], ["confirmed_uses.id"], name=op.f("fk_statements_use_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_statements")),
        sa.UniqueConstraint("booking_id", "number", name=op.f("uq_statements_booking_id_number")),
    )
    op.create_index("ix_statements_due", "statements", ["state", "due_at"], unique=False)
    op.create_index("ix_statements_institution", "statements", ["institution_id", "created_at"], unique=False)
    op.create_index("ix_statements_organisation", "statements", ["organisation_id", "created_at"], unique=False)
    op.create_table(
        "bank_receipts",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("institution_id", sa.String(length=40), nullable=False),
        sa.Column("statement_id", sa.String(length=40), nullable=False),
        sa.Column("serial", sa.String(length=200), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=80), nullable=False),
        sa.Column("received_on", sa.Date(), nullable=False),
        sa.Column("recorded_by", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_bank_receipts_amount_positive")),
        sa.CheckConstraint("length(currency) <= 80", name=op.f("ck_bank_receipts_currency_length")),
        sa.CheckConstraint("length(serial) <= 200", name=op.f("ck_bank_receipts_serial_length")),
        sa.ForeignKeyConstraint(["institution_id"], ["institutions.id"], name=op.f("fk_bank_receipts_institution_id")),
        sa.ForeignKeyConstraint(["statement_id"], ["statements.id"], name=op.f("fk_bank_receipts_statement_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_receipts")),
        sa.UniqueConstraint("institution_id", "serial", name=op.f("uq_bank_receipts_institution_id_serial")),
    )
    op.create_index("ix_bank_receipts_statement", "bank_receipts", ["statement_id"], unique=False)
    for table in FROZEN:
        if op.get_bind().dialect.name == "sqlite":
            for verb in ("update", "delete"):
                op.execute(SQLITE_FREEZE.format(table=table, verb=verb, event=verb.upper()))
        else:
            op.execute(POSTGRES_FREEZE.format(table=table))
