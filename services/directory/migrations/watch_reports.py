"""reports about employers, the organisations that receive them, replies"""

import sqlalchemy as sa
from alembic import op

revision = "2f7ac90be416"
down_revision = "9b7d0e52c1f4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "watch_reports",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("reporter", sa.String(length=100), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("allegation", sa.Text(), nullable=False),
        sa.Column("recipients", sa.Text(), nullable=False),
        sa.Column("salt", sa.String(length=43), nullable=False),
        sa.Column("reported_at", sa.BigInteger(), nullable=False),
        sa.Column("retracted_at", sa.BigInteger(), nullable=True),
        sa.Column("idempotency_key", sa.String(length=255), nullable=True),
        sa.Column("body_sha256", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("watch_reports_reporter", "watch_reports", ["reporter", "id"])
    op.create_index("watch_reports_key", "watch_reports", ["reporter", "idempotency_key"], unique=True)
    op.create_index("watch_reports_country", "watch_reports", ["country", "reported_at"])
    op.create_index("watch_reports_reported_at", "watch_reports", ["reported_at"])
    op.create_table(
        "watch_recipients",
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization"),
    )
    op.create_table(
        "employer_replies",
        sa.Column("watched_id", sa.String(length=36), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("employer", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("by", sa.String(length=100), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("watched_id"),
    )
    op.create_index("employer_replies_country", "employer_replies", ["country"])


def downgrade() -> None:
    op.drop_table("employer_replies")
    op.drop_table("watch_recipients")
    op.drop_table("watch_reports")
