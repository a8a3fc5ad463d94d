"""endpoints of webhooks, their sealed secrets, notices and attempts"""

import sqlalchemy as sa
from alembic import op

from runtime.storage import columns

revision = "c61e0f7b24d8"
down_revision = "c90d3e57a1b8"
branch_labels = None
depends_on = None

WAITING = sa.text("due_at IS NOT NULL")
ENDED = sa.text("ended_at IS NOT NULL")


def _number(name: str) -> sa.Column[int]:
    return sa.Column(
        name, sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
    )


def upgrade() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("types", columns.Json(), nullable=False),
        sa.Column("created_at", columns.Instant(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=True),
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("challenge", sa.String(length=64), nullable=False),
        sa.Column("failing_since", columns.Instant(), nullable=True),
        sa.Column("last_failure", columns.Instant(), nullable=True),
        sa.Column("noticed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("webhook_endpoints_organization", "webhook_endpoints", ["organization"])
    op.create_table(
        "webhook_secrets",
        _number("number"),
        sa.Column("endpoint_id", sa.String(length=36), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", columns.Instant(), nullable=False),
        sa.Column("expires_at", columns.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )
    op.create_index("webhook_secrets_endpoint", "webhook_secrets", ["endpoint_id"])
    op.create_table(
        "webhook_notices",
        _number("number"),
        sa.Column("endpoint_id", sa.String(length=36), nullable=False),
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("referral_id", sa.String(length=36), nullable=False),
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("queued_at", columns.Instant(), nullable=False),
        sa.Column("haste", sa.String(length=20), nullable=False),
        sa.Column("until", columns.Instant(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", columns.Instant(), nullable=True),
        sa.Column("ended_at", columns.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("endpoint_id", "message_id", name="webhook_notices_once"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "webhook_notices_due",
        "webhook_notices",
        ["endpoint_id", "due_at"],
        sqlite_where=WAITING,
        postgresql_where=WAITING,
    )
    op.create_index(
        "webhook_notices_waiting",
        "webhook_notices",
        ["endpoint_id", "referral_id", "sequence"],
        sqlite_where=WAITING,
        postgresql_where=WAITING,
    )
    op.create_index(
        "webhook_notices_ended",
        "webhook_notices",
        ["ended_at"],
        sqlite_where=ENDED,
        postgresql_where=ENDED,
    )
    op.create_table(
        "webhook_attempts",
        _number("position"),
        sa.Column("endpoint_id", sa.String(length=36), nullable=False),
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("started_at", columns.Instant(), nullable=False),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer_type", sa.String(length=100), nullable=True),
        sa.Column("answer_size", sa.Integer(), nullable=False),
        sa.Column("fault", sa.String(length=40), nullable=True),
        sa.Column("next_at", columns.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("position"),
        sqlite_autoincrement=True,
    )
    op.create_index("webhook_attempts_endpoint", "webhook_attempts", ["endpoint_id", "position"])
    op.create_index("webhook_attempts_started_at", "webhook_attempts", ["started_at"])


def downgrade() -> None:
    for name in ("webhook_attempts", "webhook_notices", "webhook_secrets", "webhook_endpoints"):
        op.drop_table(name)
